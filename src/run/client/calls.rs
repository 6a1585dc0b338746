//! What threads call on a client.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::core::client::{Delivery, News, Order, Want};
use crate::model::{Failure, JobId, Level, ReplyMode, Status, Submission, Verdict, limits};
use crate::run::call::{Call, Woken};
use crate::run::client::{ClientHandle, DEADLINE_GRACE, Orders, Request, Shared, State, result_len};
use crate::run::gate::{Interrupted, Until, Wait, lock, nothing, until, wait_on};
use crate::run::{clock, ids};

type Timeout = Option<Duration>;

/// A job as it comes from the application.
#[derive(Debug)]
pub struct NewJob {
    /// Everything but the id and what this layer decides (`reply`, `resent` and the wishes are set here).
    pub submission: Submission,
    /// The application chose the id.
    pub has_own_id: bool,
    /// Comes back with its news.
    pub tag: u64,
    /// Which news `next` hands over.
    pub want: Want,
}

/// What became of several jobs.
#[derive(Debug)]
pub struct Taken {
    /// Their ids; empty when an argument was wrong.
    pub ids: Vec<JobId>,
    /// The first so many are held.
    pub accepted: usize,
    /// Why not all.
    pub failure: Option<Failure>,
}

impl Taken {
    fn none(failure: Failure) -> Self {
        Taken { ids: Vec::new(), accepted: 0, failure: Some(failure) }
    }
}

impl ClientHandle {
    /// Waits until a broker answers.
    pub fn ready(&self, timeout: Timeout) -> Result<(), Failure> {
        self.shared.gate.ready(until(timeout))
    }

    /// How it stands with its broker.
    pub fn state(&self) -> State {
        self.shared.gate.state()
    }

    /// The id of the broker, once one answered.
    pub fn broker(&self) -> Option<[u8; 16]> {
        if self.shared.gate.is_forked() { None } else { *lock(&self.shared.broker) }
    }

    /// A name checked and an id made: the application's own, or a new one by the broker's clock.
    pub fn new_job_id(&self) -> Result<JobId, Failure> {
        let ahead_ms = self.shared.clock_ahead_ms.load(Ordering::Relaxed);
        ids::new_id(clock::wall_ms().saturating_add_signed(ahead_ms))
    }

    /// Submits jobs and waits until the broker holds them.
    pub fn submit(&self, jobs: Vec<NewJob>, timeout: Timeout) -> Taken {
        let shared = &self.shared;
        if let Err(failure) = shared.check_all(&jobs) {
            return Taken::none(failure);
        }
        let ids: Vec<JobId> = jobs.iter().map(|job| job.submission.id).collect();
        let until = until(timeout);
        let Ok(wait) = shared.gate.wait() else {
            return Taken { ids, accepted: 0, failure: Some(interrupted()) };
        };
        let call = Call::new(wait.turn());
        let total = jobs.len();
        let said = shared.submit_in_pieces(jobs, &call, &wait, until);
        let (progress, woken) = call.wait(Some(&wait), until, |progress| progress.confirmed >= said.count);
        let failure = match (progress.refusal(), said.failure, woken) {
            (Some(failure), _, _) => Some(failure.clone()),
            (None, Some(failure), _) => Some(failure),
            (None, None, Woken::Done) => None,
            (None, None, woken) => Some(shared.unconfirmed(woken)),
        };
        let accepted = progress.accepted;
        drop(progress);
        if failure.is_some() && accepted < total {
            shared.mailbox.push_quietly(Request::Abandon { ticket: call.ticket, ids: ids.clone() });
        }
        Taken { ids, accepted, failure }
    }

    /// Hands jobs over without waiting.
    pub fn enqueue(&self, jobs: Vec<NewJob>) -> Taken {
        let shared = &self.shared;
        if let Err(failure) = shared.check_all(&jobs) {
            return Taken::none(failure);
        }
        let ids: Vec<JobId> = jobs.iter().map(|job| job.submission.id).collect();
        let mut orders = Vec::with_capacity(jobs.len());
        let mut failure = None;
        for job in jobs {
            let charge = job.submission.body.len() as u64;
            if !shared.room.take(&shared.settings, charge) {
                failure = Some(shared.no_room());
                break;
            }
            orders.push(order_of(job, charge, false));
        }
        let accepted = orders.len();
        if accepted > 0 {
            shared.mailbox.push(Request::Submit(Orders { orders, call: None }));
        }
        Taken { ids, accepted, failure }
    }

