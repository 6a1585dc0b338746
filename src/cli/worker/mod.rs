//! `forebay worker`: a host that executes jobs by plugins or by a command, and how a worker is sent home.
//!
//! With plugins the process that was started looks after others and runs none of their code: that is done by slot
//! processes, this program again, each of which is one worker with a connection of its own. With a command it is one worker
//! itself, and each job a process.

mod attempt;
mod backtrace;
mod board;
mod command;
mod describe;
mod drain;
mod ending;
mod escalate;
mod guard;
mod handed;
mod life;
mod limits;
mod pin;
mod places;
mod process;
mod report;
mod slot;
mod supervise;
mod tail;
mod usage;
mod verdict;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use forebay::api::{ClientSettings, Options, log as journal};

use crate::cli::exit::{Exit, Failed};
use crate::cli::flags::{Sources, split};
use crate::cli::{signals, time};

pub(crate) use describe::DescribeCommand;
pub(crate) use ending::how;
pub(crate) use guard::GuardCommand;
pub(crate) use places::{absolute, library};
pub(crate) use slot::{SlotCommand, open};

/// Executes jobs by plugins, which are shared objects with a function, or by any command.
///
/// With --load each slot is a process of its own with a connection of its own, so that a crash costs one attempt at one job and disturbs
/// nobody else. A process that ends by itself is started again: at once the first time, then later and later, up to 10
/// seconds, until one has lived for 10 seconds or handled a job. One that ends five times in a row before it is ready ends
/// the host.
///
/// With a command after `--` each job is a process: the payload is its standard input, the result its standard output. It
/// went well with exit code 0; else the attempt failed, and the job's detail has the end of standard error. FOREBAY_ID,
/// FOREBAY_QUEUE, FOREBAY_ATTEMPT, FOREBAY_ATTEMPTS_MAX, FOREBAY_TIME_LEFT_MS, FOREBAY_SLOT and FOREBAY_HEADER_NAME for each
/// header tell it the rest. One that is ended by a signal of its own has crashed, and its job is quarantined the second time.
///
/// A job that is cancelled or out of time is told so. A plugin's that goes on for --grace is ended with its process: by
/// SIGTERM, and after --kill-grace by SIGKILL. A command gets SIGTERM at once and SIGKILL after --kill-grace, with all it started.
/// The job's history has each step and where a plugin's job stood; so it has at the job's soft limit.
///
/// When all are ready `N slots serve QUEUES` is printed on standard output.
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true,
    after_help = "\
Examples:
  forebay worker --load ./libresize.so
  forebay worker --load ./libresize.so --slots 4 --param quality=90
  forebay worker --load ./libgpu.so --slots 2 --param device={slot} --name gpu-{slot}
  forebay worker --queue wc -- wc -c
  forebay worker --queue thumb --slots 4 -- convert - -resize 200x200 png:-
  forebay worker drain render-3
SIGTERM drains: no new jobs, what runs may end. A second SIGTERM, or --drain over, ends it at once.
`forebay new-plugin NAME` writes a plugin that builds, `forebay plugin test` runs one without a broker."
)]
pub(crate) struct Worker {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    host: Host,
}

#[derive(Debug, Subcommand)]
enum Action {
    Drain(drain::Drain),
}

/// What keeps slots apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Isolate {
    /// A process for each slot.
    Process,
    /// One process in which each slot is a thread: what is read once is shared, and a crash ends all of them.
    Thread,
}

