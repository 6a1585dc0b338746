//! How jobs end, and how long what is left of them is kept.

use std::sync::Arc;

use crate::core::job_table::JobTable;
use crate::core::job_table::entry::{Job, State};
use crate::core::job_table::remember::{Happened, PastJob};
use crate::core::jobs::{Answer, Asker, Crash, Event, Tag};
use crate::core::record::{AttemptError, Buried, Record, how_ended};
use crate::model::{
    Body, Headers, JobId, Known, Meta, Now, Outcome, QueueName, ReplyMode, Status, Submission, Verdict,
};
use crate::model::{Planted, planted};

/// What is said of a job that ends.
pub(super) struct Close {
    pub(super) outcome: Outcome,
    pub(super) body: Body,
    pub(super) headers: Headers,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) detail: String,
    pub(super) meta: Meta,
}

impl Close {
    pub(super) fn new(outcome: Outcome) -> Self {
        let (body, headers, meta) = Default::default();
        Close {
            outcome,
            body,
            headers,
            code: String::new(),
            message: String::new(),
            detail: String::new(),
            meta,
        }
    }

    /// The same with what is known of the crash that brought it about.
    pub(super) fn after(mut self, crash: Option<&Crash>) -> Self {
        if let Some(Crash { message, detail, .. }) = crash {
            self.message = format!("{}: {message}", self.message);
            self.detail.clone_from(detail);
        }
        self
    }
}

/// What is known of a job whose result was acknowledged and dropped.
pub(super) fn verdict_of_forgotten(outcome: Outcome, attempt: u32) -> Verdict {
    Verdict {
        outcome,
        attempt,
        body: Body::default(),
        headers: Headers::default(),
        code: "result-forgotten".into(),
        message: "the job ended before, and its result was acknowledged and is not kept any more".into(),
        detail: String::new(),
        meta: Meta::default(),
    }
}

/// When a job with this verdict ended, as the broker's clock said.
pub(super) fn ended_wall_ms(verdict: &Verdict) -> Option<u64> {
    verdict.meta.number(Known::EndedMs)
}

/// The queue of jobs that were cancelled before they were submitted.
const EARLY: &str = "-";

impl JobTable {
    /// Ends the job, whatever its state. What has ended stays as it is.
    pub(super) fn close(&mut self, now: Now, slot: u32, close: Close) {
        match self.job(slot).state {
            State::Ended { .. } => return,
            State::Queued => self.leave_line(slot),
            State::Leased { .. } | State::Running { .. } => self.unhold(now, slot),
            State::Delayed { .. } | State::Held | State::Behind | State::Open { .. } => {}
        }
        self.leave_key(now, slot);
        let before = self.job(slot).bytes();
        // A quarantined job waits for a person who may want to see its payload.
        let waits_for_a_person = close.outcome == Outcome::Quarantined;
        let may_be_resumed = close.outcome != Outcome::Done && self.job(slot).is_run();
        if !waits_for_a_person && !may_be_resumed {
            self.drop_body(slot);
            self.job_mut(slot).headers = Headers::default();
        }
        let quarantine_ms = self.config.quarantine_ms;
        let job = self.job_mut(slot);
        let mut meta = close.meta;
        job.add_facts(now, &mut meta);
        let verdict = Arc::new(Verdict {
            outcome: close.outcome,
            attempt: job.attempts,
            body: close.body,
            headers: close.headers,
            code: close.code,
            message: close.message,
            detail: close.detail,
            meta,
        });
        job.note_attempt_end(how_ended(&verdict), AttemptError::of(&verdict), now.wall_ms);
        // Only the worker whose answer ended the job may say it again; anybody else's word is stale from now on.
        if !matches!(close.outcome, Outcome::Done | Outcome::Failed) {
            (job.token, job.holder) = (0, None);
        }
        let keep_us = job.keep_us(now, &verdict, quarantine_ms);
        let part = job.part.as_deref().copied();
        job.state = State::Ended { verdict: verdict.clone(), keep_us };
        let (durable, id, asker) = (job.durable, job.id, job.asker.clone());
        let (reply, sequence, queue) = (job.reply, job.sequence, job.queue.clone());
        let after = job.bytes();
        self.account(after, before);
        self.leave_queue(&queue, before, close.outcome);
        self.note(now, slot, Happened::Ended(close.outcome), "");
        self.record(durable, || Record::Ended { id, verdict: verdict.clone(), wall_ms: now.wall_ms });
        let push = reply == ReplyMode::Push;
        if push && !asker.owner.name.is_empty() {
            self.boxes.entry(asker.owner.clone()).or_default().insert(sequence, slot);
        }
        self.tell(durable && !planted(Planted::TellEndEarly), Event::Ended { id, asker, push, verdict });
        if waits_for_a_person {
            self.quarantined.insert(id, slot);
        }
        if let Some(part) = part {
            self.runs.note_end(now, id, part);
        }
        let is_unwanted = reply == ReplyMode::None && !self.is_kept_by_run(slot);
        let is_dropped = is_unwanted || planted(Planted::DropResultEarly);
        if is_dropped && !waits_for_a_person {
            self.remove(now, slot);
        } else {
            self.rearm(slot);
        }
    }

