//! One process of a run: how it is started, and the threads that watch it.
//!
//! Invariant: a process is waited for by its own thread, and signalled by a descriptor that means it and no later process of
//! the same number.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::cli::exit::{Exit, Failed};

/// What a process has to tell.
pub(super) enum Word {
    /// A line on its standard output.
    Said(String),
    /// It has ended.
    Ended(ExitStatus),
}

/// A process that was started.
pub(super) struct Process {
    /// Names it among all that this run has started.
    pub(super) number: u64,
    pub(super) id: u32,
    pub(super) begun: Instant,
    handle: OwnedFd,
}

impl Process {
    /// Starts this program with these arguments. `tell` hears what it says, and then of its end. Only the main thread may call
    /// it: the process ends with the thread that started it.
    pub(super) fn start<News: From<(u64, Word)> + Send + 'static>(
        number: u64,
        arguments: &[OsString],
        endpoint: Option<&str>,
        tell: Sender<News>,
    ) -> Result<Process, Failed> {
        let said = |error: io::Error| Failed::new(Exit::System, format!("cannot start a process: {error}"));
        let mut command = Command::new(std::env::current_exe().map_err(said)?);
        command.env_remove("NOTIFY_SOCKET");
        if let Some(endpoint) = endpoint {
            command.env("FOREBAY_BROKER", endpoint);
        }
        let parent = [OsString::from("--parent"), std::process::id().to_string().into()];
        let (name, flags) = arguments.split_at(1);
        command.args(name).args(parent).args(flags).stdin(Stdio::null()).stdout(Stdio::piped());
        // A group of its own: Ctrl-C is for the run, which drains in order.
        let mut child = command.process_group(0).spawn().map_err(said)?;
        let watched = (|| {
            let id = Pid::from_raw(child.id().cast_signed()).ok_or(io::ErrorKind::NotFound)?;
            Ok::<_, io::Error>(pidfd_open(id, PidfdFlags::empty())?)
        })();
        let handle = match watched {
            Ok(handle) => handle,
            Err(error) => {
                let _ = child.kill().and_then(|()| child.wait());
                return Err(said(error));
            }
        };
        let id = child.id();
        let watch = move || watch(child, |word| drop(tell.send((number, word).into())));
        thread::Builder::new().name(format!("watch-{number}")).spawn(watch).map_err(said)?;
        Ok(Process { number, id, begun: Instant::now(), handle })
    }

    /// Sends it a signal; nothing if it has ended.
    pub(super) fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(&self.handle, signal);
    }
}

fn watch(mut child: Child, tell: impl Fn(Word)) {
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).lines().map_while(Result::ok).for_each(|line| tell(Word::Said(line)));
    }
    tell(Word::Ended(child.wait().unwrap_or_default()));
}
