//! The simulation: the real links and cores of broker, clients and workers over a virtual clock and a byte network,
//! with every fault from a menu, seeded. docs/RELIABILITY.md says what it covers and how to run more of it.
//!
//! `FOREBAY_SIM_SEEDS=N` runs N seeds, `FOREBAY_SIM_SEED=S` replays one with its trace.

#[path = "../crash_world/state.rs"]
mod state;

mod client;
mod daemon;
mod delayed;
mod ending;
mod faults;
mod hostile;
mod judge;
mod keys;
mod known;
mod network;
mod peers;
mod plan;
mod random;
mod run;
mod store;
mod told;
mod trace;
mod wires;
mod work;
mod worker;
mod world;
mod written;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::plan::{Fault, Plan};
use crate::run::run;
use crate::trace::Tally;

#[test]
fn every_seed_keeps_every_rule() {
    if let Some(seed) = number("FOREBAY_SIM_SEED") {
        let outcome = run(Plan::of(seed), true);
        let outcome = outcome.unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        println!("seed {seed}: {} steps, trace {:016x}", outcome.steps, outcome.hash);
        return;
    }
    let seeds = number("FOREBAY_SIM_SEEDS").unwrap_or(2_000);
    let next = AtomicU64::new(0);
    let total = Mutex::new((Tally::default(), 0, Vec::new()));
    // What a failing seed says is told once, at the end.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    let outcome = run(Plan::of(seed), false);
                    let mut total = total.lock().expect("nobody panics with it");
                    match outcome {
                        Ok(outcome) => {
                            total.0.merge(&outcome.tally);
                            total.1 += outcome.steps;
                        }
                        Err(why) => total.2.push((seed, why)),
                    }
                }
            });
        }
    });
    std::panic::set_hook(hook);
    let (tally, steps, mut failed) = total.into_inner().expect("nobody panics with it");
    failed.sort();
    println!("{seeds} seeds, {steps} steps");
    for (name, count) in &tally.0 {
        println!("{count:>9} {name}");
    }
    if let Some((seed, why)) = failed.first() {
        let others: Vec<u64> = failed.iter().map(|(seed, _)| *seed).collect();
        let firsts: Vec<String> = failed
            .iter()
            .map(|(seed, why)| format!("{seed}: {}", why.lines().next().unwrap_or("")))
            .collect();
        panic!(
            "{} of {seeds} seeds failed: {others:?}\n{}\nseed {seed}: {why}\nreplay it: FOREBAY_SIM_SEED={seed} cargo test --test sim every_seed -- --nocapture",
            failed.len(),
            firsts.join("\n")
        );
    }
    if seeds >= 500 {
        let never: Vec<&&str> = EXPECTED.iter().filter(|name| !tally.0.contains_key(**name)).collect();
        assert!(
            never.is_empty(),
            "in {seeds} seeds these never happened, so nothing is known about them: {never:?}"
        );
    }
}

/// What a campaign must have seen.
const EXPECTED: &[&str] = &[
    "adopted",
    "bad packets thrown",
    "broker: sessions returned",
    "cancel ERR_NOT_FOUND",
    "cancel ERR_STATE",
    "cancel OK",
    "client: partial results",
    "client: progress",
    "client: refused ERR_BUSY",
    "client: refused ERR_CONFLICT",
    "client: refused ERR_STORE_FULL",
    "crashes while starting",
    "disk Drop",
    "disk Keep",
    "disk Reorder { sector: 4096 }",
    "disk Reorder { sector: 512 }",
    "disk Torn { sector: 4096 }",
    "disk Torn { sector: 512 }",
    "fault BadFrames",
    "fault BlackHole",
    "fault BrokerKill",
    "fault BrokerPause",
    "fault ClientKill",
    "fault ClockJump",
    "fault ConnDrop",
    "fault DiskError",
    "fault DiskFull",
    "fault ConnVanish",
    "fault Partition",
    "fault PowerLoss",
    "fault SlowDisk",
    "fault Stall",
    "fault WorkerDrain",
    "fault WorkerKill",
    "fault WorkerVanish",
    "hub: WHO",
    "hub: bad packets",
    "hub: gaps",
    "hub: resyncs",
    "hub: sessions expired",
    "jobs side: unknown",
    "outcome CANCELLED",
    "outcome DONE",
    "outcome EXPIRED",
    "outcome FAILED",
    "outcome LOST",
    "outcome QUARANTINED",
    "outcome TIMED_OUT",
    "packets lost",
    "packets overtaking",
    "packets spoiled",
    "packets twice",
    "jobs behind others of their keys",
    "presented jobs dropped",
    "recalled",
    "revoked 1",
    "revoked 2",
    "revoked 4",
    "stale answers",
    "store: cut off at a start",
    "store: ends written while it takes no jobs",
    "store: failed",
    "store: jobs recovered",
    "store: payloads read back",
    "store: segments used again",
    "table: lapses",
    "table: losses",
    "table: results expired",
    "table: retried",
    "worker: hint 2",
    "worker: released",
    "worker: withdrawn",
    "workers that left",
];

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in (0..500).step_by(23) {
        let hash = |_| run(Plan::of(seed), false).unwrap_or_else(|why| panic!("seed {seed}: {why}")).hash;
        let [first, second] = [1, 2].map(hash);
        assert_eq!(first, second, "seed {seed} went two ways");
    }
}

#[test]
fn a_jumping_wall_clock_changes_nothing() {
    for seed in (0..500).step_by(31) {
        let story = |jumps: bool| {
            let mut plan = Plan::of(seed);
            // Records carry the wall clock over a restart: what waits then waits by it.
            let restarts = [Fault::ClockJump, Fault::BrokerKill, Fault::PowerLoss, Fault::DiskError];
            plan.faults.retain(|fault| !restarts.contains(fault));
            plan.wild_clock = jumps;
            run(plan, false).unwrap_or_else(|why| panic!("seed {seed}: {why}")).story
        };
        assert_eq!(story(false), story(true), "seed {seed} went another way when the clock jumped");
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
