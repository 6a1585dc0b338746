//! The table's invariants as code: everything that is counted is counted again.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::job_table::entry::{Job, State};
use crate::core::job_table::remember::distinct;
use crate::core::job_table::{JobTable, live};
use crate::core::jobs::WorkerId;
use crate::model::{Lease, Now, QueueName};

/// An invariant that does not hold, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);

macro_rules! hold {
    ($condition:expr, $($words:tt)*) => {
        if !$condition {
            return Err(Violation(format!($($words)*)));
        }
    };
}

impl JobTable {
    /// Checks every invariant. Costs as much as there are jobs; for tests.
    ///
    /// # Errors
    /// The first invariant found broken.
    pub fn check(&self, now: Now) -> Result<(), Violation> {
        self.check_jobs(now)?;
        self.check_lines()?;
        self.check_workers()?;
        self.check_counts()?;
        self.check_runs()?;
        self.check_keys()?;
        self.check_nobody_waits()
    }

    fn check_jobs(&self, now: Now) -> Result<(), Violation> {
        for (slot, job) in live(&self.slots) {
            hold!(self.ids.get(&job.id) == Some(&slot), "job {} is not found under its id", job.id);
            hold!(
                job.attempts <= job.rules.attempts.max(1),
                "job {} was started {} times, {} are allowed",
                job.id,
                job.attempts,
                job.rules.attempts
            );
            hold!(job.token < self.next_token, "job {} has a token that was never given", job.id);
            match &job.state {
                State::Leased { worker, .. } | State::Running { worker, .. } => {
                    let held =
                        self.workers.get(worker).is_some_and(|worker| worker.held.contains(job.lease(slot)));
                    hold!(held, "job {} is leased to worker {worker:?}, which does not hold it", job.id);
                    hold!(
                        job.token != 0 && job.holder == Some(*worker),
                        "job {} is leased without a token that counts",
                        job.id
                    );
                }
                State::Ended { verdict, .. } => {
                    hold!(verdict.outcome.is_terminal(), "job {} ended as {:?}", job.id, verdict.outcome)
                }
                _ => {}
            }
            let slack_us = 2_000_000;
            let overdue = job
                .due_us()
                .is_some_and(|due_us| due_us + slack_us < now.us && now.us >= self.grace_until_us);
            hold!(
                !overdue || self.last_us < now.us,
                "job {} was due at {:?} us and nothing happened by {}",
                job.id,
                job.due_us(),
                now.us
            );
        }
        Ok(())
    }

    fn check_lines(&self) -> Result<(), Violation> {
        let mut queued: BTreeMap<&QueueName, usize> = BTreeMap::new();
        for (_, job) in live(&self.slots).filter(|(_, job)| job.state == State::Queued) {
            *queued.entry(&job.queue).or_default() += 1;
        }
        for queue in self.queues.iter() {
            let name = &queue.name;
            let ids = distinct(queue.ready.slots().map(|slot| self.job(slot).id));
            let expected = queued.get(name).copied().unwrap_or(0);
            hold!(
                ids == expected && queue.ready.len() == expected,
                "queue {name} has {} jobs in line, {expected} are queued",
                queue.ready.len()
            );
            let astray = queue.ready.slots().find(|&slot| self.job(slot).state != State::Queued);
            hold!(astray.is_none(), "slot {astray:?} stands in line of {name} and is not queued");
            hold!(
                self.queues.with_line().contains(&queue.number) == (expected > 0)
                    && self.queues.with_unstarted().contains(&queue.number) != queue.unstarted.is_empty(),
                "queue {name} is not among those with a line or with unstarted jobs as it should be"
            );
        }
        Ok(())
    }

    fn check_workers(&self) -> Result<(), Violation> {
        for (id, worker) in &self.workers {
            let running = |lease: &Lease| {
                matches!(
                    self.slots[lease.slot as usize].as_ref().map(|job| &job.state),
                    Some(State::Running { .. })
                )
            };
            let started = worker.held.keys().filter(running).count();
            hold!(
                started == worker.started,
                "worker {id:?} counts {} begun jobs, {started} are",
                worker.started
            );
            for lease in worker.held.keys() {
                let job = self.slots[lease.slot as usize].as_ref();
                let holder = job.filter(|job| job.token == lease.token).and_then(holder_of);
                hold!(holder == Some(*id), "worker {id:?} holds {lease:?}, whose holder is {holder:?}");
            }
        }
        self.check_idle()
    }

