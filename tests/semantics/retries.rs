//! What follows a failure: another attempt after a wait, a release, a timeout, the end.

use crate::rig::Rig;
use forebay::model::{JobOptions, Outcome, Stop};
use forebay::wire::command::{Retry, ToBroker};

#[test]
fn a_failed_job_is_tried_again_until_its_attempts_are_used_up() {
    let mut rig = Rig::new();
    let (client, mut worker) = (rig.client(), rig.worker(1));
    let id = rig.submit(client, JobOptions { attempts: Some(3), ..JobOptions::default() });
    for attempt in 1..=3 {
        let grant = rig.start(worker);
        assert_eq!((grant.attempt, grant.attempts_max), (attempt, 3));
        rig.fail(&mut worker, grant.lease, Retry::Policy);
        // Back-off 1 s, then 2 s, with full jitter.
        rig.pass_ms(1_000 << (attempt - 1));
    }
    let verdict = rig.result(client, id).unwrap();
    assert_eq!((verdict.outcome, verdict.attempt, verdict.code.as_str()), (Outcome::Failed, 3, "bad"));
    assert!(rig.grant(worker).is_none());
}

#[test]
fn the_worker_may_say_when_or_that_there_is_no_use() {
    let mut rig = Rig::new();
    let (client, mut worker) = (rig.client(), rig.worker(1));
    let id = rig.submit(client, JobOptions::default());
    let grant = rig.start(worker);
    rig.fail(&mut worker, grant.lease, Retry::AfterMs(7_000));
    rig.pass_ms(6_990);
    assert!(rig.grant(worker).is_none());
    rig.pass_ms(20);
    let grant = rig.start(worker);
    rig.fail(&mut worker, grant.lease, Retry::Never);
    assert_eq!(rig.outcome(client, id), Some(Outcome::Failed));
}

#[test]
fn an_attempt_over_its_run_time_is_stopped_and_tried_again() {
    let mut rig = Rig::new();
    let (client, mut worker) = (rig.client(), rig.worker(1));
    let id = rig.submit(
        client,
        JobOptions { run_ms: Some(2_000), attempts: Some(2), backoff_ms: Some(0), ..JobOptions::default() },
    );
    for _ in 0..2 {
        let grant = rig.start(worker);
        rig.pass_ms(1_990);
        assert_eq!(rig.revoked(worker), None);
        rig.pass_ms(20);
        assert_eq!(rig.revoked(worker), Some((grant.lease, Stop::TIME_OVER)));
        // The slot is free only when the worker says so.
        assert!(rig.grant(worker).is_none());
        rig.complete(&mut worker, grant.lease);
        assert_eq!(rig.stale(worker), Some(grant.lease));
    }
    assert_eq!(rig.outcome(client, id), Some(Outcome::TimedOut));
}

#[test]
fn a_job_that_makes_no_progress_has_stalled() {
    let mut rig = Rig::new();
    let (client, worker) = (rig.client(), rig.worker(1));
    let id =
        rig.submit(client, JobOptions { stall_ms: Some(1_000), attempts: Some(1), ..JobOptions::default() });
    let grant = rig.start(worker);
    for step in 1..5 {
        rig.pass_ms(900);
        rig.send(
            worker.session,
            ToBroker::Progress { lease: grant.lease, fraction: f64::from(step) / 10.0, note: String::new() },
        );
    }
    assert_eq!(rig.revoked(worker), None);
    rig.pass_ms(1_100);
    assert_eq!(rig.revoked(worker), Some((grant.lease, Stop::TIME_OVER)));
    let verdict = rig.result(client, id).unwrap();
    assert_eq!((verdict.outcome, verdict.code.as_str()), (Outcome::TimedOut, "stalled"));
}

#[test]
fn queue_timeout_counts_until_the_start_and_the_deadline_until_the_end() {
    let mut rig = Rig::new();
    let client = rig.client();
    let queued = rig.submit(client, JobOptions { queue_ms: Some(500), ..JobOptions::default() });
    rig.pass_ms(501);
    assert_eq!(rig.outcome(client, queued), Some(Outcome::Expired));
    let worker = rig.worker(1);
    let started = rig.submit(
        client,
        JobOptions { queue_ms: Some(500), deadline_ms: Some(5_000), ..JobOptions::default() },
    );
    let grant = rig.start(worker);
    rig.pass_ms(4_990);
    assert_eq!(rig.outcome(client, started), None);
    rig.pass_ms(20);
    assert_eq!(rig.revoked(worker), Some((grant.lease, Stop::TIME_OVER)));
    assert_eq!(rig.outcome(client, started), Some(Outcome::Expired));
}

