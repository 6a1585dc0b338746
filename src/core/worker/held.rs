//! The jobs a worker holds.
//!
//! Invariant: a key names one grant and is never used again; a lease that still counts finds its job.

use crate::core::worker::{Answer, Hints};
use crate::model::{Index, JobId, Lease, QueueName, Stop, Token};

/// Names one grant on this worker: never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobKey {
    /// Its place; reused.
    pub slot: u32,
    /// How often the place had been used.
    pub turn: u32,
}

/// What has become of a grant.
#[derive(Debug)]
pub(super) enum State {
    /// Waits to be received. `is_gone`: the broker took it back, so it must not begin.
    Granted { is_gone: bool },
    /// A thread has it.
    Running,
    /// A thread has it, but it is no longer this worker's.
    Gone,
    /// The broker has not acknowledged the answer.
    Answered { answer: Answer, len: u64 },
}

#[derive(Debug)]
pub(super) struct Held {
    pub(super) key: JobKey,
    pub(super) id: JobId,
    pub(super) queue: QueueName,
    pub(super) attempt: u32,
    /// The lease it is held under, as long as the broker at hand knows it.
    pub(super) lease: Option<Lease>,
    /// Who granted it, and under which token.
    pub(super) broker: [u8; 16],
    pub(super) token: Token,
    pub(super) state: State,
    pub(super) granted_us: u64,
    /// The moments at which it is told of its limits; `u64::MAX` never.
    pub(super) soft_us: u64,
    pub(super) over_us: u64,
    /// Its limits, counted from its start.
    pub(super) soft_ms: u64,
    pub(super) run_ms: u64,
    /// It has begun, and the broker was not told.
    pub(super) is_start_unsaid: bool,
    /// The number of its next partial result.
    pub(super) sequence: u64,
}

/// What a job must be told by now.
pub(super) enum Due {
    Hint(Hints),
    Stop(Stop),
    Unreceived,
}

impl Held {
    pub(super) fn is_running(&self) -> bool {
        matches!(self.state, State::Running | State::Gone)
    }

    /// Whether it takes a slot.
    pub(super) fn is_occupying(&self) -> bool {
        !matches!(self.state, State::Answered { .. })
    }

    /// The next moment it must be told something.
    pub(super) fn due_us(&self, unreceived_us: u64) -> u64 {
        match self.state {
            State::Granted { is_gone: false } => self.granted_us.saturating_add(unreceived_us),
            State::Running => self.soft_us.min(self.over_us),
            _ => u64::MAX,
        }
    }

    /// What it must be told at `us`; each is told once.
    pub(super) fn take_due(&mut self, us: u64, unreceived_us: u64) -> Option<Due> {
        if us < self.due_us(unreceived_us) {
            return None;
        }
        if matches!(self.state, State::Granted { .. }) {
            // Asked again after as long, in case a thread took it just now and then left it.
            self.granted_us = us;
            return Some(Due::Unreceived);
        }
        if us >= self.over_us {
            self.over_us = u64::MAX;
            self.soft_us = u64::MAX;
            return Some(Due::Stop(Stop::TIME_OVER));
        }
        self.soft_us = u64::MAX;
        Some(Due::Hint(Hints::SOFT_LIMIT))
    }
}

#[derive(Debug, Default)]
pub(super) struct Table {
    places: Vec<(u32, Option<Held>)>,
    free: Vec<u32>,
    leases: Index<Lease, JobKey>,
    len: usize,
    occupied: u32,
}

impl Table {
    /// Puts a job in; `make` gets its key.
    pub(super) fn insert(&mut self, make: impl FnOnce(JobKey) -> Held) -> JobKey {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.places.push((0, None));
            (self.places.len() - 1) as u32
        });
        let place = &mut self.places[slot as usize];
        place.0 = place.0.wrapping_add(1);
        let key = JobKey { slot, turn: place.0 };
        let held = make(key);
        if let Some(lease) = held.lease {
            self.leases.insert(lease, key);
        }
        self.occupied += u32::from(held.is_occupying());
        self.len += 1;
        place.1 = Some(held);
        key
    }

    pub(super) fn remove(&mut self, key: JobKey) -> Option<Held> {
        let place = self.places.get_mut(key.slot as usize).filter(|place| place.0 == key.turn)?;
        let held = place.1.take()?;
        self.free.push(key.slot);
        self.len -= 1;
        self.occupied -= u32::from(held.is_occupying());
        if let Some(lease) = held.lease {
            self.leases.remove(&lease);
        }
        Some(held)
    }

    pub(super) fn get(&self, key: JobKey) -> Option<&Held> {
        self.places.get(key.slot as usize).filter(|place| place.0 == key.turn)?.1.as_ref()
    }

    /// For changes of anything but state and lease.
    pub(super) fn get_mut(&mut self, key: JobKey) -> Option<&mut Held> {
        self.places.get_mut(key.slot as usize).filter(|place| place.0 == key.turn)?.1.as_mut()
    }

    pub(super) fn set_state(&mut self, key: JobKey, state: State) {
        let Some(held) = self.get_mut(key) else { return };
        let before = held.is_occupying();
        held.state = state;
        let after = held.is_occupying();
        self.occupied = self.occupied + u32::from(after) - u32::from(before);
    }

    pub(super) fn set_lease(&mut self, key: JobKey, lease: Option<Lease>) {
        let Some(held) = self.get_mut(key) else { return };
        if let Some(before) = std::mem::replace(&mut held.lease, lease) {
            self.leases.remove(&before);
        }
        if let Some(lease) = lease {
            self.leases.insert(lease, key);
        }
    }

    pub(super) fn by_lease(&self, lease: Lease) -> Option<JobKey> {
        self.leases.get(&lease).copied()
    }

    /// Every job, by place.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Held> {
        self.places.iter().filter_map(|place| place.1.as_ref())
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Held> {
        self.places.iter_mut().filter_map(|place| place.1.as_mut())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Slots taken.
    pub(super) fn occupied(&self) -> u32 {
        self.occupied
    }
}
