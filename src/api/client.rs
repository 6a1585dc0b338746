//! A client: submits jobs, waits for them, asks about them.

use std::collections::HashMap;
use std::time::Duration;

use crate::api::Timeout;
use crate::api::collector::{self, Collector, Order};
use crate::api::result::JobResult;
use crate::api::submit::Submit;
use crate::core::client::{Delivery, News};
use crate::model::limits::CONTEXT_LEN_MAX;
use crate::model::{Failure, InStage, JobId, QueueName, Status, Submission};
use crate::run::client::{ClientHandle, NewJob, Taken};
use crate::run::settings::ClientSettings;

pub use crate::run::client::State;

/// A client of a broker. Every method may be called from any thread, by several at once.
///
/// Dropping it closes it: what was enqueued may be on its way for `linger_ms` more, and jobs already accepted go on.
pub struct Client {
    handle: ClientHandle,
}

/// What became of several jobs submitted at once.
#[derive(Debug)]
pub struct Submitted {
    /// The jobs' ids, in order; empty when an argument was wrong. Written whatever became of the call, so that one
    /// that was not confirmed can be waited for, cancelled or submitted again.
    pub ids: Vec<JobId>,
    /// The first so many are held.
    pub accepted: usize,
    /// Why not all: speaks of the first that is not.
    pub failure: Option<Failure>,
}

impl Submitted {
    /// The ids if every job is held.
    ///
    /// # Errors
    /// What the first one failed with.
    pub fn into_result(self) -> Result<Vec<JobId>, Failure> {
        self.failure.map_or(Ok(self.ids), Err)
    }
}

impl From<Taken> for Submitted {
    fn from(taken: Taken) -> Self {
        Submitted { ids: taken.ids, accepted: taken.accepted, failure: taken.failure }
    }
}

impl Client {
    /// Opens a client. It never waits for the network, so broker and client may start in any order. `endpoint` is a
    /// comma-separated list, tried in turn; `None` means `$FOREBAY_BROKER`, else the default endpoint.
    ///
    /// # Errors
    /// `ERR_ADDRESS`, `ERR_OPTION`, `ERR_DENIED` (a key file), `ERR_IO`.
    pub fn open(endpoint: Option<&str>, settings: ClientSettings) -> Result<Client, Failure> {
        Ok(Client { handle: ClientHandle::open(endpoint, settings)? })
    }

    /// Waits until a broker answers.
    ///
    /// # Errors
    /// `ERR_IO` when none has in time and it is known why: what is wrong with the connection. It is tried on.
    /// `TIMED_OUT` when that is not known, `INTERRUPTED`; `ERR_DENIED` and others when the broker does not want this client.
    pub fn ready(&self, timeout: Timeout) -> Result<(), Failure> {
        self.handle.ready(timeout)
    }

    /// How it stands with its broker.
    pub fn state(&self) -> State {
        self.handle.state()
    }

