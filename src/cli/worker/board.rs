//! What the slots of a command's host do, for its reports: the same places that a slot process writes, and the processes that do
//! the jobs.
//!
//! Invariant: a process is shown from when it was started until it has been waited for, so its number means it.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use forebay::api::report;
use rustix::fs::MemfdFlags;
use rustix::process::Pid;

use crate::cli::exit::{Exit, Failed};
use crate::cli::worker::process::queue_of;
use crate::cli::worker::report::{Reporter, Seen, State};
use crate::cli::worker::verdict::Teller;

/// The slots, and what they do.
#[derive(Debug)]
pub(super) struct Board {
    places: File,
    /// The process of each slot's job; 0: none.
    processes: Vec<AtomicU32>,
}

/// A process on the board; taken away when dropped.
pub(super) struct Shown<'a>(&'a AtomicU32);

/// The thread that reports; it ends when this is dropped.
pub(super) struct Reports {
    over: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Board {
    /// For so many slots.
    pub(super) fn new(slots: u32) -> Result<Board, Failed> {
        let places = rustix::fs::memfd_create("forebay-report", MemfdFlags::CLOEXEC);
        let places = places.map_err(|error| cannot(error.into()))?;
        let processes = (0..slots).map(|_| AtomicU32::new(0)).collect();
        Ok(Board { places: File::from(places), processes })
    }

    /// The file that the slots write their places into.
    pub(super) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.places.as_raw_fd()).into()
    }

    /// Shows the process that does the job of a slot.
    pub(super) fn show(&self, slot: u32, process: Pid) -> Option<Shown<'_>> {
        let shown = self.processes.get(slot as usize)?;
        shown.store(process.as_raw_pid().cast_unsigned(), Ordering::Relaxed);
        Some(Shown(shown))
    }

    /// Has what the slots do told again and again.
    pub(super) fn report(
        self: &Arc<Self>,
        teller: &Arc<Teller>,
        mut reporter: Reporter,
    ) -> Result<Option<Reports>, Failed> {
        let Some(every) = reporter.every() else { return Ok(None) };
        let (over, ended) = mpsc::sync_channel(0);
        let (board, teller) = (Arc::clone(self), Arc::clone(teller));
        let body = move || {
            loop {
                if let Some(report) = reporter.report(Instant::now(), || board.seen()) {
                    teller.tell_report(report);
                }
                if ended.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("reports".into()).spawn(body).map_err(cannot)?;
        Ok(Some(Reports { over: Some(over), thread: Some(thread) }))
    }

    fn seen(&self) -> Vec<Seen> {
        let queues = report::queues(&self.places).ok().flatten();
        let state = if queues.is_some() { State::Ready } else { State::Beginning };
        let queues = queues.unwrap_or_default();
        let slots = (0..).zip(&self.processes);
        let seen = slots.map(|(slot, process)| {
            let place = report::place(&self.places, slot).unwrap_or_default();
            let pid = Some(process.load(Ordering::Relaxed)).filter(|pid| *pid != 0);
            Seen { slot, state, pid, thread: None, queue: queue_of(&place, &queues), place }
        });
        seen.collect()
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

impl Drop for Reports {
    fn drop(&mut self) {
        self.over = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn cannot(error: io::Error) -> Failed {
    Failed::new(Exit::System, format!("cannot tell what the slots do: {error}"))
}
