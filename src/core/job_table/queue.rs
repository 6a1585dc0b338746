//! The queues, and each one's line, defaults and who serves it.
//!
//! A queue has a number as long as it exists, by which it is found fast and stands in sets.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::core::job_table::keys::KeyLine;
use crate::core::job_table::ready::{Place, Ready};
use crate::core::job_table::worker::IdleKey;
use crate::core::jobs::WorkerId;
use crate::core::record::Handed;
use crate::model::{Index, JobOptions, JobRules, Lease, QueueName, Sequence};

/// A queue. It exists as long as it has jobs, workers or settings of its own.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    pub(super) name: QueueName,
    pub(super) number: u32,
    pub(super) ready: Ready,
    /// The rules of a job of this queue that says nothing.
    pub(super) rules: Arc<JobRules>,
    /// What was set for this queue.
    pub(super) options: JobOptions,
    /// What its hosts are handed.
    pub(super) handed: Handed,
    /// Workers that have registered it.
    pub(super) workers: BTreeSet<WorkerId>,
    /// Those not wide that could take a job now, the one that should get it first.
    pub(super) idle: BTreeSet<(IdleKey, WorkerId)>,
    /// A worker has registered it at some time.
    pub(super) known: bool,
    /// Nothing is handed out.
    pub(super) paused: bool,
    /// Nothing is taken.
    pub(super) draining: bool,
    /// Jobs that have not ended.
    pub(super) jobs: u64,
    /// Those of them that workers hold.
    pub(super) leased: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Unstarted jobs at workers that are busy with another: they may be asked back, oldest grant first.
    pub(super) unstarted: Sequence<Lease, ()>,
    /// The serial keys that its jobs name.
    pub(super) keys: BTreeMap<Arc<str>, KeyLine>,
    /// Jobs of this queue that ended DONE, and otherwise.
    pub(super) done: u64,
    pub(super) not_done: u64,
}

impl Queue {
    fn new(name: QueueName, number: u32, rules: Arc<JobRules>) -> Self {
        Queue {
            name,
            number,
            ready: Ready::default(),
            rules,
            options: JobOptions::default(),
            handed: Handed::default(),
            workers: BTreeSet::new(),
            idle: BTreeSet::new(),
            known: false,
            paused: false,
            draining: false,
            jobs: 0,
            leased: 0,
            bytes: 0,
            unstarted: Sequence::new(),
            keys: BTreeMap::new(),
            done: 0,
            not_done: 0,
        }
    }

    /// Jobs that wait for others of their serial keys.
    pub(super) fn behind(&self) -> usize {
        self.keys.values().map(KeyLine::behind).sum()
    }
}

/// The queues there are.
///
/// Invariant: `with_line` and `with_unstarted` name exactly the queues whose line, or set of unstarted jobs, is not empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Queues {
    by_number: Vec<Option<Queue>>,
    free: Vec<u32>,
    numbers: Index<QueueName, u32>,
    /// The one that was looked up last. A job's calls look up the same again and again.
    last: Cell<u32>,
    /// In the order of their names.
    names: BTreeMap<QueueName, u32>,
    with_line: BTreeSet<u32>,
    with_unstarted: BTreeSet<u32>,
}

impl Queues {
    pub(super) fn get(&self, name: &QueueName) -> Option<&Queue> {
        self.numbered(self.number(name)?)
    }

    pub(super) fn get_mut(&mut self, name: &QueueName) -> Option<&mut Queue> {
        self.numbered_mut(self.number(name)?)
    }

    fn number(&self, name: &QueueName) -> Option<u32> {
        let last = self.last.get();
        if self.numbered(last).is_some_and(|queue| queue.name.shares_with(name)) {
            return Some(last);
        }
        let number = *self.numbers.get(name)?;
        self.last.set(number);
        Some(number)
    }

    pub(super) fn numbered(&self, number: u32) -> Option<&Queue> {
        self.by_number.get(number as usize)?.as_ref()
    }

