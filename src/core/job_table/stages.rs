//! Stages: steps of a run that are many jobs. The jobs of an open stage come from clients, while the run goes on, until the
//! stage is closed; those of a step that is done once for each frame are made here, from the results it takes.
//!
//! What is written down is again only jobs, each of which says which place it has in which stage, and that a stage was
//! closed. A job that is added before its stage may begin is held.
//!
//! Invariants (`check_runs` looks at them again): a job of a stage is in line, or further, only when everything the stage
//! needs has gone well; a stage has gone well when it is closed and all of its jobs have; nothing is added to it after that.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::core::graph::Stand;
use crate::core::job_table::JobTable;
use crate::core::job_table::collect::Collecting;
use crate::core::job_table::end::{Close, ended_wall_ms};
use crate::core::job_table::entry::{NEVER, Part, State};
use crate::core::job_table::runs::{Run, step_id};
use crate::core::jobs::Asker;
use crate::core::record::Record;
use crate::model::limits::RUN_JOBS_MAX;
use crate::model::{
    BodyFrames, Failure, InStage, JobId, Level, Now, Outcome, Status, StepKind, Submission, Verdict,
};
use crate::model::{Planted, planted};

/// One stage of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Stage {
    /// Its jobs, by their places.
    pub(super) jobs: BTreeMap<u64, JobId>,
    /// Those that have not ended, and those that went well.
    pub(super) open: usize,
    pub(super) well: usize,
    /// The first that ended so that the run is over, or why the stage could not begin.
    pub(super) trouble: Option<Trouble>,
    /// Nothing is added any more.
    pub(super) is_closed: bool,
    /// Everything it needs has gone well.
    pub(super) is_begun: bool,
    /// When it began, the first of its jobs did, and the last of them ended so far.
    pub(super) begun_ms: Option<u64>,
    pub(super) started_ms: Option<u64>,
    pub(super) ended_ms: Option<u64>,
    /// How far its results are collected, if they are.
    pub(super) collecting: Option<Collecting>,
}

/// Why a stage has not gone well.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// How this job of it ended.
    Job(JobId),
    /// It could not begin.
    Refused(String),
}

impl Stage {
    /// Its jobs in their order, then nothing.
    fn next_place(&self) -> u64 {
        self.jobs.last_key_value().map_or(0, |(place, _)| place + 1)
    }

    /// There is nothing more to come of it.
    pub(super) fn is_through(&self) -> bool {
        self.is_begun && self.is_closed && self.open == 0
    }

    /// It waits for its owner, who waits for nothing.
    fn is_idle(&self) -> bool {
        let is_collected = |collecting: &Collecting| collecting.count() == self.jobs.len();
        self.is_begun
            && !self.is_closed
            && self.open == 0
            && self.collecting.as_ref().is_none_or(is_collected)
    }

    fn note_end(&mut self, verdict: &Verdict, id: JobId, started_ms: Option<u64>, may_fail: bool) {
        self.ended_ms = self.ended_ms.max(ended_wall_ms(verdict));
        self.started_ms = self.started_ms.into_iter().chain(started_ms).min();
        if verdict.outcome == Outcome::Done || may_fail {
            self.well += 1;
        } else {
            self.trouble.get_or_insert(Trouble::Job(id));
        }
    }
}

impl JobTable {
    /// A submission that names a stage becomes one of its jobs: it has what the stage says where it says nothing itself.
    pub(super) fn enter_stage(&self, by: &Asker, job: &mut Submission) -> Result<Option<Part>, Failure> {
        let Some(said) = &job.stage else { return Ok(None) };
        if job.is_run {
            let message = "a run cannot be one of the jobs of a stage; submit it by itself";
            return Err(Failure::new(Status::Unsupported, message));
        }
        let (run_slot, step) = self.find_stage(said.run, &said.step, by)?;
        let run = &self.runs.by_id[&said.run];
        let stage = &run.stages[&step];
        if self.job(run_slot).is_ended() || stage.is_closed && !planted(Planted::AddAfterClose) {
            let why = if stage.is_closed { "is closed" } else { "is of a run that has ended" };
            let message = format!("stage \"{}\" {why} and takes no more jobs", said.step);
            return Err(Failure::new(Status::State, message));
        }
        if run.in_stages >= RUN_JOBS_MAX {
            let message =
                format!("run {} has {RUN_JOBS_MAX} jobs in its stages, as many as it can", said.run);
            return Err(Failure::new(Status::TooLarge, message));
        }
        let place = stage.next_place();
        let part = Part::InStage { run: said.run, step, place };
        let step = &run.pipeline.steps()[step as usize];
        if said.in_its_queue {
            job.queue = step.queue.clone();
        }
        job.options = std::mem::take(&mut job.options).over(&step.options);
        job.options.level = Some(self.level_of(run_slot));
        let named = |name: &str| job.headers.0.iter().any(|(known, _)| known == name);
        let more: Vec<_> = step.headers.0.iter().filter(|(name, _)| !named(name)).cloned().collect();
        job.headers.0.extend(more);
        if let Some(said) = &mut job.stage {
            said.place = place;
        }
        Ok(Some(part))
    }

