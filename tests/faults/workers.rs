//! Workers that do not do what they should with a job.

use support::{SHORT_LEASE, SOON, eventually, run};

/// A worker that says no: the caller has FAILED with its code, and the detail.
#[test]
fn a_worker_that_raises_fails_the_job() {
    let stage = support::stage!();
    let _worker = stage.worker("work", 1);
    let mut client = stage.client();
    let number = client.enqueue("work", "fail no such luck");
    let ended = client.result(number);
    assert_eq!((ended.outcome.as_str(), ended.code.as_str(), ended.attempt), ("FAILED", "told_to", 1));
    client.finish();

    let called = run(&mut stage.broker.cli(&["call", "work", "--data", "fail no such luck"]), SOON).code(1);
    for word in ["FAILED", "told_to", "no such luck", "a detail\nof two lines"] {
        assert!(called.error_text().contains(word), "{word:?} in {}", called.error_text());
    }
}

/// A job freed without an answer has failed, and the caller is told so.
#[test]
fn a_job_freed_unanswered_is_abandoned() {
    let stage = support::stage!();
    let worker = stage.worker("work", 1);
    let mut client = stage.client_with(&[("FOREBAY_JOB_ATTEMPTS", "2"), ("FOREBAY_JOB_BACKOFF_MS", "1")]);
    let number = client.enqueue("work", "abandon");
    let ended = client.result(number);
    assert_eq!((ended.outcome.as_str(), ended.code.as_str(), ended.attempt), ("FAILED", "abandoned", 2));
    assert_eq!(worker.wait_starts(2).len(), 2);
    // It is none the worse for it.
    let number = client.enqueue("work", "echo next");
    assert_eq!(client.result(number).data, "next");
    client.finish();
}

/// exit(0) in the middle of a job is no answer either: it runs elsewhere.
#[test]
fn a_worker_that_exits_in_a_job_loses_it_to_another() {
    moves_on("exit");
}

/// The same with a signal.
#[test]
fn a_worker_that_crashes_in_a_job_loses_it_to_another() {
    moves_on("crash");
}

/// The first worker ends as the job tells it; so does the second, which is enough: the job is kept away from a third.
fn moves_on(deed: &str) {
    let stage = support::stage!();
    let mut client = stage.client();
    let first = stage.worker("work", 1);
    let (number, id) = client.submit("work", deed);
    assert_eq!(first.wait_start(&id).attempt, 1);
    first.0.wait(SOON);
    eventually("the loss", SOON, || (stage.counter("losses") == 1).then_some(()));

    let second = stage.worker_unawaited("work");
    assert_eq!(second.wait_start(&id).attempt, 2);
    second.0.wait(SOON);
    let ended = client.result(number);
    assert_eq!((ended.outcome.as_str(), ended.attempt), ("QUARANTINED", 2));

    let third = stage.worker("work", 1);
    let number = client.enqueue("work", "echo well");
    assert_eq!(client.result(number).data, "well");
    assert_eq!(third.wait_starts(1).len(), 1, "the quarantined job did not come back");
    client.finish();
}

/// Stopped beyond its lease with nobody else there: when it goes on, the job is still its own, or it is told that it is not;
/// either way there is one result, and the worker serves on.
#[test]
fn a_worker_stopped_beyond_its_lease_goes_on() {
    let stage = support::stage!(&SHORT_LEASE);
    let mut client = stage.client();
    let mut worker = stage.worker("work", 1);
    let (number, id) = client.submit("work", "hold on");
    worker.wait_start(&id);
    worker.0.signal(libc::SIGSTOP);
    eventually("the lease to lapse", SOON, || (stage.counter("lapses") == 1).then_some(()));
    worker.0.signal(libc::SIGCONT);
    worker.let_go();
    if worker.0.line_with("answered ", SOON).ends_with("ERR_LEASE_LOST") {
        worker.let_go();
    }
    assert_eq!(client.result(number).outcome, "DONE");
    let number = client.enqueue("work", "echo next");
    assert_eq!(client.result(number).data, "next");
    client.finish();
}
