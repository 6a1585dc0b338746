//! What a client and its broker say to each other: commands out, news in, and saying it again to a broker that
//! does not know the session.

use std::sync::Arc;

use crate::core::client::delivery::{Delivery, News, Want};
use crate::core::client::table::{Entry, Key, Over, Stage};
use crate::core::client::{
    Cancel, ClientCore, ClientEvent, DEADLINE_LOOK_MS, FORGET_BATCH, FORGET_DELAY_MS, FORGET_IDS_MAX, Ticket,
    Unacked,
};
use crate::model::{
    Body, Failure, Headers, JobId, Level, Meta, Now, Outcome, ReplyMode, Status, Submission, Verdict, limits,
};
use crate::model::{Planted, planted};
use crate::wire::command::{FromBroker, GetMode, Terms, ToBroker};

/// News that make a job worth keeping here until its end is known.
const OF_THE_END: Want = Want(Want::PROGRESS.0 | Want::PARTIAL.0 | Want::RESULT.0);

/// What is known of a job that ended here, without a broker's word.
pub(super) fn local_verdict(outcome: Outcome, code: &str, message: &str) -> Arc<Verdict> {
    Arc::new(Verdict {
        outcome,
        attempt: 0,
        body: Body::default(),
        headers: Headers::default(),
        code: code.to_owned(),
        message: message.to_owned(),
        detail: String::new(),
        meta: Meta::default(),
    })
}

impl ClientCore {
    pub(super) fn up(&mut self, now: Now, fresh: bool, terms: Box<Terms>) {
        self.is_up = true;
        let submit_jobs = terms.submit_jobs;
        self.terms = Some(terms);
        self.deadline_look_us = u64::MAX;
        if !fresh {
            return;
        }
        self.counters.fresh_sessions += 1;
        self.submits = 0;
        self.submit_credit = submit_jobs;
        self.results = 0;
        self.result_credit = 0;
        self.polled = None;
        self.commands.clear();
        for (_, what) in std::mem::take(&mut self.unacked) {
            if let Unacked::Forget(ids) = what {
                self.forgets.extend(ids);
            }
        }
        if !self.forgets.is_empty() {
            self.forget_due_us = now.after_ms(FORGET_DELAY_MS);
        }
        self.say_everything_anew();
    }

    /// The session is new to the broker: whatever it should know, it must be told.
    fn say_everything_anew(&mut self) {
        self.settle_cancels();
        let mut queue: Vec<(u64, Key, JobId)> = Vec::new();
        let mut resent = 0;
        for (key, entry) in self.table.iter_mut() {
            entry.is_expected = false;
            match &mut entry.stage {
                Stage::Queued { .. } => queue.push((entry.order, key, entry.id)),
                Stage::Over(_) => {}
                stage @ (Stage::Sent | Stage::Held)
                    if entry.submission.is_some() && !planted(Planted::ForgetResend) =>
                {
                    *stage = Stage::Queued { again: true };
                    queue.push((entry.order, key, entry.id));
                    resent += 1;
                }
                Stage::Sent | Stage::Held => {
                    if !entry.waits.is_empty() || entry.want.0 & OF_THE_END.0 != 0 {
                        entry.is_expected = true;
                        self.commands.push_back(ToBroker::Get { id: entry.id, mode: GetMode::Watch });
                    }
                }
            }
        }
        queue.sort_unstable();
        self.counters.resent += resent;
        self.retries.clear();
        self.queue = queue.into_iter().map(|(_, key, id)| (key, id)).collect();
        for (id, cancel) in &self.cancels {
            self.commands.push_back(ToBroker::Cancel {
                id: *id,
                reason: cancel.reason.clone(),
                own: cancel.own,
            });
        }
        for id in self.peeks.keys() {
            self.commands.push_back(ToBroker::Get { id: *id, mode: GetMode::Peek });
        }
        for (tag, (command, arguments)) in &self.admins {
            self.commands.push_back(ToBroker::Admin {
                tag: *tag,
                command: command.clone(),
                arguments: arguments.clone(),
            });
        }
    }