    /// The level of everything of a run.
    pub(super) fn level_of(&self, run_slot: u32) -> Level {
        if self.job(run_slot).durable { Level::Durable } else { Level::Volatile }
    }

    /// The place of the run's job, and which of its steps an open stage is.
    fn find_stage(&self, id: JobId, name: &str, by: &Asker) -> Result<(u32, u32), Failure> {
        let Some((slot, run)) = self.slot_of(id, by).and_then(|slot| Some((slot, self.runs.by_id.get(&id)?)))
        else {
            let message = format!(
                "no run {id} is held here: it is another user's, or its result was fetched, or it never came"
            );
            return Err(Failure::new(Status::NotFound, message));
        };
        let is_open = |step: &&u32| run.pipeline.steps()[**step as usize].kind == StepKind::Open;
        match run.stage_names.get(name).filter(is_open) {
            Some(step) => Ok((slot, *step)),
            None => {
                let message = format!("run {id} of \"{}\" has no open stage \"{name}\"", run.pipeline.name());
                Err(Failure::new(Status::NotFound, message))
            }
        }
    }

    /// The job is in the table: from now on its stage counts it.
    pub(super) fn join_stage(&mut self, now: Now, slot: u32, part: Part) {
        let Part::InStage { run, step, place } = part else { return };
        let job = self.job_mut(slot);
        job.part = Some(Box::new(part));
        let id = job.id;
        let Some(run) = self.runs.by_id.get_mut(&run) else { return };
        run.moved_us = now.us;
        if let Some(stage) = run.stages.get_mut(&step) {
            stage.jobs.insert(place, id);
            stage.open += 1;
            run.in_stages += 1;
            run.uncollected += usize::from(stage.collecting.is_some());
        }
    }

    /// Nothing more is added to an open stage. `count`: how many jobs it should have.
    pub(super) fn close_stage(
        &mut self,
        now: Now,
        id: JobId,
        name: &str,
        count: Option<u64>,
        by: &Asker,
    ) -> Result<Value, Failure> {
        let (slot, step) = self.find_stage(id, name, by)?;
        let stage = &self.runs.by_id[&id].stages[&step];
        let (jobs, again) = (stage.jobs.len() as u64, stage.is_closed);
        if let Some(count) = count.filter(|count| *count != jobs) {
            let stays = if again { "it is closed" } else { "it stays open" };
            let message = format!("stage \"{name}\" has {jobs} jobs and not {count}; {stays}");
            return Err(Failure::new(Status::State, message));
        }
        if !again && self.job(slot).is_ended() {
            let message = format!("stage \"{name}\" is of a run that has ended");
            return Err(Failure::new(Status::State, message));
        }
        if !again {
            let durable = self.job(slot).durable;
            self.record(durable && !planted(Planted::ForgetClose), || Record::StageClosed { id, step });
            self.set_closed(id, step);
            self.settle_stage(id, step);
            self.runs.note_move(now, id);
        }
        Ok(json!({ "id": id.to_string(), "step": name, "jobs": jobs, "again": again }))
    }

    pub(super) fn set_closed(&mut self, run: JobId, step: u32) {
        let stage = self.runs.by_id.get_mut(&run).and_then(|run| run.stages.get_mut(&step));
        if let Some(stage) = stage {
            stage.is_closed = true;
        }
    }

