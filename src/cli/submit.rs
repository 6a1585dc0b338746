//! `forebay submit`: hands jobs to the broker and says their ids.

use std::time::Duration;

use clap::Args;
use forebay::api::{Body, JobId, Submit};
use serde_json::json;

use crate::cli::connection::Connection;
use crate::cli::exit::{Exit, Failed};
use crate::cli::payload::{Payload, next_line};
use crate::cli::{show, time};

/// How many jobs of `--lines` go to the broker at once.
const BATCH_JOBS: usize = 1_000;

/// Submits a job and prints its id; `forebay wait ID` gets its result later.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  forebay submit digest report.pdf
  forebay wait $(forebay submit hello --data World)
  find . -name '*.png' | forebay submit thumbnail --lines --priority 2")]
pub(crate) struct SubmitCommand {
    #[command(flatten)]
    payload: Payload,
    /// The job's id, made by you: submitting it again within 24 hours makes no second job.
    #[arg(long, value_name = "ID", conflicts_with = "lines", value_parser = id)]
    id: Option<JobId>,
    /// How long to wait until the broker has confirmed, such as 10s.
    #[arg(short, long, value_name = "TIME", default_value = "30s", value_parser = time::parse)]
    timeout: Duration,
    /// One JSON object for each job.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Reads a job's id.
pub(crate) fn id(text: &str) -> Result<JobId, String> {
    let wrong =
        "not a job id; right would be like 01980f3c-8f2a-7c3e-9d2b-5a6b7c8d9e0f, as submit prints them";
    JobId::parse(text).ok_or_else(|| wrong.to_owned())
}

impl SubmitCommand {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        let mut job = self.payload.template(self.connection.options()?)?;
        job.id = self.id;
        if self.payload.source.lines {
            self.submit_lines(&job)?;
        } else {
            // Read before the connection is made: a file that is not there is said at once.
            job.body = Body::one(self.payload.source.read()?);
            let client = self.connection.open()?;
            let id = client.submit(job, Some(self.timeout))?;
            self.say(id)?;
        }
        Ok(Exit::Done)
    }

    /// Each batch has a client of its own. A client holds the jobs of a broker without a store in its window until they have
    /// ended, to submit them again should the broker restart; this process ends before they do.
    fn submit_lines(&self, template: &Submit) -> Result<(), Failed> {
        let mut from = self.payload.source.open()?;
        loop {
            let mut jobs = Vec::new();
            while jobs.len() < BATCH_JOBS {
                let line = next_line(&mut *from).map_err(|error| self.payload.source.unreadable(&error))?;
                let Some(line) = line else { break };
                let mut job = template.clone();
                job.body = Body::one(line);
                jobs.push(job);
            }
            if jobs.is_empty() {
                return Ok(());
            }
            let submitted = self.connection.open()?.submit_many(jobs, Some(self.timeout));
            for id in submitted.ids.iter().take(submitted.accepted) {
                self.say(*id)?;
            }
            if let Some(failure) = submitted.failure {
                return Err(failure.into());
            }
        }
    }

    fn say(&self, id: JobId) -> Result<(), Failed> {
        match self.json {
            true => show::line(json!({ "id": id.to_string(), "queue": self.payload.queue })),
            false => show::line(id),
        }
    }
}
