//! From records back to the state they add up to.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::record::{Buried, Kept, KeptJob, QueueKept, Record, Standing};
use crate::model::limits::STORED_LEN_MIN;
use crate::model::{Body, JobRules, Owner, QueueName, Submission, Verdict};
use crate::store::journal::ledger::{Entry, Ledger};
use crate::store::journal::segment::Place;

/// Everything the ledger does not keep of the records it is told of.
#[derive(Debug)]
pub(super) struct Replay {
    ledger: Ledger,
    /// Bytes of payloads that are kept in memory, and how many may be; further ones are left in the store.
    bodies: u64,
    bodies_max: u64,
    /// By the ledger's slots.
    sides: Vec<Side>,
    queues: BTreeMap<QueueName, Arc<QueueKept>>,
}

#[derive(Debug, Default)]
enum Side {
    #[default]
    None,
    Job {
        owner: Arc<Owner>,
        job: Arc<Submission>,
        stored_len: u64,
        rules: Arc<JobRules>,
        wall_ms: u64,
        sequence: u64,
        ended: Option<(Arc<Verdict>, u64)>,
    },
    Buried(Arc<Buried>),
}

impl Side {
    /// Bytes of payload it keeps in memory.
    fn body_len(&self) -> u64 {
        match self {
            Side::Job { job, .. } => job.body.len() as u64,
            _ => 0,
        }
    }
}

impl Replay {
    /// Nothing yet. Payloads beyond `bodies_max` bytes in all are left in the store.
    pub(super) fn new(bodies_max: u64) -> Self {
        Replay {
            ledger: Ledger::default(),
            bodies: 0,
            bodies_max,
            sides: Vec::new(),
            queues: BTreeMap::new(),
        }
    }

    /// The next record.
    pub(super) fn apply(&mut self, record: Record, place: Place) {
        let slot = self.ledger.apply(&record, place);
        if let Record::QueueSet(kept) = &record {
            self.queues.insert(kept.queue.clone(), kept.clone());
        }
        let Some(slot) = slot.map(|slot| slot as usize) else { return };
        if slot >= self.sides.len() {
            self.sides.resize_with(slot + 1, Side::default);
        }
        let side = &mut self.sides[slot];
        self.bodies -= side.body_len();
        match record {
            Record::Submitted { owner, mut job, rules, wall_ms, sequence, .. } => {
                let len = job.body.len() as u64;
                // What a run is made of is needed as soon as the broker begins.
                let is_stored = len >= STORED_LEN_MIN && self.bodies + len > self.bodies_max && !job.is_run;
                if is_stored {
                    Arc::make_mut(&mut job).body = Body::default();
                }
                let stored_len = if is_stored { len } else { 0 };
                *side = Side::Job { owner, job, stored_len, rules, wall_ms, sequence, ended: None };
            }
            Record::Ended { verdict, wall_ms: at, .. } => {
                if let Side::Job { ended, .. } = side {
                    *ended = Some((verdict, at));
                }
            }
            Record::Buried(buried) => *side = Side::Buried(buried),
            Record::Forgotten { .. } => *side = Side::None,
            _ => {}
        }
        self.bodies += side.body_len();
    }

    /// What it all adds up to; the ledger goes to whoever goes on writing.
    pub(super) fn finish(self, ledger: &mut Ledger) -> Kept {
        *ledger = self.ledger;
        let mut kept = Kept { wall_ms: ledger.wall_ms(), ..Kept::default() };
        for (slot, side) in self.sides.into_iter().enumerate() {
            match side {
                Side::None => {}
                Side::Job { owner, job, stored_len, rules, wall_ms, sequence, ended } => {
                    let standing = match ledger.at(slot) {
                        Some(Entry::Job { standing: Some(standing), .. }) => (**standing).clone(),
                        _ => Standing::default(),
                    };
                    kept.jobs.push(KeptJob {
                        owner,
                        job,
                        stored_len,
                        rules,
                        wall_ms,
                        sequence,
                        standing,
                        ended,
                    });
                }
                Side::Buried(buried) if ledger.is_too_old(buried.id) => {
                    ledger.forget(buried.id);
                }
                Side::Buried(buried) => kept.buried.push(buried),
            }
        }
        kept.jobs.sort_unstable_by_key(|job| (job.sequence, job.job.id));
        kept.buried.sort_unstable_by_key(|buried| buried.id);
        kept.queues = self.queues.into_values().collect();
        kept
    }
}

/// The state as records.
pub(super) fn into_records(kept: Kept) -> impl Iterator<Item = Record> {
    let Kept { epoch, broker, jobs, buried, queues, .. } = kept;
    let head = std::iter::once(Record::Booted { epoch, broker });
    let jobs = jobs.into_iter().flat_map(|kept| {
        let KeptJob { owner, job, stored_len, rules, wall_ms, sequence, standing, ended } = kept;
        let id = job.id;
        let stands =
            (standing != Standing::default()).then(|| Record::Stands { id, standing: Box::new(standing) });
        let ended = ended.map(|(verdict, wall_ms)| Record::Ended { id, verdict, wall_ms });
        let submitted = Record::Submitted { owner, job, rules, wall_ms, sequence, stored_len };
        std::iter::once(submitted).chain(stands).chain(ended)
    });
    head.chain(queues.into_iter().map(Record::QueueSet))
        .chain(jobs)
        .chain(buried.into_iter().map(Record::Buried))
}