    pub(super) fn numbered_mut(&mut self, number: u32) -> Option<&mut Queue> {
        self.by_number.get_mut(number as usize)?.as_mut()
    }

    pub(super) fn contains(&self, name: &QueueName) -> bool {
        self.numbers.contains(name)
    }

    /// The queue of this name, made with `rules` when there is none.
    pub(super) fn get_or_make(&mut self, name: &QueueName, rules: &Arc<JobRules>) -> &mut Queue {
        let number = self.number(name).unwrap_or_else(|| self.make(name, rules));
        self.numbered_mut(number).expect("a queue is found under its number")
    }

    fn make(&mut self, name: &QueueName, rules: &Arc<JobRules>) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.by_number.push(None);
            self.by_number.len() as u32 - 1
        });
        self.by_number[number as usize] = Some(Queue::new(name.clone(), number, rules.clone()));
        self.numbers.insert(name.clone(), number);
        self.names.insert(name.clone(), number);
        number
    }

    pub(super) fn remove(&mut self, name: &QueueName) {
        if let Some(number) = self.numbers.remove(name) {
            self.names.remove(name);
            self.by_number[number as usize] = None;
            self.free.push(number);
        }
    }

    /// In the order of their names.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Queue> {
        self.names.values().filter_map(|&number| self.numbered(number))
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// The numbers of queues with jobs in line.
    pub(super) fn with_line(&self) -> &BTreeSet<u32> {
        &self.with_line
    }

    /// The numbers of queues with unstarted jobs at busy workers.
    pub(super) fn with_unstarted(&self) -> &BTreeSet<u32> {
        &self.with_unstarted
    }

    /// Puts a job into the line of its queue, which is there.
    pub(super) fn stand_in_line(&mut self, name: &QueueName, now_us: u64, place: Place<'_>, slot: u32) {
        self.change_line(name, |line| line.push(now_us, place, slot));
    }

    /// Takes a job out of the line of its queue, wherever it stands.
    pub(super) fn leave_line(&mut self, name: &QueueName, place: Place<'_>) {
        self.change_line(name, |line| line.remove(place));
    }

    /// The first of the line is handed out.
    pub(super) fn take_from_line(&mut self, name: &QueueName, now_us: u64, place: Place<'_>) {
        self.change_line(name, |line| line.take(now_us, place));
    }

    fn change_line(&mut self, name: &QueueName, change: impl FnOnce(&mut Ready)) {
        let queue = self.get_mut(name).expect("a job's queue is there");
        let was_empty = queue.ready.len() == 0;
        change(&mut queue.ready);
        let (number, is_empty) = (queue.number, queue.ready.len() == 0);
        if is_empty != was_empty {
            keep(&mut self.with_line, number, !is_empty);
        }
    }

    /// A job went to a worker that is busy with another.
    pub(super) fn add_unstarted(&mut self, name: &QueueName, lease: Lease) {
        self.change_unstarted(name, |unstarted| unstarted.insert(lease, ()));
    }

    /// It does not wait there any more, if it did.
    pub(super) fn remove_unstarted(&mut self, name: &QueueName, lease: Lease) {
        self.change_unstarted(name, |unstarted| unstarted.remove(lease));
    }

    fn change_unstarted(
        &mut self,
        name: &QueueName,
        change: impl FnOnce(&mut Sequence<Lease, ()>) -> Option<()>,
    ) {
        let Some(queue) = self.get_mut(name) else { return };
        let was_empty = queue.unstarted.is_empty();
        change(&mut queue.unstarted);
        let (number, is_empty) = (queue.number, queue.unstarted.is_empty());
        if is_empty != was_empty {
            keep(&mut self.with_unstarted, number, !is_empty);
        }
    }
}

fn keep(numbers: &mut BTreeSet<u32>, number: u32, is_in: bool) {
    if is_in {
        numbers.insert(number);
    } else {
        numbers.remove(&number);
    }
}
