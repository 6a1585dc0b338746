//! `forebay run`: a broker and worker hosts from one command or one file, looked after as long as it runs; and how it is spoken
//! to meanwhile.
//!
//! It runs no job and holds none: the broker and each host are processes, this program again.

mod change;
mod control;
mod file;
mod host;
mod limits;
mod member;
mod notify;
mod seat;
mod supervise;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use forebay::api::log as journal;

pub(crate) use control::{Reload, Scale};

use crate::cli::exit::{Exit, Failed};
use crate::cli::time;

/// The file that is read when nothing is said.
const FILE: &str = "forebay.toml";

/// Runs a broker and worker hosts, as a file or the command line says, until SIGTERM or Ctrl-C.
///
/// What ends by itself is started again: at once the first time, then later and later, up to 10 seconds. What ends five times
/// in a row before it is ready, or ten times within a minute, ends all of it. SIGTERM drains: first the hosts, then the broker.
///
/// The file is forebay.toml in the current folder, or --config. Its tables: [broker], [worker] and the others are options as
/// `forebay options` lists them; each [[workers]] is a host, with the flags of `forebay worker` as keys; [queues.NAME] has rules
/// for jobs; [run] has this command's own. docs/HOST.md has all of them.
///
/// When all are ready a line on standard output says so, and systemd is told (Type=notify).
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  forebay run                                       what forebay.toml says
  forebay run --load ./libresize.so --slots 4       a broker and a host of a plugin
  forebay run --memory --queue wc -- wc -c          a broker and a host of a command
While it runs:
  forebay scale resize 8                            so many slots for a queue
  forebay reload                                    the file and the plugins anew, without an interruption")]
pub(crate) struct RunCommand {
    /// A file like forebay.toml.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["load", "command"])]
    config: Option<PathBuf>,
    /// A plugin for a host; may be repeated.
    #[arg(long, value_name = "FILE", conflicts_with = "command")]
    load: Vec<PathBuf>,
    /// A queue that the host serves; may be repeated.
    #[arg(short, long, value_name = "NAME")]
    queue: Vec<String>,
    /// The host's slots; default: one for each core.
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    slots: Option<u32>,
    /// A parameter of the plugin; may be repeated.
    #[arg(long = "param", value_name = "NAME=VALUE", conflicts_with = "command")]
    params: Vec<String>,
    /// An address that the broker listens at; may be repeated. Default: this user's own on this machine.
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<String>,
    /// Where the broker keeps jobs.
    #[arg(long, value_name = "DIR", conflicts_with = "memory")]
    store: Option<PathBuf>,
    /// The broker keeps jobs in memory only.
    #[arg(long)]
    memory: bool,
    /// How long running jobs may take to end after SIGTERM, such as 30s.
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    drain: Option<Duration>,
    /// The socket by which `forebay scale` and `forebay reload` speak to it. Default: in this user's private folder.
    #[arg(long, value_name = "FILE", env = control::VARIABLE)]
    control: Option<PathBuf>,
    /// What is logged: error, warn, info, debug or trace, also for a part alone, such as info,host=debug.
    #[arg(long, value_name = "LEVELS", env = "FOREBAY_LOG", default_value = "info")]
    log: String,
    /// The command that does a job, and its arguments.
    #[arg(last = true, value_name = "COMMAND", requires = "queue")]
    command: Vec<OsString>,
}

/// Everything that is to run.
#[derive(Clone, Debug, Default)]
struct Plan {
    /// The broker's flags.
    broker: Vec<OsString>,
    hosts: Vec<host::Spec>,
    /// Rules for queues, by their names.
    queues: Vec<(String, Vec<(String, String)>)>,
    /// Options of the connection over which the broker is told of them.
    client: Vec<(String, String)>,
    drain: Option<Duration>,
    control: Option<PathBuf>,
}

impl RunCommand {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        journal::set_levels(&self.log)?;
        let mut plan = self.plan()?;
        plan.control = self.control.clone().or(plan.control);
        let control = control::Listener::bind(plan.control.clone())?;
        supervise::run(plan, &|| self.plan(), control)
    }

    /// What is to run, read anew each time.
    fn plan(&self) -> Result<Plan, Failed> {
        let mut plan = if self.load.is_empty() && self.command.is_empty() {
            let path = self.config.as_deref().unwrap_or(Path::new(FILE));
            if self.config.is_none() && !path.exists() {
                return Err(Failed::usage(format!(
                    "what is to run? there is no {FILE} here; right would be --config FILE, --load FILE, or `-- COMMAND`"
                )));
            }
            file::read(path)?
        } else {
            Plan { hosts: vec![self.host()?], ..Plan::default() }
        };
        for address in &self.listen {
            plan.broker.extend(["--listen".into(), address.into()]);
        }
        if let Some(store) = &self.store {
            plan.broker.extend(["--store".into(), store.into()]);
        }
        if self.memory {
            plan.broker.push("--memory".into());
        }
        plan.drain = self.drain.or(plan.drain);
        let drain = plan.drain.unwrap_or(limits::DRAIN);
        let drain = OsString::from(format!("{}ms", drain.as_millis()));
        plan.broker.extend(["--drain".into(), drain.clone()]);
        for host in &mut plan.hosts {
            if !host.says("--drain") {
                host.flags.extend(["--drain".into(), drain.clone()]);
            }
        }
        Ok(plan)
    }

    /// The host of the command line.
    fn host(&self) -> Result<host::Spec, Failed> {
        let mut flags: Vec<OsString> = Vec::new();
        for path in &self.load {
            flags.extend(["--load".into(), path.into()]);
        }
        for queue in &self.queue {
            flags.extend(["--queue".into(), queue.into()]);
        }
        for param in &self.params {
            flags.extend(["--param".into(), param.into()]);
        }
        let name = match (self.queue.first(), self.load.first()) {
            (Some(queue), _) => queue.clone(),
            (None, Some(path)) => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            (None, None) => {
                return Err(Failed::usage("who does the jobs? right would be --load FILE, or `-- COMMAND`"));
            }
        };
        Ok(host::Spec { name, flags, slots: self.slots, command: self.command.clone() })
    }
}
