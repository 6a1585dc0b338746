//! Forebay beside its peers, all in one run: `cargo bench --bench peers`.
//!
//! Starts every contender's processes itself, sends echoes of the same bytes through each in turn, round after round,
//! verifies every byte of every answer, and prints versions, commands, rates, round trips, and what each process used.
//! `cargo bench --bench peers -- --help` says how to measure less.
//!
//! Invariant: figures are compared only within one run, round by round: a ratio is the median of the ratios of rounds
//! that ran one after the other, and is printed with the lowest and the highest of them.

mod args;
mod cell;
mod claims;
mod contenders;
mod measure;
mod middle;
mod plot;
mod process;
mod report;
mod roles;
mod sleep;
mod syscalls;

use args::Args;
use clap::Parser;

/// The broker's own, for the bare brokers too.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    // What cargo itself hands to every benchmark.
    let words: Vec<String> = std::env::args().filter(|word| word != "--bench").collect();
    if words.get(1).is_some_and(|word| word == "role") {
        if let Err(error) = roles::play(&words[2..]) {
            eprintln!("{}: {error}", words[2..].join(" "));
            std::process::exit(1);
        }
        return;
    }
    let args = Args::parse_from(words);
    report::preamble(&args);
    let mut cells = Vec::new();
    for set in args.sets() {
        cells.extend(measure::run(&set, &args));
    }
    report::summary(&cells);
    let slept = args.sleeps().map(|(slots, jobs)| sleep::run(slots, jobs, args.rounds_of_sleep())).collect();
    if let Some(file) = args.plot() {
        plot::draw(&cells, &file);
    }
    let is_asserted = std::env::var_os("FOREBAY_BENCH_ASSERT").is_some_and(|value| value == "1");
    if claims::print(&cells, slept) > 0 && is_asserted {
        std::process::exit(1);
    }
}
