//! The life of a lease: begun, extended, spoken under, ended, lapsed.

use std::sync::Arc;

use crate::core::job_table::JobTable;
use crate::core::job_table::end::Close;
use crate::core::job_table::entry::State;
use crate::core::job_table::remember::Happened;
use crate::core::jobs::{Answer, Crash, End, Event, Tag, Word, WorkerId};
use crate::core::record::{Attempt, AttemptError, RELEASED, RUNNING, Record};
use crate::model::limits::{ATTEMPTS_KEPT_MAX, LOSSES_MAX};
use crate::model::{Completion, Lease, Now, Outcome, Status, Stop};
use crate::model::{Planted, planted};
use crate::wire::command::{Fault, Retry};

impl JobTable {
    /// The worker begins the job.
    pub(super) fn begin(&mut self, now: Now, lease: Lease) {
        if self.by_lease(lease).is_none() {
            return;
        }
        self.take_back(now, lease.slot);
        let job = self.job(lease.slot);
        let State::Leased { worker, .. } = job.state else { return };
        let queue = job.queue.clone();
        let name = self.workers.get(&worker).map_or_else(|| "".into(), |worker| worker.name.clone());
        self.queues.remove_unstarted(&queue, lease);
        self.set_running(now, lease.slot);
        let job = self.job_mut(lease.slot);
        job.attempts += 1;
        (job.fraction, job.note) = (0.0, String::new());
        if job.history.len() >= ATTEMPTS_KEPT_MAX {
            job.history.remove(0);
        }
        if job.history.is_empty() {
            // Most jobs are begun once.
            job.history.reserve_exact(1);
        }
        job.history.push(Attempt {
            number: job.attempts,
            worker: name.clone(),
            started_wall_ms: now.wall_ms,
            ended_wall_ms: 0,
            how: RUNNING.into(),
            error: None,
            evidence: None,
        });
        let (durable, id, attempt) = (job.durable, job.id, job.attempts);
        self.counters.started += 1;
        self.note(now, lease.slot, Happened::Started, "");
        self.record(durable, || Record::Started {
            id,
            token: lease.token,
            attempt,
            worker: name,
            wall_ms: now.wall_ms,
        });
        self.rearm(lease.slot);
    }

    /// Keeps something that happened to a job for `events`.
    pub(super) fn note(&mut self, now: Now, slot: u32, what: Happened, why: &'static str) {
        if let Some(job) = self.slots[slot as usize].as_ref() {
            self.events_kept.push(now, job, what, why);
        }
    }

    /// The worker lives. Timeouts are left as they are set: when one fires early it is set again.
    pub(super) fn extend_leases(&mut self, now: Now, worker: WorkerId, leases: &[Lease]) {
        let until = now.after_ms(self.config.lease_ms);
        for &lease in leases {
            if self.by_lease(lease).is_none() || self.job(lease.slot).holder != Some(worker) {
                continue;
            }
            self.take_back(now, lease.slot);
            match &mut self.job_mut(lease.slot).state {
                State::Leased { until_us, .. } | State::Running { until_us, .. } => *until_us = until,
                _ => {}
            }
        }
        if self.workers.get(&worker).is_some_and(|worker| worker.silent) {
            self.workers.entry(worker).and_modify(|worker| worker.silent = false);
            self.fill(now, worker);
        }
    }

    /// A holder whose lease had lapsed speaks before anybody else was handed the job: it keeps it.
    fn take_back(&mut self, now: Now, slot: u32) {
        let job = self.job(slot);
        let (Some(holder), State::Queued | State::Delayed { .. }) = (job.holder, &job.state) else { return };
        if !self.workers.contains_key(&holder) {
            return;
        }
        if job.state == State::Queued {
            self.leave_line(slot);
        }
        let (queue, begun) = (self.job(slot).queue.clone(), self.job(slot).begun);
        self.retake(now, slot, holder, &queue);
        self.refill.push((now, holder));
        let job = self.job_mut(slot);
        job.first = false;
        if begun {
            self.set_running(now, slot);
            let job = self.job_mut(slot);
            if let Some(attempt) = job.history.last_mut() {
                attempt.go_on();
            }
        }
        self.rearm(slot);
    }

