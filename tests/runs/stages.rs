//! The judge's account of stages: what was added to each, whether it was closed, and how its jobs ended.

use std::sync::Arc;

use bytes::Bytes;
use forebay::core::jobs::{Admin, Answer, End, Jobs, Tag};
use forebay::model::pipeline::StepKind;
use forebay::model::{Body, InStage, JobId, JobOptions, QueueName, ReplyMode, Status, Submission, Verdict};
use forebay::wire::command::Grant;

use crate::account::World;
use crate::random::Random;
use crate::storm::is_well;

/// A stage as its owner and the workers know it.
#[derive(Clone, Default)]
pub(crate) struct Stage {
    /// Its jobs, in the order of their places.
    pub(crate) jobs: Vec<Member>,
    /// Nothing will be added any more, and the table was told so.
    pub(crate) is_closed: bool,
    /// The table has said that it is.
    is_told: bool,
}

#[derive(Clone)]
pub(crate) struct Member {
    submission: Option<Box<Submission>>,
    job: Option<JobId>,
    body: Body,
    is_accepted: bool,
    ended: Option<Arc<Verdict>>,
}

impl Stage {
    pub(crate) fn is_well(&self, may_fail: bool) -> bool {
        self.ends().all(|end| end.is_some_and(|verdict| is_well(verdict.outcome, may_fail)))
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = Option<JobId>> {
        self.jobs.iter().map(Member::id)
    }

    /// How each of its jobs ended, if it has.
    pub(crate) fn ends(&self) -> impl Iterator<Item = Option<&Arc<Verdict>>> {
        self.jobs.iter().map(|member| member.ended.as_ref())
    }
}

impl Member {
    /// Its job, once it is known.
    pub(crate) fn id(&self) -> Option<JobId> {
        self.job
    }

    pub(crate) fn end(&self) -> Option<&Arc<Verdict>> {
        self.ended.as_ref()
    }
}

impl World {
    /// Any open stage of a run that goes on.
    fn pick_stage(&self, random: &mut Random, closed: bool) -> Option<(JobId, usize)> {
        let live = self.runs.iter().filter(|(_, run)| run.is_accepted && run.end.is_none());
        let stages = live.flat_map(|(id, run)| {
            let kinds = run.steps.iter().map(|step| step.kind).zip(&run.stages).enumerate();
            let open =
                kinds.filter(|(_, (kind, stage))| *kind == StepKind::Open && stage.is_closed == closed);
            open.map(|(at, _)| (*id, at)).collect::<Vec<_>>()
        });
        let all: Vec<_> = stages.collect();
        (!all.is_empty()).then(|| random.pick(&all))
    }

    pub(crate) fn add(&mut self, random: &mut Random) {
        let Some((run, at)) = self.pick_stage(random, false) else { return };
        let submission = self.job_for(run, at, random);
        let member = Member {
            job: Some(submission.id),
            body: submission.body.clone(),
            submission: Some(Box::new(submission.clone())),
            is_accepted: false,
            ended: None,
        };
        let Some(known) = self.runs.get_mut(&run) else { return };
        self.members.insert(submission.id, (run, at, known.stages[at].jobs.len()));
        known.stages[at].jobs.push(member);
        self.tally.added += 1;
        self.add_job(submission);
    }

    /// One that comes when the stage is closed.
    pub(crate) fn add_late(&mut self, random: &mut Random) {
        if let Some((run, at)) = self.pick_stage(random, true) {
            let submission = self.job_for(run, at, random);
            self.add_job(submission);
        }
    }

    fn add_job(&mut self, submission: Submission) {
        let tag = self.tag();
        self.adds.insert(tag, submission.id);
        self.table.submit(self.now, tag, &self.asker, submission);
    }

    fn job_for(&mut self, run: JobId, at: usize, random: &mut Random) -> Submission {
        let mut payload = run.0.to_vec();
        payload.push(at as u8);
        payload.extend(self.next_frame());
        let step = self.runs[&run].steps[at].name.clone();
        Submission {
            options: JobOptions { delay_ms: random.chance(100).then_some(30), ..JobOptions::default() },
            reply: ReplyMode::Keep,
            stage: Some(Box::new(InStage { run, step, place: 0, in_its_queue: true })),
            ..Submission::new(
                JobId::new(self.now.wall_ms, random.bytes()),
                QueueName::new("not looked at").expect("a name"),
                Body::one(payload),
            )
        }
    }

    pub(crate) fn close_one(&mut self, random: &mut Random) {
        if let Some((run, at)) = self.pick_stage(random, false) {
            self.close(run, at);
        }
    }

    /// Closes everything that is open.
    pub(crate) fn close_all(&mut self) {
        let mut random = Random::of(0, 3);
        while let Some((run, at)) = self.pick_stage(&mut random, false) {
            self.close(run, at);
        }
    }

    fn close(&mut self, run: JobId, at: usize) {
        let Some(known) = self.runs.get_mut(&run) else { return };
        known.stages[at].is_closed = true;
        let (step, count) = (known.steps[at].name.clone(), known.stages[at].jobs.len() as u64);
        let tag = self.tag();
        self.closes.insert(tag, (run, at));
        self.tally.closed += 1;
        let what = Admin::StageClose { id: run, step, count: Some(count), by: self.asker.clone() };
        self.table.admin(self.now, tag, &what);
    }

