//! What the jobs side writes down: each change of a durable job's state, one record. Replaying the records in
//! order gives the state again, so whatever is not in a record did not happen.
//!
//! [`Standing::apply`] is the one place that says what the records of a job add up to; the store, which must write the
//! sum again when it moves a job, and the recovery of the table both go by it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::model::limits::{ATTEMPT_TEXT_LEN_MAX, ATTEMPTS_KEPT_MAX, EVIDENCE_LEN_MAX};
use crate::model::{JobId, JobOptions, JobRules, Outcome, Owner, QueueName, Submission, Token, Verdict};

/// One change of state.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// The broker started on its store for the `epoch`-th time; the first record of each life.
    Booted { epoch: u64, broker: [u8; 16] },
    /// A job was accepted. What its options said is in `rules`; the options themselves are not kept.
    Submitted {
        owner: Arc<Owner>,
        job: Arc<Submission>,
        rules: Arc<JobRules>,
        wall_ms: u64,
        sequence: u64,
        /// Bytes of its payload when that was read back and left in the store; `job` has none then. Never appended.
        stored_len: u64,
    },
    /// A worker was handed the job.
    Leased { id: JobId, token: Token },
    /// The worker began it. Appended, never waited for.
    Started { id: JobId, token: Token, attempt: u32, worker: Arc<str>, wall_ms: u64 },
    /// The job waits again.
    Requeued {
        id: JobId,
        /// Whose word still counts; 0: nobody's.
        token: Token,
        attempts: u32,
        losses: u32,
        releases: u32,
        suspect: bool,
        /// Not to be handed out before.
        not_before_wall_ms: u64,
        wall_ms: u64,
        /// How the attempt ended that was running, if one was.
        how: Cow<'static, str>,
        /// Why it failed, if it did and said so.
        error: Option<Box<AttemptError>>,
    },
    /// The job has ended. One that was quarantined and requeued since says so a second time, with the new job's id
    /// among its facts.
    Ended { id: JobId, verdict: Arc<Verdict>, wall_ms: u64 },
    /// Its result need not be kept, and nothing of it remembered.
    Forgotten { id: JobId },
    /// Its result need not be kept; the id, chosen by an application, must not run again.
    Buried(Arc<Buried>),
    /// What an operator set for a queue; the last one counts.
    QueueSet(Arc<QueueKept>),
    /// The job was made by an operator in the place of `parent`, which is quarantined. It stands behind the job's
    /// `Submitted`, and makes it a suspect: the first time it may take nobody else down.
    Child { id: JobId, parent: JobId },
    /// An open stage of this run is closed.
    StageClosed { id: JobId, step: u32 },
    /// What was seen of an attempt from outside the process that made it, as where it stood.
    Seen { id: JobId, attempt: u32, text: String },
    /// The collector of a stage has the result of this job of it.
    Collected { id: JobId, collected: Arc<Collected> },
    /// What a run was given as its context; the last one counts.
    Context { id: JobId, context: Bytes },
    /// What the records of a job add up to. Written by the store behind a `Submitted` that it moved.
    Stands { id: JobId, standing: Box<Standing> },
}

/// What a collector says when it has a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collected {
    /// The collector.
    pub name: String,
    /// How many it has then, of this stage.
    pub number: u64,
    /// For whoever adds to the stage.
    pub data: Vec<u8>,
}

/// An id chosen by an application whose job is gone.
#[derive(Clone, Debug, PartialEq)]
pub struct Buried {
    /// The id. It is remembered until it is too old to be submitted.
    pub id: JobId,
    /// Whose it was.
    pub owner: Arc<Owner>,
    /// The hash of what makes two submissions the same job; empty when it was cancelled before it came, which any
    /// content then is.
    pub content: Vec<u8>,
    /// How it ended.
    pub outcome: Outcome,
    /// How often it had been started.
    pub attempt: u32,
}

/// What an operator set for a queue.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueKept {
    /// The queue.
    pub queue: QueueName,
    /// Its defaults.
    pub options: JobOptions,
    /// Nothing is handed out.
    pub paused: bool,
    /// Nothing is taken.
    pub draining: bool,
    /// What its hosts are handed.
    pub handed: Handed,
}

/// What the hosts that serve a queue are handed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handed {
    /// Parameters of their plugins, by name.
    pub params: BTreeMap<String, String>,
    /// How often they report.
    pub report_ms: Option<u64>,
}

impl Handed {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.params.is_empty() && self.report_ms.is_none()
    }
}

