//! What outlives jobs: ids that must not run again, histories for operators, and the stream of events.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::core::job_table::entry::Job;
use crate::core::record::{Attempt, Buried};
use crate::model::limits::{DEDUPE_MAX, DEDUPE_WINDOW_MS, EVENTS_MAX, HISTORIES_MAX};
use crate::model::{Index, JobId, Now, Outcome, Owner, QueueName};

/// Ids that are remembered until they are too old to be submitted.
#[derive(Clone, Debug, Default)]
pub(super) struct Tombstones(BTreeMap<JobId, Arc<Buried>>);

impl Tombstones {
    pub(super) fn get(&self, id: &JobId) -> Option<&Buried> {
        self.0.get(id).map(|buried| &**buried)
    }

    pub(super) fn insert(&mut self, buried: Arc<Buried>) {
        self.0.insert(buried.id, buried);
    }

    /// No further id can be promised to be remembered.
    pub(super) fn is_full(&self, living: usize) -> bool {
        self.0.len() + living >= DEDUPE_MAX
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Ids are ordered by the time they carry, so the oldest are first.
    pub(super) fn expire(&mut self, wall_ms: u64) {
        while let Some(oldest) =
            self.0.first_entry().filter(|entry| entry.key().wall_ms() + DEDUPE_WINDOW_MS < wall_ms)
        {
            oldest.remove();
        }
    }
}

/// A finished job whose result is gone, as operators see it.
#[derive(Clone, Debug)]
pub(super) struct PastJob {
    pub(super) owner: Arc<Owner>,
    pub(super) queue: QueueName,
    pub(super) outcome: Outcome,
    pub(super) attempt: u32,
    pub(super) accepted_wall_ms: u64,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) history: Vec<Attempt>,
    pub(super) parent: Option<JobId>,
    pub(super) requeued_as: Option<JobId>,
    pub(super) ended_wall_ms: Option<u64>,
}

/// The last finished jobs, in the order they went: `jobs[0]` is number `first`.
#[derive(Clone, Debug, Default)]
pub(super) struct Past {
    jobs: VecDeque<(u64, JobId, PastJob)>,
    first: u64,
    /// The number of each.
    numbers: Index<JobId, u64>,
}

impl Past {
    pub(super) fn get(&self, id: &JobId) -> Option<&PastJob> {
        let at = self.numbers.get(id)? - self.first;
        self.jobs.get(at as usize).map(|(_, _, job)| job)
    }

    /// Its attempts, to add to them what was seen late.
    pub(super) fn history_mut(&mut self, id: &JobId) -> Option<&mut Vec<Attempt>> {
        let at = self.numbers.get(id)? - self.first;
        self.jobs.get_mut(at as usize).map(|(_, _, job)| &mut job.history)
    }

    /// All of them, in the order in which they went.
    pub(super) fn iter(&self) -> impl Iterator<Item = (JobId, &PastJob)> {
        let numbered = (self.first..).zip(&self.jobs);
        let known = numbered.filter(|(number, (_, id, _))| self.numbers.get(id) == Some(number));
        known.map(|(_, (_, id, job))| (*id, job))
    }

    pub(super) fn insert(&mut self, now: Now, id: JobId, job: PastJob) {
        while self.jobs.len() >= HISTORIES_MAX {
            self.drop_oldest();
        }
        // One that went before under the same id is found no more, and goes in its turn.
        self.numbers.insert(id, self.first + self.jobs.len() as u64);
        self.jobs.push_back((now.us, id, job));
    }

    pub(super) fn expire(&mut self, now: Now, retention_ms: u64) {
        while self.jobs.front().is_some_and(|(at_us, ..)| at_us + retention_ms * 1_000 < now.us) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, id, _)) = self.jobs.pop_front() {
            if self.numbers.get(&id) == Some(&self.first) {
                self.numbers.remove(&id);
            }
            self.first += 1;
        }
    }
}

/// What can happen to a job, as `events` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// The broker took it.
    Accepted,
    /// A worker has begun it.
    Started,
    /// It waits again.
    Requeued {
        /// An attempt had begun, and is over.
        begun: bool,
    },
    /// It ended so.
    Ended(Outcome),
}

impl Happened {
    /// Its name in JSON and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Happened::Accepted => "accepted",
            Happened::Started => "started",
            Happened::Requeued { .. } => "requeued",
            Happened::Ended(_) => "ended",
        }
    }
}

/// One thing that happened to one job.
#[derive(Clone, Debug)]
pub struct Kept {
    pub(super) number: u64,
    pub(super) wall_ms: u64,
    /// The job.
    pub id: JobId,
    /// Its queue.
    pub queue: QueueName,
    pub(super) owner: Arc<Owner>,
    /// How often it had been started.
    pub attempt: u32,
    /// What happened.
    pub what: Happened,
    /// A word on why; may be empty.
    pub why: &'static str,
}

/// The last things that happened, numbered from 1 without gaps.
#[derive(Clone, Debug, Default)]
pub(super) struct Events {
    kept: VecDeque<Kept>,
    last: u64,
}

impl Events {
    pub(super) fn push(&mut self, now: Now, job: &Job, what: Happened, why: &'static str) {
        if self.kept.len() >= EVENTS_MAX {
            self.kept.pop_front();
        }
        self.last += 1;
        self.kept.push_back(Kept {
            number: self.last,
            wall_ms: now.wall_ms,
            id: job.id,
            queue: job.queue.clone(),
            owner: job.asker.owner.clone(),
            attempt: job.attempts,
            what,
            why,
        });
    }

    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// What came after number `since`, oldest first.
    pub(super) fn after(&self, since: u64) -> impl Iterator<Item = &Kept> {
        let first = self.last + 1 - self.kept.len() as u64;
        let skip = (since + 1).saturating_sub(first) as usize;
        self.kept.iter().skip(skip)
    }
}

/// Distinct ids, for counting again.
pub(super) fn distinct(ids: impl Iterator<Item = JobId>) -> usize {
    ids.collect::<BTreeSet<_>>().len()
}