    /// The broker's id in hexadecimal digits, once one answered.
    pub fn broker_name(&self) -> Option<String> {
        let id = self.handle.broker()?;
        Some(id.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Submits a job and waits until the broker holds it at its level.
    ///
    /// # Errors
    /// `ERR_ARGUMENT`, `ERR_TOO_LARGE`, `ERR_BUSY`; `ERR_UNCONFIRMED` when the broker did not answer in time: the job
    /// may exist, and what to do is to submit it again under the same id ([`Client::submit_many`] tells it).
    pub fn submit(&self, job: Submit, timeout: Timeout) -> Result<JobId, Failure> {
        single(self.submit_many(vec![job], timeout))
    }

    /// Submits jobs and waits until the broker holds all of them.
    pub fn submit_many(&self, jobs: Vec<Submit>, timeout: Timeout) -> Submitted {
        match self.new_jobs(jobs) {
            Ok(jobs) => self.handle.submit(jobs, timeout).into(),
            Err(failure) => Submitted { ids: Vec::new(), accepted: 0, failure: Some(failure) },
        }
    }

    /// Adds jobs to an open stage of a run and waits until the broker holds all of them. A job without a queue waits in the
    /// stage's.
    pub fn add(&self, run: JobId, step: &str, jobs: Vec<Submit>, timeout: Timeout) -> Submitted {
        let added = |job: Submit| {
            let (step, in_its_queue) = (step.to_owned(), job.queue.is_empty());
            Submit { stage: Some(InStage { run, step, place: 0, in_its_queue }), ..job }
        };
        self.submit_many(jobs.into_iter().map(added).collect(), timeout)
    }

    /// Adds nothing more to an open stage of a run, to which `count` jobs were added in all.
    ///
    /// # Errors
    /// `ERR_STATE` when it has another number of jobs, and then it stays as it is, or the run has ended; `ERR_NOT_FOUND`,
    /// `ERR_UNCONFIRMED`.
    pub fn close_stage(
        &self,
        run: JobId,
        step: &str,
        count: Option<u64>,
        timeout: Timeout,
    ) -> Result<(), Failure> {
        let mut arguments = vec![("id".to_owned(), run.to_string()), ("step".to_owned(), step.to_owned())];
        arguments.extend(count.map(|count| ("count".to_owned(), count.to_string())));
        self.handle.admin("stage.close", arguments, timeout, Status::Unconfirmed).map(drop)
    }

    /// Gives a run its context, which each worker gets with a job of the run; a run that is held for it begins.
    ///
    /// # Errors
    /// `ERR_NOT_FOUND`, `ERR_STATE` for a run that has ended, `ERR_TOO_LARGE` above 2,000 bytes, `ERR_UNCONFIRMED`.
    pub fn set_context(&self, run: JobId, context: &[u8], timeout: Timeout) -> Result<(), Failure> {
        if context.len() > CONTEXT_LEN_MAX {
            let message = format!("the context has {} bytes; it may have {CONTEXT_LEN_MAX}", context.len());
            return Err(Failure::new(Status::TooLarge, message));
        }
        let arguments =
            vec![("id".to_owned(), run.to_string()), ("data".to_owned(), collector::hex(context))];
        self.handle.admin("run.context", arguments, timeout, Status::Unconfirmed).map(drop)
    }

    /// A collector of the results of a stage, known by `name`. It asks nobody yet.
    pub fn collector(&self, run: JobId, step: &str, name: &str, order: Order) -> Collector {
        Collector::new(self.handle.share(), run, step, name, order)
    }

    /// What the collector of a stage said with its acknowledgement number `after` + 1, counted from 1.
    ///
    /// # Errors
    /// `DRAINED` when there will be none; `TIMED_OUT`, `INTERRUPTED`, `ERR_NOT_FOUND`.
    pub fn acked(&self, run: JobId, step: &str, after: u64, timeout: Timeout) -> Result<JobResult, Failure> {
        collector::acked(&self.handle, run, step, after, timeout)
    }

    /// Hands a job over without waiting. [`Client::flush`], the news ACCEPTED or the result confirm it.
    ///
    /// # Errors
    /// As for [`Client::submit`]; `ERR_BUSY` when the client's window is full.
    pub fn enqueue(&self, job: Submit) -> Result<JobId, Failure> {
        single(self.enqueue_many(vec![job]))
    }

    /// Hands jobs over without waiting: as many as the client's window has room for.
    pub fn enqueue_many(&self, jobs: Vec<Submit>) -> Submitted {
        match self.new_jobs(jobs) {
            Ok(jobs) => self.handle.enqueue(jobs).into(),
            Err(failure) => Submitted { ids: Vec::new(), accepted: 0, failure: Some(failure) },
        }
    }

    /// Waits until the broker holds every job enqueued so far.
    ///
    /// # Errors
    /// The first refusal of an enqueued job since the last flush; `ERR_UNCONFIRMED`.
    pub fn flush(&self, timeout: Timeout) -> Result<(), Failure> {
        self.handle.flush(timeout)
    }

    /// Submits a job and waits for its end. The timeout is also the job's deadline unless it has one, so nothing runs
    /// on for a caller who left. A job that failed is a successful call: look at its outcome.
    ///
    /// # Errors
    /// As for [`Client::submit`].
    pub fn call(&self, job: Submit, timeout: Timeout) -> Result<JobResult, Failure> {
        self.call_with_id(job, timeout, &mut None)
    }

    /// As [`Client::call`]; `id` is written as soon as the arguments are valid, whatever becomes of the call.
    ///
    /// # Errors
    /// As for [`Client::submit`].
    pub fn call_with_id(
        &self,
        job: Submit,
        timeout: Timeout,
        id: &mut Option<JobId>,
    ) -> Result<JobResult, Failure> {
        let tag = job.tag;
        let job = self.new_job(job)?;
        let job_id = job.submission.id;
        *id = Some(job_id);
        let verdict = self.handle.call(job, timeout)?;
        Ok(JobResult::new(Delivery { id: job_id, tag, news: News::Ended(verdict) }))
    }

    /// Waits for the end of a job submitted by this client, by another of the same name, or by an earlier one.
    ///
    /// # Errors
    /// `TIMED_OUT`, `INTERRUPTED`; `ERR_NOT_FOUND`; why the broker refused it; `ERR_STATE` for a job that wants its
    /// result, which comes by [`Client::next`] only.
    pub fn wait(&self, id: JobId, timeout: Timeout) -> Result<JobResult, Failure> {
        let mut ended = self.handle.wait(&[id], 1, timeout)?;
        match ended.ended.pop() {
            Some((id, result)) => {
                result.map(|verdict| JobResult::new(Delivery { id, tag: 0, news: News::Ended(verdict) }))
            }
            None => Err(ended.failure.unwrap_or_else(|| Failure::new(Status::TimedOut, ""))),
        }
    }

    /// Waits until at least `at_least` of the jobs have ended, and puts the result of each that has into its place of
    /// `out`, which is at least as long as `ids`. Gives how many there are.
    ///
    /// # Errors
    /// As for [`Client::wait`]. What has ended is in `out` even then.
    pub fn wait_many(
        &self,
        ids: &[JobId],
        at_least: usize,
        timeout: Timeout,
        out: &mut [Option<JobResult>],
    ) -> Result<usize, Failure> {
        if out.len() < ids.len() {
            let message = format!("there is room for {} results of {} jobs", out.len(), ids.len());
            return Err(Failure::new(Status::Argument, message));
        }
        let at_least = at_least.min(ids.len());
        let ended = self.handle.wait(ids, at_least, timeout)?;
        let mut failure = ended.failure;
        let mut places: HashMap<JobId, Vec<usize>> = HashMap::new();
        for (i, id) in ids.iter().enumerate() {
            places.entry(*id).or_default().push(i);
        }
        let mut count = 0;
        for (id, result) in ended.ended {
            match result {
                Ok(verdict) => {
                    let Some(place) = places.get_mut(&id).and_then(Vec::pop) else { continue };
                    out[place] = Some(JobResult::new(Delivery { id, tag: 0, news: News::Ended(verdict) }));
                    count += 1;
                }
                Err(why) => failure = Some(why),
            }
        }
        failure.map_or(Ok(count), Err)
    }

    /// Hands over the next piece of news that jobs asked for, in order of arrival.
    ///
    /// # Errors
    /// `TIMED_OUT`, `INTERRUPTED`.
    pub fn next(&self, timeout: Timeout) -> Result<JobResult, Failure> {
        let mut one = Vec::with_capacity(1);
        self.handle.next(timeout, 1, &mut one)?;
        one.pop().map(JobResult::new).ok_or_else(|| Failure::new(Status::TimedOut, ""))
    }

    /// Waits for news, then appends what there is to `out`, at most `cap`. Gives how many it appended, at least 1.
    ///
    /// # Errors
    /// As for [`Client::next`].
    pub fn next_many(
        &self,
        timeout: Timeout,
        cap: usize,
        out: &mut Vec<JobResult>,
    ) -> Result<usize, Failure> {
        let mut news = Vec::new();
        let count = self.handle.next(timeout, cap, &mut news)?;
        out.extend(news.into_iter().map(JobResult::new));
        Ok(count)
    }

    /// How a job stands now, or its result if it has ended. The result stays at the broker.
    ///
    /// # Errors
    /// `ERR_NOT_FOUND`, `TIMED_OUT`, `INTERRUPTED`.
    pub fn peek(&self, id: JobId, timeout: Timeout) -> Result<JobResult, Failure> {
        let news = self.handle.peek(id, timeout)?;
        Ok(JobResult::new(Delivery { id, tag: 0, news }))
    }

    /// The result was received and need not be kept any more. Only needed where `ack` is manual.
    ///
    /// # Errors
    /// `ERR_CLOSED` and what else ended the client.
    pub fn ack(&self, id: JobId) -> Result<(), Failure> {
        self.handle.ack(id)
    }

    /// Cancels a job: it will never have a result. A worker that executes it is told to stop.
    ///
    /// # Errors
    /// `ERR_STATE` when it has ended otherwise, `ERR_NOT_FOUND`, `ERR_UNCONFIRMED`.
    pub fn cancel(&self, id: JobId, reason: &str, timeout: Timeout) -> Result<(), Failure> {
        self.handle.cancel(id, reason, timeout)
    }

    /// Waits until at least `n` workers have registered `queue`.
    ///
    /// # Errors
    /// `TIMED_OUT`, `INTERRUPTED`.
    pub fn wait_workers(&self, queue: &str, n: u32, timeout: Timeout) -> Result<(), Failure> {
        QueueName::new(queue)?;
        let timeout_ms = timeout.map_or(u64::MAX / 2_000, |timeout| timeout.as_millis() as u64);
        let arguments = vec![
            ("queue".to_owned(), queue.to_owned()),
            ("n".to_owned(), n.to_string()),
            ("timeout_ms".to_owned(), timeout_ms.to_string()),
        ];
        // The broker says itself when the time is over; only one that is away does not.
        let patience = timeout.map(|timeout| timeout.saturating_add(ANSWER_GRACE));
        self.handle.admin("workers.wait", arguments, patience, Status::TimedOut).map(drop)
    }

    /// Sends an operator's command; [`commands`] lists them. The answer's data is JSON, to which later versions only
    /// add.
    ///
    /// # Errors
    /// What the broker answers; `ERR_UNCONFIRMED` when it did not in time.
    pub fn admin(
        &self,
        command: &str,
        arguments: &[(String, String)],
        timeout: Timeout,
    ) -> Result<JobResult, Failure> {
        let news = self.handle.admin(command, arguments.to_vec(), timeout, Status::Unconfirmed)?;
        Ok(JobResult::new(Delivery { id: JobId::default(), tag: 0, news }))
    }

    /// What this client has done so far, as JSON: jobs submitted, accepted, refused, re-sent, reconnections ... Asks
    /// nobody.
    pub fn stats(&self) -> JobResult {
        JobResult::text_of(self.handle.stats())
    }

    /// A descriptor that is readable exactly while [`Client::next`] would not wait. It belongs to the client.
    pub fn fd(&self) -> i64 {
        self.handle.fd()
    }

    /// Ends all waits of this client now, or the next one if there is none. Async-signal-safe.
    pub fn interrupt(&self) {
        self.handle.interrupt();
    }

    fn new_jobs(&self, jobs: Vec<Submit>) -> Result<Vec<NewJob>, Failure> {
        jobs.into_iter().map(|job| self.new_job(job)).collect()
    }

    fn new_job(&self, job: Submit) -> Result<NewJob, Failure> {
        let queue = match &job.stage {
            // What stands there is not looked at.
            Some(stage) if stage.in_its_queue => QueueName::new(&stage.step)?,
            _ => QueueName::new(&job.queue)?,
        };
        let has_own_id = job.id.is_some();
        let id = match job.id {
            Some(id) if id.is_v7() => id,
            Some(id) => {
                let message = format!("the id {id} is not a UUID of version 7; make one with id_new");
                return Err(Failure::new(Status::Argument, message));
            }
            None => self.handle.new_job_id()?,
        };
        let submission = Submission {
            headers: job.headers,
            options: job.options,
            is_run: job.is_run,
            stage: job.stage.map(Box::new),
            ..Submission::new(id, queue, job.body)
        };
        Ok(NewJob { submission, has_own_id, tag: job.tag, want: job.want })
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("state", &self.state()).finish_non_exhaustive()
    }
}

/// How much longer than the broker a call waits that leaves watching the time to it.
pub(super) const ANSWER_GRACE: Duration = Duration::from_millis(250);

fn single(submitted: Submitted) -> Result<JobId, Failure> {
    let Submitted { ids, failure, .. } = submitted;
    match (failure, ids.first()) {
        (None, Some(id)) => Ok(*id),
        (Some(failure), _) => Err(failure),
        (None, None) => Err(Failure::new(Status::Argument, "no job was given")),
    }
}
