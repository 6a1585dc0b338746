//! `forebay queue`: what a queue takes, hands out and sets for its jobs.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use forebay::api::{Client, Options};
use serde_json::{Value, json};

use crate::cli::ask::{agree, ask, count, jobs, rows, text};
use crate::cli::connection::Connection;
use crate::cli::exit::{Exit, Failed};
use crate::cli::{show, time};

/// How often a drain is looked after.
const LOOK: Duration = Duration::from_millis(100);

/// Lists queues, sets rules for their jobs, stops and starts them, and empties them.
#[derive(Args, Debug)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Examples:
  forebay queue list
  forebay queue set resize attempts=5 run_ms=90s      for jobs submitted from now on
  forebay queue set resize run_ms=                    the broker's own rule again
  forebay queue set resize param.quality=90           for the plugins of its hosts
  forebay queue pause resize                          nothing is handed out; jobs are taken and wait
  forebay queue drain resize --wait                   nothing is taken; ends when the rest is done
  forebay queue resume resize                         ends both
  forebay queue purge resize --yes                    cancels what waits
The rules a queue can set are those of jobs: `forebay options job` lists them."
)]
pub(crate) struct Queue {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists queues with what waits, what runs, and what is set for them.
    List(List),
    /// Sets rules for jobs submitted to a queue from now on. What is not named stays; KEY= takes a rule away again.
    Set(Set),
    /// Hands out no more jobs of a queue. It takes jobs, which wait; what runs goes on.
    Pause(One),
    /// Takes no more jobs for a queue: submitting fails with ERR_STATE. What waits and runs is done.
    Drain(Drain),
    /// Has a paused or draining queue take and hand out jobs again.
    Resume(One),
    /// Cancels all jobs that wait in a queue; those that run go on. It asks first, or takes --yes.
    Purge(Purge),
}

#[derive(Args, Debug)]
struct List {
    /// Only this queue.
    name: Option<String>,
    /// One JSON object, the broker's own words (docs/ADMIN.md).
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Args, Debug)]
struct Set {
    /// The queue; it need not exist yet.
    name: String,
    /// Rules such as attempts=5, run_ms=90s or level=durable; param.NAME=VALUE and report_ms=5000 for the queue's hosts.
    #[arg(required = true, value_name = "KEY=VALUE")]
    rules: Vec<String>,
    /// One JSON object, the broker's own words (docs/ADMIN.md).
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Args, Debug)]
struct One {
    /// The queue.
    name: String,
    /// One JSON object, the broker's own words (docs/ADMIN.md).
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Args, Debug)]
struct Drain {
    #[command(flatten)]
    one: One,
    /// Waits until the queue is empty.
    #[arg(short, long)]
    wait: bool,
    /// How long to wait at most, such as 10m.
    #[arg(short, long, value_name = "TIME", value_parser = time::parse, requires = "wait")]
    timeout: Option<Duration>,
}

#[derive(Args, Debug)]
struct Purge {
    #[command(flatten)]
    one: One,
    /// Does not ask.
    #[arg(short, long)]
    yes: bool,
}

impl Queue {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        match self.action {
            Action::List(list) => list.run(),
            Action::Set(set) => set.run(),
            Action::Pause(one) => {
                let client = one.connection.open()?;
                one.turn(&client, "queue.pause", "it hands out nothing until it is resumed")
            }
            Action::Drain(drain) => drain.run(),
            Action::Resume(one) => {
                let client = one.connection.open()?;
                one.turn(&client, "queue.resume", "it takes and hands out jobs")
            }
            Action::Purge(purge) => purge.run(),
        }
    }
}

impl List {
    fn run(self) -> Result<Exit, Failed> {
        let client = self.connection.open()?;
        let arguments: Vec<_> = self.name.map(|name| ("queue", name)).into_iter().collect();
        let answer = ask(&client, "queue.list", &arguments)?;
        if self.json {
            show::line(&answer)?;
            return Ok(Exit::Done);
        }
        match rows(&answer, "queues") {
            [] => anstream::eprintln!("forebay: no queue has jobs, workers or anything set"),
            queues => show::line(table(queues))?,
        }
        Ok(Exit::Done)
    }
}

fn table(queues: &[Value]) -> comfy_table::Table {
    let mut table = show::table();
    table
        .set_header(["QUEUE", "READY", "RUNNING", "DELAYED", "BEHIND", "WORKERS", "DONE", "NOT DONE", "SET"]);
    for queue in queues {
        let name = format!("{}{}", text(queue, "name"), turned(queue));
        let numbers = ["ready", "leased", "delayed", "behind", "workers", "done", "not_done"];
        let numbers = numbers.map(|field| count(queue, field).to_string());
        table.add_row(std::iter::once(name).chain(numbers).chain([all_set(queue)]));
    }
    show::align_right(&mut table, 1);
    if let Some(last) = table.column_mut(8) {
        last.set_cell_alignment(comfy_table::CellAlignment::Left);
    }
    table
}

/// What is unusual about a queue, in brackets.
pub(crate) fn turned(queue: &Value) -> &'static str {
    match (queue["paused"] == true, queue["draining"] == true) {
        (true, true) => " (paused, draining)",
        (true, false) => " (paused)",
        (false, true) => " (draining)",
        (false, false) => "",
    }
}

