//! What the application asks of a worker: queues to take jobs from, jobs received, answers given.

use crate::core::worker::Hints;
use crate::core::worker::held::{Held, JobKey, State};
use crate::core::worker::{Answer, Unacked, WorkerCore, WorkerEvent};
use crate::model::{Body, Lease, Now, Stop};
use crate::wire::command::ToBroker;

impl WorkerCore {
    /// Takes jobs of `queue` from now on.
    pub fn register(&mut self, queue: &str, slots: u32, weight: u32) {
        self.queues.insert(queue.to_owned(), (slots, weight));
        self.say(ToBroker::Register { queue: queue.to_owned(), slots, weight });
    }

    /// Takes no more of them, and gives back those not begun.
    pub fn unregister(&mut self, queue: &str) {
        if self.queues.remove(queue).is_some() {
            self.say(ToBroker::Unregister { queue: queue.to_owned() });
        }
        self.withdraw(|held| held.queue.as_str() == queue);
    }

    /// Somebody receives, and so many jobs can be executed at once.
    pub fn receiving(&mut self, slots: u32) {
        self.slots = self.slots.max(slots);
        self.is_unattended = false;
    }

    /// Takes no new jobs any more.
    pub fn drain(&mut self) {
        if !std::mem::replace(&mut self.is_draining, true) {
            self.begin_no_more();
        }
    }

    /// Gives back what has not begun, and tells the rest that nothing comes after it.
    pub(super) fn begin_no_more(&mut self) {
        self.withdraw(|_| true);
        for held in self.table.iter().filter(|held| held.is_running()) {
            self.events.push_back(WorkerEvent::Hint { key: held.key, hint: Hints::DRAINING });
        }
    }

    pub(super) fn withdraw(&mut self, which: impl Fn(&Held) -> bool) {
        for held in self.table.iter() {
            if matches!(held.state, State::Granted { .. }) && which(held) {
                self.events.push_back(WorkerEvent::Withdraw(held.key));
            }
        }
    }

    /// A job asked back by [`WorkerEvent::Withdraw`] was not received and will not be.
    pub fn withdrawn(&mut self, key: JobKey) {
        let Some(held) = self.table.get(key) else { return };
        let State::Granted { is_gone } = held.state else { return };
        if let Some(lease) = held.lease.filter(|_| !is_gone) {
            self.counters.unstarted += 1;
            self.say(ToBroker::Unstarted(lease));
        }
        self.free(key);
    }

    /// A thread has received the job.
    pub fn started(&mut self, now: Now, key: JobKey) {
        let Some(held) = self.table.get_mut(key) else { return };
        let State::Granted { is_gone } = held.state else { return };
        if held.soft_ms > 0 {
            held.soft_us = now.after_ms(held.soft_ms);
        }
        if held.run_ms > 0 {
            held.over_us = held.over_us.min(now.after_ms(held.run_ms));
        }
        let due_us = held.soft_us.min(held.over_us);
        self.counters.started += 1;
        let lease = held.lease.filter(|_| !is_gone);
        match lease {
            Some(_) => {
                held.is_start_unsaid = true;
                self.table.set_state(key, State::Running);
                self.next_look_us = self.next_look_us.min(due_us);
                self.starts.push_back((now.us.saturating_add(self.pace.start_hold_us()), key));
                if self.is_draining || self.is_paused {
                    self.events.push_back(WorkerEvent::Hint { key, hint: Hints::DRAINING });
                }
            }
            None => {
                self.table.set_state(key, State::Gone);
                self.events.push_back(WorkerEvent::Stop { key, why: Stop::LEASE_LOST });
            }
        }
    }

    /// Tells the broker that the job has begun, if it was not told yet.
    pub(super) fn say_start(&mut self, key: JobKey) {
        let Some(held) = self.table.get_mut(key) else { return };
        if std::mem::take(&mut held.is_start_unsaid)
            && let Some(lease) = held.lease
        {
            self.say(ToBroker::Start(lease));
        }
        let is_said = |key: &JobKey| self.table.get(*key).is_none_or(|held| !held.is_start_unsaid);
        while self.starts.front().is_some_and(|(_, key)| is_said(key)) {
            self.starts.pop_front();
        }
    }

