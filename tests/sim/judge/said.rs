//! What the broker says, and what may not be said.

use forebay::core::jobs::SessionId;
use forebay::core::session::Output;
use forebay::model::{JobId, Lease, Now, Outcome, ReplyMode, Status, Verdict};
use forebay::wire::command::{FromBroker, Grant};

use super::{Judge, rule};
use crate::known::{End, Known};
use crate::plan::{MS, RESULT_TTL_MS, Side};
use crate::work::numbers;

/// A job that is asked back more often before it begins goes to and fro.
const RECALLS_MAX: u32 = 12;

impl Judge {
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
                let mut open = 1;
                if let Some(session) = self.sessions.get_mut(&to) {
                    session.refused.insert(*id);
                    open = session.submits.values().filter(|job| *job == id).count();
                }
                self.tally.one(&format!("refused {}", failure.status.name()));
                // Another submission of the id may be on its way to its level.
                let is_only = |job: &Known| !job.accepted && job.taken_from == to && open <= 1;
                if self.jobs.get(id).is_some_and(is_only) {
                    self.jobs.remove(id);
                }
            }
            FromBroker::Grant(grant) => self.granted(now, to, grant),
            FromBroker::Adopt { id, lease } => self.adopted(to, *id, *lease),
            FromBroker::Result { id, verdict } => {
                if let Some(session) = self.sessions.get_mut(&to) {
                    let told = session.told.entry(*id).or_default();
                    *told += 1;
                    // What waits in a reply box comes unasked, and who asks twice may be told twice.
                    let asked = session.asked.get(id).copied().unwrap_or_default();
                    rule!(
                        *told == 1 || asked > 1 || !session.name.is_empty() || self.side == Side::Delayed,
                        "{to:?} is told the end of job {id} {told} times and has asked once"
                    );
                }
                self.ended(now, *id, verdict);
            }
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
            FromBroker::Recall(lease) => {
                self.tally.one("recalled");
                if let Some(job) = self.current(*lease) {
                    job.recalls += 1;
                    rule!(
                        job.recalls <= RECALLS_MAX,
                        "under {lease:?} a job is asked back for the {}th time",
                        job.recalls
                    );
                }
            }
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
        let job_is_durable = job.durable;
        if job_is_durable {
            self.needs("GRANT", grant.id, self.written.leased(grant.id, token).map(|(number, _)| number));
        }
        // A durable job's grant is told when its record is synced, and others may be told before.
        if !was_granted && !job_is_durable && self.side == Side::Plain {
            let is_waiting = |_: &JobId, other: &Known| !other.durable && !other.was_granted;
            self.check_order(grant.id, is_waiting);
        }
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
            (job.token, job.is_revoked, job.has_failed) = (token, false, false);
        }
    }

    fn adopted(&mut self, to: SessionId, id: JobId, lease: Lease) {
        self.tally.one("adopted");
        let (last, is_over) =
            self.jobs.get(&id).map_or((0, false), |job| (job.token, job.is_revoked || job.has_failed));
        self.token(id, lease.token);
        let Some(shown) = self.sessions.get_mut(&to).and_then(|session| session.presented.remove(&id)) else {
            panic!("broken: job {id} is adopted for {to:?}, which did not present it")
        };
        let Some(job) = self.jobs.get_mut(&id) else {
            panic!("broken: job {id} is adopted and was never submitted")
        };
        let is_open = job.end.is_none() && !job.cancelled;
        rule!(is_open || self.side == Side::Delayed, "job {id} is adopted after its end {:?}", job.end);
        let is_later = |(before, given): (u64, u64)| given == last && before < shown.token;
        rule!(
            shown.broker != self.broker
                || shown.token == last
                || self.side == Side::Delayed
                // What was forgotten at the restart only its worker knows; who was handed the job since has not begun it,
                // or was told to stop, or has failed and will be followed by another attempt, or has shown an attempt from before this one.
                || (shown.token <= self.tokens_before
                    && (last == 0
                        || !job.durable
                            && (is_over
                                || !job.started.contains(&last)
                                || job.adopted.is_some_and(is_later)))),
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
        job.adopted = Some((shown.token, lease.token));
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
            && !(self.clock_jumps && self.lives > 1)
            // Somebody had it in a life before.
            && !self.written.is_gone(id);
        rule!(!is_forgotten || !is_kept, "the result of job {id} is forgotten, and nobody had it");
        (job.end, job.end_is_forgotten) = (Some(end.clone()), is_forgotten);
        self.tally.one(&format!("outcome {}", end.outcome.name()));
        let (rules, token, attempts) = (job.rules.clone(), job.token, job.attempts);
        let grants = job.grants;
        let (job_us, job_in) = (job.taken_us, job.taken_in);
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
        let born = (job_us, job_in);
        let shortest_ms = [rules.queue_ms, rules.deadline_ms].into_iter().filter(|ms| *ms > 0).min();
        let over_us = born.0 + shortest_ms.unwrap_or_default() * MS;
        // Over a restart the time passes by the wall clock, and in milliseconds.
        let by_wall = self.lives > born.1;
        rule!(
            end.outcome != Outcome::Expired || now.us + MS >= over_us || (by_wall && self.clock_jumps),
            "job {id} expired at {} us, its time was over at {over_us} us",
            now.us
        );
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