    /// To a broker that does not know the session, jobs that are cancelled or have ended are not worth a word.
    fn settle_cancels(&mut self) {
        let cancels = &self.cancels;
        let is_told =
            |id: &JobId| cancels.get(id).is_some_and(|cancel| cancel.ended == Some(Outcome::Cancelled));
        let cancelled: Vec<Key> = self
            .table
            .iter_mut()
            // What was told is answered below, for ever: an id that was submitted again since must not run either.
            .filter(|(_, entry)| entry.is_cancelled || is_told(&entry.id))
            .filter(|(_, entry)| !matches!(entry.stage, Stage::Over(_)))
            .map(|(key, _)| key)
            .collect();
        for key in cancelled {
            self.confirm(key, Ok(()));
            self.end(key, local_verdict(Outcome::Cancelled, "cancelled", "it was cancelled for ever"));
        }
        let ids: Vec<JobId> =
            self.cancels.iter().filter(|(_, cancel)| cancel.ended.is_some()).map(|(id, _)| *id).collect();
        for id in ids {
            let Some(Cancel { tickets, ended: Some(outcome), .. }) = self.cancels.remove(&id) else {
                continue;
            };
            self.answer_cancel(tickets, id, outcome);
        }
    }

    pub(super) fn down(&mut self, now: Now) {
        if self.is_up {
            self.counters.drops += 1;
        }
        self.is_up = false;
        self.look_soon(now);
    }

    /// The broker does not want this client: whoever waits hears so, now and later.
    pub(super) fn refused_by_broker(&mut self, failure: Failure) {
        self.is_up = false;
        self.refusal = Some(failure.clone());
        let keys: Vec<Key> = self.table.iter_mut().map(|(key, _)| key).collect();
        for key in keys {
            if !matches!(self.table.get(key).map(|entry| &entry.stage), Some(Stage::Over(_))) {
                self.refuse(key, failure.clone());
            }
        }
        for (_, tickets) in std::mem::take(&mut self.peeks) {
            tickets.into_iter().for_each(|ticket| self.answer(ticket, Err(failure.clone())));
        }
        for (_, cancel) in std::mem::take(&mut self.cancels) {
            cancel.tickets.into_iter().for_each(|ticket| self.answer(ticket, Err(failure.clone())));
        }
        for (ticket, _) in std::mem::take(&mut self.admins) {
            self.answer(ticket, Err(failure.clone()));
        }
    }

    pub(super) fn next_submit(&mut self, now: Now) -> Option<ToBroker> {
        while self.submits < self.submit_credit {
            let (key, id) = self.queue.pop_front()?;
            let Some(entry) = self.table.get_mut(key).filter(|entry| entry.id == id) else { continue };
            let (Stage::Queued { again }, Some(kept)) = (&entry.stage, &entry.submission) else { continue };
            let again = *again;
            if is_late(entry, now) {
                self.expire(key);
                continue;
            }
            if let Some(failure) = self.terms.as_ref().and_then(|terms| too_large(terms, kept)) {
                self.refuse(key, failure);
                continue;
            }
            let submission = as_said_now(entry, kept, again, now);
            entry.stage = Stage::Sent;
            entry.is_expected = submission.reply == ReplyMode::Push;
            self.submits += 1;
            self.polled = Some(Unacked::Submit(key, id));
            return Some(ToBroker::Submit(submission));
        }
        None
    }

    /// How many results the broker may push: as many as there is room for, told anew when half is used up.
    pub(super) fn next_result_credit(&mut self) -> Option<ToBroker> {
        let by_len = self.config.window_bytes / self.result_len_mean.max(64);
        let room = by_len.clamp(1, self.config.window_jobs.max(1));
        let is_stuffed = self.untaken_bytes >= self.config.window_bytes;
        let free = if is_stuffed { 0 } else { room.saturating_sub(self.untaken_jobs) };
        let allowed = self.results + free;
        let left = self.result_credit.saturating_sub(self.results);
        let is_due = left <= room / 2 || (self.has_spoken && left <= room / 4 * 3);
        if allowed <= self.result_credit || !is_due {
            return None;
        }
        self.result_credit = allowed;
        Some(ToBroker::ResultCredit(allowed))
    }

    /// Acknowledgements of results travel with something else, or after a while alone.
    pub(super) fn next_forget(&mut self, now: Now) -> Option<ToBroker> {
        let is_due = self.has_spoken || self.forgets.len() >= FORGET_BATCH || now.us >= self.forget_due_us;
        if self.forgets.is_empty() || !is_due {
            return None;
        }
        let left = self.forgets.split_off(self.forgets.len().min(FORGET_IDS_MAX));
        let ids = std::mem::replace(&mut self.forgets, left);
        self.polled = Some(Unacked::Forget(ids.clone()));
        Some(ToBroker::Forget(ids))
    }

