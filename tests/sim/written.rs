//! What the broker handed to its store, how far that is on the disk, and what it adds up to.
//!
//! The rule it keeps: what a start reads back is the state after some first part of the records, and that part holds
//! every one that was acknowledged.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use forebay::core::record::{Kept, Record};
use forebay::model::{JobId, Outcome};

use crate::judge::rule;
use crate::plan::MS;
use crate::state::State;

/// Where a record stands among those of this life of the broker; 0: it is of a life before.
type Number = u64;

/// The end of a job as it was written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WrittenEnd {
    pub(crate) outcome: Outcome,
    pub(crate) attempt: u32,
    number: Number,
}

/// The records. See the module's text.
#[derive(Default)]
pub(crate) struct Written {
    /// After everything that is synced.
    pub(crate) state: State,
    waiting: VecDeque<Record>,
    handed: Number,
    synced: Number,
    submitted: BTreeMap<JobId, Number>,
    /// By id and token; and since when it may be there.
    leased: BTreeMap<(JobId, u64), (Number, u64)>,
    ends: BTreeMap<JobId, WrittenEnd>,
    /// How often each open job was begun, as the records say.
    attempts: BTreeMap<JobId, u32>,
    /// Jobs that wait for their next attempt, and until when at least.
    waits: BTreeMap<JobId, u64>,
    /// Jobs dropped after their end.
    gone: BTreeMap<JobId, Number>,
}

impl Written {
    /// Records that came into being at `since_us`, or later unless that is exact. Returns the ids that had been forgotten
    /// and are those of new jobs now.
    pub(crate) fn hand_over(&mut self, since_us: u64, is_exact: bool, records: &[Record]) -> Vec<JobId> {
        let first = self.handed + 1;
        let mut anew = Vec::new();
        for record in records {
            self.handed += 1;
            let number = self.handed;
            match record {
                Record::Submitted { job, .. } => {
                    if self.submitted.contains_key(&job.id) {
                        let may_come = self.gone.remove(&job.id).is_some() && job.content.is_none();
                        rule!(may_come, "job {} is written down as a new one twice", job.id);
                        anew.push(job.id);
                    }
                    self.submitted.insert(job.id, number);
                    self.ends.remove(&job.id);
                    self.attempts.insert(job.id, 0);
                }
                Record::Leased { id, token } => {
                    let until_us = self.waits.remove(id).unwrap_or_default();
                    rule!(
                        since_us >= until_us || !is_exact,
                        "job {id} is handed out at {since_us} us, it was to wait until {until_us} us"
                    );
                    self.leased.insert((*id, *token), (number, since_us));
                }
                Record::Started { id, token, attempt, .. } => {
                    // A grant is begun only when its record is synced; what comes with it was adopted.
                    let is_adopted = self.leased(*id, *token).is_some_and(|(number, _)| number >= first);
                    let before = self.attempts.insert(*id, *attempt).unwrap_or_default();
                    rule!(
                        *attempt == before + 1 || (is_adopted && *attempt >= before),
                        "attempt {attempt} of job {id} begins, {before} began before"
                    );
                }
                Record::Requeued { id, attempts, not_before_wall_ms, wall_ms, token, .. } => {
                    let wait_us = not_before_wall_ms.saturating_sub(*wall_ms) * MS;
                    // Whoever still counts may take it back at any time. Records carry milliseconds.
                    if *token == 0 && wait_us > MS {
                        self.waits.insert(*id, since_us + wait_us - MS);
                    }
                    let before = self.attempts.insert(*id, *attempts).unwrap_or_default();
                    rule!(
                        *attempts <= before,
                        "job {id} was begun {before} times, and waits after {attempts}"
                    );
                }
                Record::Ended { id, verdict, .. } => {
                    let (outcome, attempt) = (verdict.outcome, verdict.attempt);
                    let before = self.ends.insert(*id, WrittenEnd { outcome, attempt, number });
                    rule!(before.is_none(), "job {id} ended {before:?}, and once more {outcome:?}");
                }
                Record::Forgotten { id } => self.forget(*id),
                Record::Buried(buried) => self.forget(buried.id),
                _ => {}
            }
            self.waiting.push_back(record.clone());
        }
        anew
    }

