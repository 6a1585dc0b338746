//! `forebay broker`: the broker as a process, from its start to the last running job.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use forebay::api::{Broker, Failure, Status, log as journal};

use crate::cli::exit::{Exit, Failed};
use crate::cli::flags::{BrokerFlags, Flags, Sources};
use crate::cli::{show, signals, time};

/// Runs a broker until SIGTERM or Ctrl-C.
///
/// Without --listen it serves this user on this machine, at an address that clients and workers find by themselves.
/// Each address is printed as a line `listening on ADDRESS` on standard output when it can be reached.
/// Jobs that are submitted durable are on disk before they are acknowledged: in --store, or without it in a private
/// folder of this user ($XDG_STATE_HOME/forebay/store, else ~/.local/state/forebay/store).
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  forebay broker
  forebay broker --listen ipc:///run/jobs/forebay --listen tcp://0.0.0.0:7711 --key-file broker.key
  forebay broker --store /var/lib/jobs --store-max 50Gi
  forebay broker --memory
  forebay broker --config forebay.toml --log broker=debug,net=warn --log-format json
SIGTERM drains: no new jobs, what runs may end. A second SIGTERM, or --drain over, ends it at once.
TCP needs keys (see `forebay keygen`) or --insecure: who reaches the port can have jobs run.")]
pub(crate) struct BrokerCommand {
    #[command(flatten)]
    flags: Flags<BrokerFlags>,
    /// Keeps jobs in memory only: no store, and durable jobs are refused.
    #[arg(long, conflicts_with = "broker.store", help_heading = "The broker")]
    memory: bool,
    /// How long running jobs may take to end after SIGTERM, such as 30s.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time::parse, help_heading = "The broker")]
    drain: Duration,
    /// What is logged: error, warn, info, debug or trace, also for a part alone, such as info,net=debug.
    #[arg(
        long,
        value_name = "LEVELS",
        env = "FOREBAY_LOG",
        default_value = "info",
        help_heading = "The broker"
    )]
    log: String,
    /// Ends with the process that started it, which has this number.
    #[arg(long, hide = true)]
    parent: Option<i32>,
    #[command(flatten)]
    sources: Sources,
}

impl BrokerCommand {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        let mut options = self.sources.options()?;
        self.flags.apply(&mut options)?;
        journal::set_levels(&self.log)?;
        journal::set_output(&options.log_settings()?)?;
        let mut settings = options.broker_settings()?;
        settings.store = match settings.store {
            _ if self.memory => None,
            Some(dir) => Some(dir),
            None => Some(default_store()?),
        };
        let broker = Arc::new(Broker::start(settings).map_err(not_started)?);
        let drain = self.drain;
        signals::on_stop_of(&broker, move |broker, count| {
            let broker = Arc::clone(broker);
            // Each on its own thread: the second signal must not wait behind the first one's drain.
            std::thread::spawn(move || stop(&broker, count, drain));
        })?;
        if self.parent.is_some_and(|parent| !signals::end_with(parent)) {
            stop(&broker, 1, drain);
        }
        for endpoint in broker.endpoints() {
            show::line(format_args!("listening on {endpoint}"))?;
        }
        broker.wait(None)?;
        log::info!(target: "broker", "stopped");
        Ok(Exit::Done)
    }
}

/// The store of a broker that was not told of one.
fn default_store() -> Result<PathBuf, Failed> {
    // As the XDG base directory specification says: a relative path counts as none.
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::home_dir().filter(|home| home.is_absolute());
    let state = state.or_else(|| home().map(|home| home.join(".local/state"))).ok_or_else(|| {
        Failed::usage(
            "there is no home folder to keep jobs in; say where (--store DIR), or keep none (--memory)"
                .to_owned(),
        )
    })?;
    Ok(state.join("forebay").join("store"))
}

/// What the broker refuses before it runs is wrong in what it was told: TCP without keys, a store of a later version.
fn not_started(failure: Failure) -> Failed {
    let status = failure.status;
    let mut failed = Failed::from(failure);
    if matches!(status, Status::Denied | Status::Unsupported) {
        failed.exit = Exit::Usage;
    }
    failed
}

/// Drains and stops; at once when asked again.
fn stop(broker: &Broker, count: u32, drain: Duration) {
    /// How long GOODBYE may take to reach everybody.
    const GOODBYE: Duration = Duration::from_secs(2);
    if count == 1 {
        log::info!(target: "broker", "draining: no new jobs; what runs has {}", time::show(drain));
        match broker.drain(Some(drain)) {
            Err(failure) if failure.status == Status::TimedOut => {
                log::warn!(target: "broker", "some jobs still run after {}; stopping", time::show(drain));
            }
            _ => {}
        }
    }
    if let Err(failure) = broker.stop(Some(GOODBYE)) {
        log::warn!(target: "broker", "stopping: {failure}");
    }
}
