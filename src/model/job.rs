//! A job as it is submitted, and the rules it lives by.

use std::sync::Arc;

use bytes::Bytes;

use smallvec::SmallVec;

use crate::model::id::JobId;
use crate::model::limits;
use crate::model::queue_name::QueueName;

/// A payload or a result: its frames. Cloning shares the bytes.
#[derive(Debug, PartialEq, Eq, Default)]
pub struct Body(pub BodyFrames);

/// The frames of a payload or a result. Most have one, which needs no memory of its own.
pub type BodyFrames = SmallVec<[Bytes; 1]>;

impl Body {
    /// One frame.
    pub fn one(frame: impl Into<Bytes>) -> Self {
        Body(SmallVec::from_buf([frame.into()]))
    }

    /// Bytes over all frames.
    pub fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// Whether there is not one byte.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Bytes::is_empty)
    }
}

impl Clone for Body {
    fn clone(&self) -> Self {
        match self.0.as_slice() {
            [frame] => Body(SmallVec::from_buf([frame.clone()])),
            frames => Body(frames.iter().cloned().collect()),
        }
    }
}

impl From<Vec<Bytes>> for Body {
    fn from(frames: Vec<Bytes>) -> Self {
        Body(frames.into())
    }
}

/// Named bytes that travel beside a body, in the order they were set.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Headers(pub Vec<(String, Bytes)>);

impl Headers {
    /// Bytes over all names and values.
    pub fn len(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Which faults an accepted job survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Level {
    /// Durable for a submit when the broker has a store, volatile for a call.
    #[default]
    Auto = 0,
    /// Survives workers, clients and connections; after a restart of the broker its client submits it again.
    Volatile = 1,
    /// On disk before it is accepted.
    Durable = 2,
}

/// What becomes of the result when the job has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum ReplyMode {
    /// Sent to the submitting session, or to another client of the same name.
    #[default]
    Push = 0,
    /// Kept until somebody asks.
    Keep = 1,
    /// Nobody wants it.
    None = 2,
}

/// What a submission says of its own rules; `None` leaves a rule to the queue, and then to the broker.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct JobOptions {
    /// 1 (lowest) to 8 (first).
    pub priority: Option<u32>,
    /// Not before this has passed.
    pub delay_ms: Option<u64>,
    /// EXPIRED when not started by then; 0 never.
    pub queue_ms: Option<u64>,
    /// An attempt that runs longer is over; 0 never.
    pub run_ms: Option<u64>,
    /// Past it the worker is given a hint; 0 never.
    pub soft_ms: Option<u64>,
    /// Like `run_ms`, counted from the last progress; 0 never.
    pub stall_ms: Option<u64>,
    /// EXPIRED when not ended by then, running or not; 0 never.
    pub deadline_ms: Option<u64>,
    /// At most so many starts.
    pub attempts: Option<u32>,
    /// The first wait before another attempt.
    pub backoff_ms: Option<u64>,
    /// The longest such wait.
    pub backoff_ms_max: Option<u64>,
    /// At most so many releases.
    pub releases: Option<u32>,
    /// Which faults it must survive.
    pub level: Option<Level>,
    /// How long a result nobody acknowledged is kept; 0 = nobody wants it.
    pub result_ttl_ms: Option<u64>,
    /// How many bytes of partial results may wait for the client.
    pub partial_bytes: Option<u64>,
    /// Refuse the job when no worker ever registered its queue.
    pub refuse_unknown_queue: Option<bool>,
    /// Of the jobs of its queue that name the same key, `serial_jobs` are under way at once, in their order; empty: it names none.
    pub serial_key: Option<Arc<str>>,
    /// How many that are.
    pub serial_jobs: Option<u32>,
}