    /// Whether the jobs of this stage may go into their lines.
    pub(super) fn is_stage_begun(&self, run: JobId, step: u32) -> bool {
        let stage = self.runs.by_id.get(&run).and_then(|run| run.stages.get(&step));
        stage.is_some_and(|stage| stage.is_begun) || planted(Planted::BeginStageEarly)
    }

    /// Everything the stage needs has gone well: what is held of it goes, and what is made from results is made.
    pub(super) fn begin_stage(&mut self, now: Now, run_slot: u32, step: u32) {
        let id = self.job(run_slot).id;
        let Some(run) = self.runs.by_id.get_mut(&id) else { return };
        run.moved_us = now.us;
        let is_each = run.pipeline.steps()[step as usize].kind == StepKind::Each;
        let Some(stage) = run.stages.get_mut(&step) else { return };
        stage.is_begun = true;
        stage.begun_ms = Some(now.wall_ms);
        let jobs: Vec<JobId> = stage.jobs.values().copied().collect();
        if is_each {
            self.fill_stage(now, run_slot, step);
        }
        let slots = jobs.iter().filter_map(|job| self.ids.get(job).copied());
        let held: Vec<u32> = slots.filter(|&slot| self.job(slot).state == State::Held).collect();
        held.into_iter().for_each(|slot| self.set_going(now, slot));
        self.settle_stage(id, step);
    }

    /// One job for each frame of the results the step takes; after a restart, those that are not there yet.
    fn fill_stage(&mut self, now: Now, run_slot: u32, step: u32) {
        let run_id = self.job(run_slot).id;
        let frames = self.inputs_of(run_id, step, false);
        let run = &self.runs.by_id[&run_id];
        let others = run.in_stages - run.stages[&step].jobs.len();
        if others + frames.len() > RUN_JOBS_MAX {
            let message = format!(
                "the results it takes have {} frames; the stages of a run may have {RUN_JOBS_MAX} jobs in all",
                frames.len()
            );
            return self.set_trouble(run_id, step, Trouble::Refused(message));
        }
        let asker = self.job(run_slot).asker.clone();
        let mut made = self.submission_of(run_slot, step);
        let (rules, wrong) = self.rules_of_step(&made);
        let own = std::mem::take(&mut made.body);
        let name = self.runs.by_id[&run_id].pipeline.steps()[step as usize].name.clone();
        for (place, frame) in (0..).zip(frames) {
            let mut job = made.clone();
            job.id = step_id(made.id, place as u32);
            if self.is_in_stage(run_id, step, place) {
                continue;
            }
            if self.ids.contains(&job.id) {
                let message = format!("the id {} of one of its jobs is in use", job.id);
                return self.set_trouble(run_id, step, Trouble::Refused(message));
            }
            job.body = own.clone();
            job.body.0.push(frame);
            job.stage =
                Some(Box::new(InStage { run: run_id, step: name.clone(), place, in_its_queue: false }));
            let refused = wrong.clone().or_else(|| self.check_input(&job).err());
            let slot = self.insert(now, &asker, job, rules.clone());
            self.join_stage(now, slot, Part::InStage { run: run_id, step, place });
            self.start_made(now, slot, refused);
        }
        self.set_closed(run_id, step);
    }

    fn is_in_stage(&self, run: JobId, step: u32, place: u64) -> bool {
        self.runs.by_id[&run].stages.get(&step).is_some_and(|stage| stage.jobs.contains_key(&place))
    }

    fn set_trouble(&mut self, run: JobId, step: u32, trouble: Trouble) {
        let stage = self.runs.by_id.get_mut(&run).and_then(|run| run.stages.get_mut(&step));
        if let Some(stage) = stage {
            stage.trouble.get_or_insert(trouble);
        }
    }

    /// A job of a stage has ended.
    pub(super) fn end_in_stage(&mut self, now: Now, id: JobId, step: u32, job: JobId) {
        let Some(&slot) = self.ids.get(&job) else { return };
        let job = self.job(slot);
        let State::Ended { verdict, .. } = &job.state else { return };
        let (verdict, job_id, part) = (verdict.clone(), job.id, job.part.as_deref().copied());
        let started_ms = job.history.first().map(|attempt| attempt.started_wall_ms);
        let Some(run) = self.runs.by_id.get_mut(&id) else { return };
        run.moved_us = now.us;
        let may_fail = run.pipeline.steps()[step as usize].may_fail;
        if let Some(stage) = run.stages.get_mut(&step) {
            stage.open -= 1;
            stage.note_end(&verdict, job_id, started_ms, may_fail);
            if let (Some(collecting), Some(Part::InStage { place, .. })) = (&mut stage.collecting, part) {
                collecting.note_end(place);
            }
        }
        self.settle_stage(id, step);
    }

