//! Queues in an operator's hands: set, paused, drained, resumed, purged.

use crate::rig::Rig;
use forebay::model::{JobId, JobOptions, Outcome, QueueName, Status};
use forebay::wire::command::{GetMode, PeerKind, ToBroker};
use serde_json::json;

/// The queue "q" as `queue.list` has it.
fn shown(rig: &mut Rig, client: u64) -> serde_json::Value {
    rig.admin(client, "queue.list", &[("queue", "q")])["queues"][0].clone()
}

#[test]
fn what_is_set_for_a_queue_is_added_to_and_taken_away() {
    let mut rig = Rig::new();
    let client = rig.client();
    let set = |rig: &mut Rig, arguments: &[(&str, &str)]| {
        let mut all = vec![("queue", "q")];
        all.extend(arguments);
        rig.admin(client, "queue.set", &all)["options"].clone()
    };
    assert_eq!(set(&mut rig, &[("attempts", "5")]), json!({ "attempts": 5 }));
    assert_eq!(
        set(&mut rig, &[("run_ms", "60000"), ("unknown_queue", "refuse")]),
        json!({ "attempts": 5, "run_ms": 60_000, "unknown_queue": "refuse" })
    );
    assert_eq!(
        set(&mut rig, &[("attempts", "4"), ("unset", "run_ms, unknown_queue")]),
        json!({ "attempts": 4 })
    );
    let queue = shown(&mut rig, client);
    assert_eq!((&queue["rules"]["attempts"], &queue["rules"]["run_ms"]), (&4.into(), &1_800_000.into()));
    // A bad value changes nothing, the good one beside it neither.
    let refused = rig.ask(client, "queue.set", &[("queue", "q"), ("priority", "9"), ("attempts", "9")]);
    assert_eq!(refused.unwrap_err().0, Status::Argument);
    assert_eq!(shown(&mut rig, client)["options"], json!({ "attempts": 4 }));
    let id = rig.submit(client, JobOptions::default());
    assert_eq!(rig.admin(client, "job.get", &[("id", &id.to_string())])["attempts_max"], 4);
    // A queue that nothing keeps is forgotten.
    rig.send(client, ToBroker::Cancel { id, reason: String::new(), own: true });
    set(&mut rig, &[("unset", "attempts")]);
    assert_eq!(rig.ask(client, "queue.list", &[("queue", "q")]).unwrap_err().0, Status::NotFound);
}

#[test]
fn a_paused_queue_takes_jobs_and_hands_out_none() {
    let mut rig = Rig::new();
    let client = rig.client();
    let paused = rig.admin(client, "queue.pause", &[("queue", "q")]);
    assert_eq!((&paused["paused"], &paused["known"]), (&true.into(), &false.into()));
    let worker = rig.worker(1);
    let id = rig.submit(client, JobOptions::default());
    assert!(rig.grant(worker).is_none());
    let resumed = rig.admin(client, "queue.resume", &[("queue", "q")]);
    assert_eq!((&resumed["paused"], &resumed["workers"]), (&false.into(), &1.into()));
    assert_eq!(rig.start(worker).id, id);
}

#[test]
fn a_draining_queue_takes_no_jobs_and_hands_out_those_it_has() {
    let mut rig = Rig::new();
    let (client, mut worker) = (rig.client(), rig.worker(1));
    let running = rig.submit(client, JobOptions::default());
    let grant = rig.start(worker);
    let waiting = rig.submit(client, JobOptions::default());
    let later = rig.submit(client, JobOptions { delay_ms: Some(5_000), ..JobOptions::default() });
    let again = rig.job(JobOptions::default());
    rig.submit_job(client, again.clone()).unwrap();
    let drained = rig.admin(client, "queue.drain", &[("queue", "q")]);
    assert_eq!((&drained["draining"], &drained["known"]), (&true.into(), &true.into()));
    let refused = rig.job(JobOptions::default());
    assert_eq!(rig.submit_job(client, refused.clone()), Err(Status::State));
    assert_eq!(rig.submit_job(client, again.clone()), Ok(()), "it is known: the answer to it was lost");
    rig.complete(&mut worker, grant.lease);
    for id in [waiting, again.id] {
        let grant = rig.start(worker);
        assert_eq!(grant.id, id);
        rig.complete(&mut worker, grant.lease);
    }
    rig.pass_ms(5_000);
    assert_eq!(rig.start(worker).id, later);
    assert_eq!(rig.outcome(client, running), Some(Outcome::Done));
    rig.admin(client, "queue.resume", &[("queue", "q")]);
    assert_eq!(rig.submit_job(client, refused), Ok(()));
}

