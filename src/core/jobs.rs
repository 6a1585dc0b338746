//! The seam between the sessions side and the jobs side of a broker.
//!
//! Whoever implements [`Jobs`] owns the jobs: their order, leases, outcomes and records. The sessions side owns
//! connections, credits and windows. No mutating call returns a value: each tag is answered once by
//! [`Event::Reply`], in any order and perhaps later; `Answer::Unknown` means repeat the call, and every call is
//! idempotent by id or lease. An event appears only once the records it reveals have reached their level.

use std::sync::Arc;

use bytes::Bytes;

use crate::core::record::{Handed, Record, StoreStats};
use crate::model::{
    Body, Completion, Failure, JobId, JobOptions, Lease, Now, Outcome, Owner, QueueName, Stop, Submission,
    Verdict,
};
use crate::wire::command::{Fault, Grant, Presented};

/// Names one call that must be answered.
pub type Tag = u64;

/// A worker as the sessions side numbers it. Never reused while the jobs side may still speak of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u64);

/// The session a job came from; numbered like [`WorkerId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// One queue a worker has registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// The queue.
    pub queue: QueueName,
    /// At most so many of its jobs at once on this worker; 0 = no limit.
    pub slots: u32,
    /// Its share when several queues have jobs; at least 1.
    pub weight: u32,
}

/// How much a worker takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Jobs it may be granted in all since it came.
    pub jobs: u64,
    /// Bytes of payload it may hold at once, though always one job; 0 = no limit.
    pub bytes: u64,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// Whose jobs it may see.
    pub owner: Arc<Owner>,
    /// Its session.
    pub session: SessionId,
}

/// How a lease ends.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// With a result.
    Done(Arc<Completion>),
    /// The worker says it failed.
    Failed(Arc<Fault>),
    /// Given back, may run later.
    Released { delay_ms: u64 },
    /// Given back before it began.
    Unstarted,
    /// The worker's session ended. `alone`: no other of its jobs was running, so this one is to blame.
    /// `counted`: it is a loss, not a goodbye. `crash`: whoever looks after its process says how that ended.
    Lost { alone: bool, counted: bool, crash: Option<Arc<Crash>> },
}

/// How a worker's process ended, by the word of whoever looks after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Crash {
    /// A short word for programs, such as the name of a signal.
    pub code: String,
    /// One sentence for people.
    pub message: String,
    /// The evidence: a backtrace, the end of standard error.
    pub detail: String,
    /// Jobs that it had at hand, when that is known: others that it held are not to blame.
    pub at_hand: Vec<JobId>,
}

/// What the worker tells while it works.
#[derive(Clone, Debug, PartialEq)]
pub enum Word {
    /// How far it is, 0 to 1, and a note.
    Progress { fraction: f64, note: String },
    /// A partial result.
    Partial { sequence: u64, body: Body },
}

/// The answer to one tag.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The call was carried out and has reached its level.
    Done,
    /// `finish` came under a lease that was over.
    Stale,
    /// `present`: the job is the worker's under this lease.
    Adopted(Lease),
    /// `present`: it is not.
    Dropped,
    /// `get`: how it stands, and everything about it once it has ended.
    State { state: Outcome, attempt: u32, fraction: f64, verdict: Option<Arc<Verdict>> },
    /// `admin`: what was asked for.
    Json(serde_json::Value),
    /// It was not carried out.
    Refused(Failure),
    /// Nobody knows whether it was; call again.
    Unknown,
}

/// What the jobs side has to say.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Answers one tag.
    Reply { tag: Tag, answer: Answer },
    /// The worker holds this job now.
    Grant { worker: WorkerId, grant: Box<Grant> },
    /// The worker does not hold it any more.
    Revoke { worker: WorkerId, lease: Lease, why: Stop },
    /// The worker is asked to give it back if it has not begun.
    Recall { worker: WorkerId, lease: Lease },
    /// A job ended. `push`: its submitter asked to be sent the result.
    Ended { id: JobId, asker: Asker, push: bool, verdict: Arc<Verdict> },
    /// A running job's worker spoke.
    Said { id: JobId, asker: Asker, attempt: u32, word: Word },
    /// Whether there is room for more jobs.
    Pressure { full: bool },
}

/// What an implementation can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Jobs can be durable.
    pub durable: bool,
    /// `Answer::Unknown` may come, so calls must be kept until they are answered.
    pub unknown: bool,
}