    pub(super) fn acknowledged(&mut self, number: u64) {
        while self.unacked.front().is_some_and(|(sent, _)| *sent <= number) {
            let Some((sent, Unacked::Submit(key, id))) = self.unacked.pop_front() else { continue };
            // A refused job may have been submitted again since, under the same id.
            let is_this = |entry: &Entry| {
                entry.id == id
                    && (entry.sent_number == sent || planted(Planted::AcceptOther))
                    && matches!(entry.stage, Stage::Sent)
            };
            if self.table.get(key).is_some_and(is_this) {
                self.accepted(key);
            }
        }
    }

    fn accepted(&mut self, key: Key) {
        self.confirm(key, Ok(()));
        let is_store_there = self.terms.as_ref().is_some_and(|terms| terms.durable);
        let Some(entry) = self.table.get_mut(key) else { return };
        entry.stage = Stage::Held;
        if let Some(submission) = &entry.submission {
            let is_unwanted = submission.reply == ReplyMode::None;
            let is_durable = match submission.options.level.unwrap_or_default() {
                Level::Durable => true,
                Level::Volatile => false,
                Level::Auto => is_store_there && !entry.is_volatile,
            };
            if is_unwanted && entry.waits.is_empty() && entry.want.0 & OF_THE_END.0 == 0 {
                return self.remove(key);
            }
            if is_durable {
                entry.submission = None;
                let charge = entry.charge.take();
                charge.into_iter().for_each(|charge| self.give_back(charge));
            }
        }
        self.ask_for_end(key);
    }

    /// Somebody wants to know how the job ends, or that there is nothing more to come, and the broker would not say
    /// it unasked: its result is not pushed, or perhaps to a session of before the broker's restart.
    pub(super) fn ask_for_end(&mut self, key: Key) {
        let Some(entry) = self.table.get_mut(key) else { return };
        let is_wanted = !entry.waits.is_empty() || entry.want.0 & OF_THE_END.0 != 0;
        if is_wanted && !entry.is_expected && matches!(entry.stage, Stage::Held) {
            entry.is_expected = true;
            let id = entry.id;
            self.commands.push_back(ToBroker::Get { id, mode: GetMode::Watch });
        }
    }

    /// The first word of the broker about a submission.
    pub(super) fn confirm(&mut self, key: Key, result: Result<(), Failure>) {
        let Some(entry) = self.table.get_mut(key) else { return };
        if std::mem::replace(&mut entry.is_confirmed, true) {
            return;
        }
        let (id, tag, want, order) = (entry.id, entry.tag, entry.want, entry.order);
        let confirm = entry.confirm.take();
        self.unconfirmed -= 1;
        match &result {
            Ok(()) => {
                self.counters.accepted += 1;
                if want.contains(Want::ACCEPTED) {
                    self.deliver(id, tag, News::Accepted);
                }
            }
            Err(failure) => {
                self.counters.refused += 1;
                if confirm.is_none() && self.refused_since_flush.is_none() {
                    self.refused_since_flush = Some(failure.clone());
                }
            }
        }
        if let Some((ticket, index)) = confirm {
            self.events.push_back(ClientEvent::Confirmed { ticket, index, result });
        }
        for flush in &mut self.flushes {
            if order < flush.before {
                flush.left -= 1;
            }
        }
        while let Some(at) = self.flushes.iter().position(|flush| flush.left == 0) {
            let flush = self.flushes.remove(at);
            let result = self.refused_since_flush.take().map_or(Ok(News::Accepted), Err);
            self.answer(flush.ticket, result);
        }
    }

    pub(super) fn command(&mut self, now: Now, command: FromBroker) {
        match command {
            FromBroker::Refused { id, failure } => self.refused(now, id, failure),
            FromBroker::Result { id, verdict } => self.result(now, id, verdict),
            FromBroker::ProgressOf { id, attempt, fraction, note } => {
                self.news(id, Want::PROGRESS, News::Progress { attempt, fraction, note });
            }
            FromBroker::PartialOf { id, attempt, sequence, body } => {
                self.news(id, Want::PARTIAL, News::Partial { attempt, sequence, body });
            }
            FromBroker::State { id, status, state, attempt, fraction } => {
                self.state(id, status, state, attempt, fraction);
            }
            FromBroker::CancelReply { id, status, message } => self.cancelled(id, status, message),
            FromBroker::SubmitCredit(jobs) => self.submit_credit = self.submit_credit.max(jobs),
            FromBroker::Reply { tag, status, body, message } => {
                let failure = || Failure::new(status, message);
                let result = if status == Status::Ok { Ok(News::Text(body)) } else { Err(failure()) };
                if self.admins.remove(&tag).is_some() {
                    self.answer(tag, result);
                }
            }
            // What is for workers, or unknown, says nothing to a client.
            _ => {}
        }
    }

