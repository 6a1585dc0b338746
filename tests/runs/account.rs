//! The table of jobs, a store that is a list of batches, workers, and what each run was told to be and has come to: the
//! judge's own account, made from what the table says and from nothing it keeps.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use forebay::core::job_table::{JobTable, TableConfig};
use forebay::core::jobs::{
    Admin, Allowance, Answer, Asker, Class, End, Event, Io, IoDone, Jobs, SessionId, Tag, WorkerId,
};
use forebay::core::record::Record;
use forebay::model::pipeline::{Need, Pipeline, Step, StepKind};
use forebay::model::{
    Body, Headers, JobId, JobOptions, Lease, Now, Outcome, Owner, QueueName, Status, Submission, Verdict,
};
use forebay::wire::codec::pipeline::encode;
use forebay::wire::command::{Grant, Presented};

use crate::collect::{Asked, Collector};
use crate::random::Random;
use crate::stages::Stage;
use crate::storm::{Tally, is_well};

const WALL_MS: u64 = 1_780_000_000_000;
const QUEUE: &str = "q";

/// A run as it was submitted, and as far as was told of it.
pub(crate) struct Run {
    submission: Submission,
    pub(crate) steps: Vec<Step>,
    pub(crate) is_accepted: bool,
    is_cancelled: bool,
    /// The job of each step, once one was handed out.
    jobs: Vec<Option<JobId>>,
    ended: Vec<Option<Arc<Verdict>>>,
    /// The stage that each step is, if it is one.
    pub(crate) stages: Vec<Stage>,
    /// It waits for its context, which is what was said last and whether the table has confirmed that.
    pub(crate) is_held: bool,
    pub(crate) context: Option<(Vec<u8>, bool)>,
    pub(crate) end: Option<Outcome>,
}

/// A job in a worker's hands.
#[derive(Clone)]
pub(crate) struct Held {
    id: JobId,
    attempt: u32,
    is_begun: bool,
}

#[derive(Default)]
pub(crate) struct Worker {
    allowed: u64,
    pub(crate) held: BTreeMap<Lease, Held>,
}

pub(crate) struct World {
    config: TableConfig,
    pub(crate) table: JobTable,
    pub(crate) now: Now,
    pub(crate) asker: Asker,
    tags: Tag,
    names: u64,
    /// Batches that are not synced yet, and those that are.
    pending: VecDeque<(u64, Vec<Record>)>,
    records: Vec<Record>,
    pub(crate) workers: BTreeMap<WorkerId, Worker>,
    pub(crate) runs: BTreeMap<JobId, Run>,
    submits: BTreeMap<Tag, JobId>,
    presents: BTreeMap<Tag, (WorkerId, Held)>,
    asks: BTreeMap<Tag, JobId>,
    /// Which step a job is.
    steps: BTreeMap<JobId, (JobId, usize)>,
    /// Which place of which stage a job has.
    pub(crate) members: BTreeMap<JobId, (JobId, usize, usize)>,
    pub(crate) adds: BTreeMap<Tag, JobId>,
    pub(crate) closes: BTreeMap<Tag, (JobId, usize)>,
    pub(crate) collectors: BTreeMap<(JobId, usize), Collector>,
    pub(crate) collects: BTreeMap<Tag, (JobId, usize, Asked)>,
    pub(crate) contexts: BTreeMap<Tag, JobId>,
    /// Makes every frame of a result another one.
    pub(crate) frames: u64,
    pub(crate) tally: Tally,
}

impl World {
    pub(crate) fn new(seed: u64, durable: bool) -> World {
        let config = TableConfig { durable, seed, broker: [7; 16], ..TableConfig::default() };
        World {
            table: JobTable::new(config.clone()),
            config,
            now: Now { us: 1_000_000, wall_ms: WALL_MS },
            asker: Asker { owner: Arc::new(Owner::default()), session: SessionId(1) },
            tags: 0,
            names: 0,
            pending: VecDeque::new(),
            records: Vec::new(),
            workers: BTreeMap::new(),
            runs: BTreeMap::new(),
            submits: BTreeMap::new(),
            presents: BTreeMap::new(),
            asks: BTreeMap::new(),
            steps: BTreeMap::new(),
            members: BTreeMap::new(),
            adds: BTreeMap::new(),
            closes: BTreeMap::new(),
            collectors: BTreeMap::new(),
            collects: BTreeMap::new(),
            contexts: BTreeMap::new(),
            frames: 0,
            tally: Tally::default(),
        }
    }

