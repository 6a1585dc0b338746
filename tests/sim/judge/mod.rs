//! Stands at the broker's door and at the workers' benches, writes down what passes, and knows the rules.
//!
//! It sees the inputs and outputs of the broker's core, the records on their way to the disk, and what workers begin. It
//! does not look into the table: what it knows of a job it has from what was said. A rule that is broken panics.

mod said;

use std::collections::{BTreeMap, BTreeSet};

use forebay::core::jobs::SessionId;
use forebay::core::record::{Kept, KeptJob, Record};
use forebay::core::session::Input;
use forebay::model::{JobId, JobRules, Lease, Level, Now};
use forebay::wire::command::{PeerKind, ToBroker};

use crate::keys::Lines;
use crate::known::{Known, Session, Shown};
use crate::plan::{Fault, Plan, Side};
use crate::trace::Tally;
use crate::written::Written;

macro_rules! rule {
    ($condition:expr, $($words:tt)*) => {
        if !$condition {
            panic!("broken: {}", format!($($words)*));
        }
    };
}
pub(crate) use rule;

/// The judge. See the module's text.
pub(crate) struct Judge {
    side: Side,
    durable: bool,
    /// Wall clocks jump, and what waits over a restart waits by them.
    clock_jumps: bool,
    broker: [u8; 16],
    pub(crate) lives: u64,
    jobs: BTreeMap<JobId, Known>,
    sessions: BTreeMap<SessionId, Session>,
    /// The sessions that ended last, by their secrets: when, and the number of the HELLO that had opened each.
    left: BTreeMap<[u8; 16], (u64, u64)>,
    next_sequence: u64,
    /// Which attempt at which bench was begun under which token of which broker.
    execs: BTreeMap<([u8; 16], u64), u64>,
    /// Jobs cancelled before they were submitted.
    cancelled_early: BTreeSet<JobId>,
    /// Leases that are over and that a worker says it holds; the reply to its beat must say so.
    over: BTreeMap<SessionId, Vec<Lease>>,
    asked_to_cancel: BTreeSet<JobId>,
    /// The job of each token of this life.
    tokens: BTreeMap<u64, JobId>,
    /// The highest token of the lives before this one.
    tokens_before: u64,
    pub(crate) written: Written,
    /// The serial keys of durable jobs.
    keys: Lines,
    /// Jobs of ours; others are a hostile peer's.
    ours: BTreeSet<JobId>,
    pub(crate) tally: Tally,
}

impl Judge {
    pub(crate) fn new(plan: &Plan) -> Self {
        Judge {
            side: plan.side,
            durable: plan.durable,
            clock_jumps: plan.has(Fault::ClockJump),
            broker: [0; 16],
            lives: 0,
            jobs: BTreeMap::new(),
            sessions: BTreeMap::new(),
            left: BTreeMap::new(),
            next_sequence: 0,
            execs: BTreeMap::new(),
            cancelled_early: BTreeSet::new(),
            over: BTreeMap::new(),
            asked_to_cancel: BTreeSet::new(),
            tokens: BTreeMap::new(),
            tokens_before: 0,
            written: Written::default(),
            keys: Lines::default(),
            ours: BTreeSet::new(),
            tally: Tally::default(),
        }
    }

    /// A broker starts. It knows nothing of what was before, but for what its store kept.
    pub(crate) fn broker_starts(&mut self, broker: [u8; 16], kept: Option<&Kept>) {
        rule!(
            kept.is_none() || self.lives == 0 || broker == self.broker,
            "the store gives the broker another id after a restart"
        );
        self.broker = broker;
        self.lives += 1;
        self.sessions.clear();
        self.left.clear();
        match kept {
            Some(kept) => self.restart(kept),
            None => {
                self.jobs.clear();
                self.tokens.clear();
                self.cancelled_early.clear();
            }
        }
    }

    /// The broker has started again on its store.
    fn restart(&mut self, kept: &Kept) {
        self.written.restart(kept, self.clock_jumps);
        self.keys.restart(kept);
        self.tokens_before = self.tokens.last_key_value().map_or(0, |(token, _)| *token);
        let by_id: BTreeMap<JobId, &KeptJob> = kept.jobs.iter().map(|kept| (kept.job.id, kept)).collect();
        let written = &self.written;
        self.jobs.retain(|id, job| {
            if let Some(kept) = by_id.get(id).filter(|_| job.durable) {
                job.restart(kept);
                return true;
            }
            // A volatile job is gone, one that was not acknowledged may be. Of one that is over an application's id stays.
            let was_written = written.end(*id).is_some();
            rule!(
                !job.durable || !job.accepted || was_written,
                "job {id} was acknowledged, and is not there after a restart"
            );
            job.durable && was_written && job.named
        });
    }

