//! The table again, from its records.
//!
//! Time: records carry the wall clock. What has passed since is the difference to the wall clock now, never below
//! zero, and no wait is longer than it was to be: a clock that was set back prolongs waits by at most themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::job_table::JobTable;
use crate::core::job_table::entry::{Job, KEPT_BY_RUN, Part, State};
use crate::core::job_table::runs::context_of;
use crate::core::jobs::{Asker, SessionId};
use crate::core::record::{Buried, QueueKept, Record, Standing};
use crate::model::{Headers, InStage, JobId, Now, Outcome, ReplyMode, Verdict};
use crate::model::{Planted, planted};

/// A session nobody has: the one of a job whose submitter has not come back yet.
const NOBODY: SessionId = SessionId(0);

/// Until when a held job waits, as long as the broker cannot be reached. Not the last moment: others are added to it.
const NOT_YET: u64 = u64::MAX / 2;

/// How a job stands after all records about it.
#[derive(Debug, Default)]
struct Replayed {
    standing: Standing,
    verdict: Option<(Arc<Verdict>, u64)>,
    forgotten: bool,
    /// Of which stage it is.
    stage: Option<Box<InStage>>,
}

impl Replayed {
    /// It was handed out before, so that others waited for it.
    fn has_begun(&self) -> bool {
        self.standing.held || self.standing.token != 0 || !self.standing.history.is_empty()
    }
}

/// What is to be done with a job that is back.
#[derive(PartialEq, Eq)]
enum Settled {
    Kept,
    /// Its result was never wanted, and the record that says it is forgotten was lost.
    Unwanted,
}

impl JobTable {
    /// Takes the jobs of these records, in order, into an empty table. Jobs that workers held wait `reattach_ms` for
    /// whoever presents them, counted from the first `tick`: reading a store back may take longer than that. Nothing is
    /// told; recorded is only that a result nobody wants is forgotten.
    pub fn recover(&mut self, now: Now, records: impl IntoIterator<Item = Record>) {
        let mut replayed: BTreeMap<u32, Replayed> = BTreeMap::new();
        for record in records {
            self.replay(now, record, &mut replayed);
        }
        let mut unwanted = Vec::new();
        let in_stages: Vec<u32> =
            replayed.iter().filter(|(_, job)| job.stage.is_some()).map(|(slot, _)| *slot).collect();
        for (slot, job) in &replayed {
            if let Some(stage) = job.stage.as_ref().filter(|_| !job.forgotten) {
                self.rejoin_stage(now, *slot, stage);
            }
        }
        let waiting = replayed.iter().filter(|(_, job)| job.verdict.is_none() && !job.forgotten);
        let waiting: Vec<(u32, bool)> = waiting.map(|(slot, job)| (*slot, job.has_begun())).collect();
        self.restore_keys(now, &waiting);
        for (slot, replayed) in replayed {
            if self.settle(now, slot, replayed) == Settled::Unwanted {
                unwanted.push(slot);
            }
        }
        self.link_runs(now);
        self.events.clear();
        self.records.clear();
        self.leavable.clear();
        (self.records_written, self.records_handed, self.records_synced) = (0, 0, 0);
        for slot in unwanted {
            if !self.is_kept_by_run(slot) {
                self.remove(now, slot);
            }
        }
        in_stages.into_iter().for_each(|slot| self.drop_astray(now, slot));
    }

    /// A job of a stage whose run is gone: nobody is left to want it.
    fn drop_astray(&mut self, now: Now, slot: u32) {
        let Some(job) = self.slots[slot as usize].as_mut() else { return };
        if let Some(Part::InStage { run, .. }) = job.part.as_deref()
            && self.runs.by_id.contains_key(run)
        {
            return;
        }
        job.part = None;
        self.cancel_running(now, slot, "its run is gone");
        self.remove(now, slot);
    }

