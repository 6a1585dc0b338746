//! Everything dies all the time: brokers and workers killed with -9, workers stopped and let go, while jobs flow.

use support::{SOON, eventually};

/// How many jobs. Each says which one it is, and its answer has to say the same.
const JOBS: usize = 2_000;
/// How often something is done to a process.
const BLOWS: usize = 12;
const WORKERS: usize = 4;

/// Every job has exactly one result, and it is its own.
#[test]
fn every_job_has_its_one_result_while_everything_dies() {
    let seed = std::env::var("FOREBAY_SEED").map_or(1, |text| text.parse().expect("a number"));
    println!("FOREBAY_SEED={seed}");
    let mut random = seed;
    let mut below = |n: u64| {
        random = u64::wrapping_add(
            u64::wrapping_mul(random, 6_364_136_223_846_793_005),
            1_442_695_040_888_963_407,
        );
        usize::try_from((random >> 33) % n).expect("small")
    };
    let mut stage = support::stage!();
    let mut workers: Vec<_> = (0..WORKERS).map(|_| stage.worker_unawaited("work")).collect();
    // Whoever is killed takes a job along; that the same one is hit time and again is no fault of the job's.
    let mut client = stage.client_with(&[("FOREBAY_JOB_ATTEMPTS", "100"), ("FOREBAY_JOB_PRIORITY", "4")]);
    let mut done = 0;
    for blow in 1..=BLOWS {
        while client.submitted() < JOBS * blow / BLOWS {
            let number = client.submitted();
            client.enqueue("work", &format!("echo {number}"));
        }
        // Something has gone through since the last blow: it hits processes at work.
        eventually("progress", SOON, || (client.results() > done || client.results() == JOBS).then_some(()));
        done = client.results();
        match below(4) {
            0 | 1 => {
                stage.broker.kill();
                stage.broker.restart();
            }
            2 => {
                let hit = below(WORKERS as u64);
                workers[hit].0.kill();
                workers[hit] = stage.worker_unawaited("work");
            }
            _ => {
                let hit = &workers[below(WORKERS as u64)].0;
                hit.signal(libc::SIGSTOP);
                let before = client.results();
                eventually("others to go on", SOON, || {
                    (client.results() > before || client.results() == client.submitted()).then_some(())
                });
                hit.signal(libc::SIGCONT);
            }
        }
    }
    eventually("the last result", SOON, || (client.results() == JOBS).then_some(()));
    for number in 0..JOBS {
        let ended = client.result(number);
        assert_eq!((ended.outcome.as_str(), ended.data), ("DONE", number.to_string()), "job {number}");
    }
    client.finish();
}
