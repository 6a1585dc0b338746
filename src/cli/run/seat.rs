//! A broker or a host among those that are looked after, from one process to the next.

use std::collections::VecDeque;
use std::time::Instant;

use crate::cli::run::host::Spec;
use crate::cli::run::member::Process;

/// A broker or a host, and its successors.
pub(super) struct Member {
    pub(super) name: String,
    /// The host's; the broker's is in the plan.
    pub(super) spec: Option<Spec>,
    pub(super) slots: Option<u32>,
    pub(super) process: Option<Process>,
    /// The line in which it said that it is ready.
    pub(super) ready: Option<String>,
    /// When to start the next.
    pub(super) due: Option<Instant>,
    /// Who takes its place, and as what.
    pub(super) heir: Option<(Process, Spec, Option<u32>)>,
    /// Ends in a row that were no sound life, those of them before it was ready, and the times of all lately.
    pub(super) ends: u32,
    pub(super) unready: u32,
    pub(super) lately: VecDeque<Instant>,
    /// It is not to be there any more.
    pub(super) is_going: bool,
}

impl Member {
    pub(super) fn new(name: &str, spec: Option<&Spec>) -> Member {
        Member {
            name: name.to_owned(),
            spec: spec.cloned(),
            slots: spec.and_then(|spec| spec.slots),
            process: None,
            ready: None,
            due: None,
            heir: None,
            ends: 0,
            unready: 0,
            lately: VecDeque::new(),
            is_going: false,
        }
    }

    /// It is the host of this name.
    pub(super) fn is_host(&self, name: &str) -> bool {
        self.spec.is_some() && self.name == name
    }

    pub(super) fn is(&self, number: u64) -> bool {
        self.process.as_ref().is_some_and(|process| process.number == number)
    }

    pub(super) fn has_heir(&self, number: u64) -> bool {
        self.heir.as_ref().is_some_and(|(heir, ..)| heir.number == number)
    }

    /// Whether it is the host of this queue, or of this name.
    pub(super) fn serves(&self, queue: &str) -> bool {
        let queues = self.ready.as_ref().and_then(|line| line.split_once(" serve"));
        let queues = queues.map_or("", |(_, rest)| rest.trim_start_matches('s').trim_start());
        self.name == queue || queues == queue || queues.split(", ").any(|one| one == queue)
    }
}

/// Whether this is what a broker or a host says when it is ready.
pub(super) fn says_ready(line: &str) -> bool {
    let count = line
        .split_once(' ')
        .filter(|(_, rest)| rest.starts_with("slots serve ") || rest.starts_with("slot serves "));
    line.starts_with("listening on ") || count.is_some_and(|(count, _)| count.parse::<u32>().is_ok())
}
