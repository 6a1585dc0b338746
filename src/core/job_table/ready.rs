//! The line of one queue: which job goes next.
//!
//! Order: priority classes, 8 first, each gaining a class for every `AGING_MS` it was passed over; within a class jobs
//! taken back from vanished workers first, then one owner after the other, each owner's jobs first in first out.
//! Invariant: every job in state `Queued`, and no other, stands in exactly one line, once.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::limits::{AGING_MS, PRIORITY_MAX};
use crate::model::{Owner, Sequence};

/// Slots, by the sequence in which the jobs were accepted.
type Line = Sequence<u64, u32>;

/// The jobs of one priority.
#[derive(Clone, Debug, Default)]
struct Class {
    /// Taken back from vanished workers.
    first: Line,
    /// One line for each owner with jobs, by whose turn is next.
    turns: Sequence<u64, (Arc<Owner>, Line)>,
    next_turn: u64,
    /// The turn of each.
    owners: BTreeMap<Arc<Owner>, u64>,
    /// Since when the class has been passed over.
    waiting_us: u64,
}

impl Class {
    fn is_empty(&self) -> bool {
        self.first.is_empty() && self.turns.is_empty()
    }

    /// The slot of the job that goes next.
    fn peek(&self) -> Option<u32> {
        let line = if self.first.is_empty() { &self.turns.first()?.1.1 } else { &self.first };
        line.first().map(|(_, &slot)| slot)
    }

    /// The owner's turn, if it has jobs here.
    fn turn_of(&self, owner: &Arc<Owner>) -> Option<u64> {
        let (turn, (next, _)) = self.turns.first()?;
        // Most lines are of one owner, whose jobs share it.
        if Arc::ptr_eq(next, owner) { Some(turn) } else { self.owners.get(owner).copied() }
    }

    fn push(&mut self, owner: &Arc<Owner>, sequence: u64, slot: u32) {
        if let Some((_, line)) = self.turn_of(owner).and_then(|turn| self.turns.get_mut(turn)) {
            line.insert(sequence, slot);
            return;
        }
        let mut line = Line::new();
        line.insert(sequence, slot);
        self.add(owner.clone(), line);
    }

    /// The owner comes after all others.
    fn add(&mut self, owner: Arc<Owner>, line: Line) {
        self.owners.insert(owner.clone(), self.next_turn);
        self.turns.insert(self.next_turn, (owner, line));
        self.next_turn += 1;
    }

    fn remove(&mut self, owner: &Arc<Owner>, sequence: u64) -> Option<u32> {
        let turn = self.turn_of(owner)?;
        let (_, line) = self.turns.get_mut(turn)?;
        let removed = line.remove(sequence);
        if line.is_empty() {
            self.turns.remove(turn);
            self.owners.remove(owner);
        }
        removed
    }

    /// The owner was served: the others come first.
    fn end_turn(&mut self, owner: &Arc<Owner>) {
        if self.turns.len() < 2 {
            return;
        }
        let next = self.turns.first().filter(|(_, (next, _))| next == owner).map(|(turn, _)| turn);
        if let Some((owner, line)) = next.and_then(|turn| self.turns.remove(turn)) {
            self.add(owner, line);
        }
    }
}

/// Where a job stands in line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) priority: u32,
    pub(super) owner: &'a Arc<Owner>,
    pub(super) sequence: u64,
    pub(super) first: bool,
    /// A suspect: it may only run alone in its process.
    pub(super) alone: bool,
}

/// The line.
#[derive(Clone, Debug, Default)]
pub(super) struct Ready {
    classes: [Class; PRIORITY_MAX as usize],
    /// A bit for each class that has jobs: most queues use one, and looking at all costs time where queues are many.
    in_use: u8,
    len: usize,
    /// Suspects, by sequence: they wait beside the line for a worker that holds nothing.
    alone: Line,
}

impl Ready {
    /// Jobs in line, suspects included.
    pub(super) fn len(&self) -> usize {
        self.len + self.alone.len()
    }

    pub(super) fn push(&mut self, now_us: u64, place: Place<'_>, slot: u32) {
        if place.alone {
            self.alone.insert(place.sequence, slot);
            return;
        }
        let class = &mut self.classes[place.priority as usize - 1];
        if class.is_empty() {
            class.waiting_us = now_us;
            self.in_use |= 1 << (place.priority - 1);
        }
        if place.first {
            class.first.insert(place.sequence, slot);
        } else {
            class.push(place.owner, place.sequence, slot);
        }
        self.len += 1;
    }

