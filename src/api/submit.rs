//! A job as the application hands it over.

use bytes::Bytes;

pub use crate::core::client::{Kind, Want};
use crate::model::limits::CONTEXT_HEADER;
use crate::model::{Body, Headers, InStage, JobId, JobOptions, Pipeline};
use crate::wire::codec::pipeline;

/// A job to submit. Only `queue` must be said.
#[derive(Clone, Debug, Default)]
pub struct Submit {
    /// The job's id, when the application chooses it: the broker then remembers it for 24 hours, so that submitting
    /// the same job again does not make a second one. `None`: made here.
    pub id: Option<JobId>,
    /// Where it waits for a worker.
    pub queue: String,
    /// What the worker gets.
    pub body: Body,
    /// What travels beside it; values are any bytes.
    pub headers: Headers,
    /// Its rules, as far as they differ from the queue's.
    pub options: JobOptions,
    /// Comes back with every piece of news about the job.
    pub tag: u64,
    /// Which news `next` hands over. A job that wants its result gets it by `next` only, any other by `wait` only.
    pub want: Want,
    /// The body is a pipeline, and the job a run of it; [`Submit::run`] makes one.
    pub is_run: bool,
    /// The job is one of a stage's; [`Client::add`](crate::api::Client::add) says so.
    pub stage: Option<InStage>,
}

impl Submit {
    /// A job of one frame for `queue`.
    pub fn new(queue: impl Into<String>, payload: impl Into<Bytes>) -> Self {
        Submit { queue: queue.into(), body: Body::one(payload), ..Submit::default() }
    }

    /// A job of several frames for `queue`.
    pub fn frames(queue: impl Into<String>, frames: Vec<Bytes>) -> Self {
        Submit { queue: queue.into(), body: frames.into(), ..Submit::default() }
    }

    /// A run of a pipeline: done when all its steps are, with the results of the steps that no other needs as its frames.
    /// It is waited for, cancelled and acknowledged like any job.
    pub fn run(pipeline: &Pipeline) -> Self {
        let queue = pipeline.name().as_str().to_owned();
        Submit { queue, body: pipeline::encode(pipeline), is_run: true, ..Submit::default() }
    }

    /// Adds a header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.headers.0.push((name.into(), value.into()));
        self
    }

    /// Of a run: sets its context, up to 2,000 bytes. A run that is held for it begins at once.
    pub fn context(self, context: impl Into<Bytes>) -> Self {
        self.header(CONTEXT_HEADER, context)
    }

    /// Sets the id.
    pub fn id(mut self, id: JobId) -> Self {
        self.id = Some(id);
        self
    }

    /// Sets the rules.
    pub fn options(mut self, options: JobOptions) -> Self {
        self.options = options;
        self
    }

    /// Sets the tag.
    pub fn tag(mut self, tag: u64) -> Self {
        self.tag = tag;
        self
    }

    /// Sets which news `next` hands over.
    pub fn want(mut self, want: Want) -> Self {
        self.want = want;
        self
    }
}
