//! Serial keys: jobs that name the same one are done one at a time, in their order, whatever happens to the broker.

use std::collections::BTreeMap;

use support::{Folder, SOON, Started, Worker, eventually};

use crate::claim;

/// Jobs of each key: as claimed in an optimised build, fewer otherwise.
const JOBS: usize = if cfg!(debug_assertions) { 30 } else { 300 };
const KEYS: [&str; 3] = ["red", "green", "blue"];
const WORKERS: usize = 4;

/// What a job computes.
const WORK_US: i64 = 2_000;

/// One attempt, by the clock that all processes have: from before it computes until it has done so, at the earliest.
struct Attempt {
    id: String,
    from_us: i64,
    to_us: i64,
}

impl Attempt {
    fn of(start: Started) -> Attempt {
        Attempt { id: start.id, from_us: start.at_us, to_us: start.at_us + WORK_US }
    }
}

/// Jobs of 2 ms under three keys, with 4 workers and the broker killed with -9 twice: of each key one is done at a time, in the order of
/// their submission, and the keys are not in each other's way.
#[test]
fn serial_keys_over_restarts() {
    let folder = Folder::new();
    let store = folder.join("store");
    let mut stage = support::stage!(&["--store", store.to_str().expect("UTF-8"), "--reattach-ms", "5000"]);
    let path = folder.join("lines");
    std::fs::write(&path, format!("burn {}\n", WORK_US as f64 / 1e6).repeat(JOBS / 3)).expect("a file");
    let path = path.to_str().expect("UTF-8");
    let mut submitted: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for _ in 0..3 {
        for key in KEYS {
            let said = stage.cli(&["submit", "work", path, "--lines", "--serial-key", key]);
            submitted.entry(key).or_default().extend(said.lines().map(str::to_owned));
        }
    }
    let workers: Vec<Worker> = (0..WORKERS).map(|_| stage.worker_unawaited("work")).collect();
    let begun = |workers: &[Worker]| workers.iter().map(|worker| worker.starts().len()).sum::<usize>();
    for part in [JOBS, 2 * JOBS] {
        eventually("the middle", SOON, || (begun(&workers) >= part).then_some(()));
        stage.broker.kill();
        stage.broker.restart();
    }
    eventually("the end of all jobs", SOON * 2, || (stage.status()["jobs"] == 0).then_some(()));
    let starts = workers.iter().flat_map(Worker::starts);
    let attempts: Vec<Attempt> = starts.map(Attempt::of).collect();
    let (mut overlaps, mut is_in_order, mut at_once) = (0, true, 0);
    for ids in submitted.values() {
        let mut of_key: Vec<&Attempt> = attempts.iter().filter(|attempt| ids.contains(&attempt.id)).collect();
        of_key.sort_by_key(|attempt| attempt.from_us);
        overlaps += of_key.windows(2).filter(|pair| pair[1].from_us < pair[0].to_us).count();
        let mut order: Vec<&String> = of_key.iter().map(|attempt| &attempt.id).collect();
        order.dedup();
        is_in_order &= order.into_iter().eq(ids);
        let others = || attempts.iter().filter(|attempt| !ids.contains(&attempt.id));
        let beside =
            |one: &&&Attempt| others().any(|other| other.from_us < one.to_us && one.from_us < other.to_us);
        at_once += of_key.iter().filter(beside).count();
    }
    claim(
        "serial_keys_over_restarts",
        format!(
            "{} attempts at {} jobs of {} keys: {overlaps} overlap with one of their key, {at_once} with others; in order: {is_in_order}",
            attempts.len(),
            KEYS.len() * JOBS,
            KEYS.len()
        ),
        "none with one of its key, some with others, all in order",
    );
    assert!(overlaps == 0 && is_in_order && at_once > 0);
}
