//! The jobs that wait to be received, and the threads that receive.
//!
//! Invariants: the first `claimed` jobs are promised to threads that wait inside, and have begun; such a thread never
//! leaves without one while there are jobs. A thread counts as one executor for as long as it is inside or holds a job
//! it has not answered.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::ThreadId;

use crate::core::worker::JobKey;
use crate::net::LevelEvent;
use crate::run::gate::lock;
use crate::run::worker::job::HeldJob;

pub(super) struct Waiting {
    pub(super) state: Mutex<State>,
    pub(super) changed: Condvar,
    pub(super) level: LevelEvent,
    /// As many jobs as the application said it can execute at once.
    slots: Option<u32>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) jobs: VecDeque<Arc<HeldJob>>,
    /// Jobs at the front that have begun.
    pub(super) claimed: usize,
    /// Jobs the threads inside would take, and how many threads they are.
    pub(super) wanted: usize,
    pub(super) sleepers: usize,
    threads: Vec<Executor>,
    /// What the core was told that can be executed at once.
    announced: u32,
    /// The core has stopped asking for jobs because nobody received them.
    pub(super) is_unattended: bool,
    /// Nothing more will come.
    pub(super) is_drained: bool,
    /// Somebody watches the descriptor.
    pub(super) has_watcher: bool,
}

/// One thread that receives or holds jobs.
struct Executor {
    thread: ThreadId,
    /// Jobs it would take, when it was last inside.
    wanted: u32,
    is_inside: bool,
    held: u32,
}

impl Waiting {
    pub(super) fn new(slots: Option<u32>, level: LevelEvent) -> Self {
        Waiting { state: Mutex::new(State::default()), changed: Condvar::new(), level, slots }
    }

    /// A thread comes in for so many jobs. Gives the number of slots when the core must hear of it.
    pub(super) fn enter(&self, state: &mut State, thread: ThreadId, wanted: u32) -> Option<u32> {
        match state.threads.iter_mut().find(|one| one.thread == thread) {
            Some(one) => {
                one.wanted = wanted;
                one.is_inside = true;
            }
            None => state.threads.push(Executor { thread, wanted, is_inside: true, held: 0 }),
        }
        self.announce(state)
    }

    /// The descriptor is asked for: whoever watches it executes jobs without having been inside before. Gives the
    /// number of slots when the core must hear of it.
    pub(super) fn watch(&self, state: &mut State) -> Option<u32> {
        state.has_watcher = true;
        if !state.jobs.is_empty() || state.is_drained {
            self.level.set();
        }
        self.announce(state)
    }

    fn announce(&self, state: &mut State) -> Option<u32> {
        let slots = self.slots.unwrap_or_else(|| state.executors());
        if slots <= state.announced && !state.is_unattended {
            return None;
        }
        state.announced = state.announced.max(slots);
        state.is_unattended = false;
        Some(state.announced)
    }

    /// The core has stopped asking for jobs because nobody received them. Whoever watches the descriptor is woken once:
    /// the receive that follows finds nothing, and asks again.
    pub(super) fn unattended(&self) {
        let mut state = lock(&self.state);
        if state.has_watcher && !state.is_unattended {
            self.level.set();
        }
        state.is_unattended = true;
    }

    /// The thread goes out with so many jobs.
    pub(super) fn leave(&self, state: &mut State, thread: ThreadId, taken: u32) {
        if let Some(at) = state.threads.iter().position(|one| one.thread == thread) {
            let one = &mut state.threads[at];
            one.is_inside = false;
            one.held += taken;
            if one.held == 0 {
                state.threads.swap_remove(at);
            }
        }
    }

    /// A job the thread had received was answered.
    pub(super) fn answered(&self, thread: ThreadId) {
        let mut state = lock(&self.state);
        let Some(at) = state.threads.iter().position(|one| one.thread == thread) else { return };
        let one = &mut state.threads[at];
        one.held = one.held.saturating_sub(1);
        if one.held == 0 && !one.is_inside {
            state.threads.swap_remove(at);
        }
    }

    /// New jobs. Gives those promised to waiting threads: they have begun.
    pub(super) fn put(&self, jobs: &mut Vec<Arc<HeldJob>>, begun: &mut Vec<JobKey>) {
        let mut state = lock(&self.state);
        state.jobs.extend(jobs.drain(..));
        while state.claimed < state.wanted.min(state.jobs.len()) {
            begun.push(state.jobs[state.claimed].key());
            state.claimed += 1;
        }
        if state.has_watcher {
            self.level.set();
        }
        let sleepers = state.sleepers;
        drop(state);
        // Waking is a call of the system even when nobody sleeps.
        if begun.len() < sleepers {
            begun.iter().for_each(|_| self.changed.notify_one());
        } else if sleepers > 0 {
            self.changed.notify_all();
        }
    }

    /// Whether no job waits.
    pub(super) fn is_empty(&self) -> bool {
        lock(&self.state).jobs.is_empty()
    }

    /// Takes a job back that has not begun; false: a thread has it.
    pub(super) fn withdraw(&self, key: JobKey) -> bool {
        let mut state = lock(&self.state);
        let Some(at) = state.jobs.iter().position(|job| job.key() == key) else { return false };
        if at < state.claimed {
            return false;
        }
        state.jobs.remove(at);
        if state.jobs.is_empty() && state.has_watcher && !state.is_drained {
            self.level.clear();
        }
        true
    }

    /// Nothing more will come: everybody is told.
    pub(super) fn drain(&self) {
        let mut state = lock(&self.state);
        state.is_drained = true;
        if state.has_watcher {
            self.level.set();
        }
        drop(state);
        self.changed.notify_all();
    }

    /// The handle has ended: what nobody received goes, and everybody is told.
    pub(super) fn end(&self) {
        let mut state = lock(&self.state);
        let jobs = std::mem::take(&mut state.jobs);
        state.claimed = 0;
        drop(state);
        drop(jobs);
        self.drain();
    }

    pub(super) fn wake(&self) {
        drop(lock(&self.state));
        self.changed.notify_all();
    }
}

impl State {
    /// Jobs all threads could execute at once.
    fn executors(&self) -> u32 {
        let each = |one: &Executor| if one.is_inside { one.wanted.max(one.held) } else { one.held };
        self.threads.iter().map(each).fold(0, u32::saturating_add).max(1)
    }
}