    pub(crate) fn tag(&mut self) -> Tag {
        self.tags += 1;
        self.tags
    }

    /// A run of a random graph; needs go from later to earlier steps, in either order of declaration.
    pub(crate) fn submit(&mut self, random: &mut Random) {
        let id = JobId::new(self.now.wall_ms, random.bytes());
        let len = random.between(1, 8) as usize;
        let turned = random.chance(500);
        let place = |at: usize| if turned { len - 1 - at } else { at };
        let mut steps: Vec<Step> = (0..len).map(|at| step(id, at, random)).collect();
        for at in 0..len {
            for before in 0..at {
                if !random.chance(350) {
                    continue;
                }
                let need = Need { step: place(before) as u32, is_input: random.chance(700) };
                steps[place(at)].needs.push(need);
            }
        }
        steps.iter_mut().for_each(make_sound);
        let name = QueueName::new("storm").expect("a name");
        let pipeline = Pipeline::new(name.clone(), steps.clone()).expect("needs go one way");
        let pipeline = pipeline.held(random.chance(300));
        let is_held = pipeline.is_held();
        let submission = Submission { is_run: true, ..Submission::new(id, name, encode(&pipeline)) };
        let (jobs, ended) = (vec![None; len], vec![None; len]);
        let stages = vec![Stage::default(); len];
        let run = Run {
            submission: submission.clone(),
            steps,
            is_accepted: false,
            is_cancelled: false,
            jobs,
            ended,
            stages,
            is_held,
            context: None,
            end: None,
        };
        self.runs.insert(id, run);
        self.hand_in(submission);
    }

    fn hand_in(&mut self, submission: Submission) {
        let tag = self.tag();
        self.submits.insert(tag, submission.id);
        self.table.submit(self.now, tag, &self.asker, submission);
    }

    pub(crate) fn submit_again(&mut self, random: &mut Random) {
        if let Some(id) = self.pick_run(random) {
            let submission = Submission { resent: true, ..self.runs[&id].submission.clone() };
            self.hand_in(submission);
        }
    }

    pub(crate) fn submit_what_is_not_accepted(&mut self) {
        let lost = self.runs.values().filter(|run| !run.is_accepted);
        let lost: Vec<Submission> = lost.map(|run| run.submission.clone()).collect();
        lost.into_iter().for_each(|submission| self.hand_in(Submission { resent: true, ..submission }));
    }

    pub(crate) fn hire(&mut self, random: &mut Random) {
        self.names += 1;
        let id = WorkerId(self.names);
        self.workers.insert(id, Worker::default());
        self.table.arrive(self.now, id, "worker");
        let class = Class { queue: QueueName::new(QUEUE).expect("a name"), slots: 0, weight: 1 };
        self.table.take(self.now, id, &class);
        self.allow(id, random.between(1, 3));
    }

