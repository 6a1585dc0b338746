//! A worker: registers queues and receives their jobs.

use crate::api::Timeout;
use crate::api::client::State;
use crate::api::job::Job;
use crate::api::result::JobResult;
use crate::model::{Failure, Status};
use crate::run::settings::{RegisterSettings, WorkerSettings};
use crate::run::worker::WorkerHandle;

/// A worker of a broker. Every method may be called from any thread; as many threads may receive at once as there are
/// jobs to execute at once.
///
/// Dropping it closes it: jobs not begun go back, answers may be on their way for `linger_ms` more.
pub struct Worker {
    handle: WorkerHandle,
}

impl Worker {
    /// Opens a worker. It never waits for the network, so broker and worker may start in any order. `endpoint` is a
    /// comma-separated list, tried in turn; `None` means `$FOREBAY_BROKER`, else the default endpoint.
    ///
    /// # Errors
    /// `ERR_ADDRESS`, `ERR_OPTION`, `ERR_DENIED` (a key file), `ERR_IO`.
    pub fn open(endpoint: Option<&str>, settings: WorkerSettings) -> Result<Worker, Failure> {
        Ok(Worker { handle: WorkerHandle::open(endpoint, settings)? })
    }

    /// Takes jobs of `queue` from now on, whatever becomes of the connection. It does not wait for the broker; should
    /// that refuse, every later call says so.
    ///
    /// # Errors
    /// `ERR_ARGUMENT`, `ERR_OPTION`, and what ended the worker.
    pub fn register(&self, queue: &str, settings: RegisterSettings) -> Result<(), Failure> {
        self.handle.register(queue, settings)
    }

    /// Takes no more jobs of `queue`; those not begun go back.
    ///
    /// # Errors
    /// `ERR_ARGUMENT`, and what ended the worker.
    pub fn unregister(&self, queue: &str) -> Result<(), Failure> {
        self.handle.unregister(queue)
    }

    /// Waits for a job. It has begun when it is handed over: its run timeout counts from here.
    ///
    /// # Errors
    /// `TIMED_OUT`, `INTERRUPTED`; `DRAINED` when nothing more will come; what ended the worker.
    pub fn receive(&self, timeout: Timeout) -> Result<Job, Failure> {
        let mut one = Vec::with_capacity(1);
        self.handle.receive(timeout, 1, &mut one)?;
        one.pop().map(Job::new).ok_or_else(|| Failure::new(Status::TimedOut, ""))
    }

    /// Waits for jobs, then appends what there is to `out`, at most `cap`. Gives how many it appended, at least 1. All
    /// of them have begun, so ask for no more than are executed at once.
    ///
    /// # Errors
    /// As for [`Worker::receive`].
    pub fn receive_many(&self, timeout: Timeout, cap: usize, out: &mut Vec<Job>) -> Result<usize, Failure> {
        let mut jobs = Vec::new();
        let count = self.handle.receive(timeout, cap, &mut jobs)?;
        out.extend(jobs.into_iter().map(Job::new));
        Ok(count)
    }

    /// No new jobs: every receive answers DRAINED from now on. Async-signal-safe.
    pub fn stop(&self) {
        self.handle.stop();
    }

    /// Stops, and waits until every job received was answered and every answer acknowledged.
    ///
    /// # Errors
    /// `ERR_UNCONFIRMED` when the time is over before.
    pub fn drain(&self, timeout: Timeout) -> Result<(), Failure> {
        self.handle.drain(timeout)
    }

    /// Waits until a broker answers.
    ///
    /// # Errors
    /// As for [`crate::api::Client::ready`]; `ERR_STATE` when it was stopped; what ended the worker.
    pub fn ready(&self, timeout: Timeout) -> Result<(), Failure> {
        self.handle.ready(timeout)
    }

    /// How it stands with its broker.
    pub fn state(&self) -> State {
        self.handle.state()
    }

    /// What this worker has done so far, as JSON: jobs granted, done, failed, reconnections ... Asks nobody.
    pub fn stats(&self) -> JobResult {
        JobResult::text_of(self.handle.stats())
    }

    /// A descriptor that is readable exactly while [`Worker::receive`] would not wait. It belongs to the worker. Asking
    /// for it asks for jobs: whoever watches it need not have called `receive` before.
    pub fn fd(&self) -> i64 {
        self.handle.fd()
    }

    /// Ends all waits of this worker now, or the next one if there is none. Async-signal-safe.
    pub fn interrupt(&self) {
        self.handle.interrupt();
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("state", &self.state()).finish_non_exhaustive()
    }
}
