//! Stands at the broker's door and at the workers' benches, writes down what passes, and knows the rules.
//!
//! It sees the inputs and outputs of the broker's core, the records on their way to the disk, and what workers begin. It
//! does not look into the table: what it knows of a job it has from what was said. A rule that is broken panics.

use std::collections::{BTreeMap, BTreeSet};

use forebay::core::jobs::SessionId;
use forebay::core::record::{Kept, KeptJob};
use forebay::core::session::{Input, Output};
use forebay::model::{JobId, JobRules, Lease, Level, Now, Outcome, ReplyMode, Status, Verdict};
use forebay::wire::command::{FromBroker, Grant, PeerKind, ToBroker};

use crate::known::{End, Known, Session, Shown};
use crate::plan::{Fault, MS, Plan, RESULT_TTL_MS, Side};
use crate::trace::Tally;
use crate::work::numbers;
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
            next_sequence: 0,
            execs: BTreeMap::new(),
            cancelled_early: BTreeSet::new(),
            over: BTreeMap::new(),
            asked_to_cancel: BTreeSet::new(),
            tokens: BTreeMap::new(),
            tokens_before: 0,
            written: Written::default(),
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
        self.written.restart(kept);
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

    /// A worker begins an attempt.
    pub(crate) fn begins(&mut self, exec: u64, broker: [u8; 16], lease: Lease) {
        let before = self.execs.insert((broker, lease.token), exec);
        rule!(before.is_none(), "token {:x} was handed to a bench twice", lease.token);
    }

    pub(crate) fn input(&mut self, now: Now, input: &Input) {
        match input {
            Input::Opened { session, hello, .. } => {
                let known = Session {
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
                    presented: BTreeMap::new(),
                };
                rule!(self.sessions.insert(*session, known).is_none(), "{session:?} was opened twice");
            }
            Input::Closed { session, .. } => {
                self.sessions.remove(session);
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
            (PeerKind::Client, ToBroker::Cancel { id, own: true, .. }) => {
                // It may be cancelled from now on, though nobody is told yet.
                self.asked_to_cancel.insert(*id);
                if let Some(job) = self.jobs.get_mut(id) {
                    job.at_once = false;
                }
            }
            (PeerKind::Client, ToBroker::Submit(job)) => {
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
                    durable,
                    accepted: false,
                    reply: job.reply,
                    rules,
                    token: 0,
                    is_revoked: false,
                    was_granted: false,
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
                    // With a jobs side that answers late, a release may not be said to be taken yet.
                    rule!(
                        is_late || job.attempts <= job.rules.attempts,
                        "an attempt beyond {} begins under token {:x}",
                        job.rules.attempts,
                        lease.token
                    );
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

    pub(crate) fn output(&mut self, now: Now, output: &Output) {
        match output {
            Output::Send { session, command } => self.said(now, *session, command),
            Output::Done { session, number } => self.done(*session, *number),
            Output::BeatReply { session, dropped } => {
                let over = self.over.remove(session).unwrap_or_default();
                let kept = over.iter().find(|lease| !dropped.contains(lease));
                rule!(
                    kept.is_none() || self.side == Side::Delayed,
                    "{session:?} goes on under {kept:?}, which is over, and is not told so"
                );
            }
            Output::Close { session, .. } => {
                self.sessions.remove(session);
            }
        }
    }

    fn done(&mut self, id: SessionId, number: u64) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        rule!(session.open.remove(&number), "command {number} of {id:?} was answered twice");
        if let Some(lease) = session.releases.remove(&number) {
            self.released(lease);
            return;
        }
        let Some(job) = session.submits.remove(&number) else { return };
        if session.refused.remove(&job) {
            return;
        }
        let Some(known) = self.jobs.get_mut(&job) else { return };
        known.accepted = true;
        if known.durable {
            self.needs("ACCEPTED", job, self.written.submitted(job));
        }
    }

    /// The record behind what is said of a durable job is on the disk.
    fn needs(&self, what: &str, job: JobId, record: Option<u64>) {
        if record.is_none() && self.written.submitted(job).is_none() {
            // Known under its id from before, with other rules, or never let in.
            return;
        }
        let Some(record) = record else { panic!("broken: {what} of job {job} without a record") };
        rule!(
            self.written.is_synced(record),
            "{what} of job {job} leaves before its record {record} is synced"
        );
    }

    fn said(&mut self, now: Now, to: SessionId, command: &FromBroker) {
        match command {
            FromBroker::Refused { id, failure } => {
                if let Some(session) = self.sessions.get_mut(&to) {
                    session.refused.insert(*id);
                }
                self.tally.one(&format!("refused {}", failure.status.name()));
                if self.jobs.get(id).is_some_and(|job| !job.accepted) {
                    self.jobs.remove(id);
                }
            }
            FromBroker::Grant(grant) => self.granted(now, to, grant),
            FromBroker::Adopt { id, lease } => self.adopted(to, *id, *lease),
            FromBroker::Result { id, verdict } => self.ended(now, *id, verdict),
            FromBroker::State { id, status: Status::Ok, state, .. } => {
                let end = self.jobs.get(id).and_then(|job| job.end.as_ref());
                // With a jobs side that answers late, a state may be older than the end.
                if let Some(end) = end.filter(|_| self.side != Side::Delayed) {
                    rule!(
                        end.outcome == *state,
                        "job {id} ended {:?} and is said to be {state:?}",
                        end.outcome
                    );
                }
            }
            FromBroker::CancelReply { id, status, .. } => {
                self.tally.one(&format!("cancel {}", status.name()));
                if *status == Status::Ok {
                    self.cancelled(*id);
                }
            }
            FromBroker::Unsupported { number, code } => {
                rule!(!self.is_ours(to), "command {number} of a peer of ours is answered UNSUPPORTED {code}");
            }
            FromBroker::Recall(_) => self.tally.one("recalled"),
            FromBroker::Stale(lease) => {
                self.tally.one("stale answers");
                if let Some(session) = self.sessions.get_mut(&to) {
                    session.releases.retain(|_, released| released != lease);
                }
            }
            FromBroker::Revoke { lease, why } => {
                self.tally.one(&format!("revoked {}", why.0));
                if let Some(job) = self.current(*lease) {
                    job.is_revoked = true;
                }
            }
            FromBroker::Drop(_) => self.tally.one("presented jobs dropped"),
            _ => {}
        }
    }

    fn is_ours(&self, session: SessionId) -> bool {
        // A byte of a hostile one's HELLO may have been another.
        let is_ours =
            |name: &str| name.is_empty() || name.starts_with("client-") || name.starts_with("worker-");
        let session = self.sessions.get(&session);
        session.is_some_and(|session| is_ours(&session.name) && session.host == "host")
    }

    fn cancelled(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else {
            self.cancelled_early.insert(id);
            return;
        };
        let other = job.end.as_ref().filter(|end| end.outcome != Outcome::Cancelled);
        rule!(other.is_none(), "job {id} is said to be cancelled and has ended {:?}", other);
        job.cancelled = true;
        if job.durable {
            self.needs("CANCELLED", id, self.written.ended(id));
        }
    }

    fn granted(&mut self, now: Now, to: SessionId, grant: &Grant) {
        let token = grant.lease.token;
        self.token(grant.id, token);
        let Some(session) = self.sessions.get_mut(&to) else { return };
        session.granted += 1;
        rule!(
            session.granted <= session.demand_max,
            "{to:?} asked for {} jobs and is handed one more",
            session.demand_max
        );
        rule!(
            session.queues.contains(grant.queue.as_str()),
            "{to:?} is handed a job of queue {}, which it has not registered",
            grant.queue
        );
        let Some(job) = self.jobs.get_mut(&grant.id) else {
            panic!("broken: job {} is handed out and was never submitted", grant.id)
        };
        // A grant that is late on its way is taken back right after it.
        let is_late = self.side == Side::Delayed;
        rule!(is_late || job.end.is_none(), "job {} is handed out after its end {:?}", grant.id, job.end);
        rule!(is_late || !job.cancelled, "job {} is handed out after it was cancelled", grant.id);
        rule!(
            grant.attempt <= grant.attempts_max && grant.attempts_max == job.rules.attempts,
            "job {} is handed out as attempt {} of {}",
            grant.id,
            grant.attempt,
            job.rules.attempts
        );
        if !is_late {
            // A durable job's grant waits for its record. Records carry milliseconds over a restart.
            let lease = job.durable.then(|| self.written.leased(grant.id, token)).flatten();
            let at_us = lease.map_or(now.us, |(_, at_us)| at_us);
            let deadline_us = job.taken_us + job.rules.deadline_ms * MS + MS;
            rule!(
                job.rules.deadline_ms == 0 || at_us <= deadline_us || (self.clock_jumps && self.lives > 1),
                "job {} is handed out at {at_us} us, its deadline was {deadline_us} us",
                grant.id
            );
            rule!(
                // A durable job may begin under a lease that is not its last; its records say more.
                job.durable || grant.attempt > job.attempts,
                "job {} is handed out as attempt {}, {} began before",
                grant.id,
                grant.attempt,
                job.attempts
            );
        }
        job.grants += 1;
        let was_granted = std::mem::replace(&mut job.was_granted, true);
        if job.durable {
            self.needs("GRANT", grant.id, self.written.leased(grant.id, token).map(|(number, _)| number));
        }
        if !was_granted && self.side == Side::Plain {
            self.check_order(grant.id);
        }
    }

    /// First in, first out: nobody of the same queue, priority and owner who came before was passed over.
    fn check_order(&self, id: JobId) {
        let job = &self.jobs[&id];
        if !job.at_once {
            return;
        }
        let before = self.jobs.iter().find(|(_, other)| {
            other.at_once
                && !other.was_granted
                // A durable job's grant is told when its record is synced, and others may be told before.
                && other.durable == job.durable
                && other.end.is_none()
                && !other.cancelled
                && other.sequence < job.sequence
                && (&other.queue, other.rules.priority, &other.owner) == (&job.queue, job.rules.priority, &job.owner)
                // It may have expired with nobody told.
                && other.rules.queue_ms == 0
                && other.rules.deadline_ms == 0
        });
        rule!(before.is_none(), "job {id} is handed out before {before:?}, which came first");
    }

    /// A token is given for the job: it is new, and higher than those before.
    fn token(&mut self, id: JobId, token: u64) {
        rule!(self.tokens.insert(token, id).is_none(), "token {token:x} was given twice");
        rule!(
            token > self.tokens_before,
            "token {token:x} is not above {:x}, which was given before the restart",
            self.tokens_before
        );
        if let Some(job) = self.jobs.get_mut(&id) {
            rule!(job.token < token, "job {id} has token {:x} and is given {token:x}", job.token);
            (job.token, job.is_revoked) = (token, false);
        }
    }

    fn adopted(&mut self, to: SessionId, id: JobId, lease: Lease) {
        self.tally.one("adopted");
        let last = self.jobs.get(&id).map_or(0, |job| job.token);
        self.token(id, lease.token);
        let Some(shown) = self.sessions.get_mut(&to).and_then(|session| session.presented.remove(&id)) else {
            panic!("broken: job {id} is adopted for {to:?}, which did not present it")
        };
        let Some(job) = self.jobs.get_mut(&id) else {
            panic!("broken: job {id} is adopted and was never submitted")
        };
        let is_open = job.end.is_none() && !job.cancelled;
        rule!(is_open || self.side == Side::Delayed, "job {id} is adopted after its end {:?}", job.end);
        rule!(
            shown.broker != self.broker
                || shown.token == last
                || self.side == Side::Delayed
                // What was forgotten at the restart only its worker knows.
                || (last == 0 && shown.token <= self.tokens_before),
            "job {id} is adopted under token {:x}, the last given was {last:x}",
            shown.token
        );
        rule!(
            shown.attempt <= job.rules.attempts,
            "job {id} is adopted in attempt {} of {}",
            shown.attempt,
            job.rules.attempts
        );
        job.was_granted = true;
        job.started.insert(lease.token);
        job.attempts = job.attempts.max(shown.attempt);
        job.grants = job.grants.max(shown.attempt);
        if let Some(exec) = shown.exec {
            self.execs.insert((self.broker, lease.token), exec);
        }
    }

    /// Somebody is told how a job ended.
    fn ended(&mut self, now: Now, id: JobId, verdict: &Verdict) {
        if !self.ours.contains(&id) {
            return;
        }
        let end = End {
            outcome: verdict.outcome,
            attempt: verdict.attempt,
            numbers: numbers(&verdict.body),
            len: verdict.body.len(),
        };
        rule!(end.outcome.is_terminal(), "job {id} is said to have ended {:?}", end.outcome);
        let is_forgotten = verdict.code == "result-forgotten";
        if end.outcome == Outcome::Cancelled && !self.jobs.contains_key(&id) {
            self.cancelled_early.insert(id);
            return;
        }
        let Some(job) = self.jobs.get_mut(&id) else {
            panic!("broken: the end of job {id} is told, which was never submitted")
        };
        rule!(
            !job.cancelled || end.outcome == Outcome::Cancelled,
            "job {id} was cancelled and has ended {:?}",
            end.outcome
        );
        if let Some(before) = &job.end {
            // Where nobody had a claim on the result, one reader may be told that it is not kept while another, who
            // asked before, is still to get it.
            let one_has_none = is_forgotten || job.end_is_forgotten;
            let same = before.outcome == end.outcome && before.attempt == end.attempt;
            rule!(same && (one_has_none || *before == end), "job {id} ended {before:?} and then {end:?}");
            if job.end_is_forgotten && !is_forgotten {
                (job.end, job.end_is_forgotten) = (Some(end), false);
            }
            return;
        }
        let is_kept = job.reply != ReplyMode::None && !job.cancelled && now.us < job.taken_us + RESULT_TTL_MS * MS
            // Over a restart the time passes by the wall clock.
            && !(self.clock_jumps && self.lives > 1);
        rule!(!is_forgotten || !is_kept, "the result of job {id} is forgotten, and nobody had it");
        (job.end, job.end_is_forgotten) = (Some(end.clone()), is_forgotten);
        self.tally.one(&format!("outcome {}", end.outcome.name()));
        let (rules, token, attempts) = (job.rules.clone(), job.token, job.attempts);
        let grants = job.grants;
        if job.durable {
            self.needs("RESULT", id, self.written.ended(id));
            if let Some(written) = self.written.end(id) {
                rule!(
                    (written.outcome, written.attempt) == (end.outcome, end.attempt),
                    "job {id} is said to have ended {end:?}, and written down {written:?}"
                );
            }
        }
        let is_possible = match end.outcome {
            Outcome::Expired => rules.queue_ms > 0 || rules.deadline_ms > 0,
            Outcome::TimedOut => rules.run_ms > 0 || rules.stall_ms > 0,
            Outcome::Waiting | Outcome::Running | Outcome::Rejected => false,
            _ => true,
        };
        rule!(is_possible, "job {id} with the rules {rules:?} ended {:?}", end.outcome);
        rule!(
            end.attempt <= rules.attempts,
            "job {id} ended in attempt {} of {}",
            end.attempt,
            rules.attempts
        );
        if end.outcome == Outcome::Done && !is_forgotten {
            let exec = self.execs.get(&(self.broker, token)).copied();
            let by = end.numbers.map(|(_, exec)| exec);
            rule!(
                exec.is_some() && exec == by,
                "job {id} was done at bench {by:?}, its last token {token:x} was at {exec:?}"
            );
            let counted = self.side == Side::Delayed || (attempts..=grants).contains(&end.attempt);
            rule!(counted, "job {id} was done in attempt {}, {attempts} began", end.attempt);
        }
    }
}
