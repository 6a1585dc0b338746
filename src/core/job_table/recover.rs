//! The table again, from its records.
//!
//! Time: records carry the wall clock. What has passed since is the difference to the wall clock now, never below
//! zero, so a clock that was set back prolongs waits and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::job_table::JobTable;
use crate::core::job_table::entry::{Attempt, State};
use crate::core::jobs::{Asker, SessionId};
use crate::core::record::Record;
use crate::model::{JobId, Now, Outcome, ReplyMode, Verdict};

/// A session nobody has: the one of a job whose submitter has not come back yet.
const NOBODY: SessionId = SessionId(0);

/// How a job stands after all records about it.
#[derive(Debug, Default)]
struct Standing {
    not_before_wall_ms: u64,
    held: bool,
    verdict: Option<(Arc<Verdict>, u64)>,
    forgotten: bool,
}

impl JobTable {
    /// Takes the jobs of these records, in order, into an empty table. Jobs that workers held wait `reattach_ms` for
    /// whoever presents them. Nothing is told and nothing recorded.
    pub fn recover(&mut self, now: Now, records: impl IntoIterator<Item = Record>) {
        let mut standings: BTreeMap<u32, Standing> = BTreeMap::new();
        for record in records {
            self.replay(now, record, &mut standings);
        }
        for (slot, standing) in standings {
            self.settle(now, slot, standing);
        }
        self.events.clear();
        self.records.clear();
        (self.records_written, self.records_handed, self.records_synced) = (0, 0, 0);
    }

    fn replay(&mut self, now: Now, record: Record, standings: &mut BTreeMap<u32, Standing>) {
        match record {
            Record::Booted { .. } => {}
            Record::Submitted { owner, job, rules, wall_ms, sequence } => {
                let asker = Asker { owner, session: NOBODY };
                let job = Arc::unwrap_or_clone(job);
                if self.ids.contains(&job.id) {
                    return;
                }
                let slot = self.insert(now, &asker, job, rules);
                self.records.clear();
                self.next_sequence = self.next_sequence.max(sequence + 1);
                let since_us = now.wall_ms.saturating_sub(wall_ms).saturating_mul(1_000);
                let entry = self.job_mut(slot);
                entry.sequence = sequence;
                entry.accepted_wall_ms = wall_ms;
                entry.accepted_us = now.us.saturating_sub(since_us);
                let not_before_wall_ms = wall_ms + entry.rules.delay_ms;
                standings.insert(slot, Standing { not_before_wall_ms, ..Standing::default() });
            }
            Record::Leased { id, token } => self.replay_on(id, standings, |job, standing| {
                (job.token, job.begun) = (token, false);
                standing.held = true;
            }),
            Record::Started { id, token, attempt } => self.replay_on(id, standings, |job, standing| {
                (job.token, job.begun, job.attempts) = (token, true, attempt);
                job.history.push(Attempt {
                    number: attempt,
                    worker: "".into(),
                    started_wall_ms: 0,
                    ended_wall_ms: 0,
                    how: "lost",
                });
                standing.held = true;
            }),
            Record::Requeued { id, attempts, losses, releases, suspect, not_before_wall_ms } => self
                .replay_on(id, standings, |job, standing| {
                    (job.attempts, job.losses, job.releases, job.suspect) =
                        (attempts, losses, releases, suspect);
                    (job.token, job.begun) = (0, false);
                    (standing.held, standing.not_before_wall_ms) = (false, not_before_wall_ms);
                }),
            Record::Ended { id, verdict, wall_ms } => {
                self.replay_on(id, standings, |_, standing| standing.verdict = Some((verdict, wall_ms)))
            }
            Record::Forgotten { id } => {
                self.replay_on(id, standings, |_, standing| standing.forgotten = true)
            }
        }
    }

    fn replay_on(
        &mut self,
        id: JobId,
        standings: &mut BTreeMap<u32, Standing>,
        change: impl FnOnce(&mut super::entry::Job, &mut Standing),
    ) {
        let Some(&slot) = self.ids.get(&id) else { return };
        let Some(standing) =
            standings.get_mut(&slot).filter(|standing| standing.verdict.is_none() || !standing.forgotten)
        else {
            return;
        };
        let job = self.slots[slot as usize].as_mut().expect("a slot in use holds a job");
        change(job, standing);
    }

    /// Puts a recovered job where it belongs.
    fn settle(&mut self, now: Now, slot: u32, standing: Standing) {
        if let Some((verdict, wall_ms)) = standing.verdict {
            return self.settle_ended(now, slot, verdict, wall_ms, standing.forgotten);
        }
        let reattach_ms = self.config.reattach_ms;
        let wait_ms = standing.not_before_wall_ms.saturating_sub(now.wall_ms);
        if standing.held || wait_ms > 0 {
            let wait_ms = if standing.held { reattach_ms } else { wait_ms };
            self.job_mut(slot).first = standing.held;
            self.job_mut(slot).state = State::Delayed { until_us: now.after_ms(wait_ms) };
            self.rearm(slot);
        } else {
            self.enqueue(now, slot);
        }
    }

    fn settle_ended(&mut self, now: Now, slot: u32, verdict: Arc<Verdict>, wall_ms: u64, forgotten: bool) {
        let before = self.job(slot).bytes();
        let passed_ms = now.wall_ms.saturating_sub(wall_ms);
        let job = self.job_mut(slot);
        let outcome = verdict.outcome;
        if outcome != Outcome::Quarantined {
            (job.body, job.headers) = Default::default();
        }
        (job.token, job.attempts) = (0, verdict.attempt);
        job.state = State::Ended {
            verdict,
            keep_us: now.after_ms(job.rules.result_ttl_ms.saturating_sub(passed_ms)),
        };
        let (asker, sequence, reply, queue) = (job.asker.clone(), job.sequence, job.reply, job.queue.clone());
        let after = job.bytes();
        self.account(after, before);
        self.leave_queue(&queue, before, outcome);
        if reply == ReplyMode::Push && !asker.owner.name.is_empty() {
            self.boxes.entry(asker.owner).or_default().insert(sequence, slot);
        }
        if forgotten || reply == ReplyMode::None {
            self.remove(now, slot);
        } else {
            self.rearm(slot);
        }
    }
}