    /// The queue has a job less.
    pub(super) fn leave_queue(&mut self, name: &QueueName, bytes: u64, outcome: Outcome) {
        let done = outcome == Outcome::Done;
        self.counters.done += u64::from(done);
        self.counters.not_done += u64::from(!done);
        if let Some(queue) = self.queues.get_mut(name) {
            queue.jobs -= 1;
            queue.bytes -= bytes;
            queue.done += u64::from(done);
            queue.not_done += u64::from(!done);
        }
        self.drop_queue_if_unused(name);
    }

    /// Drops an ended job. Its history stays for a while, an application's id until it is too old to come again.
    pub(super) fn remove(&mut self, now: Now, slot: u32) {
        if self.slots[slot as usize].as_ref().is_some_and(Job::is_run) {
            self.retire_run(now, slot);
        }
        let Some(job) = self.slots[slot as usize].take() else { return };
        let is_early = job.is_early();
        self.timers.clear(slot);
        // Its last grant may not have been told of yet, and a later one under its slot must not come before.
        if job.granted_at > self.records_synced {
            self.free_later.push_back((job.granted_at, slot));
        } else {
            self.free_slots.push(slot);
        }
        self.ids.remove(&job.id);
        self.stored_bytes -= job.stored_len;
        self.account(0, job.bytes());
        if let Some(kept) = self.boxes.get_mut(&job.asker.owner) {
            kept.remove(&job.sequence);
            if kept.is_empty() {
                self.boxes.remove(&job.asker.owner);
            }
        }
        let State::Ended { verdict, .. } = job.state else { return };
        if verdict.outcome == Outcome::Quarantined {
            self.quarantined.remove(&job.id);
        }
        let owner = job.asker.owner;
        let (id, durable) = (job.id, job.durable);
        let content = match job.content {
            Some(content) => {
                self.named_ids -= 1;
                Some(content)
            }
            // Its submission may come yet, with whatever content.
            None => is_early.then(Vec::new),
        };
        if let Some(content) = content {
            let (owner, outcome, attempt) = (owner.clone(), verdict.outcome, verdict.attempt);
            let buried = Arc::new(Buried { id, owner, content, outcome, attempt });
            self.record(durable, || Record::Buried(buried.clone()));
            self.tombstones.insert(buried);
        } else {
            self.record(durable, || Record::Forgotten { id });
        }
        let past = PastJob {
            owner,
            queue: job.queue,
            outcome: verdict.outcome,
            attempt: verdict.attempt,
            accepted_wall_ms: job.accepted_wall_ms,
            code: verdict.code.clone(),
            message: verdict.message.clone(),
            history: job.history,
            parent: job.parent,
            requeued_as: verdict.requeued_as(),
            ended_wall_ms: ended_wall_ms(&verdict),
        };
        self.past.insert(now, job.id, past);
    }

    pub(super) fn cancel_job(&mut self, now: Now, tag: Tag, id: JobId, by: &Asker, own: bool, reason: &str) {
        let Some(slot) = self.slot_of(id, by) else {
            let known =
                self.ids.contains(&id) || self.past.get(&id).is_some() || self.tombstones.get(&id).is_some();
            if known || !own {
                let event = self.unknown_or_past(tag, id, by);
                return self.tell(self.config.durable, event);
            }
            return self.cancel_in_advance(now, tag, id, by, reason);
        };
        let job = self.job(slot);
        let durable = job.durable;
        match &job.state {
            State::Ended { verdict, .. } if verdict.outcome == Outcome::Cancelled => {
                self.answer(durable, tag, Answer::Done)
            }
            State::Ended { verdict, .. } => {
                let message =
                    format!("job {id} has ended {} and cannot be cancelled", verdict.outcome.name());
                self.tell(durable, Self::refuse(tag, Status::State, message));
            }
            _ => {
                if !planted(Planted::CancelInWordsOnly) {
                    self.cancel_running(now, slot, reason);
                }
                self.answer(durable, tag, Answer::Done);
            }
        }
    }

    /// The job may still be on its way: when it comes it finds itself cancelled.
    fn cancel_in_advance(&mut self, now: Now, tag: Tag, id: JobId, by: &Asker, reason: &str) {
        let queue = QueueName::new(EARLY).expect("it is a valid name");
        let job = Submission::new(id, queue, Body::default());
        let slot = self.insert(now, by, job, self.default_rules.clone());
        self.cancel_running(now, slot, reason);
        self.answer(self.config.durable, tag, Answer::Done);
    }

