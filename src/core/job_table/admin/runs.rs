//! Runs as JSON: each with its steps, their times and the path that decided how long it took; and lists of them in pages.
//!
//! Invariant: a run and a step have every field, whatever became of them; what is not known is null.

use serde_json::{Value, json};

use crate::core::graph::Stand;
use crate::core::job_table::JobTable;
use crate::core::job_table::admin::show::{extend, text_of};
use crate::core::job_table::collect::{Collecting, hex};
use crate::core::job_table::end::ended_wall_ms;
use crate::core::job_table::entry::{Job, State};
use crate::core::job_table::runs::{Run, step_id};
use crate::core::jobs::{Asker, Listed};
use crate::model::{Failure, JobId, Now, Outcome, Status, StepKind, Verdict};

/// What is left out where a run is a line of a list.
const WHOLE: [&str; 5] = ["user", "detail", "context", "critical_path", "step_list"];

impl JobTable {
    pub(super) fn show_run(&self, now: Now, id: JobId, by: &Asker) -> Result<Value, Failure> {
        if self.runs.by_id.contains_key(&id)
            && let Some(slot) = self.slot_of(id, by)
        {
            return Ok(self.show_live_run(now, slot));
        }
        self.runs.past.get(id, &by.owner.user).ok_or_else(|| {
            let message =
                format!("no run {id} is known here: it is another user's, or was forgotten, or never came");
            Failure::new(Status::NotFound, message)
        })
    }

    pub(super) fn list_runs(
        &self,
        now: Now,
        listed: Listed,
        since: Option<JobId>,
        limit: usize,
        by: &Asker,
    ) -> Value {
        let user = by.owner.user.as_str();
        let live = self.runs.by_id.keys().filter(|id| since.is_none_or(|since| **id > since));
        let mut ids: Vec<JobId> = live.copied().chain(self.runs.past.after(since, user)).collect();
        ids.sort_unstable();
        let line = |id: JobId| match self.runs.by_id.get(&id) {
            Some(run) => self.slot_of(id, by).map(|slot| self.run_line(now, self.job(slot), run)),
            None => self.runs.past.get(id, user).map(|mut shown| {
                if let Some(fields) = shown.as_object_mut() {
                    fields.retain(|name, _| !WHOLE.contains(&name.as_str()));
                }
                shown
            }),
        };
        let fits = |shown: &Value| {
            let outcome = Outcome::ALL.into_iter().find(|outcome| shown["outcome"] == outcome.name());
            outcome.is_some_and(|outcome| listed.takes(outcome))
        };
        let mut runs: Vec<Value> = ids.into_iter().filter_map(line).filter(fits).take(limit + 1).collect();
        let more = runs.len() > limit;
        runs.truncate(limit);
        let next = runs.last().filter(|_| more).map(|run| run["id"].clone());
        json!({ "runs": runs, "more": more, "next": next })
    }

    /// A run whose job is in the table, whole.
    pub(in crate::core::job_table) fn show_live_run(&self, now: Now, slot: u32) -> Value {
        let job = self.job(slot);
        let Some(run) = self.runs.by_id.get(&job.id) else { return Value::Null };
        let mut shown = self.run_line(now, job, run);
        let steps = run.pipeline.steps().len() as u32;
        let more = json!({
            "user": job.asker.owner.user, "detail": verdict_of(job).map(|verdict| &verdict.detail),
            "context": run.context.as_deref().map(hex), "critical_path": self.critical_path(job.id, run),
            "step_list": (0..steps).map(|step| self.show_step(now, job, run, step)).collect::<Vec<_>>(),
        });
        extend(&mut shown, more);
        shown
    }

