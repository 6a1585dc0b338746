//! One job as the table keeps it.

use std::sync::Arc;

use crate::core::job_table::ready::Place;
use crate::core::jobs::{Asker, WorkerId};
use crate::core::record::{Attempt, AttemptError, RUNNING};
use crate::model::limits::JOB_OVERHEAD_LEN;
use crate::model::{
    Body, Headers, JobId, JobRules, Lease, Now, Outcome, QueueName, ReplyMode, Token, Verdict,
};
use crate::model::{Planted, planted};

/// Where a job stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    /// Not to be handed out before `until_us`: delayed, waiting for another attempt, or waiting for a worker that
    /// may present it after a restart.
    Delayed { until_us: u64 },
    /// One of the jobs of a stage that has not begun.
    Held,
    /// It waits for others of its serial key.
    Behind,
    /// In its queue's line.
    Queued,
    /// Handed to a worker that has not begun it.
    Leased { worker: WorkerId, until_us: u64 },
    /// A run that goes on: not done itself, but its steps are. At `idle_us` it is looked at whether somebody still sees to its
    /// open stages.
    Open { idle_us: u64 },
    /// Begun.
    Running { worker: WorkerId, until_us: u64, started_us: u64, said_us: u64 },
    /// Over; it stays for whoever wants the result until `keep_us`.
    Ended { verdict: Arc<Verdict>, keep_us: u64 },
}

/// The place of a job among those of its serial key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Turn {
    /// It names no key, has not taken its place yet, or has ended.
    #[default]
    None,
    /// It waits for others.
    Waits,
    /// It may be under way.
    Has,
}

/// What a job has to do with a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// It is one.
    Run,
    /// It is a step of one.
    Step { run: JobId, step: u32 },
    /// It is one of the jobs of a step that is a stage.
    InStage { run: JobId, step: u32, place: u64 },
}

/// Until when the ended job of a step is kept: its run says.
pub(super) const KEPT_BY_RUN: u64 = u64::MAX;
/// A moment that does not come.
pub(super) const NEVER: u64 = u64::MAX;

/// A job.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) id: JobId,
    pub(super) asker: Asker,
    pub(super) queue: QueueName,
    /// Its payload; none when that is in the store alone, where it has `stored_len` bytes.
    pub(super) body: Body,
    pub(super) stored_len: u64,
    pub(super) headers: Headers,
    pub(super) rules: Arc<JobRules>,
    pub(super) reply: ReplyMode,
    pub(super) content: Option<Vec<u8>>,
    pub(super) wants_progress: bool,
    pub(super) wants_partial: bool,
    pub(super) durable: bool,
    /// Its place in the line: the order of acceptance, kept over every attempt.
    pub(super) sequence: u64,
    pub(super) accepted_us: u64,
    pub(super) accepted_wall_ms: u64,
    pub(super) state: State,
    pub(super) turn: Turn,
    /// The token of the last grant; 0 when no holder's word counts any more.
    pub(super) token: Token,
    /// Who was handed it last, as long as `token` counts.
    pub(super) holder: Option<WorkerId>,
    /// The number of the record of its last grant, which is told of only when that is synced; 0 for a volatile job.
    pub(super) granted_at: u64,
    /// The last holder had begun it.
    pub(super) begun: bool,
    pub(super) attempts: u32,
    pub(super) losses: u32,
    pub(super) releases: u32,
    /// A loss it shared with others: it runs alone in its process until that is cleared up.
    pub(super) suspect: bool,
    /// It was taken from a worker that vanished and goes before the others of its class.
    pub(super) first: bool,
    pub(super) fraction: f64,
    pub(super) note: String,
    pub(super) history: Vec<Attempt>,
    /// The quarantined job in whose place an operator made this one.
    pub(super) parent: Option<JobId>,
    /// Most jobs have nothing to do with a run.
    pub(super) part: Option<Box<Part>>,
}

impl Job {
    /// How the job stands, in a client's words.
    pub(super) fn outcome(&self) -> Outcome {
        match &self.state {
            State::Delayed { .. } | State::Held | State::Behind | State::Queued | State::Leased { .. } => {
                Outcome::Waiting
            }
            State::Running { .. } | State::Open { .. } => Outcome::Running,
            State::Ended { verdict, .. } => verdict.outcome,
        }
    }

