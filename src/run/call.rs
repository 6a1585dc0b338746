//! One blocking call: what the serving thread puts in, and what the calling thread waits for.
//!
//! Invariant: locked only for moments, by the caller and the serving thread; nothing else is locked meanwhile.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use crate::core::client::{News, Ticket};
use crate::model::{Failure, JobId, Verdict};
use crate::run::gate::{Until, Wait, lock, wait_on};

pub(super) struct Call {
    pub(super) ticket: Ticket,
    /// The turn of interruptions the caller entered in.
    pub(super) turn: u64,
    state: Mutex<Progress>,
    changed: Condvar,
}

/// What a call has come to so far.
#[derive(Default)]
pub(super) struct Progress {
    /// The broker took so many of the call's jobs, from the first on.
    pub(super) accepted: usize,
    /// Jobs it took behind one it has not taken.
    ahead: BTreeSet<usize>,
    /// Jobs it took or refused.
    pub(super) confirmed: usize,
    /// The first one it refused.
    refused: Option<(usize, Failure)>,
    pub(super) ended: Vec<(JobId, Result<Arc<Verdict>, Failure>)>,
    pub(super) answer: Option<Result<News, Failure>>,
    /// The serving thread has looked at what is asked.
    pub(super) is_seen: bool,
    /// The caller waits no more.
    pub(super) has_left: bool,
    /// The handle has ended.
    pub(super) is_over: bool,
    is_waiting: bool,
}

impl Progress {
    /// The broker took or refused the job with this index. Refusals do not wait for the store and jobs that are known
    /// already do not wait for the broker, so this comes in any order.
    pub(super) fn confirm(&mut self, index: u32, result: Result<(), Failure>) {
        let index = index as usize;
        self.confirmed += 1;
        match result {
            Ok(()) if index == self.accepted => {
                self.accepted += 1;
                while self.ahead.remove(&self.accepted) {
                    self.accepted += 1;
                }
            }
            Ok(()) => {
                self.ahead.insert(index);
            }
            Err(failure) => {
                if self.refused.as_ref().is_none_or(|(first, _)| index < *first) {
                    self.refused = Some((index, failure));
                }
            }
        }
    }

    /// Why the job behind the last accepted one was refused, if it was.
    pub(super) fn refusal(&self) -> Option<&Failure> {
        self.refused.as_ref().filter(|(index, _)| *index == self.accepted).map(|(_, failure)| failure)
    }
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// It came to what was waited for.
    Done,
    /// The handle has ended.
    Over,
    Interrupted,
    TimedOut,
}

impl Call {
    /// `turn`: that of the caller's wait.
    pub(super) fn new(turn: u64) -> Arc<Self> {
        static TICKETS: AtomicU64 = AtomicU64::new(1);
        Arc::new(Call {
            ticket: TICKETS.fetch_add(1, Ordering::Relaxed),
            turn,
            state: Mutex::new(Progress::default()),
            changed: Condvar::new(),
        })
    }

    /// Changes what it has come to, and tells the caller.
    pub(super) fn put<T>(&self, change: impl FnOnce(&mut Progress) -> T) -> T {
        let mut state = lock(&self.state);
        let result = change(&mut state);
        let is_waiting = state.is_waiting;
        drop(state);
        // Waking is a call of the system even when nobody sleeps.
        if is_waiting {
            self.changed.notify_one();
        }
        result
    }

    /// As [`Call::put`], but the caller is told by [`Call::wake`].
    pub(super) fn note<T>(&self, change: impl FnOnce(&mut Progress) -> T) -> T {
        change(&mut lock(&self.state))
    }

    pub(super) fn wake(&self) {
        self.put(|_| {});
    }

    /// Waits until `is_done` says so.
    pub(super) fn wait(
        &self,
        wait: Option<&Wait<'_>>,
        until: Until,
        mut is_done: impl FnMut(&Progress) -> bool,
    ) -> (MutexGuard<'_, Progress>, Woken) {
        let mut guard = lock(&self.state);
        loop {
            if is_done(&guard) {
                return (guard, Woken::Done);
            }
            if guard.is_over {
                return (guard, Woken::Over);
            }
            if wait.is_some_and(Wait::is_interrupted) {
                return (guard, Woken::Interrupted);
            }
            guard.is_waiting = true;
            let (woken, is_late) = match wait_on(&self.changed, guard, until) {
                Ok(guard) => (guard, false),
                Err(guard) => (guard, true),
            };
            guard = woken;
            guard.is_waiting = false;
            if is_late {
                let woken = if is_done(&guard) { Woken::Done } else { Woken::TimedOut };
                return (guard, woken);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `submit` told its caller how many jobs were confirmed before one was refused, in the order of confirmations: of a batch
    /// submitted again, some of it known already, jobs that had been refused got an OK, and one that was accepted got none.
    /// Found by killing processes.
    #[test]
    fn accepted_counts_from_the_first_job_in_whatever_order_they_are_confirmed() {
        let full = || Err(Failure::store_full("full", 50));
        let mut progress = Progress::default();
        progress.confirm(3, Ok(()));
        progress.confirm(4, Ok(()));
        assert_eq!(progress.accepted, 0, "nothing is known of the first");
        progress.confirm(5, full());
        progress.confirm(2, full());
        assert!(progress.refusal().is_none(), "the first may yet be accepted");
        progress.confirm(0, Ok(()));
        progress.confirm(1, Ok(()));
        assert_eq!((progress.accepted, progress.confirmed), (2, 6));
        assert!(progress.refusal().is_some());

        let mut progress = Progress::default();
        for index in [2, 1, 0, 3] {
            progress.confirm(index, Ok(()));
        }
        assert_eq!((progress.accepted, progress.refusal()), (4, None));
    }
}
