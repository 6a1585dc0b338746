//! What hosts report: kept for as long as they are there, told with what the broker knows besides, and refused when it is nothing.

use crate::rig::Rig;
use forebay::model::limits::{HOST_SLOTS_MAX, HOSTS_MAX, PARAM_LEN_MAX, QUEUE_PARAMS_MAX};
use forebay::model::{JobOptions, Status};
use forebay::wire::command::{PeerKind, ToBroker};

pub(crate) const HOST: &str =
    r#"{"name": "resize", "slots": 2, "every_ms": 1000, "cpu_percent": 97.5, "new": true, "queues": ["q"]}"#;
pub(crate) const SLOTS: &str = r#"[{"slot": 0, "pid": 999, "state": "idle"},
    {"slot": 1, "pid": 998, "state": "working", "job": "019b0000-0000-7000-8000-000000000001", "queue": "q", "running_ms": 40}]"#;

/// What a host says comes with what its workers told, and a worker that is no host's is told of beside.
#[test]
fn a_hosts_slots_are_told_with_their_progress_and_other_workers_beside() {
    let mut rig = Rig::new();
    let (client, host) = (rig.client(), rig.client());
    let (working, other) = (rig.worker(1), rig.worker(0));
    let id = rig.submit(client, JobOptions::default()).to_string();
    let grant = rig.start(working);
    let lease = grant.lease;
    rig.send(working.session, ToBroker::Progress { lease, fraction: 0.25, note: String::new() });
    let slots = format!(
        r#"[{{"slot": 7, "pid": {}, "state": "working", "job": "{id}", "attempt": 1, "queue": "q", "running_ms": 40}}]"#,
        working.session
    );
    rig.admin(host, "host.report", &[("host", HOST), ("slots.1", &slots)]);
    rig.pass_ms(500);
    let listed = rig.admin(client, "hosts.list", &[]);
    let shown = &listed["hosts"][0];
    assert_eq!(
        (&shown["name"], &shown["slots"], &shown["working"]),
        (&"resize".into(), &2.into(), &1.into())
    );
    assert_eq!((&shown["queues"][0], &shown["reported_ms"]), (&"q".into(), &500.into()), "{shown}");
    let slot = &shown["slot_list"][0];
    assert_eq!((&slot["job"], &slot["progress"]), (&id.as_str().into(), &0.25.into()), "{slot}");
    assert_eq!((&slot["running_ms"], &slot["queue"]), (&540.into(), &"q".into()), "{slot}");
    let others: Vec<_> = listed["workers"].as_array().unwrap().iter().map(|one| one["pid"].clone()).collect();
    assert_eq!(others, [other.session], "the host's own worker is not told of twice");
    assert_eq!(rig.admin(client, "status", &[])["hosts"], 1);
}

/// Memory is bounded: one report of each host, so many slots, and none of a host that is gone.
#[test]
fn the_last_report_is_kept_until_the_host_is_gone() {
    let mut rig = Rig::new();
    let (client, host) = (rig.client(), rig.client());
    let one = r#"{"slot": 1, "state": "down"},"#.repeat(HOST_SLOTS_MAX);
    let many = format!("[{}]", one.trim_end_matches(','));
    rig.admin(host, "host.report", &[("host", HOST), ("slots.1", &many), ("slots.2", &many)]);
    let kept = |rig: &mut Rig| rig.admin(client, "hosts.list", &[])["hosts"].as_array().unwrap().clone();
    assert_eq!(kept(&mut rig)[0]["slot_list"].as_array().unwrap().len(), HOST_SLOTS_MAX);
    rig.admin(host, "host.report", &[("host", HOST)]);
    let hosts = kept(&mut rig);
    assert_eq!((hosts.len(), hosts[0]["slot_list"].as_array().unwrap().len()), (1, 0));
    rig.drop_connection(host);
    assert!(kept(&mut rig).is_empty());
    for _ in 0..HOSTS_MAX {
        let host = rig.client();
        rig.admin(host, "host.report", &[("host", HOST)]);
    }
    let late = rig.client();
    let refused = rig.ask(late, "host.report", &[("host", HOST)]).unwrap_err();
    assert_eq!(refused.0, Status::Busy, "{}", refused.1);
    assert!(refused.1.contains("1000 hosts"), "{}", refused.1);
}

