//! Serial keys: of the jobs of one queue that name the same key, as many are under way at once as they allow, in the order in which
//! they were accepted.
//!
//! A job takes its place when it is accepted, one of a stage when that begins, and keeps it until it has ended: delayed, handed out,
//! or waiting for another attempt. So nothing about it is written down: who may be under way follows from which jobs have not ended.
//!
//! Invariants (`check_keys` looks at them again): a job of a key is in line, or further, only when it has its turn; it has that when fewer than
//! its `serial_jobs` of those before it have not ended; and nobody who might have it waits once what has happened is seen to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::core::job_table::JobTable;
use crate::core::job_table::check::Violation;
use crate::core::job_table::entry::{Job, Part, State, Turn};
use crate::core::job_table::live;
use crate::model::{Now, QueueName};
use crate::model::{Planted, planted};

/// The jobs of one key of one queue that have not ended.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyLine {
    /// Those that have their turn.
    has: u32,
    /// Those that wait for it, by the order of their acceptance.
    waits: BTreeMap<u64, u32>,
}

impl KeyLine {
    /// How many wait for others.
    pub(super) fn behind(&self) -> usize {
        self.waits.len()
    }
}

/// The keys whose lines have changed since they were last seen to.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    moved: VecDeque<(Now, QueueName, Arc<str>)>,
}

impl Keys {
    pub(super) fn has_moved(&self) -> bool {
        !self.moved.is_empty()
    }
}

impl JobTable {
    /// A job that names a key takes its place, unless it has it, or its stage has not begun.
    pub(super) fn enter_key(&mut self, now: Now, slot: u32) {
        if self.job(slot).rules.serial_key.is_some() {
            self.wait_for_turn(now, slot);
        }
    }

    fn wait_for_turn(&mut self, now: Now, slot: u32) {
        let job = self.job(slot);
        let is_early = match job.part.as_deref() {
            Some(Part::Run) => true,
            Some(Part::InStage { run, step, .. }) => !self.is_stage_begun(*run, *step),
            Some(Part::Step { .. }) | None => false,
        };
        let Some(key) = job.rules.serial_key.clone().filter(|_| job.turn == Turn::None && !is_early) else {
            return;
        };
        let (name, sequence) = (job.queue.clone(), job.sequence);
        self.job_mut(slot).turn = Turn::Waits;
        self.queue(&name).keys.entry(key.clone()).or_default().waits.insert(sequence, slot);
        self.keys.moved.push_back((now, name, key));
    }

    /// Whether a job that could go into its queue's line has to wait for others of its key.
    pub(super) fn waits_for_key(&mut self, now: Now, slot: u32) -> bool {
        self.enter_key(now, slot);
        self.job(slot).turn == Turn::Waits
    }

    /// The job is over, and others of its key may go.
    pub(super) fn leave_key(&mut self, now: Now, slot: u32) {
        let job = self.job_mut(slot);
        let turn = std::mem::take(&mut job.turn);
        if turn == Turn::None {
            return;
        }
        let (name, sequence) = (job.queue.clone(), job.sequence);
        let Some(key) = job.rules.serial_key.clone() else { return };
        let line = self.queues.get_mut(&name).and_then(|queue| queue.keys.get_mut(&key));
        if let Some(line) = line {
            match turn {
                Turn::Has => line.has -= 1,
                _ => drop(line.waits.remove(&sequence)),
            }
        }
        self.keys.moved.push_back((now, name, key));
    }

    /// Sees to every key whose line has changed.
    pub(super) fn settle_keys(&mut self) {
        while let Some((now, name, key)) = self.keys.moved.pop_front() {
            while let Some(slot) = self.next_of(&name, &key) {
                self.job_mut(slot).turn = Turn::Has;
                if self.job(slot).state == State::Behind {
                    self.enqueue(now, slot);
                }
            }
        }
    }

    /// The job of a key that has its turn from now on. A line of nobody is forgotten.
    fn next_of(&mut self, name: &QueueName, key: &Arc<str>) -> Option<u32> {
        let queue = self.queues.get_mut(name)?;
        let line = queue.keys.get_mut(key)?;
        let first = match planted(Planted::KeyOutOfOrder) {
            true => line.waits.last_entry(),
            false => line.waits.first_entry(),
        };
        let Some(first) = first else {
            if line.has == 0 {
                queue.keys.remove(key);
            }
            return None;
        };
        let job = self.slots[*first.get() as usize].as_ref().expect("a job that waits is there");
        let most = job.rules.serial_jobs + u32::from(planted(Planted::OneMoreOfAKey));
        if line.has >= most {
            return None;
        }
        line.has += 1;
        Some(first.remove())
    }

