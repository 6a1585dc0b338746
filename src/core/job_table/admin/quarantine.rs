//! Quarantined jobs, and what a person decides about them: again as a new job, or away with it.
//!
//! Invariant: a quarantined job stays quarantined. Requeuing makes one new job, whose parent it is, however often it is
//! asked for; from then on it is kept only as long as any result is.

use std::ops::Bound;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::core::job_table::JobTable;
use crate::core::job_table::admin::{show, unknown_job};
use crate::core::job_table::admit::draining;
use crate::core::job_table::entry::State;
use crate::core::jobs::Asker;
use crate::core::record::Record;
use crate::model::{
    Failure, Headers, JobId, JobRules, Now, Outcome, QueueName, ReplyMode, Status, Submission, Verdict,
};

impl JobTable {
    pub(super) fn list_quarantined(
        &self,
        now: Now,
        queue: Option<&QueueName>,
        since: Option<JobId>,
        limit: usize,
        by: &Asker,
    ) -> Value {
        let from = since.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = self.quarantined.range((from, Bound::Unbounded)).map(|(_, &slot)| self.job(slot));
        let mut found = behind.filter(|job| {
            job.asker.owner.user == by.owner.user && queue.is_none_or(|queue| job.queue == *queue)
        });
        let page: Vec<_> = found.by_ref().take(limit).collect();
        let more = found.next().is_some();
        let next = page.last().filter(|_| more).map(|job| job.id.to_string());
        let jobs: Vec<Value> = page.into_iter().map(|job| self.line(now, job)).collect();
        json!({ "jobs": jobs, "more": more, "next": next })
    }

    pub(super) fn show_quarantined(
        &self,
        now: Now,
        id: JobId,
        bytes: u64,
        by: &Asker,
    ) -> Result<Value, Failure> {
        let job = self.job(self.undecided(id, by)?);
        let mut left = usize::try_from(bytes).unwrap_or(usize::MAX);
        let frames: Vec<Value> = job
            .body
            .0
            .iter()
            .map(|frame| {
                let shown = &frame[..frame.len().min(left)];
                left -= shown.len();
                json!({ "bytes": frame.len(), "base64": STANDARD.encode(shown) })
            })
            .collect();
        let headers: Vec<Value> = job
            .headers
            .0
            .iter()
            .map(|(name, value)| json!({ "name": name, "base64": STANDARD.encode(value) }))
            .collect();
        let mut shown = self.whole(now, job);
        show::extend(&mut shown, json!({ "headers": headers, "payload": frames }));
        Ok(shown)
    }

    pub(super) fn requeue_quarantined(&mut self, now: Now, id: JobId, by: &Asker) -> Result<Value, Failure> {
        let answer = |new: JobId, again: bool| json!({ "id": id.to_string(), "requeued_as": new.to_string(), "again": again });
        // Asked again, perhaps because the first answer was lost.
        let past = self.past.get(&id).filter(|past| past.owner.user == by.owner.user);
        let done = match self.slot_of(id, by) {
            Some(slot) => self.job(slot).requeued_as(),
            None => past.and_then(|past| past.requeued_as),
        };
        if let Some(new) = done {
            return Ok(answer(new, true));
        }
        let slot = self.undecided(id, by)?;
        let (submission, rules) = self.anew(now, slot);
        if self.queues.get(&submission.queue).is_some_and(|queue| queue.draining) {
            return Err(draining(&submission.queue));
        }
        self.check_room(&submission, &rules)?;
        let new = submission.id;
        let asker = self.job(slot).asker.clone();
        let child = self.insert(now, &asker, submission, rules);
        let job = self.job_mut(child);
        (job.parent, job.suspect) = (Some(id), true);
        let durable = job.durable;
        self.record(durable, || Record::Child { id: new, parent: id });
        self.note_requeued(now, slot, new);
        self.enqueue(now, child);
        Ok(answer(new, false))
    }

