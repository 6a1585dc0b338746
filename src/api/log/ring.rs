//! Lines that wait to be fetched: bounded, the oldest go first, and what went is said.

use std::collections::VecDeque;

use log::Level;

/// Lines that wait at most.
pub(super) const LINES_MAX: usize = 1_024;

/// See the module.
#[derive(Default)]
pub(super) struct Ring {
    lines: VecDeque<(Level, String)>,
    lost: u64,
    /// The line that says how many were lost, once somebody asks.
    notice: Option<String>,
}

impl Ring {
    pub(super) fn push(&mut self, level: Level, text: String) {
        if self.lines.len() >= LINES_MAX {
            self.lines.pop_front();
            self.lost += 1;
        }
        self.lines.push_back((level, text));
    }

    pub(super) fn peek(&mut self) -> Option<(Level, &str)> {
        if self.lost > 0 && self.notice.is_none() {
            self.notice = Some(format!("log: {} older lines were dropped", self.lost));
            self.lost = 0;
        }
        match &self.notice {
            Some(notice) => Some((Level::Warn, notice)),
            None => self.lines.front().map(|(level, text)| (*level, text.as_str())),
        }
    }

    pub(super) fn pop(&mut self) {
        if self.notice.take().is_none() {
            self.lines.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_ring_drops_the_oldest_and_says_so() {
        let mut ring = Ring::default();
        for i in 0..LINES_MAX + 3 {
            ring.push(Level::Info, i.to_string());
        }
        assert_eq!(ring.peek(), Some((Level::Warn, "log: 3 older lines were dropped")));
        ring.pop();
        assert_eq!(ring.peek(), Some((Level::Info, "3")));
        for _ in 0..LINES_MAX {
            ring.pop();
        }
        assert_eq!(ring.peek(), None);
    }
}