    pub(super) fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended { .. })
    }

    /// No worker is handed it; its steps are done in its place.
    pub(super) fn is_run(&self) -> bool {
        self.part.as_deref() == Some(&Part::Run)
    }

    /// The job an operator made in the place of this one, which is quarantined.
    pub(super) fn requeued_as(&self) -> Option<JobId> {
        match &self.state {
            State::Ended { verdict, .. } => verdict.requeued_as(),
            _ => None,
        }
    }

    /// Quarantined, and nobody has decided yet what becomes of it.
    pub(super) fn waits_for_a_person(&self) -> bool {
        matches!(&self.state, State::Ended { verdict, .. } if verdict.waits_for_a_person())
    }

    /// How long it is kept once it has ended.
    pub(super) fn keep_ms(&self, verdict: &Verdict, quarantine_ms: u64) -> u64 {
        let result_ttl_ms = self.rules.result_ttl_ms;
        if verdict.waits_for_a_person() { result_ttl_ms.max(quarantine_ms) } else { result_ttl_ms }
    }

    /// Until when it is kept that ends now.
    pub(super) fn keep_us(&self, now: Now, verdict: &Verdict, quarantine_ms: u64) -> u64 {
        match self.part.as_deref() {
            Some(Part::Step { .. } | Part::InStage { .. }) => KEPT_BY_RUN,
            _ => now.after_ms(self.keep_ms(verdict, quarantine_ms)),
        }
    }

    /// Bytes of the job and of its result, those in the store alone included.
    pub(super) fn bytes(&self) -> u64 {
        let result = match &self.state {
            State::Ended { verdict, .. } => verdict.body.len() + verdict.headers.len() + verdict.detail.len(),
            _ => 0,
        };
        let named = (self.headers.len() + self.queue.as_str().len() + result) as u64;
        JOB_OVERHEAD_LEN + self.payload_len() + named
    }

    /// Bytes of its payload, wherever it is.
    pub(super) fn payload_len(&self) -> u64 {
        self.body.len() as u64 + self.stored_len
    }

    /// When its deadline passes.
    pub(super) fn deadline_us(&self) -> Option<u64> {
        after(self.accepted_us, self.rules.deadline_ms)
    }

    /// When it has waited too long to begin; never once it has begun, however often it waits after that.
    pub(super) fn queue_deadline_us(&self) -> Option<u64> {
        after(self.accepted_us, self.rules.queue_ms).filter(|_| self.history.is_empty())
    }

    /// Why the job may not begin any more at `now`.
    pub(super) fn overdue(&self, now: Now) -> Option<&'static str> {
        let over = |at_us: Option<u64>| at_us.is_some_and(|at_us| at_us <= now.us);
        let waited_ms = now.wall_ms.saturating_sub(self.accepted_wall_ms);
        if planted(Planted::ExpireByWallClock) && (1..=waited_ms).contains(&self.rules.deadline_ms) {
            return Some("its deadline passed");
        }
        if over(self.deadline_us()) {
            Some("its deadline passed")
        } else if over(self.queue_deadline_us()) {
            Some("it was not started within its queue timeout")
        } else {
            None
        }
    }

    /// When something must be decided about the job, at the latest.
    pub(super) fn due_us(&self) -> Option<u64> {
        let of_state = match &self.state {
            State::Delayed { until_us } => earliest(&[Some(*until_us), self.queue_deadline_us()]),
            State::Held | State::Behind | State::Queued => self.queue_deadline_us(),
            State::Open { idle_us } => Some(*idle_us).filter(|idle_us| *idle_us != NEVER),
            State::Leased { until_us, .. } => earliest(&[Some(*until_us), self.queue_deadline_us()]),
            State::Running { until_us, started_us, said_us, .. } => earliest(&[
                Some(*until_us),
                after(*started_us, self.rules.run_ms),
                after(*said_us, self.rules.stall_ms),
            ]),
            State::Ended { keep_us, .. } => return Some(*keep_us).filter(|keep_us| *keep_us != KEPT_BY_RUN),
        };
        earliest(&[of_state, self.deadline_us()])
    }

    /// The lease of the job's last grant, for the job at `slot`.
    pub(super) fn lease(&self, slot: u32) -> Lease {
        Lease { slot, token: self.token }
    }

    /// Where the job stands in its queue's line while it is queued.
    pub(super) fn place(&self) -> Place<'_> {
        Place {
            priority: self.rules.priority,
            owner: &self.asker.owner,
            sequence: self.sequence,
            first: self.first,
            alone: self.suspect,
        }
    }

    /// Notes how the attempt that is running has ended.
    pub(super) fn note_attempt_end(
        &mut self,
        how: &'static str,
        error: Option<Box<AttemptError>>,
        wall_ms: u64,
    ) {
        if let Some(attempt) = self.history.last_mut().filter(|attempt| attempt.how == RUNNING) {
            attempt.end(how.into(), error, wall_ms);
        }
    }
}

/// `ms` after `from_us`; never for 0.
fn after(from_us: u64, ms: u64) -> Option<u64> {
    (ms != 0).then(|| from_us.saturating_add(ms.saturating_mul(1_000)))
}

fn earliest(times: &[Option<u64>]) -> Option<u64> {
    times.iter().flatten().min().copied()
}