    pub(super) fn drop_quarantined(&mut self, now: Now, id: JobId, by: &Asker) -> Result<Value, Failure> {
        let slot = self.undecided(id, by)?;
        self.remove(now, slot);
        Ok(json!({ "id": id.to_string(), "dropped": true }))
    }

    /// Bytes of a quarantined job's payload and headers, which requeuing it writes anew.
    pub(in crate::core) fn quarantined_len(&self, id: JobId) -> Option<u64> {
        let job = self.job(*self.quarantined.get(&id)?);
        Some(job.payload_len() + job.headers.len() as u64)
    }

    /// The place of a quarantined job nobody has decided about.
    fn undecided(&self, id: JobId, by: &Asker) -> Result<u32, Failure> {
        let past = self.past.get(&id).filter(|past| past.owner.user == by.owner.user);
        let (outcome, requeued_as) = match (self.slot_of(id, by), past) {
            (Some(slot), _) if self.job(slot).waits_for_a_person() => return Ok(slot),
            (Some(slot), _) => (self.job(slot).outcome(), self.job(slot).requeued_as()),
            (None, Some(past)) => (past.outcome, past.requeued_as),
            (None, None) => return Err(unknown_job(id)),
        };
        let message = match requeued_as {
            Some(new) => format!("job {id} was requeued as {new}; nothing is left to decide"),
            None if outcome == Outcome::Quarantined => format!("job {id} was quarantined and dropped"),
            None => {
                format!(
                    "job {id} is {}, not quarantined; quarantine.list names those that are",
                    outcome.name()
                )
            }
        };
        Err(Failure::new(Status::State, message))
    }

    /// The same work under a new id, to be done at once.
    fn anew(&mut self, now: Now, slot: u32) -> (Submission, Arc<JobRules>) {
        let id = self.unused_id(now);
        let job = self.job(slot);
        let rules = match job.rules.delay_ms {
            0 => job.rules.clone(),
            _ => Arc::new(JobRules { delay_ms: 0, ..(*job.rules).clone() }),
        };
        // A client without a name would be sent a result it knows nothing of, and nobody else could have it.
        let reply = match job.reply {
            ReplyMode::Push if job.asker.owner.name.is_empty() => ReplyMode::Keep,
            reply => reply,
        };
        let submission = Submission {
            headers: job.headers.clone(),
            reply,
            ..Submission::new(id, job.queue.clone(), job.body.clone())
        };
        (submission, rules)
    }

    fn unused_id(&mut self, now: Now) -> JobId {
        loop {
            let mut random = [0; 10];
            random[..8].copy_from_slice(&self.next_random().to_be_bytes());
            random[8..].copy_from_slice(&self.next_random().to_be_bytes()[..2]);
            let id = JobId::new(now.wall_ms, random);
            if !self.ids.contains(&id) && self.past.get(&id).is_none() && self.tombstones.get(&id).is_none() {
                return id;
            }
        }
    }

    /// The quarantined job says from now on what became of it, and lets its payload go.
    fn note_requeued(&mut self, now: Now, slot: u32, new: JobId) {
        let before = self.job(slot).bytes();
        self.drop_body(slot);
        let job = self.job_mut(slot);
        let State::Ended { verdict, keep_us } = &mut job.state else { return };
        let mut said = Verdict::clone(verdict);
        said.meta.push(Verdict::REQUEUED_AS, &new.to_string());
        let said = Arc::new(said);
        *verdict = said.clone();
        *keep_us = now.after_ms(job.rules.result_ttl_ms);
        job.headers = Headers::default();
        let (id, durable, after, reply) = (job.id, job.durable, job.bytes(), job.reply);
        self.account(after, before);
        self.quarantined.remove(&id);
        self.record(durable, || Record::Ended { id, verdict: said, wall_ms: now.wall_ms });
        if reply == ReplyMode::None {
            self.remove(now, slot);
        } else {
            self.rearm(slot);
        }
    }
}
