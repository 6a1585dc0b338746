//! The thread that serves a worker: the only one that touches its core and its line.
//!
//! Invariant: it never waits for anything but the line, the mailbox and time; whatever ends it, every later call says
//! why, and every job in a thread's hands is told that its lease is lost.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::core::client::News;
use crate::core::session::PeerEvent;
use crate::core::worker::{Answer, JobKey, WorkerConfig, WorkerCore, WorkerEvent};
use crate::model::{Body, Failure, Now, Status, Stop};
use crate::run::call::Call;
use crate::run::line::Line;
use crate::run::worker::{HeldJob, Request, Shared, State};
use crate::run::{clock, gate};

/// Progress of one job leaves at most so often.
const PROGRESS_INTERVAL_US: u64 = 100_000;

pub(super) struct Server {
    shared: Arc<Shared>,
    line: Line,
    core: WorkerCore,
    jobs: Jobs,
    letters: VecDeque<Request>,
    /// Jobs just granted, and those of them promised to a waiting thread.
    granted: Vec<Arc<HeldJob>>,
    begun: Vec<JobKey>,
    /// When to ask jobs again for their progress, earliest first.
    progress_due: VecDeque<(u64, JobKey)>,
    /// Whoever has answered a job is likely to receive the next: until then nobody needs to say so.
    look_us: u64,
    drains: Vec<Arc<Call>>,
    is_stopped: bool,
    close_by_us: Option<u64>,
    has_left: bool,
}

impl Server {
    pub(super) fn new(now: Now, shared: Arc<Shared>, line: Line) -> Self {
        let config = WorkerConfig {
            prefetch: shared.settings.prefetch,
            unacked_bytes: shared.settings.unacked_bytes,
            broker_gone_ms: shared.settings.broker_gone_ms,
        };
        Server {
            shared,
            line,
            core: WorkerCore::new(now, config),
            jobs: Jobs::default(),
            letters: VecDeque::new(),
            granted: Vec::new(),
            begun: Vec::new(),
            progress_due: VecDeque::new(),
            look_us: 0,
            drains: Vec::new(),
            is_stopped: false,
            close_by_us: None,
            has_left: false,
        }
    }

    pub(super) fn run(mut self) {
        let ended = catch_unwind(AssertUnwindSafe(|| self.serve()));
        let why = match ended {
            Ok(Ok(())) => gate::closed(),
            Ok(Err(failure)) => {
                log::error!(target: "worker", "the worker has ended: {failure}");
                failure
            }
            Err(_) => {
                log::error!(target: "worker", "the worker has ended: {}", Status::Panic.text());
                Failure::new(Status::Panic, Status::Panic.text())
            }
        };
        self.shared.gate.end(why, State::Closed);
        for job in self.jobs.0.iter().flatten() {
            job.tell_stop(Stop::LEASE_LOST);
        }
        // Requests that came too late are answered too.
        self.letters.clear();
        self.shared.mailbox.take(&mut self.letters);
        for letter in &self.letters {
            if let Request::Drain { call } | Request::Stats { call } = letter {
                call.put(|progress| progress.is_over = true);
            }
        }
        for call in &self.drains {
            call.put(|progress| progress.is_over = true);
        }
        self.shared.waiting.end();
    }

    fn serve(&mut self) -> Result<(), Failure> {
        loop {
            let now = clock::now();
            self.shared.mailbox.awake();
            if !self.is_stopped && self.shared.is_stopping.load(Ordering::SeqCst) {
                self.stop();
            }
            let has_more = self.line.receive(now)?;
            if !self.line.is_up() {
                self.shared.gate.set_trouble(self.line.trouble());
            }
            while let Some(event) = self.line.poll_event(now) {
                self.peer_event(now, event);
            }
            self.requests(now);
            self.ask_progress(now);
            self.core.tick(now);
            // Events first: what a waiting thread is handed begins in the same packet.
            self.tell(now);
            while let Some(command) = self.core.poll_command() {
                let number = self.line.peer.send(command);
                self.core.sent(number);
                self.line.flush_full(now)?;
            }
            self.tell(now);
            if self.shared.gate.take_interrupt() {
                self.shared.waiting.wake();
                self.drains.iter().for_each(|call| call.put(|_| {}));
            }
            self.line.flush(now)?;
            if self.is_finished(now)? {
                return Ok(());
            }
            let looks_soon = now.us < self.look_us && !self.shared.waiting.is_empty();
            if !has_more && self.shared.mailbox.fall_asleep(looks_soon) {
                let due_us = self.progress_due.front().map(|(due_us, _)| *due_us);
                let look_us = looks_soon.then_some(self.look_us);
                let times = [self.core.next_timeout(), self.close_by_us, due_us, look_us];
                self.line.sleep(now, self.shared.mailbox.waker(), times.into_iter().flatten().min())?;
            }
        }
    }