/// What is remembered of one attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Which, from 1.
    pub number: u32,
    /// Who made it.
    pub worker: Arc<str>,
    /// When it began.
    pub started_wall_ms: u64,
    /// When it ended; 0 while it runs.
    pub ended_wall_ms: u64,
    /// "running", or how it ended.
    pub how: Cow<'static, str>,
    /// Why it failed, if it did and said so.
    pub error: Option<Box<AttemptError>>,
    /// What was seen of it from outside, a line for each time something was said.
    pub evidence: Option<Box<str>>,
}

/// What is remembered of why an attempt failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttemptError {
    /// A short word for programs; may be empty.
    pub code: String,
    /// One sentence for people, the first bytes of it; may be empty.
    pub message: String,
}

impl AttemptError {
    /// What is kept of this code and message; nothing of nothing.
    pub fn new(code: &str, message: &str) -> Option<Box<AttemptError>> {
        let cut = |text: &str| {
            let end = (0..=text.len().min(ATTEMPT_TEXT_LEN_MAX)).rev().find(|at| text.is_char_boundary(*at));
            text[..end.unwrap_or(0)].to_owned()
        };
        let is_said = !code.is_empty() || !message.is_empty();
        is_said.then(|| Box::new(AttemptError { code: cut(code), message: cut(message) }))
    }

    /// Why the attempt failed that ended with its job.
    pub fn of(verdict: &Verdict) -> Option<Box<AttemptError>> {
        let failed = verdict.outcome != Outcome::Done;
        failed.then(|| AttemptError::new(&verdict.code, &verdict.message)).flatten()
    }
}

impl Attempt {
    /// It is over.
    pub fn end(&mut self, how: Cow<'static, str>, error: Option<Box<AttemptError>>, wall_ms: u64) {
        (self.how, self.error, self.ended_wall_ms) = (how, error, wall_ms);
    }

    /// Adds what was seen of it; what is too much is cut.
    pub fn see(&mut self, text: &str) {
        let known = self.evidence.take().unwrap_or_default();
        let mut all = String::from(known);
        if !all.is_empty() && !all.ends_with('\n') {
            all.push('\n');
        }
        all.push_str(text);
        let end = (0..=all.len().min(EVIDENCE_LEN_MAX)).rev().find(|at| all.is_char_boundary(*at));
        all.truncate(end.unwrap_or(0));
        self.evidence = Some(all.into());
    }

    /// It seemed to be over and is not.
    pub fn go_on(&mut self) {
        self.end(RUNNING.into(), None, 0);
    }
}

/// How an attempt stands that has not ended.
pub const RUNNING: &str = "running";
/// How an attempt ended that was given back without failing, and is not counted.
pub const RELEASED: &str = "released";

/// What the records of one job add up to, beside its submission and its verdict.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// The token of the last grant; 0 when nobody's word counts.
    pub token: Token,
    /// A worker holds it: handed out, and neither ended nor put back since.
    pub held: bool,
    /// The one that was handed it last had begun it.
    pub begun: bool,
    /// How often it was started.
    pub attempts: u32,
    /// Counted losses.
    pub losses: u32,
    /// How often it was released.
    pub releases: u32,
    /// It shared a loss with others.
    pub suspect: bool,
    /// Not to be handed out before; 0 = at any time.
    pub not_before_wall_ms: u64,
    /// The quarantined job in whose place an operator made it.
    pub parent: Option<JobId>,
    /// Its attempts, the last ones, oldest first.
    pub history: Vec<Attempt>,
    /// Of a run: its open stages that are closed.
    pub closed: Vec<u32>,
    /// Of a job of a stage: that its collector has its result.
    pub collected: Option<Arc<Collected>>,
    /// Of a run: its context.
    pub context: Option<Bytes>,
}

impl Standing {
    /// Whether anything was seen of an attempt from outside.
    pub fn has_evidence(&self) -> bool {
        self.history.iter().any(|attempt| attempt.evidence.is_some())
    }