    /// Waits until the broker has taken or refused every job enqueued so far.
    pub fn flush(&self, timeout: Timeout) -> Result<(), Failure> {
        self.ask(timeout, None, Status::Unconfirmed, |call| Request::Flush { call }).map(drop)
    }

    /// Submits a job and waits for its end. The timeout is its deadline too unless it has one.
    pub fn call(&self, mut job: NewJob, timeout: Timeout) -> Result<Arc<Verdict>, Failure> {
        let shared = &self.shared;
        shared.check_all(std::slice::from_ref(&job))?;
        let id = job.submission.id;
        let mut until = until(timeout);
        let options = &mut job.submission.options;
        if let (Some(timeout), None) = (timeout, options.deadline_ms) {
            options.deadline_ms = Some((timeout.as_millis() as u64).clamp(1, limits::INTERVAL_MS_MAX));
        }
        options.level.get_or_insert(Level::Volatile);
        job.want.0 &= !(Want::RESULT | Want::REFUSED).0;
        let wait = shared.gate.wait().map_err(|Interrupted| interrupted())?;
        let call = Call::new(wait.turn());
        let charge = job.submission.body.len() as u64;
        shared.wait_for_room(charge, &wait, until)?;
        let mut order = order_of(job, charge, true);
        order.wait = Some(call.ticket);
        shared.mailbox.push(Request::Submit(Orders { orders: vec![order], call: Some(call.clone()) }));
        if shared.gate.state() == State::Ready {
            until = until.and_then(|until| until.checked_add(DEADLINE_GRACE));
        }
        let (mut progress, woken) = call.wait(Some(&wait), until, |progress| !progress.ended.is_empty());
        progress.has_left = true;
        let ended = progress.ended.pop();
        drop(progress);
        match ended {
            Some((_, result)) => {
                if result.is_ok() {
                    shared.mailbox.push_quietly(Request::Handed(id));
                }
                result
            }
            None => {
                shared.mailbox.push_quietly(Request::Abandon { ticket: call.ticket, ids: vec![id] });
                Err(shared.unconfirmed(woken))
            }
        }
    }

    /// Waits until at least so many of the jobs have ended, and hands over those that have. The first failure of a
    /// job that never will ends the wait.
    pub fn wait(&self, ids: &[JobId], at_least: usize, timeout: Timeout) -> Result<Ended, Failure> {
        let shared = &self.shared;
        shared.gate.check()?;
        let until = until(timeout);
        let wait = shared.gate.wait().map_err(|Interrupted| nothing(Status::Interrupted))?;
        let call = Call::new(wait.turn());
        shared.mailbox.push(Request::Wait { call: call.clone(), ids: ids.to_vec() });
        // What is here already is handed over even to those who do not wait.
        let is_poll = timeout == Some(Duration::ZERO);
        let until = if is_poll { self::until(Some(SERVER_ANSWER)) } else { until };
        let (mut progress, woken) = call.wait(Some(&wait), until, |progress| {
            progress.ended.len() >= at_least || (is_poll && progress.is_seen)
        });
        progress.has_left = true;
        let ended = std::mem::take(&mut progress.ended);
        drop(progress);
        if ended.len() < ids.len() {
            let left = ids.iter().filter(|id| !ended.iter().any(|(one, _)| one == *id)).copied().collect();
            shared.mailbox.push(Request::Abandon { ticket: call.ticket, ids: left });
        }
        for (id, _) in ended.iter().filter(|(_, result)| result.is_ok()) {
            shared.mailbox.push_quietly(Request::Handed(*id));
        }
        let status = match woken {
            Woken::Done if ended.len() < at_least => Some(Status::TimedOut),
            Woken::Done => None,
            Woken::Over => Some(Status::Closed),
            Woken::Interrupted => Some(Status::Interrupted),
            Woken::TimedOut => Some(Status::TimedOut),
        };
        let failure =
            status.map(|status| if status == Status::Closed { shared.over() } else { nothing(status) });
        Ok(Ended { ended, failure })
    }

