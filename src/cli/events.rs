//! `forebay events`: what happens to jobs, as it happens, from as far back as the broker remembers.

use std::time::Duration;

use clap::Args;
use forebay::api::Status;
use serde_json::Value;

use crate::cli::connection::Connection;
use crate::cli::exit::{Exit, Failed};
use crate::cli::{show, time};

/// How many events are asked for at once.
const BATCH: u64 = 1_000;
/// How long the broker keeps a question open when there is nothing to tell.
const WAIT: Duration = Duration::from_secs(20);

/// Prints what happened and happens to jobs, one line each, until interrupted.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  forebay events --queue digest
  forebay events --no-follow --json | jq -r 'select(.outcome == \"FAILED\") | .job'
Each event has a number that only grows; --since N goes on behind number N.")]
pub(crate) struct Events {
    /// Only this queue.
    #[arg(short, long)]
    queue: Option<String>,
    /// Only events behind this number; default: from the oldest the broker still has.
    #[arg(long, value_name = "N", default_value_t = 0)]
    since: u64,
    /// Ends after so many events.
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<u64>,
    /// Ends when it is up to date, instead of waiting for more.
    #[arg(long)]
    no_follow: bool,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Events {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        let client = self.connection.open()?;
        let mut since = self.since;
        let mut left = self.limit.unwrap_or(u64::MAX);
        while left > 0 {
            let wait = if self.no_follow { Duration::ZERO } else { WAIT };
            let mut arguments = vec![
                ("since".to_owned(), since.to_string()),
                ("limit".to_owned(), left.min(BATCH).to_string()),
                ("wait_ms".to_owned(), wait.as_millis().to_string()),
            ];
            arguments.extend(self.queue.iter().map(|queue| ("queue".to_owned(), queue.clone())));
            let answer = match client.admin("events", &arguments, Some(WAIT * 2)) {
                Ok(answer) => answer,
                // The broker was away or restarted; its numbers go on or begin again, it will say.
                Err(failure) if failure.status == Status::Unconfirmed => continue,
                Err(failure) => return Err(failure.into()),
            };
            let news: Value = serde_json::from_slice(answer.data()).map_err(|error| {
                Failed::new(Exit::Refused, format!("the broker's events are not JSON: {error}"))
            })?;
            let missed = news["missed"].as_u64().unwrap_or(0);
            if missed > 0 && since > 0 {
                anstream::eprintln!("forebay: {missed} events are lost: the broker keeps only the newest");
            }
            let events = news["events"].as_array().map_or(&[] as &[Value], Vec::as_slice);
            for event in events {
                self.show(event)?;
            }
            left -= left.min(events.len() as u64);
            let next = news["next"].as_u64().unwrap_or(since);
            if self.no_follow && next == since {
                break;
            }
            since = next;
        }
        Ok(Exit::Done)
    }

    fn show(&self, event: &Value) -> Result<(), Failed> {
        if self.json {
            return show::line(event);
        }
        let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
        let outcome = event["outcome"].as_str().map_or(String::new(), |outcome| format!(" {outcome}"));
        let attempt = event["attempt"].as_u64().filter(|attempt| *attempt > 0);
        let attempt = attempt.map_or(String::new(), |attempt| format!(" attempt {attempt}"));
        let why = event["why"].as_str().map_or(String::new(), |why| format!(": {why}"));
        show::line(format_args!(
            "{} {} {}{attempt} {}{outcome}{why}",
            time::clock(event["time_ms"].as_u64().unwrap_or(0)),
            text("job"),
            text("queue"),
            text("event"),
        ))
    }
}
