//! A client of a run: the real link and core, and an application that submits, waits, asks, cancels, and is never told
//! anything twice or wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use forebay::core::client::{ClientConfig, ClientCore, ClientEvent, Delivery, News, Order, Ticket, Want};
use forebay::core::session::PeerEvent;
use forebay::link::Peer;
use forebay::model::{Failure, JobId, Level, Now, Outcome, Status, Verdict};

use crate::judge::rule;
use crate::plan::{Fault, Plan, Side};
use crate::random::Random;
use crate::told::Told;
use crate::trace::{Tally, Trace};
use crate::work::{Job, numbers};

/// What a ticket was for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ask {
    Confirm(JobId),
    End(JobId),
    Peek(JobId),
    Cancel(JobId),
    Flush,
    Status,
}

/// How a job ended: outcome, attempt, and the numbers its result begins with.
type End = (Outcome, u32, Option<(u64, u64)>);

/// What the application knows of one of its jobs; it survives the application's process.
#[derive(Clone, Debug)]
pub(crate) struct Mine {
    pub(crate) job: Job,
    /// The broker that accepted it, as far as this client was told.
    accepted_by: Option<([u8; 16], u64)>,
    /// It outlives the broker's process.
    is_durable: bool,
    accepted_us: u64,
    is_refused: bool,
    /// How it ended, as the application was told.
    end: Option<End>,
    /// A broker said that it is cancelled for ever.
    is_cancelled: bool,
    /// In this process: the result comes by `next`.
    is_awaited: bool,
}

/// A client's process.
pub(crate) struct Client {
    pub(crate) core: ClientCore,
    pub(crate) mine: BTreeMap<JobId, Mine>,
    next_ticket: Ticket,
    asks: BTreeMap<Ticket, Ask>,
    /// The last partial result heard of each attempt.
    heard: BTreeMap<u64, u64>,
    accepted: BTreeSet<JobId>,
    /// Jobs it asked about, its own and others'.
    asked: BTreeSet<JobId>,
    /// What the broker said of itself when it was asked last.
    pub(crate) status: Option<serde_json::Value>,
    /// A peer whose packets are spoiled: what it is told says nothing.
    pub(crate) is_spoiled: bool,
    is_durable: bool,
    clock_jumps: bool,
    /// The jobs side answers in any order.
    is_late: bool,
}

/// What a step of a client needs of the world around it.
pub(crate) struct Around<'a> {
    pub(crate) now: Now,
    pub(crate) who: usize,
    pub(crate) trace: &'a mut Trace,
    pub(crate) tally: &'a mut Tally,
    pub(crate) told: &'a mut Told,
}

impl Client {
    pub(crate) fn new(
        plan: &Plan,
        random: &mut Random,
        mine: BTreeMap<JobId, Mine>,
        is_spoiled: bool,
    ) -> Self {
        let config = ClientConfig {
            window_jobs: random.pick(&[2, 50, 1_000]),
            window_bytes: 8 << 20,
            is_ack_auto: true,
        };
        let mine = mine.into_iter().map(|(id, one)| (id, Mine { is_awaited: false, ..one })).collect();
        Client {
            core: ClientCore::new(config),
            mine,
            next_ticket: 1,
            asks: BTreeMap::new(),
            heard: BTreeMap::new(),
            accepted: BTreeSet::new(),
            asked: BTreeSet::new(),
            status: None,
            is_spoiled,
            is_durable: plan.durable,
            clock_jumps: plan.has(Fault::ClockJump),
            is_late: plan.side == Side::Delayed,
        }
    }

    fn ask(&mut self, ask: Ask) -> Ticket {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.asks.insert(ticket, ask);
        ticket
    }

