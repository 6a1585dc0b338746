//! `forebay slot`: one process of a worker host. Only the host starts it, with a file for its report as standard input.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use clap::Args;

use crate::cli::exit::{Exit, Failed};
use crate::cli::flags::Sources;
use crate::cli::signals;
use crate::cli::worker::pin;
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
        signals::on_stop(move |_| library.stop())?;
        if !signals::end_with(self.parent) {
            library.stop();
        }
        let mut options = self.sources.pairs()?;
        options.push(("host.report".to_owned(), format!("/proc/self/fd/{}", report.as_raw_fd())));
        library.run(self.sources.config(), &options)?;
        Ok(Exit::Done)
    }
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
