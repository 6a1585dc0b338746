//! The sessions side of a broker: clients and workers, their credits and leases, and the way of each command to the
//! jobs side and of each answer back.
//!
//! It owns what belongs to sessions and nothing of the jobs. Invariants: every command executed is answered by exactly
//! one [`Output::Done`], after everything that answers it; a worker is granted no more jobs than it allowed; a
//! client is pushed no more results than it allowed.

mod admin;
mod calls;
mod clients;
mod hosts;
mod sessions;
mod workers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::core::broker::admin::{Poll, WorkersWait};
use crate::core::broker::calls::{Call, Calls};
use crate::core::broker::sessions::{Session, Side};
use crate::core::jobs::{Answer, Crash, Event, Jobs, SessionId, Tag, WorkerId};
use crate::core::session::{Input, Output};
use crate::model::limits::BUSY_RETRY_MS;
use crate::model::{Failure, Index, JobId, Now, Status, limits};
use crate::wire::command::{FromBroker, GetMode, PeerKind, ToBroker};

/// What the sessions side is told when it is made.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// How long leases wait for a dropped connection's session.
    pub reattach_ms: u64,
    /// SUBMITs a client may send ahead.
    pub submit_jobs: u64,
    /// The broker's version, for people.
    pub version: String,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        BrokerConfig {
            reattach_ms: limits::REATTACH_MS,
            submit_jobs: limits::SUBMIT_CREDIT_JOBS,
            version: String::new(),
        }
    }
}

/// How often what happened to sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BrokerCounters {
    /// Sessions that were opened.
    pub opened: u64,
    /// Connections that dropped.
    pub dropped: u64,
    /// Sessions that came back in time.
    pub returned: u64,
    /// Answers refused because their lease was over.
    pub stale: u64,
    /// Words of progress and partial results dropped because their client is slow.
    pub words_dropped: u64,
    /// Commands that made no sense from such a peer.
    pub misplaced: u64,
}

/// What a call was for.
#[derive(Clone, Debug)]
enum What {
    Submit(JobId),
    Cancel(JobId),
    Get(JobId, GetMode),
    Forget,
    Finish(crate::model::Lease),
    Present(JobId),
    /// A REPLY under the client's own tag.
    Admin(u64, admin::Shape),
    /// A long poll of events that is asked again.
    Poll(u64),
    /// The session itself ended a lease: whether it ran alone there, and whether that counts.
    Lost(crate::model::Lease, bool, bool, Option<Arc<Crash>>),
}

/// The sessions side. Feed one input, then poll outputs until there is none.
#[derive(Debug)]
pub struct Broker<J> {
    config: BrokerConfig,
    jobs: J,
    sessions: BTreeMap<SessionId, Session>,
    /// Workers without a connection, by when their leases end.
    suspensions: BTreeSet<(u64, SessionId)>,
    calls: Calls,
    watchers: Index<JobId, Vec<SessionId>>,
    polls: BTreeMap<u64, Poll>,
    next_poll: u64,
    polls_due_us: Option<u64>,
    waits: Vec<WorkersWait>,
    outputs: VecDeque<Output>,
    draining: bool,
    full: bool,
    /// Something has happened since those were asked about who wait for what becomes of a stage.
    is_stirred: bool,
    counters: BrokerCounters,
}

impl<J: Jobs> Broker<J> {
    /// A broker without sessions over `jobs`.
    pub fn new(config: BrokerConfig, jobs: J) -> Self {
        Broker {
            config,
            jobs,
            sessions: BTreeMap::new(),
            suspensions: BTreeSet::new(),
            calls: Calls::new(),
            watchers: Index::default(),
            polls: BTreeMap::new(),
            next_poll: 1,
            polls_due_us: None,
            waits: Vec::new(),
            outputs: VecDeque::new(),
            draining: false,
            full: false,
            is_stirred: false,
            counters: BrokerCounters::default(),
        }
    }

    /// The jobs side.
    pub fn jobs(&self) -> &J {
        &self.jobs
    }

    /// How often what happened to sessions.
    pub fn counters(&self) -> BrokerCounters {
        self.counters
    }

