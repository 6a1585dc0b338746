//! Runs: jobs whose body is a pipeline. A run is held like any job, under its id, with its rules, record, verdict and
//! result; what is special is that no worker is handed it, and that the jobs of its steps come and go on its behalf.
//!
//! Nothing is written down for a run but the records of these jobs: how far it is follows from which of them are there
//! and how they ended, because their ids follow from the run's. So a restart finds each run where it was.
//!
//! Invariants (`check_runs` looks at them again): the job of a step is there only when every step it needs has gone well; it
//! stays as long as its run's job does; a run that has not ended has a step under way; a run that has ended has none.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::core::graph::{Graph, Stand};
use crate::core::job_table::JobTable;
use crate::core::job_table::admit::check_rules;
use crate::core::job_table::collect::Collecting;
use crate::core::job_table::end::Close;
use crate::core::job_table::entry::{Job, KEPT_BY_RUN, Part, State};
use crate::core::job_table::past_runs::PastRuns;
use crate::core::job_table::stages::Stage;
use crate::core::jobs::Asker;
use crate::core::record::Record;
use crate::model::limits::{BODY_FRAMES_MAX, BUSY_RETRY_MS, CONTEXT_HEADER, CONTEXT_LEN_MAX, RUNS_MAX};
use crate::model::{
    Body, Failure, Headers, JobId, JobRules, Now, Outcome, Pipeline, ReplyMode, Status, StepKind, Submission,
    Verdict,
};
use crate::model::{Planted, planted};
use crate::wire::codec::pipeline;

/// A run whose job is in the table.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) pipeline: Pipeline,
    pub(super) graph: Graph,
    /// Those of its steps that are stages.
    pub(super) stages: BTreeMap<u32, Stage>,
    pub(super) stage_names: BTreeMap<String, u32>,
    /// Jobs of all of them, and those whose results have yet to be collected.
    pub(super) in_stages: usize,
    pub(super) uncollected: usize,
    /// What each of its jobs is given, once it was said.
    pub(super) context: Option<Bytes>,
    /// When something last happened to its stages.
    pub(super) moved_us: u64,
}

/// All of them, and what has happened to them that is not seen to yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Runs {
    pub(super) by_id: BTreeMap<JobId, Run>,
    pub(super) past: PastRuns,
    news: VecDeque<(Now, News)>,
}

/// What is to be seen to once the call that brought it about is over.
#[derive(Clone, Copy, Debug)]
enum News {
    /// The job of a step has ended.
    Step { run: JobId, step: u32 },
    /// One of the jobs of a stage has ended.
    InStage { run: JobId, step: u32, job: JobId },
    /// The run may go on.
    GoOn(JobId),
    /// The run has ended.
    Over(JobId),
}

/// The id of a step's job: the run's time, and what a mix of the run's id and the step's place makes of the rest.
pub(super) fn step_id(run: JobId, step: u32) -> JobId {
    let (high, low) = run.0.split_at(8);
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    // The finisher of splitmix64 (Steele, Lea, Flood 2014): no two inputs have one output.
    let mix = |number: u64| {
        let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let first = mix(number(high) ^ mix(number(low)).wrapping_add(u64::from(step)));
    let second = mix(first ^ number(low));
    let mut random = [0; 10];
    random[..8].copy_from_slice(&first.to_be_bytes());
    random[8..].copy_from_slice(&second.to_be_bytes()[..2]);
    JobId::new(run.wall_ms(), random)
}

/// What a run was given as its context when it was submitted.
pub(super) fn context_of(headers: &Headers) -> Option<Bytes> {
    headers.0.iter().find(|(name, _)| name == CONTEXT_HEADER).map(|(_, context)| context.clone())
}

fn check_context(context: &Bytes) -> Result<(), Failure> {
    let len = context.len();
    if len > CONTEXT_LEN_MAX {
        let message = format!("the context has {len} bytes; it may have {CONTEXT_LEN_MAX}");
        return Err(Failure::new(Status::TooLarge, message));
    }
    Ok(())
}

impl Run {
    /// Whether another step is given the result of this one.
    pub(super) fn is_taken(&self, step: u32) -> bool {
        let mut needs = self.pipeline.steps().iter().flat_map(|step| &step.needs);
        needs.any(|need| need.step == step && need.is_input)
    }
}

impl Runs {
    /// The run's pipeline as it came, and nothing begun.
    pub(super) fn insert(&mut self, id: JobId, pipeline: Pipeline, context: Option<Bytes>) {
        let graph = Graph::new(&pipeline);
        let kinds = (0..).zip(pipeline.steps()).filter(|(_, step)| step.kind != StepKind::Job);
        let stage_names: BTreeMap<String, u32> = kinds.map(|(at, step)| (step.name.clone(), at)).collect();
        let stage = |step: u32| Stage {
            collecting: pipeline.steps()[step as usize].is_collected.then(Collecting::default),
            ..Stage::default()
        };
        let stages = stage_names.values().map(|step| (*step, stage(*step))).collect();
        let (in_stages, uncollected, moved_us) = (0, 0, 0);
        let run = Run { pipeline, graph, stages, stage_names, in_stages, uncollected, context, moved_us };
        self.by_id.insert(id, run);
    }

    /// A job that has to do with a run has ended.
    pub(super) fn note_end(&mut self, now: Now, id: JobId, part: Part) {
        let news = match part {
            Part::Run => News::Over(id),
            Part::Step { run, step } => News::Step { run, step },
            Part::InStage { run, step, .. } => News::InStage { run, step, job: id },
        };
        self.news.push_back((now, news));
    }

    /// Something has happened to a stage of the run, which may go on.
    pub(super) fn note_move(&mut self, now: Now, id: JobId) {
        self.news.push_back((now, News::GoOn(id)));
    }

    pub(super) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }
}