/// What is set for a queue's hosts is told to those that ask for it, stays over a restart, and is taken away by its name.
#[test]
fn hosts_are_handed_what_is_set_for_their_queues() {
    let mut rig = Rig::durable();
    let client = rig.client();
    let set = [("queue", "q"), ("param.quality", "90"), ("param.level", "a,b"), ("report_ms", "5000")];
    let said = rig.admin(client, "queue.set", &set);
    assert_eq!((&said["params"]["quality"], &said["report_ms"]), (&"90".into(), &5_000.into()), "{said}");
    rig.admin(client, "queue.set", &[("queue", "other"), ("param.x", "1")]);
    let mut rig = rig.restart(10);
    let client = rig.client();
    let handed = |rig: &mut Rig| rig.admin(client, "host.report", &[("host", HOST)])["handed"].clone();
    let said = handed(&mut rig);
    assert_eq!(said.as_array().map(Vec::len), Some(1), "{said}");
    assert_eq!((&said[0]["queue"], &said[0]["params"]["level"]), (&"q".into(), &"a,b".into()), "{said}");
    rig.admin(client, "queue.set", &[("queue", "q"), ("unset", "param.level, report_ms")]);
    let said = handed(&mut rig);
    assert_eq!(
        (&said[0]["params"]["quality"], &said[0]["report_ms"]),
        (&"90".into(), &None::<u64>.into()),
        "{said}"
    );
    assert!(said[0]["params"]["level"].is_null(), "{said}");
    rig.admin(client, "queue.set", &[("queue", "q"), ("unset", "param.quality")]);
    assert_eq!(handed(&mut rig).as_array().map(Vec::len), Some(0));
}

#[test]
fn too_many_and_too_long_parameters_are_refused_by_name() {
    let mut rig = Rig::new();
    let client = rig.client();
    let long = "x".repeat(PARAM_LEN_MAX + 1);
    for (key, value) in [("param.", "1"), ("param.a,b", "1"), ("param.long", &long), ("report_ms", "never")] {
        let refused = rig.ask(client, "queue.set", &[("queue", "q"), (key, value)]).unwrap_err();
        assert_eq!(refused.0, Status::Argument, "{key}: {}", refused.1);
        assert!(refused.1.contains(key), "{}", refused.1);
    }
    for number in 0..QUEUE_PARAMS_MAX {
        rig.admin(client, "queue.set", &[("queue", "q"), (&format!("param.{number}"), "1")]);
    }
    let refused = rig.ask(client, "queue.set", &[("queue", "q"), ("param.more", "1")]).unwrap_err();
    assert_eq!(refused.0, Status::TooLarge, "{}", refused.1);
    rig.admin(client, "queue.set", &[("queue", "q"), ("param.0", "2")]);
}

#[test]
fn what_is_no_report_is_refused_by_name() {
    let mut rig = Rig::new();
    let host = rig.client();
    let job = r#"[{"slot": 1, "state": "working", "job": "1"}]"#;
    let cases: [(&[(&str, &str)], &str); 6] = [
        (&[], "needs the argument \"host\""),
        (&[("host", "resize")], "argument \"host\" is \"resize\""),
        (&[("host", r#"{"name": "a"}"#)], "missing field `slots`"),
        (&[("host", HOST), ("slots.1", "{}")], "a list of objects"),
        (&[("host", HOST), ("slots.1", job)], "a job's id"),
        (&[("host", HOST), ("slots.x", "[]")], "no argument \"slots.x\""),
    ];
    for (arguments, text) in cases {
        let (status, message) = rig.ask(host, "host.report", arguments).unwrap_err();
        assert_eq!(status, Status::Argument, "{message}");
        assert!(message.contains(text), "{message}");
    }
    let worker = rig.open(PeerKind::Worker, "w");
    let (status, message) = rig.ask(worker, "host.report", &[("host", HOST)]).unwrap_err();
    assert_eq!(status, Status::State, "{message}");
}
