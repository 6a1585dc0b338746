//! Which records are still needed, and where they are.
//!
//! Invariant: a record is live when a recovery without it would give another state: the `Submitted` of a job that was
//! not forgotten, its `Ended`, a `Buried` that is not too old, the last `QueueSet` of a queue. What else happened to a
//! job is kept here as a sum, which is written again when its `Submitted` is moved. So a segment whose live bytes are
//! 0, and before which there is none, is not needed.

use std::collections::BTreeMap;

use crate::core::record::{Record, Standing};
use crate::model::limits::DEDUPE_WINDOW_MS;
use crate::model::{Index, JobId, QueueName};
use crate::store::journal::segment::{Number, Place};

/// The live records. See the module's text.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    slots: Index<JobId, u32>,
    entries: Vec<Entry>,
    free: Vec<u32>,
    queues: BTreeMap<QueueName, Place>,
    /// Live bytes by segment; those without any are not listed.
    live: BTreeMap<Number, u64>,
    live_bytes: u64,
    /// The last moment any record speaks of.
    wall_ms: u64,
}

/// What is known under one id.
#[derive(Debug)]
pub(super) enum Entry {
    Free,
    Job { submitted: Place, ended: Option<Place>, standing: Option<Box<Standing>> },
    Buried(Place),
}

impl Ledger {
    /// Takes note of a record that stands at `place`. The slot is of the job it is about, if that is known: it stays
    /// the same until the job is forgotten.
    pub(super) fn apply(&mut self, record: &Record, place: Place) -> Option<u32> {
        match record {
            Record::Booted { .. } => None,
            Record::QueueSet(kept) => {
                if let Some(before) = self.queues.insert(kept.queue.clone(), place) {
                    self.dead(before);
                }
                self.alive(place);
                None
            }
            Record::Submitted { job, wall_ms, .. } => {
                self.wall_ms = self.wall_ms.max(*wall_ms);
                Some(self.put(job.id, Entry::Job { submitted: place, ended: None, standing: None }))
            }
            Record::Buried(buried) => Some(self.put(buried.id, Entry::Buried(place))),
            Record::Forgotten { id } => self.forget(*id),
            Record::Ended { id, wall_ms, .. } => {
                self.wall_ms = self.wall_ms.max(*wall_ms);
                self.apply_ended(*id, record, place)
            }
            Record::Leased { id, .. }
            | Record::Stands { id, .. }
            | Record::Child { id, .. }
            | Record::StageClosed { id, .. }
            | Record::Seen { id, .. }
            | Record::Context { id, .. }
            | Record::Collected { id, .. } => self.apply_standing(*id, record),
            Record::Started { id, wall_ms, .. } | Record::Requeued { id, wall_ms, .. } => {
                self.wall_ms = self.wall_ms.max(*wall_ms);
                self.apply_standing(*id, record)
            }
        }
    }

    fn apply_standing(&mut self, id: JobId, record: &Record) -> Option<u32> {
        let slot = *self.slots.get(&id)?;
        if let Entry::Job { standing, .. } = &mut self.entries[slot as usize] {
            standing.get_or_insert_default().apply(record);
        }
        Some(slot)
    }

    fn apply_ended(&mut self, id: JobId, record: &Record, place: Place) -> Option<u32> {
        let slot = *self.slots.get(&id)?;
        let Entry::Job { ended, standing, .. } = &mut self.entries[slot as usize] else { return None };
        standing.get_or_insert_default().apply(record);
        let before = ended.replace(place);
        self.alive(place);
        if let Some(before) = before {
            self.dead(before);
        }
        Some(slot)
    }

