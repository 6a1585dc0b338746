//! Chaos: a broker with a store, workers and clients in C as real processes, killed with -9, stopped, cut off and left
//! without room, in turn and together, while jobs flow. Every job a client has an OK for must have exactly one outcome,
//! the right one, and nothing else may exist.
//!
//!     FOREBAY_CHAOS_CYCLES=100 cargo test --release --test chaos -- --nocapture
//!
//! A cycle is one fault and the recovery from it. FOREBAY_CHAOS_SEED decides which faults come when and how long they last;
//! what the processes do meanwhile is up to the machine.
//!
//! Invariant: what counts is what clients wrote down and synced themselves. The broker's word is only compared with it.

mod cast;
mod disk;
mod faults;
mod ledger;
mod proxy;
mod verdict;
mod work;

use std::collections::BTreeMap;
use std::io::Write;

use cast::Cast;
use disk::SmallDisk;
use faults::{Fault, Schedule, strike};

/// Jobs acknowledged in each cycle at least, when the cycles were asked for and when they were not.
const ACKNOWLEDGED_MIN: u64 = 1_050;
const ACKNOWLEDGED_MIN_SHORT: u64 = 250;

/// Prints a line, also when the test passes.
fn say(line: impl std::fmt::Display) {
    std::io::stdout().lock().write_all(format!("{line}\n").as_bytes()).expect("standard output");
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}; a whole number is right")))
}

#[test]
fn every_acknowledged_job_has_one_outcome_and_nothing_else_exists() {
    let seed = number("FOREBAY_CHAOS_SEED").unwrap_or(1);
    let asked = number("FOREBAY_CHAOS_CYCLES");
    let mut kinds = Fault::ALL.to_vec();
    let disk = SmallDisk::mount().inspect_err(|why| {
        kinds.retain(|kind| !kind.needs_disk());
        say(format!(
            "SKIPPED FullDisk and FullDiskKill: a tmpfs cannot be mounted here ({why}); FullStore stands in"
        ));
    });
    let cycles = asked.unwrap_or(kinds.len() as u64);
    say(format!("chaos: FOREBAY_CHAOS_SEED={seed}, {cycles} cycles"));
    let mut cast = Cast::start(support::binary!().to_owned(), support::prefix!(), disk.ok());
    let mut schedule = Schedule::new(seed, kinds);
    let mut faults: BTreeMap<Fault, u64> = BTreeMap::new();
    let least = if asked.is_some() { ACKNOWLEDGED_MIN } else { ACKNOWLEDGED_MIN_SHORT };
    for cycle in 1..=cycles {
        let (fault, mut random) = schedule.next();
        let target = cast.ledger.acknowledged() + least;
        let strike_at = cast.ledger.acknowledged() + random.below(least);
        cast.wait_until("jobs acknowledged before the fault", |cast| cast.ledger.acknowledged() >= strike_at);
        strike(&mut cast, fault, &mut random);
        *faults.entry(fault).or_default() += 1;
        let (acknowledged, told) = (cast.ledger.acknowledged.clone(), cast.ledger.told.clone());
        cast.wait_until(&format!("every client going on after {fault:?}"), |cast| {
            let ledger = &cast.ledger;
            let goes_on = |(now, before): (&u64, &u64)| now > before;
            ledger.acknowledged() >= target
                && ledger.acknowledged.iter().zip(&acknowledged).all(goes_on)
                && ledger.told.iter().zip(&told).all(goes_on)
        });
        let seconds = cast.began.elapsed().as_secs_f64();
        say(format!(
            "{seconds:7.1} s  cycle {cycle}: {fault:?}, {} acknowledged",
            cast.ledger.acknowledged()
        ));
    }
    verdict::settle(&mut cast);
    verdict::judge(&cast, &faults);
}