    fn replay(&mut self, now: Now, record: Record, replayed: &mut BTreeMap<u32, Replayed>) {
        match record {
            Record::Booted { .. } => {}
            Record::Submitted { owner, job, rules, wall_ms, sequence, stored_len } => {
                let asker = Asker { owner, session: NOBODY };
                let mut job = Arc::unwrap_or_clone(job);
                let stage = job.stage.take();
                if self.ids.contains(&job.id) {
                    return;
                }
                if let Ok(Some(pipeline)) = self.pipeline_of(&job) {
                    self.runs.insert(job.id, pipeline, context_of(&job.headers));
                }
                let slot = self.insert(now, &asker, job, rules);
                self.records.clear();
                self.recall_stored(slot, stored_len);
                self.next_sequence = self.next_sequence.max(sequence + 1);
                let since_us = now.wall_ms.saturating_sub(wall_ms).saturating_mul(1_000);
                let entry = self.job_mut(slot);
                entry.sequence = sequence;
                entry.accepted_wall_ms = wall_ms;
                entry.accepted_us = now.us.saturating_sub(since_us);
                let delay_ms = entry.rules.delay_ms;
                let not_before_wall_ms = if delay_ms == 0 { 0 } else { wall_ms + delay_ms };
                let standing = Standing { not_before_wall_ms, ..Standing::default() };
                replayed.insert(slot, Replayed { standing, stage, ..Replayed::default() });
            }
            Record::Buried(buried) => {
                self.replay_on(buried.id, replayed, |job| job.forgotten = true);
                self.bury_again(now, buried);
            }
            Record::QueueSet(kept) => self.set_queue_again(&kept),
            Record::Forgotten { id } => self.replay_on(id, replayed, |job| job.forgotten = true),
            Record::Leased { id, .. }
            | Record::Started { id, .. }
            | Record::Requeued { id, .. }
            | Record::Child { id, .. }
            | Record::StageClosed { id, .. }
            | Record::Seen { id, .. }
            | Record::Collected { id, .. }
            | Record::Context { id, .. }
            | Record::Stands { id, .. } => {
                self.replay_on(id, replayed, |job| job.standing.apply(&record));
            }
            Record::Ended { ref verdict, .. }
                if verdict.outcome == Outcome::Cancelled && planted(Planted::IgnoreCancelAtRestart) => {}
            Record::Ended { id, ref verdict, wall_ms } => self.replay_on(id, replayed, |job| {
                job.standing.apply(&record);
                job.verdict = Some((verdict.clone(), wall_ms));
            }),
        }
    }

    fn replay_on(
        &mut self,
        id: JobId,
        replayed: &mut BTreeMap<u32, Replayed>,
        change: impl FnOnce(&mut Replayed),
    ) {
        let Some(slot) = self.ids.get(&id) else { return };
        if let Some(job) = replayed.get_mut(slot).filter(|job| !job.forgotten) {
            change(job);
        }
    }

    /// An id that must not run again, though its job is gone.
    fn bury_again(&mut self, now: Now, buried: Arc<Buried>) {
        // A job that is still in the table is buried by `remove`, with what its verdict says.
        if !self.ids.contains(&buried.id) && !planted(Planted::ForgetTombstone) {
            self.tombstones.insert(buried);
            self.tombstones.expire(now.wall_ms);
        }
    }

    fn set_queue_again(&mut self, kept: &QueueKept) {
        let rules = self.default_rules.with(&kept.options);
        let queue = self.queue(&kept.queue);
        queue.rules = rules.into();
        queue.options = kept.options.clone();
        queue.handed = kept.handed.clone();
        (queue.paused, queue.draining) = (kept.paused, kept.draining);
        self.drop_queue_if_unused(&kept.queue);
    }

