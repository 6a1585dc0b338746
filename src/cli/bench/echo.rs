//! Echo jobs: the client's side as something to measure, and the worker.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use forebay::api::{Client, Outcome, RegisterSettings, Status, Submit, Want, Worker, WorkerSettings};

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
        loop {
            match worker.receive_many(None, BATCH, &mut jobs) {
                Ok(_) => {}
                Err(failure) if failure.status == Status::Drained => return Ok(Exit::Done),
                Err(failure) => return Err(failure.into()),
            }
            for job in jobs.drain(..) {
                job.complete_frames(job.body().clone())?;
            }
        }
    }
}

/// Jobs to an echo worker's queue.
pub(super) struct ThroughBroker<'a> {
    client: &'a Client,
    job: Submit,
}

impl<'a> ThroughBroker<'a> {
    pub(super) fn new(client: &'a Client, queue: &str, size: usize) -> Self {
        let payload: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
        let job = Submit::new(queue, Bytes::from(payload)).want(Want::RESULT | Want::REFUSED);
        ThroughBroker { client, job }
    }
}

impl Echo for ThroughBroker<'_> {
    fn send(&mut self, tags: &[u64]) -> Result<(), Failed> {
        let jobs = tags.iter().map(|tag| self.job.clone().tag(*tag)).collect();
        let taken = self.client.enqueue_many(jobs);
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
            if result.outcome() != Outcome::Done || result.data().len() != self.job.body.len() {
                let message = format!("an echo came back {}: {}", result.outcome().name(), result.message());
                return Err(Failed::new(Exit::NotDone, message));
            }
            tags.push(result.tag());
        }
        Ok(())
    }
}