    /// Hands over deliveries, at least one, at most `cap`.
    pub fn next(&self, timeout: Timeout, cap: usize, out: &mut Vec<Delivery>) -> Result<usize, Failure> {
        let shared = &self.shared;
        let until = until(timeout);
        let mut wait: Option<Wait<'_>> = None;
        let next = &shared.next;
        // Without an end of waiting even a closed handle hands over what is left.
        if shared.gate.is_forked() {
            shared.gate.check()?;
        }
        let mut state = lock(&next.state);
        let status = loop {
            if !state.queue.is_empty() {
                break None;
            }
            if let Err(failure) = shared.gate.check() {
                drop(state);
                return Err(failure);
            }
            let waiting = match &wait {
                Some(wait) => wait,
                None if timeout == Some(Duration::ZERO) => break Some(Status::TimedOut),
                None => {
                    drop(state);
                    let Ok(begun) = shared.gate.wait() else { return Err(nothing(Status::Interrupted)) };
                    wait = Some(begun);
                    state = lock(&next.state);
                    continue;
                }
            };
            if waiting.is_interrupted() {
                break Some(Status::Interrupted);
            }
            state.waiting += 1;
            let (woken, is_late) = match wait_on(&next.changed, state, until) {
                Ok(state) => (state, false),
                Err(state) => (state, true),
            };
            state = woken;
            state.waiting -= 1;
            if is_late && state.queue.is_empty() {
                break Some(Status::TimedOut);
            }
        };
        if let Some(status) = status {
            return Err(nothing(status));
        }
        let count = state.queue.len().min(cap.max(1));
        let first = out.len();
        out.extend(state.queue.drain(..count));
        if state.queue.is_empty() && state.has_watcher && shared.gate.ended().is_none() {
            next.level.clear();
        }
        let is_more_for_others = !state.queue.is_empty() && state.waiting > 0;
        drop(state);
        if is_more_for_others {
            next.changed.notify_one();
        }
        for delivery in &out[first..] {
            if let Some(len) = result_len(&delivery.news) {
                shared.mailbox.push_quietly(Request::Taken(delivery.id, len));
            }
        }
        Ok(count)
    }

    /// How a job stands.
    pub fn peek(&self, id: JobId, timeout: Timeout) -> Result<News, Failure> {
        self.ask(timeout, Some(id), Status::TimedOut, |call| Request::Peek { call, id })
    }

    /// The application needs a result no more.
    pub fn ack(&self, id: JobId) -> Result<(), Failure> {
        self.shared.gate.check()?;
        self.shared.mailbox.push_quietly(Request::Ack(id));
        Ok(())
    }

    /// Cancels a job for ever, or says why not.
    pub fn cancel(&self, id: JobId, reason: &str, timeout: Timeout) -> Result<(), Failure> {
        let reason = reason.to_owned();
        self.ask(timeout, Some(id), Status::Unconfirmed, |call| Request::Cancel { call, id, reason })
            .map(drop)
    }

    /// An operator's command. `late`: the status when no answer came in time.
    pub fn admin(
        &self,
        command: &str,
        arguments: Vec<(String, String)>,
        timeout: Timeout,
        late: Status,
    ) -> Result<News, Failure> {
        let command = command.to_owned();
        self.ask(timeout, None, late, |call| Request::Admin { call, command, arguments })
    }

    /// What happened so far, as JSON text.
    pub fn stats(&self) -> String {
        let shared = &self.shared;
        if shared.gate.check().is_err() {
            return "{}".to_owned();
        }
        let call = Call::new(shared.gate.turn());
        shared.mailbox.push(Request::Stats { call: call.clone() });
        let (mut progress, _) =
            call.wait(None, until(Some(SERVER_ANSWER)), |progress| progress.answer.is_some());
        match progress.answer.take() {
            Some(Ok(News::Text(body))) => {
                String::from_utf8_lossy(body.0.first().map_or(&[], |text| text.as_ref())).into_owned()
            }
            _ => "{}".to_owned(),
        }
    }

