//! Collectors: the results of a stage, handed out one by one to whoever collects them, who acknowledges each with a word for
//! the stage's owner.
//!
//! What is written down is each acknowledgement, beside the job whose result it is of. A collector that comes back under its
//! name is told again what it has not acknowledged, and nothing else.
//!
//! Invariants (`check_runs` looks at them again): a result is acknowledged once, and then never told again; a run is not DONE before each
//! result of its collected stages is acknowledged; acknowledgements are numbered from 1 without a gap.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::core::job_table::JobTable;
use crate::core::job_table::end::ended_wall_ms;
use crate::core::job_table::entry::{Part, State};
use crate::core::job_table::stages::Stage;
use crate::core::jobs::{Asker, Collect, CollectOrder, Collector};
use crate::core::record::{Collected, Record};
use crate::model::limits::{ACKED_LEN_MAX, COLLECTOR_NAME_LEN_MAX};
use crate::model::{Body, Failure, Headers, JobId, Now, Outcome, Status, Verdict};
use crate::model::{Planted, planted};

/// How far the results of a stage are collected.
#[derive(Clone, Debug, Default)]
pub(super) struct Collecting {
    /// Who does; whoever was first.
    name: Option<String>,
    /// Places of jobs that have ended and whose results are not acknowledged, in the order of their ends.
    left: BTreeMap<u64, u64>,
    /// And the numbers of those ends, by place.
    ends: BTreeMap<u64, u64>,
    /// Jobs that have ended, as this life of the broker numbers their ends.
    ended: u64,
    /// Places whose results are acknowledged; every one below `first` is.
    acked: BTreeSet<u64>,
    first: u64,
    /// The acknowledgements, by their numbers.
    acks: BTreeMap<u64, (JobId, Arc<Collected>)>,
}

impl Collecting {
    pub(super) fn note_end(&mut self, place: u64) {
        self.ended += 1;
        if !self.has(place) {
            self.left.insert(self.ended, place);
            self.ends.insert(place, self.ended);
        }
    }

    fn note_ack(&mut self, place: u64, job: JobId, collected: Arc<Collected>) {
        self.name.get_or_insert_with(|| collected.name.clone());
        self.acked.insert(place);
        while self.acked.remove(&self.first) {
            self.first += 1;
        }
        if let Some(end) = self.ends.remove(&place) {
            self.left.remove(&end);
        }
        self.acks.insert(collected.number, (job, collected));
    }

    /// Whether the result of this place is acknowledged.
    pub(super) fn has(&self, place: u64) -> bool {
        place < self.first || self.acked.contains(&place)
    }

    /// How many results are acknowledged.
    pub(super) fn count(&self) -> usize {
        self.acks.len()
    }

    /// Whether everything that is counted is there, of so many jobs that have ended.
    pub(super) fn is_sound(&self, ended: usize) -> bool {
        let last = self.acks.last_key_value().map_or(0, |(number, _)| *number);
        self.left.len() + self.acks.len() == ended && last as usize == self.acks.len()
    }
}

impl JobTable {
    /// What a collector, or the owner of the stage, asks.
    pub(super) fn collect(&mut self, now: Now, what: &Collect) -> Result<Value, Failure> {
        match what {
            Collect::Results { collector, order, since, limit } => {
                self.results(collector, *order, since.as_deref(), *limit)
            }
            Collect::Ack { collector, job, data } => self.acknowledge(now, collector, *job, data),
            Collect::Acked { id, step, since, limit, by } => self.acked(*id, step, *since, *limit, by),
        }
    }

    /// A stage whose results are collected.
    fn find_collected(&self, id: JobId, name: &str, by: &Asker) -> Result<(u32, &Stage), Failure> {
        let step = self.runs.by_id.get(&id).and_then(|run| run.stage_names.get(name)).copied();
        let stage = step.and_then(|step| Some((step, self.runs.by_id[&id].stages.get(&step)?)));
        match stage.filter(|(_, stage)| stage.collecting.is_some() && self.slot_of(id, by).is_some()) {
            Some(found) => Ok(found),
            None => {
                let message = format!(
                    "no run {id} with a stage \"{name}\" whose results are collected is held here: it is another user's, or its result was fetched, or it never came"
                );
                Err(Failure::new(Status::NotFound, message))
            }
        }
    }

    /// From now on the stage is this collector's.
    fn bind(&mut self, id: JobId, step: u32, name: &str) -> Result<&mut Collecting, Failure> {
        if name.is_empty() || name.len() > COLLECTOR_NAME_LEN_MAX {
            let message = format!(
                "a collector's name of {} bytes; 1 to {COLLECTOR_NAME_LEN_MAX} are right",
                name.len()
            );
            return Err(Failure::new(Status::Argument, message));
        }
        let stage = self.runs.by_id.get_mut(&id).and_then(|run| run.stages.get_mut(&step));
        let Some(collecting) = stage.and_then(|stage| stage.collecting.as_mut()) else {
            return Err(Failure::new(Status::NotFound, format!("run {id} is gone")));
        };
        let known = collecting.name.get_or_insert_with(|| name.to_owned());
        if known != name {
            let message = format!("its results are collected by \"{known}\", not by \"{name}\"");
            return Err(Failure::new(Status::State, message));
        }
        Ok(collecting)
    }

