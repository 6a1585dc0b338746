//! The journal beside LMDB (through `heed`), the same records in both, every commit synced.
//!
//!     cargo bench --bench store                        commits with 1, 10, 100 and 1000 jobs each
//!     cargo bench --bench store -- --recover 1000000   a cold start with so many waiting jobs of 1 KiB
//!     options: --dir DIR (default: the build's folder), --seconds N (for each line, default 4)
//!
//! A commit with `n` jobs holds `n` new ones, the start of the `n` before, and the end and the forgetting of the `n`
//! before those: what a broker under steady load writes in one turn of its loop. The two stores take turns every half
//! second, so that whatever else the machine does meets both.

mod contender;
mod records;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use contender::{Contender, Journaled, Lmdb};
use records::Load;

struct Args {
    dir: PathBuf,
    seconds: u64,
    recover: Option<u64>,
}

fn args() -> Args {
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let mut args = Args { dir: target, seconds: 4, recover: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_else(|| panic!("{word} needs a value"));
        match word.as_str() {
            "--dir" => args.dir = value().into(),
            "--seconds" => args.seconds = value().parse().expect("--seconds takes a number"),
            "--recover" => args.recover = Some(value().parse().expect("--recover takes a number of jobs")),
            // What cargo itself hands to every benchmark.
            "--bench" => {}
            other => panic!("{other} is not known here; --dir, --seconds and --recover are"),
        }
    }
    args
}

fn main() {
    let args = args();
    let dir = tempfile::tempdir_in(&args.dir).expect("a folder to write to");
    match args.recover {
        None => commits(&args, dir.path()),
        Some(jobs) => recovery(jobs, dir.path()),
    }
}

fn commits(args: &Args, dir: &std::path::Path) {
    println!("jobs/commit  store      commits/s     jobs/s   bytes/job  p50 us  p99 us");
    for jobs in [1, 10, 100, 1_000] {
        let mut contenders: [Box<dyn Contender>; 2] = [
            Box::new(Journaled::open(&dir.join(format!("journal-{jobs}")))),
            Box::new(Lmdb::open(&dir.join(format!("lmdb-{jobs}")))),
        ];
        let mut loads = [Load::new(jobs), Load::new(jobs)];
        let mut times: [Vec<Duration>; 2] = Default::default();
        for _ in 0..args.seconds {
            for (contender, (load, times)) in contenders.iter_mut().zip(loads.iter_mut().zip(&mut times)) {
                let end = Instant::now() + Duration::from_millis(500);
                while Instant::now() < end {
                    let batch = load.batch();
                    let began = Instant::now();
                    contender.commit(&batch);
                    times.push(began.elapsed());
                }
            }
        }
        for (contender, times) in contenders.iter().zip(&mut times) {
            times.sort_unstable();
            let commits_a_second = times.len() as f64 / times.iter().sum::<Duration>().as_secs_f64();
            let written = contender.written_bytes().map_or_else(
                || "-".to_owned(),
                |bytes| format!("{:.0}", bytes as f64 / (times.len() * jobs) as f64),
            );
            println!(
                "{jobs:>11}  {:<8} {commits_a_second:>11.0} {:>10.0} {written:>11} {:>7} {:>7}",
                contender.name(),
                commits_a_second * jobs as f64,
                times[times.len() / 2].as_micros(),
                times[times.len() * 99 / 100].as_micros(),
            );
        }
    }
}

fn recovery(jobs: u64, dir: &std::path::Path) {
    const PER_COMMIT: usize = 1_000;
    println!("store     {jobs} waiting jobs written in   read back in   memory more by   on disk");
    let (journal, lmdb) = (dir.join("journal"), dir.join("lmdb"));
    let fill = |contender: &mut dyn Contender| {
        let began = Instant::now();
        let mut load = Load::new(PER_COMMIT);
        for _ in 0..jobs.div_ceil(PER_COMMIT as u64) {
            contender.commit(&load.submissions());
        }
        began.elapsed()
    };
    let (wrote_journal, wrote_lmdb) = (fill(&mut Journaled::open(&journal)), fill(&mut Lmdb::open(&lmdb)));
    let line = |name: &str, wrote: Duration, read: fn(&std::path::Path) -> u64, path: &std::path::Path| {
        let before = resident_bytes();
        let began = Instant::now();
        let found = read(path);
        let took = began.elapsed();
        assert_eq!(found, jobs.next_multiple_of(PER_COMMIT as u64));
        println!(
            "{name:<9} {:>22.1} s {:>12.2} s {:>11} MiB {:>7} MiB",
            wrote.as_secs_f64(),
            took.as_secs_f64(),
            (resident_bytes().saturating_sub(before)) >> 20,
            contender::disk_bytes(path) >> 20,
        );
    };
    line("journal", wrote_journal, contender::recover_journal, &journal);
    line("lmdb", wrote_lmdb, contender::recover_lmdb, &lmdb);
}

/// What this process has in memory.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) << 10
}