    /// The broker has started anew: what it has not confirmed is said again, in order.
    pub(crate) fn say_stages_again(&mut self) {
        (self.adds, self.closes) = Default::default();
        let live = self.runs.iter().filter(|(_, run)| run.is_accepted && run.end.is_none());
        let stages =
            live.flat_map(|(id, run)| run.stages.iter().enumerate().map(|(at, stage)| (*id, at, stage)));
        let (mut jobs, mut closed) = (Vec::new(), Vec::new());
        for (run, at, stage) in stages {
            let open = stage.jobs.iter().filter(|member| !member.is_accepted);
            jobs.extend(open.filter_map(|member| member.submission.clone()));
            closed.extend((stage.is_closed && !stage.is_told).then_some((run, at)));
        }
        for submission in jobs {
            self.add_job(Submission { resent: true, ..*submission });
        }
        closed.into_iter().for_each(|(run, at)| self.close(run, at));
    }

    pub(crate) fn stage_answered(&mut self, tag: Tag, answer: &Answer) -> Result<(), String> {
        if let Some((run, at)) = self.closes.remove(&tag)
            && let Some(known) = self.runs.get_mut(&run)
        {
            known.stages[at].is_told = matches!(answer, Answer::Json(_));
            let is_over = matches!(answer, Answer::Refused(failure) if failure.status == Status::State);
            if !known.stages[at].is_told && !is_over {
                return Err(format!("stage {at} of run {run} is not closed: {answer:?}"));
            }
        }
        let Some(id) = self.adds.remove(&tag) else { return Ok(()) };
        match (self.members.get(&id).copied(), answer) {
            (Some((run, at, place)), Answer::Done) => {
                if let Some(known) = self.runs.get_mut(&run) {
                    known.stages[at].jobs[place].is_accepted = true;
                }
                Ok(())
            }
            // The run may have ended meanwhile. One that is DONE has all of them, and is held to it.
            (Some(_), Answer::Refused(failure)) if failure.status == Status::State => Ok(()),
            (None, Answer::Refused(failure)) if failure.status == Status::State => Ok(()),
            (None, _) => Err(format!("job {id} is added to a stage that is closed: {answer:?}")),
            (Some(_), _) => Err(format!("job {id} is not added to its stage: {answer:?}")),
        }
    }

    /// One of the jobs of a stage is handed out: everything the stage needs is done, it is not, and it carries what it should.
    pub(crate) fn granted_in_stage(&mut self, id: JobId, at: usize, grant: &Grant) -> Result<(), String> {
        let Some(run) = self.runs.get_mut(&id) else { return Ok(()) };
        let name = format!("a job of stage {at} of run {id}");
        run.may_begin(at).map_err(|why| format!("{name} {why}"))?;
        if run.steps[at].kind == StepKind::Each && run.stages[at].jobs.is_empty() {
            let own = run.steps[at].body.clone();
            let made = |frame: Bytes| {
                let mut body = own.clone();
                body.0.push(frame);
                Member { submission: None, job: None, body, is_accepted: true, ended: None }
            };
            run.stages[at].jobs = run.inputs(at, false).into_iter().map(made).collect();
            self.tally.fanned += 1;
        }
        // No two of them carry the same.
        let place = run.stages[at].jobs.iter().position(|member| member.body == grant.body);
        let place = place.ok_or(format!("{name} is not given what it should"))?;
        let member = &mut run.stages[at].jobs[place];
        if member.ended.is_some() {
            return Err(format!("{name} begins though it has ended"));
        }
        if member.job.is_some_and(|job| job != grant.id) {
            return Err(format!("{name} is there twice"));
        }
        member.job = Some(grant.id);
        self.members.insert(grant.id, (id, at, place));
        Ok(())
    }

    pub(crate) fn ended_in_stage(
        &mut self,
        run: JobId,
        at: usize,
        place: usize,
        verdict: Arc<Verdict>,
    ) -> Result<(), String> {
        let Some(known) = self.runs.get_mut(&run) else { return Ok(()) };
        let member = &mut known.stages[at].jobs[place];
        match &member.ended {
            Some(before) if before.outcome != verdict.outcome => {
                let (first, then) = (before.outcome, verdict.outcome);
                Err(format!("job {place} of stage {at} of run {run} ended {first:?} and then {then:?}"))
            }
            _ => {
                member.ended = Some(verdict);
                Ok(())
            }
        }
    }

    /// The same end with frames that no other result has.
    pub(crate) fn with_own_frames(&mut self, end: End) -> End {
        match end {
            End::Done(mut completion) => {
                let body = &mut Arc::make_mut(&mut completion).body;
                body.0.iter_mut().for_each(|frame| *frame = self.next_frame().into());
                End::Done(completion)
            }
            end => end,
        }
    }

    fn next_frame(&mut self) -> Vec<u8> {
        self.frames += 1;
        self.frames.to_be_bytes().to_vec()
    }
}
