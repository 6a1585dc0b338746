//! Jobs that sleep for 10 ms, beside the ideal: the time the busiest slot slept, as measured inside the jobs.

use std::time::Duration;

use crate::cell::Load;
use crate::contenders::sleepers;
use crate::measure;
use crate::middle::Middle;
use crate::process::Part;

/// What came of one number of slots.
pub(crate) struct Slept {
    pub(crate) slots: usize,
    /// The total as part of the ideal.
    pub(crate) of_ideal: Middle,
}

/// Runs so many jobs in so many slots, several times.
pub(crate) fn run(slots: usize, jobs: usize, rounds: u32) -> Slept {
    println!("\n## {jobs} jobs that sleep for 10 ms, in {slots} slots\n");
    println!("| round | total, ms | longest sum of a slot's sleeps, ms | total of ideal |");
    println!("|---:|---:|---:|---:|");
    let mut group = sleepers(slots);
    let mut rounds_of_ideal = Vec::new();
    for round in 1..=rounds {
        let load = Load { size: 16, in_flight: jobs };
        let done = measure::round(&mut group, load, Duration::ZERO);
        let total_ms = done.jobs as f64 / done.per_s * 1e3;
        let worker = group.processes.iter_mut().find(|process| process.part == Part::Worker);
        let worker = worker.expect("a worker");
        worker.say("");
        let said = worker.line();
        let (longest_ns, count) = said.split_once(' ').expect("two numbers");
        assert_eq!(count.parse(), Ok(jobs), "each job sleeps once");
        let ideal_ms = longest_ns.parse::<f64>().expect("a number") / 1e6;
        println!("| {round} | {total_ms:.1} | {ideal_ms:.1} | {:.4} |", total_ms / ideal_ms);
        rounds_of_ideal.push(total_ms / ideal_ms);
    }
    Slept { slots, of_ideal: Middle::of(rounds_of_ideal) }
}
