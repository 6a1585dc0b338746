//! A collector: takes the results of a stage one by one, and acknowledges each for good.
//!
//! It asks the broker for what it has not acknowledged, a page at a time, and fetches those results as it would any job's. Invariant: in
//! its life a collector hands a result over once; what it did not acknowledge, the next one under its name is handed again.

use std::collections::{HashSet, VecDeque};
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::api::Timeout;
use crate::api::client::ANSWER_GRACE;
use crate::api::result::JobResult;
use crate::core::client::{Delivery, News};
use crate::model::limits::ACKED_LEN_MAX;
use crate::model::{Body, Failure, JobId, Status, Verdict};
use crate::run::client::ClientHandle;

/// Results the broker is asked for at once, and fetched.
const PAGE_LEN: usize = 32;
/// How long the broker is asked to wait for the next result before it is asked again.
const WAIT: Duration = Duration::from_secs(10);

/// In which order results come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// As the jobs end.
    #[default]
    Completion,
    /// As they were added or made.
    Submission,
}

/// Collects the results of one stage of one run. Its methods may be called from any thread; one at a time is inside
/// [`Collector::next`].
pub struct Collector {
    handle: ClientHandle,
    run: JobId,
    step: String,
    name: String,
    order: Order,
    pages: Mutex<Pages>,
    /// The run's context, as the broker said it last.
    context: Mutex<Option<Vec<u8>>>,
    /// The broker has said that the last one is acknowledged.
    is_done: AtomicBool,
}

/// What the broker has told.
#[derive(Debug, Default)]
struct Pages {
    since: Option<String>,
    told: VecDeque<JobId>,
    fetched: VecDeque<(JobId, Arc<Verdict>)>,
    /// Everything that was told so far: a broker that started anew tells some of it again.
    known: HashSet<JobId>,
}

impl Collector {
    pub(super) fn new(handle: ClientHandle, run: JobId, step: &str, name: &str, order: Order) -> Self {
        let (step, name) = (step.to_owned(), name.to_owned());
        let (pages, context, is_done) = (Mutex::default(), Mutex::default(), AtomicBool::new(false));
        Collector { handle, run, step, name, order, pages, context, is_done }
    }