    /// Results that are not acknowledged, behind what was told before.
    fn results(
        &mut self,
        collector: &Collector,
        order: CollectOrder,
        since: Option<&str>,
        limit: usize,
    ) -> Result<Value, Failure> {
        let Collector { id, step: name, name: collector, by } = collector;
        let id = *id;
        let (step, _) = self.find_collected(id, name, by)?;
        self.bind(id, step, collector)?;
        // Ends are numbered anew by each life of the broker; what it told before it tells again.
        let epoch = self.config.epoch;
        let since =
            since.and_then(|since| since.split_once('-')).filter(|(life, _)| *life == epoch.to_string());
        let since: u64 = since.and_then(|(_, number)| number.parse().ok()).unwrap_or(0);
        let (_, stage) = self.find_collected(id, name, by)?;
        let Some(collecting) = &stage.collecting else { return Ok(Value::Null) };
        let found: Vec<(u64, u64)> = match order {
            CollectOrder::Completion => {
                collecting.left.range(since + 1..).take(limit).map(|(end, place)| (*end, *place)).collect()
            }
            CollectOrder::Submission => {
                let behind = stage.jobs.range(since.max(collecting.first)..);
                let left = behind.filter(|(place, _)| !collecting.has(**place));
                let ended = left.take_while(|(_, job)| self.verdict_of(**job).is_some());
                ended.take(limit).map(|(place, _)| (place + 1, *place)).collect()
            }
        };
        let next = found.last().map_or(since, |(next, _)| *next);
        let told: Vec<Value> = found
            .iter()
            .map(|(_, place)| json!({ "place": place, "job": stage.jobs[place].to_string() }))
            .collect();
        let is_over = self.is_stage_over(id, stage);
        let context = self.runs.by_id[&id].context.as_deref().map(hex);
        Ok(json!({
            "end": told.is_empty() && is_over, "results": told, "next": format!("{epoch}-{next}"),
            "jobs": stage.jobs.len(), "collected": collecting.count(), "outcome": self.outcome_of_run(id).name(),
            "context": context,
        }))
    }

    /// Nothing more will come of it.
    fn is_stage_over(&self, id: JobId, stage: &Stage) -> bool {
        stage.is_through() || self.outcome_of_run(id).is_terminal()
    }

    fn outcome_of_run(&self, id: JobId) -> Outcome {
        self.ids.get(&id).map_or(Outcome::Lost, |&slot| self.job(slot).outcome())
    }

    /// The collector has a result for good.
    fn acknowledge(
        &mut self,
        now: Now,
        collector: &Collector,
        job: JobId,
        data: &[u8],
    ) -> Result<Value, Failure> {
        let Collector { id, step: name, name: collector, by } = collector;
        let id = *id;
        let (step, _) = self.find_collected(id, name, by)?;
        if data.len() > ACKED_LEN_MAX {
            let message = format!(
                "the data of an acknowledgement has {} bytes; it may have {ACKED_LEN_MAX}",
                data.len()
            );
            return Err(Failure::new(Status::TooLarge, message));
        }
        let collecting = self.bind(id, step, collector)?;
        let number = collecting.count() as u64 + 1;
        let slot = self.ids.get(&job).copied();
        let part = slot.and_then(|slot| self.job(slot).part.as_deref().copied());
        let place = match part {
            Some(Part::InStage { run, step: of, place }) if (run, of) == (id, step) => place,
            _ => {
                let message = format!("job {job} is none of stage \"{name}\"");
                return Err(Failure::new(Status::NotFound, message));
            }
        };
        let Some(slot) = slot.filter(|&slot| self.job(slot).is_ended()) else {
            let message = format!("job {job} of stage \"{name}\" has not ended");
            return Err(Failure::new(Status::State, message));
        };
        let again = self.collecting(id, step).is_some_and(|collecting| collecting.has(place));
        if !again {
            let said = Collected { name: collector.to_owned(), number, data: data.to_vec() };
            self.note_collected(now, slot, id, step, place, said.into());
        }
        let (_, stage) = self.find_collected(id, name, by)?;
        let count = stage.collecting.as_ref().map_or(0, Collecting::count);
        let end = self.is_stage_over(id, stage) && count == stage.jobs.len();
        Ok(
            json!({ "job": job.to_string(), "again": again, "jobs": stage.jobs.len(), "collected": count, "end": end }),
        )
    }

