//! What one side hears in a session. Owns the number expected next, the transfers under way, and which commands are
//! done.
//!
//! Invariant: an acknowledgement leaves only in, or after, the packet that carries the last command queued before the
//! acknowledged one was done, so that whoever reads it has read every answer.

use std::collections::VecDeque;

use crate::link::transfers::Transfers;
use crate::model::limits;

/// The incoming direction of a session.
#[derive(Debug)]
pub(crate) struct Inbound {
    /// The number the next command must have.
    expected: u64,
    /// Every command up to this one is done.
    done: u64,
    /// Of the commands from `done + 1` to `expected - 1`: done already, urgent.
    open: VecDeque<(bool, bool)>,
    /// This may be acknowledged whatever has been sent.
    free: u64,
    /// This may be acknowledged once so much has been sent. Both numbers rise.
    held: VecDeque<Held>,
    /// The acknowledgement that left last.
    said: u64,
    /// The last urgent command that is done.
    urgent: u64,
    /// Bytes heard since the last acknowledgement.
    heard_len: usize,
    heard_len_max: usize,
    /// When an acknowledgement that nobody waits for leaves by itself.
    due_us: Option<u64>,
    pub(crate) transfers: Transfers,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    acknowledged: u64,
    after: u64,
}

impl Inbound {
    /// Nothing heard yet.
    pub(crate) fn new(window_len: usize, payload_len_max: u64) -> Self {
        Inbound {
            expected: 1,
            done: 0,
            open: VecDeque::new(),
            free: 0,
            held: VecDeque::new(),
            said: 0,
            urgent: 0,
            heard_len: 0,
            heard_len_max: window_len / 4,
            due_us: None,
            transfers: Transfers::new(payload_len_max),
        }
    }

    /// The number the next command must have.
    pub(crate) fn expected(&self) -> u64 {
        self.expected
    }

    /// Counts a packet of `len` bytes.
    pub(crate) fn heard(&mut self, len: usize) {
        self.heard_len = self.heard_len.saturating_add(len);
    }

    /// Counts a command as received and returns its number. It stays open until [`Inbound::done`].
    pub(crate) fn open(&mut self, urgent: bool) -> u64 {
        let number = self.expected;
        self.expected += 1;
        self.open.push_back((false, urgent));
        number
    }

    /// The command with this number is done; what answers it was queued up to the own command `after`, of which the
    /// other side has acknowledged `acked`.
    pub(crate) fn done(&mut self, now_us: u64, number: u64, after: u64, acked: u64) {
        let open = number.checked_sub(self.done + 1).and_then(|at| usize::try_from(at).ok());
        let Some((done, _)) = open.and_then(|at| self.open.get_mut(at)) else { return };
        *done = true;
        while let Some((true, urgent)) = self.open.front() {
            self.done += 1;
            if *urgent {
                self.urgent = self.done;
            }
            self.open.pop_front();
        }
        if self.done < number {
            return;
        }
        self.due_us.get_or_insert(now_us.saturating_add(limits::ACK_DELAY_MS * 1_000));
        // What was done before may wait for more than this one does.
        let after = self.held.back().map_or(after, |held| held.after.max(after));
        if after <= acked {
            self.free = self.done;
            return;
        }
        match self.held.back_mut() {
            Some(held) if held.after == after => held.acknowledged = self.done,
            _ => self.held.push_back(Held { acknowledged: self.done, after }),
        }
    }

    /// The other side acknowledged the own commands up to `acked`.
    pub(crate) fn answered(&mut self, acked: u64) {
        while let Some(held) = self.held.front().filter(|held| held.after <= acked) {
            self.free = held.acknowledged;
            self.held.pop_front();
        }
    }

    /// The acknowledgement that may leave with a packet after which everything up to `sent_upto` has been sent.
    pub(crate) fn acknowledgement(&self, sent_upto: u64) -> u64 {
        let released = self.held.partition_point(|held| held.after <= sent_upto);
        released.checked_sub(1).map_or(self.free, |last| self.held[last].acknowledged)
    }

    /// Whether this acknowledgement is worth a packet of its own now.
    pub(crate) fn is_due(&mut self, now_us: u64, acknowledged: u64) -> bool {
        let due = self.due_us.is_some_and(|due_us| due_us <= now_us);
        if due {
            // Whatever is held back now leaves with the packet that sets it free.
            self.due_us = None;
        }
        acknowledged > self.said
            && (due
                || (self.said < self.urgent && self.urgent <= acknowledged)
                || acknowledged - self.said >= limits::ACK_COMMANDS
                || self.heard_len >= self.heard_len_max)
    }

    /// This acknowledgement leaves.
    pub(crate) fn said(&mut self, acknowledged: u64) {
        if acknowledged > self.said {
            self.heard_len = 0;
        }
        self.said = acknowledged;
        if acknowledged == self.done {
            self.due_us = None;
        }
    }

    /// The other side may have missed acknowledgements: says them again soon.
    pub(crate) fn repeat(&mut self, now_us: u64) {
        if self.done > 0 {
            self.said = 0;
            self.due_us = Some(now_us);
        }
    }

    /// When an acknowledgement leaves by itself.
    pub(crate) fn due_us(&self) -> Option<u64> {
        self.due_us
    }
}