    fn allow(&mut self, id: WorkerId, more: u64) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.allowed += more;
        self.table.demand(self.now, id, Allowance { jobs: worker.allowed, bytes: 0 });
    }

    /// Any run is given a context, or another one.
    pub(crate) fn set_context(&mut self, random: &mut Random) {
        let live = self.runs.iter().filter(|(_, run)| run.is_accepted && run.end.is_none());
        let live: Vec<JobId> = live.map(|(id, _)| *id).collect();
        if !live.is_empty() {
            let id = random.pick(&live);
            let context = random.bytes::<3>().to_vec();
            self.give_context(id, context);
        }
    }

    /// Every run that waits for its context gets it.
    pub(crate) fn set_contexts(&mut self) {
        let waits = |run: &Run| run.is_held && run.context.is_none() && run.is_accepted && run.end.is_none();
        let waiting: Vec<JobId> = self.runs.iter().filter(|(_, run)| waits(run)).map(|(id, _)| *id).collect();
        waiting.into_iter().for_each(|id| self.give_context(id, vec![9]));
    }

    fn give_context(&mut self, id: JobId, context: Vec<u8>) {
        let tag = self.tag();
        self.contexts.insert(tag, id);
        if let Some(run) = self.runs.get_mut(&id) {
            run.context = Some((context.clone(), false));
        }
        let by = self.asker.clone();
        self.table.admin(self.now, tag, &Admin::Context { id, context: context.into(), by });
    }

    /// The broker has started anew: what it has not confirmed is said again.
    fn say_contexts_again(&mut self) {
        self.contexts.clear();
        let lost = self.runs.iter().filter(|(_, run)| run.is_accepted && run.end.is_none());
        let lost = lost.filter_map(|(id, run)| Some((*id, run.context.clone().filter(|(_, told)| !told)?)));
        let lost: Vec<_> = lost.collect();
        lost.into_iter().for_each(|(id, (context, _))| self.give_context(id, context));
    }

    fn context_answered(&mut self, tag: Tag, answer: &Answer) -> Result<(), String> {
        let Some(id) = self.contexts.remove(&tag) else { return Ok(()) };
        let is_last = !self.contexts.values().any(|other| *other == id);
        match answer {
            Answer::Json(_) => {
                self.tally.contexts += 1;
                if let Some(context) = self.runs.get_mut(&id).and_then(|run| run.context.as_mut()) {
                    context.1 = is_last;
                }
                Ok(())
            }
            Answer::Refused(failure) if failure.status == Status::State => Ok(()),
            answer => Err(format!("run {id} is given no context: {answer:?}")),
        }
    }

    /// Any lease, begun or not.
    fn pick_lease(&self, random: &mut Random, begun: bool) -> Option<(WorkerId, Lease)> {
        let of = |(id, worker): (&WorkerId, &Worker)| {
            let fits = worker.held.iter().filter(|(_, held)| held.is_begun == begun);
            fits.map(|(lease, _)| (*id, *lease)).collect::<Vec<_>>()
        };
        let all: Vec<_> = self.workers.iter().flat_map(of).collect();
        (!all.is_empty()).then(|| random.pick(&all))
    }

    pub(crate) fn begin_one(&mut self, random: &mut Random) {
        let Some((worker, lease)) = self.pick_lease(random, false) else { return };
        if let Some(held) = self.workers.get_mut(&worker).and_then(|worker| worker.held.get_mut(&lease)) {
            held.is_begun = true;
            self.table.start(self.now, lease);
        }
    }

    pub(crate) fn end_one(&mut self, random: &mut Random, end: End) {
        let Some((worker, lease)) = self.pick_lease(random, true) else { return };
        let tag = self.tag();
        let end = self.with_own_frames(end);
        self.table.finish(self.now, tag, lease, end);
        self.free(worker, lease);
    }

    /// The worker's slot is free again.
    fn free(&mut self, worker: WorkerId, lease: Lease) {
        let held = self.workers.get_mut(&worker).and_then(|worker| worker.held.remove(&lease));
        if held.is_some() {
            self.allow(worker, 1);
        }
    }

    pub(crate) fn lose_worker(&mut self, random: &mut Random) {
        let ids: Vec<WorkerId> = self.workers.keys().copied().collect();
        if ids.is_empty() {
            return;
        }
        let id = random.pick(&ids);
        let Some(worker) = self.workers.remove(&id) else { return };
        for lease in worker.held.keys() {
            let tag = self.tag();
            self.table.finish(self.now, tag, *lease, End::Lost { alone: true, counted: false, crash: None });
        }
        self.table.leave(self.now, id);
    }

    fn pick_run(&self, random: &mut Random) -> Option<JobId> {
        let ids: Vec<JobId> = self.runs.keys().copied().collect();
        (!ids.is_empty()).then(|| random.pick(&ids))
    }

    pub(crate) fn cancel(&mut self, random: &mut Random) {
        let Some(id) = self.pick_run(random) else { return };
        let tag = self.tag();
        if let Some(run) = self.runs.get_mut(&id).filter(|run| run.is_accepted) {
            run.is_cancelled = true;
            self.table.cancel(self.now, tag, id, &self.asker, false, "enough");
        }
    }

    /// Somebody takes the result of a step for his own; the run needs it all the same.
    pub(crate) fn forget_a_step(&mut self, random: &mut Random) {
        let ids: Vec<JobId> = self.steps.keys().copied().collect();
        if !ids.is_empty() {
            self.forget(random.pick(&ids));
        }
    }

    pub(crate) fn forget(&mut self, id: JobId) {
        let tag = self.tag();
        self.table.forget(self.now, tag, id, &self.asker);
    }

    pub(crate) fn pass_ms(&mut self, ms: u64) {
        self.now.us += ms * 1_000;
        self.now.wall_ms += ms;
        for (id, worker) in &self.workers {
            let leases: Vec<Lease> = worker.held.keys().copied().collect();
            self.table.extend(self.now, *id, &leases);
        }
        self.table.tick(self.now);
    }

    /// The oldest batch is synced.
    pub(crate) fn sync(&mut self) {
        if let Some((upto, records)) = self.pending.pop_front() {
            self.records.extend(records);
            self.table.io_done(self.now, IoDone::Synced { upto });
        }
    }

    pub(crate) fn sync_all(&mut self) -> Result<(), String> {
        self.settle()?;
        while !self.pending.is_empty() {
            self.sync();
            self.settle()?;
        }
        Ok(())
    }

    /// The broker is killed: of what was not synced a part is there all the same. Workers come back with what they have
    /// begun, or do not.
    pub(crate) fn crash(&mut self, random: &mut Random) -> Result<(), String> {
        if !self.config.durable {
            return Ok(());
        }
        self.tally.crashes += 1;
        for _ in 0..random.below(self.pending.len() as u64 + 1) {
            let (_, records) = self.pending.pop_front().expect("counted");
            self.records.extend(records);
        }
        self.pending.clear();
        self.config.epoch += 1;
        self.table = JobTable::new(self.config.clone());
        self.table.recover(self.now, self.records.iter().cloned());
        self.submits.clear();
        self.presents.clear();
        self.asks.clear();
        self.table.tick(self.now);
        self.ask_about_everything();
        self.say_stages_again();
        self.ack_again();
        self.say_contexts_again();
        self.settle()?;
        for worker in std::mem::take(&mut self.workers).into_values() {
            if !random.chance(600) {
                continue;
            }
            self.hire(random);
            let id = WorkerId(self.names);
            for (lease, held) in worker.held.into_iter().filter(|(_, held)| held.is_begun) {
                let tag = self.tag();
                let presented = Presented {
                    id: held.id,
                    queue: QUEUE.into(),
                    broker: self.config.broker,
                    token: lease.token,
                    attempt: held.attempt,
                    answered: false,
                };
                self.presents.insert(tag, (id, held));
                self.table.present(self.now, tag, id, &presented);
            }
        }
        self.submit_what_is_not_accepted();
        Ok(())
    }

    /// What ended just before the broker was killed was told to nobody.
    fn ask_about_everything(&mut self) {
        let open = self.runs.iter().filter(|(_, run)| run.end.is_none()).map(|(id, _)| *id);
        // Steps first: a run's end is judged by theirs.
        let ids: Vec<JobId> =
            self.steps.keys().copied().chain(self.members.keys().copied()).chain(open).collect();
        for id in ids {
            let tag = self.tag();
            self.asks.insert(tag, id);
            self.table.get(self.now, tag, id, &self.asker);
        }
    }

    /// Takes everything the table says, judges it, and looks at the table's own invariants.
    pub(crate) fn settle(&mut self) -> Result<(), String> {
        loop {
            while let Some(event) = self.table.poll() {
                self.judge(event)?;
            }
            match self.table.poll_io() {
                Some(Io::Append { upto, records }) => self.pending.push_back((upto, records)),
                Some(Io::Read { .. }) => return Err("a payload is read that was never left".into()),
                None => break,
            }
        }
        self.table.check(self.now).map_err(|violation| violation.0)
    }

    fn judge(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Grant { worker, grant } => self.granted(worker, &grant),
            Event::Revoke { worker, lease, .. } => {
                self.tally.revoked += 1;
                self.free(worker, lease);
                Ok(())
            }
            Event::Recall { worker, lease } => {
                let held = self.workers.get(&worker).and_then(|worker| worker.held.get(&lease));
                if held.is_some_and(|held| !held.is_begun) {
                    let tag = self.tag();
                    self.table.finish(self.now, tag, lease, End::Unstarted);
                    self.free(worker, lease);
                }
                Ok(())
            }
            Event::Ended { id, verdict, .. } => self.ended(id, verdict),
            Event::Reply { tag, answer } => self.answered(tag, answer),
            Event::Said { .. } | Event::Pressure { .. } => Ok(()),
        }
    }

    fn answered(&mut self, tag: Tag, answer: Answer) -> Result<(), String> {
        if let Some(id) = self.submits.remove(&tag) {
            let Answer::Done = answer else { return Err(format!("run {id} is refused: {answer:?}")) };
            if let Some(run) = self.runs.get_mut(&id) {
                run.is_accepted = true;
            }
        }
        self.stage_answered(tag, &answer)?;
        self.collect_answered(tag, &answer)?;
        self.context_answered(tag, &answer)?;
        if let (Some(id), Answer::State { verdict: Some(verdict), .. }) = (self.asks.remove(&tag), &answer) {
            self.ended(id, verdict.clone())?;
        }
        if let Some((worker, held)) = self.presents.remove(&tag)
            && let Answer::Adopted(lease) = answer
        {
            self.tally.adopted += 1;
            if let Some(worker) = self.workers.get_mut(&worker) {
                worker.held.insert(lease, held);
            }
        }
        Ok(())
    }

    /// A step is handed out: everything it needs is done, it is not, and it carries what it should.
    fn granted(&mut self, worker: WorkerId, grant: &Grant) -> Result<(), String> {
        let (run_id, at) = step_of(&grant.body).ok_or("a job is handed out that is no step")?;
        let run = self.runs.get_mut(&run_id).ok_or("a step of a run that never was")?;
        let name = format!("step {at} of run {run_id}");
        if run.end.is_some() {
            return Err(format!("{name} begins though its run has ended"));
        }
        run.check_context(grant).map_err(|why| format!("{name} {why}"))?;
        if run.steps[at].kind != StepKind::Job {
            self.granted_in_stage(run_id, at, grant)?;
            return self.hold(worker, grant);
        }
        let Some(run) = self.runs.get_mut(&run_id) else { return Ok(()) };
        if run.ended[at].is_some() {
            return Err(format!("{name} begins though it has ended"));
        }
        if run.jobs[at].is_some_and(|job| job != grant.id) {
            return Err(format!("{name} has a second job"));
        }
        run.may_begin(at).map_err(|why| format!("{name} {why}"))?;
        let mut body = run.steps[at].body.clone();
        body.0.extend(run.inputs(at, true));
        if grant.body != body {
            return Err(format!("{name} is not given its payload and the results it takes"));
        }
        run.jobs[at] = Some(grant.id);
        self.steps.insert(grant.id, (run_id, at));
        self.hold(worker, grant)
    }

    fn hold(&mut self, worker: WorkerId, grant: &Grant) -> Result<(), String> {
        self.tally.begun += 1;
        let held = Held { id: grant.id, attempt: grant.attempt, is_begun: false };
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.held.insert(grant.lease, held);
        }
        Ok(())
    }

    fn ended(&mut self, id: JobId, verdict: Arc<Verdict>) -> Result<(), String> {
        if self.runs.contains_key(&id) {
            return self.run_ended(id, &verdict);
        }
        if let Some(&(run_id, at, place)) = self.members.get(&id) {
            return self.ended_in_stage(run_id, at, place, verdict);
        }
        // A job that was never handed out is one of a run that was cancelled or has failed.
        let Some((run_id, at)) = self.steps.get(&id).copied() else { return Ok(()) };
        let run = self.runs.get_mut(&run_id).ok_or("a step of no run")?;
        if let Some(before) = &run.ended[at]
            && before.outcome != verdict.outcome
        {
            let (first, then) = (before.outcome, verdict.outcome);
            return Err(format!("step {at} of run {run_id} ended {first:?} and then {then:?}"));
        }
        self.tally.passed_over += u64::from(verdict.outcome != Outcome::Done && run.steps[at].may_fail);
        run.ended[at] = Some(verdict);
        Ok(())
    }

    /// A run ends once, and as its steps have.
    fn run_ended(&mut self, id: JobId, verdict: &Verdict) -> Result<(), String> {
        let run = self.runs.get_mut(&id).expect("looked for before");
        match run.end {
            // It may be said again to whoever submits it again.
            Some(before) if before == verdict.outcome => return Ok(()),
            Some(before) => return Err(format!("run {id} ended {before:?} and then {:?}", verdict.outcome)),
            None => run.end = Some(verdict.outcome),
        }
        let steps = 0..run.steps.len();
        let well = steps.clone().filter(|&at| run.is_well(at)).count();
        let badly = steps.filter(|&at| run.is_bad(at)).count();
        let collectors = &self.collectors;
        let is_collected = |at: usize| {
            let collector = collectors.get(&(id, at));
            let has = |job: JobId| collector.is_some_and(|collector| collector.has(job));
            !run.steps[at].is_collected || run.stages[at].ids().all(|job| job.is_some_and(has))
        };
        if verdict.outcome == Outcome::Done && !(0..run.steps.len()).all(is_collected) {
            return Err(format!("run {id} is DONE before its results are collected"));
        }
        let is_right = match verdict.outcome {
            Outcome::Done => well == run.steps.len() && verdict.body == run.outputs(),
            Outcome::Failed => badly > 0,
            Outcome::Cancelled => run.is_cancelled,
            _ => false,
        };
        match verdict.outcome {
            Outcome::Done => self.tally.done += 1,
            Outcome::Failed => self.tally.failed += 1,
            _ => self.tally.cancelled += 1,
        }
        match is_right {
            true => Ok(()),
            false => {
                Err(format!("run {id} ended {:?} with {well} steps well and {badly} not", verdict.outcome))
            }
        }
    }
}

