//! What is on the screen: the last look, what keys have changed, and the failures seen so far.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::time::Duration;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::Value;

use crate::cli::ask::{count, rows, text};
use crate::cli::top::look::{Failure, Look};
use crate::cli::top::rates::Rates;

/// Failures that are kept.
const FAILURES_MAX: usize = 100;

/// By what queues, hosts and slots are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// Names and numbers.
    Name,
    /// Queues by what waits and runs, slots by how long their job runs, the longest first.
    Age,
    /// Queues by what they do in a second, slots by processor time.
    Cpu,
    Memory,
}

/// The state of the screen.
pub(super) struct Screen {
    pub(super) address: String,
    pub(super) every: Duration,
    pub(super) look: Option<Look>,
    pub(super) rates: Rates,
    /// The last first.
    pub(super) failures: VecDeque<Failure>,
    /// Why the broker could not be asked last.
    pub(super) trouble: Option<String>,
    pub(super) sort: Sort,
    pub(super) is_paused: bool,
    pub(super) shows_help: bool,
    /// Lines of hosts, slots and workers above those that are shown.
    pub(super) scrolled: usize,
    pub(super) is_over: bool,
}

impl Sort {
    fn next(self) -> Sort {
        match self {
            Sort::Name => Sort::Age,
            Sort::Age => Sort::Cpu,
            Sort::Cpu => Sort::Memory,
            Sort::Memory => Sort::Name,
        }
    }

    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Sort::Name => "name",
            Sort::Age => "age",
            Sort::Cpu => "cpu",
            Sort::Memory => "memory",
        }
    }
}

impl Screen {
    pub(super) fn new(address: String, every: Duration) -> Screen {
        Screen {
            address,
            every,
            look: None,
            rates: Rates::default(),
            failures: VecDeque::new(),
            trouble: None,
            sort: Sort::Name,
            is_paused: false,
            shows_help: false,
            scrolled: 0,
            is_over: false,
        }
    }

    /// Takes what the broker said, unless the picture is held still.
    pub(super) fn take(&mut self, look: Result<Look, String>) {
        let mut look = match look {
            Ok(look) => look,
            Err(why) => {
                self.trouble = Some(why);
                return;
            }
        };
        self.trouble = None;
        for failure in look.failures.drain(..) {
            self.failures.push_front(failure);
        }
        self.failures.truncate(FAILURES_MAX);
        if !self.is_paused {
            self.rates.take(look.at, &look.status);
            self.look = Some(look);
        }
    }

    /// Does what a key asks for.
    pub(super) fn press(&mut self, key: KeyEvent) {
        let is_help = matches!(key.code, KeyCode::Char('h' | '?'));
        if self.shows_help && !is_help && key.code != KeyCode::Char('q') {
            self.shows_help = false;
            return;
        }
        match key.code {
            KeyCode::Char('q') => self.is_over = true,
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => self.is_over = true,
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Char('p' | ' ') => self.is_paused = !self.is_paused,
            KeyCode::Char('h' | '?') => self.shows_help = !self.shows_help,
            KeyCode::Up | KeyCode::Char('k') => self.scrolled = self.scrolled.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.scrolled = self.scrolled.saturating_add(1),
            KeyCode::PageUp => self.scrolled = self.scrolled.saturating_sub(10),
            KeyCode::PageDown => self.scrolled = self.scrolled.saturating_add(10),
            KeyCode::Home => self.scrolled = 0,
            _ => {}
        }
    }

    /// The queues as they are sorted.
    pub(super) fn queues(&self) -> Vec<&Value> {
        let Some(look) = &self.look else { return Vec::new() };
        let key = |queue: &Value| match self.sort {
            Sort::Name => 0.0,
            Sort::Age => (count(queue, "ready") + count(queue, "leased")) as f64,
            Sort::Cpu => {
                let (done, not_done) = self.rates.of_queue(text(queue, "name"));
                done + not_done
            }
            Sort::Memory => count(queue, "bytes") as f64,
        };
        sorted(rows(&look.status, "queues"), key)
    }

    /// The hosts as they are sorted.
    pub(super) fn hosts(&self) -> Vec<&Value> {
        let Some(look) = &self.look else { return Vec::new() };
        let oldest = |host: &Value| {
            rows(host, "slot_list").iter().map(|slot| count(slot, "running_ms")).max().unwrap_or(0)
        };
        let key = |host: &Value| match self.sort {
            Sort::Name => 0.0,
            Sort::Age => oldest(host) as f64,
            Sort::Cpu => host["cpu_percent"].as_f64().unwrap_or(0.0),
            Sort::Memory => count(host, "rss_bytes") as f64,
        };
        sorted(&look.hosts, key)
    }

    /// A host's slots as they are sorted.
    pub(super) fn slots<'a>(&self, host: &'a Value) -> Vec<&'a Value> {
        let key = |slot: &Value| match self.sort {
            Sort::Name => -(count(slot, "slot") as f64),
            Sort::Age => count(slot, "running_ms") as f64,
            Sort::Cpu => slot["cpu_percent"].as_f64().unwrap_or(0.0),
            Sort::Memory => count(slot, "rss_bytes") as f64,
        };
        sorted(rows(host, "slot_list"), key)
    }

    /// Workers that are no host's.
    pub(super) fn workers(&self) -> &[Value] {
        self.look.as_ref().map_or(&[], |look| &look.workers)
    }
}

/// The largest first; of equals, as they came.
fn sorted(rows: &[Value], key: impl Fn(&Value) -> f64) -> Vec<&Value> {
    let mut sorted: Vec<&Value> = rows.iter().collect();
    sorted.sort_by(|one, other| key(other).partial_cmp(&key(one)).unwrap_or(Ordering::Equal));
    sorted
}
