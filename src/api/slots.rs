//! The slots of a host: threads that receive jobs and hand each to whoever handles its queue.
//!
//! Invariants: no queue is registered before every thread has begun; a job in hand is handled to its end, also when the
//! host stops, unless it was told to stop and does not; one thread that cannot go on ends all of them.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, getpid, kill_process};

use crate::api::job::Job;
use crate::api::report::{Doing, Place, Report};
use crate::api::worker::Worker;
use crate::model::{Failure, JobId, Status};
use crate::run::settings::{RegisterSettings, WorkerSettings};

/// A thread's stack: what a main thread has, since what handlers call expects it.
const STACK_LEN: usize = 8 << 20;
/// How long a process has to leave where it stood, before it is killed.
const LEAVE: Duration = Duration::from_secs(1);

/// The job that each thread has in hand, for whoever watches over them.
type Hands = [Mutex<Option<Job>>];

/// How a host works.
#[derive(Clone, Debug)]
pub struct HostSettings {
    /// The plugins, by their absolute paths.
    pub load: Vec<String>,
    /// The queues of the only handler, instead of its own; none: its own.
    pub queues: Vec<String>,
    /// Threads that handle jobs.
    pub slots: u32,
    /// The number of the first.
    pub first_slot: u32,
    /// How long a job that was told to stop may go on before the process ends; 0: for ever.
    pub grace_ms: u64,
    /// A file to write into what it does.
    pub report: Option<PathBuf>,
    /// Its connection.
    pub worker: WorkerSettings,
    /// How it takes each queue.
    pub register: RegisterSettings,
}

/// Who handles the jobs of some queues: a plugin, or a command.
pub trait Handler: Sync {
    /// Its name, for people.
    fn name(&self) -> &str;

    /// The queues it handles.
    fn queues(&self) -> &[String];

    /// Begins a slot, on the thread it is for; what is given ends on it too.
    ///
    /// # Errors
    /// Why it cannot.
    fn begin(&self, slot: u32) -> Result<Box<dyn Slot + '_>, Failure>;
}

/// A handler on one thread.
pub trait Slot {
    /// Handles a job. It is answered when this returns.
    fn handle(&mut self, job: Job);
}

/// A worker with threads of its own.
pub struct Host {
    worker: Worker,
    settings: HostSettings,
    report: Option<Report>,
}

impl Host {
    /// Opens its worker, as [`Worker::open`] does. It takes no jobs before it runs.
    ///
    /// # Errors
    /// As for [`Worker::open`]; `ERR_IO` when the report cannot be opened.
    pub fn open(endpoint: Option<&str>, mut settings: HostSettings) -> Result<Host, Failure> {
        settings.worker.slots = Some(settings.slots);
        let report = settings.report.as_deref().map(Report::open).transpose()?;
        let worker = Worker::open(endpoint, settings.worker.clone())?;
        Ok(Host { worker, settings, report })
    }

    /// No new jobs: `run` returns once those in hand are handled. Async-signal-safe.
    pub fn stop(&self) {
        self.worker.stop();
    }