impl Run {
    /// A job is handed out with its run's context; one that is being changed may be the one before.
    fn check_context(&self, grant: &Grant) -> Result<(), String> {
        let given =
            grant.headers.0.iter().find(|(name, _)| name == "forebay-context").map(|(_, value)| value);
        match (&self.context, given) {
            (None, None) if self.is_held => Err("begins though its run waits for its context".into()),
            (None, None) => Ok(()),
            (Some((said, _)), Some(given)) if said[..] == given[..] => Ok(()),
            (Some((_, false)), _) if !self.is_held || given.is_some() => Ok(()),
            _ => Err(format!("is given {given:?} for its run's context")),
        }
    }

    /// Everything the step needs has gone well.
    pub(crate) fn may_begin(&self, at: usize) -> Result<(), String> {
        let mut needs = self.steps[at].needs.iter().map(|need| need.step as usize);
        match needs.find(|needed| !self.is_well(*needed)) {
            Some(needed) if self.is_bad(needed) => {
                Err(format!("begins though step {needed} it needs has failed"))
            }
            Some(needed) => Err(format!("begins before step {needed} it needs")),
            None => Ok(()),
        }
    }

    fn is_well(&self, at: usize) -> bool {
        let may_fail = self.steps[at].may_fail;
        match self.steps[at].kind {
            StepKind::Job => {
                self.ended[at].as_ref().is_some_and(|verdict| is_well(verdict.outcome, may_fail))
            }
            StepKind::Open => self.stages[at].is_closed && self.stages[at].is_well(may_fail),
            StepKind::Each => {
                // Of no frame there is no job.
                let is_made = || self.stages[at].jobs.len() == self.inputs(at, false).len();
                self.may_begin(at).is_ok() && is_made() && self.stages[at].is_well(may_fail)
            }
        }
    }

