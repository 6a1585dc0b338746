//! `forebay wait`: the results of jobs submitted before.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use forebay::api::{AckMode, JobId, Status};

use crate::cli::connection::Connection;
use crate::cli::exit::{Exit, Failed};
use crate::cli::show::{self, Form};
use crate::cli::{signals, submit, time};

/// Waits for jobs and prints their results: one job's as its bytes are, several jobs' a line each in the order asked.
#[derive(Args, Debug)]
pub(crate) struct Wait {
    /// The jobs' ids, as submit printed them.
    #[arg(required = true, value_name = "ID", value_parser = submit::id)]
    ids: Vec<JobId>,
    /// How long to wait, such as 10s; default: until they have ended.
    #[arg(short, long, value_name = "TIME", value_parser = time::parse)]
    timeout: Option<Duration>,
    /// Leaves the results with the broker, so that they can be asked for again.
    #[arg(short, long)]
    keep: bool,
    /// One JSON object for each job: id, outcome, data, message, meta.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Wait {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        let mut settings = self.connection.options()?.client_settings()?;
        if self.keep {
            settings.ack = AckMode::Manual;
        }
        let client = Arc::new(self.connection.open_with(settings)?);
        signals::on_stop_of(&client, |client, _| client.interrupt())?;
        let mut results = vec![None; self.ids.len()];
        let waited = client.wait_many(&self.ids, self.ids.len(), self.timeout, &mut results);
        let form = match (self.json, self.ids.len()) {
            (true, _) => Form::Json,
            (false, 1) => Form::Bytes,
            (false, _) => Form::Line,
        };
        let mut exit = Exit::Done;
        let mut out = io::stdout().lock();
        for (id, result) in self.ids.iter().zip(&results) {
            let Some(result) = result else {
                // Its line stays empty, so that the others keep their places.
                if form == Form::Line {
                    show::line_to(&mut out, "")?;
                }
                if waited.as_ref().is_err_and(|failure| failure.status == Status::TimedOut) {
                    anstream::eprintln!("forebay: job {id} has not ended");
                }
                continue;
            };
            exit = exit.max(show::write(&mut out, result, form)?);
        }
        match waited {
            Ok(_) => Ok(exit),
            Err(failure) if failure.status == Status::TimedOut => Ok(Exit::TimedOut),
            Err(failure) => Err(failure.into()),
        }
    }
}
