//! What becomes of results: pushed within credit, kept, asked for again, under a name, forgotten; words on the way.

use crate::rig::Rig;
use bytes::Bytes;
use forebay::core::job_table::{JobTable, TableConfig};
use forebay::core::jobs::{Allowance, Asker, Class, Event, Io, IoDone, Jobs, SessionId, WorkerId};
use forebay::core::session::Input;
use forebay::model::{Body, JobOptions, Now, Outcome, ReplyMode, Status};
use forebay::wire::command::{FromBroker, GetMode, PeerKind, ToBroker};
use std::sync::Arc;

#[test]
fn results_are_pushed_only_as_far_as_the_client_has_room() {
    let mut rig = Rig::new();
    let client = rig.open(PeerKind::Client, "");
    let mut worker = rig.worker(1);
    let ids: Vec<_> = (0..5).map(|_| rig.submit(client, JobOptions::default())).collect();
    for _ in &ids {
        let grant = rig.start(worker);
        rig.complete(&mut worker, grant.lease);
    }
    let mut got = 0;
    for (credit, expected) in [(0, 0), (2, 2), (2, 2), (4, 4), (100, 5)] {
        rig.send(client, ToBroker::ResultCredit(credit));
        while got < ids.len() && rig.result(client, ids[got]).is_some() {
            got += 1;
        }
        assert_eq!(got, expected);
    }
}

#[test]
fn a_kept_result_is_asked_for_by_any_client_of_the_user() {
    let mut rig = Rig::new();
    let (client, mut worker) = (rig.client(), rig.worker(1));
    let mut job = rig.job(JobOptions::default());
    (job.reply, job.wants_progress) = (ReplyMode::Keep, true);
    let id = job.id;
    rig.submit_job(client, job).unwrap();
    let early = rig.client();
    rig.send(early, ToBroker::Get { id, mode: GetMode::Watch });
    let grant = rig.start(worker);
    rig.send(worker.session, ToBroker::Progress { lease: grant.lease, fraction: 0.5, note: "half".into() });
    rig.send(early, ToBroker::Get { id, mode: GetMode::Peek });
    let states: Vec<Outcome> = std::iter::from_fn(|| {
        rig.take(early, |command| match command {
            FromBroker::State { state, .. } => Some(*state),
            _ => None,
        })
    })
    .collect();
    assert_eq!(states, [Outcome::Waiting, Outcome::Running]);
    let heard = rig.take(client, |command| match command {
        FromBroker::ProgressOf { fraction, .. } => Some(*fraction),
        _ => None,
    });
    assert_eq!(heard, Some(0.5));
    rig.complete(&mut worker, grant.lease);
    assert_eq!(rig.result(client, id), None, "kept results are not pushed");
    assert_eq!(rig.outcome(early, id), Some(Outcome::Done), "who watches is told");
    let late = rig.client();
    rig.send(late, ToBroker::Get { id, mode: GetMode::Watch });
    assert_eq!(rig.outcome(late, id), Some(Outcome::Done));
    rig.send(late, ToBroker::Forget(vec![id]));
    rig.send(late, ToBroker::Get { id, mode: GetMode::Watch });
    assert_eq!(rig.result(late, id).unwrap().code, "result-forgotten");
}

#[test]
fn a_name_is_a_reply_box() {
    let mut rig = Rig::new();
    let first = rig.open(PeerKind::Client, "box");
    let id = rig.submit(first, JobOptions::default());
    let mut worker = rig.worker(1);
    let grant = rig.start(worker);
    rig.close(first, false);
    rig.complete(&mut worker, grant.lease);
    let other = rig.open(PeerKind::Client, "another");
    rig.send(other, ToBroker::ResultCredit(10));
    assert_eq!(rig.result(other, id), None);
    let second = rig.open(PeerKind::Client, "box");
    rig.send(second, ToBroker::ResultCredit(10));
    assert_eq!(rig.outcome(second, id), Some(Outcome::Done));
}