/// What the driver has to do for the jobs side, and tell back by `io_done`.
#[derive(Clone, Debug, PartialEq)]
pub enum Io {
    /// Append these records, in order, and sync.
    Append {
        /// The number of the last of them.
        upto: u64,
        /// The records.
        records: Vec<Record>,
    },
    /// Read the payload of this job, whose record was synced. Nothing is appended before it is there.
    Read {
        /// The lease it is for.
        lease: Lease,
        /// The job.
        id: JobId,
    },
}

/// What the driver has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IoDone {
    /// Every record up to this number is synced.
    Synced { upto: u64 },
    /// The payload that was to be read for this lease.
    Read { lease: Lease, id: JobId, body: Body },
    /// Whether the store has no room for a durable job; holds until the next such word.
    Room { full: bool },
    /// How the store stands, for people.
    Store(StoreStats),
}

/// The jobs side of a broker. See the module's text for the rules every implementation keeps.
pub trait Jobs {
    /// What the driver must do.
    type Io;
    /// What the driver reports.
    type Done;

    /// Takes a job. Answered `Done` once it is held at its level, or `Refused`.
    fn submit(&mut self, now: Now, tag: Tag, asker: &Asker, job: Submission);
    /// A worker came; its name is for people.
    fn arrive(&mut self, now: Now, worker: WorkerId, name: &str);
    /// The worker takes jobs of a queue from now on; again to change how.
    fn take(&mut self, now: Now, worker: WorkerId, class: &Class);
    /// It takes none of this queue any more. Those it holds stay with it.
    fn give_up(&mut self, now: Now, worker: WorkerId, queue: &QueueName);
    /// How many jobs it may be granted in all since it came. Counted from the beginning, so that a grant on its way is
    /// never granted twice; 0 withdraws.
    fn demand(&mut self, now: Now, worker: WorkerId, allowed: Allowance);
    /// The worker will not come back under this number. Its leases were ended before by `finish`, but for those whose
    /// grants are still on their way: they end with it, uncounted.
    fn leave(&mut self, now: Now, worker: WorkerId);
    /// A worker holds a job from another session or another broker. Answered `Adopted` or `Dropped`.
    fn present(&mut self, now: Now, tag: Tag, worker: WorkerId, held: &Presented);
    /// The job begins.
    fn start(&mut self, now: Now, lease: Lease);
    /// The worker lives and holds these.
    fn extend(&mut self, now: Now, worker: WorkerId, leases: &[Lease]);
    /// A running job's worker speaks.
    fn say(&mut self, now: Now, lease: Lease, word: Word);
    /// The lease ends. Answered `Done` or `Stale`.
    fn finish(&mut self, now: Now, tag: Tag, lease: Lease, end: End);
    /// Cancels a job. Answered `Done` (CANCELLED for ever) or `Refused`. `own`: the asker made the id, so an unknown one
    /// may still be on its way and is cancelled in advance.
    fn cancel(&mut self, now: Now, tag: Tag, id: JobId, by: &Asker, own: bool, reason: &str);
    /// How a job stands. Answered `State` or `Refused`.
    fn get(&mut self, now: Now, tag: Tag, id: JobId, by: &Asker);
    /// The result was received and need not be kept. Answered `Done`.
    fn forget(&mut self, now: Now, tag: Tag, id: JobId, by: &Asker);
    /// A session came, and is told again as `Ended` what its owner's name kept for it; or it went for good.
    fn watch(&mut self, now: Now, who: &Asker, on: bool);
    /// An operator's command. Answered `Json` or `Refused`.
    fn admin(&mut self, now: Now, tag: Tag, what: &Admin);
    /// The next event, until there is none.
    fn poll(&mut self) -> Option<Event>;
    /// The next thing the driver must do, until there is none.
    fn poll_io(&mut self) -> Option<Self::Io>;
    /// The driver has done something.
    fn io_done(&mut self, now: Now, done: Self::Done);
    /// Lets time pass.
    fn tick(&mut self, now: Now);
    /// When `tick` must be called next, in microseconds of the clock that never jumps.
    fn next_timeout(&self) -> Option<u64>;
    /// What it can do.
    fn caps(&self) -> Caps;
}

/// Which jobs a list is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// Everything that is held: waiting, running, and ended with a result that is kept.
    Held,
    /// What has not ended.
    Open,
    /// What has ended, forgotten ones too as far as they are remembered.
    Ended,
    /// What stands so, forgotten ones too as far as they are remembered.
    In(Outcome),
}

