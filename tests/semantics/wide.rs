//! Workers of many queues: what they are handed, and in which order.

use crate::rig::{Rig, Worker};
use forebay::model::{JobId, JobOptions, QueueName, Submission};
use forebay::wire::command::{PeerKind, ToBroker};

/// More than the queues up to which a worker stands in each one's set of idle workers.
const MANY: usize = 40;

fn register(rig: &mut Rig, session: u64, queue: usize, slots: u32, weight: u32) {
    rig.send(session, ToBroker::Register { queue: format!("q{queue}"), slots, weight });
}

fn submit(rig: &mut Rig, client: u64, queue: usize) -> JobId {
    let name = QueueName::new(&format!("q{queue}")).unwrap();
    let job = Submission { queue: name, ..rig.job(JobOptions::default()) };
    let id = job.id;
    rig.submit_job(client, job).expect("the job is accepted");
    id
}

fn demand(rig: &mut Rig, session: u64, jobs: u64) -> Worker {
    rig.send(session, ToBroker::Demand { jobs, bytes: 0 });
    Worker { session, allowed: jobs }
}

#[test]
fn many_queues_are_served_in_turn_by_weight() {
    let mut rig = Rig::new();
    let (client, session) = (rig.client(), rig.open(PeerKind::Worker, ""));
    (0..MANY).for_each(|queue| register(&mut rig, session, queue, 0, if queue == 7 { 2 } else { 1 }));
    let ids = [3, 7, 30].map(|queue| [(); 4].map(|()| submit(&mut rig, client, queue)));
    let mut worker = demand(&mut rig, session, 1);
    let mut order = Vec::new();
    while let Some(grant) = rig.grant(worker) {
        rig.send(session, ToBroker::Start(grant.lease));
        order.push(grant.id);
        rig.complete(&mut worker, grant.lease);
    }
    let [three, seven, thirty] = ids;
    let expected = [
        three[0], seven[0], seven[1], thirty[0], three[1], seven[2], seven[3], thirty[1], three[2],
        thirty[2], three[3], thirty[3],
    ];
    assert_eq!(order, expected);
}

#[test]
fn a_job_finds_the_worker_that_takes_its_queue_among_others() {
    let mut rig = Rig::new();
    let client = rig.client();
    let mut serving = |from: usize| {
        let session = rig.open(PeerKind::Worker, "");
        (from..from + MANY).for_each(|queue| register(&mut rig, session, queue, 1, 1));
        demand(&mut rig, session, 9)
    };
    let (low, high) = (serving(0), serving(MANY));
    let (first, second) = (submit(&mut rig, client, MANY + 3), submit(&mut rig, client, MANY + 3));
    assert_eq!(rig.start(high).id, first);
    // One at once of each queue is all that it takes.
    assert!(rig.grant(high).is_none() && rig.grant(low).is_none());
    register(&mut rig, low.session, MANY + 3, 0, 1);
    assert_eq!(rig.start(low).id, second);
}

/// Registers, gives up, submits, answers in an order that looks random; the table checks itself after each.
#[test]
fn workers_become_wide_and_narrow_again() {
    let mut rig = Rig::new();
    let client = rig.client();
    let mut workers = [(); 3].map(|()| Worker { session: rig.open(PeerKind::Worker, ""), allowed: 0 });
    let (mut state, mut submitted, mut done) = (1_u64, 0, 0);
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for step in 0..6_000 {
        let (at, queue) = (random(workers.len()), random(MANY));
        // First more are registered than given up, later the other way around.
        let gives_up = if step % 2_000 < 1_000 { 1 } else { 4 };
        match random(12) {
            kind if kind < gives_up => {
                rig.send(workers[at].session, ToBroker::Unregister { queue: format!("q{queue}") });
            }
            kind if kind < 5 => register(&mut rig, workers[at].session, queue, random(3) as u32, 1),
            5..7 => {
                submit(&mut rig, client, queue);
                submitted += 1;
            }
            7 => rig.allow_one(&mut workers[at]),
            _ => {
                if let Some(grant) = rig.grant(workers[at]) {
                    rig.send(workers[at].session, ToBroker::Start(grant.lease));
                    rig.complete(&mut workers[at], grant.lease);
                    done += 1;
                }
            }
        }
    }
    // Whoever is there takes all in the end.
    (0..MANY).for_each(|queue| register(&mut rig, workers[0].session, queue, 0, 1));
    rig.send(workers[0].session, ToBroker::Demand { jobs: 1 << 40, bytes: 0 });
    for worker in &mut workers {
        while let Some(grant) = rig.grant(*worker) {
            rig.send(worker.session, ToBroker::Start(grant.lease));
            rig.complete(&mut Worker { session: worker.session, allowed: 1 << 40 }, grant.lease);
            done += 1;
        }
    }
    assert!(submitted > 500);
    assert_eq!(done, submitted);
}
