//! The clocks of the process, read in one place.
//!
//! Invariant: every [`Now`] of the process counts its microseconds from the same origin.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::model::Now;

fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

/// What the clock that never jumps shows when the process looks at it first: longer than any interval, so that moments before, such as
/// when a job was accepted that a store brought back, can be told.
const FIRST_US: u64 = 400 * 24 * 3_600 * 1_000_000;

/// Both clocks, now.
pub fn now() -> Now {
    Now { us: FIRST_US + origin().elapsed().as_micros() as u64, wall_ms: wall_ms() }
}

/// Unix milliseconds.
pub fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