    /// The job's place, if the asker may see it.
    pub(super) fn slot_of(&self, id: JobId, by: &Asker) -> Option<u32> {
        let slot = *self.ids.get(&id)?;
        (self.job(slot).asker.owner.user == by.owner.user).then_some(slot)
    }

    /// The answer about a job that is not in the table.
    fn unknown_or_past(&self, tag: Tag, id: JobId, by: &Asker) -> Event {
        let past = self.past.get(&id).filter(|past| past.owner.user == by.owner.user);
        let buried = self.tombstones.get(&id).filter(|buried| buried.owner.user == by.owner.user);
        match past.map(|past| past.outcome).or(buried.map(|buried| buried.outcome)) {
            Some(Outcome::Cancelled) => Event::Reply { tag, answer: Answer::Done },
            Some(outcome) => Self::refuse(
                tag,
                Status::State,
                format!("job {id} has ended {} and cannot be cancelled", outcome.name()),
            ),
            None => Self::refuse(tag, Status::NotFound, format!("no job {id} is known here")),
        }
    }

    pub(super) fn get_job(&mut self, tag: Tag, id: JobId, by: &Asker) {
        if let Some(slot) = self.slot_of(id, by) {
            let job = self.job(slot);
            let verdict = match &job.state {
                State::Ended { verdict, .. } => Some(verdict.clone()),
                _ => None,
            };
            let answer = Answer::State {
                state: job.outcome(),
                attempt: job.attempts,
                fraction: job.fraction,
                verdict,
            };
            let durable = job.durable;
            return self.answer(durable, tag, answer);
        }
        let past = self
            .past
            .get(&id)
            .filter(|past| past.owner.user == by.owner.user)
            .map(|past| (past.outcome, past.attempt));
        let buried = self
            .tombstones
            .get(&id)
            .filter(|buried| buried.owner.user == by.owner.user)
            .map(|buried| (buried.outcome, buried.attempt));
        let event = match past.or(buried) {
            Some((outcome, attempt)) => {
                let verdict = Some(Arc::new(verdict_of_forgotten(outcome, attempt)));
                Event::Reply {
                    tag,
                    answer: Answer::State { state: outcome, attempt, fraction: 0.0, verdict },
                }
            }
            None => Self::refuse(tag, Status::NotFound, format!("no job {id} is known here")),
        };
        // What is over may be over only since a moment ago, and the record of it on its way.
        self.tell(self.config.durable, event);
    }

    pub(super) fn forget_result(&mut self, now: Now, tag: Tag, id: JobId, by: &Asker) {
        let slot = self.slot_of(id, by).filter(|&slot| {
            let job = self.job(slot);
            job.is_ended() && !job.waits_for_a_person() && !self.is_kept_by_run(slot)
        });
        let mut durable = false;
        if let Some(slot) = slot {
            durable = self.job(slot).durable;
            self.remove(now, slot);
        }
        self.answer(durable, tag, Answer::Done);
    }

    /// A session came or went. One that comes under a name is told what ended while nobody of that name was there.
    pub(super) fn watch_session(&mut self, who: &Asker, on: bool) {
        if !on {
            self.sessions.remove(&who.session);
            return;
        }
        self.sessions.insert(who.session, who.owner.clone());
        let kept: Vec<u32> =
            self.boxes.get(&who.owner).map_or_else(Vec::new, |kept| kept.values().copied().collect());
        for slot in kept {
            if !self.sessions.contains_key(&self.job(slot).asker.session) {
                self.job_mut(slot).asker.session = who.session;
                self.tell_ended_again(slot);
            }
        }
    }

    /// Tells the end of a job again, to the session that wants it now.
    pub(super) fn tell_ended_again(&mut self, slot: u32) {
        let job = self.job(slot);
        let State::Ended { verdict, .. } = &job.state else { return };
        let event = Event::Ended {
            id: job.id,
            asker: job.asker.clone(),
            push: job.reply == ReplyMode::Push,
            verdict: verdict.clone(),
        };
        let durable = job.durable;
        self.tell(durable, event);
    }
}

impl Job {
    /// It was cancelled before it was submitted, so nothing is known of it but its id.
    pub(super) fn is_early(&self) -> bool {
        self.outcome() == Outcome::Cancelled && self.queue.as_str() == EARLY && self.body.0.is_empty()
    }

    /// What the broker knows of the job's last attempt, for the result's meta.
    fn add_facts(&self, now: Now, meta: &mut Meta) {
        meta.set(Known::AcceptedMs, self.accepted_wall_ms);
        meta.set(Known::EndedMs, now.wall_ms);
        if let Some(last) = self.history.last() {
            meta.set(Known::StartedMs, last.started_wall_ms);
            meta.set_worker(last.worker.clone());
        }
    }
}