    /// Jobs were read back: those that had begun have their turns, the others their places. `begun` are all of them, and whether they had.
    pub(super) fn restore_keys(&mut self, now: Now, jobs: &[(u32, bool)]) {
        for &(slot, _) in jobs {
            self.enter_key(now, slot);
        }
        for &(slot, _) in jobs.iter().filter(|(_, has_begun)| *has_begun) {
            let job = self.job_mut(slot);
            let Some(key) = job.rules.serial_key.clone().filter(|_| !job.is_run()) else { continue };
            let (before, name, sequence) = (job.turn, job.queue.clone(), job.sequence);
            job.turn = Turn::Has;
            let line = self.queue(&name).keys.entry(key.clone()).or_default();
            if before == Turn::Waits {
                line.waits.remove(&sequence);
            }
            line.has += 1;
        }
    }

    /// How many jobs of its key are before a job that waits for them.
    pub(super) fn jobs_before(&self, job: &Job) -> Option<usize> {
        let key = job.rules.serial_key.as_ref().filter(|_| job.turn == Turn::Waits)?;
        let line = self.queues.get(&job.queue)?.keys.get(key)?;
        Some(line.has as usize + line.waits.range(..job.sequence).count())
    }

    /// Counts the lines of all keys anew.
    pub(super) fn check_keys(&self) -> Result<(), Violation> {
        let mut jobs: BTreeMap<(&QueueName, &Arc<str>), Vec<&Job>> = BTreeMap::new();
        for (_, job) in live(&self.slots).filter(|(_, job)| !job.is_ended() && !job.is_run()) {
            let Some(key) = &job.rules.serial_key else { continue };
            let is_under_way =
                matches!(job.state, State::Queued | State::Leased { .. } | State::Running { .. });
            if is_under_way && job.turn != Turn::Has {
                return Err(Violation(format!(
                    "job {} is {:?} without its turn of key {key}",
                    job.id, job.state
                )));
            }
            let may_have_none = matches!(job.part.as_deref(), Some(Part::InStage { .. }));
            match job.turn {
                Turn::None if !may_have_none => {
                    return Err(Violation(format!("job {} has no place in the line of key {key}", job.id)));
                }
                Turn::None => {}
                Turn::Has | Turn::Waits => jobs.entry((&job.queue, key)).or_default().push(job),
            }
        }
        for ((name, key), jobs) in &mut jobs {
            jobs.sort_by_key(|job| job.sequence);
            let line = self.queues.get(name).and_then(|queue| queue.keys.get(*key));
            let line = line.ok_or_else(|| Violation(format!("key {key} of queue {name} has no line")))?;
            check_line(line, jobs).map_err(|why| Violation(format!("of key {key} of queue {name} {why}")))?;
            let first = line.waits.first_key_value().map(|(_, slot)| self.job(*slot));
            if let Some(job) = first.filter(|job| line.has < job.rules.serial_jobs && !self.keys.has_moved())
            {
                return Err(Violation(format!("job {} of key {key} waits for nobody", job.id)));
            }
        }
        let lines: usize = self.queues.iter().map(|queue| queue.keys.len()).sum();
        match lines == jobs.len() || self.keys.has_moved() {
            true => Ok(()),
            false => Err(Violation(format!("{lines} keys have lines, {} have jobs", jobs.len()))),
        }
    }
}

/// Whether a line is what its jobs say, which come in their order.
fn check_line(line: &KeyLine, jobs: &[&Job]) -> Result<(), String> {
    let having = |job: &&&Job| job.turn == Turn::Has;
    let has = jobs.iter().filter(having).count();
    if (has, jobs.len() - has) != (line.has as usize, line.waits.len()) {
        return Err(format!(
            "{} jobs have their turn and {} wait, {has} of {} do",
            line.has,
            line.waits.len(),
            jobs.len()
        ));
    }
    // The jobs of a stage come into the line when it begins, behind others that were accepted later.
    let is_of_stage = |job: &Job| matches!(job.part.as_deref(), Some(Part::InStage { .. }));
    if jobs.iter().any(|job| is_of_stage(job)) {
        return Ok(());
    }
    for (before, job) in jobs.iter().enumerate().filter(|(_, job)| job.turn == Turn::Has) {
        if before >= job.rules.serial_jobs as usize {
            return Err(format!(
                "job {} has its turn with {before} before it, and {} may be under way",
                job.id, job.rules.serial_jobs
            ));
        }
    }
    Ok(())
}