    /// Handles jobs until it is stopped or the broker sends it home. The calling thread is the first slot.
    ///
    /// # Errors
    /// `ERR_OPTION` when two handlers want one queue, or none has any; what kept a slot from beginning; what ended the
    /// worker.
    pub fn run(&self, handlers: &[Box<dyn Handler + '_>]) -> Result<(), Failure> {
        let queues = self.queues(handlers)?;
        let unbegun = AtomicU32::new(self.settings.slots);
        let hands: Vec<Mutex<Option<Job>>> = (0..self.settings.slots).map(|_| Mutex::new(None)).collect();
        let (queues, unbegun, hands) = (&queues[..], &unbegun, &hands[..]);
        thread::scope(|scope| {
            let mut threads = Vec::new();
            let mut result = Ok(());
            // The watching ends with the sender.
            let (_watched, over) = mpsc::channel();
            if self.settings.grace_ms > 0 {
                scope.spawn(move || self.watch(hands, &over));
            }
            for index in 1..self.settings.slots {
                let slot = move || self.serve(index, handlers, queues, unbegun, &hands[index as usize]);
                let name = format!("slot-{}", self.settings.first_slot + index);
                match thread::Builder::new().name(name).stack_size(STACK_LEN).spawn_scoped(scope, slot) {
                    Ok(thread) => threads.push(thread),
                    Err(error) => {
                        self.stop();
                        result = Err(Failure::new(Status::Io, format!("cannot start a thread: {error}")));
                        break;
                    }
                }
            }
            if result.is_ok() {
                result = self.serve(0, handlers, queues, unbegun, &hands[0]);
            }
            for thread in threads {
                let ended = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                result = result.and(ended);
            }
            result
        })
    }

    /// Each queue with the place of its handler.
    fn queues(&self, handlers: &[Box<dyn Handler + '_>]) -> Result<Vec<(String, usize)>, Failure> {
        let wrong = |message: String| Err(Failure::new(Status::Option, message));
        let said = &self.settings.queues;
        if !said.is_empty() && handlers.len() > 1 {
            return wrong(format!(
                "host.queues = \"{}\": there are {} plugins, and each names its own queues",
                said.join(","),
                handlers.len()
            ));
        }
        let mut queues: Vec<(String, usize)> = Vec::new();
        for (place, handler) in handlers.iter().enumerate() {
            let own = if said.is_empty() { handler.queues() } else { said };
            if own.is_empty() {
                return wrong(format!("plugin {} names no queue; say which by host.queues", handler.name()));
            }
            for queue in own {
                if let Some((_, other)) = queues.iter().find(|(known, _)| known == queue) {
                    let other = handlers[*other].name();
                    return wrong(format!("queue {queue} is wanted by {other} and by {}", handler.name()));
                }
                queues.push((queue.clone(), place));
            }
        }
        Ok(queues)
    }

    /// One slot from its beginning to its end. When it cannot go on the others end too.
    fn serve(
        &self,
        index: u32,
        handlers: &[Box<dyn Handler + '_>],
        queues: &[(String, usize)],
        unbegun: &AtomicU32,
        hand: &Mutex<Option<Job>>,
    ) -> Result<(), Failure> {
        let served = self.begin_and_handle(index, handlers, queues, unbegun, hand);
        if served.is_err() {
            self.stop();
        }
        served
    }

    fn begin_and_handle(
        &self,
        index: u32,
        handlers: &[Box<dyn Handler + '_>],
        queues: &[(String, usize)],
        unbegun: &AtomicU32,
        hand: &Mutex<Option<Job>>,
    ) -> Result<(), Failure> {
        let slot = self.settings.first_slot + index;
        let mut slots: Vec<_> =
            handlers.iter().map(|handler| handler.begin(slot)).collect::<Result<_, Failure>>()?;
        if unbegun.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.register(queues)?;
        }
        let mut place = Place::default();
        loop {
            let job = match self.worker.receive(None) {
                Ok(job) => job,
                Err(failure) if failure.status == Status::Drained => return Ok(()),
                Err(failure) if failure.status == Status::Interrupted => continue,
                Err(failure) => return Err(failure),
            };
            let Some((_, at)) = queues.iter().find(|(queue, _)| queue == job.queue()) else { continue };
            if let Some(report) = &self.report {
                place.doing = Some(Doing::of(&job));
                report.write(index, &place);
            }
            self.take(hand, || Some(job.again()));
            slots[*at].handle(job);
            self.take(hand, || None);
            if let Some(report) = &self.report {
                place = Place { handled: place.handled + 1, doing: None };
                report.write(index, &place);
            }
        }
    }

    /// Shows what a thread has in hand, if somebody watches.
    fn take(&self, hand: &Mutex<Option<Job>>, job: impl FnOnce() -> Option<Job>) {
        if self.settings.grace_ms > 0 {
            *hand.lock().unwrap_or_else(PoisonError::into_inner) = job();
        }
    }

    /// Ends the process when a job that was told to stop goes on for too long.
    fn watch(&self, hands: &Hands, over: &Receiver<()>) {
        let grace = Duration::from_millis(self.settings.grace_ms);
        let ask = (grace / 4).clamp(Duration::from_millis(10), Duration::from_secs(1));
        let mut told: Vec<Option<(JobId, Instant)>> = vec![None; hands.len()];
        while over.recv_timeout(ask) == Err(RecvTimeoutError::Timeout) {
            for (hand, told) in hands.iter().zip(&mut told) {
                let hand = hand.lock().unwrap_or_else(PoisonError::into_inner);
                let job = hand.as_ref().filter(|job| job.stop().0 != 0 && !job.is_answered());
                *told = job.map(|job| match *told {
                    Some((id, since)) if id == job.id() => (id, since),
                    _ => (job.id(), Instant::now()),
                });
                if let Some((id, _)) = told.filter(|(_, since)| since.elapsed() >= grace) {
                    log::error!(
                        target: "host",
                        "job={id} was told to stop and goes on after {} ms: the process ends",
                        self.settings.grace_ms
                    );
                    end_process();
                }
            }
        }
    }

    fn register(&self, queues: &[(String, usize)]) -> Result<(), Failure> {
        for (queue, _) in queues {
            self.worker.register(queue, self.settings.register)?;
        }
        if let Some(report) = &self.report {
            report.ready(&queues.iter().map(|(queue, _)| queue.clone()).collect::<Vec<_>>());
        }
        Ok(())
    }
}

/// By the signal of a fault, so that where it stood is told; the kernel hands it to the main thread, which is the first
/// slot. A plugin that took that signal for itself is killed.
fn end_process() {
    let _ = kill_process(getpid(), Signal::ABORT);
    thread::sleep(LEAVE);
    let _ = kill_process(getpid(), Signal::KILL);
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("settings", &self.settings).finish_non_exhaustive()
    }
}