    /// The context of the run, as it was when [`Collector::next`] last asked for results; none before.
    pub fn context(&self) -> Option<Vec<u8>> {
        self.context.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The next result, of a job that ended however it did.
    ///
    /// # Errors
    /// `DRAINED` behind the last: the stage is closed and everything was handed over, or the run has ended. `TIMED_OUT`,
    /// `INTERRUPTED`; `ERR_STATE` when another collects the stage, `ERR_NOT_FOUND` when there is none that is collected.
    pub fn next(&self, timeout: Timeout) -> Result<JobResult, Failure> {
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut pages = self.pages();
        loop {
            if let Some((id, verdict)) = pages.fetched.pop_front() {
                return Ok(JobResult::new(Delivery { id, tag: 0, news: News::Ended(verdict) }));
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if !pages.told.is_empty() {
                self.fetch(&mut pages, left.map(|left| left.max(ANSWER_GRACE)))?;
                continue;
            }
            if self.is_done.load(Ordering::Acquire) {
                return Err(Failure::new(Status::Drained, ""));
            }
            let wait = left.map_or(WAIT, |left| left.min(WAIT));
            match self.ask(&mut pages, wait) {
                Ok(true) => return Err(Failure::new(Status::Drained, "")),
                Ok(false) => {}
                Err(failure) if failure.status == Status::TimedOut => {}
                Err(failure) => return Err(failure),
            }
            let is_late = until.is_some_and(|until| until <= Instant::now());
            if is_late && pages.told.is_empty() {
                return Err(Failure::new(Status::TimedOut, ""));
            }
        }
    }

    /// Acknowledges the result of a job, for good: nobody is handed it again. `data` is for whoever adds to the stage.
    ///
    /// # Errors
    /// `ERR_NOT_FOUND` for a job of another stage, `ERR_TOO_LARGE`, `ERR_STATE`; `ERR_UNCONFIRMED` when the broker did not answer in
    /// time: acknowledge it again.
    pub fn ack(&self, job: JobId, data: &[u8], timeout: Timeout) -> Result<(), Failure> {
        if data.len() > ACKED_LEN_MAX {
            let message = format!(
                "the data of an acknowledgement has {} bytes; it may have {ACKED_LEN_MAX}",
                data.len()
            );
            return Err(Failure::new(Status::TooLarge, message));
        }
        let mut arguments = self.arguments();
        arguments.push(("job".to_owned(), job.to_string()));
        arguments.push(("data".to_owned(), hex(data)));
        let answer = json_of(&self.handle.admin("stage.ack", arguments, timeout, Status::Unconfirmed)?)?;
        if answer["end"] == true {
            self.is_done.store(true, Ordering::Release);
        }
        Ok(())
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn arguments(&self) -> Vec<(String, String)> {
        let named = [("id", self.run.to_string()), ("step", self.step.clone()), ("name", self.name.clone())];
        named.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// Asks for another page; true when there is nothing more to come.
    fn ask(&self, pages: &mut Pages, wait: Duration) -> Result<bool, Failure> {
        let mut arguments = self.arguments();
        let order = if self.order == Order::Submission { "submission" } else { "completion" };
        arguments.push(("order".to_owned(), order.to_owned()));
        arguments.push(("limit".to_owned(), PAGE_LEN.to_string()));
        arguments.push(("wait_ms".to_owned(), wait.as_millis().to_string()));
        arguments.extend(pages.since.clone().map(|since| ("since".to_owned(), since)));
        let patience = Some(wait.saturating_add(ANSWER_GRACE));
        let answer = json_of(&self.handle.admin("stage.results", arguments, patience, Status::TimedOut)?)?;
        for result in answer["results"].as_array().into_iter().flatten() {
            let job = result["job"].as_str().and_then(JobId::parse).ok_or_else(unreadable)?;
            if pages.known.insert(job) {
                pages.told.push_back(job);
            }
        }
        pages.since = answer["next"].as_str().map(str::to_owned);
        let context = answer["context"].as_str().map(|digits| bytes_of(digits).ok_or_else(unreadable));
        *self.context.lock().unwrap_or_else(PoisonError::into_inner) = context.transpose()?;
        Ok(answer["end"] == true)
    }

    /// Fetches the results of the jobs that were told, in their order.
    fn fetch(&self, pages: &mut Pages, left: Timeout) -> Result<(), Failure> {
        let ids: Vec<JobId> = pages.told.iter().copied().collect();
        let mut ended = self.handle.wait(&ids, ids.len(), left)?;
        while let Some(&id) = pages.told.front() {
            let Some(at) = ended.ended.iter().position(|(ended, _)| *ended == id) else {
                return Err(ended.failure.unwrap_or_else(|| Failure::new(Status::TimedOut, "")));
            };
            let (_, result) = ended.ended.swap_remove(at);
            pages.fetched.push_back((id, result?));
            pages.told.pop_front();
        }
        Ok(())
    }
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Collector { run, step, name, order, .. } = self;
        write!(f, "Collector({name} of stage {step} of run {run}, {order:?})")
    }
}

/// What the collector of a stage has said with its acknowledgements, behind the one with number `after`.
pub(super) fn acked(
    handle: &ClientHandle,
    run: JobId,
    step: &str,
    after: u64,
    timeout: Timeout,
) -> Result<JobResult, Failure> {
    let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let wait = left.map_or(WAIT, |left| left.min(WAIT));
        let said = [
            ("id", run.to_string()),
            ("step", step.to_owned()),
            ("since", after.to_string()),
            ("limit", "1".to_owned()),
            ("wait_ms", wait.as_millis().to_string()),
        ];
        let arguments = said.map(|(key, value)| (key.to_owned(), value)).to_vec();
        let patience = Some(wait.saturating_add(ANSWER_GRACE));
        match handle.admin("stage.acked", arguments, patience, Status::TimedOut) {
            Ok(news) => {
                let answer = json_of(&news)?;
                if let Some(ack) = answer["acks"].get(0) {
                    return read_ack(ack).ok_or_else(unreadable);
                }
                if answer["end"] == true {
                    return Err(Failure::new(Status::Drained, ""));
                }
            }
            Err(failure) if failure.status == Status::TimedOut => {}
            Err(failure) => return Err(failure),
        }
        if until.is_some_and(|until| until <= Instant::now()) {
            return Err(Failure::new(Status::TimedOut, ""));
        }
    }
}

fn read_ack(ack: &Value) -> Option<JobResult> {
    let id = ack["job"].as_str().and_then(JobId::parse)?;
    let sequence = ack["number"].as_u64()?;
    let data = bytes_of(ack["data"].as_str()?)?;
    let news = News::Partial { attempt: 0, sequence, body: Body::one(data) };
    Some(JobResult::new(Delivery { id, tag: 0, news }))
}

/// Two digits for each byte.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    hex.as_bytes().chunks(2).map(byte).collect()
}

fn json_of(news: &News) -> Result<Value, Failure> {
    let News::Text(body) = news else { return Err(unreadable()) };
    body.0.first().and_then(|text| serde_json::from_slice(text).ok()).ok_or_else(unreadable)
}

fn unreadable() -> Failure {
    Failure::new(Status::Protocol, "the broker's answer about a stage cannot be read")
}
