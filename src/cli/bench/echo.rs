//! Echo jobs: the client's side as something to measure, and the worker.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use forebay::api::{
    Body, Client, JobOptions, Level, Outcome, RegisterSettings, Status, Submit, Want, Worker, WorkerSettings,
};

use super::measure::Echo;
use crate::cli::connection::Connection;
use crate::cli::exit::{Exit, Failed};
use crate::cli::signals;

/// Results taken at once.
const BATCH: usize = 1_000;

/// A worker that gives each payload back: what `forebay bench` measures with.
#[derive(Args, Debug)]
pub(crate) struct EchoWorker {
    /// The queue.
    queue: String,
    /// Jobs held at once.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    slots: u32,
    /// Begins what it gets and never answers.
    #[arg(long)]
    hold: bool,
    #[command(flatten)]
    connection: Connection,
}

impl EchoWorker {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        let options = self.connection.options()?;
        let settings = WorkerSettings { slots: Some(self.slots), ..options.worker_settings()? };
        let worker = Arc::new(Worker::open(Some(&self.connection.address()?), settings)?);
        signals::on_stop_of(&worker, |worker, _| worker.stop())?;
        worker.register(&self.queue, RegisterSettings::default())?;
        let mut jobs = Vec::new();
        let mut held = Vec::new();
        loop {
            match worker.receive_many(None, BATCH, &mut jobs) {
                Ok(_) => {}
                Err(failure) if failure.status == Status::Drained => return Ok(Exit::Done),
                Err(failure) => return Err(failure.into()),
            }
            if self.hold {
                held.append(&mut jobs);
            }
            for job in jobs.drain(..) {
                job.complete_frames(job.body().clone())?;
            }
        }
    }
}

/// What is sent: the same bytes each time, but for the first ones, which are the tag. So an answer that is changed, or is
/// another one's, is noticed.
pub(super) struct Pattern(Vec<u8>);

impl Pattern {
    /// Bytes that a payload needs to carry the whole tag.
    pub(super) const TAG_LEN: usize = size_of::<u64>();

    pub(super) fn new(size: usize) -> Self {
        Pattern((0..size).map(|i| (i % 251) as u8).collect())
    }

    /// The payload with this tag.
    pub(super) fn payload(&self, tag: u64) -> Bytes {
        let mut payload = self.0.clone();
        let len = payload.len().min(Self::TAG_LEN);
        payload[..len].copy_from_slice(&tag.to_le_bytes()[..len]);
        payload.into()
    }

    /// Whether this is the payload with that tag, byte by byte.
    pub(super) fn is(&self, payload: &[u8], tag: u64) -> bool {
        let len = self.0.len().min(Self::TAG_LEN);
        payload.len() == self.0.len()
            && payload[..len] == tag.to_le_bytes()[..len]
            && payload[len..] == self.0[len..]
    }

    /// The tag of a payload that came back as it was sent.
    pub(super) fn tag_of(&self, payload: &[u8]) -> Option<u64> {
        let tag = u64::from_le_bytes(*payload.first_chunk()?);
        self.is(payload, tag).then_some(tag)
    }
}

/// What is said when an answer is not what was sent.
pub(super) fn changed(way: &str) -> Failed {
    Failed::new(Exit::NotDone, format!("a message came back changed {way}"))
}

/// Jobs of one level to an echo worker's queue.
pub(super) struct ThroughBroker<'a> {
    client: &'a Client,
    job: Submit,
    pattern: Pattern,
}

impl<'a> ThroughBroker<'a> {
    pub(super) fn new(client: &'a Client, queue: &str, size: usize, level: Level) -> Self {
        let options = JobOptions { level: Some(level), ..JobOptions::default() };
        let job = Submit::new(queue, Bytes::new()).want(Want::RESULT | Want::REFUSED).options(options);
        ThroughBroker { client, job, pattern: Pattern::new(size) }
    }
}

impl Echo for ThroughBroker<'_> {
    fn send(&mut self, tags: &[u64]) -> Result<(), Failed> {
        let job = |tag: &u64| {
            let mut job = self.job.clone().tag(*tag);
            job.body = Body::one(self.pattern.payload(*tag));
            job
        };
        let taken = self.client.enqueue_many(tags.iter().map(job).collect());
        match taken.failure {
            None => Ok(()),
            Some(failure) => Err(failure.into()),
        }
    }

    fn receive(&mut self, tags: &mut Vec<u64>, wait: Duration) -> Result<(), Failed> {
        let mut results = Vec::new();
        match self.client.next_many(Some(wait), BATCH, &mut results) {
            Ok(_) => {}
            Err(failure) if failure.status == Status::TimedOut => return Ok(()),
            Err(failure) => return Err(failure.into()),
        }
        for result in results {
            if result.outcome() != Outcome::Done {
                let message = format!("an echo came back {}: {}", result.outcome().name(), result.message());
                return Err(Failed::new(Exit::NotDone, message));
            }
            if !self.pattern.is(result.data(), result.tag()) {
                return Err(changed("through the broker"));
            }
            tags.push(result.tag());
        }
        Ok(())
    }
}