    /// Puts a recovered job where it belongs.
    fn settle(&mut self, now: Now, slot: u32, replayed: Replayed) -> Settled {
        let Replayed { standing, verdict, forgotten, .. } = replayed;
        let id = self.job(slot).id;
        standing.closed.iter().for_each(|step| self.set_closed(id, *step));
        if let Some(context) = standing.context {
            self.recall_context(id, context);
        }
        if let Some(collected) = standing.collected {
            self.recall_collected(slot, collected);
        }
        let job = self.job_mut(slot);
        (job.token, job.begun, job.suspect) = (standing.token, standing.begun, standing.suspect);
        (job.attempts, job.losses, job.releases) = (standing.attempts, standing.losses, standing.releases);
        if planted(Planted::LoseAttempts) {
            job.attempts = 0;
        }
        (job.history, job.parent) = (standing.history, standing.parent);
        if let Some((verdict, wall_ms)) = verdict {
            return self.settle_ended(now, slot, verdict, wall_ms, forgotten);
        }
        let wait_ms = self.wait_left_ms(now, slot, standing.not_before_wall_ms);
        if standing.held {
            let job = self.job_mut(slot);
            job.note_attempt_end("lost", None, now.wall_ms);
            job.first = true;
            job.state = State::Delayed { until_us: NOT_YET };
            self.rearm(slot);
            self.held_over.push(slot);
        } else if wait_ms > 0 {
            self.job_mut(slot).state = State::Delayed { until_us: now.after_ms(wait_ms) };
            self.rearm(slot);
        } else {
            self.set_going(now, slot);
        }
        Settled::Kept
    }

    /// The broker can be reached: from now on the holders of before have their time to come back.
    pub(super) fn await_holders(&mut self, now: Now) {
        let until_us = now.after_ms(self.config.reattach_ms);
        for slot in std::mem::take(&mut self.held_over) {
            // Some may have come back already.
            let waiting = |job: &&mut Job| job.state == State::Delayed { until_us: NOT_YET };
            if let Some(job) = self.slots[slot as usize].as_mut().filter(waiting) {
                job.state = State::Delayed { until_us };
                self.rearm(slot);
            }
        }
    }

    /// How long the job still waits that was not to be handed out before then.
    fn wait_left_ms(&self, now: Now, slot: u32, not_before_wall_ms: u64) -> u64 {
        let job = self.job(slot);
        let whole_ms = match job.history.last() {
            Some(last) => not_before_wall_ms.saturating_sub(last.ended_wall_ms),
            None => job.rules.delay_ms,
        };
        not_before_wall_ms.saturating_sub(now.wall_ms).min(whole_ms)
    }

    fn settle_ended(
        &mut self,
        now: Now,
        slot: u32,
        verdict: Arc<Verdict>,
        wall_ms: u64,
        forgotten: bool,
    ) -> Settled {
        let before = self.job(slot).bytes();
        let passed_ms = now.wall_ms.saturating_sub(wall_ms);
        let quarantine_ms = self.config.quarantine_ms;
        let (outcome, waits_for_a_person) = (verdict.outcome, verdict.waits_for_a_person());
        let may_be_resumed = outcome != Outcome::Done && self.job(slot).is_run();
        if !waits_for_a_person && !may_be_resumed {
            self.drop_body(slot);
            self.job_mut(slot).headers = Headers::default();
        }
        let job = self.job_mut(slot);
        (job.token, job.attempts) = (0, verdict.attempt);
        let keep_us = match job.part.as_deref() {
            Some(Part::InStage { .. }) => KEPT_BY_RUN,
            _ => now.after_ms(job.keep_ms(&verdict, quarantine_ms).saturating_sub(passed_ms)),
        };
        job.state = State::Ended { verdict, keep_us };
        let id = job.id;
        let (asker, sequence, reply, queue) = (job.asker.clone(), job.sequence, job.reply, job.queue.clone());
        let after = job.bytes();
        self.account(after, before);
        self.leave_queue(&queue, before, outcome);
        if reply == ReplyMode::Push && !asker.owner.name.is_empty() {
            self.boxes.entry(asker.owner).or_default().insert(sequence, slot);
        }
        if waits_for_a_person {
            self.quarantined.insert(id, slot);
        }
        // What is left of a run goes when its steps have found it.
        let is_run = self.job(slot).is_run();
        if forgotten {
            self.runs.by_id.remove(&id);
            self.remove(now, slot);
        } else if reply == ReplyMode::None && !waits_for_a_person && !is_run {
            return Settled::Unwanted;
        } else {
            self.rearm(slot);
        }
        Settled::Kept
    }
}
