//! `forebay quarantine`: jobs that took workers down, and what becomes of them.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use forebay::api::{Client, JobId};
use serde_json::Value;

use crate::cli::ask::{agree, ask, count, each, rows, text};
use crate::cli::connection::Connection;
use crate::cli::exit::{Exit, Failed};
use crate::cli::{job, jobs, show, submit};

/// How many ids are asked for at once when all are meant.
const PAGE: usize = 1_000;
/// Bytes of a payload that are shown.
const SHOWN_LEN: u64 = 512;

/// Decides about jobs that took two workers down: look at them, run them again, or drop them.
#[derive(Args, Debug)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Examples:
  forebay quarantine list
  forebay quarantine show ID --save payload        look at it, and feed it to the worker in a debugger
  forebay quarantine requeue ID                    when the worker is mended
  forebay quarantine drop --all --queue resize --yes
A job is quarantined when two workers' processes ended while it ran: it is not tried again before somebody has looked.
It waits for 30 days with its payload (broker.quarantine_ms). Requeuing makes a new job with a new id, which runs alone in its process the first
time; the old id stays quarantined and says what it was requeued as."
)]
pub(crate) struct Quarantine {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists quarantined jobs, oldest first.
    List(List),
    /// Shows one with its history, its headers and the beginning of its payload.
    Show(Show),
    /// Has jobs run again, under new ids.
    Requeue(Several),
    /// Forgets jobs and their payloads; it asks first, or takes --yes.
    Drop(Drop),
}

#[derive(Args, Debug)]
struct List {
    /// Only this queue.
    #[arg(short, long)]
    queue: Option<String>,
    /// Only jobs behind this id, or made in the last such time, such as 10m.
    #[arg(long, value_name = "ID|TIME", value_parser = jobs::since)]
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

#[derive(Args, Debug)]
struct Show {
    /// The job's id.
    #[arg(value_parser = submit::id)]
    id: JobId,
    /// Writes the whole payload, its frames one behind the other, into this file.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// One JSON object, the broker's own words (docs/ADMIN.md).
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Args, Debug)]
struct Several {
    /// The jobs' ids.
    #[arg(required_unless_present = "all", value_name = "ID", value_parser = submit::id)]
    ids: Vec<JobId>,
    /// All that are quarantined.
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// With --all: only those of this queue.
    #[arg(short, long, requires = "all")]
    queue: Option<String>,
    /// One JSON object for each job, the broker's own words (docs/ADMIN.md).
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Args, Debug)]
struct Drop {
    /// Does not ask.
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    several: Several,
}

impl Quarantine {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        match self.action {
            Action::List(list) => list.run(),
            Action::Show(show) => show.run(),
            Action::Requeue(several) => several.requeue(),
            Action::Drop(drop) => drop.run(),
        }
    }
}

impl List {
    fn run(self) -> Result<Exit, Failed> {
        let client = self.connection.open()?;
        let mut arguments = vec![("limit", self.limit.to_string())];
        arguments.extend(self.queue.clone().map(|queue| ("queue", queue)));
        arguments.extend(self.since.map(|since| ("since", since.to_string())));
        let answer = ask(&client, "quarantine.list", &arguments)?;
        if self.json {
            show::line(&answer)?;
            return Ok(Exit::Done);
        }
        match rows(&answer, "jobs") {
            [] => anstream::eprintln!("forebay: no job is quarantined"),
            found => show::line(jobs::table(found))?,
        }
        if let Some(next) = answer["next"].as_str() {
            let queue = self.queue.map_or(String::new(), |queue| format!(" --queue {queue}"));
            anstream::eprintln!("forebay: there are more: forebay quarantine list{queue} --since {next}");
        }
        Ok(Exit::Done)
    }
}

