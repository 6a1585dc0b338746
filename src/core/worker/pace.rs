//! How many jobs pay to be held beyond the slots: while the next job is on its way a slot stands idle.
//!
//! Invariant: nothing is held beyond the slots before several jobs in a row were short, nor after a long one. What waits here
//! behind another is asked back by the broker once a slot is free elsewhere, so holding it costs nobody time.

/// Jobs of this mean length are worth their way: none is fetched ahead of them.
const SHORT_US: u64 = 30_000;
/// A job of this length says that the next may be long too, however short those before it were.
const LONG_US: u64 = 100_000;
/// Work worth fetching ahead for each slot, at least one job: where every core computes, the broker's thread may wait some
/// milliseconds for its turn.
const AHEAD_US: u64 = 8_000;
/// Short jobs seen before any is fetched ahead.
const SEEN_MIN: u32 = 16;
/// Jobs held beyond each slot, and beyond all of them.
const AHEAD_JOBS_MAX: u64 = 64;
const AHEAD_MAX: u64 = 1_024;
/// Jobs fetched ahead that wait longer than this and a few of their kind take are held up by a longer one, and go back.
const PATIENCE_US: u64 = 10_000;
const PATIENCE_JOBS: u64 = 4;
/// START waits so long for the answer of a short job to travel with, and for so many of its kind where that is longer. A job
/// that takes its worker down meanwhile is blamed all the same: the broker knows that it was granted.
const START_HOLD_US: u64 = 500;
const START_HOLD_JOBS: u64 = 2;
const START_HOLD_MAX_US: u64 = 10_000;

/// What the last jobs took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    seen: u32,
    mean_us: u64,
}

impl Pace {
    /// A job took so long.
    pub(super) fn note(&mut self, run_us: u64) {
        if run_us >= LONG_US {
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
        if self.seen < SEEN_MIN || self.mean_us >= SHORT_US {
            return 0;
        }
        let each = (AHEAD_US / self.mean_us.max(1)).clamp(1, AHEAD_JOBS_MAX);
        (each * u64::from(slots)).min(AHEAD_MAX) as u32
    }

    /// How long the start of a job may go untold.
    pub(super) fn start_hold_us(&self) -> u64 {
        let is_short = self.prefetch(1) > 0;
        let jobs_us = if is_short { START_HOLD_JOBS * self.mean_us } else { 0 };
        jobs_us.clamp(START_HOLD_US, START_HOLD_MAX_US)
    }

    /// How long a job held beyond the slots may wait.
    pub(super) fn patience_us(&self) -> u64 {
        PATIENCE_US + PATIENCE_JOBS * self.mean_us
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
        assert_eq!(pace.prefetch(2), 128);
        pace.note(LONG_US);
        assert_eq!(pace.prefetch(2), 0);
    }

    #[test]
    fn one_job_waits_for_each_slot_where_jobs_take_milliseconds() {
        let mut pace = Pace::default();
        for _ in 0..SEEN_MIN {
            pace.note(10_000);
        }
        assert_eq!((pace.prefetch(2), pace.patience_us()), (2, 50_000));
        assert_eq!(pace.start_hold_us(), START_HOLD_MAX_US);
        for _ in 0..200 {
            pace.note(SHORT_US + 1_000);
        }
        assert_eq!((pace.prefetch(2), pace.start_hold_us()), (0, START_HOLD_US));
    }
}