impl JobOptions {
    /// These options, and what `below` says where these say nothing.
    pub fn over(self, below: &JobOptions) -> JobOptions {
        JobOptions {
            priority: self.priority.or(below.priority),
            delay_ms: self.delay_ms.or(below.delay_ms),
            queue_ms: self.queue_ms.or(below.queue_ms),
            run_ms: self.run_ms.or(below.run_ms),
            soft_ms: self.soft_ms.or(below.soft_ms),
            stall_ms: self.stall_ms.or(below.stall_ms),
            deadline_ms: self.deadline_ms.or(below.deadline_ms),
            attempts: self.attempts.or(below.attempts),
            backoff_ms: self.backoff_ms.or(below.backoff_ms),
            backoff_ms_max: self.backoff_ms_max.or(below.backoff_ms_max),
            releases: self.releases.or(below.releases),
            level: self.level.or(below.level),
            result_ttl_ms: self.result_ttl_ms.or(below.result_ttl_ms),
            partial_bytes: self.partial_bytes.or(below.partial_bytes),
            refuse_unknown_queue: self.refuse_unknown_queue.or(below.refuse_unknown_queue),
            serial_key: self.serial_key.or_else(|| below.serial_key.clone()),
            serial_jobs: self.serial_jobs.or(below.serial_jobs),
        }
    }
}

impl From<&JobRules> for JobOptions {
    fn from(rules: &JobRules) -> Self {
        JobOptions {
            priority: Some(rules.priority),
            delay_ms: Some(rules.delay_ms),
            queue_ms: Some(rules.queue_ms),
            run_ms: Some(rules.run_ms),
            soft_ms: Some(rules.soft_ms),
            stall_ms: Some(rules.stall_ms),
            deadline_ms: Some(rules.deadline_ms),
            attempts: Some(rules.attempts),
            backoff_ms: Some(rules.backoff_ms),
            backoff_ms_max: Some(rules.backoff_ms_max),
            releases: Some(rules.releases),
            level: Some(rules.level),
            result_ttl_ms: Some(rules.result_ttl_ms),
            partial_bytes: Some(rules.partial_bytes),
            refuse_unknown_queue: Some(rules.refuse_unknown_queue),
            serial_key: Some(rules.serial_key.clone().unwrap_or_default()),
            serial_jobs: Some(rules.serial_jobs),
        }
    }
}

/// The rules a job lives by, every one decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRules {
    /// 1 (lowest) to 8 (first).
    pub priority: u32,
    /// Not before this has passed.
    pub delay_ms: u64,
    /// EXPIRED when not started by then; 0 never.
    pub queue_ms: u64,
    /// An attempt that runs longer is over; 0 never.
    pub run_ms: u64,
    /// Past it the worker is given a hint; 0 never.
    pub soft_ms: u64,
    /// Like `run_ms`, counted from the last progress; 0 never.
    pub stall_ms: u64,
    /// EXPIRED when not ended by then; 0 never.
    pub deadline_ms: u64,
    /// At most so many starts.
    pub attempts: u32,
    /// The first wait before another attempt.
    pub backoff_ms: u64,
    /// The longest such wait.
    pub backoff_ms_max: u64,
    /// At most so many releases.
    pub releases: u32,
    /// Which faults it must survive.
    pub level: Level,
    /// How long a result nobody acknowledged is kept; 0 = nobody wants it.
    pub result_ttl_ms: u64,
    /// How many bytes of partial results may wait for the client.
    pub partial_bytes: u64,
    /// Refuse the job when no worker ever registered its queue.
    pub refuse_unknown_queue: bool,
    /// Of the jobs of its queue that name the same key, `serial_jobs` are under way at once, in their order.
    pub serial_key: Option<Arc<str>>,
    /// How many that are.
    pub serial_jobs: u32,
}