    /// Something of it has failed, or it is cancelled, so that what goes on of it will be cancelled.
    pub(crate) fn is_going_down(&self) -> bool {
        self.is_cancelled || (0..self.steps.len()).any(|at| self.is_bad(at))
    }

    fn is_bad(&self, at: usize) -> bool {
        let bad = |verdict: &Arc<Verdict>| !is_well(verdict.outcome, self.steps[at].may_fail);
        self.ended[at].as_ref().is_some_and(bad) || self.stages[at].ends().flatten().any(bad)
    }

    /// The frames of the results a step takes.
    pub(crate) fn inputs(&self, at: usize, each: bool) -> Vec<Bytes> {
        let needs = self.steps[at].needs.iter().filter(|need| need.is_input);
        needs.flat_map(|need| self.frames(need.step as usize, each)).collect()
    }

    /// The frames of a step's result; with `each` an empty one for a result without any.
    fn frames(&self, at: usize, each: bool) -> Vec<Bytes> {
        let of = |verdict: Option<&Arc<Verdict>>| match verdict.map(|verdict| verdict.body.0.as_slice()) {
            None | Some([]) if each => vec![Bytes::new()],
            None => vec![],
            Some(frames) => frames.to_vec(),
        };
        match self.steps[at].kind {
            StepKind::Job => of(self.ended[at].as_ref()),
            _ => self.stages[at].ends().flat_map(of).collect(),
        }
    }

