//! Cancelling a computation that runs.

use support::{Process, SOON, Stage, eventually, ms_between, now_us};

use crate::{claim, median};

/// How often it is tried.
const ROUNDS: usize = 5;

/// Cancel of a running `cpu_loop`: it returns within 100 ms; its client has CANCELLED.
#[test]
fn cancel_is_fast() {
    let stage = support::stage!();
    let worker = Process::start(&mut stage.example("examples-c/cpu_loop"));
    stage.wait_for_workers("cpu_loop", 1);
    let mut client = stage.client();
    let mut times_ms = Vec::new();
    for round in 0..ROUNDS {
        let (number, id) = client.submit("cpu_loop", "600");
        wait_until_running(&stage, &id);
        let cancelled_us = client.cancel(number);
        let stopped_us = eventually("cpu_loop to say that it was stopped", SOON, || {
            (worker.stdout().lines().filter(|line| *line == "stopped").count() > round).then(now_us)
        });
        times_ms.push(ms_between(cancelled_us, stopped_us));
        assert_eq!(client.result(number).outcome, "CANCELLED");
    }
    client.finish();
    let ms = median(times_ms);
    claim("cancel_is_fast", format!("returns {ms:.1} ms after cancel, its client has CANCELLED"), "100 ms");
    assert!(ms <= 100.0);
}

/// Waits until the broker knows that a worker has begun the job.
#[track_caller]
fn wait_until_running(stage: &Stage, id: &str) {
    eventually("the job to run", SOON, || {
        let events = stage.events("cpu_loop");
        events.iter().any(|event| event["job"] == id && event["event"] == "started").then_some(())
    });
}