    fn run_line(&self, now: Now, job: &Job, run: &Run) -> Value {
        let verdict = verdict_of(job);
        let ended_ms = verdict.and_then(ended_wall_ms);
        let stage = match job.state {
            State::Delayed { .. } => "delayed",
            State::Held => "held",
            State::Ended { .. } => "ended",
            _ => "open",
        };
        let going = run.graph.stands().iter().filter(|stand| **stand == Stand::Going).count();
        json!({
            "id": job.id.to_string(), "name": run.pipeline.name().as_str(), "outcome": job.outcome().name(), "stage": stage,
            "client": job.asker.owner.name, "level": if job.durable { "durable" } else { "volatile" },
            "steps": run.pipeline.steps().len(), "steps_done": run.graph.done(),
            "steps_going": if verdict.is_some() { 0 } else { going },
            "accepted_ms": job.accepted_wall_ms, "ended_ms": ended_ms,
            "duration_ms": ended_ms.unwrap_or(now.wall_ms).saturating_sub(job.accepted_wall_ms),
            "code": verdict.map(|verdict| &verdict.code), "message": verdict.map(|verdict| &verdict.message),
        })
    }

    fn show_step(&self, now: Now, run_job: &Job, run: &Run, step: u32) -> Value {
        if run.stages.contains_key(&step) {
            return self.show_stage(run_job, run, step);
        }
        let job = self.step_job(run_job.id, step);
        let verdict = job.and_then(verdict_of);
        let outcome = match job {
            Some(job) => job.outcome(),
            None if run_job.is_ended() => Outcome::Rejected,
            None => Outcome::Waiting,
        };
        let started_ms = job.and_then(|job| job.history.first()).map(|attempt| attempt.started_wall_ms);
        let last = job.and_then(|job| job.history.last());
        let shown = json!({
            "outcome": outcome.name(), "job": text_of(job.map(|_| step_id(run_job.id, step))),
            "jobs": null, "jobs_done": null, "closed": null, "collected": null,
            "queued_ms": job.map(|job| job.accepted_wall_ms), "started_ms": started_ms,
            "ended_ms": verdict.and_then(ended_wall_ms),
            "attempts": job.map(|job| job.history.len().max(job.attempts as usize)), "worker": last.map(|attempt| &*attempt.worker),
            "progress": job.map(|job| job.fraction), "code": verdict.map(|verdict| &verdict.code),
            "message": verdict.map(|verdict| &verdict.message),
            "why": self.why_waiting(now, run_job, run, step),
        });
        self.with_declaration(run, step, shown)
    }

    /// A step that is many jobs.
    fn show_stage(&self, run_job: &Job, run: &Run, step: u32) -> Value {
        let stage = &run.stages[&step];
        let is_over = run_job.is_ended();
        let (jobs, left) = (stage.jobs.len(), if is_over { 0 } else { stage.open });
        let outcome = self.outcome_of_stage(run, step, is_over);
        let collected = stage.collecting.as_ref().map(Collecting::count);
        let why = match run.graph.stand(step) {
            _ if is_over => None,
            Stand::Waiting => self.missing_needs(run, step).map(|why| match jobs {
                0 => why,
                _ => format!("{why}; {jobs} jobs are held"),
            }),
            Stand::Going if !stage.is_closed => Some(format!("open: {left} of {jobs} jobs left")),
            Stand::Going => Some(format!("{left} of {jobs} jobs left")),
            Stand::Well | Stand::Badly => collected
                .filter(|collected| *collected < jobs)
                .map(|collected| format!("{} of {jobs} results wait for their collector", jobs - collected)),
        };
        let ended_ms = stage.ended_ms.filter(|_| outcome.is_terminal());
        let shown = json!({
            "outcome": outcome.name(), "job": null,
            "jobs": jobs, "jobs_done": stage.well, "closed": stage.is_closed, "collected": collected,
            "queued_ms": stage.begun_ms, "started_ms": stage.started_ms, "ended_ms": ended_ms,
            "attempts": null, "worker": null, "progress": stage.well as f64 / jobs.max(1) as f64, "code": null, "message": null,
            "why": why,
        });
        self.with_declaration(run, step, shown)
    }

