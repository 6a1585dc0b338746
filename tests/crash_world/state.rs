//! What records add up to, kept in the simplest way.

use std::collections::BTreeMap;
use std::sync::Arc;

use forebay::core::record::{Buried, Kept, KeptJob, QueueKept, Record, Standing};
use forebay::model::{JobId, JobOptions, Outcome, QueueName};

/// What records add up to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct State {
    pub(crate) jobs: BTreeMap<JobId, KeptJob>,
    pub(crate) buried: BTreeMap<JobId, Arc<Buried>>,
    pub(crate) queues: BTreeMap<QueueName, Arc<QueueKept>>,
}

impl State {
    pub(crate) fn of(kept: &Kept) -> State {
        let mut state = State::default();
        let mut last = 0;
        for job in &kept.jobs {
            assert!(job.sequence > last, "jobs come back in the order of acceptance");
            last = job.sequence;
            let mut job = job.clone();
            strip(&mut job);
            state.jobs.insert(job.job.id, job);
        }
        state.buried = kept.buried.iter().map(|buried| (buried.id, buried.clone())).collect();
        state.queues = kept.queues.iter().map(|kept| (kept.queue.clone(), kept.clone())).collect();
        state
    }

    pub(crate) fn apply(&mut self, record: &Record) {
        match record {
            Record::Submitted { owner, job, rules, wall_ms, sequence, .. } => {
                let (owner, mut job, rules) = (owner.clone(), job.clone(), rules.clone());
                // Its rules say what is needed of them.
                Arc::make_mut(&mut job).options = JobOptions::default();
                let (wall_ms, sequence) = (*wall_ms, *sequence);
                let standing = Standing::default();
                let kept =
                    KeptJob { owner, job, stored_len: 0, rules, wall_ms, sequence, standing, ended: None };
                self.jobs.insert(kept.job.id, kept);
            }
            Record::Leased { id, .. }
            | Record::Started { id, .. }
            | Record::Requeued { id, .. }
            | Record::Seen { id, .. }
            | Record::Child { id, .. }
            | Record::StageClosed { id, .. }
            | Record::Context { id, .. }
            | Record::Collected { id, .. } => {
                self.job(id).standing.apply(record);
            }
            Record::Ended { id, verdict, wall_ms } => {
                let job = self.job(id);
                job.standing.apply(record);
                job.ended = Some((verdict.clone(), *wall_ms));
                strip(job);
            }
            Record::Forgotten { id } => {
                self.jobs.remove(id);
            }
            Record::Buried(buried) => {
                self.jobs.remove(&buried.id);
                self.buried.insert(buried.id, buried.clone());
            }
            Record::QueueSet(kept) => {
                self.queues.insert(kept.queue.clone(), kept.clone());
            }
            Record::Booted { .. } | Record::Stands { .. } => panic!("a broker does not append {record:?}"),
        }
    }

    /// The first job or id of which the two do not say the same.
    pub(crate) fn difference(&self, other: &State) -> String {
        let ids = self.jobs.keys().chain(other.jobs.keys());
        let job = ids.copied().find(|id| self.jobs.get(id) != other.jobs.get(id));
        if let Some(id) = job {
            return format!("{:#?} here, {:#?} there", self.jobs.get(&id), other.jobs.get(&id));
        }
        let ids = self.buried.keys().chain(other.buried.keys());
        let buried = ids.copied().find(|id| self.buried.get(id) != other.buried.get(id));
        format!("of what is buried {buried:?}; queues {:?} here, {:?} there", self.queues, other.queues)
    }

    fn job(&mut self, id: &JobId) -> &mut KeptJob {
        self.jobs.get_mut(id).expect("the job was submitted")
    }
}

/// The payload of a job that has ended may be kept or not, unless it is quarantined.
fn strip(job: &mut KeptJob) {
    let gone = job.ended.as_ref().is_some_and(|(verdict, _)| verdict.outcome != Outcome::Quarantined);
    if gone {
        job.stored_len = 0;
        let submission = Arc::make_mut(&mut job.job);
        (submission.body, submission.headers) = Default::default();
    }
}