    /// Tells the graph of a stage that is over.
    pub(super) fn settle_stage(&mut self, id: JobId, step: u32) {
        let Some(run) = self.runs.by_id.get_mut(&id) else { return };
        let Some(stage) = run.stages.get(&step).filter(|stage| stage.is_begun) else { return };
        if stage.trouble.is_some() {
            run.graph.end(step, false);
        } else if stage.is_through() || (planted(Planted::EndStageUnclosed) && stage.open == 0) {
            run.graph.end(step, true);
        }
    }

    /// The frames a step is given: those of the results it takes, in the order said. With `each` missing ones have an empty
    /// frame in their place.
    pub(super) fn inputs_of(&self, run: JobId, step: u32, each: bool) -> BodyFrames {
        let mut frames = BodyFrames::new();
        let needs = &self.runs.by_id[&run].pipeline.steps()[step as usize].needs;
        for need in needs.iter().filter(|need| need.is_input && !planted(Planted::DropStepInput)) {
            self.add_result(run, need.step, each, &mut frames);
        }
        frames
    }

    /// The frames of a step's result; of a stage's, those of its jobs in the order of their places.
    pub(super) fn add_result(&self, run: JobId, step: u32, each: bool, frames: &mut BodyFrames) {
        let mut add = |verdict: Option<&Arc<Verdict>>| match verdict {
            Some(verdict) if !verdict.body.0.is_empty() => frames.extend(verdict.body.0.iter().cloned()),
            _ if each => frames.push(Bytes::new()),
            _ => {}
        };
        match self.runs.by_id[&run].stages.get(&step) {
            None => add(self.step_verdict(run, step)),
            Some(stage) if planted(Planted::GatherOutOfOrder) => {
                stage.jobs.values().rev().for_each(|job| add(self.verdict_of(*job)));
            }
            Some(stage) => stage.jobs.values().for_each(|job| add(self.verdict_of(*job))),
        }
    }

    pub(super) fn verdict_of(&self, id: JobId) -> Option<&Arc<Verdict>> {
        match &self.job(*self.ids.get(&id)?).state {
            State::Ended { verdict, .. } => Some(verdict),
            _ => None,
        }
    }

    /// Why a run is over in which this stage went wrong.
    pub(super) fn trouble_of(&self, id: JobId, step: u32) -> Option<Close> {
        let run = &self.runs.by_id[&id];
        let name = &run.pipeline.steps()[step as usize].name;
        let mut close = Close { code: "step-failed".into(), ..Close::new(Outcome::Failed) };
        close.meta.push("step", name);
        match run.stages.get(&step)?.trouble.as_ref()? {
            Trouble::Refused(why) => close.message = format!("stage \"{name}\" could not begin: {why}"),
            Trouble::Job(job) => {
                close.meta.push("job", &job.to_string());
                close.message = format!("job {job} of stage \"{name}\" is gone");
                if let Some(verdict) = self.verdict_of(*job) {
                    let said = [&verdict.message, &verdict.code].into_iter().find(|text| !text.is_empty());
                    let why = said.map_or(String::new(), |why| format!(": {why}"));
                    let ended = verdict.outcome.name();
                    close.message = format!("job {job} of stage \"{name}\" ended {ended}{why}");
                    close.detail.clone_from(&verdict.detail);
                }
            }
        }
        Some(close)
    }

    /// When a run is to be looked at that may have an owner who has vanished.
    pub(super) fn idle_us_of(&self, now: Now, run: JobId) -> u64 {
        let open = |run: &Run| run.stages.values().any(|stage| !stage.is_closed);
        let is_open = self.runs.by_id.get(&run).is_some_and(open);
        match self.config.stage_idle_ms {
            0 => NEVER,
            ms if is_open => now.after_ms(ms),
            _ => NEVER,
        }
    }