#[test]
fn a_job_nobody_wants_the_result_of_leaves_nothing_but_its_history() {
    let mut rig = Rig::new();
    let (client, mut worker) = (rig.client(), rig.worker(1));
    let id = rig.submit(client, JobOptions { result_ttl_ms: Some(0), ..JobOptions::default() });
    let grant = rig.start(worker);
    rig.complete(&mut worker, grant.lease);
    assert_eq!(rig.result(client, id), None);
    rig.send(
        client,
        ToBroker::Admin { tag: 7, command: "job.get".into(), arguments: vec![("id".into(), id.to_string())] },
    );
    let body = rig.take(client, |command| match command {
        FromBroker::Reply { tag: 7, status: Status::Ok, body, .. } => Some(body.0[0].clone()),
        _ => None,
    });
    let shown: serde_json::Value = serde_json::from_slice(&body.unwrap()).unwrap();
    assert_eq!(
        (shown["outcome"].as_str(), shown["history"].as_array().map(Vec::len)),
        (Some("DONE"), Some(1))
    );
}

#[test]
fn a_result_nobody_asks_for_goes_when_its_time_is_over() {
    let mut rig = Rig::new();
    let (client, mut worker) = (rig.client(), rig.worker(1));
    let id = rig.submit(client, JobOptions { result_ttl_ms: Some(60_000), ..JobOptions::default() });
    let grant = rig.start(worker);
    rig.complete(&mut worker, grant.lease);
    rig.pass_ms(59_000);
    rig.send(client, ToBroker::Get { id, mode: GetMode::Peek });
    assert_eq!(rig.result(client, id).unwrap().code, "");
    rig.pass_ms(2_000);
    assert_eq!(rig.broker.jobs().counters().results_expired, 1);
}

#[test]
fn partial_results_reach_only_a_client_that_wants_them() {
    let mut rig = Rig::new();
    let (client, worker) = (rig.client(), rig.worker(2));
    for wants in [true, false] {
        let mut job = rig.job(JobOptions::default());
        job.wants_partial = wants;
        rig.submit_job(client, job).unwrap();
        let grant = rig.start(worker);
        assert_eq!(grant.wants_partial, wants);
        for sequence in 0..3 {
            rig.send(
                worker.session,
                ToBroker::Partial {
                    lease: grant.lease,
                    sequence,
                    body: Body::one(Bytes::from_static(b"part")),
                },
            );
        }
        let mut parts = Vec::new();
        while let Some(sequence) = rig.take(client, |command| match command {
            FromBroker::PartialOf { sequence, .. } => Some(*sequence),
            _ => None,
        }) {
            parts.push(sequence);
        }
        assert_eq!(parts, if wants { vec![0, 1, 2] } else { vec![] });
    }
}