    fn news(&mut self, id: JobId, kind: Want, news: News) {
        let Some(entry) = self.table.key(id).and_then(|key| self.table.get(key)) else { return };
        if entry.want.contains(kind) && !matches!(entry.stage, Stage::Over(_)) {
            let tag = entry.tag;
            self.deliver(id, tag, news);
        }
    }

    fn refused(&mut self, now: Now, id: JobId, failure: Failure) {
        let Some(key) = self.table.key(id) else { return };
        let Some(entry) = self.table.get_mut(key) else { return };
        if matches!(entry.stage, Stage::Over(_)) {
            return;
        }
        if entry.is_confirmed && entry.submission.is_some() && failure.is_retryable() {
            // It was accepted before the broker's restart, so being full now is no answer.
            entry.stage = Stage::Queued { again: true };
            let due_us = now.after_ms(failure.retry_after_ms.unwrap_or(limits::BUSY_RETRY_MS));
            self.retries.insert((due_us, entry.order), (key, id));
            return;
        }
        self.refuse(key, failure);
    }

    fn refuse(&mut self, key: Key, failure: Failure) {
        let had_caller = self.table.get(key).is_some_and(|entry| entry.confirm.is_some());
        self.confirm(key, Err(failure.clone()));
        let Some(entry) = self.table.get_mut(key) else { return };
        let (id, tag) = (entry.id, entry.tag);
        let is_wanted = entry.want.0 & (Want::REFUSED | Want::RESULT).0 != 0;
        let waits = std::mem::take(&mut entry.waits);
        let is_told = had_caller || is_wanted || !waits.is_empty();
        for ticket in waits {
            let result = Err(failure.clone());
            self.events.push_back(ClientEvent::Ended { ticket, id, result });
        }
        if is_wanted {
            self.deliver(id, tag, News::Refused(failure.clone()));
        }
        if is_told { self.remove(key) } else { self.keep(key, Over::Refused(failure)) }
    }

    fn result(&mut self, now: Now, id: JobId, verdict: Arc<Verdict>) {
        self.results += 1;
        self.counters.results += 1;
        let len = verdict.body.len() as u64;
        self.result_len_mean = (self.result_len_mean * 15 + len) / 16;
        let tickets = self.peeks.remove(&id).unwrap_or_default();
        let was_asked = !tickets.is_empty();
        for ticket in tickets {
            self.answer(ticket, Ok(News::Ended(verdict.clone())));
        }
        match self.table.key(id) {
            Some(key) if matches!(self.table.get(key).map(|entry| &entry.stage), Some(Stage::Over(_))) => {
                self.counters.duplicates += 1;
            }
            Some(key) => {
                self.confirm(key, Ok(()));
                self.end(key, verdict);
            }
            None if was_asked || self.forgets.contains(&id) => {}
            // Of a job another client of this name submitted, or this one in an earlier life.
            None => self.keep_unknown(now, id, verdict),
        }
    }

    pub(super) fn keep_unknown(&mut self, now: Now, id: JobId, verdict: Arc<Verdict>) {
        let key = self.table.insert(Entry::unknown(now, id));
        self.keep(key, Over::Ended(verdict));
    }

    /// A known job has ended: tells whoever wants to know, or keeps it for whoever will ask.
    pub(super) fn end(&mut self, key: Key, verdict: Arc<Verdict>) {
        let Some(entry) = self.table.get_mut(key) else { return };
        let (id, tag) = (entry.id, entry.tag);
        if let Some(cancel) = self.cancels.get_mut(&id) {
            cancel.ended = Some(verdict.outcome);
        }
        let waits = std::mem::take(&mut entry.waits);
        if entry.want.contains(Want::RESULT) {
            self.remove(key);
            // Who waited before the submission wanted it by `next`.
            for ticket in waits {
                self.events.push_back(ClientEvent::Ended { ticket, id, result: Ok(verdict.clone()) });
            }
            self.deliver(id, tag, News::Ended(verdict));
        } else if waits.is_empty() {
            self.keep(key, Over::Ended(verdict));
        } else {
            self.remove(key);
            for ticket in waits {
                self.events.push_back(ClientEvent::Ended { ticket, id, result: Ok(verdict.clone()) });
            }
        }
    }