    /// Puts `entry` in the place of whatever is known under `id`.
    fn put(&mut self, id: JobId, entry: Entry) -> u32 {
        for place in entry.places() {
            self.alive(place);
        }
        if let Some(&slot) = self.slots.get(&id) {
            let before = std::mem::replace(&mut self.entries[slot as usize], entry);
            for place in before.places() {
                self.dead(place);
            }
            return slot;
        }
        let slot = match self.free.pop() {
            Some(slot) => {
                self.entries[slot as usize] = entry;
                slot
            }
            None => {
                self.entries.push(entry);
                self.entries.len() as u32 - 1
            }
        };
        self.slots.insert(id, slot);
        slot
    }

    /// Drops what is known under `id`, and gives its slot, which may now become another's.
    pub(super) fn forget(&mut self, id: JobId) -> Option<u32> {
        let slot = self.slots.remove(&id)?;
        let before = std::mem::replace(&mut self.entries[slot as usize], Entry::Free);
        for place in before.places() {
            self.dead(place);
        }
        self.free.push(slot);
        Some(slot)
    }

    /// Its records stand somewhere else now; the `ended` only if it has one.
    pub(super) fn moved(&mut self, id: JobId, submitted_now: Place, ended_now: Option<Place>) {
        let Some(&slot) = self.slots.get(&id) else { return };
        let before = match &mut self.entries[slot as usize] {
            Entry::Job { submitted, ended, .. } => {
                let places = [Some(std::mem::replace(submitted, submitted_now)), *ended];
                *ended = ended_now;
                places
            }
            Entry::Buried(place) => [Some(std::mem::replace(place, submitted_now)), None],
            Entry::Free => [None, None],
        };
        for place in [Some(submitted_now), ended_now].into_iter().flatten() {
            self.alive(place);
        }
        for place in before.into_iter().flatten() {
            self.dead(place);
        }
    }

    /// As [`moved`](Self::moved), of what was set for a queue.
    pub(super) fn queue_moved(&mut self, queue: &QueueName, now: Place) {
        if let Some(place) = self.queues.get_mut(queue) {
            let before = std::mem::replace(place, now);
            self.alive(now);
            self.dead(before);
        }
    }

    fn alive(&mut self, place: Place) {
        *self.live.entry(place.segment).or_default() += place.frame_len();
        self.live_bytes += place.frame_len();
    }

    fn dead(&mut self, place: Place) {
        self.live_bytes -= place.frame_len();
        if let Some(bytes) = self.live.get_mut(&place.segment) {
            *bytes -= place.frame_len();
            if *bytes == 0 {
                self.live.remove(&place.segment);
            }
        }
    }

    pub(super) fn get(&self, id: JobId) -> Option<&Entry> {
        self.slots.get(&id).map(|slot| &self.entries[*slot as usize])
    }

    pub(super) fn queue(&self, queue: &QueueName) -> Option<Place> {
        self.queues.get(queue).copied()
    }

    /// Whether an id from before is too old to be submitted again, so that nobody need remember it.
    pub(super) fn is_too_old(&self, id: JobId) -> bool {
        id.wall_ms() + DEDUPE_WINDOW_MS < self.wall_ms
    }

    /// The oldest segment with a live record.
    pub(super) fn oldest(&self) -> Option<Number> {
        self.live.keys().next().copied()
    }

    /// Live bytes of all segments.
    pub(super) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// Live bytes of one segment.
    pub(super) fn live_in(&self, segment: Number) -> u64 {
        self.live.get(&segment).copied().unwrap_or_default()
    }

    /// The last moment any record speaks of.
    pub(super) fn wall_ms(&self) -> u64 {
        self.wall_ms
    }

    /// The entry at `slot`, for whoever keeps something beside it.
    pub(super) fn at(&self, slot: usize) -> Option<&Entry> {
        self.entries.get(slot)
    }
}

impl Entry {
    fn places(&self) -> impl Iterator<Item = Place> + use<> {
        let places = match self {
            Entry::Free => [None, None],
            Entry::Job { submitted, ended, .. } => [Some(*submitted), *ended],
            Entry::Buried(place) => [Some(*place), None],
        };
        places.into_iter().flatten()
    }
}
