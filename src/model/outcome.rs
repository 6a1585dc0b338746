//! How a job stands or ended.

use crate::model::id::JobId;
use crate::model::job::{Body, Headers};
use crate::model::meta::Meta;

/// A job's state as a client sees it. The numbers are part of the C ABI and of the wire: never changed, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Outcome {
    /// Delayed, held or queued.
    Waiting = 0,
    /// A worker has begun it.
    Running = 1,
    /// The worker's result was accepted.
    Done = 2,
    /// The worker answered that it failed, and no retry is left.
    Failed = 3,
    /// The last attempt was ended by its run timeout or by stalling.
    TimedOut = 4,
    /// Cancelled; no result will ever count.
    Cancelled = 5,
    /// Its queue timeout or its deadline passed.
    Expired = 6,
    /// It took workers down twice; it waits for a person.
    Quarantined = 7,
    /// Accepted, then refused by a rule.
    Rejected = 8,
    /// Its last attempt's worker vanished, or it was volatile and went with its broker.
    Lost = 9,
}

impl Outcome {
    /// Every outcome, by number.
    pub const ALL: [Outcome; 10] = [
        Outcome::Waiting,
        Outcome::Running,
        Outcome::Done,
        Outcome::Failed,
        Outcome::TimedOut,
        Outcome::Cancelled,
        Outcome::Expired,
        Outcome::Quarantined,
        Outcome::Rejected,
        Outcome::Lost,
    ];

    /// The outcome with this number.
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// Whether the job has ended. What has ended stays as it is.
    pub fn is_terminal(self) -> bool {
        self >= Outcome::Done
    }

    /// The name people and JSON use.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Waiting => "WAITING",
            Outcome::Running => "RUNNING",
            Outcome::Done => "DONE",
            Outcome::Failed => "FAILED",
            Outcome::TimedOut => "TIMED_OUT",
            Outcome::Cancelled => "CANCELLED",
            Outcome::Expired => "EXPIRED",
            Outcome::Quarantined => "QUARANTINED",
            Outcome::Rejected => "REJECTED",
            Outcome::Lost => "LOST",
        }
    }
}

/// What a worker answers with when a job went well. Shared by whoever has to say it again.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Completion {
    /// The result.
    pub body: Body,
    /// The result's headers.
    pub headers: Headers,
    /// What the worker knows of the attempt.
    pub meta: Meta,
}

impl From<Body> for Completion {
    fn from(body: Body) -> Self {
        Completion { body, ..Completion::default() }
    }
}

/// Everything that is known of a job that has ended: its one accepted result, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How it ended; always terminal.
    pub outcome: Outcome,
    /// How often it had been started.
    pub attempt: u32,
    /// The result, empty unless DONE.
    pub body: Body,
    /// The result's headers.
    pub headers: Headers,
    /// A short word for programs, such as "abandoned"; empty when there is none.
    pub code: String,
    /// One sentence for people.
    pub message: String,
    /// More, such as a traceback.
    pub detail: String,
    /// Attempts, worker, times and what else the broker and the worker know of it.
    pub meta: Meta,
}

impl Verdict {
    /// The fact of a quarantined job's verdict that names the job an operator made in its place.
    pub const REQUEUED_AS: &str = "requeued_as";

    /// The job an operator made in the place of the one with this verdict.
    pub fn requeued_as(&self) -> Option<JobId> {
        if self.outcome != Outcome::Quarantined {
            return None;
        }
        self.meta.get(Self::REQUEUED_AS).and_then(|id| JobId::parse(&id))
    }

    /// Quarantined, and nobody has decided yet what becomes of the job.
    pub fn waits_for_a_person(&self) -> bool {
        self.outcome == Outcome::Quarantined && self.requeued_as().is_none()
    }
}