    /// Submits a job, or the same once more; `other`: with other content under the same id.
    pub(crate) fn submit(&mut self, around: &mut Around<'_>, job: &Job, other: bool, random: &mut Random) {
        let id = job.id;
        let is_again = self.mine.contains_key(&id);
        around.trace.tell(
            around.now.us,
            format_args!("client {} submits job {} again {is_again}", around.who, job.number),
        );
        let confirm = random.chance(500).then(|| (self.ask(Ask::Confirm(id)), 0));
        let mut want = if job.wants_words { Want::PROGRESS | Want::PARTIAL } else { Want::NONE };
        let mut wait = None;
        if job.reply == forebay::model::ReplyMode::Push && !other {
            let awaits = !is_again && random.chance(500);
            if awaits || self.mine.get(&id).is_some_and(|mine| mine.is_awaited) {
                want = want | Want::RESULT;
            } else {
                wait = Some(self.ask(Ask::End(id)));
            }
        }
        if random.chance(300) {
            want = want | Want::ACCEPTED;
        }
        let mine = self.mine.entry(id).or_insert_with(|| Mine {
            job: job.clone(),
            accepted_by: None,
            is_durable: self.is_durable && job.options.level != Some(Level::Volatile),
            accepted_us: 0,
            is_refused: false,
            end: None,
            is_cancelled: false,
            is_awaited: false,
        });
        if want.contains(Want::RESULT) {
            mine.is_awaited = true;
        }
        // What was before may be unknown to the broker it comes to now; the judge knows more.
        (mine.is_refused, mine.is_cancelled, mine.end) = (false, false, None);
        let order = Order {
            submission: Arc::new(job.submission(other)),
            tag: job.number,
            want,
            is_volatile: job.options.level == Some(Level::Volatile),
            charge: job.len as u64,
            confirm,
            wait,
        };
        self.core.submit(around.now, order);
    }

    /// Asks for the end of a job, its own or another client's.
    pub(crate) fn wait(&mut self, around: &mut Around<'_>, id: JobId) {
        if self.mine.get(&id).is_some_and(|mine| mine.is_awaited) {
            return;
        }
        self.asked.insert(id);
        let ticket = self.ask(Ask::End(id));
        self.core.wait(around.now, ticket, id);
    }

    pub(crate) fn peek(&mut self, id: JobId) {
        let ticket = self.ask(Ask::Peek(id));
        self.core.peek(ticket, id);
    }

    /// Asks how every job of its own stands.
    pub(crate) fn peek_all(&mut self) {
        let ids: Vec<JobId> = self.mine.keys().copied().collect();
        ids.into_iter().for_each(|id| self.peek(id));
    }

    pub(crate) fn cancel(&mut self, id: JobId) {
        let ticket = self.ask(Ask::Cancel(id));
        self.core.cancel(ticket, id, "no longer wanted");
    }

    pub(crate) fn flush(&mut self) {
        let ticket = self.ask(Ask::Flush);
        self.core.flush(ticket);
    }

    pub(crate) fn ask_status(&mut self) {
        self.status = None;
        let ticket = self.ask(Ask::Status);
        self.core.admin(ticket, "status", &[]);
    }

    /// The application has started again and asks for everything it has not heard the end of.
    pub(crate) fn ask_again(&mut self, around: &mut Around<'_>) {
        let open: Vec<JobId> = self
            .mine
            .values()
            .filter(|mine| mine.end.is_none() && !mine.is_refused)
            .map(|mine| mine.job.id)
            .collect();
        for id in open {
            self.wait(around, id);
        }
    }

    /// Asks for results that are kept for it and that it has not asked for.
    pub(crate) fn fetch_kept(&mut self, around: &mut Around<'_>) {
        let is_kept = |mine: &&Mine| mine.job.reply == forebay::model::ReplyMode::Keep && !mine.is_refused;
        let kept: Vec<JobId> = self.mine.values().filter(is_kept).map(|mine| mine.job.id).collect();
        for id in kept {
            if !self.asks.values().any(|ask| *ask == Ask::End(id)) {
                self.wait(around, id);
            }
        }
    }

    /// The application has everything it wants: whatever else came for it may be forgotten.
    pub(crate) fn ack_all(&mut self, around: &mut Around<'_>) {
        let ids: BTreeSet<JobId> = self.mine.keys().chain(&self.asked).copied().collect();
        for id in ids {
            self.core.ack(around.now, id);
        }
    }

    /// Everything that is ready passes between link, core and application.
    pub(crate) fn settle(&mut self, around: &mut Around<'_>, link: &mut Peer) {
        loop {
            let mut is_quiet = true;
            while let Some(event) = link.poll_event() {
                is_quiet = false;
                match event {
                    PeerEvent::BeatDue => link.beat(around.now, &[]),
                    event => self.core.handle(around.now, event),
                }
            }
            while let Some(event) = self.core.poll_event() {
                is_quiet = false;
                self.hear(around, event);
            }
            while let Some(command) = self.core.poll_command(around.now) {
                is_quiet = false;
                let number = link.send(command);
                self.core.sent(number);
            }
            self.core.take_released();
            if is_quiet {
                return;
            }
        }
    }