    /// A descriptor that is readable exactly while `next` would not wait; -1 in a forked child.
    pub fn fd(&self) -> i64 {
        if self.shared.gate.is_forked() {
            return -1;
        }
        let mut state = lock(&self.shared.next.state);
        if !std::mem::replace(&mut state.has_watcher, true)
            && (!state.queue.is_empty() || self.shared.gate.ended().is_some())
        {
            self.shared.next.level.set();
        }
        self.shared.next.level.fd().into()
    }

    /// Ends all waits, or the next one. Async-signal-safe.
    pub fn interrupt(&self) {
        self.shared.gate.interrupt();
        self.shared.mailbox.wake();
    }

    /// Asks one question and waits for its answer.
    fn ask(
        &self,
        timeout: Timeout,
        id: Option<JobId>,
        late: Status,
        request: impl FnOnce(Arc<Call>) -> Request,
    ) -> Result<News, Failure> {
        let shared = &self.shared;
        shared.gate.check()?;
        let fail = |woken: Woken| match (woken, late) {
            (Woken::Over, _) => shared.over(),
            (woken, Status::Unconfirmed) => shared.unconfirmed(woken),
            (Woken::Interrupted, _) => nothing(Status::Interrupted),
            (_, late) => nothing(late),
        };
        let wait = shared.gate.wait().map_err(|Interrupted| fail(Woken::Interrupted))?;
        let call = Call::new(wait.turn());
        shared.mailbox.push(request(call.clone()));
        let (mut progress, woken) =
            call.wait(Some(&wait), until(timeout), |progress| progress.answer.is_some());
        if let Some(answer) = progress.answer.take() {
            return answer;
        }
        drop(progress);
        let ids = id.into_iter().collect();
        shared.mailbox.push_quietly(Request::Abandon { ticket: call.ticket, ids });
        Err(fail(woken))
    }
}

/// The jobs of a wait that have ended, and why it stopped waiting for the others.
#[derive(Debug)]
pub struct Ended {
    /// In the order they ended.
    pub ended: Vec<(JobId, Result<Arc<Verdict>, Failure>)>,
    /// Why there are not enough: `TimedOut`, `Interrupted`, or what ended the client.
    pub failure: Option<Failure>,
}

/// What the serving thread, which never waits for anything, needs at most to answer.
const SERVER_ANSWER: Duration = Duration::from_millis(500);

struct Said {
    count: usize,
    failure: Option<Failure>,
}

impl Shared {
    fn check_all(&self, jobs: &[NewJob]) -> Result<(), Failure> {
        self.gate.check()?;
        jobs.iter().try_for_each(|job| self.check_job(job))
    }

    fn check_job(&self, job: &NewJob) -> Result<(), Failure> {
        let submission = &job.submission;
        let payload_max = self.payload_max.load(Ordering::Relaxed);
        let too_large = |what: &str, value: u64, max: u64| {
            Err(Failure::new(Status::TooLarge, format!("{what} is {value}; the limit is {max}")))
        };
        let len = submission.body.len() as u64;
        if len > payload_max {
            return too_large("the payload's length in bytes", len, payload_max);
        }
        let frames_max = self.frames_max.load(Ordering::Relaxed);
        let frames = submission.body.0.len() as u64;
        if frames > frames_max {
            return too_large("the number of frames", frames, frames_max);
        }
        let headers_max = self.headers_max.load(Ordering::Relaxed);
        let headers = submission.headers.len() as u64;
        if headers > headers_max {
            return too_large("the headers' length in bytes with their names", headers, headers_max);
        }
        if job.want.contains(Want::RESULT) && submission.options.result_ttl_ms == Some(0) {
            return Err(Failure::new(
                Status::Argument,
                "the job wants its result but has job.result_ttl_ms = 0, which means nobody wants it",
            ));
        }
        Ok(())
    }

