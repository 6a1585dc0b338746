//! `forebay pipeline`: runs of pipelines, begun from a file, watched, listed and drawn.

mod file;
mod picture;
mod stage;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use comfy_table::Table;
use forebay::api::{JobId, Submit};
use serde_json::{Value, json};

use crate::cli::ask::{ask, count, rows, text};
use crate::cli::connection::Connection;
use crate::cli::exit::{Exit, Failed};
use crate::cli::flags::{Flags, JobFlags};
use crate::cli::{jobs, show, submit, time};

/// Runs graphs of jobs: each step begins when those it needs are done, and is given their results.
#[derive(Args, Debug)]
pub(crate) struct Pipeline {
    #[command(subcommand)]
    command: PipelineCommand,
}

#[derive(Debug, Subcommand)]
enum PipelineCommand {
    Run(Run),
    Show(Show),
    List(List),
    Resume(Resume),
    Add(stage::Add),
    Close(stage::Close),
    Collect(stage::Collect),
    Context(Context),
}

impl Pipeline {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        match self.command {
            PipelineCommand::Run(command) => command.run(),
            PipelineCommand::Show(command) => command.run(),
            PipelineCommand::List(command) => command.run(),
            PipelineCommand::Resume(command) => command.run(),
            PipelineCommand::Add(command) => command.run(),
            PipelineCommand::Close(command) => command.run(),
            PipelineCommand::Collect(command) => command.run(),
            PipelineCommand::Context(command) => command.run(),
        }
    }
}

/// Begins a run of the pipeline in a file and prints its id; `forebay wait ID` gets its result later.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  forebay pipeline run report.toml --watch
  forebay wait $(forebay pipeline run report.toml)
  forebay cancel ID                              cancels a run with everything that is under way of it