/// A volatile job that was accepted before the broker's restart comes again from its client: refusing it would lose an
/// acknowledged job.
#[test]
fn a_draining_queue_takes_back_what_was_accepted_before_a_restart() {
    let mut rig = Rig::durable();
    let client = rig.client();
    rig.admin(client, "queue.drain", &[("queue", "q")]);
    let mut rig = rig.restart(1_000);
    let client = rig.client();
    assert_eq!(shown(&mut rig, client)["draining"], true);
    let mut job = rig.job(JobOptions::default());
    assert_eq!(rig.submit_job(client, job.clone()), Err(Status::State));
    job.resent = true;
    assert_eq!(rig.submit_job(client, job), Ok(()));
}

#[test]
fn what_is_set_and_turned_survives_a_restart() {
    let mut rig = Rig::durable();
    let client = rig.client();
    rig.admin(client, "queue.set", &[("queue", "q"), ("attempts", "7")]);
    rig.admin(client, "queue.pause", &[("queue", "q")]);
    rig.admin(client, "queue.drain", &[("queue", "other")]);
    rig.admin(client, "queue.pause", &[("queue", "third")]);
    rig.admin(client, "queue.resume", &[("queue", "third")]);
    let mut rig = rig.restart(1_000);
    let client = rig.client();
    let listed = rig.admin(client, "queue.list", &[]);
    let flags: Vec<_> = listed["queues"]
        .as_array()
        .unwrap()
        .iter()
        .map(|queue| (queue["name"].as_str().unwrap(), queue["paused"] == true, queue["draining"] == true))
        .collect();
    assert_eq!(flags, [("other", false, true), ("q", true, false)]);
    assert_eq!(listed["queues"][1]["options"], json!({ "attempts": 7 }));
}

#[test]
fn a_purge_cancels_all_that_waits_and_nothing_that_runs() {
    let mut rig = Rig::new();
    let (client, worker) = (rig.client(), rig.worker(2));
    let running = rig.submit(client, JobOptions::default());
    let grant = rig.start(worker);
    // Handed out and not begun: it waits, as far as anybody outside can see.
    let fetched = rig.submit(client, JobOptions::default());
    let lease = rig.grant(worker).unwrap().lease;
    let mut waiting: Vec<JobId> = (0..5).map(|_| rig.submit(client, JobOptions::default())).collect();
    waiting.push(rig.submit(client, JobOptions { delay_ms: Some(60_000), ..JobOptions::default() }));
    waiting.push(fetched);
    let mut elsewhere = rig.job(JobOptions::default());
    elsewhere.queue = QueueName::new("elsewhere").unwrap();
    rig.submit_job(client, elsewhere.clone()).unwrap();
    let stranger = rig.open_as(PeerKind::Client, "", "uid:2");
    let foreign = rig.submit(stranger, JobOptions::default());

    let first = rig.admin(client, "queue.purge", &[("queue", "q"), ("limit", "4")]);
    assert_eq!((&first["purged"], &first["more"], &first["others"]), (&4.into(), &true.into(), &json!(null)));
    // What comes in between is not meant.
    let late = rig.submit(client, JobOptions::default());
    let before = first["before"].to_string();
    let second = rig.admin(client, "queue.purge", &[("queue", "q"), ("before", &before)]);
    assert_eq!(
        (&second["purged"], &second["more"], &second["others"]),
        (&3.into(), &false.into(), &1.into())
    );
    for id in waiting {
        let ended = rig.result(client, id).expect("it has ended");
        assert_eq!((ended.outcome, ended.message.as_str()), (Outcome::Cancelled, "its queue was purged"));
    }
    assert_eq!(rig.revoked(worker).map(|(revoked, _)| revoked), Some(lease));
    for id in [late, elsewhere.id, running, foreign] {
        assert_eq!(rig.outcome(client, id), None);
    }
    let mut worker = worker;
    rig.complete(&mut worker, grant.lease);
    assert_eq!(rig.outcome(client, running), Some(Outcome::Done));
}

#[test]
fn a_purge_is_on_disk_before_it_is_answered() {
    let mut rig = Rig::durable();
    let client = rig.client();
    let ids: Vec<JobId> = (0..3).map(|_| rig.submit(client, JobOptions::default())).collect();
    rig.admin(client, "queue.purge", &[("queue", "q")]);
    let mut rig = rig.restart(1_000);
    let (client, worker) = (rig.client(), rig.worker(3));
    assert!(rig.grant(worker).is_none());
    for id in ids {
        rig.send(client, ToBroker::Get { id, mode: GetMode::Watch });
        assert_eq!(rig.outcome(client, id), Some(Outcome::Cancelled));
    }
}