    fn stop(&mut self) {
        self.is_stopped = true;
        self.core.drain();
        self.shared.waiting.drain();
    }

    fn peer_event(&mut self, now: Now, event: PeerEvent) {
        let shared = &self.shared;
        match &event {
            PeerEvent::Up { terms, .. } => {
                shared.payload_max.store(terms.payload_max, Ordering::Relaxed);
                shared.headers_max.store(terms.headers_max, Ordering::Relaxed);
                shared.frames_max.store(terms.frames_max, Ordering::Relaxed);
            }
            PeerEvent::BeatDue => {
                let leases = self.core.leases();
                self.line.peer.beat(now, &leases);
            }
            _ => {}
        }
        self.core.handle(now, event);
        self.settle_state();
    }

    fn settle_state(&self) {
        let gate = &self.shared.gate;
        if gate.ended().is_none() && gate.state() != State::Draining {
            let is_up = self.core.is_up() && self.line.is_up();
            gate.set_state(if is_up { State::Ready } else { State::Connecting });
        }
    }

    fn requests(&mut self, now: Now) {
        if self.core.is_up() && !self.line.is_up() {
            // The socket says so before the session does.
            self.core.handle(now, PeerEvent::Down);
            self.settle_state();
        }
        self.shared.mailbox.take(&mut self.letters);
        let mut letters = std::mem::take(&mut self.letters);
        for letter in letters.drain(..) {
            self.request(now, letter);
        }
        self.letters = letters;
    }

    fn request(&mut self, now: Now, letter: Request) {
        match letter {
            Request::Register { queue, settings } => {
                self.core.register(&queue, settings.slots, settings.weight)
            }
            Request::Unregister { queue } => self.core.unregister(&queue),
            Request::Receiving { slots } => self.core.receiving(slots),
            Request::Started(at, key) => self.core.started(at, key),
            Request::Answered { key, answer, len, run_us, progress } => {
                if let Some((fraction, note)) = progress {
                    self.core.progress(key, fraction, note);
                }
                if log::log_enabled!(target: "worker", log::Level::Debug)
                    && let Some(job) = self.jobs.get(key)
                {
                    let word = match answer {
                        Answer::Done(_) => "completed",
                        Answer::Failed(_) => "failed",
                        Answer::Released { .. } => "released",
                    };
                    log::debug!(target: "worker", job:% = job.grant().id; "{word}");
                }
                self.core.answer(now, key, answer, len, run_us);
                self.look_us = now.us + self.core.start_hold_us();
            }
            Request::Progress(key) => {
                self.say_progress(key);
                self.progress_due.push_back((now.us + PROGRESS_INTERVAL_US, key));
            }
            Request::Partial { key, body } => self.core.partial(key, body),
            Request::Drain { call } => self.drains.push(call),
            Request::Abandon { call } => self.drains.retain(|one| !Arc::ptr_eq(one, &call)),
            Request::Stats { call } => {
                let text = self.stats();
                call.put(|progress| progress.answer = Some(Ok(News::Text(Body::one(text)))));
            }
            Request::Watched => self.core.watched(),
            Request::Close => {
                let linger_us = self.shared.settings.linger_ms.saturating_mul(1_000);
                self.close_by_us.get_or_insert(now.us.saturating_add(linger_us));
                self.stop();
            }
        }
    }

    fn say_progress(&mut self, key: JobKey) -> bool {
        match self.jobs.get(key).and_then(|job| job.take_progress()) {
            Some((fraction, note)) => {
                self.core.progress(key, fraction, note);
                true
            }
            None => false,
        }
    }

    fn ask_progress(&mut self, now: Now) {
        while self.progress_due.front().is_some_and(|(due_us, _)| *due_us <= now.us) {
            let Some((_, key)) = self.progress_due.pop_front() else { return };
            if self.say_progress(key) {
                self.progress_due.push_back((now.us + PROGRESS_INTERVAL_US, key));
            }
        }
    }

    /// Hands what the core has to say to whoever it concerns.
    fn tell(&mut self, now: Now) {
        loop {
            while let Some(event) = self.core.poll_event() {
                self.tell_one(event);
            }
            if self.granted.is_empty() {
                break;
            }
            self.shared.waiting.put(&mut self.granted, &mut self.begun);
            for key in self.begun.drain(..) {
                self.core.started(now, key);
            }
        }
        if !self.drains.is_empty() && self.is_stopped && self.core.is_idle() {
            for call in self.drains.drain(..) {
                call.put(|progress| progress.answer = Some(Ok(News::Accepted)));
            }
        }
    }

