//! What operators are told.

use crate::rig::Rig;
use forebay::model::{JobId, JobOptions, QueueName, Status};
use forebay::wire::command::{PeerKind, Retry, ToBroker};

/// A worker killed with -9 was still counted as serving its queue for as long as its session was kept, so that
/// `forebay status --check` found all well while jobs waited for nobody.
#[test]
fn a_worker_whose_connection_is_gone_serves_no_queue() {
    let mut rig = Rig::new();
    let (client, worker) = (rig.client(), rig.worker(1));
    let serving =
        |rig: &mut Rig, command: &str| rig.admin(client, command, &[])["queues"][0]["workers"].clone();
    assert_eq!(serving(&mut rig, "status"), 1);
    rig.drop_connection(worker.session);
    assert_eq!((serving(&mut rig, "status"), serving(&mut rig, "queue.list")), (0.into(), 0.into()));
    rig.come_back(worker.session);
    assert_eq!(serving(&mut rig, "queue.list"), 1);
}

/// A drain waited its whole time for a job whose worker had died: the lease was over, but the dead session still had it
/// in case it came back.
#[test]
fn a_drain_does_not_wait_for_the_dead() {
    let mut rig = Rig::new();
    let (client, worker) = (rig.client(), rig.worker(1));
    rig.submit(client, JobOptions::default());
    rig.start(worker);
    rig.broker.drain(rig.now);
    rig.drop_connection(worker.session);
    assert!(!rig.broker.is_drained(), "it may come back");
    rig.pass_ms(600);
    assert!(rig.broker.is_drained());
}

