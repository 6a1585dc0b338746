//! Jobs that sleep for 10 ms, beside what their sleeping alone took: the table that py-zmq-pipeline published of itself.

use support::{Process, SOON, Stage, eventually, run};

use crate::{claim, median};

/// Jobs of each row: as published, and few in an ordinary run of the tests.
const JOBS: [usize; 3] = [100, 1_000, 5_000];
const FEW_JOBS: [usize; 3] = [20, 40, 80];
/// Workers, threads of each, and the bound of the column.
const COLUMNS: [(usize, usize, f64); 4] = [(1, 1, 1.02), (2, 1, 1.02), (1, 10, 1.04), (2, 10, 1.04)];

/// The 12 cells: 100, 1000 and 5000 jobs of 10 ms with one worker, with two, with one of 10 threads and with two of those. From the
/// first submission to the last result, over the ideal: the longest sum of one slot's sleeps, as measured inside the jobs.
#[test]
fn table_of_twelve() {
    let is_claimed = std::env::var_os("FOREBAY_BENCH_ASSERT").is_some_and(|value| value == "1");
    let mut over = Vec::new();
    for (workers, threads, bound) in COLUMNS {
        let stage = support::stage!();
        let mut sleepers: Vec<Process> = (0..workers).map(|_| sleeper(&stage, threads)).collect();
        stage.wait_for_workers("echo", workers);
        for jobs in if is_claimed { JOBS } else { FEW_JOBS } {
            // The short ones are over before a busy moment is.
            let rounds = if is_claimed && jobs <= 1_000 { 3 } else { 1 };
            let ratios = (0..rounds).map(|_| of_ideal(&stage, &mut sleepers, jobs)).collect();
            let ratio = median(ratios);
            claim(
                "table_of_twelve",
                format!("{jobs} jobs, {workers} workers of {threads} threads: {ratio:.4} of the ideal"),
                format!("{bound}, when FOREBAY_BENCH_ASSERT is 1"),
            );
            if ratio > bound {
                over.push(format!("{jobs} jobs, {workers} x {threads}: {ratio:.4} > {bound}"));
            }
        }
    }
    assert!(!is_claimed || over.is_empty(), "{over:?}");
}

/// A worker of queue "echo" whose jobs sleep for 10 ms, in so many threads.
fn sleeper(stage: &Stage, threads: usize) -> Process {
    let mut program = stage.program_of("benches/peers/c", "forebay_sleeper");
    let process = Process::start(program.arg(stage.broker.endpoint()).arg(threads.to_string()));
    process.line_with("ready", SOON);
    process
}

/// How long so many jobs took, as part of how long the busiest slot slept.
fn of_ideal(stage: &Stage, sleepers: &mut [Process], jobs: usize) -> f64 {
    let mut batch = stage.program("claims_batch");
    let said = run(batch.args([&jobs.to_string(), "echo"]), SOON * 5).success().text();
    let took = said.lines().find_map(|line| line.strip_suffix(" ms")).expect("a time");
    let slept = sleepers.iter_mut().map(slept);
    let (longest_ns, done) = slept.fold((0, 0), |(longest, all), (ns, done)| (longest.max(ns), all + done));
    assert_eq!(done, jobs, "each job sleeps once");
    took.parse::<f64>().expect("a number") / (longest_ns as f64 / 1e6)
}

/// The longest sum of a slot's sleeps since it was asked last, and how many jobs all of its slots did.
fn slept(sleeper: &mut Process) -> (u64, usize) {
    let before = sleeper.stdout().lines().count();
    sleeper.write(b"\n");
    let line = eventually("what the worker slept", SOON, || {
        let said = sleeper.stdout();
        said.split_inclusive('\n').nth(before).filter(|line| line.ends_with('\n')).map(str::to_owned)
    });
    let (longest_ns, jobs) = line.trim_end().split_once(' ').expect("two numbers");
    (longest_ns.parse().expect("a number"), jobs.parse().expect("a number"))
}
