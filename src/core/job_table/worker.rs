//! A worker as the table knows it: what it takes and holds, and which of its queues is next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::core::jobs::Allowance;
use crate::model::limits::RECALL_AFTER_US;
use crate::model::{Lease, Now, QueueName, Sequence};

/// A worker of more queues is wide: it stands in one set of idle workers for all like it, not in one for each of its queues.
const NARROW_QUEUES_MAX: usize = 16;

/// The order of idle workers: those with a slot that is surely free before those that would have the job wait behind
/// others; then the one whose last grant is longest ago.
pub(super) type IdleKey = (bool, u64);

/// One queue of one worker.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    /// Jobs of the queue it may hold at once; 0 = no limit.
    pub(super) slots: u32,
    /// Jobs it has in one turn.
    pub(super) weight: u32,
    /// Jobs of the queue it holds.
    pub(super) held: u32,
}

impl Taken {
    fn has_room(&self) -> bool {
        self.slots == 0 || self.held < self.slots
    }
}

/// The queues of one worker, by their numbers, and whose turn it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Takes {
    by_number: BTreeMap<u32, Taken>,
    /// Which is next, and how many jobs it has had in this turn.
    turn: u32,
    turn_jobs: u32,
}

impl Takes {
    pub(super) fn insert(&mut self, number: u32, taken: Taken) {
        self.by_number.insert(number, taken);
    }

    pub(super) fn remove(&mut self, number: u32) {
        self.by_number.remove(&number);
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Taken> {
        self.by_number.get_mut(&number)
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.by_number.keys().copied()
    }

    pub(super) fn is_wide(&self) -> bool {
        self.by_number.len() > NARROW_QUEUES_MAX
    }

    /// Whether it takes the queue, and one more job of it as far as the queue's own limit goes.
    pub(super) fn has_room_of(&self, number: u32) -> bool {
        self.by_number.get(&number).is_some_and(Taken::has_room)
    }

    /// Whether the queue has a limit of its own there.
    pub(super) fn is_limited(&self, number: u32) -> bool {
        self.by_number.get(&number).is_some_and(|taken| taken.slots != 0)
    }

    /// What `find` finds first for one of these queues that it takes and has room for, beginning with the one whose turn it is.
    pub(super) fn find_in_turn<T>(
        &self,
        numbers: &BTreeSet<u32>,
        mut find: impl FnMut(u32) -> Option<T>,
    ) -> Option<(u32, T)> {
        let mut look = |number: u32| find(number).map(|found| (number, found));
        // Of both the smaller is gone through.
        if numbers.len() < self.by_number.len() {
            let mut around = numbers.range(self.turn..).chain(numbers.range(..self.turn));
            around.find_map(|&number| if self.has_room_of(number) { look(number) } else { None })
        } else {
            let mut around = self.by_number.range(self.turn..).chain(self.by_number.range(..self.turn));
            around.find_map(
                |(&number, taken)| {
                    if taken.has_room() && numbers.contains(&number) { look(number) } else { None }
                },
            )
        }
    }

    /// A job of the queue is handed out in its turn.
    pub(super) fn note_turn(&mut self, number: u32) {
        if number != self.turn {
            (self.turn, self.turn_jobs) = (number, 0);
        }
        self.turn_jobs += 1;
        if self.by_number.get(&number).is_none_or(|taken| self.turn_jobs >= taken.weight.max(1)) {
            (self.turn, self.turn_jobs) = (number + 1, 0);
        }
    }
}

/// A worker as the table knows it.
#[derive(Clone, Debug)]
pub(super) struct Worker {
    pub(super) name: Arc<str>,
    pub(super) takes: Takes,
    /// What it allowed, and the grants it got.
    pub(super) allowed: Allowance,
    pub(super) granted: u64,
    /// The jobs it holds.
    pub(super) held: Sequence<Lease, ()>,
    /// Bytes of their payloads.
    pub(super) held_bytes: u64,
    /// A lease of it lapsed and it has not been heard of since: nothing more is handed to it.
    pub(super) silent: bool,
    /// The suspect that runs there, and must run alone.
    pub(super) alone: Option<u32>,
    /// A suspect of this queue waits for it to be empty.
    pub(super) reserved: Option<QueueName>,
    /// The number of its last grant, under which it stands in `idle` sets.
    pub(super) last_grant: u64,
    /// Jobs it has begun, and how many it had begun at once at most: so many slots it surely has.
    pub(super) started: usize,
    pub(super) started_max: usize,
    /// What its last jobs took on the average, once one has ended, and when it began or ended one.
    pace_us: Option<u64>,
    pub(super) moved_us: u64,
    /// It is looked at again whether there is a job to ask back for it.
    pub(super) has_look_due: bool,
    /// How it stands in the `idle` sets, if it does.
    pub(super) listed: Option<IdleKey>,
}

impl Worker {
    pub(super) fn new(name: &str) -> Self {
        Worker {
            name: name.into(),
            takes: Takes::default(),
            allowed: Allowance::default(),
            granted: 0,
            held: Sequence::new(),
            held_bytes: 0,
            silent: false,
            alone: None,
            reserved: None,
            last_grant: 0,
            started: 0,
            started_max: 0,
            pace_us: None,
            moved_us: 0,
            has_look_due: false,
            listed: None,
        }
    }

    /// Whether it can take any job at all.
    pub(super) fn has_room(&self) -> bool {
        let has_bytes =
            self.allowed.bytes == 0 || self.held.is_empty() || self.held_bytes < self.allowed.bytes;
        let may_take = !self.silent && self.alone.is_none() && self.reserved.is_none();
        self.allowed.jobs > self.granted && has_bytes && may_take
    }

    /// Whether one more job may have to wait there until another has ended. A worker fetches ahead of its slots and
    /// does not say how many it has.
    pub(super) fn is_busy(&self) -> bool {
        self.held.len() >= self.started_max.max(1)
    }

    /// A job ran there for so long.
    pub(super) fn note_run(&mut self, now: Now, run_us: u64) {
        self.pace_us = Some(self.pace_us.map_or(run_us, |pace_us| (pace_us * 7 + run_us) / 8));
        self.moved_us = now.us;
    }

    /// Whether what waits there will begin sooner than it could elsewhere: its jobs are short, and the one that runs has not
    /// run for long.
    pub(super) fn is_brisk(&self, now: Now) -> bool {
        self.pace_us.is_some_and(|pace_us| pace_us < RECALL_AFTER_US / 2)
            && now.us < self.moved_us + RECALL_AFTER_US
    }

    pub(super) fn idle_key(&self) -> IdleKey {
        (self.is_busy(), self.last_grant)
    }
}
