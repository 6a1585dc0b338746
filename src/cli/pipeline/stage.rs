//! Open stages: jobs added to one while its run goes on, and its closing.

use std::time::Duration;

use clap::Args;
use forebay::api::{JobId, Submit, Submitted};

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
