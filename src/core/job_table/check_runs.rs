//! The invariants of runs and of their stages as code: how each stands follows from its jobs, and is found again.

use crate::core::graph::Stand;
use crate::core::job_table::entry::{Job, Part, State};
use crate::core::job_table::runs::{Run, step_id};
use crate::core::job_table::stages::Stage;
use crate::core::job_table::{JobTable, Violation};
use crate::model::{Index, JobId, Outcome};

impl JobTable {
    /// The invariants of runs.
    pub(super) fn check_runs(&self) -> Result<(), Violation> {
        if self.runs.has_news() {
            return Ok(());
        }
        let mut steps = Index::default();
        for (id, run) in &self.runs.by_id {
            let slot = self.ids.get(id).ok_or_else(|| Violation(format!("run {id} has no job")))?;
            self.check_run(*id, run, self.job(*slot))?;
            for step in 0..run.pipeline.steps().len() as u32 {
                steps.insert(step_id(*id, step), ());
            }
        }
        let is_astray = |job: &&Job| match job.part.as_deref() {
            Some(Part::Step { .. }) => !steps.contains(&job.id),
            Some(Part::InStage { run, step, place }) => {
                let stage = self.runs.by_id.get(run).and_then(|run| run.stages.get(step));
                stage.and_then(|stage| stage.jobs.get(place)) != Some(&job.id)
            }
            Some(Part::Run) => !self.runs.by_id.contains_key(&job.id),
            None => false,
        };
        let astray = self.slots.iter().flatten().find(is_astray);
        astray.map_or(Ok(()), |job| Err(Violation(format!("job {} is of a run that is not there", job.id))))
    }

    fn check_run(&self, id: JobId, run: &Run, job: &Job) -> Result<(), Violation> {
        let mut going = 0;
        for (step, said) in (0..).zip(run.pipeline.steps()) {
            let (stand, unended) = match run.stages.get(&step) {
                Some(stage) => self.check_stage(id, &said.name, stage, said.may_fail)?,
                None => {
                    let stand = match self.step_job(id, step) {
                        None => Stand::Waiting,
                        Some(job) if !job.is_ended() => Stand::Going,
                        Some(job) if job.outcome() == Outcome::Done || said.may_fail => Stand::Well,
                        Some(_) => Stand::Badly,
                    };
                    (stand, usize::from(stand == Stand::Going))
                }
            };
            going += if job.is_ended() { unended } else { usize::from(stand == Stand::Going) };
            // A run that is over takes no more notice of its steps.
            if stand != run.graph.stand(step) && !job.is_ended() {
                let known = run.graph.stand(step);
                return Err(Violation(format!(
                    "step \"{}\" of run {id} is {stand:?}, not {known:?}",
                    said.name
                )));
            }
            let early = said.needs.iter().find(|need| run.graph.stand(need.step) != Stand::Well);
            if let (Some(need), true) = (early, stand != Stand::Waiting) {
                let needed = &run.pipeline.steps()[need.step as usize].name;
                return Err(Violation(format!(
                    "step \"{}\" of run {id} began before \"{needed}\"",
                    said.name
                )));
            }
        }
        if job.is_ended() && going > 0 {
            return Err(Violation(format!("run {id} has ended and {going} of its jobs go on")));
        }
        let collecting = run.stages.values().filter_map(|stage| Some((stage, stage.collecting.as_ref()?)));
        let uncollected: usize =
            collecting.map(|(stage, collecting)| stage.jobs.len() - collecting.count()).sum();
        if uncollected != run.uncollected {
            return Err(Violation(format!(
                "run {id} counts {} results to be collected, {uncollected} are",
                run.uncollected
            )));
        }
        if job.is_ended() && job.outcome() == Outcome::Done && uncollected > 0 {
            return Err(Violation(format!(
                "run {id} is DONE and {uncollected} of its results are not collected"
            )));
        }
        if matches!(job.state, State::Open { .. }) && going == 0 && uncollected == 0 {
            return Err(Violation(format!("run {id} has not ended and nothing of it goes on")));
        }
        Ok(())
    }

    /// How a stage stands, counted anew, and how many of its jobs have not ended.
    fn check_stage(
        &self,
        id: JobId,
        name: &str,
        stage: &Stage,
        may_fail: bool,
    ) -> Result<(Stand, usize), Violation> {
        let (mut open, mut well) = (0, 0);
        for (place, job_id) in &stage.jobs {
            let job = self.ids.get(job_id).map(|&slot| self.job(slot));
            let Some(job) = job.filter(|job| is_at(job, id, *place)) else {
                return Err(Violation(format!("job {place} of stage \"{name}\" of run {id} is gone")));
            };
            open += usize::from(!job.is_ended());
            well += usize::from(job.is_ended() && (may_fail || job.outcome() == Outcome::Done));
            let is_held = matches!(job.state, State::Held | State::Delayed { .. } | State::Ended { .. });
            if !stage.is_begun && !is_held || stage.is_begun && job.state == State::Held {
                let state = &job.state;
                return Err(Violation(format!(
                    "job {place} of stage \"{name}\" of run {id} is {state:?}; that the stage has begun is {}",
                    stage.is_begun
                )));
            }
        }
        if (open, well) != (stage.open, stage.well) {
            return Err(Violation(format!(
                "stage \"{name}\" of run {id} counts {} jobs open and {} well; {open} and {well} are",
                stage.open, stage.well
            )));
        }
        let ended = stage.jobs.len() - open;
        if stage.collecting.as_ref().is_some_and(|collecting| !collecting.is_sound(ended)) {
            return Err(Violation(format!(
                "of stage \"{name}\" of run {id} {ended} jobs have ended, and others are to be collected or are"
            )));
        }
        let stand = match stage {
            Stage { is_begun: false, .. } => Stand::Waiting,
            Stage { trouble: Some(_), .. } => Stand::Badly,
            Stage { is_closed: true, open: 0, .. } => Stand::Well,
            _ => Stand::Going,
        };
        Ok((stand, open))
    }
}

fn is_at(job: &Job, run: JobId, place: u64) -> bool {
    matches!(job.part.as_deref(), Some(Part::InStage { run: of, place: at, .. }) if (*of, *at) == (run, place))
}
