//! Workers that die, freeze or are busy: the job goes on elsewhere, and no other job pays for it.

use std::time::Duration;

use support::{SHORT_LEASE, SOON, Stage, eventually, ms_between, now_us};

use crate::{claim, median};

/// How often a killed worker is tried.
const ROUNDS: usize = 3;

/// A worker killed with -9 inside a job: running elsewhere within 1 s, the caller sees only delay.
#[test]
fn killed_worker() {
    let ms = moves_after_kill("killed_worker", "hold");
    assert!(ms <= 1_000.0);
}

/// The same worker, but it has forked a sleeping child: an inherited socket would keep its connection open.
#[test]
fn killed_worker_that_forked() {
    let ms = moves_after_kill("killed_worker_that_forked", "orphan");
    assert!(ms <= 1_000.0);
}

/// Kills the worker that has begun a job of this `deed`; the median of the times until another one has begun it.
fn moves_after_kill(name: &str, deed: &str) -> f64 {
    let stage = support::stage!();
    let mut client = stage.client();
    let mut first = stage.worker("work", 1);
    let mut times_ms = Vec::new();
    for round in 0..ROUNDS {
        let (number, id) = client.submit("work", &format!("{deed} round {round}"));
        assert_eq!(first.wait_start(&id).attempt, 1);
        let mut second = stage.worker("work", 2);
        let killed_us = now_us();
        first.0.kill();
        let started = second.wait_start(&id);
        times_ms.push(ms_between(killed_us, started.at_us));
        assert_eq!(started.attempt, 2);

        second.let_go();
        let ended = client.result(number);
        assert_eq!((ended.outcome.as_str(), ended.data), ("DONE", format!("round {round}")));
        assert_eq!(ended.worker, second.name());
        first = second;
    }
    client.finish();
    let (ms, losses) = (median(times_ms), stage.counter("losses"));
    claim(
        name,
        format!("running elsewhere after {ms:.0} ms, {losses} losses counted"),
        format!("1000 ms, {ROUNDS}"),
    );
    assert_eq!(losses, ROUNDS as u64);
    ms
}

/// A worker stopped beyond its lease: one result accepted, the late one refused and counted.
#[test]
fn stopped_worker() {
    let stage = support::stage!(&SHORT_LEASE);
    let mut client = stage.client();
    let mut stopped = stage.worker("work", 1);
    let (number, id) = client.submit("work", "hold on");
    stopped.wait_start(&id);
    let mut other = stage.worker("work", 2);
    stopped.0.signal(libc::SIGSTOP);
    // It answers as soon as it can go on.
    stopped.let_go();

    assert_eq!(other.wait_start(&id).attempt, 2, "the lease of the stopped one was over");
    other.let_go();
    let ended = client.result(number);
    assert_eq!((ended.outcome.as_str(), ended.worker), ("DONE", other.name()));

    stopped.0.signal(libc::SIGCONT);
    let answer = stopped.0.line_with("answered ", SOON);
    let stats = stopped.0.line_with("stats ", SOON);
    let refused = eventually("the late answer refused and counted", SOON, || {
        Some(refusals(&stage, &answer, &stats)).filter(|refused| *refused > 0)
    });
    claim("stopped_worker", format!("1 result accepted, {refused} refused and counted"), "1 and 1");
    assert_eq!(refused, 1);
    client.finish();
    assert_eq!(stage.counter("done"), 1);
}

/// How often a late answer was refused: by the broker; by the call, if the library had heard of the lost lease before; or
/// by the library's thread, if it heard of it while the answer was on its way there.
fn refusals(stage: &Stage, answer: &str, stats: &str) -> u64 {
    let json = stats.splitn(4, ' ').nth(3).unwrap_or_default();
    let counted: serde_json::Value = serde_json::from_str(json).expect("the library's counts");
    let by_call = u64::from(answer.ends_with("ERR_LEASE_LOST"));
    stage.counter("stale").max(by_call).max(counted["stale"].as_u64().unwrap_or(0))
}

/// A worker with a long job beside an idle one, then 20 short jobs: all go to the idle one.
#[test]
fn busy_worker_is_spared() {
    const SHORT_JOBS: usize = 20;
    let stage = support::stage!();
    let mut client = stage.client();
    let mut busy = stage.worker("work", 1);
    let (long, id) = client.submit("work", "hold long");
    busy.wait_start(&id);
    let idle = stage.worker("work", 2);

    let numbers: Vec<usize> =
        (0..SHORT_JOBS).map(|i| client.enqueue("work", &format!("echo short {i}"))).collect();
    for (i, number) in numbers.into_iter().enumerate() {
        let ended = client.result(number);
        assert_eq!((ended.outcome.as_str(), ended.data), ("DONE", format!("short {i}")));
        assert_eq!(ended.worker, idle.name());
    }
    let (by_idle, by_busy) = (idle.wait_starts(SHORT_JOBS).len(), busy.starts().len());
    claim(
        "busy_worker_is_spared",
        format!("{by_idle} short jobs by the idle worker, {} by the busy one", by_busy - 1),
        format!("{SHORT_JOBS} and 0"),
    );
    assert_eq!((by_idle, by_busy), (SHORT_JOBS, 1));

    busy.let_go();
    assert_eq!(client.result(long).worker, busy.name());
    client.finish();
    stage.broker.stop(Duration::from_secs(30)).success();
}