    /// Workers stand in the sets of idle ones exactly as they say of themselves.
    fn check_idle(&self) -> Result<(), Violation> {
        let mut wide = BTreeSet::new();
        for (id, worker) in &self.workers {
            hold!(
                worker.listed.is_none() || worker.has_room(),
                "worker {id:?} is listed idle and has no room"
            );
            let is_wide = worker.takes.is_wide();
            wide.extend(worker.listed.filter(|_| is_wide).map(|key| (key, *id)));
            for number in worker.takes.numbers() {
                let Some(queue) = self.queues.numbered(number) else {
                    return Err(Violation(format!("worker {id:?} takes queue {number}, which is not there")));
                };
                let key = worker.listed.filter(|_| !is_wide && worker.takes.has_room_of(number));
                let listed = queue.idle.iter().find(|(_, listed)| listed == id).map(|(key, _)| *key);
                hold!(
                    queue.workers.contains(id) && listed == key,
                    "worker {id:?} is listed idle for {} as {listed:?}, not {key:?}",
                    queue.name
                );
            }
        }
        hold!(wide == self.wide_idle, "wide idle workers are {:?}, not {wide:?}", self.wide_idle);
        for queue in self.queues.iter() {
            let takes = |id: &WorkerId| {
                self.workers
                    .get(id)
                    .is_some_and(|worker| worker.takes.numbers().any(|number| number == queue.number))
            };
            let stranger =
                queue.workers.iter().chain(queue.idle.iter().map(|(_, id)| id)).find(|id| !takes(id));
            hold!(stranger.is_none(), "worker {stranger:?} does not take {}", queue.name);
        }
        Ok(())
    }

    fn check_counts(&self) -> Result<(), Violation> {
        let bytes: u64 = live(&self.slots).map(|(_, job)| job.bytes()).sum();
        hold!(bytes == self.bytes, "{} bytes are counted, {bytes} are there", self.bytes);
        let stored: u64 = live(&self.slots).map(|(_, job)| job.stored_len).sum();
        hold!(
            stored == self.stored_bytes,
            "{} bytes are counted in the store alone, {stored} are",
            self.stored_bytes
        );
        let held: usize = self.workers.values().map(|worker| worker.held.len()).sum();
        hold!(held == self.leases, "{} leases are counted, workers hold {held}", self.leases);
        hold!(
            self.ids.len() == live(&self.slots).count(),
            "{} ids for {} jobs",
            self.ids.len(),
            live(&self.slots).count()
        );
        for queue in self.queues.iter() {
            let name = &queue.name;
            let jobs =
                live(&self.slots).filter(|(_, job)| job.queue == *name && !job.is_ended()).count() as u64;
            hold!(jobs == queue.jobs, "queue {name} counts {} jobs and has {jobs}", queue.jobs);
        }
        let waiting: usize = live(&self.slots).filter(|(_, job)| job.waits_for_a_person()).count();
        let listed = self
            .quarantined
            .iter()
            .all(|(id, slot)| self.ids.get(id) == Some(slot) && self.job(*slot).waits_for_a_person());
        hold!(
            listed && waiting == self.quarantined.len(),
            "{} jobs are listed as quarantined, {waiting} are",
            self.quarantined.len()
        );
        let ended = self.counters.done + self.counters.not_done;
        let alive = live(&self.slots).filter(|(_, job)| !job.is_ended()).count() as u64;
        hold!(
            self.counters.submitted == ended + alive,
            "{} jobs were submitted, {ended} ended and {alive} are left",
            self.counters.submitted
        );
        Ok(())
    }

    /// An eligible job and a worker with room for it never wait for each other.
    fn check_nobody_waits(&self) -> Result<(), Violation> {
        for queue in self.queues.iter().filter(|queue| !queue.paused && queue.ready.peek(0).is_some()) {
            let name = &queue.name;
            let free = queue.workers.iter().find(|id| {
                let worker = &self.workers[id];
                worker.has_room() && worker.takes.has_room_of(queue.number)
            });
            hold!(
                free.is_none() || !self.refill.is_empty(),
                "queue {name} has a job in line and worker {free:?} has room"
            );
        }
        Ok(())
    }
}

fn holder_of(job: &Job) -> Option<WorkerId> {
    match job.state {
        State::Leased { worker, .. } | State::Running { worker, .. } => Some(worker),
        _ => None,
    }
}