    /// How a step stands, behind what was said of it when the run was made.
    fn with_declaration(&self, run: &Run, step: u32, more: Value) -> Value {
        let said = &run.pipeline.steps()[step as usize];
        let name_of = |step: u32| run.pipeline.steps()[step as usize].name.as_str();
        let kind = match said.kind {
            StepKind::Job => "job",
            StepKind::Open => "open",
            StepKind::Each => "each",
        };
        let mut shown = json!({
            "name": said.name, "queue": said.queue.as_str(), "kind": kind,
            "needs": said.needs.iter().map(|need| name_of(need.step)).collect::<Vec<_>>(),
            "inputs": said.needs.iter().filter(|need| need.is_input).map(|need| name_of(need.step)).collect::<Vec<_>>(),
            "on_failure": if said.may_fail { "continue" } else { "fail" },
        });
        extend(&mut shown, more);
        shown
    }

    /// In a few words, what a step that has not begun waits for.
    fn missing_needs(&self, run: &Run, step: u32) -> Option<String> {
        let said = &run.pipeline.steps()[step as usize];
        let missing = said.needs.iter().filter(|need| run.graph.stand(need.step) != Stand::Well);
        let names: Vec<&str> =
            missing.map(|need| run.pipeline.steps()[need.step as usize].name.as_str()).collect();
        Some(match names.as_slice() {
            [] if run.pipeline.is_held() && run.context.is_none() => {
                "the run waits for its context".to_owned()
            }
            [] => "the run has not begun".to_owned(),
            [one] => format!("waits for {one}"),
            [one, rest @ ..] => format!("waits for {one} and {} more", rest.len()),
        })
    }

    /// In a few words, what a step that has not begun waits for, or why it never will.
    fn why_waiting(&self, now: Now, run_job: &Job, run: &Run, step: u32) -> Option<String> {
        let Some(job) = self.step_job(run_job.id, step) else {
            if run_job.is_ended() {
                return Some("the run ended before it".to_owned());
            }
            return self.missing_needs(run, step);
        };
        match job.state {
            State::Queued => Some(match self.queues.get(&job.queue) {
                Some(queue) if queue.paused => format!("queue \"{}\" is paused", job.queue),
                Some(queue) if !queue.workers.is_empty() => "waits for a free worker".to_owned(),
                _ => format!("no worker serves queue \"{}\"", job.queue),
            }),
            State::Delayed { until_us } => {
                Some(format!("waits for {} ms", until_us.saturating_sub(now.us).div_ceil(1_000)))
            }
            State::Behind => Some("waits for others of its serial key".to_owned()),
            State::Leased { .. } => Some("handed to a worker".to_owned()),
            _ => None,
        }
    }

    /// The steps that decided how long the run took: the one that ended last, of what it needed the one that ended last, and
    /// so on; first to last.
    fn critical_path<'a>(&self, id: JobId, run: &'a Run) -> Vec<&'a str> {
        let ended_ms = |step: u32| match run.stages.get(&step) {
            Some(stage) => stage.ended_ms,
            None => self.step_verdict(id, step).and_then(|verdict| ended_wall_ms(verdict)),
        };
        let latest = |steps: &mut dyn Iterator<Item = u32>| {
            steps.filter_map(|step| Some((ended_ms(step)?, step))).max().map(|(_, step)| step)
        };
        let steps = run.pipeline.steps();
        let mut path = Vec::new();
        let mut at = latest(&mut (0..steps.len() as u32));
        while let Some(step) = at {
            path.push(steps[step as usize].name.as_str());
            at = latest(&mut steps[step as usize].needs.iter().map(|need| need.step));
        }
        path.reverse();
        path
    }
}

fn verdict_of(job: &Job) -> Option<&Verdict> {
    match &job.state {
        State::Ended { verdict, .. } => Some(verdict),
        _ => None,
    }
}