#[derive(Args, Debug)]
struct Host {
    /// A plugin, the file of a shared object; may be repeated.
    #[arg(long, value_name = "FILE", conflicts_with = "command")]
    load: Vec<PathBuf>,
    /// A queue to serve, instead of those that the plugin names; may be repeated. Not with several plugins.
    #[arg(short, long, value_name = "NAME")]
    queue: Vec<String>,
    /// Jobs to execute at once; default: one for each core.
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    slots: Option<u32>,
    /// What keeps slots apart.
    #[arg(long, value_enum, default_value_t = Isolate::Process, conflicts_with = "command")]
    isolate: Isolate,
    /// A parameter of the plugin; may be repeated. {slot} in it becomes the slot's number, counted from 0.
    #[arg(long = "param", value_name = "NAME=VALUE", conflicts_with = "command")]
    params: Vec<String>,
    /// The name people see in lists and results; {slot} in it becomes the slot's number.
    #[arg(long)]
    name: Option<String>,
    /// How long running jobs may take to end after SIGTERM, such as 30s.
    #[arg(long, value_name = "TIME", default_value = limits::DRAIN, value_parser = time::parse)]
    drain: Duration,
    /// How long a plugin's job may go on after it was told to stop, such as 5s; then its process gets SIGTERM.
    #[arg(long, value_name = "TIME", default_value = limits::GRACE, value_parser = time::parse)]
    grace: Duration,
    /// How long a process has between SIGTERM and SIGKILL when its job was told to stop.
    #[arg(long, value_name = "TIME", default_value = limits::KILL_GRACE, value_parser = time::parse)]
    kill_grace: Duration,
    /// How often it tells the broker what its slots do and use, such as 5s; 0: never. `forebay status` and `forebay top` show it.
    /// Default: what `forebay queue set NAME report_ms=` says for a queue it serves, else 1s.
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    report_every: Option<Duration>,
    /// A command of the shell that writes what a job's payload, a key in FOREBAY_KEY, stands for; the job gets that instead.
    #[arg(long, value_name = "COMMAND")]
    retrieve: Option<String>,
    /// A command of the shell that reads a job's result and writes what is the result instead, such as a key.
    #[arg(long, value_name = "COMMAND")]
    save: Option<String>,
    /// Keeps each slot to a core of its own, or to so many, and tells OpenMP, OpenBLAS and MKL to use as many threads.
    #[arg(long, value_name = "CORES", num_args = 0..=1, require_equals = true, default_missing_value = "1",
          value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pin: Option<u32>,
    #[command(flatten)]
    life: life::Life,
    /// The broker's address: ipc://PATH, tcp://HOST:PORT; several, separated by commas, are tried in turn.
    /// Default: $FOREBAY_BROKER, else the address of this user's own broker on this machine.
    #[arg(short, long, value_name = "ADDRESS")]
    endpoint: Option<String>,
    /// What is logged: error, warn, info, debug or trace, also for a part alone, such as info,host=debug.
    #[arg(long, value_name = "LEVELS", env = "FOREBAY_LOG", default_value = "info")]
    log: String,
    /// Ends with the process that started it, which has this number.
    #[arg(long, hide = true)]
    parent: Option<i32>,
    #[command(flatten)]
    sources: Sources,
    /// The command that does a job, and its arguments; {slot} in them becomes the slot's number.
    #[arg(last = true, value_name = "COMMAND", requires = "queue")]
    command: Vec<OsString>,
}

impl Worker {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        match self.action {
            Some(Action::Drain(drain)) => drain.run(),
            None => self.host.run(),
        }
    }
}

impl Host {
    fn run(self) -> Result<Exit, Failed> {
        journal::set_levels(&self.log)?;
        if self.parent.is_some_and(|parent| !signals::end_with(parent)) {
            return Ok(Exit::Done);
        }
        if !self.command.is_empty() {
            let teller = self.teller()?;
            let rules = command::Rules {
                endpoint: self.endpoint.clone(),
                grace: self.kill_grace,
                life: self.life.clone(),
                cores: self.pin.unwrap_or(0),
            };
            let slots = self.slots.unwrap_or_else(cores);
            let line = command::CommandLine::new(&self.command, rules, teller, slots)?;
            let mut options = self.sources.options()?;
            for (key, value) in self.options(slots)? {
                options.set(&key, &value.replace("{slot}", "0"))?;
            }
            let reporter = self.reporter(line.name(), slots);
            return line.serve(options.host_settings()?, self.drain, reporter);
        }
        if self.load.is_empty() {
            return Err(Failed::usage("who does the jobs? right would be --load FILE, or `-- COMMAND`"));
        }
        let (plan, taker) = self.plan()?;
        let patience = escalate::Patience { grace: self.grace, kill_grace: self.kill_grace };
        let files = self.load.iter().filter_map(|path| path.file_stem()).map(|stem| stem.to_string_lossy());
        let reporter = self.reporter(&files.collect::<Vec<_>>().join("+"), self.slots.unwrap_or_else(cores));
        supervise::run(&plan, patience, &self.teller()?, reporter, taker)
    }

