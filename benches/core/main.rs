//! The broker's table of jobs alone: `cargo bench --bench core [JOBS]`.
//!
//! Prints the nanoseconds that one job takes from its submission to the moment it is forgotten, with so many others
//! waiting, so many workers and so many queues, beside the small case; and the bytes that a waiting job keeps. No
//! sockets, no threads, no clock but the one that measures.

mod table;

use std::time::Instant;

use table::Table;

/// The broker's own.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Waiting jobs, workers, queues: the small case first.
const CASES: [(usize, usize, usize); 9] = [
    (100, 1, 1),
    (10_000, 1, 1),
    (100_000, 1, 1),
    (1_000_000, 1, 1),
    (100, 100, 1),
    (100, 1_000, 1),
    (1_000, 1, 1_000),
    (10_000, 1, 10_000),
    (1_000_000, 1_000, 10_000),
];
/// Rounds of each case beside the small one.
const ROUNDS: usize = 9;

fn main() {
    let jobs = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(20_000);
    println!("| waiting jobs | workers | queues | ns a job | of the small case | bytes of a waiting job |");
    println!("|---:|---:|---:|---:|---:|---:|");
    let (waiting, workers, queues) = CASES[0];
    let mut small = Table::new(waiting, workers, queues);
    for (waiting, workers, queues) in CASES {
        let before = resident_bytes();
        let mut table = Table::new(waiting, workers, queues);
        let kept = resident_bytes().saturating_sub(before) / waiting as u64;
        let (mut took, mut ratios) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (beside, own) = (ns_a_job(&mut small, jobs), ns_a_job(&mut table, jobs));
            took.push(own);
            ratios.push(own / beside);
        }
        took.sort_by(f64::total_cmp);
        ratios.sort_by(f64::total_cmp);
        let middle = ROUNDS / 2;
        // A page holds several small tables.
        let kept = if waiting >= 10_000 { kept.to_string() } else { String::new() };
        println!(
            "| {waiting} | {workers} | {queues} | {:.0} | {:.2} ({:.2}-{:.2}) | {kept} |",
            took[middle],
            ratios[middle],
            ratios[0],
            ratios[ROUNDS - 1]
        );
    }
}

fn ns_a_job(table: &mut Table, jobs: usize) -> f64 {
    let begin = Instant::now();
    table.run(jobs);
    begin.elapsed().as_nanos() as f64 / jobs as f64
}

/// What this process has in memory now.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) << 10
}