    /// A client is about to submit this job.
    pub(crate) fn expect(&mut self, id: JobId) {
        self.ours.insert(id);
    }

    /// Records are on their way to the disk. What comes back is as [`Written::hand_over`] says.
    pub(crate) fn hand_over(&mut self, since_us: u64, is_exact: bool, records: &[Record]) -> Vec<JobId> {
        if self.side == Side::Plain {
            self.check_leases(records);
        }
        for record in records {
            if self.keys.see(record) {
                self.tally.one("jobs behind others of their keys");
            }
        }
        self.written.hand_over(since_us, is_exact, records)
    }

    /// Durable jobs are leased first in, first out.
    fn check_leases(&self, records: &[Record]) {
        let (mut submitted, mut leased, mut ended) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for record in records {
            match record {
                Record::Submitted { job, .. } => _ = submitted.insert(job.id),
                Record::Ended { id, .. } => _ = ended.insert(*id),
                Record::Leased { id, .. } => {
                    let was_leased = |id: &JobId| leased.contains(id) || self.written.was_leased(*id);
                    if !was_leased(id) && self.jobs.contains_key(id) {
                        self.check_order(*id, |id, other| {
                            let is_there = submitted.contains(id) || self.written.submitted(*id).is_some();
                            let is_over = ended.contains(id) || self.written.end(*id).is_some();
                            other.durable && is_there && !is_over && !was_leased(id)
                        });
                    }
                    leased.insert(*id);
                }
                _ => {}
            }
        }
    }

    /// First in, first out: nobody of the same queue, priority and owner who came before and waits was passed over.
    fn check_order(&self, id: JobId, is_waiting: impl Fn(&JobId, &Known) -> bool) {
        let job = &self.jobs[&id];
        if !job.at_once {
            return;
        }
        let before = self.jobs.iter().find(|(id, other)| {
            other.at_once
                && other.end.is_none()
                && !other.cancelled
                && other.sequence < job.sequence
                && (&other.queue, other.rules.priority, &other.owner) == (&job.queue, job.rules.priority, &job.owner)
                // One that waits for others of its key is passed over.
                && (other.rules.serial_key.is_none() || other.rules.serial_key == job.rules.serial_key)
                // It may have expired with nobody told.
                && other.rules.queue_ms == 0
                && other.rules.deadline_ms == 0
                && is_waiting(id, other)
        });
        rule!(before.is_none(), "job {id} is handed out before one that came first: {before:?}");
    }

    /// A worker begins an attempt.
    pub(crate) fn begins(&mut self, exec: u64, broker: [u8; 16], lease: Lease) {
        let before = self.execs.insert((broker, lease.token), exec);
        rule!(before.is_none(), "token {:x} was handed to a bench twice", lease.token);
    }

    pub(crate) fn input(&mut self, now: Now, input: &Input) {
        match input {
            Input::Opened { session, hello, .. } => {
                // A peer that knew its session, and could go on where it was, is not made to begin anew.
                let left = self.left.remove(&hello.session.0).filter(|(at_us, _)| *at_us == now.us);
                rule!(
                    left.is_none_or(|(_, opened_by)| hello.welcomed < opened_by || hello.host != "host"),
                    "{session:?} of {} takes the place of the one it had been welcomed to: {hello:?}",
                    hello.name
                );
                let known = Session {
                    secret: hello.session.0,
                    opened_by: hello.hello,
                    kind: hello.kind,
                    name: hello.name.clone(),
                    host: hello.host.clone(),
                    submits: BTreeMap::new(),
                    refused: BTreeSet::new(),
                    open: BTreeSet::new(),
                    releases: BTreeMap::new(),
                    queues: BTreeSet::new(),
                    granted: 0,
                    demand_max: 0,
                    asked: BTreeMap::new(),
                    told: BTreeMap::new(),
                    presented: BTreeMap::new(),
                };
                rule!(self.sessions.insert(*session, known).is_none(), "{session:?} was opened twice");
            }
            Input::Closed { session, .. } => {
                if let Some(known) = self.sessions.remove(session) {
                    self.left.insert(known.secret, (now.us, known.opened_by));
                }
            }
            Input::Command { session, number, command } => self.command(now, *session, *number, command),
            Input::Beat { session, held } => {
                let is_over = |lease: &&Lease| {
                    let job = self.tokens.get(&lease.token).and_then(|id| self.jobs.get(id));
                    job.is_some_and(|job| job.end.is_some() || job.cancelled || job.token > lease.token)
                };
                let over = held.iter().filter(is_over).copied().collect();
                self.over.insert(*session, over);
            }
            Input::Congested { .. } | Input::Dropped { .. } | Input::Returned { .. } => {}
        }
    }

