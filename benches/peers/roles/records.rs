//! The records of the product's store for jobs that are only bytes, in the product's own journal.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use forebay::core::record::Record;
use forebay::model::{Body, Headers, JobId, JobRules, Meta, Outcome, Owner, QueueName, Submission, Verdict};
use forebay::store::file_disk::FileDisk;
use forebay::store::journal::{Journal, JournalConfig};
use forebay::store::{self, Store};

const WALL_MS: u64 = 1_750_000_000_000;

/// What is to be kept at the end of this turn.
pub(crate) struct Records {
    journal: Journal<FileDisk>,
    turn: Vec<Record>,
    /// The ids of open jobs by the first bytes of their payloads, which are their tags.
    open: HashMap<[u8; 8], JobId>,
    sequence: u64,
    owner: Arc<Owner>,
    rules: Arc<JobRules>,
    queue: QueueName,
    worker: Arc<str>,
}

impl Records {
    pub(crate) fn open(dir: &Path) -> Records {
        Records {
            journal: store::open(dir, JournalConfig::default()).expect("a journal").0,
            turn: Vec::new(),
            open: HashMap::new(),
            sequence: 0,
            owner: Owner { user: "uid:1000".into(), name: "web".into() }.into(),
            rules: JobRules::default().into(),
            queue: QueueName::new("echo").expect("it is valid"),
            worker: "worker-1".into(),
        }
    }

    /// A job came.
    pub(crate) fn submitted(&mut self, payload: &[u8]) {
        self.sequence += 1;
        // As random as a real one's bits are: what is near in time is near in order, and nothing more.
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        let wall_ms = WALL_MS + self.sequence / 100;
        let id = JobId::new(wall_ms, random);
        self.open.insert(tag(payload), id);
        let job = Submission {
            is_patient: true,
            ..Submission::new(id, self.queue.clone(), Body::from(vec![payload.to_vec().into()]))
        };
        let (owner, rules) = (self.owner.clone(), self.rules.clone());
        let sequence = self.sequence;
        self.turn.push(Record::Submitted { owner, job: job.into(), rules, wall_ms, sequence, stored_len: 0 });
    }

    /// It goes to a worker.
    pub(crate) fn begun(&mut self, payload: &[u8]) {
        let (id, token, worker) = (self.open[&tag(payload)], self.sequence, self.worker.clone());
        self.turn.push(Record::Leased { id, token });
        self.turn.push(Record::Started { id, token, attempt: 1, worker, wall_ms: WALL_MS });
    }

    /// Its result came.
    pub(crate) fn ended(&mut self, result: &[u8]) {
        let id = self.open.remove(&tag(result)).expect("a job that is open");
        let verdict = Verdict {
            outcome: Outcome::Done,
            attempt: 1,
            body: Body::from(vec![result.to_vec().into()]),
            headers: Headers::default(),
            code: String::new(),
            message: String::new(),
            detail: String::new(),
            meta: Meta::from_iter([("worker", "worker-1".to_owned()), ("started_ms", WALL_MS.to_string())]),
        };
        self.turn.push(Record::Ended { id, verdict: verdict.into(), wall_ms: WALL_MS });
        self.turn.push(Record::Forgotten { id });
    }

    /// Keeps what this turn brought: one sync.
    pub(crate) fn keep(&mut self) {
        if !self.turn.is_empty() {
            self.journal.append(&self.turn).expect("the journal takes it");
            self.turn.clear();
        }
    }
}

fn tag(payload: &[u8]) -> [u8; 8] {
    *payload.first_chunk().expect("a payload carries its tag")
}