    fn hear(&mut self, around: &mut Around<'_>, event: ClientEvent) {
        match event {
            ClientEvent::Confirmed { ticket, result, .. } => {
                let ask = self.asks.remove(&ticket);
                let Some(Ask::Confirm(id)) = ask else {
                    panic!("broken: ticket {ticket} is confirmed, it was {ask:?}")
                };
                match result {
                    Ok(()) => self.confirmed(around, id),
                    Err(failure) => self.refused(around, id, &failure),
                }
            }
            ClientEvent::Ended { ticket, id, result } => {
                let ask = self.asks.remove(&ticket);
                rule!(ask == Some(Ask::End(id)), "ticket {ticket} is told the end of {id}, it was {ask:?}");
                match result {
                    Ok(verdict) => self.ended(around, id, &verdict),
                    Err(failure) => self.unknown(around, id, &failure),
                }
            }
            ClientEvent::Answered { ticket, result } => self.answered(around, ticket, result),
            ClientEvent::Deliver(delivery) => self.delivered(around, delivery),
        }
    }

    fn answered(&mut self, around: &mut Around<'_>, ticket: Ticket, result: Result<News, Failure>) {
        match (self.asks.remove(&ticket), result) {
            (Some(Ask::Peek(id)), Ok(News::Ended(verdict))) => self.ended(around, id, &verdict),
            (Some(Ask::Cancel(id)), Ok(_)) => {
                around.trace.tell(around.now.us, format_args!("client {} has cancelled {id}", around.who));
                around.tally.one("client: cancelled");
                if !self.is_spoiled {
                    around.told.cancelled(id);
                }
                let Some(mine) = self.mine.get_mut(&id) else { return };
                let other = mine.end.filter(|end| end.0 != Outcome::Cancelled);
                rule!(
                    self.is_spoiled || other.is_none(),
                    "job {id} is cancelled for ever and had ended {other:?}"
                );
                mine.is_cancelled = true;
            }
            (Some(Ask::Status), Ok(News::Text(body))) => {
                let bytes: Vec<u8> = body.0.concat();
                self.status = serde_json::from_slice(&bytes).ok();
            }
            (Some(Ask::Status), Err(failure)) if failure.is_retryable() => self.ask_status(),
            (Some(Ask::Status), Err(failure)) => panic!("broken: status answers {failure}"),
            (Some(_), _) => {}
            (None, result) => panic!("broken: ticket {ticket} is answered twice, with {result:?}"),
        }
    }

    fn confirmed(&mut self, around: &mut Around<'_>, id: JobId) {
        around.tally.one("client: accepted");
        let broker = self.core.terms().map(|terms| (terms.broker, terms.epoch));
        if let Some(mine) = self.mine.get_mut(&id) {
            mine.accepted_by = broker;
            mine.accepted_us = around.now.us;
            around.told.accepted(id);
        }
    }

    fn refused(&mut self, around: &mut Around<'_>, id: JobId, failure: &Failure) {
        around.tally.one(&format!("client: refused {}", failure.status.name()));
        let Some(mine) = self.mine.get_mut(&id) else { return };
        let is_possible = match failure.status {
            Status::Conflict => mine.job.named,
            Status::State => mine.job.named,
            Status::Busy | Status::StoreFull => true,
            Status::TooLarge => mine.job.len as u64 > crate::plan::PAYLOAD_MAX,
            _ => false,
        };
        rule!(self.is_spoiled || is_possible, "job {id} was refused: {} {failure}", failure.status.name());
        if mine.accepted_by.is_none()
            && mine.end.is_none()
            && matches!(failure.status, Status::Busy | Status::StoreFull)
        {
            mine.is_refused = true;
        }
    }

