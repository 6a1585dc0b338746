//! How threads that call a handle reach the one thread that serves it.
//!
//! Invariant: a request put in is taken out by the serving thread before it sleeps again, except for those put in
//! quietly, which may wait until something else wakes it, or in time for a look it has promised.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::net::{self, Waker};

pub(super) struct Mailbox<R> {
    letters: Mutex<Letters<R>>,
    /// The serving thread sleeps or is about to; it looks at the letters once more after saying so.
    is_asleep: AtomicBool,
    waker: Waker,
    quiet_max: usize,
}

struct Letters<R> {
    queue: VecDeque<R>,
    quiet: usize,
    /// The serving thread sleeps for a short time only, whatever happens.
    looks_soon: bool,
}

impl<R> Mailbox<R> {
    /// After `quiet_max` quiet letters one is loud.
    pub(super) fn new(quiet_max: usize) -> net::Result<Self> {
        Ok(Mailbox {
            letters: Mutex::new(Letters { queue: VecDeque::new(), quiet: 0, looks_soon: false }),
            is_asleep: AtomicBool::new(false),
            waker: Waker::new()?,
            quiet_max: quiet_max.max(1),
        })
    }

    /// Puts a request in and wakes the serving thread if it sleeps.
    pub(super) fn push(&self, letter: R) {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner).queue.push_back(letter);
        self.wake_if_asleep();
    }

    /// Puts in a request that is in no hurry.
    pub(super) fn push_quietly(&self, letter: R) {
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        letters.queue.push_back(letter);
        letters.quiet += 1;
        let is_loud = letters.quiet >= self.quiet_max;
        drop(letters);
        if is_loud {
            self.wake_if_asleep();
        }
    }

    /// Puts in a request that can wait until the serving thread looks, if it has promised to look soon.
    pub(super) fn push_for_look(&self, letter: R) {
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        letters.queue.push_back(letter);
        let looks_soon = letters.looks_soon;
        drop(letters);
        if !looks_soon {
            self.wake_if_asleep();
        }
    }

    fn wake_if_asleep(&self) {
        if self.is_asleep.swap(false, Ordering::SeqCst) {
            self.waker.wake();
        }
    }

    /// Wakes the serving thread, or lets it not fall asleep. Async-signal-safe.
    pub(super) fn wake(&self) {
        self.waker.wake();
    }

    /// The serving thread's part: takes everything out. `into` is empty before.
    pub(super) fn take(&self, into: &mut VecDeque<R>) {
        debug_assert!(into.is_empty(), "letters are handled before more are taken");
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        letters.quiet = 0;
        std::mem::swap(&mut letters.queue, into);
    }

    /// The serving thread's part: it is about to sleep, and promises to look again soon or not. False: it must not, there is
    /// something to take.
    pub(super) fn fall_asleep(&self, looks_soon: bool) -> bool {
        self.is_asleep.store(true, Ordering::SeqCst);
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        let is_empty = letters.queue.len() == letters.quiet && letters.quiet < self.quiet_max;
        letters.looks_soon = looks_soon;
        drop(letters);
        if !is_empty {
            self.is_asleep.store(false, Ordering::SeqCst);
        }
        is_empty
    }

    /// The serving thread's part: it is awake.
    pub(super) fn awake(&self) {
        self.is_asleep.store(false, Ordering::SeqCst);
        self.waker.clear();
    }

    pub(super) fn waker(&self) -> &Waker {
        &self.waker
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_letters_let_the_reader_sleep_until_there_are_many() {
        let mailbox = Mailbox::new(3).unwrap();
        mailbox.push_quietly(1);
        assert!(mailbox.fall_asleep(false));
        mailbox.push_quietly(2);
        assert!(!mailbox.waker().clear());
        mailbox.push_quietly(3);
        assert!(mailbox.waker().clear());
        mailbox.awake();
        assert!(!mailbox.fall_asleep(false));
        let mut letters = VecDeque::new();
        mailbox.take(&mut letters);
        assert_eq!(letters, [1, 2, 3]);
        assert!(mailbox.fall_asleep(false));
        mailbox.push(4);
        assert!(mailbox.waker().clear());
        assert!(!mailbox.fall_asleep(false));
    }

    #[test]
    fn what_waits_for_a_look_wakes_nobody_who_promised_one() {
        let mailbox = Mailbox::new(3).unwrap();
        assert!(mailbox.fall_asleep(true));
        mailbox.push_for_look(1);
        assert!(!mailbox.waker().clear());
        mailbox.awake();
        assert!(!mailbox.fall_asleep(true), "it is there, so it is not slept over");
        let mut letters = VecDeque::new();
        mailbox.take(&mut letters);
        assert_eq!(letters, [1]);
        assert!(mailbox.fall_asleep(false));
        mailbox.push_for_look(2);
        assert!(mailbox.waker().clear());
    }
}