    fn command(&mut self, now: Now, id: SessionId, number: u64, command: &ToBroker) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        rule!(session.open.insert(number), "command {number} of {id:?} reached the core twice");
        match (session.kind, command) {
            (PeerKind::Client, ToBroker::Get { id, .. }) => {
                // Who asks while the record of the end is on its way hears of it twice.
                *session.asked.entry(*id).or_default() += 1 + u32::from(self.durable);
            }
            (PeerKind::Client, ToBroker::Cancel { id, own: true, .. }) => {
                // It may be cancelled from now on, though nobody is told yet. Whoever cancels it first has made it.
                *session.asked.entry(*id).or_default() += 1;
                self.asked_to_cancel.insert(*id);
                if let Some(job) = self.jobs.get_mut(id) {
                    job.at_once = false;
                }
            }
            (PeerKind::Client, ToBroker::Submit(job)) => {
                *session.asked.entry(job.id).or_default() += 1;
                session.submits.insert(number, job.id);
                session.refused.remove(&job.id);
                let owner = session.name.clone();
                let rules = JobRules::default().with(&job.options);
                let durable = self.durable && rules.level != Level::Volatile;
                let sequence = self.next_sequence;
                self.next_sequence += 1;
                self.jobs.entry(job.id).or_insert(Known {
                    at_once: !job.resent && rules.delay_ms == 0 && !self.asked_to_cancel.contains(&job.id),
                    named: job.content.is_some(),
                    queue: job.queue.clone(),
                    owner,
                    sequence,
                    taken_us: now.us,
                    taken_in: self.lives,
                    taken_from: id,
                    durable,
                    accepted: false,
                    reply: job.reply,
                    rules,
                    token: 0,
                    is_revoked: false,
                    has_failed: false,
                    adopted: None,
                    was_granted: false,
                    recalls: 0,
                    started: BTreeSet::new(),
                    attempts: 0,
                    grants: 0,
                    cancelled: self.cancelled_early.contains(&job.id),
                    end: None,
                    end_is_forgotten: false,
                });
            }
            (PeerKind::Worker, ToBroker::Register { queue, .. }) => {
                session.queues.insert(queue.clone());
            }
            (PeerKind::Worker, ToBroker::Demand { jobs, .. }) => {
                session.demand_max = session.demand_max.max(*jobs);
            }
            (PeerKind::Worker, ToBroker::Present(held)) => {
                let exec = self.execs.get(&(held.broker, held.token)).copied();
                let (broker, token, attempt) = (held.broker, held.token, held.attempt);
                session.presented.insert(held.id, Shown { exec, broker, token, attempt });
            }
            (PeerKind::Worker, ToBroker::Start(lease)) => {
                let is_late = self.side == Side::Delayed;
                if let Some(job) = self.current(*lease)
                    && job.started.insert(lease.token)
                {
                    job.attempts += 1;
                    job.recalls = 0;
                    // With a jobs side that answers late, a release may not be said to be taken yet.
                    rule!(
                        is_late || job.attempts <= job.rules.attempts,
                        "an attempt beyond {} begins under token {:x}",
                        job.rules.attempts,
                        lease.token
                    );
                }
            }
            (PeerKind::Worker, ToBroker::Unstarted(lease)) => {
                // It has its place as if it had never been handed out.
                let is_plain = self.side == Side::Plain;
                if let Some(job) = self.current(*lease)
                    && is_plain
                    && !job.durable
                    && job.started.is_empty()
                    && job.grants == 1
                {
                    (job.was_granted, job.grants) = (false, 0);
                }
            }
            (PeerKind::Worker, ToBroker::Failed { lease, .. }) => {
                if let Some(job) = self.current(*lease) {
                    job.has_failed = true;
                }
            }
            (PeerKind::Worker, ToBroker::Release { lease, .. }) => {
                let is_counted = self.current(*lease).is_some_and(|job| job.started.contains(&lease.token));
                if self.side == Side::Plain {
                    // It is taken, and another attempt may follow before this one is said to be.
                    return if is_counted {
                        self.released(*lease)
                    };
                }
                if let Some(session) = self.sessions.get_mut(&id).filter(|_| is_counted) {
                    session.releases.insert(number, *lease);
                }
            }
            _ => {}
        }
    }

    /// A release was taken: the attempt does not count.
    fn released(&mut self, lease: Lease) {
        let job = self.tokens.get(&lease.token).and_then(|job| self.jobs.get_mut(job));
        let Some(job) = job else { return };
        job.attempts -= u32::from(job.started.remove(&lease.token));
    }

    /// The job this lease is the last of, if it has not ended.
    fn current(&mut self, lease: Lease) -> Option<&mut Known> {
        let job = self.jobs.get_mut(self.tokens.get(&lease.token)?)?;
        (job.token == lease.token && job.end.is_none() && !job.is_revoked).then_some(job)
    }
}