    fn forget(&mut self, id: JobId) {
        rule!(self.ends.contains_key(&id), "job {id} is forgotten before it has ended");
        self.gone.insert(id, self.handed);
    }

    /// Whether the job was dropped after its end, and nothing of it is kept but perhaps its id.
    pub(crate) fn is_gone(&self, id: JobId) -> bool {
        self.gone.contains_key(&id)
    }

    pub(crate) fn handed(&self) -> Number {
        self.handed
    }

    pub(crate) fn synced(&mut self, upto: Number) {
        while self.synced < upto.min(self.handed) {
            self.step();
        }
    }

    fn step(&mut self) {
        if let Some(record) = self.waiting.pop_front() {
            self.state.apply(&record);
            self.synced += 1;
        }
    }

    /// Whether a record with this number is on the disk.
    pub(crate) fn is_synced(&self, number: Number) -> bool {
        number <= self.synced
    }

    pub(crate) fn submitted(&self, id: JobId) -> Option<Number> {
        self.submitted.get(&id).copied()
    }

    /// Whether the job was handed to anybody, as far as the records say.
    pub(crate) fn was_leased(&self, id: JobId) -> bool {
        self.leased.range((id, 0)..=(id, u64::MAX)).next().is_some()
    }

    /// The record of this grant, and when it was handed over.
    pub(crate) fn leased(&self, id: JobId, token: u64) -> Option<(Number, u64)> {
        self.leased.get(&(id, token)).copied()
    }

    pub(crate) fn end(&self, id: JobId) -> Option<WrittenEnd> {
        self.ends.get(&id).copied()
    }

    pub(crate) fn ended(&self, id: JobId) -> Option<Number> {
        self.ends.get(&id).map(|end| end.number)
    }

    /// Jobs that were written down and have not ended.
    pub(crate) fn open(&self) -> Option<JobId> {
        self.submitted.keys().find(|id| !self.ends.contains_key(id)).copied()
    }

    /// The broker has started again and this is what it found.
    pub(crate) fn restart(&mut self, kept: &Kept, clock_jumps: bool) {
        let mut found = State::of(kept);
        loop {
            fill_in(&mut found, &self.state);
            if self.state == found {
                break;
            }
            rule!(
                !self.waiting.is_empty(),
                "what came back is not the state after any part of the records that holds all {} acknowledged \
                 of {}: {}",
                self.synced,
                self.handed,
                self.state.difference(&found)
            );
            self.step();
        }
        // What is behind it never happened.
        let last = self.synced;
        self.waiting.clear();
        self.submitted.retain(|_, number| *number <= last);
        self.leased.retain(|_, (number, _)| *number <= last);
        self.ends.retain(|_, end| end.number <= last);
        self.gone.retain(|_, number| *number <= last);
        let waits = |id: &JobId| {
            let standing = self.state.jobs.get(id).map(|kept| &kept.standing);
            standing.is_some_and(|standing| standing.token == 0 && standing.not_before_wall_ms > 0)
        };
        self.waits.retain(|id, _| waits(id) && !clock_jumps);
        let begun = kept.jobs.iter().map(|kept| (kept.job.id, kept.standing.attempts));
        self.attempts = begun.collect();
        self.submitted.values_mut().chain(self.gone.values_mut()).for_each(|number| *number = 0);
        self.leased.values_mut().for_each(|(number, _)| *number = 0);
        self.ends.values_mut().for_each(|end| end.number = 0);
        (self.handed, self.synced) = (0, 0);
    }
}

/// Payloads that were left in the store are taken to be what was written, if their length is.
fn fill_in(found: &mut State, state: &State) {
    for (id, job) in found.jobs.iter_mut().filter(|(_, job)| job.stored_len > 0) {
        if let Some(same) = state.jobs.get(id).filter(|same| same.job.body.len() as u64 == job.stored_len) {
            Arc::make_mut(&mut job.job).body = same.job.body.clone();
            job.stored_len = 0;
        }
    }
}