/// What is set for a queue's jobs and hosts, as it is said.
fn all_set(queue: &Value) -> String {
    let said = |family: &'static str, field: &str| {
        let fields = queue[field].as_object().into_iter().flatten();
        fields.map(move |(key, value)| match value.as_str() {
            Some(word) => format!("{family}{key}={word}"),
            None => format!("{family}{key}={value}"),
        })
    };
    let report = queue["report_ms"].as_u64().map(|ms| format!("report_ms={ms}"));
    said("", "options").chain(said("param.", "params")).chain(report).collect::<Vec<_>>().join(" ")
}

impl Set {
    fn run(self) -> Result<Exit, Failed> {
        let (mut options, mut unset) = (Options::new(), Vec::new());
        for rule in &self.rules {
            let (key, value) = rule.split_once('=').ok_or_else(|| {
                Failed::usage(format!("{rule:?} has no `=`; right would be KEY=VALUE, such as attempts=5"))
            })?;
            let bare = key.strip_prefix("job.").unwrap_or(key);
            match value {
                "" => unset.push(bare),
                _ if key == "report_ms" => options.set("admin.report_ms", value)?,
                _ if key.starts_with("param.") => options.set(key, value)?,
                _ => options.set(&format!("job.{bare}"), value)?,
            }
        }
        let rules_said = options.admin_arguments();
        let mut arguments: Vec<(&str, String)> = vec![("queue", self.name.clone())];
        arguments.extend(rules_said.iter().map(|(key, value)| (key.as_str(), value.clone())));
        if !unset.is_empty() {
            arguments.push(("unset", unset.join(",")));
        }
        let client = self.connection.open()?;
        let answer = ask(&client, "queue.set", &arguments)?;
        match self.json {
            true => show::line(&answer)?,
            false => match all_set(&answer) {
                none if none.is_empty() => show::line(format_args!("queue {}: nothing is set", self.name))?,
                rules => show::line(format_args!("queue {}: {rules}", self.name))?,
            },
        }
        Ok(Exit::Done)
    }
}

impl One {
    /// Turns the queue, and says how it stands then.
    fn turn(&self, client: &Client, command: &str, means: &str) -> Result<Exit, Failed> {
        let answer = ask(client, command, &[("queue", self.name.clone())])?;
        if self.json {
            show::line(&answer)?;
            return Ok(Exit::Done);
        }
        show::line(format_args!(
            "queue {}{}: {means}; {} ready, {} running, {} delayed",
            self.name,
            turned(&answer),
            count(&answer, "ready"),
            count(&answer, "leased"),
            count(&answer, "delayed"),
        ))?;
        if answer["known"] == false {
            anstream::eprintln!(
                "forebay: nobody has used queue {:?} so far; `forebay queue list` shows those that are used",
                self.name
            );
        }
        Ok(Exit::Done)
    }
}

impl Drain {
    fn run(self) -> Result<Exit, Failed> {
        let client = self.one.connection.open()?;
        self.one.turn(&client, "queue.drain", "it takes no jobs until it is resumed")?;
        if self.wait {
            self.wait_until_empty(&client)?;
        }
        Ok(Exit::Done)
    }

    fn wait_until_empty(&self, client: &Client) -> Result<(), Failed> {
        let name = &self.one.name;
        let begun = Instant::now();
        loop {
            let listed = ask(client, "queue.list", &[])?;
            let queue = rows(&listed, "queues").iter().find(|queue| text(queue, "name") == name);
            let left: u64 = queue.map_or(0, |queue| {
                ["ready", "leased", "delayed"].iter().map(|field| count(queue, field)).sum()
            });
            if left == 0 {
                return Ok(());
            }
            if queue.is_some_and(|queue| queue["paused"] == true) {
                let why = format!(
                    "queue {name:?} is paused too and hands out nothing, so it keeps {}; resume it, then drain it",
                    jobs(left)
                );
                return Err(Failed::new(Exit::Refused, why));
            }
            if self.timeout.is_some_and(|timeout| begun.elapsed() >= timeout) {
                return Err(Failed::new(Exit::TimedOut, format!("{} left in queue {name:?}", jobs(left))));
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Purge {
    fn run(self) -> Result<Exit, Failed> {
        let client = self.one.connection.open()?;
        let name = &self.one.name;
        let listed = ask(&client, "queue.list", &[("queue", name.clone())])?;
        let queue = &listed["queues"][0];
        let (ready, delayed) = (count(queue, "ready"), count(queue, "delayed"));
        let question = format!("cancel {} that wait in queue {name:?}", jobs(ready + delayed));
        if !agree(&question, self.yes)? {
            anstream::eprintln!("forebay: nothing was cancelled");
            return Ok(Exit::NotDone);
        }
        let mut purged = 0;
        let mut arguments = vec![("queue", name.clone())];
        let last = loop {
            let answer = ask(&client, "queue.purge", &arguments)?;
            purged += count(&answer, "purged");
            if answer["more"] != true {
                break answer;
            }
            // Jobs that come from now on are not meant.
            arguments.truncate(1);
            arguments.push(("before", count(&answer, "before").to_string()));
        };
        let others = count(&last, "others");
        if self.one.json {
            return show::line(json!({ "queue": name, "purged": purged, "others": others }))
                .map(|()| Exit::Done);
        }
        show::line(format_args!("{} of queue {name} cancelled", jobs(purged)))?;
        if others > 0 {
            anstream::eprintln!("forebay: {} of other users left alone there", jobs(others));
        }
        Ok(Exit::Done)
    }
}