    /// The job was answered, with `len` bytes, after `run_us`.
    pub fn answer(&mut self, now: Now, key: JobKey, answer: Answer, len: u64, run_us: u64) {
        self.started(now, key);
        self.say_start(key);
        let Some(held) = self.table.get(key) else { return };
        match held.state {
            State::Running => {}
            State::Gone => {
                self.counters.stale += 1;
                self.events.push_back(WorkerEvent::Freed { key, answer_len: len });
                self.table.remove(key);
                return;
            }
            State::Granted { .. } | State::Answered { .. } => return,
        }
        match &answer {
            Answer::Done(_) => self.counters.done += 1,
            Answer::Failed(_) => self.counters.failed += 1,
            Answer::Released { .. } => self.counters.released += 1,
        }
        self.answer_bytes += len;
        self.pace.note(run_us);
        if let Some(lease) = held.lease {
            self.commands.push_back((command_of(lease, answer.clone()), Some(Unacked::Answer(key))));
        }
        self.table.set_state(key, State::Answered { answer, len });
    }

    /// How far a job is.
    pub fn progress(&mut self, key: JobKey, fraction: f64, note: String) {
        self.say_start(key);
        let Some(held) = self.table.get(key) else { return };
        if let (State::Running, Some(lease)) = (&held.state, held.lease) {
            self.say(ToBroker::Progress { lease, fraction, note });
        }
    }

    /// A part of the result, ahead of it.
    pub fn partial(&mut self, key: JobKey, body: Body) {
        self.say_start(key);
        let len = body.len() as u64;
        let speaking = self.table.get_mut(key).filter(|held| matches!(held.state, State::Running));
        match speaking.and_then(|held| Some((held.lease?, &mut held.sequence))) {
            Some((lease, next)) => {
                let sequence = *next;
                *next += 1;
                let command = ToBroker::Partial { lease, sequence, body };
                self.commands.push_back((command, Some(Unacked::Partial(key, len))));
            }
            // Nobody can be told now: partial results are not kept.
            None => self.events.push_back(WorkerEvent::PartialTaken { key, len }),
        }
    }

    /// Says a command nobody needs to hear acknowledged. While no broker is there it is not kept: to a new one
    /// everything is said anew.
    pub(super) fn say(&mut self, command: ToBroker) {
        self.commands.push_back((command, None));
    }

    /// Forgets a job without an answer.
    pub(super) fn free(&mut self, key: JobKey) {
        if self.table.remove(key).is_some() {
            self.events.push_back(WorkerEvent::Freed { key, answer_len: 0 });
        }
    }

    /// Jobs it may hold beyond its slots.
    fn prefetch(&self) -> u32 {
        self.config.prefetch.unwrap_or_else(|| self.pace.prefetch(self.slots))
    }

    /// How long a job may wait here to be received: beyond the slots only as long as it pays.
    pub(super) fn patience_us(&self) -> u64 {
        let is_paced = self.config.prefetch.is_none() && self.pace.prefetch(self.slots) > 0;
        if is_paced { self.unreceived_us.min(self.pace.patience_us()) } else { self.unreceived_us }
    }

    /// How long what a thread begins may stay untold.
    pub fn start_hold_us(&self) -> u64 {
        self.pace.start_hold_us()
    }

    /// Says how many jobs the worker takes in all, when that got less, or when half of what it holds beyond its slots is used
    /// up: one packet then brings many. As many wait as there are slots, if they may: all may become free at once.
    pub(super) fn next_demand(&mut self) -> Option<ToBroker> {
        let free = self.free_slots();
        let jobs = self.grants + u64::from(free);
        let coming = self.demand.saturating_sub(self.grants);
        let prefetch = self.prefetch();
        let enough = (prefetch / 2).max(self.slots.min(prefetch));
        let is_due = jobs < self.demand || u64::from(free) >= coming + u64::from(prefetch - enough);
        (is_due && jobs != self.demand).then(|| {
            self.demand = jobs;
            ToBroker::Demand { jobs, bytes: 0 }
        })
    }

    /// Jobs that may be handed to this worker now.
    pub(super) fn free_slots(&self) -> u32 {
        let is_full = self.answer_bytes >= self.config.unacked_bytes;
        if self.slots == 0
            || self.is_draining
            || self.is_paused
            || self.is_unattended
            || is_full
            || self.refusal.is_some()
        {
            return 0;
        }
        self.slots.saturating_add(self.prefetch()).saturating_sub(self.table.occupied())
    }
}

/// The command that carries an answer.
pub(super) fn command_of(lease: Lease, answer: Answer) -> ToBroker {
    match answer {
        Answer::Done(completion) => ToBroker::Done { lease, completion },
        Answer::Failed(fault) => ToBroker::Failed { lease, fault },
        Answer::Released { delay_ms } => ToBroker::Release { lease, delay_ms },
    }
}
