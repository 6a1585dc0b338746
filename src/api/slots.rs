//! The slots of a host: threads that receive jobs and hand each to whoever handles its queue.
//!
//! Invariants: no queue is registered before every thread has begun; a job in hand is handled to its end, also when the
//! host stops; one thread that cannot go on ends all of them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;

use crate::api::hooks::Hooks;
use crate::api::job::Job;
use crate::api::report::{Doing, Place, Report, Told};
use crate::api::worker::Worker;
use crate::model::{Failure, Status};
use crate::run::settings::{RegisterSettings, WorkerSettings};

/// A thread's stack: what a main thread has, since what handlers call expects it.
const STACK_LEN: usize = 8 << 20;

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
    /// It ends after so many jobs; 0: it does not.
    pub max_jobs: u64,
    /// A command of the shell that writes what a job's payload, a key, stands for.
    pub retrieve: Option<String>,
    /// One that puts a result away and writes what is the result instead.
    pub save: Option<String>,
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
    report: Option<Arc<Report>>,
    /// Jobs that were handed out.
    begun: AtomicU64,
    hooks: Hooks,
}

impl Host {
    /// Opens its worker, as [`Worker::open`] does. It takes no jobs before it runs.
    ///
    /// # Errors
    /// As for [`Worker::open`]; `ERR_IO` when the report cannot be opened.
    pub fn open(endpoint: Option<&str>, mut settings: HostSettings) -> Result<Host, Failure> {
        settings.worker.slots = Some(settings.slots);
        let report = settings.report.as_deref().map(Report::open).transpose()?.map(Arc::new);
        let worker = Worker::open(endpoint, settings.worker.clone())?;
        let hooks = Hooks { retrieve: settings.retrieve.clone(), save: settings.save.clone() };
        Ok(Host { worker, settings, report, begun: AtomicU64::new(0), hooks })
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
        let (queues, unbegun) = (&queues[..], &unbegun);
        thread::scope(|scope| {
            let mut threads = Vec::new();
            let mut result = Ok(());
            for index in 1..self.settings.slots {
                let slot = move || self.serve(index, handlers, queues, unbegun);
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
                result = self.serve(0, handlers, queues, unbegun);
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
    ) -> Result<(), Failure> {
        let served = self.begin_and_handle(index, handlers, queues, unbegun);
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
    ) -> Result<(), Failure> {
        let slot = self.settings.first_slot + index;
        let mut slots: Vec<_> =
            handlers.iter().map(|handler| handler.begin(slot)).collect::<Result<_, Failure>>()?;
        if unbegun.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.register(queues)?;
        }
        let mut place = Place { thread: thread_id(), ..Place::default() };
        if let Some(report) = &self.report {
            report.write(index, &place);
        }
        loop {
            let job = match self.worker.receive(None) {
                Ok(job) => job,
                Err(failure) if failure.status == Status::Drained => return Ok(()),
                Err(failure) if failure.status == Status::Interrupted => continue,
                Err(failure) => return Err(failure),
            };
            let Some(number) = queues.iter().position(|(queue, _)| queue == job.queue()) else { continue };
            let at = queues[number].1;
            if let Some(report) = &self.report {
                place.doing = Some(Doing::of(&job, number));
                report.write(index, &place);
                self.listen(report, index, &job);
            }
            self.count();
            if self.hooks.is_empty() || self.hooks.prepare(&job) {
                slots[at].handle(job);
            }
            if let Some(report) = &self.report {
                place = Place { handled: place.handled + 1, doing: None, ..place };
                report.write(index, &place);
            }
        }
    }

    /// After the last of its jobs the host takes no more.
    fn count(&self) {
        let begun = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        if begun == self.settings.max_jobs {
            self.stop();
        }
    }

    /// Has the report say what the job is told.
    fn listen(&self, report: &Arc<Report>, index: u32, job: &Job) {
        let (report, id, attempt) = (Arc::clone(report), job.id(), job.attempt());
        job.listen(move |stop, hints| report.tell(index, id, attempt, Told { stop, hints: hints.0 }));
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

/// This thread, as the kernel numbers it.
fn thread_id() -> u32 {
    u32::try_from(rustix::thread::gettid().as_raw_pid()).unwrap_or(0)
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("settings", &self.settings).finish_non_exhaustive()
    }
}