impl Default for JobRules {
    fn default() -> Self {
        JobRules {
            priority: limits::PRIORITY_NORMAL,
            delay_ms: 0,
            queue_ms: 0,
            run_ms: 1_800_000,
            soft_ms: 0,
            stall_ms: 0,
            deadline_ms: 0,
            attempts: 3,
            backoff_ms: 1_000,
            backoff_ms_max: 300_000,
            releases: 100,
            level: Level::Auto,
            result_ttl_ms: 86_400_000,
            partial_bytes: 16 << 20,
            refuse_unknown_queue: false,
            serial_key: None,
            serial_jobs: JobRules::SERIAL_JOBS,
        }
    }
}

impl JobRules {
    /// How many jobs of a serial key are under way at once unless something else is said.
    pub const SERIAL_JOBS: u32 = 1;

    /// These rules with everything `options` says put in their place.
    pub fn with(&self, options: &JobOptions) -> JobRules {
        JobRules {
            priority: options.priority.unwrap_or(self.priority),
            delay_ms: options.delay_ms.unwrap_or(self.delay_ms),
            queue_ms: options.queue_ms.unwrap_or(self.queue_ms),
            run_ms: options.run_ms.unwrap_or(self.run_ms),
            soft_ms: options.soft_ms.unwrap_or(self.soft_ms),
            stall_ms: options.stall_ms.unwrap_or(self.stall_ms),
            deadline_ms: options.deadline_ms.unwrap_or(self.deadline_ms),
            attempts: options.attempts.unwrap_or(self.attempts),
            backoff_ms: options.backoff_ms.unwrap_or(self.backoff_ms),
            backoff_ms_max: options.backoff_ms_max.unwrap_or(self.backoff_ms_max),
            releases: options.releases.unwrap_or(self.releases),
            level: options.level.unwrap_or(self.level),
            result_ttl_ms: options.result_ttl_ms.unwrap_or(self.result_ttl_ms),
            partial_bytes: options.partial_bytes.unwrap_or(self.partial_bytes),
            refuse_unknown_queue: options.refuse_unknown_queue.unwrap_or(self.refuse_unknown_queue),
            serial_key: match &options.serial_key {
                Some(key) => Some(key.clone()).filter(|key| !key.is_empty()),
                None => self.serial_key.clone(),
            },
            serial_jobs: options.serial_jobs.unwrap_or(self.serial_jobs),
        }
    }
}

/// Of which stage of which run a job is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InStage {
    /// The run.
    pub run: JobId,
    /// The stage, by its name.
    pub step: String,
    /// Which of its jobs, from 0. The broker says.
    pub place: u64,
    /// The job names no queue and waits in the stage's.
    pub in_its_queue: bool,
}

/// A job as a client hands it over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// Chosen by the client's side.
    pub id: JobId,
    /// Where it waits.
    pub queue: QueueName,
    /// What the worker gets.
    pub body: Body,
    /// What travels beside it.
    pub headers: Headers,
    /// Its rules, as far as it says.
    pub options: JobOptions,
    /// Submitted before, perhaps to a broker that is no more.
    pub resent: bool,
    /// What becomes of the result.
    pub reply: ReplyMode,
    /// Set for ids chosen by the application: a hash of what makes two submissions the same job.
    pub content: Option<Vec<u8>>,
    /// The client wants to hear of progress.
    pub wants_progress: bool,
    /// The client wants partial results.
    pub wants_partial: bool,
    /// Nobody waits to hear that it was accepted: the result, or a later word, says so too.
    pub is_patient: bool,
    /// It is a run: its body is a pipeline, whose steps are the jobs that are done, and no worker is handed it itself.
    pub is_run: bool,
    /// It is one of the jobs of a stage.
    pub stage: Option<Box<InStage>>,
}

impl Submission {
    /// One that says nothing more than this: the rules are the queue's, and the result is pushed.
    pub fn new(id: JobId, queue: QueueName, body: Body) -> Self {
        Submission {
            id,
            queue,
            body,
            headers: Headers::default(),
            options: JobOptions::default(),
            resent: false,
            reply: ReplyMode::Push,
            content: None,
            wants_progress: false,
            wants_partial: false,
            is_patient: false,
            is_run: false,
            stage: None,
        }
    }
}