impl JobTable {
    /// The pipeline of a submission, if that is a run.
    pub(super) fn pipeline_of(&self, job: &Submission) -> Result<Option<Pipeline>, Failure> {
        if !job.is_run {
            return Ok(None);
        }
        if self.runs.by_id.len() >= RUNS_MAX {
            let message = format!("the broker holds {RUNS_MAX} runs, as many as it can");
            return Err(Failure::busy(message, BUSY_RETRY_MS));
        }
        let pipeline = pipeline::decode(&job.queue, &job.body)?;
        context_of(&job.headers).map_or(Ok(()), |context| check_context(&context))?;
        for step in pipeline.steps() {
            let rules = self.default_rules.with(&step.options);
            check_rules(&rules).map_err(|failure| Failure {
                message: format!("step \"{}\": {}", step.name, failure.message),
                ..failure
            })?;
        }
        Ok(Some(pipeline))
    }

    /// A job may go now: into its line, unless its stage has not begun; or, if it is a run, with its first steps.
    pub(super) fn set_going(&mut self, now: Now, slot: u32) {
        match self.job(slot).part.as_deref().copied() {
            None | Some(Part::Step { .. }) => self.enqueue(now, slot),
            Some(Part::InStage { run, step, .. }) if self.is_stage_begun(run, step) => {
                self.enqueue(now, slot);
            }
            Some(Part::InStage { .. }) => {
                self.job_mut(slot).state = State::Held;
                self.rearm(slot);
            }
            Some(Part::Run) if self.is_run_held(slot) => {
                self.job_mut(slot).state = State::Held;
                self.rearm(slot);
            }
            Some(Part::Run) => {
                let id = self.job(slot).id;
                let idle_us = self.idle_us_of(now, id);
                let job = self.job_mut(slot);
                (job.state, job.attempts) = (State::Open { idle_us }, 1);
                self.rearm(slot);
                self.runs.note_move(now, id);
            }
        }
    }

    /// Whether the run waits for its context.
    fn is_run_held(&self, slot: u32) -> bool {
        let run = self.runs.by_id.get(&self.job(slot).id);
        run.is_some_and(|run| run.pipeline.is_held() && run.context.is_none())
            && !planted(Planted::IgnoreHold)
    }

    /// Says what each job of a run is given from now on; a run that waited for it begins.
    pub(super) fn set_context(
        &mut self,
        now: Now,
        id: JobId,
        context: Bytes,
        by: &Asker,
    ) -> Result<Value, Failure> {
        let Some(slot) = self.slot_of(id, by).filter(|_| self.runs.by_id.contains_key(&id)) else {
            let message = format!(
                "no run {id} is held here: it is another user's, or its result was fetched, or it never came"
            );
            return Err(Failure::new(Status::NotFound, message));
        };
        if self.job(slot).is_ended() {
            return Err(Failure::new(Status::State, format!("run {id} has ended, and needs no context")));
        }
        check_context(&context)?;
        let (durable, kept, len) = (self.job(slot).durable, context.clone(), context.len());
        self.record(durable && !planted(Planted::ForgetContext), || Record::Context { id, context: kept });
        self.recall_context(id, context);
        let released = self.job(slot).state == State::Held;
        if released {
            self.set_going(now, slot);
        }
        Ok(json!({ "id": id.to_string(), "bytes": len, "released": released }))
    }