/// The ids on a page, and what names the next one.
fn page(rig: &mut Rig, client: u64, arguments: &[(&str, &str)]) -> (Vec<String>, Option<String>) {
    let listed = rig.admin(client, "jobs.list", arguments);
    let ids = listed["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned());
    assert_eq!(listed["more"] == true, listed["next"].is_string());
    (ids.collect(), listed["next"].as_str().map(str::to_owned))
}

#[test]
fn pages_follow_each_other_without_a_gap_whatever_the_order_of_the_slots() {
    let mut rig = Rig::new();
    let (client, mut worker) = (rig.client(), rig.worker(0));
    let mut ids: Vec<String> =
        (0..25).map(|_| rig.submit(client, JobOptions::default()).to_string()).collect();
    // The first ones end and go, and later jobs get their slots.
    for _ in 0..5 {
        rig.allow_one(&mut worker);
        let grant = rig.start(worker);
        rig.send(worker.session, ToBroker::Done { lease: grant.lease, completion: Default::default() });
        rig.send(client, ToBroker::Forget(vec![grant.id]));
    }
    ids.drain(..5);
    ids.extend((0..5).map(|_| rig.submit(client, JobOptions::default()).to_string()));
    let mut seen = Vec::new();
    let mut since: Option<String> = None;
    let mut pages = 0;
    loop {
        let mut arguments = vec![("limit", "7"), ("state", "open")];
        arguments.extend(since.as_deref().map(|since| ("since", since)));
        let (page, next) = page(&mut rig, client, &arguments);
        assert!(page.len() <= 7);
        (pages, since) = (pages + 1, next);
        seen.extend(page);
        if since.is_none() {
            break;
        }
    }
    assert_eq!((seen, pages), (ids.clone(), 4));
    // A page that is exactly full is the last one.
    assert_eq!(page(&mut rig, client, &[("limit", "25")]), (ids, None));
}

#[test]
fn a_list_is_of_what_was_asked_for() {
    let mut rig = Rig::new();
    let (client, mut worker) = (rig.client(), rig.worker(1));
    let options = JobOptions { attempts: Some(1), ..JobOptions::default() };
    let failed = rig.submit(client, options.clone());
    let grant = rig.start(worker);
    rig.fail(&mut worker, grant.lease, Retry::Never);
    let running = rig.submit(client, options.clone());
    rig.start(worker);
    let waiting = rig.submit(client, options.clone());
    let mut elsewhere = rig.job(options);
    elsewhere.queue = QueueName::new("elsewhere").unwrap();
    let other = elsewhere.id;
    rig.submit_job(client, elsewhere).unwrap();
    let mut of = |arguments: &[(&str, &str)]| page(&mut rig, client, arguments).0;
    let text = |ids: &[JobId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(of(&[]), text(&[failed, running, waiting, other]));
    assert_eq!(of(&[("queue", "q")]), text(&[failed, running, waiting]));
    assert_eq!(of(&[("state", "WAITING")]), text(&[waiting, other]));
    assert_eq!(of(&[("state", "running")]), text(&[running]));
    assert_eq!(of(&[("state", "OPEN"), ("queue", "q")]), text(&[running, waiting]));
    assert_eq!(of(&[("state", "ENDED")]), text(&[failed]));
    assert_eq!(of(&[("since", &running.to_string())]), text(&[waiting, other]));
    // The result of the one that failed is acknowledged: it is held no more, and still remembered as failed.
    rig.send(client, ToBroker::Forget(vec![failed]));
    let mut of = |arguments: &[(&str, &str)]| page(&mut rig, client, arguments).0;
    assert_eq!(of(&[]), text(&[running, waiting, other]));
    assert_eq!(of(&[("state", "FAILED")]), text(&[failed]));
    assert_eq!(of(&[("state", "ENDED"), ("queue", "q")]), text(&[failed]));
    assert_eq!(of(&[("state", "DONE")]), text(&[]));
    // Another user sees none of them.
    let stranger = rig.open_as(PeerKind::Client, "", "uid:2");
    assert_eq!(page(&mut rig, stranger, &[]), (vec![], None));
    assert_eq!(page(&mut rig, stranger, &[("state", "ENDED")]), (vec![], None));
    let asked = rig.ask(stranger, "job.get", &[("id", &running.to_string())]);
    assert_eq!(asked.unwrap_err().0, Status::NotFound);
}

/// A command, its arguments, how it is refused, and words of the refusal.
type Wrong = (&'static str, &'static [(&'static str, &'static str)], Status, &'static [&'static str]);

#[test]
fn what_is_wrong_with_a_command_is_named_and_so_is_what_would_be_right() {
    let mut rig = Rig::new();
    let client = rig.client();
    const UNKNOWN: &str = "01980f3c-8f2a-7c3e-9d2b-5a6b7c8d9e0f";
    const CASES: &[Wrong] = &[
        (
            "jobs.list",
            &[("state", "DEAD")],
            Status::Argument,
            &["state", "DEAD", "RUNNING", "QUARANTINED", "OPEN"],
        ),
        ("jobs.list", &[("limit", "0")], Status::Argument, &["limit", "1 to 10000"]),
        ("jobs.list", &[("limit", "10001")], Status::Argument, &["limit", "1 to 10000"]),
        ("jobs.list", &[("limit", "many")], Status::Argument, &["limit", "many", "whole number"]),
        ("jobs.list", &[("since", "yesterday")], Status::Argument, &["since", "yesterday", "UUID"]),
        ("jobs.list", &[("colour", "red")], Status::Argument, &["colour", "queue, state, since, limit"]),
        ("status", &[("queue", "q")], Status::Argument, &["status", "queue", "takes none"]),
        ("job.get", &[], Status::Argument, &["job.get", "needs", "id"]),
        ("job.get", &[("id", UNKNOWN)], Status::NotFound, &[UNKNOWN]),
        ("queue.list", &[("queue", "nowhere")], Status::NotFound, &["nowhere", "queue.list"]),
        ("queue.resume", &[("queue", "nowhere")], Status::NotFound, &["nowhere"]),
        ("queue.purge", &[("queue", "nowhere")], Status::NotFound, &["nowhere"]),
        ("queue.set", &[("queue", "q")], Status::Argument, &["sets nothing", "attempts"]),
        ("queue.set", &[("queue", "q"), ("attemps", "2")], Status::Argument, &["attemps", "attempts"]),
        ("queue.set", &[("queue", "q"), ("attempts", "0")], Status::Argument, &["attempts", "at least 1"]),
        ("queue.set", &[("queue", "q"), ("unset", "colour")], Status::Argument, &["unset", "colour"]),
        ("queue.set", &[("queue", "q"), ("level", "durable")], Status::Unsupported, &["store"]),
        ("queue.set", &[("queue", "q"), ("level", "solid")], Status::Argument, &["solid", "volatile"]),
        ("queue.pause", &[("queue", "a\u{7}")], Status::Argument, &["control character"]),
        ("quarantine.show", &[("id", UNKNOWN)], Status::NotFound, &[UNKNOWN]),
        ("quarantine.requeue", &[("id", UNKNOWN)], Status::NotFound, &[UNKNOWN]),
        ("quarantine.drop", &[("id", UNKNOWN)], Status::NotFound, &[UNKNOWN]),
        ("worker.drain", &[("name", "nobody")], Status::NotFound, &["nobody", "workers.list"]),
        ("worker.crashed", &[("pid", "1")], Status::Argument, &["needs the argument \"code\""]),
        (
            "worker.crashed",
            &[("pid", "4194305"), ("code", "SIGSEGV"), ("message", "m")],
            Status::NotFound,
            &["4194305", "workers.list"],
        ),
        ("queue.drop", &[], Status::NotFound, &["queue.drop"]),
    ];
    for (command, arguments, status, parts) in CASES {
        let (got, message) = rig.ask(client, command, arguments).expect_err(command);
        assert_eq!(got, *status, "{command} {arguments:?}: {message}");
        for part in *parts {
            assert!(message.contains(part), "{command} {arguments:?}: {message}");
        }
    }
    assert_eq!(rig.admin(client, "queue.list", &[])["queues"], serde_json::json!([]), "nothing was changed");
}

#[test]
fn a_jobs_history_names_attempts_workers_times_and_errors() {
    let mut rig = Rig::new();
    let (client, mut worker) = (rig.client(), rig.worker(1));
    let id = rig.submit(client, JobOptions { attempts: Some(2), ..JobOptions::default() });
    let accepted_ms = rig.now.wall_ms;
    rig.pass_ms(100);
    let grant = rig.start(worker);
    rig.pass_ms(50);
    rig.fail(&mut worker, grant.lease, Retry::AfterMs(1_000));
    let waits = rig.admin(client, "job.get", &[("id", &id.to_string())]);
    assert_eq!((waits["outcome"].as_str(), waits["stage"].as_str()), (Some("WAITING"), Some("delayed")));
    assert_eq!(waits["not_before_ms"], accepted_ms + 1_150);
    assert_eq!(waits["worker"], serde_json::Value::Null);
    rig.pass_ms(1_000);
    let grant = rig.start(worker);
    let runs = rig.admin(client, "job.get", &[("id", &id.to_string())]);
    assert_eq!((runs["outcome"].as_str(), runs["worker"].as_str()), (Some("RUNNING"), Some("host:2")));
    rig.pass_ms(10);
    rig.complete(&mut worker, grant.lease);
    let whole = |rig: &mut Rig| {
        let shown = rig.admin(client, "job.get", &[("id", &id.to_string())]);
        assert_eq!(shown["outcome"], "DONE");
        assert_eq!((&shown["attempts"], &shown["accepted_ms"]), (&2.into(), &accepted_ms.into()));
        assert_eq!(shown["ended_ms"], accepted_ms + 1_160);
        assert_eq!(
            shown["history"],
            serde_json::json!([
                {
                    "number": 1, "worker": "host:2", "started_ms": accepted_ms + 100, "ended_ms": accepted_ms + 150,
                    "how": "failed", "code": "bad", "message": "it went wrong", "evidence": null
                },
                {
                    "number": 2, "worker": "host:2", "started_ms": accepted_ms + 1_150,
                    "ended_ms": accepted_ms + 1_160, "how": "done", "code": null, "message": null, "evidence": null
                },
            ])
        );
        shown
    };
    let kept = whole(&mut rig);
    assert_eq!((&kept["stage"], &kept["rules"]["attempts"]), (&"ended".into(), &2.into()));
    // The same story, under the same names, after the result is gone.
    rig.send(client, ToBroker::Forget(vec![id]));
    let forgotten = whole(&mut rig);
    assert_eq!((&forgotten["stage"], &forgotten["rules"]), (&"forgotten".into(), &serde_json::Value::Null));
    let names = |shown: &serde_json::Value| shown.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&kept), names(&forgotten));
}

/// A worker that was killed was listed with the job that had long been given to another.
#[test]
fn a_worker_that_did_not_come_back_holds_nothing() {
    let mut rig = Rig::new();
    let (client, worker) = (rig.client(), rig.worker(1));
    rig.submit(client, JobOptions::default());
    rig.start(worker);
    let jobs =
        |rig: &mut Rig| rig.admin(client, "workers.list", &[])["workers"][0]["jobs"].as_array().map(Vec::len);
    rig.drop_connection(worker.session);
    assert_eq!(jobs(&mut rig), Some(1), "it may come back");
    rig.pass_ms(600);
    assert_eq!(jobs(&mut rig), Some(0));
}