    /// Writes an acknowledgement down.
    pub(super) fn note_collected(
        &mut self,
        now: Now,
        slot: u32,
        id: JobId,
        step: u32,
        place: u64,
        collected: Arc<Collected>,
    ) {
        let job = self.job(slot);
        let (durable, job) = (job.durable && !planted(Planted::ForgetCollected), job.id);
        let said = collected.clone();
        self.record(durable, || Record::Collected { id: job, collected: said });
        if let Some(run) = self.runs.by_id.get_mut(&id) {
            run.uncollected -= 1;
            run.moved_us = now.us;
        }
        if let Some(collecting) = self.collecting_mut(id, step) {
            collecting.note_ack(place, job, collected);
        }
        self.drop_collected(slot, id, step);
        self.runs.note_move(now, id);
    }

    fn collecting(&self, id: JobId, step: u32) -> Option<&Collecting> {
        self.runs.by_id.get(&id)?.stages.get(&step)?.collecting.as_ref()
    }

    fn collecting_mut(&mut self, id: JobId, step: u32) -> Option<&mut Collecting> {
        self.runs.by_id.get_mut(&id)?.stages.get_mut(&step)?.collecting.as_mut()
    }

    /// The result of a job whose collector has it is kept no longer, unless a step behind takes it.
    fn drop_collected(&mut self, slot: u32, id: JobId, step: u32) {
        let is_taken = self.runs.by_id.get(&id).is_some_and(|run| run.is_taken(step));
        let before = self.job(slot).bytes();
        let State::Ended { verdict, .. } = &mut self.job_mut(slot).state else { return };
        if is_taken || verdict.waits_for_a_person() {
            return;
        }
        let mut kept = Verdict::clone(verdict);
        (kept.body, kept.headers) = (Body::default(), Headers::default());
        *verdict = Arc::new(kept);
        let after = self.job(slot).bytes();
        self.account(after, before);
    }

    /// Before a restart this job's result was acknowledged.
    pub(super) fn recall_collected(&mut self, slot: u32, collected: Arc<Collected>) {
        let (job, part) = (self.job(slot).id, self.job(slot).part.as_deref().copied());
        let Some(Part::InStage { run, step, place }) = part else { return };
        if let Some(collecting) = self.collecting_mut(run, step) {
            collecting.note_ack(place, job, collected);
        }
    }

    /// Every job was read back: which results are left, in the order in which they ended.
    pub(super) fn recount_collecting(&mut self, id: JobId) {
        let Some(run) = self.runs.by_id.get(&id) else { return };
        let mut ends = Vec::new();
        for (step, stage) in run.stages.iter().filter(|(_, stage)| stage.collecting.is_some()) {
            for (place, job) in &stage.jobs {
                let ended_ms = self.verdict_of(*job).and_then(|verdict| ended_wall_ms(verdict));
                ends.push((ended_ms, *step, *place, *job));
            }
        }
        let uncollected = ends.iter().filter(|(_, step, place, _)| {
            run.stages[step].collecting.as_ref().is_some_and(|collecting| !collecting.has(*place))
        });
        let uncollected = uncollected.count();
        ends.sort_unstable();
        for (_, step, place, job) in ends.into_iter().filter(|(ended_ms, ..)| ended_ms.is_some()) {
            let Some(collecting) = self.collecting_mut(id, step) else { continue };
            collecting.note_end(place);
            if collecting.has(place)
                && let Some(&slot) = self.ids.get(&job)
            {
                self.drop_collected(slot, id, step);
            }
        }
        if let Some(run) = self.runs.by_id.get_mut(&id) {
            run.uncollected = uncollected;
        }
    }

    /// What the collector said, behind the acknowledgement with number `since`.
    fn acked(&self, id: JobId, name: &str, since: u64, limit: usize, by: &Asker) -> Result<Value, Failure> {
        let (_, stage) = self.find_collected(id, name, by)?;
        let Some(collecting) = &stage.collecting else { return Ok(Value::Null) };
        let acks: Vec<Value> = collecting
            .acks
            .range(since.saturating_add(1)..)
            .take(limit)
            .map(|(number, (job, said))| {
                json!({ "number": number, "job": job.to_string(), "data": hex(&said.data) })
            })
            .collect();
        let is_all = stage.is_through() && collecting.count() == stage.jobs.len();
        let end = acks.is_empty() && (is_all || self.outcome_of_run(id).is_terminal());
        Ok(json!({ "acks": acks, "end": end, "jobs": stage.jobs.len(), "collected": collecting.count() }))
    }

    /// The acknowledgements of a stage, by the jobs whose results they are of.
    pub(super) fn acks_of(&self, id: JobId, step: u32) -> BTreeMap<JobId, Arc<Collected>> {
        let acks = self.collecting(id, step).map(|collecting| collecting.acks.values());
        acks.into_iter().flatten().map(|(job, said)| (*job, said.clone())).collect()
    }
}

/// Two digits for each byte.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
