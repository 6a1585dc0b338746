//! What a worker and its broker say to each other, and what survives a broker that does not know the session.

use crate::core::worker::call::command_of;
use crate::core::worker::held::{Due, Held, JobKey, State};
use crate::core::worker::{Unacked, WorkerCore, WorkerEvent};
use crate::model::{JobId, Lease, Now, Stop};
use crate::wire::command::{FromBroker, Grant, Presented, Terms, ToBroker};

impl WorkerCore {
    pub(super) fn up(&mut self, fresh: bool, terms: Box<Terms>) {
        self.is_up = true;
        self.down_since_us = None;
        self.is_gone_told = false;
        self.terms = Some(terms);
        if !fresh {
            return;
        }
        self.counters.fresh_sessions += 1;
        self.is_paused = false;
        self.grants = 0;
        self.demand = 0;
        self.polled = None;
        for (_, what) in std::mem::take(&mut self.unacked) {
            self.lost_with_session(what);
        }
        for (_, what) in std::mem::take(&mut self.commands) {
            what.into_iter().for_each(|what| self.lost_with_session(what));
        }
        for (queue, (slots, weight)) in &self.queues {
            let command = ToBroker::Register { queue: queue.clone(), slots: *slots, weight: *weight };
            self.commands.push_back((command, None));
        }
        self.present_all();
    }

    /// Answers are presented anew; partial results are not kept.
    fn lost_with_session(&mut self, what: Unacked) {
        if let Unacked::Partial(key, len) = what {
            self.events.push_back(WorkerEvent::PartialTaken { key, len });
        }
    }

    /// Tells a broker that does not know the session which jobs this worker has begun or answered. Jobs not begun
    /// are forgotten: the broker hands them out again.
    fn present_all(&mut self) {
        self.presented.clear();
        // What is presented has begun.
        self.starts.clear();
        let mut older: Vec<JobKey> = Vec::new();
        for held in self.table.iter_mut() {
            held.is_start_unsaid = false;
            match &mut held.state {
                State::Granted { is_gone } => {
                    *is_gone = true;
                    self.events.push_back(WorkerEvent::Withdraw(held.key));
                }
                State::Running | State::Answered { .. } => {
                    // Of two grants of one job only the later can still count.
                    match self.presented.get(&held.id).copied() {
                        Some(other) if other.token > held.token => older.push(held.key),
                        before => {
                            older.extend(before.map(|other| other.key));
                            let mark = Mark { key: held.key, token: held.token };
                            self.presented.insert(held.id, mark);
                        }
                    }
                }
                State::Gone => {}
            }
        }
        for key in older {
            self.disown(key);
        }
        let keys: Vec<JobKey> = self.table.iter().map(|held| held.key).collect();
        for key in keys {
            self.table.set_lease(key, None);
        }
        for mark in self.presented.values() {
            let Some(held) = self.table.get(mark.key) else { continue };
            let command = ToBroker::Present(Presented {
                id: held.id,
                queue: held.queue.as_str().to_owned(),
                broker: held.broker,
                token: held.token,
                attempt: held.attempt,
                answered: matches!(held.state, State::Answered { .. }),
            });
            self.commands.push_back((command, None));
        }
    }

    pub(super) fn down(&mut self, now: Now) {
        if self.is_up {
            self.counters.drops += 1;
        }
        self.is_up = false;
        self.down_since_us.get_or_insert(now.us);
    }

    pub(super) fn acknowledged(&mut self, number: u64) {
        while self.unacked.front().is_some_and(|(sent, _)| *sent <= number) {
            match self.unacked.pop_front() {
                Some((_, Unacked::Answer(key))) => self.settle(key),
                Some((_, Unacked::Partial(key, len))) => {
                    self.events.push_back(WorkerEvent::PartialTaken { key, len });
                }
                None => {}
            }
        }
    }

    /// The answer need not be kept any more.
    fn settle(&mut self, key: JobKey) {
        let Some(Held { state: State::Answered { len, .. }, .. }) = self.table.get(key) else { return };
        let answer_len = *len;
        self.answer_bytes -= answer_len;
        self.table.remove(key);
        self.events.push_back(WorkerEvent::Freed { key, answer_len });
    }

    pub(super) fn command(&mut self, now: Now, command: FromBroker) {
        match command {
            FromBroker::Grant(grant) => self.granted(now, grant),
            FromBroker::Revoke { lease, why } => self.revoked(lease, why),
            FromBroker::Recall(lease) => {
                if let Some(key) = self.table.by_lease(lease) {
                    self.withdraw(|held| held.key == key);
                }
            }
            FromBroker::Adopt { id, lease } => self.adopted(id, lease),
            FromBroker::Drop(id) => {
                if let Some(mark) = self.presented.remove(&id) {
                    self.counters.dropped += 1;
                    self.disown(mark.key);
                }
            }
            FromBroker::RegisterRefused { queue, failure } => {
                self.queues.remove(&queue);
                self.events.push_back(WorkerEvent::RegisterRefused { queue, failure });
            }
            FromBroker::Drain { stops: true } => {
                self.is_paused = true;
                self.begin_no_more();
            }
            FromBroker::Drain { stops: false } => {
                self.drain();
                self.events.push_back(WorkerEvent::Draining);
            }
            FromBroker::Stale(_) => self.counters.stale += 1,
            // What is for clients, or unknown, says nothing to a worker.
            _ => {}
        }
    }

