//! The judge's account of collectors: what each was told, what it has acknowledged, and that no result comes again after that.

use std::collections::BTreeSet;

use forebay::core::jobs::{self, Admin, Answer, Collect, CollectOrder, Jobs, Tag};
use forebay::model::{JobId, Status};
use serde_json::Value;

use crate::account::World;
use crate::random::Random;

const NAME: &str = "collector";

/// The collector of one stage.
#[derive(Clone, Default)]
pub(crate) struct Collector {
    since: Option<String>,
    /// What it has and has not acknowledged.
    told: Vec<JobId>,
    /// What it has acknowledged, and that of it of which it knows that the broker knows.
    said: BTreeSet<JobId>,
    confirmed: BTreeSet<JobId>,
}

/// What an answer is to.
#[derive(Clone, Copy)]
pub(crate) enum Asked {
    Results,
    Ack(JobId),
    Acked,
}

impl Collector {
    /// Whether it has acknowledged this job's result.
    pub(crate) fn has(&self, job: JobId) -> bool {
        self.said.contains(&job)
    }
}

impl World {
    /// Any stage of a run that goes on whose results are collected.
    fn pick_collected(&self, random: &mut Random) -> Option<(JobId, usize)> {
        let all = self.collected();
        (!all.is_empty()).then(|| random.pick(&all))
    }

    fn collected(&self) -> Vec<(JobId, usize)> {
        let live = self.runs.iter().filter(|(_, run)| run.is_accepted && run.end.is_none());
        let stages = live.flat_map(|(id, run)| {
            let steps = run.steps.iter().enumerate().filter(|(_, step)| step.is_collected);
            steps.map(|(at, _)| (*id, at)).collect::<Vec<_>>()
        });
        stages.collect()
    }

    /// Half of the stages are collected in the order of the adding.
    fn order_of(run: JobId, at: usize) -> CollectOrder {
        if (usize::from(run.0[15]) + at).is_multiple_of(2) {
            CollectOrder::Submission
        } else {
            CollectOrder::Completion
        }
    }

    pub(crate) fn collect(&mut self, random: &mut Random) {
        let Some((run, at)) = self.pick_collected(random) else { return };
        match random.below(8) {
            0..=3 => self.ask_results(run, at, random.between(1, 4) as usize),
            4..=6 => self.ack_one(run, at, random),
            _ if random.chance(500) => self.ask_acked(run, at),
            // It is killed, and begins again with nothing but its name.
            _ => {
                if let Some(collector) = self.collectors.get_mut(&(run, at)) {
                    (collector.since, collector.told) = (None, Vec::new());
                    // What it had asked is answered to nobody.
                    let is_other = |(of, stage, asked): &(JobId, usize, Asked)| {
                        (*of, *stage) != (run, at) || !matches!(asked, Asked::Results)
                    };
                    self.collects.retain(|_, asked| is_other(asked));
                    self.tally.killed += 1;
                }
            }
        }
    }

    /// Everything that can be collected is.
    pub(crate) fn collect_all(&mut self) {
        let mut random = Random::of(0, 4);
        for (run, at) in self.collected() {
            self.ask_results(run, at, 100);
            while self.collectors.get(&(run, at)).is_some_and(|collector| !collector.told.is_empty()) {
                self.ack_one(run, at, &mut random);
            }
        }
    }

    fn ask(&mut self, run: JobId, at: usize, asked: Asked, what: Collect) {
        let tag = self.tag();
        self.collects.insert(tag, (run, at, asked));
        self.table.admin(self.now, tag, &Admin::Collect(what));
    }

    fn named(&self, id: JobId, at: usize) -> jobs::Collector {
        let (step, by) = (self.runs[&id].steps[at].name.clone(), self.asker.clone());
        jobs::Collector { id, step, name: NAME.into(), by }
    }

    fn ask_results(&mut self, id: JobId, at: usize, limit: usize) {
        let since = self.collectors.entry((id, at)).or_default().since.clone();
        let (collector, order) = (self.named(id, at), Self::order_of(id, at));
        self.ask(id, at, Asked::Results, Collect::Results { collector, order, since, limit });
    }

    fn ack_one(&mut self, id: JobId, at: usize, random: &mut Random) {
        let Some(collector) = self.collectors.get_mut(&(id, at)).filter(|one| !one.told.is_empty()) else {
            return;
        };
        let job = collector.told.swap_remove(random.below(collector.told.len() as u64) as usize);
        collector.said.insert(job);
        self.ack(id, at, job);
    }

