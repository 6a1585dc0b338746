//! The command line: what can be said, and who does it. Each command is one file.
//!
//! Invariant: standard output carries only what was asked for, so that it can be piped; everything said to people
//! beside it goes to standard error. How a command ends is in `exit`.

mod ask;
mod bench;
mod broker;
mod call;
mod cancel;
mod child;
mod compiler;
mod connection;
mod demo;
mod doctor;
mod events;
mod exit;
mod flags;
mod hosts;
mod job;
mod jobs;
mod keygen;
mod options;
mod payload;
mod pipeline;
mod plugin;
mod prefix;
mod quarantine;
mod queue;
mod run;
mod show;
mod signals;
mod status;
mod store;
mod submit;
mod time;
mod top;
mod version;
mod wait;
mod worker;
mod workers;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use exit::{EXIT_CODES, Exit, Failed};

/// A job broker over ZeroMQ: clients submit jobs to named queues, workers written in C, C++ or any language do them,
/// and the broker sees to it that each job is done although workers crash, connections drop and brokers restart.
#[derive(Debug, Parser)]
#[command(
    name = "forebay",
    version,
    after_help = AFTER_HELP,
    after_long_help = after_long_help(),
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
To begin:
  forebay demo                          C workers on real files, checked; nothing is left behind
  forebay broker &                      a broker for this user on this machine
  forebay run --load ./libresize.so     the same and a host of workers, looked after
  forebay call hello --data World       a job for whichever worker registered the queue \"hello\"
  forebay new-plugin resize             a function to fill in; `forebay worker --load` executes jobs by it
  forebay status                        what is going on
`forebay help COMMAND` explains a command, with examples; `forebay --help` lists the exit codes.";

fn after_long_help() -> String {
    format!("{AFTER_HELP}\n\n{EXIT_CODES}")
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Broker(broker::BrokerCommand),
    Run(run::RunCommand),
    Scale(run::Scale),
    Reload(run::Reload),
    Call(call::Call),
    Submit(submit::SubmitCommand),
    Wait(wait::Wait),
    Cancel(cancel::Cancel),
    Status(status::StatusCommand),
    Top(top::Top),
    Jobs(jobs::Jobs),
    Job(job::Job),
    Queue(queue::Queue),
    Quarantine(quarantine::Quarantine),
    Pipeline(pipeline::Pipeline),
    Workers(workers::Workers),
    Worker(Box<worker::Worker>),
    NewPlugin(plugin::NewPlugin),
    Plugin(plugin::Plugin),
    Events(events::Events),
    Bench(bench::Bench),
    Doctor(doctor::Doctor),
    Options(options::OptionsCommand),
    Keygen(keygen::Keygen),
    Store(store::StoreCommand),
    Version(version::Version),
    #[command(hide = true)]
    Slot(worker::SlotCommand),
    #[command(hide = true)]
    Describe(worker::DescribeCommand),
    #[command(hide = true)]
    Guard(worker::GuardCommand),
    #[command(hide = true)]
    Echo(bench::EchoWorker),
    #[command(hide = true)]
    Compute(bench::ComputeWorker),
    #[command(hide = true)]
    BareProxy(bench::BareProxy),
    #[command(hide = true)]
    BareEcho(bench::BareEcho),
    /// Builds the library and lays out DIR/bin, DIR/include and DIR/lib: what `make install` and the tests use.
    #[command(hide = true)]
    Prefix {
        /// The folder.
        dir: PathBuf,
        /// Removes from DIR what would be laid out, and nothing else.
        #[arg(long)]
        remove: bool,
    },
}

/// Reads the command line, does what it says, and tells how that went.
pub(crate) fn main() -> ExitCode {
    let line = Line::parse();
    forebay::api::log::install();
    let done = match line.command {
        Command::Demo(command) => command.run(),
        Command::Broker(command) => command.run(),
        Command::Run(command) => command.run(),
        Command::Scale(command) => command.run(),
        Command::Reload(command) => command.run(),
        Command::Call(command) => command.run(),
        Command::Submit(command) => command.run(),
        Command::Wait(command) => command.run(),
        Command::Cancel(command) => command.run(),
        Command::Status(command) => command.run(),
        Command::Top(command) => command.run(),
        Command::Jobs(command) => command.run(),
        Command::Job(command) => command.run(),
        Command::Queue(command) => command.run(),
        Command::Quarantine(command) => command.run(),
        Command::Pipeline(command) => command.run(),
        Command::Workers(command) => command.run(),
        Command::Worker(command) => command.run(),
        Command::NewPlugin(command) => command.run(),
        Command::Plugin(command) => command.run(),
        Command::Events(command) => command.run(),
        Command::Bench(command) => command.run(),
        Command::Doctor(command) => command.run(),
        Command::Options(command) => command.run(),
        Command::Keygen(command) => command.run(),
        Command::Store(command) => command.run(),
        Command::Version(command) => command.run(),
        Command::Slot(command) => command.run(),
        Command::Describe(command) => command.run(),
        Command::Guard(command) => command.run(),
        Command::Echo(command) => command.run(),
        Command::Compute(command) => command.run(),
        Command::BareProxy(command) => command.run(),
        Command::BareEcho(command) => command.run(),
        Command::Prefix { dir, remove: false } => lay_out(&dir),
        Command::Prefix { dir, remove: true } => remove(&dir),
    };
    done.map_or_else(report, ExitCode::from)
}

/// The table of commands.
fn command() -> clap::Command {
    Line::command()
}

/// Says why a command failed.
fn report(failed: Failed) -> ExitCode {
    if !failed.message.is_empty() {
        let style = show::WRONG;
        anstream::eprintln!("{style}forebay:{style:#} {failed}");
    }
    failed.exit.into()
}

fn lay_out(dir: &Path) -> Result<Exit, Failed> {
    let prefix = prefix::Prefix::build(dir)?;
    show::line(prefix.root().display())?;
    Ok(Exit::Done)
}

fn remove(dir: &Path) -> Result<Exit, Failed> {
    let removed = prefix::Prefix::remove(dir)?;
    show::line(format_args!("{removed} files removed from {}", dir.display()))?;
    Ok(Exit::Done)
}
