//! Who goes next: priorities, first in first out, owners in turn, workers in turn, weights.

use crate::rig::Rig;
use forebay::model::{JobOptions, QueueName};
use forebay::wire::command::{PeerKind, ToBroker};

fn priority(priority: u32) -> JobOptions {
    JobOptions { priority: Some(priority), ..JobOptions::default() }
}

#[test]
fn priorities_then_first_in_first_out() {
    let mut rig = Rig::new();
    let client = rig.client();
    let low = rig.submit(client, priority(1));
    let (a, b) = (rig.submit(client, priority(4)), rig.submit(client, priority(4)));
    let high = rig.submit(client, priority(8));
    let mut worker = rig.worker(1);
    for expected in [high, a, b, low] {
        let grant = rig.start(worker);
        assert_eq!(grant.id, expected);
        rig.complete(&mut worker, grant.lease);
    }
}

#[test]
fn the_lowest_class_moves_under_a_stream_of_the_highest() {
    let mut rig = Rig::new();
    let client = rig.client();
    let low = rig.submit(client, priority(1));
    for _ in 0..50 {
        rig.submit(client, priority(8));
    }
    let mut worker = rig.worker(1);
    let mut position = 0;
    loop {
        let grant = rig.start(worker);
        if grant.id == low {
            break;
        }
        position += 1;
        rig.pass_ms(500);
        rig.complete(&mut worker, grant.lease);
    }
    assert!((10..=20).contains(&position), "class 1 came after {position} jobs");
}

#[test]
fn a_busy_owner_does_not_starve_another() {
    let mut rig = Rig::new();
    let busy = rig.open(PeerKind::Client, "busy");
    let quiet = rig.open(PeerKind::Client, "quiet");
    for _ in 0..10 {
        rig.submit(busy, JobOptions::default());
    }
    let one = rig.submit(quiet, JobOptions::default());
    let mut worker = rig.worker(1);
    let first = rig.start(worker);
    rig.complete(&mut worker, first.lease);
    assert_eq!(rig.start(worker).id, one);
}

#[test]
fn jobs_go_to_workers_in_turn() {
    let mut rig = Rig::new();
    let client = rig.client();
    let mut workers = [rig.worker(1), rig.worker(1), rig.worker(1)];
    for round in 0..3 {
        for worker in &mut workers {
            rig.submit(client, JobOptions::default());
            let grant =
                rig.grant(*worker).unwrap_or_else(|| panic!("in round {round} it is this worker's turn"));
            rig.send(worker.session, ToBroker::Start(grant.lease));
            rig.complete(worker, grant.lease);
        }
    }
}

#[test]
fn a_worker_of_two_queues_serves_them_by_weight() {
    let mut rig = Rig::new();
    let client = rig.client();
    for queue in ["a", "b"] {
        for _ in 0..12 {
            let mut job = rig.job(JobOptions::default());
            job.queue = QueueName::new(queue).unwrap();
            rig.submit_job(client, job).unwrap();
        }
    }
    let mut worker = rig.worker_of("a", 0);
    rig.send(worker.session, ToBroker::Register { queue: "b".into(), slots: 0, weight: 3 });
    rig.allow_one(&mut worker);
    let mut order = String::new();
    for _ in 0..8 {
        let grant = rig.start(worker);
        order += grant.queue.as_str();
        rig.complete(&mut worker, grant.lease);
    }
    assert_eq!(order, "abbbabbb");
}

#[test]
fn a_queue_takes_no_more_of_a_worker_than_its_slots() {
    let mut rig = Rig::new();
    let client = rig.client();
    let session = rig.open(PeerKind::Worker, "");
    rig.send(session, ToBroker::Register { queue: "q".into(), slots: 2, weight: 1 });
    rig.send(session, ToBroker::Demand { jobs: 5, bytes: 0 });
    let mut worker = crate::rig::Worker { session, allowed: 5 };
    for _ in 0..4 {
        rig.submit(client, JobOptions::default());
    }
    let first = rig.start(worker);
    rig.start(worker);
    assert!(rig.grant(worker).is_none());
    rig.complete(&mut worker, first.lease);
    assert!(rig.grant(worker).is_some());
    assert!(rig.grant(worker).is_none());
}

#[test]
fn a_worker_holds_no_more_payload_than_it_allows_though_always_one_job() {
    let mut rig = Rig::new();
    let client = rig.client();
    let worker = rig.worker_of("q", 0);
    rig.send(worker.session, ToBroker::Demand { jobs: 10, bytes: 12 });
    for _ in 0..4 {
        // Seven bytes each.
        rig.submit(client, JobOptions::default());
    }
    let first = rig.start(worker);
    rig.start(worker);
    assert!(rig.grant(worker).is_none());
    let done = ToBroker::Done { lease: first.lease, completion: Default::default() };
    rig.send(worker.session, done);
    assert!(rig.grant(worker).is_some());
    assert!(rig.grant(worker).is_none());
}

/// Whoever was granted a job longest ago got the next, even when it had a long one at hand and another worker none.
#[test]
fn a_worker_with_nothing_at_hand_goes_before_one_that_fetches_ahead() {
    let mut rig = Rig::new();
    let client = rig.client();
    let (busy, mut idle) = (rig.worker(2), rig.worker(1));
    rig.submit(client, JobOptions::default());
    rig.start(busy);
    for _ in 0..3 {
        rig.submit(client, JobOptions::default());
        let grant = rig.start(idle);
        rig.complete(&mut idle, grant.lease);
    }
    assert!(rig.grant(busy).is_none());
}
