//! One job a thread has received, shared with the serving thread.
//!
//! Invariant: it is answered once; after that, and after its lease is lost, nothing it says leaves the process.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::core::worker::{Answer, Hints, JobKey};
use crate::model::{Body, Completion, Failure, Headers, Known, Meta, Status, Stop};
use crate::run::gate::{self, lock, wait_on};
use crate::run::worker::{Request, Shared};
use crate::wire::command::{Fault, Grant};

/// What is told of an attempt, asked for when it is answered.
type Facts = Box<dyn Fn() -> Vec<(&'static str, u64)> + Send + Sync>;
/// Who hears of what a job is told.
type Listener = Box<dyn Fn(Stop, Hints) + Send + Sync>;

/// Puts a result away, and gives what is the result instead. It is told how to find out whether it is to stop.
type Save = Box<dyn Fn(&Body, &dyn Fn() -> bool) -> Result<Body, Box<Fault>> + Send + Sync>;

/// A job as its worker holds it.
pub struct HeldJob {
    key: JobKey,
    grant: Grant,
    worker: Option<Arc<Shared>>,
    granted_at: Instant,
    received: OnceLock<(Instant, ThreadId)>,
    stop: AtomicU32,
    hints: AtomicU32,
    facts: OnceLock<Facts>,
    listener: OnceLock<Listener>,
    /// What stands in the place of its payload.
    input: OnceLock<Body>,
    save: OnceLock<Save>,
    is_answered: AtomicBool,
    headers: Mutex<Headers>,
    /// What it last said of its progress and the serving thread has not taken.
    progress: Mutex<Option<(f64, String)>>,
    is_progress_asked: AtomicBool,
    /// Bytes of partial results under way.
    partial_bytes: Mutex<u64>,
    partial_taken: Condvar,
    /// The answer of a job without a worker.
    kept: Mutex<Option<Answer>>,
}

impl HeldJob {
    pub(super) fn new(key: JobKey, grant: Grant, worker: Option<Arc<Shared>>) -> Self {
        HeldJob {
            key,
            grant,
            worker,
            granted_at: Instant::now(),
            received: OnceLock::new(),
            stop: AtomicU32::new(0),
            hints: AtomicU32::new(0),
            facts: OnceLock::new(),
            listener: OnceLock::new(),
            input: OnceLock::new(),
            save: OnceLock::new(),
            is_answered: AtomicBool::new(false),
            headers: Mutex::new(Headers::default()),
            progress: Mutex::new(None),
            is_progress_asked: AtomicBool::new(false),
            partial_bytes: Mutex::new(0),
            partial_taken: Condvar::new(),
            kept: Mutex::new(None),
        }
    }

    /// A job without a worker and a broker: its answer is kept in it.
    pub fn detached(grant: Grant) -> Arc<Self> {
        let job = HeldJob::new(JobKey { slot: 0, turn: 0 }, grant, None);
        job.received();
        Arc::new(job)
    }

    pub(super) fn key(&self) -> JobKey {
        self.key
    }

    /// This thread has received it.
    pub(super) fn received(&self) {
        let _ = self.received.set((Instant::now(), std::thread::current().id()));
    }

    /// What the broker granted.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// Its frames, or what stands in their place.
    pub fn body(&self) -> &Body {
        self.input.get().unwrap_or(&self.grant.body)
    }

    /// Puts something in the place of its frames.
    pub fn stand_for(&self, body: Body) {
        let _ = self.input.set(body);
    }

    /// Whether something stands there.
    pub fn is_stood_for(&self) -> bool {
        self.input.get().is_some()
    }

    /// The first frame as it was submitted.
    pub fn submitted(&self) -> Bytes {
        self.grant.body.0.first().cloned().unwrap_or_default()
    }

    /// Has its result put away first.
    pub fn save(
        &self,
        save: impl Fn(&Body, &dyn Fn() -> bool) -> Result<Body, Box<Fault>> + Send + Sync + 'static,
    ) {
        let _ = self.save.set(Box::new(save));
    }

    /// How long it may still run; `None` when nothing ends it.
    pub fn time_left(&self) -> Option<Duration> {
        let deadline = self.grant.time_left_ms.map(|ms| (self.granted_at, ms));
        let run = (self.grant.run_ms > 0).then(|| (self.received_at(), self.grant.run_ms));
        deadline
            .into_iter()
            .chain(run)
            .map(|(since, ms)| Duration::from_millis(ms).saturating_sub(since.elapsed()))
            .min()
    }

    fn received_at(&self) -> Instant {
        self.received.get().map_or(self.granted_at, |(at, _)| *at)
    }

    /// The word whose bits say why to stop.
    pub fn stop_flag(&self) -> &AtomicU32 {
        &self.stop
    }

    /// Why to stop; zero: go on.
    pub fn stop(&self) -> Stop {
        Stop(self.stop.load(Ordering::Relaxed))
    }

    /// What to know while going on.
    pub fn hints(&self) -> Hints {
        Hints(self.hints.load(Ordering::Relaxed))
    }

    pub(super) fn tell_stop(&self, why: Stop) {
        self.stop.fetch_or(why.0, Ordering::Relaxed);
        // Whoever waits for room to send a partial result need not wait any more.
        drop(lock(&self.partial_bytes));
        self.partial_taken.notify_all();
        self.tell_listener();
    }

    pub(super) fn tell_hint(&self, hint: Hints) {
        self.hints.fetch_or(hint.0, Ordering::Relaxed);
        self.tell_listener();
    }

    fn tell_listener(&self) {
        if let Some(listener) = self.listener.get() {
            listener(self.stop(), self.hints());
        }
    }

    /// Has somebody hear of what the job is told from now on, and of what it was told before. It is called by the serving
    /// thread, and must not wait.
    pub fn listen(&self, listener: impl Fn(Stop, Hints) + Send + Sync + 'static) {
        let _ = self.listener.set(Box::new(listener));
        if self.stop().0 != 0 || self.hints().0 != 0 {
            self.tell_listener();
        }
    }

    /// What its answer says beside how long it took.
    pub fn measure(&self, facts: impl Fn() -> Vec<(&'static str, u64)> + Send + Sync + 'static) {
        let _ = self.facts.set(Box::new(facts));
    }

    /// Whether it was answered.
    pub fn is_answered(&self) -> bool {
        self.is_answered.load(Ordering::Acquire)
    }

    /// Says how far it is. Never waits; of several only the latest is sure to be told.
    pub fn progress(&self, fraction: f64, note: &str) -> Stop {
        let Some(worker) = self.usable_worker() else { return self.stop() };
        if !self.is_answered() {
            let fraction = if fraction.is_nan() { 0.0 } else { fraction.clamp(0.0, 1.0) };
            *lock(&self.progress) = Some((fraction, note.to_owned()));
            if !self.is_progress_asked.swap(true, Ordering::AcqRel) {
                worker.mailbox.push(Request::Progress(self.key));
            }
        }
        self.stop()
    }

    /// The serving thread's part: what is new of its progress. `None` ends the asking: the next word asks again.
    pub(super) fn take_progress(&self) -> Option<(f64, String)> {
        let mut progress = lock(&self.progress);
        let taken = progress.take();
        if taken.is_none() {
            self.is_progress_asked.store(false, Ordering::Release);
        }
        taken
    }

    /// Sends a part of the result ahead of it. Waits while too much is under way.
    pub fn send(&self, body: Body, timeout: Option<Duration>) -> Result<(), Failure> {
        self.check_open()?;
        let len = body.len() as u64;
        let until = gate::until(timeout);
        // A test job has nobody to send it to.
        let Some(worker) = &self.worker else { return Ok(()) };
        worker.gate.check()?;
        worker.check_body(&body)?;
        if !self.grant.wants_partial {
            return Ok(());
        }
        let max = self.grant.partial_bytes;
        let mut used = lock(&self.partial_bytes);
        while *used > 0 && *used + len > max {
            self.check_lease()?;
            worker.gate.check()?;
            used = match wait_on(&self.partial_taken, used, until) {
                Ok(used) => used,
                Err(used) => {
                    let message = format!(
                        "{} bytes of partial results of this job wait for the client, which lets {max} wait",
                        *used
                    );
                    return Err(Failure::busy(message, 100));
                }
            };
        }
        *used += len;
        drop(used);
        worker.mailbox.push(Request::Partial { key: self.key, body });
        Ok(())
    }

    pub(super) fn partial_taken(&self, len: u64) {
        let mut used = lock(&self.partial_bytes);
        *used = used.saturating_sub(len);
        drop(used);
        self.partial_taken.notify_all();
    }

    /// Sets a header of the result; a name set before is replaced.
    pub fn set_header(&self, name: &str, value: Bytes) -> Result<(), Failure> {
        self.check_open()?;
        let mut headers = lock(&self.headers);
        let max = self.worker.as_ref().map_or(u64::MAX, |worker| worker.headers_max.load(Ordering::Relaxed));
        let known = headers.0.iter().position(|(one, _)| one == name);
        let before = known.map_or(0, |at| headers.0[at].1.len() + name.len());
        let len = (headers.len() - before + name.len() + value.len()) as u64;
        if len > max {
            let message =
                format!("the result's headers would have {len} bytes with their names; the limit is {max}");
            return Err(Failure::new(Status::TooLarge, message));
        }
        match known {
            Some(at) => headers.0[at].1 = value,
            None => headers.0.push((name.to_owned(), value)),
        }
        Ok(())
    }

    /// Answers with a result.
    pub fn complete(&self, body: Body) -> Result<(), Failure> {
        self.check_open()?;
        let body = match self.save.get().map(|save| save(&body, &|| self.stop().0 != 0)) {
            Some(Ok(saved)) => saved,
            Some(Err(fault)) => return self.fail(*fault),
            None => body,
        };
        let len = body.len() as u64;
        if let Some(worker) = &self.worker {
            worker.check_body(&body)?;
        }
        self.answer(len, |job| {
            let headers = std::mem::take(&mut *lock(&job.headers));
            Answer::Done(Arc::new(Completion { body, headers, meta: job.meta() }))
        })
    }

    /// Answers that the attempt failed.
    pub fn fail(&self, mut fault: Fault) -> Result<(), Failure> {
        let len = (fault.code.len() + fault.message.len() + fault.detail.len()) as u64;
        self.answer(len, |job| {
            fault.meta = job.meta();
            Answer::Failed(Arc::new(fault))
        })
    }

    /// Gives the job back to run later.
    pub fn release(&self, delay: Duration) -> Result<(), Failure> {
        self.answer(0, |_| Answer::Released { delay_ms: delay.as_millis() as u64 })
    }

    /// What was answered, of a job without a worker.
    pub fn kept_answer(&self) -> Option<Answer> {
        lock(&self.kept).clone()
    }

    /// Whether this is a job without a worker.
    pub fn is_detached(&self) -> bool {
        self.worker.is_none()
    }

    /// The thread that has it is done with it, answered or not.
    pub fn dropped(&self) {
        if self.worker.as_ref().is_some_and(|worker| worker.gate.is_forked()) || self.is_answered() {
            return;
        }
        let fault = Fault {
            code: "abandoned".to_owned(),
            message: "the worker freed the job without an answer".to_owned(),
            ..Fault::default()
        };
        // A closed worker gives its jobs back by itself.
        let _ = self.fail(fault);
    }

    fn meta(&self) -> Meta {
        let mut meta = Meta::new();
        meta.set(Known::RunUs, self.run_us());
        for (name, value) in self.facts.get().map(|facts| facts()).unwrap_or_default() {
            meta.push_number(name, value);
        }
        meta
    }

    fn run_us(&self) -> u64 {
        self.received_at().elapsed().as_micros() as u64
    }

    fn answer(&self, len: u64, make: impl FnOnce(&HeldJob) -> Answer) -> Result<(), Failure> {
        self.check_open()?;
        let Some(worker) = &self.worker else {
            self.is_answered.store(true, Ordering::Release);
            let answer = make(self);
            *lock(&self.kept) = Some(answer);
            return Ok(());
        };
        worker.gate.check()?;
        worker.take_unacked(len)?;
        if self.is_answered.swap(true, Ordering::AcqRel) {
            worker.unacked_bytes.fetch_sub(len, Ordering::AcqRel);
            return Err(already_answered());
        }
        let answer = make(self);
        if let Some((_, thread)) = self.received.get() {
            worker.waiting.answered(*thread);
        }
        // Its slot is free again even if the answer counts for nothing.
        let is_asked = self.is_progress_asked.load(Ordering::Acquire);
        let progress = if is_asked { lock(&self.progress).take() } else { None };
        let run_us = self.run_us();
        worker.mailbox.push(Request::Answered { key: self.key, answer, len, run_us, progress });
        self.check_lease()
    }

    fn check_open(&self) -> Result<(), Failure> {
        if let Some(worker) = self.worker.as_ref().filter(|worker| worker.gate.is_forked()) {
            return worker.gate.check();
        }
        if self.is_answered() { Err(already_answered()) } else { Ok(()) }
    }

    /// A job that was taken away must not be answered; one past its own clock still may.
    fn check_lease(&self) -> Result<(), Failure> {
        let lost = Stop::LEASE_LOST.0 | Stop::CANCELLED.0;
        if self.stop().0 & lost != 0 {
            return Err(Failure::new(Status::LeaseLost, Status::LeaseLost.text()));
        }
        Ok(())
    }

    fn usable_worker(&self) -> Option<&Arc<Shared>> {
        self.worker.as_ref().filter(|worker| worker.gate.check().is_ok())
    }
}

fn already_answered() -> Failure {
    Failure::new(Status::State, "the job was answered already; a job is answered once")
}
