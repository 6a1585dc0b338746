//! Who ends the commands of a host that was killed: a process beside it that knows which process groups there are, and does
//! nothing but wait for the host to be gone.
//!
//! Invariant: a group is known from its beginning until just before its first process is waited for, so that its number is
//! nobody else's while it is known.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use clap::Args;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::cli::exit::{Exit, Failed};
use crate::cli::signals;

/// Ends what a host leaves behind. Only the host starts it.
#[derive(Args, Debug)]
pub(crate) struct GuardCommand {}

impl GuardCommand {
    /// Reads from its standard input which groups begin (above 0) and end (below), until the host is gone.
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        // It goes when its host goes, and not before.
        signals::on_stop(|_| {})?;
        let mut known = BTreeSet::new();
        let mut word = [0; 4];
        while io::stdin().read_exact(&mut word).is_ok() {
            match i32::from_ne_bytes(word) {
                begun if begun > 0 => known.insert(begun),
                ended => known.remove(&-ended),
            };
        }
        for group in known.into_iter().filter_map(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        Ok(Exit::Done)
    }
}

/// The host's side.
#[derive(Debug)]
pub(super) struct Guard(Mutex<Guarded>);

#[derive(Debug)]
struct Guarded {
    process: Child,
    /// What it was told, for its successor.
    known: BTreeSet<i32>,
}

impl Guard {
    /// Starts the process.
    pub(super) fn start() -> Result<Guard, Failed> {
        let process =
            start().map_err(|error| Failed::new(Exit::System, format!("cannot start the guard: {error}")))?;
        Ok(Guard(Mutex::new(Guarded { process, known: BTreeSet::new() })))
    }

    /// A process group has begun.
    pub(super) fn begun(&self, group: Pid) {
        let mut guarded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        guarded.known.insert(group.as_raw_pid());
        guarded.tell(group.as_raw_pid());
    }

    /// Nobody is left in a process group.
    pub(super) fn ended(&self, group: Pid) {
        let mut guarded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        guarded.known.remove(&group.as_raw_pid());
        guarded.tell(-group.as_raw_pid());
    }
}

impl Guarded {
    fn tell(&mut self, word: i32) {
        let told = |process: &mut Child, word: i32| match &mut process.stdin {
            Some(pipe) => pipe.write_all(&word.to_ne_bytes()),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        };
        if told(&mut self.process, word).is_ok() {
            return;
        }
        // Somebody has killed it: the next one is told everything.
        let again = start().and_then(|process| {
            let mut before = std::mem::replace(&mut self.process, process);
            let _ = before.kill().and_then(|()| before.wait());
            self.known.iter().try_for_each(|group| told(&mut self.process, *group))
        });
        if let Err(error) = again {
            log::warn!(target: "host", "nobody would end the commands if this host were killed: {error}");
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // The end of its input is its end.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

fn start() -> io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    // A group of its own: what ends the host's need not end it.
    command.arg("guard").stdin(Stdio::piped()).stdout(Stdio::null()).process_group(0).spawn()
}