    /// For a while nothing may have happened to the open stages of a run: then its owner has vanished, and it ends.
    pub(super) fn expire_idle(&mut self, now: Now, slot: u32) {
        let id = self.job(slot).id;
        let (whole_us, next_us) = (self.config.stage_idle_ms * 1_000, self.idle_us_of(now, id));
        let Some(run) = self.runs.by_id.get(&id) else { return };
        let idle = run.stages.iter().find(|(_, stage)| stage.is_idle()).map(|(step, _)| *step);
        let due_us = if idle.is_some() { run.moved_us + whole_us } else { next_us };
        if let Some(step) = idle.filter(|_| due_us <= now.us) {
            let name = &run.pipeline.steps()[step as usize].name;
            let message = format!(
                "nothing was added to its open stage \"{name}\", nor was it closed, for {} ms (broker.stage_idle_ms)",
                self.config.stage_idle_ms
            );
            let mut close = Close { code: "stage-idle".into(), message, ..Close::new(Outcome::Failed) };
            close.meta.push("step", name);
            return self.close(now, slot, close);
        }
        self.job_mut(slot).state = State::Open { idle_us: due_us };
        self.rearm(slot);
    }

    /// The jobs of all stages of a run.
    pub(super) fn jobs_in_stages(&self, run: &Run) -> Vec<u32> {
        let jobs = run.stages.values().flat_map(|stage| stage.jobs.values());
        jobs.filter_map(|job| self.ids.get(job).copied()).collect()
    }

    /// A job that was read back is one of a stage's, if its run is there still.
    pub(super) fn rejoin_stage(&mut self, now: Now, slot: u32, said: &InStage) -> bool {
        let run = self.runs.by_id.get(&said.run);
        let Some(step) = run.and_then(|run| run.stage_names.get(&said.step)).copied() else { return false };
        self.join_stage(now, slot, Part::InStage { run: said.run, step, place: said.place });
        true
    }

    /// Every job was read back: what is known of the stages of a run is counted from them.
    pub(super) fn recount_stages(&mut self, id: JobId) {
        let Some(mut run) = self.runs.by_id.remove(&id) else { return };
        for (step, stage) in &mut run.stages {
            let may_fail = run.pipeline.steps()[*step as usize].may_fail;
            (stage.open, stage.well) = (0, 0);
            for job_id in stage.jobs.values().copied().collect::<Vec<_>>() {
                let Some(&slot) = self.ids.get(&job_id) else { continue };
                let job = self.job(slot);
                match &job.state {
                    State::Ended { verdict, .. } => {
                        let started_ms = job.history.first().map(|attempt| attempt.started_wall_ms);
                        stage.note_end(verdict, job_id, started_ms, may_fail);
                    }
                    _ => stage.open += 1,
                }
            }
        }
        self.runs.by_id.insert(id, run);
        self.recount_collecting(id);
    }

    /// In a run that had ended before a restart, the stages stand as they stood.
    pub(super) fn restore_stages(&mut self, id: JobId) {
        while let Some(run) = self.runs.by_id.get_mut(&id) {
            let stages = &run.stages;
            let ready = run.graph.restore_ready(|step| stages.contains_key(&step));
            if ready.is_empty() {
                return;
            }
            for step in ready {
                let Some(run) = self.runs.by_id.get_mut(&id) else { return };
                if let Some(stage) = run.stages.get_mut(&step) {
                    stage.is_begun = true;
                    // Of a step that is done once for each frame it is not written down.
                    stage.is_closed |= run.pipeline.steps()[step as usize].kind == StepKind::Each;
                }
                self.settle_stage(id, step);
            }
        }
    }

    /// How a stage stands, as a job would.
    pub(super) fn outcome_of_stage(&self, run: &Run, step: u32, is_over: bool) -> Outcome {
        let stage = &run.stages[&step];
        match run.graph.stand(step) {
            Stand::Well => Outcome::Done,
            Stand::Badly => match &stage.trouble {
                Some(Trouble::Job(job)) => {
                    self.verdict_of(*job).map_or(Outcome::Failed, |verdict| verdict.outcome)
                }
                _ => Outcome::Failed,
            },
            Stand::Waiting if is_over => Outcome::Rejected,
            Stand::Going if is_over => Outcome::Cancelled,
            Stand::Going if stage.started_ms.is_some() || stage.open > 0 => Outcome::Running,
            Stand::Going | Stand::Waiting => Outcome::Waiting,
        }
    }
}