    pub(super) fn tell_end(&mut self, ticket: Ticket, id: JobId, over: Over) {
        let result = match over {
            Over::Ended(verdict) => Ok(verdict),
            Over::Refused(failure) => Err(failure),
        };
        self.events.push_back(ClientEvent::Ended { ticket, id, result });
    }

    fn state(&mut self, id: JobId, status: Status, state: Outcome, attempt: u32, fraction: f64) {
        if status == Status::Ok {
            if !state.is_terminal() {
                for ticket in self.peeks.remove(&id).unwrap_or_default() {
                    self.answer(ticket, Ok(News::State { state, attempt, fraction }));
                }
            }
            return;
        }
        let failure = Failure::new(status, format!("the broker knows no job {id}"));
        for ticket in self.peeks.remove(&id).unwrap_or_default() {
            self.answer(ticket, Err(failure.clone()));
        }
        let Some(key) = self.table.key(id) else { return };
        let is_gone = self.table.get(key).is_some_and(|entry| {
            entry.is_expected && entry.submission.is_none() && matches!(entry.stage, Stage::Held)
        });
        if is_gone {
            self.refuse(key, failure);
        }
    }

    fn cancelled(&mut self, id: JobId, status: Status, message: String) {
        let Some(cancel) = self.cancels.remove(&id) else { return };
        if status == Status::Ok {
            self.never_again(id);
        }
        if let Some(outcome) = cancel.ended {
            // What was told before counts, whoever decided it.
            return self.answer_cancel(cancel.tickets, id, outcome);
        }
        for ticket in cancel.tickets {
            let result = match status {
                Status::Ok => Ok(News::Accepted),
                status => Err(Failure::new(status, message.clone())),
            };
            self.answer(ticket, result);
        }
    }

    /// The job is cancelled for ever, so no broker that comes later may hear of it as a job to run.
    fn never_again(&mut self, id: JobId) {
        let Some(key) = self.table.key(id) else { return };
        let Some(entry) = self.table.get_mut(key).filter(|entry| !matches!(entry.stage, Stage::Over(_)))
        else {
            return;
        };
        entry.is_cancelled = true;
        entry.submission = None;
        if matches!(entry.stage, Stage::Queued { .. }) {
            // Cancelled before this broker heard of it: what would have been submitted has ended.
            entry.stage = Stage::Held;
        }
        let charge = entry.charge.take();
        charge.into_iter().for_each(|charge| self.give_back(charge));
        self.confirm(key, Ok(()));
        self.ask_for_end(key);
        if self.table.get(key).is_some_and(|entry| !entry.is_expected) {
            // Nobody wants to hear of it, and the broker will not tell.
            self.end(key, local_verdict(Outcome::Cancelled, "cancelled", "it was cancelled for ever"));
        }
    }

    pub(super) fn look_soon(&mut self, now: Now) {
        self.deadline_look_us = self.deadline_look_us.min(now.after_ms(DEADLINE_LOOK_MS));
    }

    /// While no broker is there, deadlines are watched here.
    pub(super) fn look_for_deadlines(&mut self, now: Now) {
        let late: Vec<Key> = self
            .queue
            .iter()
            .filter(|(key, id)| {
                self.table.get(*key).is_some_and(|entry| entry.id == *id && is_late(entry, now))
            })
            .map(|(key, _)| *key)
            .collect();
        late.into_iter().for_each(|key| self.expire(key));
        let is_watching = !self.is_up && !self.queue.is_empty();
        self.deadline_look_us = if is_watching { now.after_ms(DEADLINE_LOOK_MS) } else { u64::MAX };
    }

    fn expire(&mut self, key: Key) {
        self.confirm(key, Ok(()));
        let verdict =
            local_verdict(Outcome::Expired, "deadline", "its deadline passed before a broker could take it");
        self.end(key, verdict);
    }

    pub(super) fn deliver(&mut self, id: JobId, tag: u64, news: News) {
        if let News::Ended(verdict) = &news {
            self.untaken_jobs += 1;
            self.untaken_bytes += verdict.body.len() as u64;
        }
        self.events.push_back(ClientEvent::Deliver(Delivery { id, tag, news }));
    }

    pub(super) fn answer(&mut self, ticket: Ticket, result: Result<News, Failure>) {
        self.events.push_back(ClientEvent::Answered { ticket, result });
    }