    pub(super) fn recall_context(&mut self, id: JobId, context: Bytes) {
        if let Some(run) = self.runs.by_id.get_mut(&id) {
            run.context = Some(context);
        }
    }

    /// The headers a job is handed out with: its own, and its run's context.
    pub(super) fn headers_of(&self, slot: u32) -> Headers {
        let job = self.job(slot);
        let mut headers = job.headers.clone();
        // A job's own header of this name would be taken for it.
        if let Some(Part::Step { run, .. } | Part::InStage { run, .. }) = job.part.as_deref()
            && let Some(context) = self.runs.by_id.get(run).and_then(|run| run.context.clone())
        {
            headers.0.retain(|(name, _)| name != CONTEXT_HEADER);
            headers.0.push((CONTEXT_HEADER.to_owned(), context));
        }
        headers
    }

    /// Sees to everything that has happened to runs.
    pub(super) fn advance_runs(&mut self) {
        while let Some((now, news)) = self.runs.news.pop_front() {
            match news {
                News::Step { run, step } => {
                    self.end_step(run, step);
                    self.go_on(now, run);
                }
                News::InStage { run, step, job } => {
                    self.end_in_stage(now, run, step, job);
                    self.go_on(now, run);
                }
                News::GoOn(run) => self.go_on(now, run),
                News::Over(run) => self.clear_up(now, run),
            }
        }
    }

    fn end_step(&mut self, id: JobId, step: u32) {
        let Some(outcome) = self.step_verdict(id, step).map(|verdict| verdict.outcome) else { return };
        let Some(run) = self.runs.by_id.get_mut(&id) else { return };
        let well = outcome == Outcome::Done || run.pipeline.steps()[step as usize].may_fail;
        run.graph.end(step, well);
    }

    /// The place of a run that goes on.
    fn open_run(&self, id: JobId) -> Option<u32> {
        let slot = self.ids.get(&id).copied();
        slot.filter(|&slot| matches!(self.job(slot).state, State::Open { .. }))
    }

    /// Ends the run if nothing is left of it, else begins what may begin.
    fn go_on(&mut self, now: Now, id: JobId) {
        // One that is over in the middle of it begins nothing more.
        while let Some(slot) = self.open_run(id) {
            let Some(run) = self.runs.by_id.get_mut(&id) else {
                let message = "its pipeline cannot be read any more".to_owned();
                let close = Close { code: "unreadable".into(), message, ..Close::new(Outcome::Failed) };
                return self.close(now, slot, close);
            };
            if let Some(step) = run.graph.failed() {
                let close = self.failure_of(id, step);
                return self.close(now, slot, close);
            }
            if run.graph.is_done() && (run.uncollected == 0 || planted(Planted::EndUncollected)) {
                let close = self.outputs_of(id);
                return self.close(now, slot, close);
            }
            let ready = run.graph.take_ready();
            if ready.is_empty() {
                return;
            }
            for step in ready {
                match self.runs.by_id.get(&id).is_some_and(|run| run.stages.contains_key(&step)) {
                    // One without jobs may be over as soon as it has begun, so it is looked at once more.
                    true => self.begin_stage(now, slot, step),
                    false => self.begin_step(now, slot, step),
                }
            }
        }
    }

    /// Makes the job of a step that may begin. One that cannot be made ends REJECTED at once.
    fn begin_step(&mut self, now: Now, run_slot: u32, step: u32) {
        let run = self.job(run_slot);
        let (id, asker) = (run.id, run.asker.clone());
        let mut job = self.submission_of(run_slot, step);
        let (rules, wrong) = self.rules_of_step(&job);
        let refused = match self.check_input(&job) {
            Ok(()) => wrong,
            Err(failure) => {
                job.body = Body::default();
                Some(failure)
            }
        };
        if self.ids.contains(&job.id) {
            // Somebody else's job by a chance of one in 2^74, or by intent.
            let message = format!("the id {} of its job is in use", job.id);
            let close = Close { code: "id-in-use".into(), message, ..Close::new(Outcome::Failed) };
            return self.close(now, run_slot, close);
        }
        let slot = self.insert(now, &asker, job, rules);
        self.job_mut(slot).part = Some(Box::new(Part::Step { run: id, step }));
        self.start_made(now, slot, refused);
    }