    fn ack(&mut self, id: JobId, at: usize, job: JobId) {
        let what = Collect::Ack { collector: self.named(id, at), job, data: job.0[8..].to_vec() };
        self.ask(id, at, Asked::Ack(job), what);
    }

    fn ask_acked(&mut self, id: JobId, at: usize) {
        let (step, by) = (self.runs[&id].steps[at].name.clone(), self.asker.clone());
        self.ask(id, at, Asked::Acked, Collect::Acked { id, step, since: 0, limit: 1_000, by });
    }

    /// The broker has started anew: what it has not confirmed is said again.
    pub(crate) fn ack_again(&mut self) {
        self.collects.clear();
        let live = self.collected();
        let open = self.collectors.iter().filter(|(stage, _)| live.contains(stage));
        let lost =
            open.flat_map(|(stage, one)| one.said.difference(&one.confirmed).map(|job| (*stage, *job)));
        let lost: Vec<_> = lost.collect();
        lost.into_iter().for_each(|((run, at), job)| self.ack(run, at, job));
    }

    pub(crate) fn collect_answered(&mut self, tag: Tag, answer: &Answer) -> Result<(), String> {
        let Some((run, at, asked)) = self.collects.remove(&tag) else { return Ok(()) };
        let json = match answer {
            Answer::Json(json) => json,
            // The run has been forgotten meanwhile.
            Answer::Refused(failure)
                if failure.status == Status::NotFound && self.runs[&run].end.is_some() =>
            {
                return Ok(());
            }
            answer => return Err(format!("stage {at} of run {run} cannot be collected: {answer:?}")),
        };
        match asked {
            Asked::Results => self.told(run, at, json),
            Asked::Ack(job) => {
                self.tally.collected += 1;
                self.collectors.entry((run, at)).or_default().confirmed.insert(job);
                Ok(())
            }
            Asked::Acked => self.acks(run, at, json),
        }
    }

    fn told(&mut self, run: JobId, at: usize, json: &Value) -> Result<(), String> {
        let name = format!("stage {at} of run {run}");
        let known = &self.runs[&run];
        let collector = self.collectors.entry((run, at)).or_default();
        for result in json["results"].as_array().ok_or("no results")? {
            let job = result["job"].as_str().and_then(JobId::parse).ok_or("no job")?;
            let place = result["place"].as_u64().ok_or("no place")? as usize;
            if collector.confirmed.contains(&job) {
                return Err(format!("a result of {name} is told again that was acknowledged"));
            }
            let is_known = self.members.get(&job).is_some_and(|member| *member == (run, at, place));
            let member = known.stages[at].jobs.get(place).filter(|_| is_known);
            if member.is_none_or(|member| member.end().is_none())
                && known.end.is_none()
                && !known.is_going_down()
            {
                return Err(format!("job {place} of {name} is told as ended, and has not"));
            }
            if !collector.told.contains(&job) && !collector.said.contains(&job) {
                collector.told.push(job);
            }
            let has = |place: usize| {
                let job = known.stages[at].jobs.get(place).and_then(|member| member.id());
                job.is_none_or(|job| collector.told.contains(&job) || collector.said.contains(&job))
            };
            if Self::order_of(run, at) == CollectOrder::Submission && !(0..place).all(has) {
                return Err(format!("job {place} of {name} is told before one that was added before"));
            }
        }
        collector.since = json["next"].as_str().map(str::to_owned);
        let is_all = known.stages[at].jobs.iter().all(|member| {
            member.id().is_some_and(|job| collector.told.contains(&job) || collector.said.contains(&job))
        });
        if json["end"] == true && known.end.is_none() && !known.is_going_down() && !is_all {
            return Err(format!("{name} is said to be at its end, and more is to come"));
        }
        Ok(())
    }

    fn acks(&mut self, run: JobId, at: usize, json: &Value) -> Result<(), String> {
        let collector = self.collectors.entry((run, at)).or_default();
        let mut seen = BTreeSet::new();
        for (number, ack) in (1_u64..).zip(json["acks"].as_array().ok_or("no acks")?) {
            let job = ack["job"].as_str().and_then(JobId::parse).ok_or("no job")?;
            let data: String = job.0[8..].iter().map(|byte| format!("{byte:02x}")).collect();
            if ack["number"] != number || ack["data"] != data.as_str() || !seen.insert(job) {
                return Err(format!("acknowledgement {number} of stage {at} of run {run} is {ack}"));
            }
        }
        match collector.confirmed.is_subset(&seen) && seen.is_subset(&collector.said) {
            true => Ok(()),
            false => Err(format!("others are acknowledged of stage {at} of run {run} than were said")),
        }
    }
}
