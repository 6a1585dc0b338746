//! `forebay slot`: one process of a worker host. Only the host starts it, with a file for its report as standard input.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use clap::Args;

use crate::cli::exit::{Exit, Failed};
use crate::cli::flags::Sources;
use crate::cli::worker::pin;
use crate::cli::{signals, time};
use crate::slot::{Fault, Library, crash};

/// One process of a worker host, which starts it.
#[derive(Args, Debug)]
pub(crate) struct SlotCommand {
    /// The shared library.
    #[arg(long)]
    library: PathBuf,
    /// The process that looks after this one.
    #[arg(long)]
    parent: i32,
    /// How long a running job may take when that is gone.
    #[arg(long, value_parser = time::parse)]
    drain: Duration,
    /// The first slot, how many there are, and how many cores each is kept to.
    #[arg(long, value_delimiter = ',', num_args = 1)]
    pin: Vec<u32>,
    #[command(flatten)]
    sources: Sources,
}

impl SlotCommand {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        let report = report()?;
        // Before there is any other thread, so that all are kept there.
        if let [slot, slots, cores] = self.pin[..]
            && !pin::here(slot..slot + slots, cores)
        {
            log::warn!(target: "host", "slot {slot}: the system does not let it be kept to its cores");
        }
        crash::watch(report.as_raw_fd());
        let library = open(&self.library)?;
        let (parent, drain) = (self.parent, self.drain);
        let stop = move || {
            library.stop();
            if !signals::is_child_of(parent) {
                end_after(drain);
            }
        };
        signals::on_stop(move |_| stop())?;
        if !signals::end_with(parent) {
            stop();
        }
        let mut options = self.sources.pairs()?;
        options.push(("host.report".to_owned(), format!("/proc/self/fd/{}", report.as_raw_fd())));
        library.run(self.sources.config(), &options)?;
        Ok(Exit::Done)
    }
}

/// Ends this process when it has not drained by then; nobody else is there to do it.
fn end_after(drain: Duration) {
    thread::spawn(move || {
        thread::sleep(drain);
        log::error!(target: "host", "its host is gone, and what runs has not ended in {}: the process ends", time::show(drain));
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    });
}

/// The library at this path.
pub(crate) fn open(path: &std::path::Path) -> Result<Library, Failed> {
    Library::open(path)
        .map_err(|why| Failed::new(Exit::System, format!("cannot use {}: {why}", path.display())))
}

/// The file for the report, moved away from where handlers may read.
fn report() -> Result<OwnedFd, Failed> {
    let said = |error: std::io::Error| Failed::new(Exit::System, format!("cannot take the report: {error}"));
    let report = rustix::io::fcntl_dupfd_cloexec(std::io::stdin(), 3).map_err(|error| said(error.into()))?;
    let nothing = File::open("/dev/null").map_err(said)?;
    rustix::stdio::dup2_stdin(nothing).map_err(|error| said(error.into()))?;
    Ok(report)
}

impl From<Fault> for Failed {
    /// As for the failures of this binary's own library.
    fn from(fault: Fault) -> Self {
        let status = forebay::api::Status::from_number(fault.status.into());
        let status = status.unwrap_or(forebay::api::Status::Panic);
        let mut failed = Failed::from(forebay::api::Failure::new(status, fault.message));
        match status {
            // A plugin of another interface: another file would be right.
            forebay::api::Status::Unsupported => failed.exit = Exit::Usage,
            // A plugin that did not begin may do so later.
            forebay::api::Status::State => failed.exit = Exit::System,
            _ => {}
        }
        failed
    }
}