report.toml:
  name = \"report\"
  held = true                                    no step begins before `forebay pipeline context`
  [[steps]]
  name = \"fetch\"
  queue = \"fetch\"
  data = \"http://localhost/page\"                 or file = \"PATH\"; or nothing
  [[steps]]
  name = \"words\"
  queue = \"count-words\"
  needs = [\"fetch\"]                              given their results, in this order, behind its own data
  after = []                                     waited for, and no more
  on_failure = \"continue\"                        the run goes on without it; else \"fail\"
  kind = \"each\"                                  one job for each frame of the results it takes; or \"open\": those that
                                                 `forebay pipeline add` adds, until `close`; else \"job\"
  collected = true                               of such a stage: `forebay pipeline collect` takes its results one by one
  options = { attempts = 5, run_ms = 60000 }     what `forebay submit` has flags for
  headers = { unit = \"mm\" }
The same in JSON is read from a file that ends in .json. The flags below are for the run as a whole; those of its steps
stand in the file.")]
struct Run {
    /// The file, TOML or JSON.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Shows how far it is until it has ended, and ends with 1 unless that is DONE.
    #[arg(short, long)]
    watch: bool,
    /// What each worker gets with a job of the run, up to 2,000 bytes.
    #[arg(long, value_name = "TEXT", conflicts_with = "hold")]
    context: Option<String>,
    /// The run waits for its context, `forebay pipeline context`.
    #[arg(long)]
    hold: bool,
    /// The run's id, made by you: submitting it again within 24 hours makes no second run.
    #[arg(long, value_name = "ID", value_parser = submit::id)]
    id: Option<JobId>,
    /// How long to wait until the broker has confirmed, such as 10s.
    #[arg(short, long, value_name = "TIME", default_value = "30s", value_parser = time::parse)]
    timeout: Duration,
    /// One JSON object with the run's id.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags<JobFlags>,
    #[command(flatten)]
    connection: Connection,
}

impl Run {
    fn run(self) -> Result<Exit, Failed> {
        let pipeline = file::read(&self.file)?;
        let pipeline = if self.hold { pipeline.held(true) } else { pipeline };
        let mut options = self.connection.options()?;
        self.flags.apply(&mut options)?;
        let (rules, headers) = options.job_options()?;
        let mut run = Submit::run(&pipeline).options(rules);
        (run.headers, run.id) = (headers, self.id);
        let run = match self.context {
            Some(context) => run.context(context),
            None => run,
        };
        let client = self.connection.open()?;
        let id = client.submit(run, Some(self.timeout))?;
        match self.json {
            true => show::line(json!({ "id": id.to_string(), "name": pipeline.name().as_str() }))?,
            false => show::line(id)?,
        }
        if self.watch { watch::watch(&client, id) } else { Ok(Exit::Done) }
    }
}

/// Shows a run: how it stands, each step with its times, and the path that decided how long it took.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  forebay pipeline show ID
  forebay pipeline show ID --dot | dot -Tpng > run.png
  forebay pipeline show ID --svg > run.svg
A run whose result was fetched is remembered for an hour (broker.retention_ms), until the broker ends.")]
struct Show {
    /// The run's id, as `forebay pipeline run` prints it.
    #[arg(value_parser = submit::id)]
    id: JobId,
    /// The graph with states and times in the language of Graphviz.
    #[arg(long)]
    dot: bool,
    /// The graph with states and times as a picture.
    #[arg(long, conflicts_with = "dot")]
    svg: bool,
    /// One JSON object, the broker's own words (docs/ADMIN.md).
    #[arg(long, conflicts_with_all = ["dot", "svg"])]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Show {
    fn run(self) -> Result<Exit, Failed> {
        let client = self.connection.open()?;
        let run = ask(&client, "run.get", &[("id", self.id.to_string())])?;
        if self.json {
            show::line(&run)?;
        } else if self.dot {
            show::line(picture::dot(&run).trim_end())?;
        } else if self.svg {
            show::line(picture::svg(&run).trim_end())?;
        } else {
            tell(&run)?;
        }
        Ok(Exit::Done)
    }
}

/// Lists runs, oldest first, page by page.
#[derive(Args, Debug)]
#[command(after_help = "\
States: open (going on), ended, done, failed, cancelled, expired ... Runs whose results were fetched are shown too, as long
as the broker remembers them (broker.retention_ms).")]
struct List {
    /// Only runs that stand so, such as open or failed.
    #[arg(short, long)]
    state: Option<String>,
    /// Only runs behind this id, or made in the last such time, such as 10m.
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

impl List {
    fn run(self) -> Result<Exit, Failed> {
        let client = self.connection.open()?;
        let mut arguments = vec![("limit", self.limit.to_string())];
        arguments.extend(self.state.map(|state| ("state", state)));
        arguments.extend(self.since.map(|since| ("since", since.to_string())));
        let answer = ask(&client, "runs.list", &arguments)?;
        if self.json {
            show::line(&answer)?;
            return Ok(Exit::Done);
        }
        match rows(&answer, "runs") {
            [] => anstream::eprintln!("forebay: no such runs"),
            runs => show::line(list(runs))?,
        }
        if let Some(next) = answer["next"].as_str() {
            anstream::eprintln!("forebay: there are more: add --since {next}");
        }
        Ok(Exit::Done)
    }
}

/// Goes on with a run that did not end DONE, from the step that failed, and prints the id of the new run that does.
///
/// What went well is not done again. However often a run is resumed, there is one new run.
#[derive(Args, Debug)]
struct Resume {
    /// The run's id, as `forebay pipeline run` prints it.
    #[arg(value_parser = submit::id)]
    id: JobId,
    /// Shows how far it is until it has ended, and ends with 1 unless that is DONE.
    #[arg(short, long)]
    watch: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Resume {
    fn run(self) -> Result<Exit, Failed> {
        let client = self.connection.open()?;
        let answer = ask(&client, "run.resume", &[("id", self.id.to_string())])?;
        let new = submit::id(text(&answer, "resumed_as")).map_err(|why| Failed::new(Exit::Refused, why))?;
        show::line(new)?;
        if self.watch { watch::watch(&client, new) } else { Ok(Exit::Done) }
    }
}

/// Gives a run its context, which each worker gets with a job of the run; a run that is held for it begins.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  run=$(forebay pipeline run report.toml --hold)
  forebay pipeline context $run '{\"customer\": 7}'
A worker written in C reads it with forebay_job_context; to one that is a command it is the variable FOREBAY_HEADER_FOREBAY_CONTEXT.")]
struct Context {
    /// The run's id, as `forebay pipeline run` prints it.
    #[arg(value_parser = submit::id)]
    run: JobId,
    /// Up to 2,000 bytes.
    context: String,
    /// How long to wait until the broker has confirmed, such as 10s.
    #[arg(short, long, value_name = "TIME", default_value = "30s", value_parser = time::parse)]
    timeout: Duration,
    #[command(flatten)]
    connection: Connection,
}

impl Context {
    fn run(self) -> Result<Exit, Failed> {
        let client = self.connection.open()?;
        client.set_context(self.run, self.context.as_bytes(), Some(self.timeout))?;
        Ok(Exit::Done)
    }
}

fn list(runs: &[Value]) -> Table {
    let mut table = show::table();
    table.set_header(["RUN", "NAME", "STATE", "STEPS", "TOOK", "NOTE"]);
    for run in runs {
        table.add_row([
            text(run, "id").to_owned(),
            text(run, "name").to_owned(),
            jobs::state(run),
            format!("{} of {}", count(run, "steps_done"), count(run, "steps")),
            time::span(count(run, "duration_ms")),
            text(run, "message").to_owned(),
        ]);
    }
    table
}

/// A run for people: how it stands, then its steps.
fn tell(run: &Value) -> Result<(), Failed> {
    show::coloured_line(headline(run))?;
    if let Some(context) = run["context"].as_str() {
        show::line(format_args!("context: {}", readable(context)))?;
    }
    let detail = text(run, "detail");
    if !detail.is_empty() {
        show::line(detail.trim_end())?;
    }
    show::line(format_args!("\n{}", steps(run)))?;
    let path: Vec<&str> = rows(run, "critical_path").iter().filter_map(Value::as_str).collect();
    if path.len() > 1 {
        show::line(format_args!("\nlongest path: {}", path.join(" > ")))?;
    }
    Ok(())
}

/// The bytes that these digits stand for where they are text of one line; else the digits.
fn readable(hex: &str) -> String {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = hex.as_bytes().chunks(2).map(byte).collect();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.filter(|text| !text.contains(char::is_control)).unwrap_or_else(|| hex.to_owned())
}

/// One line that says how a run stands, and why.
fn headline(run: &Value) -> String {
    let style = match text(run, "outcome") {
        "DONE" => show::WELL,
        "WAITING" | "RUNNING" => show::NOTED,
        _ => show::WRONG,
    };
    let why = match text(run, "message") {
        "" if text(run, "stage") == "held" => ": it is held until it has its context".to_owned(),
        "" => String::new(),
        message => format!(": {message}"),
    };
    format!(
        "run {} of {}: {style}{}{style:#}, {} of {} steps done, {}{why}",
        text(run, "id"),
        text(run, "name"),
        jobs::state(run),
        count(run, "steps_done"),
        count(run, "steps"),
        time::span(count(run, "duration_ms")),
    )
}

/// The steps of a run as a table.
fn steps(run: &Value) -> Table {
    let mut table = show::table();
    table.set_header(["STEP", "QUEUE", "STATE", "WAITED", "TOOK", "ATTEMPTS", "WORKER", "NOTE"]);
    for step in rows(run, "step_list") {
        let between = |from: &str, to: &str| match (step[from].as_u64(), step[to].as_u64()) {
            (Some(from), Some(to)) => time::span(to.saturating_sub(from)),
            _ => String::new(),
        };
        table.add_row([
            text(step, "name").to_owned(),
            text(step, "queue").to_owned(),
            text(step, "outcome").to_owned(),
            between("queued_ms", "started_ms"),
            between("started_ms", "ended_ms"),
            attempts(step),
            text(step, "worker").to_owned(),
            note(step),
        ]);
    }
    table
}

/// How often its job was begun, or how many of its jobs are done.
fn attempts(step: &Value) -> String {
    match (step["attempts"].as_u64(), step["jobs"].as_u64()) {
        (Some(attempts), _) => attempts.to_string(),
        (None, Some(jobs)) => format!("{} of {jobs} jobs", count(step, "jobs_done")),
        (None, None) => String::new(),
    }
}

/// What is worth a word about a step.
fn note(step: &Value) -> String {
    if let Some(why) = step["why"].as_str() {
        return why.to_owned();
    }
    let progress =
        step["progress"].as_f64().filter(|fraction| *fraction > 0.0 && step["outcome"] == "RUNNING");
    if let Some(fraction) = progress {
        return format!("{:.0} %", fraction * 100.0);
    }
    let said = [text(step, "code"), text(step, "message")];
    said.into_iter().filter(|said| !said.is_empty()).collect::<Vec<_>>().join(": ")
}
