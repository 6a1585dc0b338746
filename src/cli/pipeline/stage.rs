//! Stages: jobs added to an open one while its run goes on, its closing, and the collecting of results.

use std::time::Duration;

use clap::Args;
use forebay::api::{JobId, Order, Outcome, Status, Submit, Submitted};

use crate::cli::connection::Connection;
use crate::cli::exit::{Exit, Failed};
use crate::cli::payload::{Source, next_line};
use crate::cli::{show, submit, time};

/// How many jobs of `--lines` go to the broker at once.
const BATCH_JOBS: usize = 1_000;

/// Adds a job to an open stage of a run and prints its id.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  run=$(forebay pipeline run thumbnails.toml)
  find . -name '*.png' | forebay pipeline add $run images --lines
  forebay pipeline close $run images")]
pub(super) struct Add {
    /// The run's id, as `forebay pipeline run` prints it.
    #[arg(value_parser = submit::id)]
    run: JobId,
    /// The stage.
    step: String,
    #[command(flatten)]
    source: Source,
    /// Another queue than the stage's.
    #[arg(long, default_value = "", hide_default_value = true)]
    queue: String,
    /// How long to wait until the broker has confirmed, such as 10s.
    #[arg(short, long, value_name = "TIME", default_value = "30s", value_parser = time::parse)]
    timeout: Duration,
    #[command(flatten)]
    connection: Connection,
}

impl Add {
    pub(super) fn run(self) -> Result<Exit, Failed> {
        if !self.source.lines {
            let job = self.job(self.source.read()?);
            self.add(vec![job])?;
            return Ok(Exit::Done);
        }
        let mut from = self.source.open()?;
        loop {
            let mut jobs = Vec::new();
            while jobs.len() < BATCH_JOBS {
                let line = next_line(&mut *from).map_err(|error| self.source.unreadable(&error))?;
                let Some(line) = line else { break };
                jobs.push(self.job(line));
            }
            if jobs.is_empty() {
                return Ok(Exit::Done);
            }
            self.add(jobs)?;
        }
    }

    fn job(&self, payload: Vec<u8>) -> Submit {
        Submit::new(self.queue.as_str(), payload)
    }

    fn add(&self, jobs: Vec<Submit>) -> Result<(), Failed> {
        let client = self.connection.open()?;
        let Submitted { ids, accepted, failure } = client.add(self.run, &self.step, jobs, Some(self.timeout));
        ids.iter().take(accepted).try_for_each(show::line)?;
        failure.map_or(Ok(()), |failure| Err(failure.into()))
    }
}

/// Closes an open stage of a run: what needs it begins when all of its jobs are done.
#[derive(Args, Debug)]
pub(super) struct Close {
    /// The run's id, as `forebay pipeline run` prints it.
    #[arg(value_parser = submit::id)]
    run: JobId,
    /// The stage.
    step: String,
    /// How many jobs were added to it in all; with another number it stays open.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// How long to wait until the broker has confirmed, such as 10s.
    #[arg(short, long, value_name = "TIME", default_value = "30s", value_parser = time::parse)]
    timeout: Duration,
    #[command(flatten)]
    connection: Connection,
}

impl Close {
    pub(super) fn run(self) -> Result<Exit, Failed> {
        let client = self.connection.open()?;
        client.close_stage(self.run, &self.step, self.count, Some(self.timeout))?;
        Ok(Exit::Done)
    }
}

/// Collects the results of a stage: prints the first frame of each on a line of its own, and acknowledges it.
///
/// Ends when there is nothing more to collect, with 1 when a job did not end DONE. When it is ended before, it goes on where it was.
#[derive(Args, Debug)]
pub(super) struct Collect {
    /// The run's id, as `forebay pipeline run` prints it.
    #[arg(value_parser = submit::id)]
    run: JobId,
    /// The stage, which is `collected` in the pipeline's file.
    step: String,
    /// What the collector is known by.
    #[arg(long = "as", value_name = "NAME", default_value = "forebay")]
    name: String,
    /// In the order in which the jobs were added, not in that in which they end.
    #[arg(long)]
    in_order: bool,
    /// How long to wait for the broker to confirm an acknowledgement, such as 10s.
    #[arg(short, long, value_name = "TIME", default_value = "30s", value_parser = time::parse)]
    timeout: Duration,
    #[command(flatten)]
    connection: Connection,
}

impl Collect {
    pub(super) fn run(self) -> Result<Exit, Failed> {
        let client = self.connection.open()?;
        let order = if self.in_order { Order::Submission } else { Order::Completion };
        let collector = client.collector(self.run, &self.step, &self.name, order);
        let mut exit = Exit::Done;
        loop {
            let result = match collector.next(None) {
                Ok(result) => result,
                Err(failure) if failure.status == Status::Drained => return Ok(exit),
                Err(failure) => return Err(failure.into()),
            };
            if result.outcome() == Outcome::Done {
                show::line(result.text())?;
            } else {
                let why = [result.code(), result.message()].join(": ");
                anstream::eprintln!("forebay: job {} ended {}, {why}", result.id(), result.outcome().name());
                exit = Exit::NotDone;
            }
            collector.ack(result.id(), &[], Some(self.timeout))?;
        }
    }
}