    /// Who says what the slots do: under the host's name, else under that of what it runs.
    fn reporter(&self, what: &str, slots: u32) -> report::Reporter {
        let name = self.name.as_deref().unwrap_or(what).replace("{slot}", "*");
        report::Reporter::new(name, slots, self.report_every)
    }

    /// Who tells the broker what the host sees, with the keys of the workers.
    fn teller(&self) -> Result<verdict::Teller, Failed> {
        let keys = self.sources.options()?.worker_settings()?.keys;
        let client = ClientSettings { keys, ..ClientSettings::default() };
        verdict::Teller::start(self.endpoint.clone(), client)
    }

    /// What each slot process is told, and what it may be handed besides.
    fn plan(&self) -> Result<(process::Plan, handed::Taker), Failed> {
        let slots = self.slots.unwrap_or_else(cores);
        let (processes, threads) = match self.isolate {
            Isolate::Process => (slots, 1),
            Isolate::Thread => (1, slots),
        };
        if self.isolate == Isolate::Thread {
            self.life.check_shared()?;
        }
        let options = self.options(threads)?;
        // What is wrong in a file or behind --set is said once, and not by each process.
        let mut checked = self.sources.options()?;
        for (key, value) in &options {
            checked.set(key, value)?;
        }
        let plan = process::Plan {
            library: library()?,
            processes,
            threads,
            options,
            sources: self.sources.clone(),
            endpoint: self.endpoint.clone(),
            life: self.life.clone(),
            cores: self.pin.unwrap_or(0),
            drain: self.drain,
        };
        let taker = self.taker(&plan, &checked);
        Ok((plan, taker))
    }

    /// What it takes of what the broker hands to hosts: the parameters that its plugins declare and that it was not given itself.
    fn taker(&self, plan: &process::Plan, own: &Options) -> handed::Taker {
        let files: Vec<String> = self.load.iter().filter_map(|path| absolute(path).ok()).collect();
        // Who never reports is handed nothing.
        let is_silent = self.report_every.is_some_and(|every| every.is_zero());
        let Some(mut declared) = (!is_silent).then(|| describe::ask(&plan.library, &files)).flatten() else {
            return handed::Taker::default();
        };
        if !self.queue.is_empty() {
            declared.queues.clone_from(&self.queue);
        }
        handed::Taker::new(declared, own.params().into_iter().map(|(name, _)| name).collect())
    }

    /// What the flags say, as options of a process with so many slots.
    fn options(&self, slots: u32) -> Result<Vec<(String, String)>, Failed> {
        let load = self.load.iter().map(|path| absolute(path)).collect::<Result<Vec<_>, _>>()?;
        let mut options =
            vec![("host.load".to_owned(), load.join(",")), ("host.slots".to_owned(), slots.to_string())];
        if !self.queue.is_empty() {
            options.push(("host.queues".to_owned(), self.queue.join(",")));
        }
        for text in &self.params {
            let (name, value) = split(text, "--param")?;
            options.push((format!("param.{name}"), value.to_owned()));
        }
        if let Some(max) = self.life.max_jobs() {
            options.push(("host.max_jobs".to_owned(), max.to_string()));
        }
        let hooks = [("host.retrieve", &self.retrieve), ("host.save", &self.save)];
        options
            .extend(hooks.into_iter().filter_map(|(key, command)| Some((key.to_owned(), command.clone()?))));
        if let Some(name) = &self.name {
            options.push(("worker.name".to_owned(), name.clone()));
        }
        Ok(options)
    }
}

/// One slot for each core.
fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1))
}
