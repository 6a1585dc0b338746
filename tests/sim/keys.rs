//! The lines of serial keys, as the records of durable jobs say: who was accepted, and has not ended.
//!
//! The rule it keeps: a job is handed out only when fewer than its `serial_jobs` of those that were accepted before it, in the same
//! queue under the same key, have not ended. So no more than that are under way at once, and their order is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use forebay::core::record::{Kept, Record};
use forebay::model::{JobId, JobRules, QueueName};

use crate::judge::rule;

/// A queue and a key.
type Line = (QueueName, Arc<str>);

/// The jobs of all keys that have not ended.
#[derive(Default)]
pub(crate) struct Lines {
    jobs: BTreeMap<Line, BTreeSet<(u64, JobId)>>,
    /// Where each job stands, and how many of its key may be under way.
    places: BTreeMap<JobId, (Line, u64, usize)>,
}

impl Lines {
    /// What is there after a restart.
    pub(crate) fn restart(&mut self, kept: &Kept) {
        (self.jobs, self.places) = Default::default();
        for kept in kept.jobs.iter().filter(|kept| kept.ended.is_none()) {
            self.add(kept.job.id, &kept.job.queue, &kept.rules, kept.sequence);
        }
    }

    /// A record is on its way to the disk. Whether it is of a job that has to wait for others of its key.
    pub(crate) fn see(&mut self, record: &Record) -> bool {
        match record {
            Record::Submitted { job, rules, sequence, .. } => {
                return self.add(job.id, &job.queue, rules, *sequence);
            }
            Record::Leased { id, .. } => {
                if let Some((line, sequence, most)) = self.places.get(id) {
                    let before = self.jobs[line].range(..(*sequence, *id)).count();
                    rule!(
                        before < *most,
                        "job {id} of key {} is handed out with {before} of its key before it, and {most} may be under way",
                        line.1
                    );
                }
            }
            Record::Ended { id, .. } => {
                if let Some((line, sequence, _)) = self.places.remove(id)
                    && let Some(jobs) = self.jobs.get_mut(&line)
                {
                    jobs.remove(&(sequence, *id));
                }
            }
            _ => {}
        }
        false
    }

    fn add(&mut self, id: JobId, queue: &QueueName, rules: &JobRules, sequence: u64) -> bool {
        let Some(key) = rules.serial_key.clone() else { return false };
        let line = (queue.clone(), key);
        let jobs = self.jobs.entry(line.clone()).or_default();
        let most = rules.serial_jobs as usize;
        let waits = jobs.len() >= most;
        jobs.insert((sequence, id));
        self.places.insert(id, (line, sequence, most));
        waits
    }
}