#[test]
fn events_tell_what_happened_before_and_after_they_were_asked_for() {
    let mut rig = Rig::new();
    let (client, mut worker) = (rig.client(), rig.worker(1));
    rig.submit(client, JobOptions::default());
    let grant = rig.start(worker);
    rig.complete(&mut worker, grant.lease);
    let ask = |rig: &mut Rig, since: u64| {
        let arguments =
            vec![("since".to_owned(), since.to_string()), ("wait_ms".to_owned(), "10000".to_owned())];
        rig.send(client, ToBroker::Admin { tag: since, command: "events".into(), arguments });
    };
    let told = |rig: &mut Rig| {
        let body = rig.take(client, |command| match command {
            FromBroker::Reply { body, .. } => Some(body.0[0].clone()),
            _ => None,
        })?;
        let told: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let names = told["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["event"].as_str().unwrap().to_owned());
        Some((names.collect::<Vec<_>>(), told["next"].as_u64().unwrap()))
    };
    ask(&mut rig, 0);
    let (names, next) = told(&mut rig).unwrap();
    assert_eq!(names, ["accepted", "started", "ended"]);
    ask(&mut rig, next);
    assert_eq!(told(&mut rig), None, "there is nothing yet");
    rig.submit(client, JobOptions::default());
    rig.pass_ms(50);
    assert_eq!(told(&mut rig).unwrap().0, ["accepted"]);
    ask(&mut rig, next + 1);
    rig.pass_ms(10_100);
    assert_eq!(told(&mut rig).unwrap().0, Vec::<String>::new(), "the time to wait is over");
}

#[test]
fn a_slow_client_misses_words_on_the_way_but_no_result() {
    let mut rig = Rig::new();
    let (client, mut worker) = (rig.client(), rig.worker(1));
    let mut job = rig.job(JobOptions::default());
    let id = job.id;
    job.wants_partial = true;
    rig.submit_job(client, job).unwrap();
    let grant = rig.start(worker);
    let mut heard = Vec::new();
    for (sequence, congested) in [(0, false), (1, true), (2, true), (3, false)] {
        rig.input(Input::Congested { session: SessionId(client), congested });
        rig.send(
            worker.session,
            ToBroker::Partial { lease: grant.lease, sequence, body: Body::one(Bytes::from_static(b"part")) },
        );
        heard.extend(rig.take(client, |command| match command {
            FromBroker::PartialOf { sequence, .. } => Some(*sequence),
            _ => None,
        }));
    }
    assert_eq!(heard, [0, 3]);
    rig.input(Input::Congested { session: SessionId(client), congested: true });
    rig.complete(&mut worker, grant.lease);
    assert_eq!(rig.outcome(client, id), Some(Outcome::Done));
    assert_eq!(rig.broker.counters().words_dropped, 2);
}

/// How a job had ended was told to whoever asked before the record of it was on disk, when nobody had wanted the result.
/// Found by simulation.
#[test]
fn what_is_over_is_told_only_once_its_record_is_on_disk() {
    let mut table = JobTable::new(TableConfig { durable: true, ..TableConfig::default() });
    let now = Now { us: 1_000_000, wall_ms: crate::rig::WALL_MS };
    let asker = Asker { owner: Arc::default(), session: SessionId(1) };
    let mut job = Rig::new().job(JobOptions::default());
    job.reply = ReplyMode::None;
    let id = job.id;
    table.submit(now, 1, &asker, job);
    let sync = |table: &mut JobTable| {
        let Some(Io::Append { upto, .. }) = table.poll_io() else { panic!("there are records") };
        table.io_done(now, IoDone::Synced { upto });
    };
    sync(&mut table);
    while table.poll().is_some() {}
    table.cancel(now, 2, id, &asker, true, "");
    table.get(now, 3, id, &asker);
    table.cancel(now, 4, id, &asker, true, "");
    assert_eq!(table.poll(), None);
    sync(&mut table);
    let told = std::iter::from_fn(|| table.poll()).filter(|event| matches!(event, Event::Reply { .. }));
    assert_eq!(told.count(), 3);
}

/// A worker left while the grant of a job was on its way: nobody knew of the lease any more. Found by simulation.
#[test]
fn a_job_whose_worker_left_before_it_heard_of_it_waits_again() {
    let mut table = JobTable::new(TableConfig::default());
    let now = Now { us: 1_000_000, wall_ms: crate::rig::WALL_MS };
    let asker = Asker { owner: Arc::default(), session: SessionId(1) };
    let job = Rig::new().job(JobOptions::default());
    let class = Class { queue: job.queue.clone(), slots: 0, weight: 1 };
    table.arrive(now, WorkerId(1), "first");
    table.take(now, WorkerId(1), &class);
    table.demand(now, WorkerId(1), Allowance { jobs: 1, bytes: 0 });
    table.submit(now, 1, &asker, job);
    table.leave(now, WorkerId(1));
    table.check(now).unwrap();
    while table.poll().is_some() {}
    table.arrive(now, WorkerId(2), "second");
    table.take(now, WorkerId(2), &class);
    table.demand(now, WorkerId(2), Allowance { jobs: 1, bytes: 0 });
    let granted = |event: Event| matches!(event, Event::Grant { worker: WorkerId(2), .. });
    assert!(std::iter::from_fn(|| table.poll()).any(granted));
}
