//! What the judge knows of one job and of one session.

use std::collections::{BTreeMap, BTreeSet};

use forebay::core::jobs::SessionId;
use forebay::core::record::{KeptJob, Standing};
use forebay::model::{JobId, JobRules, Lease, Outcome, QueueName, ReplyMode};
use forebay::wire::command::PeerKind;

/// How a job ended, as far as two readers can compare it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct End {
    pub(crate) outcome: Outcome,
    pub(crate) attempt: u32,
    pub(crate) numbers: Option<(u64, u64)>,
    pub(crate) len: usize,
}

/// One job: in one life of the broker, or for as long as the store lives if it is durable.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) rules: JobRules,
    pub(crate) reply: ReplyMode,
    pub(crate) queue: QueueName,
    pub(crate) owner: String,
    /// Its place in the order of acceptance.
    pub(crate) sequence: u64,
    pub(crate) taken_us: u64,
    /// In which life of the broker, and from whom.
    pub(crate) taken_in: u64,
    pub(crate) taken_from: SessionId,
    /// It could be handed out as soon as it was taken.
    pub(crate) at_once: bool,
    pub(crate) durable: bool,
    /// Its id is the application's.
    pub(crate) named: bool,
    pub(crate) accepted: bool,
    /// The last that was given, and whether its holder was told to stop.
    pub(crate) token: u64,
    pub(crate) is_revoked: bool,
    /// Its holder said that the attempt failed.
    pub(crate) has_failed: bool,
    /// Of the last adoption: the token that was shown, and the one that was given for it.
    pub(crate) adopted: Option<(u64, u64)>,
    pub(crate) was_granted: bool,
    /// How often it was asked back from a worker since it was begun last.
    pub(crate) recalls: u32,
    pub(crate) started: BTreeSet<u64>,
    /// Attempts whose START came and that count, and grants: one whose START died with its worker may count too.
    pub(crate) attempts: u32,
    pub(crate) grants: u32,
    pub(crate) cancelled: bool,
    pub(crate) end: Option<End>,
    /// It was told without the result, which nobody had a claim on.
    pub(crate) end_is_forgotten: bool,
}

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) kind: PeerKind,
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) secret: [u8; 16],
    /// The number of the HELLO that opened it.
    pub(crate) opened_by: u64,
    pub(crate) submits: BTreeMap<u64, JobId>,
    pub(crate) refused: BTreeSet<JobId>,
    pub(crate) open: BTreeSet<u64>,
    pub(crate) releases: BTreeMap<u64, Lease>,
    pub(crate) queues: BTreeSet<String>,
    pub(crate) granted: u64,
    pub(crate) demand_max: u64,
    /// How often it submitted or asked about each job, and was told its end.
    pub(crate) asked: BTreeMap<JobId, u32>,
    pub(crate) told: BTreeMap<JobId, u32>,
    /// Jobs it presented.
    pub(crate) presented: BTreeMap<JobId, Shown>,
}

/// A job as a worker presents it: at which bench, under which token of which broker, as which attempt.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) exec: Option<u64>,
    pub(crate) broker: [u8; 16],
    pub(crate) token: u64,
    pub(crate) attempt: u32,
}

impl Known {
    /// The broker has started again on its store, which kept the job as `kept` says.
    pub(crate) fn restart(&mut self, kept: &KeptJob) {
        let standing = &kept.standing;
        self.started.clear();
        self.attempts = standing.attempts;
        // A grant whose START was not written down may be presented as the attempt it was.
        self.grants = self.grants.max(standing.attempts);
        // It waits for whoever holds it, or for its time; others may go before.
        self.at_once &= *standing == Standing::default();
    }
}
