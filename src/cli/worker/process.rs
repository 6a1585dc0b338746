//! One slot process: how it is started, and the thread that watches it.
//!
//! Invariant: a process is waited for by its own thread, and signalled by a descriptor that means it and no later process of
//! the same number.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use forebay::api::JobId;
use forebay::api::report::{self, Doing, Place, Told};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::cli::exit::{Exit, Failed};
use crate::cli::flags::Sources;
use crate::cli::worker::backtrace::{self, Frame};
use crate::cli::worker::escalate::Watched;
use crate::cli::worker::handed::Params;
use crate::cli::worker::life::{Life, Lifetime};
use crate::cli::worker::limits::STAND_PATIENCE;
use crate::cli::worker::pin;
use crate::cli::worker::report::{Seen, State};
use crate::cli::worker::tail::Tail;

/// What the processes of a host are told.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) library: PathBuf,
    pub(super) processes: u32,
    /// Slots of each process.
    pub(super) threads: u32,
    /// Options by their keys; `{slot}` in parameters and the name stands for the slot's number.
    pub(super) options: Vec<(String, String)>,
    pub(super) sources: Sources,
    pub(super) endpoint: Option<String>,
    pub(super) life: Life,
    /// Cores for each slot; 0: any.
    pub(super) cores: u32,
    /// How long running jobs may take once nothing more is to begin.
    pub(super) drain: Duration,
}

/// A process that was started.
pub(super) struct Process {
    pub(super) id: u32,
    /// The number of its first slot.
    pub(super) slot: u32,
    pub(super) begun: Instant,
    /// Which set of parameters it was handed.
    pub(super) handed: u32,
    /// Its slots, by what they do.
    watched: Vec<Watched>,
    /// How long it lives.
    pub(super) life: Lifetime,
    /// Questions that were put to it.
    asked: u32,
    /// It was signalled because a job in it did not stop.
    pub(super) is_condemned: bool,
    handle: Arc<OwnedFd>,
    report: File,
}

/// How a process ended.
pub(super) struct Ended {
    pub(super) id: u32,
    /// Its place among the processes.
    pub(super) place: usize,
    pub(super) status: ExitStatus,
    /// The last it said on standard error.
    pub(super) said: String,
    /// What it used of the machine, for people.
    pub(super) used: String,
}

impl Plan {
    /// The number of the first slot of the process with this place.
    pub(super) fn first_slot(&self, place: usize) -> u32 {
        u32::try_from(place).unwrap_or(u32::MAX).saturating_mul(self.threads)
    }

    /// The command line of the process whose first slot has this number.
    fn command(&self, slot: u32, handed: &Params) -> Result<Command, Failed> {
        let binary = std::env::current_exe().map_err(|error| {
            Failed::new(Exit::System, format!("cannot find this program's file: {error}"))
        })?;
        let mut command = Command::new(binary);
        command.arg("slot").arg("--library").arg(&self.library);
        command.args(["--parent", &std::process::id().to_string()]);
        command.args(["--drain", &format!("{}ms", self.drain.as_millis())]);
        self.sources.hand_on(&mut command);
        let handed = handed.all.iter().map(|(name, value)| (format!("param.{name}"), value));
        let own = self.options.iter().map(|(key, value)| (key.clone(), value));
        for (key, value) in own.chain(handed) {
            let value = value.replace("{slot}", &slot.to_string());
            command.arg("--set").arg(format!("{key}={value}"));
        }
        command.arg("--set").arg(format!("host.slot={slot}")).env("FOREBAY_SLOT", slot.to_string());
        if self.cores > 0 {
            command.args(["--pin", &format!("{slot},{},{}", self.threads, self.cores)]);
            command.envs(pin::variables(self.cores));
        }
        if let Some(endpoint) = &self.endpoint {
            command.env("FOREBAY_BROKER", endpoint);
        }
        Ok(command)
    }
}