    /// The results of the steps no other needs, in the order of the steps.
    fn outputs(&self) -> Body {
        let needed: BTreeSet<usize> =
            self.steps.iter().flat_map(|step| &step.needs).map(|need| need.step as usize).collect();
        let last = (0..self.steps.len()).filter(|at| !needed.contains(at) && !self.steps[*at].is_collected);
        Body(last.flat_map(|at| self.frames(at, true)).collect())
    }
}

/// An open stage takes no results and has no payload; a step of one job for each frame takes some.
fn make_sound(step: &mut Step) {
    if step.kind == StepKind::Open {
        step.needs.iter_mut().for_each(|need| need.is_input = false);
        step.body = Body::default();
    } else if !step.needs.iter().any(|need| need.is_input) {
        step.kind = StepKind::Job;
    }
    step.is_collected &= step.kind != StepKind::Job;
}

fn step(run: JobId, at: usize, random: &mut Random) -> Step {
    let mut payload = run.0.to_vec();
    payload.push(at as u8);
    Step {
        name: format!("step {at}"),
        kind: random.pick(&[StepKind::Job, StepKind::Job, StepKind::Open, StepKind::Each]),
        queue: QueueName::new(QUEUE).expect("a name"),
        body: Body::one(payload),
        headers: Headers::default(),
        options: JobOptions {
            attempts: Some(random.between(1, 3) as u32),
            delay_ms: random.chance(200).then_some(50),
            backoff_ms: Some(10),
            serial_key: random.chance(150).then(|| random.pick(&["one", "two"]).into()),
            serial_jobs: random.chance(300).then_some(2),
            ..JobOptions::default()
        },
        needs: Vec::new(),
        may_fail: random.chance(300),
        is_collected: random.chance(500),
    }
}

/// The run and the place that a step's payload names. Steps that were declared the other way round keep their own.
fn step_of(body: &Body) -> Option<(JobId, usize)> {
    let frame = body.0.first()?;
    let (id, at) = frame.split_at_checked(16)?;
    Some((JobId(id.try_into().ok()?), usize::from(*at.first()?)))
}
