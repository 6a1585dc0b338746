//! How many jobs pay to be held beyond the slots: fetching the next job of a short kind takes longer than doing it.
//!
//! Invariant: nothing is held beyond the slots before several jobs in a row were short, nor after one was not.

/// A job of at least this length is worth its way: none is fetched ahead of it.
const SHORT_US: u64 = 1_000;
/// Work worth fetching ahead for each slot.
const AHEAD_US: u64 = 2_000;
/// Short jobs seen before any is fetched ahead.
const SEEN_MIN: u32 = 16;
/// Jobs held beyond each slot, and beyond all of them.
const AHEAD_JOBS_MAX: u64 = 64;
const AHEAD_MAX: u64 = 1_024;
/// Jobs fetched ahead that wait longer are held up by a longer one, and go back.
pub(super) const PATIENCE_US: u64 = 10_000;

/// What the last jobs took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    seen: u32,
    mean_us: u64,
}

impl Pace {
    /// A job took so long.
    pub(super) fn note(&mut self, run_us: u64) {
        if run_us >= SHORT_US {
            return self.begin_anew();
        }
        self.mean_us = if self.seen == 0 { run_us } else { (self.mean_us * 15 + run_us) / 16 };
        self.seen = self.seen.saturating_add(1);
    }

    /// Forgets the jobs so far.
    pub(super) fn begin_anew(&mut self) {
        *self = Pace::default();
    }

    /// How many to hold beyond so many slots.
    pub(super) fn prefetch(&self, slots: u32) -> u32 {
        if self.seen < SEEN_MIN {
            return 0;
        }
        let each = (AHEAD_US / self.mean_us.max(1)).clamp(1, AHEAD_JOBS_MAX);
        (each * u64::from(slots)).min(AHEAD_MAX) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_jobs_are_fetched_ahead() {
        let mut pace = Pace::default();
        for _ in 0..SEEN_MIN {
            assert_eq!(pace.prefetch(2), 0);
            pace.note(100);
        }
        assert_eq!(pace.prefetch(2), 40);
        pace.note(SHORT_US);
        assert_eq!(pace.prefetch(2), 0);
    }
}
