//! What the application asks of a client: submissions, waits, questions, commands.

use std::sync::Arc;

use crate::core::client::delivery::{News, Want};
use crate::core::client::table::{Entry, Over, Stage};
use crate::core::client::{Cancel, ClientCore, ClientEvent, FORGET_DELAY_MS, Flush, Order, Ticket};
use crate::model::{Failure, JobId, Now, Outcome, Status, Verdict};
use crate::wire::command::{GetMode, ToBroker};

impl ClientCore {
    /// Takes a job. It is said as soon as the broker's credit allows.
    pub fn submit(&mut self, now: Now, order: Order) {
        let id = order.submission.id;
        if let Some(failure) = self.refusal.clone() {
            self.give_back(order.charge);
            return self.refuse_order(&order, failure);
        }
        let mut waits = Vec::new();
        if let Some(key) = self.table.key(id) {
            match self.table.get(key).map(|entry| (&entry.stage, entry.order)) {
                // It ended and nobody asked; the broker will say so again.
                Some((Stage::Over(_), _)) => self.drop_kept(key),
                // So far it was only asked about, and perhaps nobody has submitted it.
                Some((_, 0)) => waits = self.table.remove(key).map_or_else(Vec::new, |entry| entry.waits),
                _ => {
                    self.give_back(order.charge);
                    return self.join(key, order);
                }
            }
        }
        waits.extend(order.wait);
        self.counters.submitted += 1;
        self.unconfirmed += 1;
        self.orders += 1;
        let entry = Entry {
            id,
            tag: order.tag,
            want: order.want,
            stage: Stage::Queued { again: false },
            content: order.submission.content.clone(),
            submission: Some(order.submission),
            is_confirmed: false,
            is_cancelled: false,
            sent_number: 0,
            is_expected: false,
            charge: Some(order.charge),
            is_volatile: order.is_volatile,
            submitted_us: now.us,
            order: self.orders,
            confirm: order.confirm,
            waits,
        };
        let key = self.table.insert(entry);
        self.queue.push_back((key, id));
        if !self.is_up {
            self.look_soon(now);
        }
    }

    /// The application submits an id again that is under way: it becomes part of what is already known.
    fn join(&mut self, key: u32, order: Order) {
        let Some(entry) = self.table.get_mut(key) else { return };
        // An id of this library has no content to compare: who names it got it from us.
        let is_other = entry.content.is_some() && entry.content != order.submission.content;
        if entry.order > 0 && is_other {
            let message = format!("id {} is in use for a job with other content", entry.id);
            return self.refuse_order(&order, Failure::new(Status::Conflict, message));
        }
        entry.waits.extend(order.wait);
        entry.want = entry.want | order.want;
        self.ask_for_end(key);
        let Some((ticket, index)) = order.confirm else { return };
        let Some(entry) = self.table.get_mut(key) else { return };
        if entry.is_confirmed {
            self.events.push_back(ClientEvent::Confirmed { ticket, index, result: Ok(()) });
        } else if entry.confirm.is_none() {
            entry.confirm = Some((ticket, index));
        } else {
            let failure = Failure::new(
                Status::State,
                format!("another call of this client is just submitting the job {}", entry.id),
            );
            self.events.push_back(ClientEvent::Confirmed { ticket, index, result: Err(failure) });
        }
    }

    fn refuse_order(&mut self, order: &Order, failure: Failure) {
        if let Some((ticket, index)) = order.confirm {
            self.events.push_back(ClientEvent::Confirmed { ticket, index, result: Err(failure.clone()) });
        }
        if let Some(ticket) = order.wait {
            let result = Err(failure.clone());
            self.events.push_back(ClientEvent::Ended { ticket, id: order.submission.id, result });
        }
        if order.want.0 & (Want::REFUSED | Want::RESULT).0 != 0 {
            self.deliver(order.submission.id, order.tag, News::Refused(failure));
        }
    }

    /// Tells `ticket` when the job has ended, at once if it is known to have.
    pub fn wait(&mut self, now: Now, ticket: Ticket, id: JobId) {
        if let Some(failure) = self.refusal.clone() {
            return self.events.push_back(ClientEvent::Ended { ticket, id, result: Err(failure) });
        }
        let Some(key) = self.table.key(id) else {
            self.watch(now, ticket, id);
            return;
        };
        let Some(entry) = self.table.get_mut(key) else { return };
        if let Stage::Over(over) = &entry.stage {
            let over = over.clone();
            self.drop_kept(key);
            return self.tell_end(ticket, id, over);
        }
        if entry.want.contains(Want::RESULT) {
            let failure = Failure::new(
                Status::State,
                format!("the job {id} wants its result, so it comes by next only"),
            );
            return self.events.push_back(ClientEvent::Ended { ticket, id, result: Err(failure) });
        }
        entry.waits.push(ticket);
        self.ask_for_end(key);
    }

    fn watch(&mut self, now: Now, ticket: Ticket, id: JobId) {
        let entry = Entry { is_expected: true, waits: vec![ticket], ..Entry::unknown(now, id) };
        self.table.insert(entry);
        self.commands.push_back(ToBroker::Get { id, mode: GetMode::Watch });
    }

    /// Asks how a job stands.
    pub fn peek(&mut self, ticket: Ticket, id: JobId) {
        if let Some(failure) = self.refusal.clone() {
            return self.answer(ticket, Err(failure));
        }
        let known = self.table.key(id).and_then(|key| self.table.get(key));
        match known.map(|entry| &entry.stage) {
            Some(Stage::Over(Over::Ended(verdict))) => {
                let news = News::Ended(verdict.clone());
                self.answer(ticket, Ok(news));
            }
            Some(Stage::Over(Over::Refused(failure))) => {
                let failure = failure.clone();
                self.answer(ticket, Err(failure));
            }
            Some(Stage::Queued { again: false }) => {
                self.answer(ticket, Ok(News::State { state: Outcome::Waiting, attempt: 0, fraction: 0.0 }));
            }
            _ => {
                let tickets = self.peeks.entry(id).or_default();
                tickets.push(ticket);
                if tickets.len() == 1 {
                    self.commands.push_back(ToBroker::Get { id, mode: GetMode::Peek });
                }
            }
        }
    }

