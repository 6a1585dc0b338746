//! One process that does one job: its input is written, its output read and its end waited for on one thread.
//!
//! Invariant: when `finish` returns, the process has been waited for and nobody is left in its process group.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use forebay::api::{Body, Stop};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use crate::cli::worker::ending::how;
use crate::cli::worker::guard::Guard;
use crate::cli::worker::limits::STOP_ASK;
use crate::cli::worker::tail::{Tail, read_now};
use crate::slot::reap;

/// What a process used, as facts of a result's meta.
pub(super) type Facts = Vec<(&'static str, u64)>;

/// Signals by which somebody asks a process to end, as a service manager does with all it has started: no fault of the job's.
const ASKS: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];

/// A step that is taken because the job is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Term,
    Kill,
}

/// How a process ended.
pub(super) enum Ended {
    /// With 0: the result.
    Well { result: Vec<u8>, used: Facts },
    /// Otherwise.
    Badly {
        /// For people.
        how: String,
        /// For programs: the name of the signal that it died of, or "exit".
        code: String,
        /// It died of a signal that nobody sends to end a process in order.
        is_crash: bool,
        /// The end of its standard error.
        said: String,
        used: Facts,
    },
    /// It could not be started.
    NotBegun(io::Error),
    /// It was killed because the host ends.
    CutOff,
}

/// A process at work.
pub(super) struct Attempt {
    child: Child,
    handle: OwnedFd,
    group: Pid,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    input: Body,
    /// Frames of the input that were written, and bytes of the next.
    written: (usize, usize),
    output: Vec<u8>,
    said: Tail,
    guard: Arc<Guard>,
}

impl Attempt {
    /// Starts the process.
    pub(super) fn start(mut command: Command, input: &Body, guard: &Arc<Guard>) -> io::Result<Attempt> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.process_group(0).spawn()?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let watched = || {
            let id = Pid::from_raw(child.id().cast_signed()).ok_or(io::ErrorKind::NotFound)?;
            let handle = pidfd_open(id, PidfdFlags::empty())?;
            for pipe in [stdin.as_ref().map(AsFd::as_fd), stdout.as_ref().map(AsFd::as_fd)] {
                pipe.map_or(Ok(()), |pipe| rustix::io::ioctl_fionbio(pipe, true))?;
            }
            stderr.as_ref().map_or(Ok(()), |pipe| rustix::io::ioctl_fionbio(pipe, true))?;
            Ok::<_, io::Error>((id, handle))
        };
        let (group, handle) = match watched() {
            Ok(watched) => watched,
            Err(error) => {
                let _ = child.kill().and_then(|()| child.wait());
                return Err(error);
            }
        };
        guard.begun(group);
        let (input, written) = (input.clone(), (0, 0));
        let (output, said, guard) = (Vec::new(), Tail::default(), Arc::clone(guard));
        Ok(Attempt { child, handle, group, stdin, stdout, stderr, input, written, output, said, guard })
    }

    /// The process.
    pub(super) fn id(&self) -> Pid {
        self.group
    }

    /// Feeds it and waits for its end. When the job is to stop it gets SIGTERM, and SIGKILL after `grace`, each when `told` has
    /// heard of it; when everything is over, SIGKILL.
    pub(super) fn finish(
        mut self,
        grace: Duration,
        stop: impl Fn() -> Stop,
        told: impl Fn(Step),
        is_over: &AtomicBool,
    ) -> Ended {
        let mut kill_at: Option<Instant> = None;
        let mut is_killed = false;
        let mut is_cut_off = false;
        loop {
            let has_ended = self.wait();
            self.write();
            self.read();
            if has_ended {
                break;
            }
            if is_over.load(Ordering::Relaxed) && !is_cut_off {
                is_cut_off = true;
                self.signal(Signal::KILL);
            }
            match kill_at {
                None if stop().0 != 0 => {
                    told(Step::Term);
                    self.signal(Signal::TERM);
                    kill_at = Some(Instant::now() + grace);
                }
                Some(at) if at <= Instant::now() && !is_killed => {
                    told(Step::Kill);
                    is_killed = true;
                    self.signal(Signal::KILL);
                }
                _ => {}
            }
        }
        // Its number is its group's and still its own: it was not waited for yet.
        self.signal(Signal::KILL);
        self.guard.ended(self.group);
        let (status, used) = reap::wait(&self.child)
            .map_or_else(|_| Default::default(), |(status, used)| (status, used.facts()));
        match status.code() {
            _ if is_cut_off => Ended::CutOff,
            Some(0) => Ended::Well { result: self.output, used },
            code => {
                let signal = status.signal().and_then(signal_hook::low_level::signal_name);
                let is_asked = status.signal().is_some_and(|signal| ASKS.contains(&signal));
                let is_crash = code.is_none() && kill_at.is_none() && !is_asked;
                let code = signal.unwrap_or("exit").to_owned();
                Ended::Badly { how: how(status), code, is_crash, said: self.said.text(), used }
            }
        }
    }

    /// Waits until something is ready, for a moment. Whether the process has ended.
    fn wait(&self) -> bool {
        let mut waits = vec![PollFd::new(&self.handle, PollFlags::IN)];
        waits.extend(self.stdin.as_ref().map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::OUT)));
        waits.extend(self.stdout.as_ref().map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)));
        waits.extend(self.stderr.as_ref().map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)));
        let limit = Timespec { tv_sec: 0, tv_nsec: STOP_ASK.as_nanos() as i64 };
        // Interrupted or not, what is ready is looked at.
        let _ = poll(&mut waits, Some(&limit));
        !waits[0].revents().is_empty()
    }

    /// Writes what fits of the input, and ends it after the last.
    fn write(&mut self) {
        while let Some(stdin) = &mut self.stdin {
            let (frame, at) = self.written;
            let Some(bytes) = self.input.0.get(frame) else {
                self.stdin = None;
                return;
            };
            if at == bytes.len() {
                self.written = (frame + 1, 0);
                continue;
            }
            match stdin.write(&bytes[at..]) {
                Ok(len) => self.written = (frame, at + len),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // It does not want more, which is its own affair.
                Err(_) => self.stdin = None,
            }
        }
    }

    /// Takes what there is of the output.
    fn read(&mut self) {
        let output = &mut self.output;
        if self.stdout.as_mut().is_some_and(|pipe| !read_now(pipe, |bytes| output.extend_from_slice(bytes))) {
            self.stdout = None;
        }
        if self.stderr.as_mut().is_some_and(|pipe| !self.said.read(pipe)) {
            self.stderr = None;
        }
    }

    /// To the process and what it started.
    fn signal(&self, signal: Signal) {
        let _ = kill_process_group(self.group, signal);
    }
}
