//! The thread that serves a client: the only one that touches its core and its line.
//!
//! Invariant: it never waits for anything but the line, the mailbox and time; whatever ends it, every later call says
//! why.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::core::client::{ClientConfig, ClientCore, ClientEvent, Delivery, News, Ticket};
use crate::core::session::PeerEvent;
use crate::model::{Body, Failure, Now, Status};
use crate::run::call::Call;
use crate::run::client::{Orders, Request, Shared, State};
use crate::run::line::Line;
use crate::run::settings::AckMode;
use crate::run::{clock, gate};

pub(super) struct Server {
    shared: Arc<Shared>,
    line: Line,
    core: ClientCore,
    /// Calls that wait, and how many answers each still gets.
    calls: HashMap<Ticket, (Arc<Call>, usize)>,
    letters: VecDeque<Request>,
    deliveries: Vec<Delivery>,
    /// When a close gives up; `None` while open.
    close_by_us: Option<u64>,
    has_left: bool,
}

impl Server {
    pub(super) fn new(shared: Arc<Shared>, line: Line) -> Self {
        let config = ClientConfig {
            window_jobs: shared.settings.window_jobs,
            window_bytes: shared.settings.window_bytes,
            is_ack_auto: shared.settings.ack == AckMode::Auto,
        };
        Server {
            shared,
            line,
            core: ClientCore::new(config),
            calls: HashMap::new(),
            letters: VecDeque::new(),
            deliveries: Vec::new(),
            close_by_us: None,
            has_left: false,
        }
    }

    pub(super) fn run(mut self) {
        let ended = catch_unwind(AssertUnwindSafe(|| self.serve()));
        let why = match ended {
            Ok(Ok(())) => gate::closed(),
            Ok(Err(failure)) => {
                log::error!(target: "client", "the client has ended: {failure}");
                failure
            }
            Err(_) => {
                log::error!(target: "client", "the client has ended: {}", Status::Panic.text());
                Failure::new(Status::Panic, Status::Panic.text())
            }
        };
        self.shared.gate.end(why, State::Closed);
        // Requests that came too late are answered too.
        self.letters.clear();
        self.shared.mailbox.take(&mut self.letters);
        for letter in std::mem::take(&mut self.letters) {
            self.note_call(&letter);
        }
        self.wake_all(true);
    }

    fn serve(&mut self) -> Result<(), Failure> {
        loop {
            let now = clock::now();
            self.shared.mailbox.awake();
            let has_more = self.line.receive(now)?;
            if !self.line.is_up() {
                self.shared.gate.set_trouble(self.line.trouble());
            }
            while let Some(event) = self.line.poll_event(now) {
                self.peer_event(now, event);
            }
            self.requests(now);
            self.core.tick(now);
            while let Some(command) = self.core.poll_command(now) {
                let number = self.line.peer.send(command);
                self.core.sent(number);
                self.line.flush_full(now)?;
            }
            self.tell(now);
            if self.shared.gate.take_interrupt() {
                self.wake_all(false);
            }
            self.line.flush(now)?;
            if self.is_finished(now)? {
                return Ok(());
            }
            if !has_more && self.shared.mailbox.fall_asleep(false) {
                let next_us = [self.core.next_timeout(), self.close_by_us].into_iter().flatten().min();
                self.line.sleep(now, self.shared.mailbox.waker(), next_us)?;
            }
        }
    }

    fn peer_event(&mut self, now: Now, event: PeerEvent) {
        let shared = &self.shared;
        match &event {
            PeerEvent::Up { terms, .. } => {
                let ahead_ms = i128::from(terms.wall_ms) - i128::from(now.wall_ms);
                let ahead_ms = ahead_ms.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
                shared.clock_ahead_ms.store(ahead_ms, Ordering::Relaxed);
                shared.payload_max.store(terms.payload_max, Ordering::Relaxed);
                shared.headers_max.store(terms.headers_max, Ordering::Relaxed);
                shared.frames_max.store(terms.frames_max, Ordering::Relaxed);
                *gate::lock(&shared.broker) = Some(terms.broker);
            }
            PeerEvent::BeatDue => self.line.peer.beat(now, &[]),
            PeerEvent::Refused(failure) => {
                log::error!(target: "client", "the broker at {} refuses this client: {failure}", self.line.endpoint());
                shared.gate.end(failure.clone(), State::Refused);
            }
            _ => {}
        }
        self.core.handle(now, event);
        self.settle_state();
    }