    /// A running job's worker speaks.
    pub(super) fn hear(&mut self, now: Now, lease: Lease, word: Word) {
        if self.by_lease(lease).is_none() {
            return;
        }
        self.take_back(now, lease.slot);
        let job = self.job_mut(lease.slot);
        let State::Running { said_us, .. } = &mut job.state else { return };
        *said_us = now.us;
        let wanted = match &word {
            Word::Progress { fraction, note } => {
                job.fraction = *fraction;
                job.note.clone_from(note);
                job.wants_progress
            }
            Word::Partial { .. } => job.wants_partial,
        };
        if wanted {
            let said = Event::Said { id: job.id, asker: job.asker.clone(), attempt: job.attempts, word };
            self.events.push_back(said);
        }
    }

    pub(super) fn finish_lease(&mut self, now: Now, tag: Tag, lease: Lease, end: End) {
        if self.by_lease(lease).is_none() {
            let lost = matches!(end, End::Lost { .. } | End::Unstarted);
            let again = self
                .slots
                .get(lease.slot as usize)
                .and_then(Option::as_ref)
                .is_some_and(|job| job.token == lease.token && job.is_ended());
            self.counters.stale += u64::from(!lost && !again);
            let answer = if again || lost { Answer::Done } else { Answer::Stale };
            return self.events.push_back(Event::Reply { tag, answer });
        }
        let slot = lease.slot;
        let durable = self.job(slot).durable;
        if let End::Lost { alone, counted, crash } = end {
            self.lose(now, slot, alone, counted, crash.as_deref());
            return self.answer(durable, tag, Answer::Done);
        }
        self.take_back(now, slot);
        match end {
            End::Done(completion) => {
                let Completion { body, headers, meta } = Arc::unwrap_or_clone(completion);
                let attempt = self.job(slot).attempts.max(1);
                self.job_mut(slot).attempts = attempt;
                let len = body.len() as u64;
                if len > self.config.payload_max {
                    let message = format!(
                        "the result has {len} bytes; the broker takes up to {}",
                        self.config.payload_max
                    );
                    self.close(
                        now,
                        slot,
                        Close { message, code: "result-too-large".into(), ..Close::new(Outcome::Failed) },
                    );
                } else {
                    self.close(now, slot, Close { body, headers, meta, ..Close::new(Outcome::Done) });
                }
            }
            End::Failed(fault) => self.fail(now, slot, Arc::unwrap_or_clone(fault)),
            End::Released { delay_ms } => self.release(now, slot, delay_ms),
            End::Unstarted => {
                if matches!(self.job(slot).state, State::Leased { .. }) {
                    if planted(Planted::LosePlace) {
                        self.job_mut(slot).sequence = self.next_sequence;
                        self.next_sequence += 1;
                    }
                    self.wait_again(now, slot, 0, "given back");
                } else if matches!(self.job(slot).state, State::Running { .. }) {
                    // It was taken for begun when its worker's session ended, and was not: the worker came back.
                    let job = self.job_mut(slot);
                    job.note_attempt_end(RELEASED, None, now.wall_ms);
                    job.attempts = job.attempts.saturating_sub(1);
                    self.wait_again(now, slot, 0, "given back");
                }
            }
            End::Lost { .. } => {}
        }
        self.answer(durable, tag, Answer::Done);
    }

