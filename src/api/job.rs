//! A job in a worker's hands.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use bytes::Bytes;

use crate::api::Timeout;
use crate::api::result::JobResult;
use crate::api::submit::Submit;
use crate::core::client::{Delivery, News};
use crate::core::worker::Answer;
use crate::model::{
    Body, Completion, Failure, Headers, JobId, JobRules, Lease, Meta, Outcome, QueueName, Status, Stop,
    Verdict,
};
use crate::run::worker::HeldJob;
use crate::wire::command::{Fault, Grant};

pub use crate::core::worker::Hints;
pub use crate::wire::command::Retry;

/// A job that was received. It is answered once, from any one thread; `stop`, `hints` and `progress` may be called
/// from any thread at any time. What its getters lend lives as long as the job.
///
/// Dropped without an answer, its attempt has failed with the code "abandoned".
pub struct Job {
    held: Arc<HeldJob>,
}

impl Job {
    pub(crate) fn new(held: Arc<HeldJob>) -> Self {
        Job { held }
    }

    /// A job without a broker, to test a handler with; [`Job::test_result`] tells its answer.
    ///
    /// # Errors
    /// `ERR_ARGUMENT` when the queue's name is wrong.
    pub fn new_test(job: Submit) -> Result<Job, Failure> {
        let rules = JobRules::default().with(&job.options);
        let grant = Grant {
            lease: Lease { slot: 0, token: 0 },
            id: match job.id {
                Some(id) => id,
                None => crate::api::id_new()?,
            },
            queue: QueueName::new(&job.queue)?,
            body: job.body,
            headers: job.headers,
            attempt: 1,
            attempts_max: rules.attempts,
            time_left_ms: (rules.deadline_ms > 0).then_some(rules.deadline_ms),
            run_ms: rules.run_ms,
            soft_ms: rules.soft_ms,
            partial_bytes: rules.partial_bytes,
            wants_progress: true,
            wants_partial: true,
        };
        Ok(Job { held: HeldJob::detached(grant) })
    }

    /// What a job made by [`Job::new_test`] was answered, as a client would see it if there were no further attempt.
    ///
    /// # Errors
    /// `ERR_STATE` when it was not answered, or came from a broker.
    pub fn test_result(&self) -> Result<JobResult, Failure> {
        if !self.held.is_detached() {
            return Err(Failure::new(
                Status::State,
                "the job came from a broker; only one made by new_test tells its answer",
            ));
        }
        let Some(answer) = self.held.kept_answer() else {
            return Err(Failure::new(Status::State, "the job was not answered"));
        };
        let mut verdict = Verdict {
            outcome: Outcome::Done,
            attempt: self.attempt(),
            body: Body::default(),
            headers: Headers::default(),
            code: String::new(),
            message: String::new(),
            detail: String::new(),
            meta: Meta::default(),
        };
        match answer {
            Answer::Done(completion) => {
                let Completion { body, headers, meta } = Arc::unwrap_or_clone(completion);
                verdict = Verdict { body, headers, meta, ..verdict };
            }
            Answer::Failed(fault) => {
                let Fault { code, message, detail, meta, .. } = Arc::unwrap_or_clone(fault);
                verdict = Verdict { outcome: Outcome::Failed, code, message, detail, meta, ..verdict };
            }
            Answer::Released { .. } => verdict.outcome = Outcome::Waiting,
        }
        let news = News::Ended(Arc::new(verdict));
        Ok(JobResult::new(Delivery { id: self.id(), tag: 0, news }))
    }

    /// The same job in a second pair of hands, to be dropped once it is answered.
    pub(crate) fn again(&self) -> Job {
        Job { held: Arc::clone(&self.held) }
    }

    fn grant(&self) -> &Grant {
        self.held.grant()
    }

    /// Its id, the same in every attempt.
    pub fn id(&self) -> JobId {
        self.grant().id
    }

    /// The queue it came from.
    pub fn queue(&self) -> &str {
        self.grant().queue.as_str()
    }

    /// Its first frame; empty when there is none.
    pub fn payload(&self) -> &[u8] {
        self.frame(0).map_or(&[], |frame| frame)
    }

    /// Its frames.
    pub fn body(&self) -> &Body {
        self.held.body()
    }

    /// How many frames there are.
    pub fn frames(&self) -> usize {
        self.body().0.len()
    }

    /// One frame.
    pub fn frame(&self, i: usize) -> Option<&Bytes> {
        self.body().0.get(i)
    }

