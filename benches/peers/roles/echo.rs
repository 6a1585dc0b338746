//! The client's side of every echo: keeps so many jobs in flight, verifies every byte of every answer, and tells the
//! measuring process what came of each round. echo.h is the same for the clients written in C.
//!
//! Invariant: an answer counts once, and only if it is the payload that was sent for a job that is open.

use std::io::{BufRead, Error, Result};
use std::time::{Duration, Instant};

/// What is sent: the same bytes each time, but for the first ones, which are the job's tag.
pub(crate) struct Pattern(Vec<u8>);

/// Bytes of a tag.
const TAG_LEN: usize = size_of::<u64>();

impl Pattern {
    fn new(size: usize) -> Pattern {
        assert!(size >= TAG_LEN, "a payload carries its tag of {TAG_LEN} bytes");
        Pattern((0..size).map(|at| (at % 251) as u8).collect())
    }

    /// Bytes of a payload.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The parts of the payload with this tag, in order.
    pub(crate) fn parts(&self, tag: u64) -> ([u8; TAG_LEN], &[u8]) {
        (tag.to_le_bytes(), &self.0[TAG_LEN..])
    }

    /// The tag of an answer whose every other byte is as it was sent.
    pub(crate) fn tag_of(&self, answer: &[u8]) -> Result<u64> {
        match answer.split_first_chunk() {
            Some((tag, rest)) if rest == &self.0[TAG_LEN..] => Ok(u64::from_le_bytes(*tag)),
            _ => Err(Error::other("an answer is not what was sent")),
        }
    }
}

/// A contender's client.
pub(crate) trait Echo {
    /// Sends a job for each tag.
    fn send(&mut self, pattern: &Pattern, tags: &[u64]) -> Result<()>;
    /// Waits for an answer and adds the tags of all that came.
    fn receive(&mut self, pattern: &Pattern, tags: &mut Vec<u64>) -> Result<()>;
}

/// Runs the rounds that standard input asks for, one in each line: `SIZE IN_FLIGHT MILLISECONDS`. Each is answered by
/// a line of figures.
pub(crate) fn serve(echo: &mut dyn Echo) -> Result<()> {
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let numbers: Vec<usize> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        let [size, in_flight, ms] = numbers[..] else { panic!("not a round: {line}") };
        round(echo, &Pattern::new(size), in_flight, Duration::from_millis(ms as u64))?.print();
    }
    Ok(())
}

/// Keeps `in_flight` jobs on their way for `time`, then waits for the last ones.
fn round(echo: &mut dyn Echo, pattern: &Pattern, in_flight: usize, time: Duration) -> Result<Round> {
    let mut tags: Vec<u64> = (0..in_flight as u64).collect();
    let begin = Instant::now();
    let mut slots: Vec<(u64, Instant)> = tags.iter().map(|tag| (*tag, begin)).collect();
    let mut times = Times::new();
    let mut open = in_flight;
    echo.send(pattern, &tags)?;
    while open > 0 {
        tags.clear();
        echo.receive(pattern, &mut tags)?;
        let now = Instant::now();
        let goes_on = now - begin < time;
        for tag in &mut tags {
            // The slot in the lower half, how often it was used in the upper.
            let slot = slots.get_mut(*tag as u32 as usize).filter(|(open, _)| open == tag);
            let slot = slot.ok_or_else(|| Error::other("an answer to a job that is not open"))?;
            times.add(now - slot.1);
            *slot = if goes_on { (*tag + (1 << 32), now) } else { (u64::MAX, now) };
            *tag = slot.0;
        }
        match goes_on {
            true => echo.send(pattern, &tags)?,
            false => open -= tags.len(),
        }
    }
    Ok(Round { took: begin.elapsed(), times })
}

struct Round {
    took: Duration,
    times: Times,
}

impl Round {
    /// `JOBS NANOSECONDS P50 P90 P99 MAX`, times of jobs in nanoseconds.
    fn print(&self) {
        let [p50, p90, p99, max] = [500, 900, 990, 1000].map(|part| self.times.quantile(part));
        println!("{} {} {p50} {p90} {p99} {max}", self.times.count, self.took.as_nanos());
    }
}

/// How long jobs took: counts in steps of 1/64 of each power of two of nanoseconds.
struct Times {
    counts: Vec<u64>,
    count: u64,
}

/// Bits of a time that are kept below its highest.
const STEP_BITS: u32 = 6;

impl Times {
    fn new() -> Times {
        Times { counts: vec![0; 64 << STEP_BITS], count: 0 }
    }

    fn add(&mut self, time: Duration) {
        let ns = (time.as_nanos() as u64).max(1 << STEP_BITS);
        let shift = ns.ilog2() - STEP_BITS;
        self.counts[((shift as usize) << STEP_BITS) + (ns >> shift) as usize] += 1;
        self.count += 1;
    }

    /// The time within which `part` of a thousand jobs were answered.
    fn quantile(&self, part: u64) -> u64 {
        let wanted = (self.count * part).div_ceil(1000);
        let mut seen = 0;
        let step = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        let step = step.unwrap_or(0);
        let shift = (step >> STEP_BITS).saturating_sub(1);
        ((step - (shift << STEP_BITS)) as u64) << shift
    }
}