    /// A job that was made here goes, if it can.
    pub(super) fn start_made(&mut self, now: Now, slot: u32, refused: Option<Failure>) {
        if let Some(Failure { message, .. }) = refused {
            let close = Close { code: "refused".into(), message, ..Close::new(Outcome::Rejected) };
            return self.close(now, slot, close);
        }
        self.enter_key(now, slot);
        if self.claim_orphan(now, slot) {
            return;
        }
        match self.job(slot).rules.delay_ms {
            0 => self.set_going(now, slot),
            delay_ms => {
                self.job_mut(slot).state = State::Delayed { until_us: now.after_ms(delay_ms) };
                self.rearm(slot);
            }
        }
    }

    /// The rules of a step's job, and what is wrong with those it asks for: then it has the broker's.
    pub(super) fn rules_of_step(&mut self, job: &Submission) -> (Arc<JobRules>, Option<Failure>) {
        match self.rules_for(job).and_then(|rules| check_rules(&rules).map(|()| rules)) {
            Ok(rules) => (rules, None),
            Err(failure) => {
                let level = job.options.level.unwrap_or_default();
                (Arc::new(JobRules { level, ..(*self.default_rules).clone() }), Some(failure))
            }
        }
    }

    pub(super) fn submission_of(&self, run_slot: u32, step: u32) -> Submission {
        let job = self.job(run_slot);
        let run = &self.runs.by_id[&job.id];
        let said = &run.pipeline.steps()[step as usize];
        let mut body = said.body.clone();
        if said.kind == StepKind::Job {
            body.0.extend(self.inputs_of(job.id, step, true));
        }
        let mut options = said.options.clone();
        options.level = Some(self.level_of(run_slot));
        Submission {
            headers: said.headers.clone(),
            options,
            // A queue that drains takes it: with its run it was accepted before.
            resent: true,
            reply: ReplyMode::Keep,
            is_patient: true,
            ..Submission::new(step_id(job.id, step), said.queue.clone(), body)
        }
    }

    /// Whether a worker could be handed so much.
    pub(super) fn check_input(&self, job: &Submission) -> Result<(), Failure> {
        let (len, frames) = (job.body.len() as u64, job.body.0.len());
        if len > self.config.payload_max || frames > BODY_FRAMES_MAX {
            let message = format!(
                "its payload and the results it takes have {len} bytes in {frames} frames; a job may have {} in {BODY_FRAMES_MAX}",
                self.config.payload_max
            );
            return Err(Failure::new(Status::TooLarge, message));
        }
        Ok(())
    }

    /// Why a run is over whose step has failed.
    fn failure_of(&self, id: JobId, step: u32) -> Close {
        if let Some(close) = self.trouble_of(id, step) {
            return close;
        }
        let name = &self.runs.by_id[&id].pipeline.steps()[step as usize].name;
        let mut close = Close { code: "step-failed".into(), ..Close::new(Outcome::Failed) };
        close.meta.push("step", name);
        match self.step_verdict(id, step) {
            Some(verdict) => {
                let why =
                    if verdict.message.is_empty() { verdict.code.as_str() } else { verdict.message.as_str() };
                let colon = if why.is_empty() { "" } else { ": " };
                close.message = format!("step \"{name}\" ended {}{colon}{why}", verdict.outcome.name());
                close.detail.clone_from(&verdict.detail);
            }
            None => close.message = format!("step \"{name}\" is gone"),
        }
        close
    }

    /// A run that is done has the results of the steps that no other needs, in the order of the steps.
    fn outputs_of(&self, id: JobId) -> Close {
        let run = &self.runs.by_id[&id];
        let mut close = Close::new(Outcome::Done);
        let last = (0..run.pipeline.steps().len() as u32).filter(|&step| run.graph.is_last(step));
        // What was collected is somebody's already.
        let last = last.filter(|step| !run.pipeline.steps()[*step as usize].is_collected);
        last.for_each(|step| self.add_result(id, step, true, &mut close.body.0));
        let (len, frames) = (close.body.len() as u64, close.body.0.len());
        if len > self.config.payload_max || frames > BODY_FRAMES_MAX {
            close.body = Body::default();
            close.code = "result-too-large".into();
            close.message = format!(
                "the results of its last steps have {len} bytes in {frames} frames, too much for one; each step's job has its own"
            );
        }
        close
    }

    /// The run has ended: nothing of it goes on.
    fn clear_up(&mut self, now: Now, id: JobId) {
        let may_be_resumed = self.ids.get(&id).is_some_and(|&slot| self.job(slot).outcome() != Outcome::Done);
        let Some(run) = self.runs.by_id.get_mut(&id) else { return };
        if !may_be_resumed {
            run.pipeline.drop_payloads();
        }
        if !planted(Planted::LeaveStepsGoing) {
            self.cancel_steps(now, id);
        }
        if let Some(&slot) = self.ids.get(&id)
            && self.job(slot).reply == ReplyMode::None
        {
            self.remove(now, slot);
        }
    }

