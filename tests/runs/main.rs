//! Runs in a storm: random graphs on the real table of jobs, with workers that fail, release and vanish, cancelled runs,
//! slow syncs, and a broker that is killed and starts again on what was synced. Every step of it is judged.
//!
//! `FOREBAY_STORM_SEED=N` goes through one seed; `FOREBAY_STORM_SEEDS=N` through the first N.

mod account;
mod collect;
#[path = "../sim/random.rs"]
mod random;
mod stages;
mod storm;

use storm::{Tally, storm};

/// Seeds of a plain `cargo test`.
const SEEDS: u64 = 400;

impl Tally {
    fn add(&mut self, other: &Tally) {
        let pairs = [
            (&mut self.begun, other.begun),
            (&mut self.done, other.done),
            (&mut self.failed, other.failed),
            (&mut self.cancelled, other.cancelled),
            (&mut self.crashes, other.crashes),
            (&mut self.adopted, other.adopted),
            (&mut self.revoked, other.revoked),
            (&mut self.passed_over, other.passed_over),
            (&mut self.added, other.added),
            (&mut self.closed, other.closed),
            (&mut self.fanned, other.fanned),
            (&mut self.collected, other.collected),
            (&mut self.killed, other.killed),
            (&mut self.contexts, other.contexts),
        ];
        pairs.into_iter().for_each(|(sum, more)| *sum += more);
    }

    fn has_everything(&self) -> bool {
        let each =
            [self.begun, self.done, self.failed, self.cancelled, self.crashes, self.adopted, self.revoked];
        let of_stages = [self.added, self.closed, self.fanned, self.collected, self.killed, self.contexts];
        each.iter().chain(&of_stages).all(|count| *count > 0) && self.passed_over > 0
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn every_rule_about_runs_holds_in_every_seed() {
    let seeds = match number("FOREBAY_STORM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("FOREBAY_STORM_SEEDS").unwrap_or(SEEDS),
    };
    let is_whole = seeds.end - seeds.start >= SEEDS;
    let mut all = Tally::default();
    for seed in seeds {
        let tally = storm(seed).unwrap_or_else(|why| panic!("FOREBAY_STORM_SEED={seed}: {why}"));
        all.add(&tally);
    }
    println!("{all:?}");
    // A storm in which nothing happens shows nothing.
    assert!(!is_whole || all.has_everything(), "{all:?}");
}

#[test]
fn a_seed_takes_the_same_way_twice() {
    assert_eq!(storm(7), storm(7));
}