    fn tell_one(&mut self, event: WorkerEvent) {
        match event {
            WorkerEvent::Granted { key, grant } => {
                let job = Arc::new(HeldJob::new(key, *grant, Some(self.shared.clone())));
                self.jobs.insert(job.clone());
                self.granted.push(job);
            }
            WorkerEvent::Withdraw(key) => {
                // One just granted is not among those that wait yet.
                let fresh = self.granted.iter().position(|job| job.key() == key);
                let is_withdrawn = match fresh {
                    Some(at) => {
                        self.granted.remove(at);
                        true
                    }
                    None => self.shared.waiting.withdraw(key),
                };
                if is_withdrawn {
                    self.core.withdrawn(key);
                }
                if self.core.is_unattended() {
                    self.shared.waiting.unattended();
                }
            }
            WorkerEvent::Stop { key, why } => {
                if let Some(job) = self.jobs.get(key) {
                    log::info!(target: "worker", job:% = job.grant().id, bits = why.0; "told to stop");
                    job.tell_stop(why);
                }
            }
            WorkerEvent::Hint { key, hint } => {
                if let Some(job) = self.jobs.get(key) {
                    job.tell_hint(hint);
                }
            }
            WorkerEvent::Freed { key, answer_len } => {
                self.jobs.remove(key);
                self.shared.unacked_bytes.fetch_sub(answer_len, Ordering::AcqRel);
            }
            WorkerEvent::PartialTaken { key, len } => {
                if let Some(job) = self.jobs.get(key) {
                    job.partial_taken(len);
                }
            }
            WorkerEvent::RegisterRefused { queue, failure } => {
                log::error!(target: "worker", "the broker refuses the queue {queue}: {failure}");
                self.fail(failure);
            }
            WorkerEvent::Draining => {
                self.shared.gate.set_state(State::Draining);
                self.shared.waiting.drain();
                self.is_stopped = true;
            }
            WorkerEvent::BrokerGone => {
                let message = format!(
                    "no broker answered at {} for {} ms (worker.broker_gone_ms)",
                    self.line.endpoint(),
                    self.shared.settings.broker_gone_ms
                );
                log::error!(target: "worker", "{message}");
                self.fail(Failure::new(Status::Io, message));
            }
            WorkerEvent::Refused(failure) => {
                log::error!(target: "worker", "the broker at {} refuses this worker: {failure}", self.line.endpoint());
                self.fail(failure);
            }
        }
    }

    /// Every later call says why.
    fn fail(&mut self, failure: Failure) {
        self.shared.gate.end(failure, State::Refused);
        self.shared.waiting.wake();
        for call in self.drains.drain(..) {
            call.put(|progress| progress.is_over = true);
        }
    }

    /// Whether a close has come to its end: no answer is owed any more, or the time for it is over. Jobs in threads'
    /// hands are not waited for.
    fn is_finished(&mut self, now: Now) -> Result<bool, Failure> {
        let Some(close_by_us) = self.close_by_us else { return Ok(false) };
        if !self.has_left {
            let is_refused = self.shared.gate.state() == State::Refused;
            if self.core.owes_answers() && !is_refused && now.us < close_by_us {
                return Ok(false);
            }
            self.has_left = true;
            self.line.peer.goodbye(now, "closed");
            self.line.flush(now)?;
        }
        Ok(self.line.is_flushed() || now.us >= close_by_us)
    }

    fn stats(&self) -> String {
        let counters = self.core.counters();
        let link = self.line.peer.counters();
        serde_json::json!({
            "endpoint": self.line.endpoint(),
            "state": self.shared.gate.state() as i32,
            "granted": counters.granted,
            "started": counters.started,
            "done": counters.done,
            "failed": counters.failed,
            "released": counters.released,
            "unstarted": counters.unstarted,
            "revoked": counters.revoked,
            "stale": counters.stale,
            "adopted": counters.adopted,
            "dropped": counters.dropped,
            "sessions": counters.fresh_sessions,
            "reconnects": self.line.reconnects(),
            "running": self.core.running(),
            "unacked_bytes": self.shared.unacked_bytes.load(Ordering::Relaxed),
            "packets_sent": link.packets_sent,
            "packets_received": link.packets_received,
            "commands_sent": link.commands_sent,
            "commands_resent": link.commands_resent,
            "bad_packets": link.bad_packets,
        })
        .to_string()
    }
}

/// The jobs the core knows, by their places.
#[derive(Default)]
struct Jobs(Vec<Option<Arc<HeldJob>>>);

impl Jobs {
    fn insert(&mut self, job: Arc<HeldJob>) {
        let place = job.key().slot as usize;
        if self.0.len() <= place {
            self.0.resize(place + 1, None);
        }
        self.0[place] = Some(job);
    }

    fn get(&self, key: JobKey) -> Option<&Arc<HeldJob>> {
        self.0.get(key.slot as usize)?.as_ref().filter(|job| job.key() == key)
    }

    fn remove(&mut self, key: JobKey) {
        if self.get(key).is_some() {
            self.0[key.slot as usize] = None;
        }
    }
}
