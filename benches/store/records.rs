//! The records of a broker under steady load.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use forebay::core::record::Record;
use forebay::model::{Body, Headers, JobId, JobRules, Meta, Outcome, Owner, QueueName, Submission, Verdict};

const WALL_MS: u64 = 1_750_000_000_000;

pub(crate) struct Load {
    jobs: usize,
    next: u64,
    submitted: VecDeque<Vec<JobId>>,
    owner: Arc<Owner>,
    rules: Arc<JobRules>,
    queue: QueueName,
    payload: Bytes,
    result: Arc<Verdict>,
}

impl Load {
    pub(crate) fn new(jobs: usize) -> Load {
        let result = Verdict {
            outcome: Outcome::Done,
            attempt: 1,
            body: Body::one(vec![3; 100]),
            headers: Headers::default(),
            code: String::new(),
            message: String::new(),
            detail: String::new(),
            meta: Meta::from_iter([("worker", "w-1".to_owned()), ("started_ms", WALL_MS.to_string())]),
        };
        Load {
            jobs,
            next: 1,
            submitted: VecDeque::new(),
            owner: Owner { user: "uid:1000".into(), name: "web".into() }.into(),
            rules: JobRules::default().into(),
            queue: QueueName::new("resize").expect("it is valid"),
            payload: (0..1_024u32).map(|n| (n * 7) as u8).collect(),
            result: result.into(),
        }
    }

    /// Only new jobs.
    pub(crate) fn submissions(&mut self) -> Vec<Record> {
        (0..self.jobs).map(|_| self.submission()).collect()
    }

    fn submission(&mut self) -> Record {
        let sequence = self.next;
        self.next += 1;
        // As random as a real one's bits are: what is near in time is near in order, and nothing more.
        let mixed = sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = [0; 10];
        random[..8].copy_from_slice(&mixed.to_be_bytes());
        let wall_ms = WALL_MS + sequence / 100;
        let job = Submission {
            is_patient: true,
            ..Submission::new(
                JobId::new(wall_ms, random),
                self.queue.clone(),
                Body::from(vec![self.payload.clone()]),
            )
        };
        let (owner, rules) = (self.owner.clone(), self.rules.clone());
        Record::Submitted { owner, job: job.into(), rules, wall_ms, sequence, stored_len: 0 }
    }

    /// One turn: new jobs, the start of those before, the end of those before them.
    pub(crate) fn batch(&mut self) -> Vec<Record> {
        let mut records = self.submissions();
        let id_of = |record: &Record| match record {
            Record::Submitted { job, .. } => Some(job.id),
            _ => None,
        };
        self.submitted.push_back(records.iter().filter_map(id_of).collect());
        let behind = self.submitted.len();
        if behind >= 2 {
            for &id in &self.submitted[behind - 2] {
                let token = 1 << 40 | self.next;
                records.push(Record::Leased { id, token });
                records.push(Record::Started {
                    id,
                    token,
                    attempt: 1,
                    worker: "w-1".into(),
                    wall_ms: WALL_MS,
                });
            }
        }
        if behind >= 3 {
            for id in self.submitted.pop_front().into_iter().flatten() {
                records.push(Record::Ended { id, verdict: self.result.clone(), wall_ms: WALL_MS });
                records.push(Record::Forgotten { id });
            }
        }
        records
    }
}