    /// What stands after one more record of this job.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Leased { token, .. } => {
                (self.token, self.held, self.begun) = (*token, true, false);
                self.not_before_wall_ms = 0;
            }
            Record::Started { token, attempt, worker, wall_ms, .. } => {
                (self.token, self.held, self.begun) = (*token, true, true);
                self.attempts = *attempt;
                self.begin_attempt(*attempt, worker, *wall_ms);
            }
            Record::Requeued {
                token,
                attempts,
                losses,
                releases,
                suspect,
                not_before_wall_ms,
                wall_ms,
                how,
                error,
                ..
            } => {
                (self.token, self.held) = (*token, false);
                self.begun &= *token != 0;
                (self.attempts, self.losses, self.releases) = (*attempts, *losses, *releases);
                self.suspect = *suspect;
                self.not_before_wall_ms = if not_before_wall_ms > wall_ms { *not_before_wall_ms } else { 0 };
                self.end_attempt(how.clone(), error.clone(), *wall_ms);
            }
            Record::Ended { verdict, wall_ms, .. } => {
                // The loss that was one too many has no record of its own.
                self.losses += u32::from(self.held && verdict.outcome == Outcome::Quarantined);
                self.held = false;
                self.attempts = verdict.attempt;
                if !matches!(verdict.outcome, Outcome::Done | Outcome::Failed) {
                    self.token = 0;
                }
                // A holder whose lease had lapsed may have come back: the last attempt did it all the same.
                if let Some(last) = self.history.last_mut().filter(|_| verdict.outcome == Outcome::Done) {
                    last.go_on();
                }
                self.end_attempt(how_ended(verdict).into(), AttemptError::of(verdict), *wall_ms);
            }
            Record::Seen { attempt, text, .. } => {
                let seen = self.history.iter_mut().rev().find(|one| one.number == *attempt);
                seen.into_iter().for_each(|one| one.see(text));
            }
            Record::Child { parent, .. } => (self.parent, self.suspect) = (Some(*parent), true),
            Record::StageClosed { step, .. } => self.closed.push(*step),
            Record::Collected { collected, .. } => self.collected = Some(collected.clone()),
            Record::Context { context, .. } => self.context = Some(context.clone()),
            Record::Stands { standing, .. } => self.clone_from(standing),
            _ => {}
        }
    }

    fn begin_attempt(&mut self, number: u32, worker: &Arc<str>, wall_ms: u64) {
        // The same attempt again: it was adopted after a restart, and goes on. One that was released is not counted, so
        // the next has its number too.
        let goes_on = |last: &&mut Attempt| last.number == number && last.how != RELEASED;
        if let Some(last) = self.history.last_mut().filter(goes_on) {
            last.go_on();
            return;
        }
        if self.history.len() >= ATTEMPTS_KEPT_MAX {
            self.history.remove(0);
        }
        let worker = worker.clone();
        self.history.push(Attempt {
            number,
            worker,
            started_wall_ms: wall_ms,
            ended_wall_ms: 0,
            how: RUNNING.into(),
            error: None,
            evidence: None,
        });
    }

    fn end_attempt(&mut self, how: Cow<'static, str>, error: Option<Box<AttemptError>>, wall_ms: u64) {
        if let Some(last) = self.history.last_mut().filter(|last| last.how == RUNNING) {
            last.end(how, error, wall_ms);
        }
    }
}

/// The word for an attempt that ended with its job.
pub fn how_ended(verdict: &Verdict) -> &'static str {
    match verdict.outcome {
        Outcome::Done => "done",
        Outcome::Failed => "failed",
        Outcome::TimedOut if verdict.code == "stalled" => "stalled",
        Outcome::TimedOut => "run timeout",
        Outcome::Cancelled => "cancelled",
        Outcome::Expired => "expired",
        Outcome::Lost | Outcome::Quarantined => "lost",
        _ => "ended",
    }
}

/// A durable job as its records leave it.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptJob {
    /// Whose it is.
    pub owner: Arc<Owner>,
    /// The job; its options are not kept, and once it has ended its body and headers need not be.
    pub job: Arc<Submission>,
    /// Bytes of its payload when that was left in the store.
    pub stored_len: u64,
    /// What it lives by.
    pub rules: Arc<JobRules>,
    /// When it was accepted.
    pub wall_ms: u64,
    /// Its place in the order of acceptance.
    pub sequence: u64,
    /// What happened to it since.
    pub standing: Standing,
    /// How it ended, and when.
    pub ended: Option<(Arc<Verdict>, u64)>,
}

/// Everything a store kept over a restart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept {
    /// How often the broker has started on this store, this time included.
    pub epoch: u64,
    /// The broker's id, the same for as long as the store lives.
    pub broker: [u8; 16],
    /// The last moment any record speaks of.
    pub wall_ms: u64,
    /// Jobs that were not forgotten, in the order of acceptance.
    pub jobs: Vec<KeptJob>,
    /// Ids that must not run again, in the order of ids.
    pub buried: Vec<Arc<Buried>>,
    /// What was set for queues, by name.
    pub queues: Vec<Arc<QueueKept>>,
}

/// Counts and sizes of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Records appended, those copied forward not counted.
    pub records: u64,
    /// Batches, each one sync.
    pub commits: u64,
    /// Syncs of any kind.
    pub syncs: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Bytes of records copied forward, so that old segments could be used again.
    pub copied_bytes: u64,
    /// Segments that were used again or removed.
    pub recycled: u64,
    /// Segments with records, the active one included.
    pub segments: u64,
    /// Bytes of records in them.
    pub used_bytes: u64,
    /// Those of them that are still needed.
    pub live_bytes: u64,
    /// Appends refused for want of room.
    pub refused: u64,
}