    /// The application's own failure: another attempt after a wait, or the end.
    fn fail(&mut self, now: Now, slot: u32, fault: Fault) {
        if fault.retry == Retry::Crashed && self.count_crash(now, slot, &fault) {
            return;
        }
        let job = self.job_mut(slot);
        let last = job.attempts >= job.rules.attempts + u32::from(planted(Planted::ExceedAttempts));
        if last || fault.retry == Retry::Never {
            let Fault { code, message, detail, meta, .. } = fault;
            return self.close(
                now,
                slot,
                Close { code, message, detail, meta, ..Close::new(Outcome::Failed) },
            );
        }
        job.note_attempt_end("failed", AttemptError::new(&fault.code, &fault.message), now.wall_ms);
        let wait_ms = match fault.retry {
            Retry::AfterMs(ms) => ms,
            _ => self.backoff_ms(slot),
        };
        self.counters.retried += 1;
        self.wait_again(now, slot, wait_ms, "failed");
    }

    /// It took down the process that did it, and nobody else's: a loss of its own. Whether that was all there is to say, and
    /// not its last attempt.
    fn count_crash(&mut self, now: Now, slot: u32, fault: &Fault) -> bool {
        let job = self.job_mut(slot);
        job.losses += 1;
        let (losses, last) = (job.losses, job.attempts >= job.rules.attempts);
        self.counters.losses += 1;
        let crash = Crash {
            code: fault.code.clone(),
            message: fault.message.clone(),
            detail: fault.detail.clone(),
            at_hand: Vec::new(),
        };
        if losses >= LOSSES_MAX {
            let message = format!("its process crashed, {losses} times");
            let close = Close { code: "quarantined".into(), message, ..Close::new(Outcome::Quarantined) };
            self.close(now, slot, Close { meta: fault.meta.clone(), ..close.after(Some(&crash)) });
        } else if !last {
            let error = AttemptError::new(&crash.code, &crash.message);
            self.job_mut(slot).note_attempt_end("crashed", error, now.wall_ms);
            self.wait_again(now, slot, 0, "worker crashed");
        }
        losses >= LOSSES_MAX || !last
    }

    /// min(max, backoff * 2^n) with full jitter, n counting from the first failure.
    fn backoff_ms(&mut self, slot: u32) -> u64 {
        let job = self.job(slot);
        let (first_ms, max_ms, failures) =
            (job.rules.backoff_ms, job.rules.backoff_ms_max, job.attempts.saturating_sub(1).min(32));
        let most_ms = first_ms.saturating_mul(1 << failures).min(max_ms);
        self.next_random() % (most_ms + 1)
    }

    fn release(&mut self, now: Now, slot: u32, delay_ms: u64) {
        let job = self.job_mut(slot);
        job.releases += 1;
        if job.releases > job.rules.releases {
            let message =
                format!("it was released {} times; job.releases allows {}", job.releases, job.rules.releases);
            return self.close(
                now,
                slot,
                Close { code: "released".into(), message, ..Close::new(Outcome::Failed) },
            );
        }
        job.note_attempt_end(RELEASED, None, now.wall_ms);
        job.attempts = job.attempts.saturating_sub(1);
        self.wait_again(now, slot, delay_ms, "released");
    }

