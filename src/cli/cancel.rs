//! `forebay cancel`: ends jobs that wait or run.

use std::time::Duration;

use clap::Args;
use forebay::api::JobId;
use serde_json::json;

use crate::cli::connection::Connection;
use crate::cli::exit::{Exit, Failed};
use crate::cli::{show, submit, time};

/// Cancels jobs: whoever runs one is told at once, and no result of it will ever count.
#[derive(Args, Debug)]
pub(crate) struct Cancel {
    /// The jobs' ids.
    #[arg(required = true, value_name = "ID", value_parser = submit::id)]
    ids: Vec<JobId>,
    /// Why, for those who look later.
    #[arg(short, long, default_value = "cancelled on the command line")]
    reason: String,
    /// How long to wait until the broker has confirmed, such as 10s.
    #[arg(short, long, value_name = "TIME", default_value = "30s", value_parser = time::parse)]
    timeout: Duration,
    /// One JSON object for each job.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Cancel {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        let client = self.connection.open()?;
        let mut exit = Exit::Done;
        for id in &self.ids {
            let done = client.cancel(*id, &self.reason, Some(self.timeout));
            if self.json {
                let why = done.as_ref().err().map(ToString::to_string);
                show::line(json!({ "id": id.to_string(), "cancelled": done.is_ok(), "why": why }))?;
            }
            if let Err(failure) = done {
                let failed = Failed::from(failure);
                if !self.json {
                    anstream::eprintln!("forebay: job {id}: {failed}");
                }
                exit = failed.exit;
            }
        }
        Ok(exit)
    }
}
