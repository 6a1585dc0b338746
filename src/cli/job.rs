//! `forebay job`: everything about one job.

use clap::Args;
use forebay::api::JobId;
use serde_json::Value;

use crate::cli::ask::{ask, count, rows, text};
use crate::cli::connection::Connection;
use crate::cli::exit::{Exit, Failed};
use crate::cli::{jobs, show, submit, time};

/// Shows a job and its whole history: every attempt, where it ran, for how long and how it ended.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  forebay job 01980f3c-8f2a-7c3e-9d2b-5a6b7c8d9e0f
  forebay job ID --json | jq '.history[] | select(.how != \"done\")'
It takes nothing away: `forebay wait ID` gets the result. A job whose result was fetched is remembered for an hour
(broker.retention_ms). Times are UTC.")]
pub(crate) struct Job {
    /// The job's id, as `forebay submit` prints it and `forebay jobs` lists it.
    #[arg(value_parser = submit::id)]
    id: JobId,
    /// One JSON object, the broker's own words (docs/ADMIN.md).
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Job {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        let client = self.connection.open()?;
        let job = ask(&client, "job.get", &[("id", self.id.to_string())])?;
        match self.json {
            true => show::line(&job)?,
            false => tell(&job)?,
        }
        Ok(Exit::Done)
    }
}

/// A job for people: what it is, line by line, then its attempts.
pub(crate) fn tell(job: &Value) -> Result<(), Failed> {
    let style = match text(job, "outcome") {
        "DONE" => show::WELL,
        "WAITING" | "RUNNING" => show::NOTED,
        _ => show::WRONG,
    };
    show::coloured_line(format_args!(
        "job {} in queue {}: {style}{}{style:#}",
        text(job, "id"),
        text(job, "queue"),
        jobs::state(job)
    ))?;
    let mut facts = show::table();
    for (name, fact) in facts_of(job) {
        if !fact.is_empty() {
            facts.add_row([format!("  {name}"), fact]);
        }
    }
    show::line(facts)?;
    let detail = text(job, "detail");
    if !detail.is_empty() {
        show::line(format_args!("\n{}", detail.trim_end()))?;
    }
    let attempts = rows(job, "history");
    if attempts.is_empty() {
        return show::line("\nno worker has begun it");
    }
    let mut table = show::table();
    table.set_header(["ATTEMPT", "WORKER", "BEGUN", "TOOK", "ENDED", "WHY"]);
    for attempt in attempts {
        let (begun_ms, ended_ms) = (count(attempt, "started_ms"), attempt["ended_ms"].as_u64());
        let said = [text(attempt, "code"), text(attempt, "message")];
        table.add_row([
            count(attempt, "number").to_string(),
            text(attempt, "worker").to_owned(),
            time::clock(begun_ms),
            ended_ms.map_or(String::new(), |ended_ms| time::span(ended_ms.saturating_sub(begun_ms))),
            text(attempt, "how").to_owned(),
            said.into_iter().filter(|said| !said.is_empty()).collect::<Vec<_>>().join(": "),
        ]);
    }
    show::line(format_args!("\n{table}"))?;
    for attempt in attempts.iter().filter(|attempt| !text(attempt, "evidence").is_empty()) {
        let (number, seen) = (count(attempt, "number"), text(attempt, "evidence").trim_end());
        show::line(format_args!("\nseen of attempt {number}:\n{seen}"))?;
    }
    Ok(())
}

/// The key it names, and how many others it waits for.
fn serial_key(job: &Value) -> String {
    match (text(&job["rules"], "serial_key"), job["behind"].as_u64()) {
        ("", _) => String::new(),
        (key, None) => key.to_owned(),
        (key, Some(1)) => format!("{key}, behind another job"),
        (key, Some(behind)) => format!("{key}, behind {behind} others"),
    }
}

/// What is known of it, with names; a fact that says nothing is empty.
fn facts_of(job: &Value) -> Vec<(&'static str, String)> {
    let at = |field: &str| job[field].as_u64().map_or(String::new(), time::clock);
    let owner = match text(job, "client") {
        "" => text(job, "user").to_owned(),
        name => format!("{name} ({})", text(job, "user")),
    };
    let said = [text(job, "code"), text(job, "message")];
    let attempts = match job["attempts_max"].as_u64() {
        Some(most) => format!("{} of {most}", count(job, "attempts")),
        None => count(job, "attempts").to_string(),
    };
    let times = |field: &str, what: &str| match count(job, field) {
        0 => None,
        n => Some(format!("{what} {n} times")),
    };
    let mishaps = [times("losses", "took its worker down"), times("releases", "given back")];
    let suspect = (job["suspect"] == true).then(|| "runs alone: a worker went down with it".to_owned());
    let mishaps: Vec<String> = mishaps.into_iter().chain([suspect]).flatten().collect();
    let running = job["outcome"] == "RUNNING";
    let progress = job["progress"].as_f64().filter(|fraction| running && *fraction > 0.0);
    vec![
        ("why", said.into_iter().filter(|said| !said.is_empty()).collect::<Vec<_>>().join(": ")),
        ("from", owner),
        ("accepted", format!("{} ({} ago)", at("accepted_ms"), time::age(count(job, "age_ms")))),
        ("not before", at("not_before_ms")),
        ("serial key", serial_key(job)),
        ("ended", at("ended_ms")),
        ("attempts", attempts),
        ("mishaps", mishaps.join(", ")),
        (
            "progress",
            progress
                .map_or(String::new(), |fraction| format!("{:.0} % {}", fraction * 100.0, text(job, "note"))),
        ),
        ("priority", job["priority"].as_u64().map_or(String::new(), |priority| priority.to_string())),
        ("level", text(job, "level").to_owned()),
        (
            "payload",
            job["payload_bytes"]
                .as_u64()
                .filter(|_| job["ended_ms"].is_null())
                .map_or(String::new(), show::bytes),
        ),
        (
            "result",
            job["result_bytes"]
                .as_u64()
                .filter(|_| job["outcome"] == "DONE")
                .map_or(String::new(), show::bytes),
        ),
        ("kept until", at("kept_until_ms")),
        ("requeued from", text(job, "parent").to_owned()),
        ("requeued as", text(job, "requeued_as").to_owned()),
    ]
}