    pub(super) fn give_back(&mut self, charge: u64) {
        self.released_jobs += 1;
        self.released_bytes += charge;
    }

    fn remove(&mut self, key: Key) {
        if let Some(charge) = self.table.remove(key).and_then(|entry| entry.charge) {
            self.give_back(charge);
        }
    }

    /// Keeps an end nobody has asked about. The oldest go when there are too many; the broker still has them.
    fn keep(&mut self, key: Key, over: Over) {
        let Some(entry) = self.table.get_mut(key) else { return };
        self.kept_jobs += 1;
        self.kept_bytes += over_len(&over);
        entry.stage = Stage::Over(over);
        entry.submission = None;
        let (id, charge) = (entry.id, entry.charge.take());
        charge.into_iter().for_each(|charge| self.give_back(charge));
        self.kept.push_back((key, id));
        while self.kept_jobs > self.config.window_jobs || self.kept_bytes > self.config.window_bytes {
            let Some((key, id)) = self.kept.pop_front() else { break };
            if self.is_kept(key, id) {
                self.counters.evicted += 1;
                self.drop_kept(key);
            }
        }
        // Entries asked about since are still named here; clean up before they outnumber the rest.
        if self.kept.len() as u64 > 64 + 2 * self.kept_jobs {
            let mut kept = std::mem::take(&mut self.kept);
            kept.retain(|(key, id)| self.is_kept(*key, *id));
            self.kept = kept;
        }
    }

    fn is_kept(&self, key: Key, id: JobId) -> bool {
        self.table.get(key).is_some_and(|entry| entry.id == id && matches!(entry.stage, Stage::Over(_)))
    }

    /// Forgets an entry that has ended.
    pub(super) fn drop_kept(&mut self, key: Key) {
        if let Some(Entry { stage: Stage::Over(over), .. }) = self.table.get(key) {
            self.kept_bytes -= over_len(over);
            self.kept_jobs -= 1;
            self.remove(key);
        }
    }
}

fn over_len(over: &Over) -> u64 {
    match over {
        Over::Ended(verdict) => verdict.body.len() as u64,
        Over::Refused(_) => 0,
    }
}

/// Whether its time is over, and no broker can have heard of it: one that has may know of another end. Under an
/// application's id anybody may have submitted it.
fn is_late(entry: &Entry, now: Now) -> bool {
    let is_named = entry.submission.as_ref().is_some_and(|kept| kept.content.is_some());
    if is_named || !matches!(entry.stage, Stage::Queued { again: false }) {
        return false;
    }
    let deadline_ms = entry.submission.as_ref().and_then(|kept| kept.options.deadline_ms).unwrap_or(0);
    deadline_ms > 0 && deadline_ms <= passed_ms(entry, now)
}

fn passed_ms(entry: &Entry, now: Now) -> u64 {
    now.us.saturating_sub(entry.submitted_us) / 1_000
}

/// The submission as it must be said now: what has passed of its times is taken off.
fn as_said_now(entry: &Entry, kept: &Arc<Submission>, again: bool, now: Now) -> Arc<Submission> {
    let mut submission = Arc::clone(kept);
    let is_timed = kept.options.deadline_ms.is_some() || kept.options.delay_ms.is_some();
    if !is_timed && kept.resent == again {
        return submission;
    }
    let passed_ms = passed_ms(entry, now);
    let said = Arc::make_mut(&mut submission);
    said.resent = again;
    if let Some(deadline_ms) = kept.options.deadline_ms.filter(|ms| *ms > 0) {
        said.options.deadline_ms = Some(deadline_ms.saturating_sub(passed_ms).max(1));
    }
    if let Some(delay_ms) = kept.options.delay_ms {
        said.options.delay_ms = Some(delay_ms.saturating_sub(passed_ms));
    }
    submission
}

/// What the broker would not take. Said here, so that nothing large travels for nothing.
fn too_large(terms: &Terms, submission: &Submission) -> Option<Failure> {
    let sizes = [
        ("payload", submission.body.len() as u64, terms.payload_max, "bytes"),
        ("payload", submission.body.0.len() as u64, terms.frames_max, "frames"),
        ("headers", submission.headers.len() as u64, terms.headers_max, "bytes with their names"),
    ];
    sizes.into_iter().find(|(_, size, max, _)| size > max).map(|(what, size, max, unit)| {
        let message =
            format!("the {what} of job {} has {size} {unit}; this broker takes {max}", submission.id);
        Failure::new(Status::TooLarge, message)
    })
}
