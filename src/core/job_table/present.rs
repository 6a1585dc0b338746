//! Jobs workers hold from before a restart, and the clients that submit them again.
//!
//! Either may come first. A presented job nobody has submitted yet is an orphan: its worker goes on computing and is
//! answered when the client comes, or when the orphan's time is over.

use crate::core::job_table::JobTable;
use crate::core::job_table::entry::{State, Turn};
use crate::core::job_table::remember::Happened;
use crate::core::jobs::{Answer, Event, Tag, WorkerId};
use crate::core::record::{Attempt, RUNNING, Record};
use crate::model::limits::ORPHAN_MS;
use crate::model::{JobId, Lease, Now};
use crate::model::{Planted, planted};
use crate::wire::command::Presented;

/// A presented job without a submission.
#[derive(Clone, Debug)]
pub(super) struct Orphan {
    pub(super) worker: WorkerId,
    pub(super) tag: Tag,
    pub(super) held: Presented,
    pub(super) until_us: u64,
}

impl JobTable {
    pub(super) fn adopt_or_keep(&mut self, now: Now, tag: Tag, worker: WorkerId, held: &Presented) {
        if let Some(&slot) = self.ids.get(&held.id) {
            self.settle_keys();
            if self.may_adopt(slot, held) {
                return self.adopt(now, tag, slot, worker, held);
            }
        } else if self.past.get(&held.id).is_none() && !self.orphans.contains_key(&held.id) {
            let orphan = Orphan { worker, tag, held: held.clone(), until_us: now.after_ms(ORPHAN_MS) };
            self.orphans.insert(held.id, orphan);
            return;
        }
        // An answer it brings is late, and refused like any other.
        self.counters.stale += u64::from(held.answered);
        self.events.push_back(Event::Reply { tag, answer: Answer::Dropped });
    }

    /// Whether the worker's claim holds: its grant is the job's last one, or one of a broker before this.
    fn may_adopt(&self, slot: u32, held: &Presented) -> bool {
        let job = self.job(slot);
        let same_broker = held.broker == self.config.broker;
        match &job.state {
            State::Ended { .. } | State::Open { .. } | State::Held | State::Behind => false,
            _ if job.turn == Turn::Waits => false,
            _ if job.is_run() => false,
            State::Leased { .. } | State::Running { .. } => same_broker && job.token == held.token,
            State::Delayed { .. } | State::Queued if planted(Planted::AdoptAnyAttempt) => true,
            State::Delayed { .. } | State::Queued if job.token == held.token && same_broker => {
                held.token != 0
            }
            // What a volatile job was before a restart is known to its worker only.
            State::Delayed { .. } | State::Queued => {
                let is_before = !same_broker || (!job.durable && held.token < self.first_token());
                is_before && job.token == 0 && job.attempts < held.attempt.max(1)
            }
        }
    }

    fn adopt(&mut self, now: Now, tag: Tag, slot: u32, worker: WorkerId, held: &Presented) {
        match self.job(slot).state {
            State::Queued => self.leave_line(slot),
            State::Leased { .. } | State::Running { .. } => self.unhold(now, slot),
            _ => {}
        }
        // Moving a job from one session of a worker to the next is no reason to revoke it there.
        self.job_mut(slot).token = 0;
        let token = self.hold(now, slot, worker);
        self.refill.push((now, worker));
        let name = self.workers.get(&worker).map_or_else(|| "".into(), |worker| worker.name.clone());
        self.set_running(now, slot);
        let job = self.job_mut(slot);
        job.attempts = job.attempts.max(held.attempt).max(1);
        job.first = false;
        let number = job.attempts;
        match job.history.last_mut().filter(|attempt| attempt.number == number) {
            Some(attempt) => attempt.go_on(),
            None => job.history.push(Attempt {
                number,
                worker: name.clone(),
                started_wall_ms: now.wall_ms,
                ended_wall_ms: 0,
                how: RUNNING.into(),
                error: None,
                evidence: None,
            }),
        }
        let (durable, id) = (job.durable, job.id);
        self.counters.adopted += 1;
        self.note(now, slot, Happened::Started, "adopted");
        self.record(durable, || Record::Leased { id, token });
        self.record(durable, || Record::Started {
            id,
            token,
            attempt: number,
            worker: name,
            wall_ms: now.wall_ms,
        });
        if durable {
            self.job_mut(slot).granted_at = self.records_written;
        }
        self.rearm(slot);
        self.answer(durable, tag, Answer::Adopted(Lease { slot, token }));
    }

    /// A job was just submitted: hands it to the worker that presented it before, if there is one.
    pub(super) fn claim_orphan(&mut self, now: Now, slot: u32) -> bool {
        let id: JobId = self.job(slot).id;
        let Some(orphan) = self.orphans.remove(&id) else { return false };
        self.settle_keys();
        if self.job(slot).turn == Turn::Waits {
            // Another of its key is under way, and this one's time comes again.
            self.events.push_back(Event::Reply { tag: orphan.tag, answer: Answer::Dropped });
            return false;
        }
        self.adopt(now, orphan.tag, slot, orphan.worker, &orphan.held);
        true
    }

    pub(super) fn expire_orphans(&mut self, now: Now) {
        let over: Vec<JobId> =
            self.orphans.iter().filter(|(_, orphan)| orphan.until_us <= now.us).map(|(id, _)| *id).collect();
        for id in over {
            if let Some(orphan) = self.orphans.remove(&id) {
                self.events.push_back(Event::Reply { tag: orphan.tag, answer: Answer::Dropped });
            }
        }
    }
}