    /// Takes a job out of the line, wherever it stands.
    pub(super) fn remove(&mut self, place: Place<'_>) {
        if place.alone {
            self.alone.remove(place.sequence);
            return;
        }
        let class = &mut self.classes[place.priority as usize - 1];
        let removed = if place.first {
            class.first.remove(place.sequence)
        } else {
            class.remove(place.owner, place.sequence)
        };
        debug_assert!(removed.is_some(), "a queued job stands in its line");
        if class.is_empty() {
            self.in_use &= !(1 << (place.priority - 1));
        }
        self.len -= usize::from(removed.is_some());
    }

    /// The slot of the suspect that goes next.
    pub(super) fn peek_alone(&self) -> Option<u32> {
        self.alone.first().map(|(_, &slot)| slot)
    }

    /// The slot of the job that goes next; `take` follows when it is handed out.
    pub(super) fn peek(&self, now_us: u64) -> Option<u32> {
        self.next_class(now_us).and_then(|class| self.classes[class].peek())
    }

    /// The job that stands at `place` is being handed out: it leaves the line and its owner's turn is over.
    pub(super) fn take(&mut self, now_us: u64, place: Place<'_>) {
        self.remove(place);
        if place.alone {
            return;
        }
        let class = &mut self.classes[place.priority as usize - 1];
        class.waiting_us = now_us;
        if !place.first {
            class.end_turn(place.owner);
        }
    }

    fn next_class(&self, now_us: u64) -> Option<usize> {
        let rank = |class: usize| {
            class as u64 + (now_us.saturating_sub(self.classes[class].waiting_us)) / (AGING_MS * 1_000)
        };
        (0..self.classes.len())
            .filter(|&class| self.in_use & (1 << class) != 0)
            .max_by_key(|&class| (rank(class), class))
    }

    /// Every slot in line, for counting again.
    pub(super) fn slots(&self) -> impl Iterator<Item = u32> + '_ {
        let lines = self.classes.iter().flat_map(|class| {
            class.first.values().chain(class.turns.values().flat_map(|(_, line)| line.values()))
        });
        lines.chain(self.alone.values()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(name: &str) -> Arc<Owner> {
        Arc::new(Owner { user: String::new(), name: name.into() })
    }

    fn drain(ready: &mut Ready, now_us: u64, jobs: &[(u32, Arc<Owner>, u64)]) -> Vec<u64> {
        let mut order = Vec::new();
        while let Some(slot) = ready.peek(now_us) {
            let (priority, owner, sequence) = &jobs[slot as usize];
            ready.take(
                now_us,
                Place { priority: *priority, owner, sequence: *sequence, first: false, alone: false },
            );
            order.push(*sequence);
        }
        order
    }

    fn filled(jobs: &[(u32, Arc<Owner>, u64)]) -> Ready {
        let mut ready = Ready::default();
        for (slot, (priority, owner, sequence)) in jobs.iter().enumerate() {
            ready.push(
                0,
                Place { priority: *priority, owner, sequence: *sequence, first: false, alone: false },
                slot as u32,
            );
        }
        ready
    }

    #[test]
    fn higher_priorities_first_then_owners_in_turn_each_first_in_first_out() {
        let (a, b) = (owner("a"), owner("b"));
        let jobs = [
            (4, a.clone(), 1),
            (4, a.clone(), 2),
            (4, a.clone(), 3),
            (4, b.clone(), 4),
            (8, b.clone(), 5),
            (1, a.clone(), 6),
        ];
        assert_eq!(drain(&mut filled(&jobs), 0, &jobs), [5, 1, 4, 2, 3, 6]);
    }

    #[test]
    fn a_class_that_was_passed_over_long_enough_moves() {
        let jobs = [(1, owner("a"), 1), (8, owner("a"), 2)];
        let mut ready = filled(&jobs);
        // Class 8 was served a moment ago, class 1 has waited for more than seven steps of aging.
        ready.classes[7].waiting_us = 8_000_000;
        assert_eq!(drain(&mut ready, 8_500_000, &jobs), [1, 2]);
    }

    #[test]
    fn a_job_taken_back_goes_before_its_class() {
        let jobs = [(4, owner("a"), 1), (4, owner("a"), 7)];
        let mut ready = filled(&jobs[..1]);
        ready.push(0, Place { priority: 4, owner: &jobs[1].1, sequence: 7, first: true, alone: false }, 1);
        assert_eq!(ready.peek(0), Some(1));
        ready.remove(Place { priority: 4, owner: &jobs[1].1, sequence: 7, first: true, alone: false });
        assert_eq!((ready.peek(0), ready.len()), (Some(0), 1));
    }
}