    fn settle_state(&self) {
        if self.shared.gate.ended().is_none() {
            let is_up = self.core.is_up() && self.line.is_up();
            self.shared.gate.set_state(if is_up { State::Ready } else { State::Connecting });
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
        self.note_call(&letter);
        match letter {
            Request::Submit(orders) => {
                for order in orders.orders {
                    let (job, queue) = (order.submission.id, order.submission.queue.as_str());
                    log::debug!(target: "client", job:% = job, queue; "submitted");
                    self.core.submit(now, order);
                }
            }
            Request::Wait { call, ids } => {
                ids.into_iter().for_each(|id| self.core.wait(now, call.ticket, id));
                self.tell(now);
                call.put(|progress| progress.is_seen = true);
            }
            Request::Handed(id) => self.core.handed(now, id),
            Request::Peek { call, id } => self.core.peek(call.ticket, id),
            Request::Cancel { call, id, reason } => self.core.cancel(call.ticket, id, &reason),
            Request::Admin { call, command, arguments } => self.core.admin(call.ticket, &command, &arguments),
            Request::Flush { call } => self.core.flush(call.ticket),
            Request::Stats { call } => {
                let text = self.stats();
                call.put(|progress| progress.answer = Some(Ok(News::Text(Body::one(text)))));
                self.calls.remove(&call.ticket);
            }
            Request::Ack(id) => self.core.ack(now, id),
            Request::Taken(id, len) => self.core.taken(now, id, len),
            Request::Abandon { ticket, ids } => {
                self.calls.remove(&ticket);
                if ids.is_empty() {
                    self.core.abandon(ticket, None);
                }
                ids.into_iter().for_each(|id| self.core.abandon(ticket, Some(id)));
            }
            Request::Close => {
                let linger_us = self.shared.settings.linger_ms.saturating_mul(1_000);
                self.close_by_us.get_or_insert(now.us.saturating_add(linger_us));
                self.core.hurry();
            }
        }
    }

    /// Hands what the core has to say to whoever waits for it.
    fn tell(&mut self, now: Now) {
        // A call that gets many answers at once is woken once.
        let mut touched: Option<Arc<Call>> = None;
        let touch = |touched: &mut Option<Arc<Call>>, call: Arc<Call>| match touched {
            Some(last) if Arc::ptr_eq(last, &call) => {}
            _ => {
                if let Some(last) = touched.replace(call) {
                    last.wake();
                }
            }
        };
        while let Some(event) = self.core.poll_event() {
            match event {
                ClientEvent::Confirmed { ticket, index, result } => {
                    let Some(call) = self.answered(ticket) else { continue };
                    call.note(|progress| progress.confirm(index, result));
                    touch(&mut touched, call);
                }
                ClientEvent::Ended { ticket, id, result } => {
                    match &result {
                        Ok(verdict) => {
                            log::debug!(target: "client", job:% = id; "ended {}", verdict.outcome.name());
                        }
                        Err(failure) => log::debug!(target: "client", job:% = id; "{failure}"),
                    }
                    let Some(call) = self.answered(ticket) else { continue };
                    let untold = call.note(|progress| {
                        if progress.has_left {
                            return result.ok();
                        }
                        progress.ended.push((id, result));
                        None
                    });
                    untold.into_iter().for_each(|verdict| self.core.untold(now, id, verdict));
                    touch(&mut touched, call);
                }
                ClientEvent::Answered { ticket, result } => {
                    if let Some(call) = self.answered(ticket) {
                        call.put(|progress| progress.answer = Some(result));
                    }
                }
                ClientEvent::Deliver(delivery) => {
                    log::debug!(target: "client", job:% = delivery.id; "{:?} for next", delivery.news.kind());
                    self.deliveries.push(delivery);
                }
            }
        }
        touched.into_iter().for_each(|call| call.wake());
        self.shared.next.put(&mut self.deliveries);
        let (jobs, bytes) = self.core.take_released();
        self.shared.room.give_back(jobs, bytes);
    }

    /// Remembers the call a request belongs to, until it has had all its answers.
    fn note_call(&mut self, letter: &Request) {
        let (call, answers) = match letter {
            Request::Submit(Orders { call: Some(call), orders }) => (call, orders.len()),
            Request::Wait { call, ids } => (call, ids.len()),
            Request::Peek { call, .. }
            | Request::Cancel { call, .. }
            | Request::Admin { call, .. }
            | Request::Flush { call }
            | Request::Stats { call } => (call, 1),
            _ => return,
        };
        if call.turn != self.shared.gate.turn() {
            // It was interrupted on its way; its thread must look again.
            call.wake();
        }
        self.calls.entry(call.ticket).or_insert_with(|| (call.clone(), 0)).1 += answers;
    }

    /// The call that gets an answer now.
    fn answered(&mut self, ticket: Ticket) -> Option<Arc<Call>> {
        let (call, left) = self.calls.get_mut(&ticket)?;
        *left = left.saturating_sub(1);
        if *left > 0 {
            return Some(call.clone());
        }
        self.calls.remove(&ticket).map(|(call, _)| call)
    }

    fn wake_all(&mut self, is_over: bool) {
        for (call, _) in self.calls.values() {
            call.put(|progress| progress.is_over |= is_over);
        }
        self.shared.next.wake(is_over);
        self.shared.room.wake();
    }

    /// Whether a close has come to its end: nothing is left to say, or the time to say it is over.
    fn is_finished(&mut self, now: Now) -> Result<bool, Failure> {
        let Some(close_by_us) = self.close_by_us else { return Ok(false) };
        if self.has_left {
            return Ok(self.line.is_flushed() || now.us >= close_by_us);
        }
        let is_said = self.core.unsaid() == 0;
        let is_refused = self.shared.gate.state() == State::Refused;
        if !is_said && !is_refused && now.us < close_by_us {
            return Ok(false);
        }
        self.has_left = true;
        self.line.peer.goodbye(now, "closed");
        self.line.flush(now)?;
        Ok(self.line.is_flushed() || now.us >= close_by_us)
    }

    fn stats(&self) -> String {
        let counters = self.core.counters();
        let link = self.line.peer.counters();
        serde_json::json!({
            "endpoint": self.line.endpoint(),
            "state": self.shared.gate.state() as i32,
            "submitted": counters.submitted,
            "accepted": counters.accepted,
            "refused": counters.refused,
            "resent": counters.resent,
            "results": counters.results,
            "duplicates": counters.duplicates,
            "evicted": counters.evicted,
            "sessions": counters.fresh_sessions,
            "reconnects": self.line.reconnects(),
            "jobs": self.core.jobs(),
            "window_jobs_used": self.shared.room.jobs.load(Ordering::Relaxed),
            "window_bytes_used": self.shared.room.bytes.load(Ordering::Relaxed),
            "packets_sent": link.packets_sent,
            "packets_received": link.packets_received,
            "commands_sent": link.commands_sent,
            "commands_resent": link.commands_resent,
            "bad_packets": link.bad_packets,
        })
        .to_string()
    }
}