impl Show {
    fn run(self) -> Result<Exit, Failed> {
        let client = self.connection.open()?;
        let bytes = if self.save.is_some() { u32::MAX.into() } else { SHOWN_LEN };
        let arguments = [("id", self.id.to_string()), ("bytes", bytes.to_string())];
        let shown = ask(&client, "quarantine.show", &arguments)?;
        if let Some(path) = &self.save {
            let payload: Vec<u8> = frames(&shown, "payload")?.concat();
            std::fs::write(path, &payload).map_err(|error| Failed::file("write", path, &error))?;
            anstream::eprintln!("forebay: {} bytes are in {}", payload.len(), path.display());
        }
        if self.json {
            show::line(&shown)?;
            return Ok(Exit::Done);
        }
        job::tell(&shown)?;
        for (header, value) in rows(&shown, "headers").iter().zip(frames(&shown, "headers")?) {
            show::line(format_args!("\nheader {}: {}", text(header, "name"), readable(&value)))?;
        }
        for (i, frame) in frames(&shown, "payload")?.iter().enumerate() {
            let len = count(&shown["payload"][i], "bytes");
            let part = &frame[..frame.len().min(SHOWN_LEN as usize)];
            let rest = if len > part.len() as u64 { ", the beginning" } else { "" };
            show::line(format_args!("\npayload, frame {}, {len} bytes{rest}:\n{}", i + 1, readable(part)))?;
        }
        Ok(Exit::Done)
    }
}

impl Several {
    fn requeue(self) -> Result<Exit, Failed> {
        let client = self.connection.open()?;
        let ids = self.chosen(&client)?;
        Ok(each(&ids, |id| {
            let answer = ask(&client, "quarantine.requeue", &[("id", id.to_string())])?;
            match self.json {
                true => show::line(&answer),
                false => show::line(text(&answer, "requeued_as")),
            }
        }))
    }

    /// The jobs that are meant.
    fn chosen(&self, client: &Client) -> Result<Vec<JobId>, Failed> {
        if !self.all {
            return Ok(self.ids.clone());
        }
        let mut ids: Vec<JobId> = Vec::new();
        loop {
            let mut arguments = vec![("limit", PAGE.to_string())];
            arguments.extend(self.queue.clone().map(|queue| ("queue", queue)));
            arguments.extend(ids.last().map(|last| ("since", last.to_string())));
            let answer = ask(client, "quarantine.list", &arguments)?;
            let page = rows(&answer, "jobs").iter();
            ids.extend(page.filter_map(|job| JobId::parse(text(job, "id"))));
            if answer["more"] != true {
                return Ok(ids);
            }
        }
    }
}

impl Drop {
    fn run(self) -> Result<Exit, Failed> {
        let client = self.several.connection.open()?;
        let ids = self.several.chosen(&client)?;
        if ids.is_empty() {
            anstream::eprintln!("forebay: no job is quarantined");
            return Ok(Exit::Done);
        }
        let question = match ids.as_slice() {
            [id] => format!("drop job {id} and its payload"),
            ids => format!("drop {} jobs and their payloads", ids.len()),
        };
        if !agree(&question, self.yes)? {
            anstream::eprintln!("forebay: nothing was dropped");
            return Ok(Exit::NotDone);
        }
        Ok(each(&ids, |id| {
            let answer = ask(&client, "quarantine.drop", &[("id", id.to_string())])?;
            if self.several.json { show::line(&answer) } else { Ok(()) }
        }))
    }
}

/// The bytes under `base64` of each row.
fn frames(shown: &Value, field: &str) -> Result<Vec<Vec<u8>>, Failed> {
    let wrong = |error| Failed::new(Exit::Refused, format!("the broker's {field} is not base64: {error}"));
    rows(shown, field).iter().map(|row| STANDARD.decode(text(row, "base64")).map_err(wrong)).collect()
}

/// Bytes for people: text as it is, anything else in hexadecimal.
fn readable(bytes: &[u8]) -> String {
    // The end may lie within a character.
    let is_text = |text: &str| text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\t' | '\r'));
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&bytes[..error.valid_up_to()]).ok(),
        Err(_) => None,
    };
    match text.filter(|text| is_text(text)) {
        Some(text) => text.to_owned(),
        None => {
            let lines = bytes
                .chunks(16)
                .map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "));
            lines.collect::<Vec<_>>().join("\n")
        }
    }
}