impl Process {
    /// Starts the process with this place, with parameters it is handed. `tell` hears of its end.
    pub(super) fn start<News: From<Ended> + Send + 'static>(
        plan: &Plan,
        place: usize,
        handed: &Params,
        tell: Sender<News>,
    ) -> Result<Process, Failed> {
        let said = |error: io::Error| Failed::new(Exit::System, format!("cannot start a slot: {error}"));
        let report = rustix::fs::memfd_create("forebay-report", MemfdFlags::CLOEXEC);
        let report = File::from(report.map_err(|error| said(error.into()))?);
        let slot = plan.first_slot(place);
        let mut command = plan.command(slot, handed)?;
        command.stdin(report.try_clone().map_err(said)?).stderr(Stdio::piped());
        // A group of its own: Ctrl-C is for the host, which drains.
        let mut child = command.process_group(0).spawn().map_err(said)?;
        let id = child.id();
        let watched = watched(&mut child);
        let (handle, stderr) = match watched {
            Ok(watched) => watched,
            Err(error) => {
                let _ = child.kill().and_then(|()| child.wait());
                return Err(said(error));
            }
        };
        let theirs = Arc::clone(&handle);
        let watch = move || {
            let ended = watch(child, stderr, &theirs);
            // Nobody listens any more when the host has ended.
            let _ = tell.send(Ended { place, ..ended }.into());
        };
        thread::Builder::new().name(format!("watch-{slot}")).spawn(watch).map_err(said)?;
        Ok(Process {
            id,
            slot,
            begun: Instant::now(),
            handed: handed.number,
            watched: vec![Watched::default(); plan.threads as usize],
            life: plan.life.begin(Instant::now()),
            asked: 0,
            is_condemned: false,
            handle,
            report,
        })
    }

    /// Sends it a signal; nothing if it has ended.
    pub(super) fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(&self.handle, signal);
    }

    /// Sends it a signal because a job in it did not stop.
    pub(super) fn condemn(&mut self, signal: Signal) {
        self.is_condemned = true;
        self.signal(signal);
    }

    /// Where it stood when it crashed.
    pub(super) fn backtrace(&self) -> Vec<Frame> {
        backtrace::of_crash(&self.report)
    }

    /// Where one of its threads stands now; nothing when it does not tell.
    pub(super) fn stands(&mut self, thread: u32) -> Vec<Frame> {
        self.asked += 1;
        if backtrace::ask(&self.report, thread, self.asked).is_err() {
            return Vec::new();
        }
        self.signal(Signal::URG);
        let until = Instant::now() + STAND_PATIENCE;
        loop {
            match backtrace::of_answer(&self.report, self.asked) {
                Some(frames) => return frames,
                None if Instant::now() >= until => return Vec::new(),
                None => thread::sleep(STAND_PATIENCE / 200),
            }
        }
    }

    /// Its slots.
    pub(super) fn threads(&self) -> u32 {
        self.watched.len() as u32
    }

    /// It has done as many jobs as one process may.
    pub(super) fn is_spent(&self) -> bool {
        self.life.max_jobs().is_some_and(|max| self.handled() >= max)
    }

    /// How far it has come with the job in one of its slots.
    pub(super) fn watched(&mut self, index: u32) -> &mut Watched {
        &mut self.watched[index as usize]
    }

    /// The job in one of its slots, what that was told, and the thread that does it.
    pub(super) fn job(&self, index: u32) -> Option<(Doing, Told, u32)> {
        let place = report::place(&self.report, index).ok()?;
        let doing = place.doing?;
        let told = report::told(&self.report, index, &doing).ok()?;
        Some((doing, told, place.thread))
    }

    /// What its slots do.
    pub(super) fn seen(&self, state: State) -> Vec<Seen> {
        let queues = self.queues().unwrap_or_default();
        let seen = |index| {
            let place = report::place(&self.report, index).unwrap_or_default();
            Seen {
                slot: self.slot + index,
                state,
                pid: Some(self.id),
                thread: (self.threads() > 1).then_some(place.thread),
                queue: queue_of(&place, &queues),
                place,
            }
        };
        (0..self.threads()).map(seen).collect()
    }

    /// The jobs in its slots.
    pub(super) fn at_hand(&self) -> Vec<JobId> {
        let doing = |index| report::place(&self.report, index).ok()?.doing;
        (0..self.threads()).filter_map(doing).map(|doing| doing.id).collect()
    }

    /// The queues it serves, once it is ready.
    pub(super) fn queues(&self) -> Option<Vec<String>> {
        report::queues(&self.report).ok().flatten()
    }

    /// Jobs it has handled.
    pub(super) fn handled(&self) -> u64 {
        let handled = |index| report::place(&self.report, index).map_or(0, |place| place.handled);
        (0..self.threads()).map(handled).sum()
    }
}

/// The queue of the job in a place.
pub(super) fn queue_of(place: &Place, queues: &[String]) -> Option<String> {
    queues.get(place.doing?.queue as usize).cloned()
}

/// What the watching needs: a descriptor for the process, and its standard error, which is read without waiting.
fn watched(child: &mut Child) -> io::Result<(Arc<OwnedFd>, ChildStderr)> {
    let id = Pid::from_raw(child.id().cast_signed()).ok_or(io::ErrorKind::NotFound)?;
    let handle = pidfd_open(id, PidfdFlags::empty())?;
    let stderr = child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
    rustix::io::ioctl_fionbio(&stderr, true)?;
    Ok((Arc::new(handle), stderr))
}

/// What a process has used: its processor time and page faults, as proc(5) tells.
fn used(id: u32) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // The name, in brackets, may have spaces.
    let fields: Vec<u64> = stat
        .rsplit_once(')')
        .map_or("", |(_, rest)| rest)
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(0))
        .collect();
    let [_, _, _, _, _, _, _, minor, _, major, _, user, system, ..] = fields[..] else {
        return String::new();
    };
    let ticks = rustix::param::clock_ticks_per_second();
    let seconds = |count: u64| count as f64 / ticks.max(1) as f64;
    format!(
        "{:.2} s of processor time ({:.2} s in the system), {minor} page faults, {major} of them from disk",
        seconds(user + system),
        seconds(system)
    )
}

/// Passes on what the process says until it has ended.
fn watch(mut child: Child, mut stderr: ChildStderr, handle: &OwnedFd) -> Ended {
    let mut tail = Tail::default();
    let mut is_open = true;
    loop {
        let mut waits =
            [PollFd::new(handle, PollFlags::IN), PollFd::from_borrowed_fd(stderr.as_fd(), PollFlags::IN)];
        let count = if is_open { 2 } else { 1 };
        // Interrupted or not, what is ready is looked at below.
        let _ = poll(&mut waits[..count], None);
        let has_ended = !waits[0].revents().is_empty();
        is_open = is_open && tail.read(&mut stderr);
        if has_ended {
            // It is a zombie until it is waited for, and its numbers are there.
            let used = used(child.id());
            let status = child.wait().unwrap_or_default();
            return Ended { id: child.id(), place: 0, status, said: tail.text(), used };
        }
    }
}
