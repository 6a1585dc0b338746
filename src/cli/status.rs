//! `forebay status`: what the broker holds and what its hosts do, once for people, or again and again as records for files.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use comfy_table::Table;
use forebay::api::Client;
use serde_json::Value;

use crate::cli::ask::{ask, rows};
use crate::cli::connection::Connection;
use crate::cli::exit::{Exit, Failed};
use crate::cli::{hosts, queue, show, time, workers};

/// Shows the broker's queues, worker hosts, workers and memory.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  forebay status --every 10 >> status.jsonl
  forebay status --check && echo all is well
  forebay status --json | jq .queues
`forebay top` shows the same as it changes; docs/ADMIN.md says what each field of a record means.
--check: exit code 0 when all is well; 1 when the broker's memory is full or jobs wait in a queue that is not paused
and has no worker; 3 when no broker answers.")]
pub(crate) struct StatusCommand {
    /// Only this queue.
    #[arg(short, long)]
    queue: Option<String>,
    /// What each slot of a host does, and all connected workers: where they are, what they serve and what they do.
    #[arg(short, long)]
    workers: bool,
    /// Says by the exit code whether all is well, and on standard error what is not.
    #[arg(long)]
    check: bool,
    /// A record a line, one JSON object each, again after each such time, such as 10s, until interrupted.
    #[arg(long, value_name = "TIME", value_parser = time::parse, conflicts_with = "check")]
    every: Option<Duration>,
    /// One JSON object, the broker's own words (docs/ADMIN.md).
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl StatusCommand {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        let client = self.connection.open()?;
        loop {
            let status = self.ask(&client)?;
            if self.check {
                return self.check(&status);
            }
            self.show(&status)?;
            let Some(every) = self.every else { return Ok(Exit::Done) };
            std::thread::sleep(every);
        }
    }

    /// The broker's status, without the queues that were not asked for.
    fn ask(&self, client: &Client) -> Result<Value, Failed> {
        let mut status = ask(client, "status", &[])?;
        let mut hosts = ask(client, "hosts.list", &[])?;
        status["time_ms"] = wall_ms().into();
        status["host_list"] = hosts["hosts"].take();
        status["other_workers"] = hosts["workers"].take();
        if self.workers {
            status["worker_list"] = ask(client, "workers.list", &[])?["workers"].take();
        }
        if let (Some(wanted), Some(queues)) = (&self.queue, status["queues"].as_array_mut()) {
            queues.retain(|queue| queue["name"] == wanted.as_str());
        }
        Ok(status)
    }

    fn check(&self, status: &Value) -> Result<Exit, Failed> {
        let faults = faults(status);
        if self.json {
            show::line(serde_json::json!({ "well": faults.is_empty(), "faults": faults, "status": status }))?;
        }
        for fault in &faults {
            anstream::eprintln!("forebay: {fault}");
        }
        Ok(if faults.is_empty() { Exit::Done } else { Exit::NotDone })
    }

    fn show(&self, status: &Value) -> Result<(), Failed> {
        if self.json || self.every.is_some() {
            return show::line(status);
        }
        show::line(format_args!(
            "{}: {} jobs, {} running, {} results kept{}, {} of {} used{}",
            self.connection.address()?,
            count(&status["jobs"]),
            count(&status["leases"]),
            count(&status["results_kept"]),
            match count(&status["quarantined"]) {
                0 => String::new(),
                n => format!(", {n} quarantined"),
            },
            show::bytes(status["memory_bytes"].as_u64().unwrap_or(0)),
            show::bytes(status["memory_max"].as_u64().unwrap_or(0)),
            if status["full"] == true { ", FULL" } else { "" },
        ))?;
        if status["store"].is_object() {
            show::line(store_line(&status["store"]))?;
        }
        let queues = status["queues"].as_array().map_or(&[] as &[Value], Vec::as_slice);
        if queues.is_empty() {
            show::line("no queue has jobs or workers")?;
        } else {
            show::line(queue_table(queues))?;
        }
        let host_list = rows(status, "host_list");
        if !host_list.is_empty() {
            show::line(hosts::table(host_list))?;
        }
        if !self.workers {
            return match rows(status, "other_workers") {
                [] => Ok(()),
                others => show::line(workers::table(others)),
            };
        }
        if !host_list.is_empty() {
            show::line(hosts::slots(host_list))?;
        }
        match rows(status, "worker_list") {
            [] => show::line("no worker is connected"),
            list => show::line(workers::table(list)),
        }
    }
}

fn wall_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

fn store_line(store: &Value) -> String {
    let bytes = |field: &str| show::bytes(store[field].as_u64().unwrap_or(0));
    format!(
        "store: {} in {} segments, {} of it in use{}",
        bytes("used_bytes"),
        count(&store["segments"]),
        bytes("live_bytes"),
        if store["full"] == true { ", FULL" } else { "" },
    )
}

/// What a monitor should know about.
fn faults(status: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    if status["full"] == true {
        faults.push("the broker's memory is full: it refuses new jobs".to_owned());
    }
    if status["store"]["full"] == true {
        faults.push("the store is full: durable jobs are refused".to_owned());
    }
    for queue in status["queues"].as_array().into_iter().flatten() {
        let ready = queue["ready"].as_u64().unwrap_or(0);
        if ready > 0 && queue["workers"] == 0 && queue["paused"] != true {
            let name = queue["name"].as_str().unwrap_or_default();
            faults.push(format!("{ready} jobs wait in queue {name:?}, which has no worker"));
        }
    }
    faults
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn queue_table(queues: &[Value]) -> Table {
    const COLUMNS: [(&str, &str); 7] = [
        ("ready", "READY"),
        ("leased", "RUNNING"),
        ("delayed", "DELAYED"),
        ("workers", "WORKERS"),
        ("done", "DONE"),
        ("not_done", "NOT DONE"),
        ("bytes", "BYTES"),
    ];
    let mut table = show::table();
    table.set_header(std::iter::once("QUEUE").chain(COLUMNS.iter().map(|(_, title)| *title)));
    for row_of in queues {
        let name = row_of["name"].as_str().unwrap_or_default();
        let mut row = vec![format!("{name}{}", queue::turned(row_of))];
        row.extend(COLUMNS.iter().map(|(field, _)| count(&row_of[*field]).to_string()));
        table.add_row(row);
    }
    show::align_right(&mut table, 1);
    table
}
