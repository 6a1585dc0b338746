//! A run that did not end DONE, gone on with: a new run of the same pipeline, in which every step that went well is done already,
//! with the result it had.
//!
//! Invariant: a run is resumed once. The new run's id follows from the old one's, so asking again finds it.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::core::graph::Stand;
use crate::core::job_table::JobTable;
use crate::core::job_table::admit::draining;
use crate::core::job_table::end::Close;
use crate::core::job_table::entry::{Part, State};
use crate::core::job_table::runs::step_id;
use crate::core::jobs::Asker;
use crate::core::record::Record;
use crate::model::limits::{BUSY_RETRY_MS, RUNS_MAX};
use crate::model::pipeline::Step;
use crate::model::{
    Body, Failure, InStage, JobId, JobRules, Now, Outcome, ReplyMode, Status, StepKind, Submission, Verdict,
};

/// The place of no step: what follows from it is the id of the run that goes on with this one.
const RESUMED: u32 = u32::MAX;

impl JobTable {
    pub(super) fn resume_run(&mut self, now: Now, id: JobId, by: &Asker) -> Result<Value, Failure> {
        let new = step_id(id, RESUMED);
        let answer =
            |again: bool| json!({ "id": id.to_string(), "resumed_as": new.to_string(), "again": again });
        if self.slot_of(new, by).is_some() || self.runs.past.get(new, &by.owner.user).is_some() {
            return Ok(answer(true));
        }
        let slot = self.resumable(id, by)?;
        let (submission, rules) = self.run_anew(slot, new);
        if self.queues.get(&submission.queue).is_some_and(|queue| queue.draining) {
            return Err(draining(&submission.queue));
        }
        self.check_room(&submission, &rules)?;
        if self.runs.by_id.len() >= RUNS_MAX {
            let message = format!("the broker holds {RUNS_MAX} runs, as many as it can");
            return Err(Failure::busy(message, BUSY_RETRY_MS));
        }
        let asker = self.job(slot).asker.clone();
        let context = self.runs.by_id[&id].context.clone();
        self.runs.insert(new, self.runs.by_id[&id].pipeline.clone(), context.clone());
        let child = self.insert(now, &asker, submission, rules);
        self.job_mut(child).parent = Some(id);
        let durable = self.job(child).durable;
        self.record(durable, || Record::Child { id: new, parent: id });
        if let Some(context) = context {
            self.record(durable, || Record::Context { id: new, context });
        }
        self.set_going(now, child);
        self.carry_over(now, id, child);
        Ok(answer(false))
    }

    /// Bytes that resuming this run writes anew.
    pub(in crate::core) fn resumed_len(&self, id: JobId) -> Option<u64> {
        let run = self.runs.by_id.get(&id)?;
        let body_len = self.job(*self.ids.get(&id)?).payload_len();
        let mut kept = Body::default();
        (0..run.pipeline.steps().len() as u32).for_each(|step| self.add_result(id, step, false, &mut kept.0));
        Some(body_len + kept.len() as u64)
    }

    /// The place of a run that has ended, and not DONE.
    fn resumable(&self, id: JobId, by: &Asker) -> Result<u32, Failure> {
        let known = self.runs.by_id.contains_key(&id).then(|| self.slot_of(id, by)).flatten();
        let Some(slot) = known else {
            let message = format!(
                "no run {id} is held here: it is another user's, or its result was fetched, or it never came"
            );
            return Err(Failure::new(Status::NotFound, message));
        };
        let outcome = self.job(slot).outcome();
        if !outcome.is_terminal() || outcome == Outcome::Done {
            let message =
                format!("run {id} is {}; one that has ended otherwise can be resumed", outcome.name());
            return Err(Failure::new(Status::State, message));
        }
        let run = &self.runs.by_id[&id];
        let is_lost = |(step, said): &(u32, &Step)| {
            said.kind == StepKind::Open && run.graph.stand(*step) != Stand::Well
        };
        match (0..).zip(run.pipeline.steps()).find(is_lost) {
            None => Ok(slot),
            Some((_, said)) => {
                let message = format!(
                    "open stage \"{}\" of run {id} has not gone well, and what its owner adds to it is not known here; right would be a run of its own",
                    said.name
                );
                Err(Failure::new(Status::State, message))
            }
        }
    }

