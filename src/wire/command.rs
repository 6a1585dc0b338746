//! The commands of docs/PROTOCOL.md as values. Reading and writing them is `codec`'s part.

use std::sync::Arc;

use crate::model::{
    Body, Completion, Failure, Headers, JobId, Lease, Meta, Outcome, Status, Stop, Submission, Token,
};

/// What opens, keeps and closes a session; travels without a number, in either direction.
#[derive(Clone, Debug, PartialEq)]
pub enum Control {
    /// 1
    Hello(Hello),
    /// 2
    Welcome(Welcome),
    /// 3
    Who,
    /// 4: the reason, for people
    Goodbye(String),
    /// 5
    Refuse(Failure),
    /// 6
    Beat(Vec<Lease>),
    /// 7: the leases to drop
    BeatReply(Vec<Lease>),
}

/// Which of the two kinds of peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerKind {
    /// Submits jobs.
    Client,
    /// Executes jobs.
    Worker,
}

impl PeerKind {
    /// The name HELLO gives it.
    pub fn name(self) -> &'static str {
        match self {
            PeerKind::Client => "client",
            PeerKind::Worker => "worker",
        }
    }

    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [PeerKind::Client, PeerKind::Worker].into_iter().find(|kind| kind.name() == name)
    }
}

/// 128 random bits that name a session; shown only hashed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Secret(pub [u8; 16]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// Who speaks, and where its session stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Hello {
    /// The lowest major the peer speaks.
    pub min: u8,
    /// The highest.
    pub max: u8,
    /// Client or worker.
    pub kind: PeerKind,
    /// Names the session.
    pub session: Secret,
    /// Counts the HELLOs of this session, from 1; 0 when the peer does not count.
    pub hello: u64,
    /// The `hello` of the last WELCOME it received; 0 before.
    pub welcomed: u64,
    /// The number of the broker's last command it executed.
    pub received: u64,
    /// `client.name` or `worker.name`; empty when none.
    pub name: String,
    /// Its host's name, for people.
    pub host: String,
    /// Its process id, for people; 0 unknown.
    pub pid: u32,
    /// The version of its library, for people.
    pub version: String,
    /// What it can do beyond the major.
    pub features: Vec<String>,
}

/// The terms of the session.
#[derive(Clone, Debug, PartialEq)]
pub struct Welcome {
    /// The major both speak.
    pub major: u8,
    /// Goes into every packet of this connection.
    pub incarnation: u32,
    /// The `hello` of the HELLO it answers.
    pub hello: u64,
    /// The session is new to this broker.
    pub fresh: bool,
    /// The number of the peer's last command the broker executed.
    pub received: u64,
    /// The terms that are the same for every peer.
    pub terms: Terms,
}

/// What a broker tells every peer of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// The broker's id.
    pub broker: [u8; 16],
    /// How often it started on its store.
    pub epoch: u64,
    /// Its wall clock when it welcomed.
    pub wall_ms: u64,
    /// Bytes of a payload over all frames.
    pub payload_max: u64,
    /// Frames of a body.
    pub frames_max: u64,
    /// Bytes of headers.
    pub headers_max: u64,
    /// Bytes of unacknowledged bodies under way in one direction.
    pub window_bytes: u64,
    /// How often peers beat.
    pub beat_ms: u64,
    /// How long a lease lasts without a beat.
    pub lease_ms: u64,
    /// How long leases wait for a dropped connection's session.
    pub reattach_ms: u64,
    /// The first submit credit.
    pub submit_jobs: u64,
    /// Whether it has a store.
    pub durable: bool,
    /// Its version, for people.
    pub version: String,
    /// What it can do beyond the major.
    pub features: Vec<String>,
}

/// How `GET` asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GetMode {
    /// The state now.
    Peek,
    /// The state now, and the result as soon as there is one.
    Watch,
}