    /// Takes one input of the link.
    pub fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Command { session, number, command } => self.execute(now, session, number, command),
            Input::Beat { session, held } => self.beat(now, session, &held),
            Input::Opened { session, hello, identity } => self.open(now, session, *hello, identity),
            Input::Dropped { session } => self.dropped(now, session),
            Input::Returned { session } => self.returned(now, session),
            Input::Congested { session, congested } => {
                if let Some(Side::Client(client)) = self.side(session) {
                    client.congested = congested;
                }
            }
            Input::Closed { session, on_purpose } => self.closed(now, session, on_purpose),
        }
        self.pump(now);
    }

    /// The next output, until there is none.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The next thing the driver must do for the jobs side.
    pub fn poll_io(&mut self) -> Option<J::Io> {
        self.jobs.poll_io()
    }

    /// The driver has done something for the jobs side.
    pub fn io_done(&mut self, now: Now, done: J::Done) {
        self.jobs.io_done(now, done);
        self.pump(now);
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Now) {
        self.end_suspensions(now);
        self.jobs.tick(now);
        self.ask_polls(now);
        self.expire_waits(now);
        self.pump(now);
    }

    /// When `tick` must be called next, in microseconds of the clock that never jumps.
    pub fn next_timeout(&self) -> Option<u64> {
        let suspended = self.suspensions.first().map(|(until_us, _)| *until_us).into_iter();
        let polls = self.polls.values().map(|poll| poll.until_us).chain(self.polls_due_us);
        let waits = self.waits.iter().map(|wait| wait.until_us);
        suspended.chain(polls).chain(waits).chain(self.jobs.next_timeout()).min()
    }

    /// Hands out nothing more, takes no submissions, and asks the workers to finish what runs.
    pub fn drain(&mut self, now: Now) {
        if self.draining {
            return;
        }
        self.draining = true;
        let workers: Vec<SessionId> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.kind() == PeerKind::Worker)
            .map(|(id, _)| *id)
            .collect();
        for session in workers {
            self.withdraw(now, session);
            self.send(session, FromBroker::Drain { stops: true });
        }
        self.pump(now);
    }

    /// Whether a drain has come to its end: no worker holds a job.
    pub fn is_drained(&self) -> bool {
        self.draining && self.sessions.values().all(|session| !session.is_working())
    }

    fn execute(&mut self, now: Now, session: SessionId, number: u64, command: ToBroker) {
        let Some(kind) = self.sessions.get(&session).map(Session::kind) else { return };
        match (kind, command) {
            (_, ToBroker::Unknown(code)) => {
                self.send(session, FromBroker::Unsupported { number, code });
                self.done(session, number);
            }
            (_, ToBroker::Admin { tag, command, arguments }) => {
                self.done(session, number);
                self.administer(now, session, tag, &command, &arguments);
            }
            (PeerKind::Client, command) => self.execute_client(now, session, number, command),
            (PeerKind::Worker, command) => self.execute_worker(now, session, number, command),
        }
    }

    /// A command a peer of this kind has no business with: said so, and passed over.
    fn misplaced(&mut self, session: SessionId, number: u64) {
        self.counters.misplaced += 1;
        self.send(session, FromBroker::Unsupported { number, code: 0 });
        self.done(session, number);
    }

    fn send(&mut self, session: SessionId, command: FromBroker) {
        self.outputs.push_back(Output::Send { session, command });
    }

    fn done(&mut self, session: SessionId, number: u64) {
        self.outputs.push_back(Output::Done { session, number });
    }

    /// A tag for a call to the jobs side.
    fn call(&mut self, session: SessionId, number: u64, what: What, again: impl FnOnce() -> ToBroker) -> Tag {
        let again = self.jobs.caps().unknown.then(|| Box::new(again()));
        self.calls.open(Call { session, number, what, again })
    }

    /// Takes everything the jobs side has to say.
    fn pump(&mut self, now: Now) {
        self.pump_events(now);
        while std::mem::take(&mut self.is_stirred) {
            self.ask_stage_polls(now);
            self.pump_events(now);
        }
        if !self.polls.is_empty() && self.polls_due_us.is_none() {
            self.polls_due_us = Some(now.after_ms(admin::POLL_INTERVAL_MS));
        }
    }

    fn pump_events(&mut self, now: Now) {
        while let Some(event) = self.jobs.poll() {
            match event {
                Event::Reply { tag, answer } => self.answered(now, tag, answer),
                Event::Grant { worker, grant } => self.granted(now, worker, grant),
                Event::Revoke { worker, lease, why } => self.revoked(now, worker, lease, why),
                Event::Recall { worker, lease } => self.send(session_of(worker), FromBroker::Recall(lease)),
                Event::Ended { id, asker, push, verdict } => {
                    self.is_stirred = !self.polls.is_empty();
                    self.ended(id, &asker, push, &verdict);
                }
                Event::Said { id, asker, attempt, word } => self.said(id, &asker, attempt, word),
                Event::Pressure { full } => self.pressed(full),
            }
        }
    }

    fn answered(&mut self, now: Now, tag: Tag, answer: Answer) {
        let Some(Call { session, number, what, again }) = self.calls.close(tag) else { return };
        if answer == Answer::Unknown {
            return self.repeat(now, session, number, what, again.map(|again| *again));
        }
        if !self.sessions.contains_key(&session) {
            return;
        }
        match what {
            What::Submit(id) => {
                if let Answer::Refused(failure) = answer {
                    self.send(session, FromBroker::Refused { id, failure });
                }
                self.done(session, number);
            }
            What::Cancel(id) => {
                let (status, message) = match answer {
                    Answer::Refused(failure) => (failure.status, failure.message),
                    _ => (Status::Ok, String::new()),
                };
                self.send(session, FromBroker::CancelReply { id, status, message });
                self.done(session, number);
            }
            What::Get(id, mode) => {
                self.got(session, id, mode, answer);
                self.done(session, number);
            }
            What::Forget => self.forgot(session, number),
            What::Finish(lease) => {
                if answer == Answer::Stale {
                    self.counters.stale += 1;
                    self.send(session, FromBroker::Stale(lease));
                }
                self.done(session, number);
            }
            What::Present(id) => {
                match answer {
                    Answer::Adopted(lease) => self.adopted(session, id, lease),
                    _ => self.send(session, FromBroker::Drop(id)),
                }
                self.done(session, number);
            }
            What::Admin(tag, shape) => {
                self.is_stirred |= !self.polls.is_empty();
                self.reply(session, tag, shape, answer);
            }
            What::Poll(poll) => self.polled(now, poll, answer),
            What::Lost(..) => {}
        }
    }

    /// Nobody knows whether the call was carried out: it is idempotent, so it is made again.
    fn repeat(&mut self, now: Now, session: SessionId, number: u64, what: What, again: Option<ToBroker>) {
        match (what, again) {
            (What::Lost(lease, alone, counted, crash), _) => {
                self.end_lease(now, session, lease, alone, counted, crash)
            }
            (What::Poll(poll), _) => self.polled(now, poll, Answer::Unknown),
            // These were counted when they came, and their sessions may be gone since.
            (What::Submit(_), Some(ToBroker::Submit(job))) => self.pass_submit(now, session, number, job),
            (What::Forget, Some(ToBroker::Forget(ids))) => self.pass_forget(now, session, number, &ids),
            (What::Finish(_), Some(command)) => self.finish(now, session, number, command),
            (What::Admin(tag, shape), _) => {
                let failure =
                    Failure::busy("nobody knows what became of the command; ask again", BUSY_RETRY_MS);
                self.reply(session, tag, shape, Answer::Refused(failure));
            }
            (_, Some(command)) => self.execute(now, session, number, command),
            (_, None) => self.done(session, number),
        }
    }

    /// Refuses a submission without asking the jobs side.
    fn refuse(&mut self, session: SessionId, number: u64, id: JobId, failure: Failure) {
        self.send(session, FromBroker::Refused { id, failure });
        self.done(session, number);
    }

    fn side(&mut self, session: SessionId) -> Option<&mut Side> {
        self.sessions.get_mut(&session).map(|session| &mut session.side)
    }
}

/// A worker is numbered as its session.
fn worker_of(session: SessionId) -> WorkerId {
    WorkerId(session.0)
}

fn session_of(worker: WorkerId) -> SessionId {
    SessionId(worker.0)
}