impl Listed {
    /// Whether a job that stands so belongs to it.
    pub fn takes(self, outcome: Outcome) -> bool {
        match self {
            Listed::Held => true,
            Listed::Open => !outcome.is_terminal(),
            Listed::Ended => outcome.is_terminal(),
            Listed::In(wanted) => outcome == wanted,
        }
    }

    /// Whether jobs whose results are gone may belong to it.
    pub fn takes_forgotten(self) -> bool {
        match self {
            Listed::Held | Listed::Open => false,
            Listed::Ended => true,
            Listed::In(wanted) => wanted.is_terminal(),
        }
    }
}

/// How an operator turns a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueTurn {
    /// It hands out nothing more, and takes jobs.
    Pause,
    /// It takes no more jobs, and hands out those it has.
    Drain,
    /// It does both again.
    Resume,
}

/// In which order results are collected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CollectOrder {
    /// That in which the jobs ended.
    #[default]
    Completion,
    /// That in which they were added or made.
    Submission,
}

/// A collector of one stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Collector {
    /// The run.
    pub id: JobId,
    /// The stage.
    pub step: String,
    /// What it is known by.
    pub name: String,
    /// Who asks.
    pub by: Asker,
}

/// What a collector, or the owner of a stage, asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Collect {
    /// Results that are not acknowledged, behind those told before, at most `limit`.
    Results { collector: Collector, order: CollectOrder, since: Option<String>, limit: usize },
    /// The collector has this job's result.
    Ack { collector: Collector, job: JobId, data: Vec<u8> },
    /// What it said, behind the acknowledgement with number `since`.
    Acked { id: JobId, step: String, since: u64, limit: usize, by: Asker },
}

/// What an operator asks of the jobs side.
#[derive(Clone, Debug, PartialEq)]
pub enum Admin {
    /// Counts, queues and their depths.
    Status,
    /// One job with its history.
    Job { id: JobId, by: Asker },
    /// Jobs of a queue (or all), after the id `since`, at most `limit`.
    Jobs { queue: Option<QueueName>, listed: Listed, since: Option<JobId>, limit: usize, by: Asker },
    /// One run with its steps.
    Run { id: JobId, by: Asker },
    /// Goes on with a run that did not end DONE.
    Resume { id: JobId, by: Asker },
    /// Nothing more is added to an open stage of a run, which should have `count` jobs.
    StageClose { id: JobId, step: String, count: Option<u64>, by: Asker },
    /// What each job of a run is given.
    Context { id: JobId, context: Bytes, by: Asker },
    /// About the results of a stage.
    Collect(Collect),
    /// Runs after the id `since`, at most `limit`.
    Runs { listed: Listed, since: Option<JobId>, limit: usize, by: Asker },
    /// One queue or all, with their rules.
    Queues { queue: Option<QueueName> },
    /// New defaults for a queue: those said in `set`; the broker's own again for those named in `unset`.
    /// `handed` is put in the place of what its hosts were handed, as far as it says.
    QueueSet { queue: QueueName, set: Box<JobOptions>, handed: Handed, unset: Vec<String> },
    /// What the hosts of these queues are handed.
    Handed { queues: Vec<QueueName> },
    /// What a queue hands out and takes.
    QueueTurn { queue: QueueName, turn: QueueTurn },
    /// Cancels waiting jobs of a queue, accepted before the number `before` (of those accepted until now), at most
    /// `limit`.
    QueuePurge { queue: QueueName, before: Option<u64>, limit: usize, by: Asker },
    /// Quarantined jobs of a queue (or all), after the id `since`, at most `limit`.
    Quarantine { queue: Option<QueueName>, since: Option<JobId>, limit: usize, by: Asker },
    /// A quarantined job with its headers and the first `bytes` of its payload.
    Quarantined { id: JobId, bytes: u64, by: Asker },
    /// Makes a new job in the place of a quarantined one.
    Requeue { id: JobId, by: Asker },
    /// Adds what was seen of an attempt from outside. `worker`: whose attempt it has to be.
    Seen { id: JobId, attempt: u32, worker: String, text: String },
    /// Forgets a quarantined job.
    Drop { id: JobId, by: Asker },
    /// Events after `since`, at most `limit`, of one queue or all.
    Events { since: u64, limit: usize, queue: Option<QueueName>, by: Asker },
}