/// A numbered command from a client or a worker.
#[derive(Clone, Debug, PartialEq)]
pub enum ToBroker {
    /// 16
    Submit(Arc<Submission>),
    /// 16, with a value no job can have: to be answered REFUSED with this failure. It used one of the submit credits.
    BadSubmit { id: JobId, failure: Failure },
    /// 17
    Cancel { id: JobId, reason: String, own: bool },
    /// 18
    Get { id: JobId, mode: GetMode },
    /// 19
    Forget(Vec<JobId>),
    /// 20: RESULTs the broker may push in all
    ResultCredit(u64),
    /// 21
    Admin { tag: u64, command: String, arguments: Vec<(String, String)> },
    /// 32
    Register { queue: String, slots: u32, weight: u32 },
    /// 33
    Unregister { queue: String },
    /// 34: GRANTs the broker may send in all, and bytes of payload (0 = no limit)
    Demand { jobs: u64, bytes: u64 },
    /// 35
    Start(Lease),
    /// 36
    Done { lease: Lease, completion: Arc<Completion> },
    /// 37
    Failed { lease: Lease, fault: Arc<Fault> },
    /// 38
    Release { lease: Lease, delay_ms: u64 },
    /// 39
    Unstarted(Lease),
    /// 40
    Progress { lease: Lease, fraction: f64, note: String },
    /// 41
    Partial { lease: Lease, sequence: u64, body: Body },
    /// 42
    Present(Presented),
    /// A code this version does not know: below 128 it is to be answered UNSUPPORTED; from 128 on links let it pass.
    Unknown(u64),
}

/// What a worker says of an attempt that failed.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Fault {
    /// When to try again.
    pub retry: Retry,
    /// A short word for programs.
    pub code: String,
    /// One sentence for people.
    pub message: String,
    /// More, such as a traceback.
    pub detail: String,
    /// Facts of the attempt.
    pub meta: Meta,
}

/// When a failed attempt may be followed by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Retry {
    /// As the job's rules say (-1 on the wire).
    #[default]
    Policy,
    /// Not again (-2).
    Never,
    /// As the rules say, and it took down the process that did it, while its worker lives: a loss, as when a worker
    /// vanishes (-3).
    Crashed,
    /// After so many milliseconds.
    AfterMs(u64),
}

/// A job a worker holds from before it found the session fresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    /// The job.
    pub id: JobId,
    /// Its queue.
    pub queue: String,
    /// The broker that granted it.
    pub broker: [u8; 16],
    /// The token it was granted under.
    pub token: Token,
    /// Which attempt it is.
    pub attempt: u32,
    /// The worker has an answer ready.
    pub answered: bool,
}

/// A numbered command from the broker.
#[derive(Clone, Debug, PartialEq)]
pub enum FromBroker {
    /// 64
    Refused { id: JobId, failure: Failure },
    /// 65
    Result { id: JobId, verdict: std::sync::Arc<crate::model::Verdict> },
    /// 66
    ProgressOf { id: JobId, attempt: u32, fraction: f64, note: String },
    /// 67
    PartialOf { id: JobId, attempt: u32, sequence: u64, body: Body },
    /// 68
    State { id: JobId, status: Status, state: Outcome, attempt: u32, fraction: f64 },
    /// 69
    CancelReply { id: JobId, status: Status, message: String },
    /// 70: SUBMITs the client may send in all
    SubmitCredit(u64),
    /// 71
    Reply { tag: u64, status: Status, body: Body, message: String },
    /// 80
    Grant(Box<Grant>),
    /// 81
    Revoke { lease: Lease, why: Stop },
    /// 82
    Recall(Lease),
    /// 83
    Adopt { id: JobId, lease: Lease },
    /// 84
    Drop(JobId),
    /// 85
    RegisterRefused { queue: String, failure: Failure },
    /// 86: the broker itself `stops`, and another may follow; else this worker should
    Drain { stops: bool },
    /// 87
    Stale(Lease),
    /// 127
    Unsupported { number: u64, code: u64 },
    /// A code this version does not know; links let it pass.
    Unknown(u64),
}

/// A job handed to a worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// Echoed with every word about the job.
    pub lease: Lease,
    /// The job.
    pub id: JobId,
    /// The queue it came from.
    pub queue: crate::model::QueueName,
    /// Its payload.
    pub body: Body,
    /// Its headers.
    pub headers: Headers,
    /// Which attempt this will be, from 1.
    pub attempt: u32,
    /// How many there can be.
    pub attempts_max: u32,
    /// Until its deadline; `None` when it has none.
    pub time_left_ms: Option<u64>,
    /// An attempt that runs longer is over; 0 never.
    pub run_ms: u64,
    /// Past it the worker gives its job a hint; 0 never.
    pub soft_ms: u64,
    /// How many bytes of partial results may wait.
    pub partial_bytes: u64,
    /// Somebody wants progress.
    pub wants_progress: bool,
    /// Somebody wants partial results.
    pub wants_partial: bool,
}