    /// The same pipeline under a new id, to be begun at once.
    fn run_anew(&self, slot: u32, id: JobId) -> (Submission, Arc<JobRules>) {
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
            reply,
            is_patient: true,
            is_run: true,
            ..Submission::new(id, job.queue.clone(), job.body.clone())
        };
        (submission, rules)
    }

    /// Each step of the old run that went well is done in the new one.
    fn carry_over(&mut self, now: Now, old: JobId, run_slot: u32) {
        let stands = self.runs.by_id[&old].graph.stands().to_vec();
        for (stand, step) in stands.into_iter().zip(0..) {
            let verdict = self.step_verdict(old, step).filter(|_| stand == Stand::Well).cloned();
            if let Some(verdict) = verdict {
                self.carry_step(now, run_slot, step, &verdict);
            } else if stand == Stand::Well {
                self.carry_stage(now, old, run_slot, step);
            }
        }
    }

    /// A stage that went well has in the new run the jobs it had, ended as they did.
    fn carry_stage(&mut self, now: Now, old: JobId, run_slot: u32, step: u32) {
        let id = self.job(run_slot).id;
        let jobs: Vec<(u64, JobId)> =
            self.runs.by_id[&old].stages[&step].jobs.iter().map(|(place, job)| (*place, *job)).collect();
        let mut made = self.submission_of(run_slot, step);
        made.body = Body::default();
        let name = self.runs.by_id[&id].pipeline.steps()[step as usize].name.clone();
        let (rules, _) = self.rules_of_step(&made);
        let asker = self.job(run_slot).asker.clone();
        let mut acks = self.acks_of(old, step);
        for (place, old_job) in jobs {
            let Some(verdict) = self.verdict_of(old_job).cloned() else { continue };
            let mut job = made.clone();
            job.id = step_id(made.id, place as u32);
            job.stage = Some(Box::new(InStage { run: id, step: name.clone(), place, in_its_queue: false }));
            if self.ids.contains(&job.id) {
                continue;
            }
            let slot = self.insert(now, &asker, job, rules.clone());
            self.join_stage(now, slot, Part::InStage { run: id, step, place });
            self.close(now, slot, close_as(&verdict));
            if let Some(said) = acks.remove(&old_job) {
                self.note_collected(now, slot, id, step, place, said);
            }
        }
        let durable = self.job(run_slot).durable;
        self.record(durable, || Record::StageClosed { id, step });
        self.set_closed(id, step);
    }

    fn carry_step(&mut self, now: Now, run_slot: u32, step: u32, verdict: &Verdict) {
        let run = self.job(run_slot);
        let (id, asker) = (run.id, run.asker.clone());
        let mut job = self.submission_of(run_slot, step);
        job.body = Body::default();
        if self.ids.contains(&job.id) {
            return;
        }
        let (rules, _) = self.rules_of_step(&job);
        let slot = self.insert(now, &asker, job, rules);
        let job = self.job_mut(slot);
        job.part = Some(Box::new(Part::Step { run: id, step }));
        job.state = State::Delayed { until_us: now.us };
        if let Some(run) = self.runs.by_id.get_mut(&id) {
            run.graph.restore(step);
        }
        self.close(now, slot, close_as(verdict));
    }
}

fn close_as(verdict: &Verdict) -> Close {
    Close {
        outcome: verdict.outcome,
        body: verdict.body.clone(),
        headers: verdict.headers.clone(),
        code: verdict.code.clone(),
        message: verdict.message.clone(),
        detail: verdict.detail.clone(),
        meta: verdict.meta.clone(),
    }
}