    fn granted(&mut self, now: Now, grant: Box<Grant>) {
        self.grants += 1;
        self.counters.granted += 1;
        if self.is_draining || self.is_paused || !self.queues.contains_key(grant.queue.as_str()) {
            // It was on its way when we said that we want no more.
            self.counters.unstarted += 1;
            return self.say(ToBroker::Unstarted(grant.lease));
        }
        let broker = self.terms.as_ref().map_or([0; 16], |terms| terms.broker);
        let key = self.table.insert(|key| Held {
            key,
            id: grant.id,
            queue: grant.queue.clone(),
            attempt: grant.attempt,
            lease: Some(grant.lease),
            broker,
            token: grant.lease.token,
            state: State::Granted { is_gone: false },
            granted_us: now.us,
            soft_us: u64::MAX,
            over_us: grant.time_left_ms.map_or(u64::MAX, |ms| now.after_ms(ms)),
            soft_ms: grant.soft_ms,
            run_ms: grant.run_ms,
            is_start_unsaid: false,
            sequence: 0,
        });
        self.next_look_us = self.next_look_us.min(now.us.saturating_add(self.patience_us()));
        self.events.push_back(WorkerEvent::Granted { key, grant });
    }

    /// The lease is over. An answer already given stays as it is: it may have been in time.
    pub(super) fn revoked(&mut self, lease: Lease, why: Stop) {
        let Some(key) = self.table.by_lease(lease) else { return };
        let Some(held) = self.table.get(key) else { return };
        match held.state {
            State::Granted { .. } => {
                self.counters.revoked += 1;
                self.table.set_state(key, State::Granted { is_gone: true });
                self.table.set_lease(key, None);
                self.events.push_back(WorkerEvent::Withdraw(key));
            }
            State::Running => {
                self.counters.revoked += 1;
                self.table.set_state(key, State::Gone);
                self.table.set_lease(key, None);
                self.events.push_back(WorkerEvent::Stop { key, why });
            }
            State::Gone | State::Answered { .. } => {}
        }
    }

    fn adopted(&mut self, id: JobId, lease: Lease) {
        let Some(mark) = self.presented.remove(&id) else { return };
        self.counters.adopted += 1;
        let broker = self.terms.as_ref().map_or([0; 16], |terms| terms.broker);
        self.table.set_lease(mark.key, Some(lease));
        let Some(held) = self.table.get_mut(mark.key) else { return };
        held.broker = broker;
        held.token = lease.token;
        if let State::Answered { answer, .. } = &held.state {
            let command = command_of(lease, answer.clone());
            self.commands.push_back((command, Some(Unacked::Answer(mark.key))));
        }
    }

    /// A job that was this worker's is not any more, whatever it came to.
    fn disown(&mut self, key: JobKey) {
        match self.table.get(key).map(|held| &held.state) {
            Some(State::Answered { .. }) => self.settle(key),
            Some(State::Running) => {
                self.table.set_state(key, State::Gone);
                self.events.push_back(WorkerEvent::Stop { key, why: Stop::LEASE_LOST });
            }
            _ => {}
        }
    }

    /// Tells jobs of limits that have passed, and gives back those nobody receives.
    pub(super) fn look_at_limits(&mut self, now: Now) {
        let mut next_us = u64::MAX;
        let unreceived_us = self.patience_us();
        let is_paced = unreceived_us < self.unreceived_us;
        let mut has_waited = false;
        for held in self.table.iter_mut() {
            let key = held.key;
            match held.take_due(now.us, unreceived_us) {
                Some(Due::Hint(hint)) => self.events.push_back(WorkerEvent::Hint { key, hint }),
                Some(Due::Stop(why)) => self.events.push_back(WorkerEvent::Stop { key, why }),
                Some(Due::Unreceived) => {
                    has_waited = true;
                    self.events.push_back(WorkerEvent::Withdraw(key));
                }
                None => {}
            }
            next_us = next_us.min(held.due_us(unreceived_us));
        }
        self.next_look_us = next_us;
        if has_waited && is_paced {
            // A job ahead of them takes longer than those before it did: what waits behind it goes elsewhere.
            self.pace.begin_anew();
        } else if has_waited {
            self.is_unattended = true;
        }
    }
}

/// A presented job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) key: JobKey,
    pub(super) token: u64,
}