#[test]
fn a_delayed_job_is_not_handed_out_before_its_time() {
    let mut rig = Rig::new();
    let (client, worker) = (rig.client(), rig.worker(1));
    rig.submit(client, JobOptions { delay_ms: Some(10_000), ..JobOptions::default() });
    rig.pass_ms(9_990);
    assert!(rig.grant(worker).is_none());
    rig.pass_ms(20);
    assert!(rig.grant(worker).is_some());
}

#[test]
fn releases_cost_no_attempt_and_are_bounded() {
    let mut rig = Rig::new();
    let (client, mut worker) = (rig.client(), rig.worker(1));
    let id = rig.submit(client, JobOptions { releases: Some(5), attempts: Some(1), ..JobOptions::default() });
    for _ in 0..6 {
        let grant = rig.start(worker);
        assert_eq!(grant.attempt, 1);
        rig.send(worker.session, ToBroker::Release { lease: grant.lease, delay_ms: 0 });
        rig.allow_one(&mut worker);
    }
    let verdict = rig.result(client, id).unwrap();
    assert_eq!((verdict.outcome, verdict.code.as_str()), (Outcome::Failed, "released"));
}

#[test]
fn wall_clock_jumps_change_nothing() {
    let mut rig = Rig::new();
    let (client, mut worker) = (rig.client(), rig.worker(1));
    let id = rig.submit(
        client,
        JobOptions { run_ms: Some(60_000), deadline_ms: Some(120_000), ..JobOptions::default() },
    );
    let grant = rig.start(worker);
    for jump in [86_400_000_000_i64, -172_800_000_000] {
        rig.now.wall_ms = rig.now.wall_ms.saturating_add_signed(jump);
        rig.pass_ms(10);
    }
    assert_eq!(rig.revoked(worker), None);
    rig.complete(&mut worker, grant.lease);
    assert_eq!(rig.outcome(client, id), Some(Outcome::Done));
}

/// A worker that crashed right after `receive` took its START down with it. The broker took the job for one that was
/// never begun, so it went on taking down workers for ever: no attempt was counted, no loss, no quarantine.
#[test]
fn a_job_that_takes_its_worker_down_before_its_start_is_heard_is_quarantined() {
    let mut rig = Rig::new();
    let client = rig.client();
    let id = rig.submit(client, JobOptions::default());
    for _ in 0..2 {
        let worker = rig.worker(1);
        assert!(rig.grant(worker).is_some());
        rig.drop_connection(worker.session);
        rig.pass_ms(600);
    }
    assert_eq!(rig.outcome(client, id), Some(Outcome::Quarantined));
}

/// Jobs that waited behind others in the worker that died are not to blame.
#[test]
fn unstarted_jobs_of_a_lost_worker_that_held_several_count_nothing() {
    let mut rig = Rig::new();
    let (client, lost) = (rig.client(), rig.worker(2));
    let ids = [(); 2].map(|()| rig.submit(client, JobOptions::default()));
    assert!(rig.grant(lost).is_some() && rig.grant(lost).is_some());
    rig.drop_connection(lost.session);
    rig.pass_ms(600);
    let mut worker = rig.worker(1);
    for id in ids {
        let grant = rig.start(worker);
        assert_eq!((grant.id, grant.attempt), (id, 1));
        rig.complete(&mut worker, grant.lease);
    }
}

/// A job that had begun in time and failed was EXPIRED while it waited for its next attempt. Found by simulation.
#[test]
fn the_queue_timeout_ends_where_the_first_attempt_begins() {
    let mut rig = Rig::new();
    let (client, mut worker) = (rig.client(), rig.worker(1));
    let id = rig.submit(client, JobOptions { queue_ms: Some(1_000), ..JobOptions::default() });
    let grant = rig.start(worker);
    rig.fail(&mut worker, grant.lease, Retry::AfterMs(5_000));
    rig.pass_ms(5_000);
    let grant = rig.start(worker);
    rig.complete(&mut worker, grant.lease);
    assert_eq!(rig.outcome(client, id), Some(Outcome::Done));
}
