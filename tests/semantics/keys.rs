//! Serial keys: of the jobs of a queue that name the same one, so many are under way at once, in the order of acceptance.

use forebay::model::pipeline::{Step, StepKind};
use forebay::model::{Body, JobId, JobOptions, Outcome, QueueName, Status, Submission};
use forebay::wire::command::{Retry, ToBroker};

use crate::rig::{Rig, Worker};
use crate::runs::{begun, draft, finish, show, start_run, step};
use crate::stages::{add, close};

fn keyed(key: &str) -> JobOptions {
    JobOptions { serial_key: Some(key.into()), ..JobOptions::default() }
}

/// What the worker is handed now, in that order.
fn handed(rig: &mut Rig, worker: Worker) -> Vec<JobId> {
    begun(rig, worker).iter().map(|grant| grant.id).collect()
}

fn cancel(rig: &mut Rig, client: u64, id: JobId) {
    rig.send(client, ToBroker::Cancel { id, reason: String::new(), own: true });
}

#[test]
fn one_job_of_a_key_at_a_time_in_the_order_of_acceptance() {
    let mut rig = Rig::new();
    let (client, other) = (rig.client(), rig.client());
    let mut worker = rig.worker(10);
    let first = rig.submit(client, keyed("a"));
    let second = rig.submit(other, keyed("a"));
    // A priority does not let it pass others of its key.
    let third = rig.submit(client, JobOptions { priority: Some(8), ..keyed("a") });
    let elsewhere = rig.submit(client, keyed("b"));
    let free = rig.submit(client, JobOptions::default());
    let grants = begun(&mut rig, worker);
    assert_eq!(grants.iter().map(|grant| grant.id).collect::<Vec<_>>(), [first, elsewhere, free]);
    let shown = rig.admin(client, "job.get", &[("id", &third.to_string())]);
    assert_eq!((&shown["stage"], &shown["behind"]), (&"behind".into(), &2.into()));
    assert_eq!(rig.admin(client, "queue.list", &[])["queues"][0]["behind"], 2);
    rig.complete(&mut worker, grants[0].lease);
    let grant = rig.start(worker);
    assert_eq!(grant.id, second);
    assert!(rig.grant(worker).is_none());
    cancel(&mut rig, other, second);
    assert_eq!(handed(&mut rig, worker), [third]);
}

#[test]
fn a_job_that_waits_keeps_its_place_and_one_that_ends_gives_it_up() {
    let mut rig = Rig::new();
    let client = rig.client();
    let mut worker = rig.worker(10);
    let retried = rig.submit(client, JobOptions { backoff_ms: Some(1_000), ..keyed("a") });
    let delayed = rig.submit(client, JobOptions { delay_ms: Some(3_000), ..keyed("a") });
    let waiting = rig.submit(client, keyed("a"));
    let hurried = rig.submit(client, JobOptions { queue_ms: Some(2_000), ..keyed("a") });
    let last = rig.submit(client, keyed("a"));
    let grant = rig.start(worker);
    rig.fail(&mut worker, grant.lease, Retry::AfterMs(1_000));
    rig.pass_ms(900);
    assert!(rig.grant(worker).is_none(), "it waits for another attempt, and keeps its place");
    rig.pass_ms(200);
    let grant = rig.start(worker);
    assert_eq!(grant.id, retried);
    rig.complete(&mut worker, grant.lease);
    rig.pass_ms(1_000);
    assert!(rig.grant(worker).is_none(), "the next is not to be begun yet");
    assert_eq!(rig.outcome(client, hurried), Some(Outcome::Expired));
    rig.pass_ms(1_000);
    let grant = rig.start(worker);
    assert_eq!(grant.id, delayed);
    cancel(&mut rig, client, waiting);
    rig.complete(&mut worker, grant.lease);
    assert_eq!(handed(&mut rig, worker), [last]);
}