    fn delivered(&mut self, around: &mut Around<'_>, delivery: Delivery) {
        let Delivery { id, tag, news } = delivery;
        let Some(mine) = self.mine.get_mut(&id) else {
            panic!("broken: news of job {id}, which is not this client's")
        };
        rule!(tag == mine.job.number, "news of job {} come with tag {tag}", mine.job.number);
        match news {
            News::Accepted => {
                rule!(self.accepted.insert(id) || mine.job.named, "job {id} is told to be accepted twice");
                self.confirmed(around, id);
            }
            News::Refused(failure) => {
                mine.is_awaited = false;
                self.unknown(around, id, &failure);
            }
            News::Progress { .. } => {
                rule!(mine.end.is_none() || mine.job.named, "job {id} speaks of progress after its end");
                around.tally.one("client: progress");
            }
            News::Partial { sequence, body, .. } => {
                rule!(mine.end.is_none() || mine.job.named, "job {id} speaks after its end");
                around.tally.one("client: partial results");
                let Some((number, exec)) = numbers(&body) else { return };
                rule!(
                    self.is_spoiled || number == mine.job.number,
                    "a part of job {number} comes as one of {id}"
                );
                let last = self.heard.insert(exec, sequence);
                rule!(last < Some(sequence), "part {sequence} of attempt {exec} comes after {last:?}");
            }
            News::Ended(verdict) => {
                rule!(std::mem::take(&mut mine.is_awaited), "job {id} is delivered twice");
                self.core.taken(around.now, id, verdict.body.len() as u64);
                self.ended(around, id, &verdict);
            }
            News::State { .. } | News::Text(_) => panic!("broken: an answer nobody asked for"),
        }
    }

    fn ended(&mut self, around: &mut Around<'_>, id: JobId, verdict: &Verdict) {
        around.tally.one(&format!("client: outcome {}", verdict.outcome.name()));
        let now_us = around.now.us;
        if !self.is_spoiled {
            around.told.ended(id, verdict);
        }
        let Some(mine) = self.mine.get_mut(&id) else { return };
        around.trace.tell(
            now_us,
            format_args!(
                "client {} has job {}: {:?} {}",
                around.who, mine.job.number, verdict.outcome, verdict.attempt
            ),
        );
        let end = (verdict.outcome, verdict.attempt, numbers(&verdict.body));
        if verdict.outcome == Outcome::Done && verdict.code.is_empty() {
            rule!(
                self.is_spoiled || end.2.is_some_and(|(number, _)| number == mine.job.number),
                "job {} is answered with the result {:?}",
                mine.job.number,
                end.2
            );
        }
        rule!(
            self.is_spoiled || !mine.is_cancelled || end.0 == Outcome::Cancelled,
            "job {id} was cancelled for ever and has ended {:?}",
            end.0
        );
        mine.end.get_or_insert(end);
    }

    /// The broker does not know a job somebody waits for. That may only be when it never had it, or lost everything.
    fn unknown(&mut self, around: &mut Around<'_>, id: JobId, failure: &Failure) {
        around.tally.one(&format!("client: no end, {}", failure.status.name()));
        let broker = self.core.terms().map(|terms| (terms.broker, terms.epoch));
        let Some(mine) = self.mine.get_mut(&id) else { return };
        if failure.status != Status::NotFound {
            return self.refused(around, id, failure);
        }
        let kept_us = mine.accepted_us + crate::plan::RESULT_TTL_MS * 1_000;
        let is_kept = mine.job.reply != forebay::model::ReplyMode::None
            && mine.accepted_by.is_some()
            && (mine.accepted_by == broker || (mine.is_durable && !self.clock_jumps))
            && around.now.us < kept_us
            && mine.end.is_none()
            && !mine.is_cancelled
            && !self.is_late
            // One whose deadline passed before a broker could take it has ended here only.
            && mine.job.options.deadline_ms.is_none()
            // Ends that only this client knew may be gone from here.
            && self.core.counters().evicted == 0;
        rule!(
            self.is_spoiled || !is_kept,
            "job {} {id} was accepted by {:?}, and {broker:?} does not know it any more",
            mine.job.number,
            mine.accepted_by
        );
    }

    /// What this client still waits for.
    pub(crate) fn waits_for(&self) -> Option<String> {
        if self.is_spoiled {
            return None;
        }
        let ask = self.asks.iter().next().map(|(ticket, ask)| format!("ticket {ticket}: {ask:?}"));
        let awaited = self.mine.values().find(|mine| mine.is_awaited);
        let unsaid = (self.core.unsaid() > 0).then(|| format!("{} unsaid", self.core.unsaid()));
        ask.or_else(|| awaited.map(|mine| format!("job {} by next", mine.job.number))).or(unsaid)
    }
}
