//! Random bytes and new job ids.
//!
//! Invariant: ids made by one process strictly increase; a forked child does not repeat its parent's.

use std::sync::{Mutex, PoisonError};

use crate::model::{Failure, JobId, Status};
use crate::net;

/// Random bytes drawn from the system at once.
const POOL_LEN: usize = 1_024;

/// `N` random bytes of the system.
///
/// # Errors
/// `ERR_IO` when the system has none.
pub fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::new(Status::Io, format!("the system gave no random bytes: {error}")))?;
    Ok(bytes)
}

struct Source {
    generation: u32,
    last_ms: u64,
    /// The 80 bits after the time in the last id.
    last: u128,
    pool: [u8; POOL_LEN],
    used: usize,
}

static SOURCE: Mutex<Source> =
    Mutex::new(Source { generation: u32::MAX, last_ms: 0, last: 0, pool: [0; POOL_LEN], used: POOL_LEN });

/// Bits of an id after its time that are counted up; version and variant lie between and above them.
const RANDOM_BITS: u32 = 74;

/// A new id for the moment `wall_ms`. Should the clock have gone back, the last id's time is used.
///
/// # Errors
/// `ERR_IO` when the system has no random bytes.
pub fn new_id(wall_ms: u64) -> Result<JobId, Failure> {
    let mut source = SOURCE.lock().unwrap_or_else(PoisonError::into_inner);
    let generation = net::generation();
    if source.generation != generation {
        source.generation = generation;
        source.used = POOL_LEN;
    }
    if wall_ms > source.last_ms {
        source.last_ms = wall_ms;
        // The top bit is left for counting up within the millisecond.
        source.last = u128::from_be_bytes(source.draw()?) >> (128 - RANDOM_BITS + 1);
    } else {
        let [a, b, c, d] = source.draw()?;
        source.last += 1 + u128::from(u32::from_be_bytes([a, b, c, d]));
        if source.last >> RANDOM_BITS != 0 {
            source.last_ms += 1;
            source.last = u128::from_be_bytes(source.draw()?) >> (128 - RANDOM_BITS + 1);
        }
    }
    Ok(id_of(source.last_ms, source.last))
}

/// 12 bits before the variant, 62 after it.
fn id_of(wall_ms: u64, random: u128) -> JobId {
    let high = (random >> 62) as u16 & 0x0fff;
    let low = random as u64 & (u64::MAX >> 2);
    let mut bytes = [0; 10];
    bytes[..2].copy_from_slice(&high.to_be_bytes());
    bytes[2..].copy_from_slice(&low.to_be_bytes());
    JobId::new(wall_ms, bytes)
}

impl Source {
    fn draw<const N: usize>(&mut self) -> Result<[u8; N], Failure> {
        if self.used + N > POOL_LEN {
            self.pool = random()?;
            self.used = 0;
        }
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.pool[self.used..self.used + N]);
        self.used += N;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_increase_within_a_millisecond_and_when_the_clock_goes_back() {
        let start_ms = 1_900_000_000_000;
        let mut last = JobId::default();
        for i in 0..10_000u64 {
            let id = new_id(start_ms - i % 3).unwrap();
            assert!(id > last, "{id} after {last}");
            assert!(id.is_v7());
            last = id;
        }
        assert!(last.wall_ms() - start_ms < 1_000);
    }
}
