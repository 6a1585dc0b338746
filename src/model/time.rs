//! Time as a parameter. Nothing in the pure layers reads a clock; the driver hands `Now` in.

/// One reading of both clocks, taken by the driver before it feeds an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Microseconds of a clock that never jumps, from an origin of the process's choosing. Every wait,
    /// lease and timeout is counted on it.
    pub us: u64,
    /// Unix milliseconds of the wall clock. Only ids and what people read use it.
    pub wall_ms: u64,
}

impl Now {
    /// Whole milliseconds of the clock that never jumps.
    pub fn ms(self) -> u64 {
        self.us / 1_000
    }

    /// The moment `ms` milliseconds after this one, on the clock that never jumps, in microseconds.
    pub fn after_ms(self, ms: u64) -> u64 {
        self.us.saturating_add(ms.saturating_mul(1_000))
    }
}
