//! What every call of a handle asks first: may it be used, and should it go on waiting.
//!
//! Invariants: a handle made before a fork does nothing in the child; once a handle has ended, every later call says
//! why; an interruption ends all waits of its moment, or the next one.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use crate::model::{Failure, Status};
use crate::net;

/// How a client or worker stands with its broker. The numbers are part of the C ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum State {
    /// No broker answers now; it is being tried.
    Connecting = 0,
    /// A broker answers.
    Ready = 1,
    /// Nothing new is begun: the worker was stopped, or its broker is about to stop.
    Draining = 2,
    /// A broker does not want this handle; final.
    Refused = 3,
    /// Closed, or ended by a fault.
    Closed = 4,
}

impl State {
    fn from_number(number: u32) -> State {
        match number {
            0 => State::Connecting,
            1 => State::Ready,
            2 => State::Draining,
            3 => State::Refused,
            _ => State::Closed,
        }
    }
}

/// When a wait ends by itself; `None` never.
pub(super) type Until = Option<Instant>;

/// A wait ended because of [`Gate::interrupt`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interrupted;

pub(super) struct Gate {
    generation: u32,
    ended: OnceLock<Failure>,
    state: AtomicU32,
    state_lock: Mutex<()>,
    state_changed: Condvar,
    /// Why there is no connection now, if that is known.
    trouble: Mutex<Option<String>>,
    /// Set by [`Gate::interrupt`], taken by the serving thread.
    is_interrupted: AtomicBool,
    waits: Mutex<Waits>,
    /// How often waits were interrupted.
    turn: AtomicU64,
}

#[derive(Default)]
struct Waits {
    waiting: usize,
    /// Nobody waited when the interruption came: the next wait takes it.
    is_sticky: bool,
}

/// One wait under way.
pub(super) struct Wait<'a> {
    gate: &'a Gate,
    turn: u64,
}

impl Gate {
    pub(super) fn new() -> Self {
        Gate {
            generation: net::generation(),
            ended: OnceLock::new(),
            state: AtomicU32::new(State::Connecting as u32),
            state_lock: Mutex::new(()),
            state_changed: Condvar::new(),
            trouble: Mutex::new(None),
            is_interrupted: AtomicBool::new(false),
            waits: Mutex::new(Waits::default()),
            turn: AtomicU64::new(0),
        }
    }

    /// Whether this is a forked child of the process that made the handle.
    pub(super) fn is_forked(&self) -> bool {
        self.generation != net::generation()
    }

    /// Whether the handle may be used.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.is_forked() {
            return Err(Failure::new(Status::Forked, Status::Forked.text()));
        }
        self.ended.get().map_or(Ok(()), |failure| Err(failure.clone()))
    }

    /// The handle has ended; every later call says `why`. The first word counts.
    pub(super) fn end(&self, why: Failure, state: State) {
        let _ = self.ended.set(why);
        self.set_state(state);
    }

    pub(super) fn ended(&self) -> Option<&Failure> {
        self.ended.get()
    }

    pub(super) fn state(&self) -> State {
        if self.is_forked() { State::Closed } else { State::from_number(self.state.load(Ordering::Acquire)) }
    }

    pub(super) fn set_state(&self, state: State) {
        if self.state.swap(state as u32, Ordering::AcqRel) != state as u32 {
            self.wake_state();
        }
    }

    fn wake_state(&self) {
        drop(lock(&self.state_lock));
        self.state_changed.notify_all();
    }

    /// Why there is no connection now; `None` when that is not known, or the connection is not to blame.
    pub(super) fn set_trouble(&self, why: Option<&str>) {
        let mut trouble = lock(&self.trouble);
        if trouble.as_deref() != why {
            *trouble = why.map(str::to_owned);
        }
    }

    /// Waits until a broker answers. When none has in time and it is known why, says so.
    pub(super) fn ready(&self, until: Until) -> Result<(), Failure> {
        self.check()?;
        let wait = self.wait().map_err(|_| nothing(Status::Interrupted))?;
        let mut guard = lock(&self.state_lock);
        loop {
            self.check()?;
            match self.state() {
                State::Ready => return Ok(()),
                State::Draining => {
                    return Err(Failure::new(Status::State, "it is draining and will not be ready again"));
                }
                _ => {}
            }
            if wait.is_interrupted() {
                return Err(nothing(Status::Interrupted));
            }
            guard = match wait_on(&self.state_changed, guard, until) {
                Ok(guard) => guard,
                Err(_) => return Err(self.not_ready()),
            };
        }
    }

    fn not_ready(&self) -> Failure {
        match &*lock(&self.trouble) {
            Some(why) => Failure::new(Status::Io, why.clone()),
            None => nothing(Status::TimedOut),
        }
    }

    /// Begins a wait. `Interrupted`: an interruption came when nobody waited, so this one ends at once.
    pub(super) fn wait(&self) -> Result<Wait<'_>, Interrupted> {
        let mut waits = lock(&self.waits);
        if std::mem::take(&mut waits.is_sticky) {
            return Err(Interrupted);
        }
        waits.waiting += 1;
        Ok(Wait { gate: self, turn: self.turn.load(Ordering::SeqCst) })
    }

    /// Ends all waits, or the next one. Wake the serving thread after it. Async-signal-safe.
    pub(super) fn interrupt(&self) {
        self.is_interrupted.store(true, Ordering::SeqCst);
    }

    /// The serving thread's part: whether it must wake every wait of this handle now.
    pub(super) fn take_interrupt(&self) -> bool {
        if !self.is_interrupted.swap(false, Ordering::SeqCst) {
            return false;
        }
        let mut waits = lock(&self.waits);
        if waits.waiting == 0 {
            waits.is_sticky = true;
            return false;
        }
        self.turn.fetch_add(1, Ordering::SeqCst);
        drop(waits);
        self.wake_state();
        true
    }

    pub(super) fn turn(&self) -> u64 {
        self.turn.load(Ordering::SeqCst)
    }
}

impl Wait<'_> {
    pub(super) fn is_interrupted(&self) -> bool {
        self.gate.turn() != self.turn
    }

    pub(super) fn turn(&self) -> u64 {
        self.turn
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        lock(&self.gate.waits).waiting -= 1;
    }
}

/// A status above zero: nothing is wrong and nothing need be said.
pub(super) fn nothing(status: Status) -> Failure {
    Failure { status, message: String::new(), retry_after_ms: None }
}

/// What a handle's calls say after it was closed.
pub(super) fn closed() -> Failure {
    Failure::new(Status::Closed, Status::Closed.text())
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for `condition` to be notified, at most until the moment given; `Err` when that has passed.
pub(super) fn wait_on<'a, T>(
    condition: &Condvar,
    guard: MutexGuard<'a, T>,
    until: Until,
) -> Result<MutexGuard<'a, T>, MutexGuard<'a, T>> {
    let Some(until) = until else {
        return Ok(condition.wait(guard).unwrap_or_else(PoisonError::into_inner));
    };
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(guard);
    }
    Ok(condition.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0)
}

/// The moment a timeout means. One too far away to be counted means never.
pub(super) fn until(timeout: Option<std::time::Duration>) -> Until {
    timeout.and_then(|timeout| Instant::now().checked_add(timeout))
}