    /// The holder's session is over.
    pub(super) fn lose(&mut self, now: Now, slot: u32, alone: bool, counted: bool, crash: Option<&Crash>) {
        if let State::Leased { .. } = self.job(slot).state {
            if !(alone && counted) {
                return self.requeue_kept(now, slot, "given back");
            }
            // It was all the worker had, so it may have been begun and its START have died with the process. A job that
            // takes its worker down at once would otherwise do so for ever, and none of it would count.
            let token = self.job(slot).token;
            self.begin(now, Lease { slot, token });
        }
        let job = self.job_mut(slot);
        let State::Running { .. } = job.state else { return };
        let exhausted = job.attempts >= job.rules.attempts;
        if counted {
            if alone || job.suspect {
                job.losses += 1;
            } else {
                job.suspect = true;
            }
            let losses = job.losses;
            self.counters.losses += 1;
            if losses >= LOSSES_MAX {
                self.revoke(slot, Stop::LEASE_LOST);
                let message = format!("its worker's process ended while it ran, {losses} times");
                let close = Close { code: "quarantined".into(), message, ..Close::new(Outcome::Quarantined) };
                return self.close(now, slot, close.after(crash));
            }
        }
        if exhausted {
            // It may come back yet, to the session it had.
            self.revoke(slot, Stop::LEASE_LOST);
            let message = "the worker of its last attempt vanished".into();
            let close = Close { code: "worker-lost".into(), message, ..Close::new(Outcome::Lost) };
            return self.close(now, slot, close.after(crash));
        }
        let (how, error) = match crash {
            Some(crash) => ("crashed", AttemptError::new(&crash.code, &crash.message)),
            None => ("lost", None),
        };
        self.job_mut(slot).note_attempt_end(how, error, now.wall_ms);
        self.requeue_kept(now, slot, if crash.is_some() { "worker crashed" } else { "worker lost" });
    }

    /// The holder of a durable job is told of its grant now. Its lease was not to run out while it waited to be told.
    pub(super) fn begin_lease(&mut self, now: Now, lease: Lease) {
        if self.by_lease(lease).is_some() {
            self.extend_to(lease.slot, now.after_ms(self.config.lease_ms));
        }
    }

    fn extend_to(&mut self, slot: u32, at_us: u64) {
        if let State::Leased { until_us, .. } | State::Running { until_us, .. } =
            &mut self.job_mut(slot).state
        {
            *until_us = at_us.max(*until_us);
        }
        self.rearm(slot);
    }

    /// No beat came in time. The holder may still return before somebody else is handed the job.
    pub(super) fn lapse(&mut self, now: Now, slot: u32) {
        if now.us < self.grace_until_us {
            return self.extend_to(slot, self.grace_until_us);
        }
        if self.job(slot).granted_at > self.records_synced {
            // Its holder has not been told of it yet.
            return self.extend_to(slot, now.after_ms(self.config.lease_ms));
        }
        self.counters.lapses += 1;
        let job = self.job_mut(slot);
        let running = matches!(job.state, State::Running { .. });
        let exhausted = running && job.attempts >= job.rules.attempts;
        if let Some(id) = job.holder {
            self.unlist(id);
            self.workers.entry(id).and_modify(|worker| worker.silent = true);
        }
        if exhausted {
            return self.lose_last(now, slot);
        }
        self.job_mut(slot).note_attempt_end("lapsed", None, now.wall_ms);
        self.requeue_kept(now, slot, "lease lapsed");
    }

    /// No attempt is left to be made.
    pub(super) fn is_exhausted(&self, slot: u32) -> bool {
        let job = self.job(slot);
        job.attempts >= job.rules.attempts && !planted(Planted::AttemptAfterRestart)
    }

    /// The holder of the last attempt has gone silent, or did not come back after a restart.
    pub(super) fn lose_last(&mut self, now: Now, slot: u32) {
        self.revoke(slot, Stop::LEASE_LOST);
        let message = "the worker of its last attempt was not heard of any more";
        self.close(
            now,
            slot,
            Close { code: "worker-lost".into(), message: message.into(), ..Close::new(Outcome::Lost) },
        );
    }