    /// Puts jobs into the mailbox as the window has room for them.
    fn submit_in_pieces(&self, jobs: Vec<NewJob>, call: &Arc<Call>, wait: &Wait<'_>, until: Until) -> Said {
        let mut orders = Vec::with_capacity(jobs.len());
        let mut count = 0;
        for (index, job) in jobs.into_iter().enumerate() {
            let charge = job.submission.body.len() as u64;
            if !self.room.take(&self.settings, charge) {
                if !orders.is_empty() {
                    let orders = std::mem::take(&mut orders);
                    self.mailbox.push(Request::Submit(Orders { orders, call: Some(call.clone()) }));
                }
                if let Err(failure) = self.wait_for_room(charge, wait, until) {
                    return Said { count, failure: Some(failure) };
                }
            }
            let mut order = order_of(job, charge, false);
            order.confirm = Some((call.ticket, index as u32));
            Arc::make_mut(&mut order.submission).is_patient = false;
            orders.push(order);
            count += 1;
        }
        if !orders.is_empty() {
            self.mailbox.push(Request::Submit(Orders { orders, call: Some(call.clone()) }));
        }
        Said { count, failure: None }
    }

    /// Waits until the window has room for one job, and takes it.
    fn wait_for_room(&self, charge: u64, wait: &Wait<'_>, until: Until) -> Result<(), Failure> {
        if self.room.take(&self.settings, charge) {
            return Ok(());
        }
        self.room.waiting.fetch_add(1, Ordering::SeqCst);
        let mut guard = lock(&self.room.lock);
        let result = loop {
            if self.room.take(&self.settings, charge) {
                break Ok(());
            }
            if let Err(failure) = self.gate.check() {
                break Err(failure);
            }
            if wait.is_interrupted() {
                break Err(interrupted());
            }
            guard = match wait_on(&self.room.changed, guard, until) {
                Ok(guard) => guard,
                Err(_) => break Err(self.no_room()),
            };
        };
        self.room.waiting.fetch_sub(1, Ordering::SeqCst);
        result
    }

    fn no_room(&self) -> Failure {
        let message = format!(
            "the client holds {} jobs of {} bytes that the broker has not taken or ended; its window is {} jobs and {} \
             bytes",
            self.room.jobs.load(Ordering::Relaxed),
            self.room.bytes.load(Ordering::Relaxed),
            self.settings.window_jobs,
            self.settings.window_bytes
        );
        Failure::busy(message, limits::BUSY_RETRY_MS)
    }

    fn unconfirmed(&self, woken: Woken) -> Failure {
        match woken {
            Woken::Over => self.over(),
            Woken::Interrupted => interrupted(),
            _ if self.gate.state() == State::Connecting => Failure::new(
                Status::Unconfirmed,
                "no broker answered in time; the job may exist or be submitted later, submit the same id again to make \
                 sure",
            ),
            _ => Failure::new(Status::Unconfirmed, Status::Unconfirmed.text()),
        }
    }

    fn over(&self) -> Failure {
        self.gate.ended().cloned().unwrap_or_else(crate::run::gate::closed)
    }
}

fn interrupted() -> Failure {
    Failure::new(Status::Unconfirmed, "interrupted before the broker answered; the job may exist")
}

fn order_of(job: NewJob, charge: u64, is_call: bool) -> Order {
    let mut submission = job.submission;
    let is_unwanted = submission.options.result_ttl_ms == Some(0) && !is_call;
    submission.reply = match &submission.stage {
        _ if is_unwanted => ReplyMode::None,
        // The run keeps it, and whoever asks gets it.
        Some(_) if !job.want.contains(Want::RESULT) => ReplyMode::Keep,
        _ => ReplyMode::Push,
    };
    submission.wants_progress = job.want.contains(Want::PROGRESS);
    submission.wants_partial = job.want.contains(Want::PARTIAL);
    // What ends by a result that is told is not asked about before.
    submission.is_patient =
        is_call || (job.want.contains(Want::RESULT) && !job.want.contains(Want::ACCEPTED));
    if job.has_own_id {
        submission.content = Some(content_of(&submission));
    }
    Order {
        submission: Arc::new(submission),
        tag: job.tag,
        want: job.want,
        is_volatile: is_call,
        charge,
        confirm: None,
        wait: None,
    }
}

/// What makes two submissions under one id the same job: SHA-256 over queue, frames and headers, each with its length.
fn content_of(submission: &Submission) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    add(submission.queue.as_str().as_bytes());
    add(&(submission.body.0.len() as u64).to_be_bytes());
    submission.body.0.iter().for_each(|frame| add(frame));
    for (name, value) in &submission.headers.0 {
        add(name.as_bytes());
        add(value);
    }
    hash.finalize().to_vec()
}