    fn cancel_steps(&mut self, now: Now, id: JobId) {
        let Some(run) = self.runs.by_id.get(&id) else { return };
        let stands = run.graph.stands().iter().zip(0..);
        let going: Vec<u32> =
            stands.filter(|(stand, _)| **stand == Stand::Going).map(|(_, step)| step).collect();
        let steps = going.into_iter().filter_map(|step| self.ids.get(&step_id(id, step)).copied());
        let slots: Vec<u32> = steps.chain(self.jobs_in_stages(run)).collect();
        for slot in slots {
            if !self.job(slot).is_ended() {
                self.cancel_running(now, slot, "its run has ended");
            }
        }
    }

    /// The run's job goes, and with it those of its steps. What is worth knowing about it stays for a while.
    pub(super) fn retire_run(&mut self, now: Now, run_slot: u32) {
        let id = self.job(run_slot).id;
        if !self.runs.by_id.contains_key(&id) {
            return;
        }
        self.cancel_steps(now, id);
        let (owner, shown) = (self.job(run_slot).asker.owner.clone(), self.show_live_run(now, run_slot));
        let Some(run) = self.runs.by_id.remove(&id) else { return };
        self.runs.past.insert(now, id, owner, run.pipeline.steps().len(), &shown);
        let quarantine_ms = self.config.quarantine_ms;
        let steps = 0..run.pipeline.steps().len() as u32;
        let steps = steps.filter_map(|step| self.ids.get(&step_id(id, step)).copied());
        let slots: Vec<u32> = steps.chain(self.jobs_in_stages(&run)).collect();
        for slot in slots {
            let job = self.job_mut(slot);
            if job.part.take().is_none() {
                continue;
            }
            match &mut job.state {
                // From now on it is a job like any other.
                State::Ended { verdict, keep_us } if verdict.waits_for_a_person() => {
                    *keep_us = now.after_ms(quarantine_ms);
                    self.rearm(slot);
                }
                _ => self.remove(now, slot),
            }
        }
    }

    /// How the job of a step ended, once it has.
    pub(super) fn step_verdict(&self, run: JobId, step: u32) -> Option<&Arc<Verdict>> {
        match &self.step_job(run, step)?.state {
            State::Ended { verdict, .. } => Some(verdict),
            _ => None,
        }
    }

    /// The job of a step, once there is one.
    pub(super) fn step_job(&self, run: JobId, step: u32) -> Option<&Job> {
        let slot = *self.ids.get(&step_id(run, step))?;
        Some(self.job(slot)).filter(|job| job.part.as_deref() == Some(&Part::Step { run, step }))
    }

    /// Every job was read back: those of steps find their runs again, and the runs their places.
    pub(super) fn link_runs(&mut self, now: Now) {
        let ids: Vec<JobId> = self.runs.by_id.keys().copied().collect();
        for id in ids {
            let steps = self.runs.by_id[&id].pipeline.steps().len() as u32;
            for step in 0..steps {
                if let Some(&slot) = self.ids.get(&step_id(id, step)) {
                    self.link_step(slot, id, step);
                }
            }
            self.recount_stages(id);
            let is_over = self.ids.get(&id).is_some_and(|&slot| self.job(slot).is_ended());
            if is_over {
                self.restore_stages(id);
            }
            self.runs.news.push_back((now, if is_over { News::Over(id) } else { News::GoOn(id) }));
        }
    }

    fn link_step(&mut self, slot: u32, run: JobId, step: u32) {
        let job = self.job_mut(slot);
        job.part = Some(Box::new(Part::Step { run, step }));
        let has_ended = job.is_ended();
        if let State::Ended { keep_us, .. } = &mut job.state {
            *keep_us = KEPT_BY_RUN;
        }
        self.rearm(slot);
        if let Some(run) = self.runs.by_id.get_mut(&run) {
            run.graph.restore(step);
        }
        if has_ended && !planted(Planted::ForgetStepEndAtRestart) {
            self.end_step(run, step);
        }
    }

    /// Whether the job is a step's, which goes when its run does.
    pub(super) fn is_kept_by_run(&self, slot: u32) -> bool {
        matches!(self.job(slot).part.as_deref(), Some(Part::Step { .. } | Part::InStage { .. }))
            && !planted(Planted::ForgetStepResult)
    }
}