    /// The run timeout, the stall timeout or the lease of a running job is due.
    pub(super) fn expire_running(
        &mut self,
        now: Now,
        slot: u32,
        until_us: u64,
        started_us: u64,
        said_us: u64,
    ) {
        let rules = self.job(slot).rules.clone();
        let over =
            |from_us: u64, ms: u64| ms != 0 && from_us.saturating_add(ms.saturating_mul(1_000)) <= now.us;
        let why = if over(started_us, rules.run_ms) {
            "run timeout"
        } else if over(said_us, rules.stall_ms) {
            "stalled"
        } else if until_us <= now.us {
            return self.lapse(now, slot);
        } else {
            return self.rearm(slot);
        };
        self.revoke(slot, Stop::TIME_OVER);
        let job = self.job_mut(slot);
        if job.attempts < job.rules.attempts {
            job.note_attempt_end(why, None, now.wall_ms);
            let wait_ms = self.backoff_ms(slot);
            self.counters.retried += 1;
            return self.wait_again(now, slot, wait_ms, why);
        }
        let (limit, ms) =
            if why == "stalled" { ("job.stall_ms", rules.stall_ms) } else { ("job.run_ms", rules.run_ms) };
        let message = format!("its last attempt was over its time: {limit} is {ms}");
        self.close(
            now,
            slot,
            Close { code: why.replace(' ', "-"), message, ..Close::new(Outcome::TimedOut) },
        );
    }

    /// Tells the holder to stop.
    pub(super) fn revoke(&mut self, slot: u32, why: Stop) {
        let job = self.job(slot);
        if let (Some(worker), true) = (job.holder, job.token != 0) {
            let lease = job.lease(slot);
            if planted(Planted::ForgetRevoke) {
                return;
            }
            self.tell_holder(slot, Event::Revoke { worker, lease, why });
        }
    }

    /// Back into the line or into a wait; nobody's word about the last attempt counts any more.
    fn wait_again(&mut self, now: Now, slot: u32, wait_ms: u64, why: &'static str) {
        self.unhold(now, slot);
        let job = self.job_mut(slot);
        (job.token, job.holder, job.begun, job.first) = (0, None, false, false);
        self.requeue(now, slot, wait_ms, why);
    }

    /// Back to the head of the line; the last holder still counts until somebody else is handed the job.
    pub(super) fn requeue_kept(&mut self, now: Now, slot: u32, why: &'static str) {
        self.unhold(now, slot);
        self.job_mut(slot).first = true;
        self.requeue(now, slot, 0, why);
    }

    fn requeue(&mut self, now: Now, slot: u32, wait_ms: u64, why: &'static str) {
        let job = self.job(slot);
        let requeued = job.durable.then(|| Record::Requeued {
            id: job.id,
            token: job.token,
            attempts: job.attempts,
            losses: job.losses,
            releases: job.releases,
            suspect: job.suspect,
            not_before_wall_ms: now.wall_ms.saturating_add(wait_ms),
            wall_ms: now.wall_ms,
            how: job.history.last().map_or("".into(), |last| last.how.clone()),
            error: job.history.last().and_then(|last| last.error.clone()),
        });
        if let Some(requeued) = requeued {
            self.record(true, || requeued);
        }
        let begun = !matches!(self.job(slot).state, State::Leased { .. });
        self.note(now, slot, Happened::Requeued { begun }, why);
        if wait_ms == 0 || planted(Planted::SkipBackoff) {
            return self.enqueue(now, slot);
        }
        if planted(Planted::LeaveKeyToRetry) {
            self.leave_key(now, slot);
        }
        self.job_mut(slot).state = State::Delayed { until_us: now.after_ms(wait_ms) };
        self.rearm(slot);
    }

    /// The job's time is over, wherever it is.
    pub(super) fn expire_job(&mut self, now: Now, slot: u32, message: &str) {
        self.revoke(slot, Stop::TIME_OVER);
        self.close(
            now,
            slot,
            Close { code: "expired".into(), message: message.into(), ..Close::new(Outcome::Expired) },
        );
    }

    pub(super) fn cancel_running(&mut self, now: Now, slot: u32, reason: &str) {
        self.revoke(slot, Stop::CANCELLED);
        self.close(
            now,
            slot,
            Close { code: "cancelled".into(), message: reason.into(), ..Close::new(Outcome::Cancelled) },
        );
    }

    pub(super) fn refuse(tag: Tag, status: Status, message: String) -> Event {
        Event::Reply { tag, answer: Answer::Refused(crate::model::Failure::new(status, message)) }
    }
}