    /// Cancels a job; `ticket` hears whether it is cancelled for ever.
    pub fn cancel(&mut self, ticket: Ticket, id: JobId, reason: &str) {
        if let Some(failure) = self.refusal.clone() {
            return self.answer(ticket, Err(failure));
        }
        let known = self.table.key(id).and_then(|key| Some((key, self.table.get(key)?)));
        if let Some((key, entry)) = known {
            let is_named = entry.submission.as_ref().is_some_and(|submission| submission.content.is_some());
            if matches!(entry.stage, Stage::Queued { again: false }) && !is_named {
                // No broker has heard of it, and none will: nobody else knows its id.
                self.confirm(key, Ok(()));
                let verdict = super::session::local_verdict(Outcome::Cancelled, "cancelled", reason);
                self.end(key, verdict);
                return self.answer(ticket, Ok(News::Accepted));
            }
            if let Stage::Over(Over::Ended(verdict)) = &entry.stage {
                // A restarted broker would not know, and say that it is cancelled.
                let outcome = verdict.outcome;
                return self.answer_cancel(vec![ticket], id, outcome);
            }
        }
        let own = known.is_some_and(|(_, entry)| entry.order > 0);
        let cancel = self.cancels.entry(id).or_insert_with(|| Cancel {
            reason: reason.to_owned(),
            own,
            tickets: Vec::new(),
            ended: None,
        });
        cancel.tickets.push(ticket);
        if cancel.tickets.len() == 1 {
            self.commands.push_back(ToBroker::Cancel { id, reason: reason.to_owned(), own });
        }
    }

    /// Answers a cancellation of a job whose end is known here.
    pub(super) fn answer_cancel(&mut self, tickets: Vec<Ticket>, id: JobId, outcome: Outcome) {
        for ticket in tickets {
            let result = match outcome {
                Outcome::Cancelled => Ok(News::Accepted),
                other => {
                    let message = format!("job {id} has ended {} and cannot be cancelled", other.name());
                    Err(Failure::new(Status::State, message))
                }
            };
            self.answer(ticket, result);
        }
    }

    /// Sends an operator's command.
    pub fn admin(&mut self, ticket: Ticket, command: &str, arguments: &[(String, String)]) {
        if let Some(failure) = self.refusal.clone() {
            return self.answer(ticket, Err(failure));
        }
        self.admins.insert(ticket, (command.to_owned(), arguments.to_vec()));
        self.commands.push_back(ToBroker::Admin {
            tag: ticket,
            command: command.to_owned(),
            arguments: arguments.to_vec(),
        });
    }

    /// Tells `ticket` when every job submitted so far is confirmed; fails with the first refusal since the last
    /// time.
    pub fn flush(&mut self, ticket: Ticket) {
        if let Some(failure) = self.refusal.clone() {
            return self.answer(ticket, Err(failure));
        }
        if self.unconfirmed == 0 {
            let result = self.refused_since_flush.take().map_or(Ok(News::Accepted), Err);
            return self.answer(ticket, result);
        }
        self.flushes.push(Flush { ticket, before: self.orders + 1, left: self.unconfirmed });
    }

    /// The application has what was delivered or waited for, and needs it no more: the broker may forget it.
    pub fn ack(&mut self, now: Now, id: JobId) {
        if let Some(key) = self.table.key(id) {
            self.drop_kept(key);
        }
        if self.forgets.is_empty() {
            self.forget_due_us = now.after_ms(FORGET_DELAY_MS);
        }
        self.forgets.push(id);
    }

    /// Somebody who waited for the job has its result.
    pub fn handed(&mut self, now: Now, id: JobId) {
        if self.config.is_ack_auto {
            self.ack(now, id);
        }
    }

    /// Whoever waited for the job had gone when it was told: it waits to be asked about again.
    pub fn untold(&mut self, now: Now, id: JobId, verdict: Arc<Verdict>) {
        if self.table.key(id).is_none() {
            self.keep_unknown(now, id, verdict);
        }
    }

    /// Acknowledgements wait no longer for company.
    pub fn hurry(&mut self) {
        self.forget_due_us = 0;
    }

    /// The application took a delivered result of `len` bytes.
    pub fn taken(&mut self, now: Now, id: JobId, len: u64) {
        self.untaken_jobs = self.untaken_jobs.saturating_sub(1);
        self.untaken_bytes = self.untaken_bytes.saturating_sub(len);
        self.handed(now, id);
    }

    /// Nobody waits under `ticket` any more. `id`: the job it waited for or asked about.
    pub fn abandon(&mut self, ticket: Ticket, id: Option<JobId>) {
        self.admins.remove(&ticket);
        self.flushes.retain(|flush| flush.ticket != ticket);
        let Some(id) = id else { return };
        if let Some(tickets) = self.peeks.get_mut(&id) {
            tickets.retain(|one| *one != ticket);
        }
        if let Some(cancel) = self.cancels.get_mut(&id) {
            cancel.tickets.retain(|one| *one != ticket);
        }
        let Some(key) = self.table.key(id) else { return };
        let Some(entry) = self.table.get_mut(key) else { return };
        entry.waits.retain(|one| *one != ticket);
        if entry.confirm.is_some_and(|(one, _)| one == ticket) {
            entry.confirm = None;
        }
    }
}