    /// Its headers.
    pub fn headers(&self) -> &Headers {
        &self.grant().headers
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers().0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_ref())
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.grant().attempt
    }

    /// How many there can be.
    pub fn attempts_max(&self) -> u32 {
        self.grant().attempts_max
    }

    /// Until its deadline or its run timeout, whichever comes first; `None` when it has neither.
    pub fn time_left(&self) -> Option<Duration> {
        self.held.time_left()
    }

    /// Why to stop; no bit: go on.
    pub fn stop(&self) -> Stop {
        self.held.stop()
    }

    /// The word behind [`Job::stop`], for inner loops. It lives as long as the job.
    pub fn stop_flag(&self) -> &AtomicU32 {
        self.held.stop_flag()
    }

    /// What to know while going on.
    pub fn hints(&self) -> Hints {
        self.held.hints()
    }

    /// Says how far it is, 0 to 1, and a note for people. Never waits; of several only the latest is sure to be told.
    /// Gives what [`Job::stop`] gives.
    pub fn progress(&self, fraction: f64, note: &str) -> Stop {
        self.held.progress(fraction, note)
    }

    /// Sends a part of the result ahead of it. Parts are numbered from 0 in each attempt; those nobody wants are not
    /// sent. Waits while more than the job's `partial_bytes` are under way.
    ///
    /// # Errors
    /// `ERR_BUSY` when the time is over before there is room; `ERR_LEASE_LOST`, `ERR_TOO_LARGE`, `ERR_STATE`.
    pub fn send(&self, part: impl Into<Bytes>, timeout: Timeout) -> Result<(), Failure> {
        self.send_frames(Body::one(part), timeout)
    }

    /// As [`Job::send`], with several frames.
    ///
    /// # Errors
    /// As for [`Job::send`].
    pub fn send_frames(&self, body: Body, timeout: Timeout) -> Result<(), Failure> {
        self.held.send(body, timeout)
    }

    /// Sets a header of the result.
    ///
    /// # Errors
    /// `ERR_STATE` after the answer, `ERR_TOO_LARGE`.
    pub fn set_header(&self, name: &str, value: impl Into<Bytes>) -> Result<(), Failure> {
        self.held.set_header(name, value.into())
    }

    /// Answers with a result. `Ok`: the library holds it and sends it until the broker has acknowledged it.
    ///
    /// # Errors
    /// `ERR_STATE` when it was answered already; `ERR_LEASE_LOST` when it is not this worker's any more, so that the
    /// answer counts for nothing; `ERR_TOO_LARGE`; `ERR_BUSY` when too many answers wait for the broker: the job is not
    /// answered then, try again.
    pub fn complete(&self, data: impl Into<Bytes>) -> Result<(), Failure> {
        self.complete_frames(Body::one(data))
    }

    /// As [`Job::complete`], with several frames.
    ///
    /// # Errors
    /// As for [`Job::complete`].
    pub fn complete_frames(&self, body: Body) -> Result<(), Failure> {
        self.held.complete(body)
    }

    /// Answers that this attempt failed: `code` for programs, `message` for people, `detail` for whoever repairs it.
    ///
    /// # Errors
    /// As for [`Job::complete`].
    pub fn fail(&self, retry: Retry, code: &str, message: &str, detail: &str) -> Result<(), Failure> {
        self.held.fail(Fault {
            retry,
            code: code.to_owned(),
            message: message.to_owned(),
            detail: detail.to_owned(),
            meta: Meta::default(),
        })
    }

    /// Gives the job back: another worker, or this one, may have it after `delay`.
    ///
    /// # Errors
    /// As for [`Job::complete`].
    pub fn release(&self, delay: Duration) -> Result<(), Failure> {
        self.held.release(delay)
    }

    /// Facts of the attempt for the answer's meta, beside how long it took; asked for when the job is answered, by the thread
    /// that answers it. The first call counts.
    pub fn measure(&self, facts: impl Fn() -> Vec<(&'static str, u64)> + Send + Sync + 'static) {
        self.held.measure(facts);
    }

    /// Puts what the payload stands for in its place. The first call counts.
    pub(crate) fn stand_for(&self, body: Body) {
        self.held.stand_for(body);
    }

    /// Whether something stands in the place of its payload.
    pub(crate) fn is_stood_for(&self) -> bool {
        self.held.is_stood_for()
    }

    /// The first frame as it was submitted, whatever stands in its place.
    pub(crate) fn submitted(&self) -> Bytes {
        self.held.submitted()
    }

    /// Has a result put away when it is there: what `save` gives is the result instead, or why the attempt has failed.
    pub(crate) fn save(
        &self,
        save: impl Fn(&Body, &dyn Fn() -> bool) -> Result<Body, Box<Fault>> + Send + Sync + 'static,
    ) {
        self.held.save(save);
    }

    /// Has somebody hear at once of what the job is told.
    pub(crate) fn listen(&self, listener: impl Fn(Stop, Hints) + Send + Sync + 'static) {
        self.held.listen(listener);
    }

    /// Whether it was answered.
    pub fn is_answered(&self) -> bool {
        self.held.is_answered()
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.held.dropped();
    }
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job")
            .field("id", &self.id())
            .field("queue", &self.queue())
            .field("attempt", &self.attempt())
            .field("len", &self.body().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        Job::new_test(Submit::new("echo", "payload").header("a", "b")).unwrap()
    }

    #[test]
    fn a_handler_is_tested_without_a_broker() {
        let job = job();
        assert_eq!((job.payload(), job.queue(), job.attempt()), (&b"payload"[..], "echo", 1));
        assert_eq!(job.header("a"), Some(&b"b"[..]));
        assert_eq!(job.test_result().unwrap_err().status, Status::State);
        job.set_header("x", "1").unwrap();
        job.set_header("x", "2").unwrap();
        job.progress(0.5, "half");
        job.send("part", None).unwrap();
        job.complete("answer").unwrap();
        let result = job.test_result().unwrap();
        assert_eq!((result.outcome(), result.data()), (Outcome::Done, &b"answer"[..]));
        assert_eq!(result.header("x"), Some(&b"2"[..]));
        assert_eq!(job.complete("again").unwrap_err().status, Status::State);
        assert_eq!(job.set_header("x", "3").unwrap_err().status, Status::State);
    }

    #[test]
    fn a_failure_is_told_whole() {
        let job = job();
        job.fail(Retry::Never, "bad", "it is bad", "line 1").unwrap();
        let result = job.test_result().unwrap();
        assert_eq!((result.outcome(), result.code()), (Outcome::Failed, "bad"));
        assert_eq!((result.message(), result.detail()), ("it is bad", "line 1"));
    }
}
