//! The broker killed with -9 and started again on the same address.

use support::{SOON, Worker, eventually, ms_between, now_us};

use crate::{claim, median};

/// How often the broker is killed under idle workers.
const ROUNDS: usize = 3;
/// Calls that are pending when the broker is killed.
const PENDING: usize = 50;

/// Idle workers serve again by themselves within 2 s of the restart.
#[test]
fn broker_restart_idle_worker() {
    let mut stage = support::stage!();
    let worker = stage.worker("work", 1);
    let mut times_ms = Vec::new();
    for round in 0..ROUNDS {
        stage.broker.kill();
        stage.broker.restart();
        let up_us = now_us();
        let text = format!("round {round}");
        assert_eq!(stage.cli(&["call", "work", "--data", &format!("echo {text}")]), text);
        let served = worker.wait_starts(round + 1).pop().expect("it answered");
        times_ms.push(ms_between(up_us, served.at_us));
    }
    let ms = median(times_ms);
    claim("broker_restart_idle_worker", format!("serves again after {ms:.0} ms"), "2000 ms");
    assert!(ms <= 2_000.0);
}

/// Pending calls are sent again by their client and answered, each once.
#[test]
fn broker_restart_pending_calls() {
    let mut stage = support::stage!();
    let mut client = stage.client();
    let numbers: Vec<usize> = (0..PENDING).map(|i| client.enqueue("work", &format!("echo {i}"))).collect();
    for number in &numbers {
        client.wait_accepted(*number);
    }
    stage.broker.kill();
    stage.broker.restart();
    // The first to serve this queue: every answer is one of a call that was sent again.
    let worker = stage.worker("work", 1);
    let right = numbers.iter().filter(|&&number| {
        let ended = client.result(number);
        ended.outcome == "DONE" && ended.data == number.to_string()
    });
    let right = right.count();
    let started = worker.wait_starts(right).len();
    claim(
        "broker_restart_pending_calls",
        format!("{right} of {PENDING} pending calls answered, {started} executions"),
        format!("{PENDING} and {PENDING}"),
    );
    assert_eq!((right, started), (PENDING, PENDING));
    client.finish();
}

/// A job that was running is adopted by the new broker, not run twice.
#[test]
fn broker_restart_running_job() {
    let mut stage = support::stage!();
    let mut client = stage.client();
    let (one, two) = (stage.worker("work", 1), stage.worker("work", 2));
    let (number, id) = client.submit("work", "hold on");
    let (mut holder, other) = holder_of(&id, one, two);
    stage.broker.kill();
    stage.broker.restart();
    // Both are there again, and what the new broker knows of the job it knows from worker and client.
    stage.wait_for_workers("work", 2);
    eventually("the running job adopted", SOON, || (stage.counter("adopted") == 1).then_some(()));
    holder.let_go();
    let ended = client.result(number);
    assert_eq!((ended.outcome.as_str(), ended.data.as_str(), ended.attempt), ("DONE", "on", 1));
    assert_eq!(ended.worker, holder.name());
    let executions = holder.starts().len() + other.starts().len();
    claim("broker_restart_running_job", format!("{executions} execution, adopted"), "1 execution");
    assert_eq!(executions, 1);
    assert_eq!(stage.starts_of("work", &id), 1, "the adopted attempt, and no other");
    client.finish();
}

/// Which of two workers has begun the job, and the other one.
fn holder_of(id: &str, one: Worker, two: Worker) -> (Worker, Worker) {
    let one_holds = eventually("the start of the job", SOON, || {
        let has = |worker: &Worker| worker.starts().iter().any(|start| start.id == id);
        (has(&one) || has(&two)).then(|| has(&one))
    });
    if one_holds { (one, two) } else { (two, one) }
}
