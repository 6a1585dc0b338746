//! `forebay workers`: who executes jobs.

use clap::Args;
use comfy_table::Table;
use serde_json::Value;

use crate::cli::ask::{ask, count, rows, text};
use crate::cli::connection::Connection;
use crate::cli::exit::{Exit, Failed};
use crate::cli::{show, time};

/// Lists the workers: where they are, what they serve, what they have done and what they do.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  forebay workers
  forebay workers --queue resize --json | jq '.workers[].jobs'
A worker without a name of its own (worker.name) is called HOST:PID.")]
pub(crate) struct Workers {
    /// Only those that serve this queue.
    #[arg(short, long)]
    queue: Option<String>,
    /// One JSON object, the broker's own words (docs/ADMIN.md).
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Workers {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        let client = self.connection.open()?;
        let mut answer = ask(&client, "workers.list", &[])?;
        if let (Some(queue), Some(workers)) = (&self.queue, answer["workers"].as_array_mut()) {
            workers.retain(|worker| rows(worker, "queues").iter().any(|served| served == queue.as_str()));
        }
        if self.json {
            show::line(&answer)?;
            return Ok(Exit::Done);
        }
        match rows(&answer, "workers") {
            [] => anstream::eprintln!("forebay: no such worker is connected"),
            workers => show::line(table(workers))?,
        }
        Ok(Exit::Done)
    }
}

/// Workers as a table.
pub(crate) fn table(workers: &[Value]) -> Table {
    let mut table = show::table();
    table.set_header(["WORKER", "HOST", "PID", "UP", "DONE", "JOBS", "LONGEST", "QUEUES"]);
    for worker in workers {
        let state = match (worker["attached"] == false, worker["draining"] == true) {
            (true, _) => " (away)",
            (_, true) => " (draining)",
            _ => "",
        };
        let jobs = rows(worker, "jobs");
        let longest = jobs.iter().filter_map(|job| job["running_ms"].as_u64()).max();
        let queues: Vec<&str> = rows(worker, "queues").iter().filter_map(Value::as_str).collect();
        table.add_row([
            format!("{}{state}", text(worker, "name")),
            text(worker, "host").to_owned(),
            count(worker, "pid").to_string(),
            time::age(count(worker, "age_ms")),
            count(worker, "done").to_string(),
            jobs.len().to_string(),
            longest.map_or(String::new(), time::age),
            queues.join(" "),
        ]);
    }
    table
}
