//! `forebay jobs`: which jobs the broker holds, page by page.

use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use comfy_table::Table;
use forebay::api::JobId;
use serde_json::Value;

use crate::cli::ask::{ask, count, rows, text};
use crate::cli::connection::Connection;
use crate::cli::exit::{Exit, Failed};
use crate::cli::{show, time};

/// Lists jobs, oldest first, page by page.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  forebay jobs                                      what the broker holds: waiting, running, and results not fetched
  forebay jobs --queue resize --state running
  forebay jobs --state failed --since 10m           made in the last ten minutes, fetched results too
  forebay jobs --state ended --limit 10000 --json | jq -r '.jobs[] | [.id, .outcome, .message] | @tsv'
States: open (waiting or running), ended, waiting, running, done, failed, timed_out, cancelled, expired, quarantined,
rejected, lost. Jobs that have ended and whose results were fetched are shown only when one of the ended states is asked
for, as long as the broker remembers them (broker.retention_ms). With --json the next page begins behind the id in \"next\".")]
pub(crate) struct Jobs {
    /// Only this queue.
    #[arg(short, long)]
    queue: Option<String>,
    /// Only jobs that stand so, such as running or failed.
    #[arg(short, long)]
    state: Option<String>,
    /// Only jobs behind this id, or made in the last such time, such as 10m.
    #[arg(long, value_name = "ID|TIME", value_parser = since)]
    since: Option<JobId>,
    /// At most so many, up to 10000.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// One JSON object, the broker's own words (docs/ADMIN.md).
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// An id, or the smallest one that can have been made so long ago.
pub(crate) fn since(word: &str) -> Result<JobId, String> {
    if let Some(id) = JobId::parse(word) {
        return Ok(id);
    }
    let wrong = |_| {
        format!(
            "{word:?} is neither a job id nor a time; right would be 01980f3c-8f2a-7c3e-9d2b-5a6b7c8d9e0f or 10m"
        )
    };
    let ago = time::parse(word).map_err(wrong)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let wall_ms = u64::try_from(now.saturating_sub(ago).as_millis()).unwrap_or(0);
    Ok(JobId::new(wall_ms, [0; 10]))
}

impl Jobs {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        let client = self.connection.open()?;
        let mut arguments = vec![("limit", self.limit.to_string())];
        arguments.extend(self.queue.clone().map(|queue| ("queue", queue)));
        arguments.extend(self.state.clone().map(|state| ("state", state)));
        arguments.extend(self.since.map(|since| ("since", since.to_string())));
        let answer = ask(&client, "jobs.list", &arguments)?;
        if self.json {
            show::line(&answer)?;
            return Ok(Exit::Done);
        }
        match rows(&answer, "jobs") {
            [] => anstream::eprintln!("forebay: no such jobs"),
            jobs => show::line(table(jobs))?,
        }
        if let Some(next) = answer["next"].as_str() {
            let mut command = "forebay jobs".to_owned();
            for (flag, value) in [("--queue", &self.queue), ("--state", &self.state)] {
                command += &value.as_ref().map_or(String::new(), |value| format!(" {flag} {value}"));
            }
            anstream::eprintln!("forebay: there are more: {command} --limit {} --since {next}", self.limit);
        }
        Ok(Exit::Done)
    }
}

/// Jobs as a table.
pub(crate) fn table(jobs: &[Value]) -> Table {
    let mut table = show::table();
    table.set_header(["JOB", "QUEUE", "STATE", "AGE", "ATTEMPTS", "WORKER", "NOTE"]);
    for job in jobs {
        let attempts = match job["attempts_max"].as_u64() {
            Some(most) => format!("{} of {most}", count(job, "attempts")),
            None => count(job, "attempts").to_string(),
        };
        table.add_row([
            text(job, "id").to_owned(),
            text(job, "queue").to_owned(),
            state(job),
            time::age(count(job, "age_ms")),
            attempts,
            text(job, "worker").to_owned(),
            note(job),
        ]);
    }
    table
}

/// How a job stands, in one or two words.
pub(crate) fn state(job: &Value) -> String {
    let outcome = text(job, "outcome");
    match text(job, "stage") {
        stage @ ("behind" | "delayed" | "held" | "leased") => format!("{outcome} ({stage})"),
        _ => outcome.to_owned(),
    }
}

/// What is worth a word about a job in a list.
fn note(job: &Value) -> String {
    let progress = job["progress"].as_f64().filter(|fraction| *fraction > 0.0 && job["outcome"] == "RUNNING");
    if let Some(fraction) = progress {
        return format!("{:.0} %", fraction * 100.0);
    }
    if let Some(new) = job["requeued_as"].as_str() {
        return format!("requeued as {new}");
    }
    let message = text(job, "message");
    let mut shown: String = message.chars().take(60).collect();
    if shown.len() < message.len() {
        shown.push_str("...");
    }
    shown
}