#[test]
fn as_many_as_they_say_are_under_way_and_a_queue_may_say_it_for_all() {
    let mut rig = Rig::new();
    let client = rig.client();
    let mut worker = rig.worker(10);
    rig.admin(client, "queue.set", &[("queue", "q"), ("serial_key", "all"), ("serial_jobs", "2")]);
    let ids: Vec<JobId> = (0..3).map(|_| rig.submit(client, JobOptions::default())).collect();
    // An empty key is none, whatever the queue says.
    let free = rig.submit(client, keyed(""));
    let grants = begun(&mut rig, worker);
    assert_eq!(grants.iter().map(|grant| grant.id).collect::<Vec<_>>(), [ids[0], ids[1], free]);
    // One that wants to be alone waits for both, and the next one for it.
    let alone = rig.submit(client, JobOptions { serial_jobs: Some(1), ..JobOptions::default() });
    rig.complete(&mut worker, grants[1].lease);
    let third = rig.start(worker);
    assert_eq!(third.id, ids[2]);
    rig.complete(&mut worker, grants[0].lease);
    assert!(rig.grant(worker).is_none());
    rig.complete(&mut worker, third.lease);
    assert_eq!(handed(&mut rig, worker), [alone]);
    let too_long = rig.job(keyed(&"x".repeat(256)));
    assert_eq!(rig.submit_job(client, too_long), Err(Status::Argument));
    let nobody = rig.job(JobOptions { serial_jobs: Some(0), ..keyed("a") });
    assert_eq!(rig.submit_job(client, nobody), Err(Status::Argument));
    rig.admin(client, "queue.set", &[("queue", "q"), ("unset", "serial_key, serial_jobs")]);
    assert_eq!(rig.admin(client, "queue.list", &[])["queues"][0]["rules"]["serial_key"], "");
}

#[test]
fn a_restart_keeps_the_turns_of_durable_jobs() {
    let mut rig = Rig::durable();
    let client = rig.client();
    let mut worker = rig.worker(1);
    let ids: Vec<JobId> = (0..4).map(|_| rig.submit(client, keyed("a"))).collect();
    let first = rig.start(worker);
    rig.fail(&mut worker, first.lease, Retry::AfterMs(5_000));
    let mut rig = rig.restart(100);
    let mut worker = rig.worker(10);
    rig.pass_ms(4_000);
    assert!(rig.grant(worker).is_none(), "the first still waits for another attempt");
    rig.pass_ms(1_500);
    let first = rig.start(worker);
    assert_eq!((first.id, first.attempt), (ids[0], 2));
    rig.complete(&mut worker, first.lease);
    let second = rig.start(worker);
    assert_eq!(second.id, ids[1]);
    // Nobody presents it again.
    let mut rig = rig.restart(100);
    let mut worker = rig.worker(10);
    assert!(rig.grant(worker).is_none(), "it waits for whoever holds it");
    rig.pass_ms(1_000);
    for id in &ids[1..] {
        let grant = rig.start(worker);
        assert_eq!(grant.id, *id);
        assert!(rig.grant(worker).is_none());
        rig.complete(&mut worker, grant.lease);
    }
}

#[test]
fn a_job_that_may_not_begin_yet_is_in_nobodys_way() {
    let mut rig = Rig::new();
    let client = rig.client();
    let mut worker = rig.worker(10);
    let open = Step { kind: StepKind::Open, body: Body::default(), options: keyed("a"), ..step("many") };
    let first = Step { options: keyed("a"), ..step("first") };
    let mut draft = draft(vec![step("gate"), first, open], &[("first", "gate")]);
    draft.after("many", "first", false).unwrap();
    let run = start_run(&mut rig, client, &draft);
    add(&mut rig, client, run, "many", "1").unwrap();
    add(&mut rig, client, run, "many", "2").unwrap();
    let gate = rig.start(worker);
    finish(&mut rig, &mut worker, &gate);
    // The jobs of the stage were accepted before, and have no place as long as the stage has not begun.
    let first = rig.start(worker);
    assert_eq!(first.body.0[0], "first");
    assert!(rig.grant(worker).is_none());
    finish(&mut rig, &mut worker, &first);
    for place in ["1", "2"] {
        let grants = begun(&mut rig, worker);
        assert_eq!(grants.len(), 1);
        assert_eq!(grants[0].body.0[0], place);
        finish(&mut rig, &mut worker, &grants[0]);
    }
    close(&mut rig, client, run, "many", "2").unwrap();
    assert_eq!(show(&mut rig, client, run)["outcome"], "DONE");
}

#[test]
fn the_same_key_in_another_queue_is_another_key() {
    let mut rig = Rig::new();
    let client = rig.client();
    let (here, there) = (rig.worker(5), rig.worker_of("elsewhere", 5));
    rig.submit(client, keyed("a"));
    let queue = QueueName::new("elsewhere").unwrap();
    let job = Submission { queue, ..rig.job(keyed("a")) };
    rig.submit_job(client, job).unwrap();
    assert_eq!((handed(&mut rig, here).len(), handed(&mut rig, there).len()), (1, 1));
}
