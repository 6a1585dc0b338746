//! Stages: steps that are many jobs, added while the run goes on or made from results.

use bytes::Bytes;
use forebay::model::pipeline::{Step, StepKind};
use forebay::model::{Body, InStage, JobId, JobOptions, Outcome, Status, Submission};
use forebay::wire::command::{Grant, Retry};
use serde_json::Value;

use crate::rig::{Rig, Worker};
use crate::runs::{answer, begun, draft, finish, outcomes, show, start_run, step};

fn open(name: &str) -> Step {
    Step { kind: StepKind::Open, body: Body::default(), ..step(name) }
}

fn each(name: &str) -> Step {
    Step { kind: StepKind::Each, ..step(name) }
}

fn job_of(rig: &mut Rig, run: JobId, stage: &str, payload: &str) -> Submission {
    let place = InStage { run, step: stage.into(), place: 0, in_its_queue: true };
    let body = Body::one(Bytes::copy_from_slice(payload.as_bytes()));
    Submission { body, stage: Some(Box::new(place)), ..rig.job(JobOptions::default()) }
}

pub(crate) fn add(
    rig: &mut Rig,
    client: u64,
    run: JobId,
    stage: &str,
    payload: &str,
) -> Result<JobId, Status> {
    let job = job_of(rig, run, stage, payload);
    let id = job.id;
    rig.submit_job(client, job).map(|()| id)
}

pub(crate) fn close(
    rig: &mut Rig,
    client: u64,
    run: JobId,
    stage: &str,
    count: &str,
) -> Result<Value, Status> {
    let mut arguments = vec![("id", run.to_string()), ("step", stage.to_owned())];
    if !count.is_empty() {
        arguments.push(("count", count.to_owned()));
    }
    let arguments: Vec<(&str, &str)> = arguments.iter().map(|(key, value)| (*key, value.as_str())).collect();
    rig.ask(client, "stage.close", &arguments).map_err(|(status, _)| status)
}

fn payloads(grants: &[Grant]) -> Vec<&str> {
    grants.iter().map(|grant| std::str::from_utf8(&grant.body.0[0]).unwrap()).collect()
}

fn finish_all(rig: &mut Rig, worker: &mut Worker, grants: Vec<Grant>) {
    grants.iter().for_each(|grant| finish(rig, worker, grant));
}

#[test]
fn what_needs_a_stage_begins_when_it_is_closed_and_all_its_jobs_are_done() {
    let mut rig = Rig::durable();
    let client = rig.client();
    let mut worker = rig.worker(4);
    let draft = draft(vec![open("many"), step("after")], &[("after", "many")]);
    let run = start_run(&mut rig, client, &draft);
    for payload in ["1", "2", "3"] {
        add(&mut rig, client, run, "many", payload).unwrap();
    }
    let mut grants = begun(&mut rig, worker);
    assert_eq!(payloads(&grants), ["1", "2", "3"]);
    // In another order than that in which they were added.
    grants.reverse();
    let last = grants.pop().unwrap();
    finish_all(&mut rig, &mut worker, grants);
    assert_eq!(close(&mut rig, client, run, "many", "4"), Err(Status::State), "it has three");
    assert_eq!(close(&mut rig, client, run, "many", "3").unwrap()["again"], false);
    assert_eq!(close(&mut rig, client, run, "many", "").unwrap()["again"], true);
    assert_eq!(close(&mut rig, client, run, "many", "2"), Err(Status::State));
    assert_eq!(add(&mut rig, client, run, "many", "4"), Err(Status::State), "it is closed");
    assert!(rig.grant(worker).is_none(), "one of its jobs is not done");
    finish(&mut rig, &mut worker, &last);
    let after = rig.start(worker);
    assert_eq!(
        after.body.0[..],
        ["after", "[1]", "[2]", "[3]"].map(Bytes::from),
        "in the order of their adding"
    );
    finish(&mut rig, &mut worker, &after);
    assert_eq!(rig.outcome(client, run), Some(Outcome::Done));
}

#[test]
fn a_stage_may_be_closed_empty_or_when_all_is_done() {
    let mut rig = Rig::new();
    let client = rig.client();
    let mut worker = rig.worker(1);
    let draft = draft(vec![open("none"), open("one"), step("end")], &[("end", "none"), ("end", "one")]);
    let run = start_run(&mut rig, client, &draft);
    close(&mut rig, client, run, "none", "0").unwrap();
    add(&mut rig, client, run, "one", "1").unwrap();
    let one = rig.start(worker);
    answer(&mut rig, &mut worker, one.lease, Body::default());
    assert!(rig.grant(worker).is_none(), "not closed");
    close(&mut rig, client, run, "one", "1").unwrap();
    let end = rig.start(worker);
    assert_eq!(end.body.0[..], ["end", ""].map(Bytes::from), "an empty frame for a result without any");
    finish(&mut rig, &mut worker, &end);
    assert_eq!(rig.outcome(client, run), Some(Outcome::Done));
}

#[test]
fn jobs_that_come_early_are_held_until_their_stage_may_begin() {
    for is_restarted in [false, true] {
        let mut rig = Rig::durable();
        let client = rig.client();
        let mut stage = open("second");
        stage.needs = Vec::new();
        let mut draft = draft(vec![step("first"), stage], &[]);
        draft.after("second", "first", false).unwrap();
        let run = start_run(&mut rig, client, &draft);
        for payload in ["1", "2"] {
            add(&mut rig, client, run, "second", payload).unwrap();
        }
        let late = Submission {
            options: JobOptions { delay_ms: Some(50), ..JobOptions::default() },
            ..job_of(&mut rig, run, "second", "3")
        };
        rig.submit_job(client, late).unwrap();
        rig.pass_ms(200);
        close(&mut rig, client, run, "second", "3").unwrap();
        let mut rig = if is_restarted { rig.restart(100) } else { rig };
        let client = rig.client();
        let mut worker = rig.worker(4);
        let grants = begun(&mut rig, worker);
        assert_eq!(payloads(&grants), ["first"], "the others are held");
        let shown = show(&mut rig, client, run);
        assert_eq!(outcomes(&shown), [("first", "RUNNING"), ("second", "WAITING")]);
        assert_eq!(shown["step_list"][1]["why"], "waits for first; 3 jobs are held");
        finish_all(&mut rig, &mut worker, grants);
        let grants = begun(&mut rig, worker);
        assert_eq!(payloads(&grants), ["1", "2", "3"]);
        finish_all(&mut rig, &mut worker, grants);
        let shown = show(&mut rig, client, run);
        assert_eq!((&shown["outcome"], &shown["step_list"][1]["jobs_done"]), (&"DONE".into(), &3.into()));
    }
}

#[test]
fn what_a_job_does_not_say_its_stage_does() {
    let mut rig = Rig::durable();
    let client = rig.client();
    let mut stage = open("many");
    stage.options = JobOptions { attempts: Some(7), priority: Some(2), ..JobOptions::default() };
    stage.headers.0 = vec![("unit".into(), "mm".into()), ("who".into(), "stage".into())];
    let run = start_run(&mut rig, client, &draft(vec![stage], &[]));
    let mut job = job_of(&mut rig, run, "many", "1");
    job.options.priority = Some(8);
    job.headers.0 = vec![("who".into(), "job".into())];
    let id = job.id.to_string();
    rig.submit_job(client, job).unwrap();
    let worker = rig.worker(1);
    let grant = rig.start(worker);
    assert_eq!(grant.attempts_max, 7);
    assert_eq!(grant.headers.0, [("who".into(), "job".into()), ("unit".into(), Bytes::from("mm"))]);
    let shown = rig.admin(client, "job.get", &[("id", &id)]);
    assert_eq!((&shown["priority"], &shown["level"]), (&8.into(), &"durable".into()));
}

#[test]
fn one_job_for_each_frame_and_their_results_in_order() {
    let mut rig = Rig::durable();
    let client = rig.client();
    let mut worker = rig.worker(8);
    let steps = vec![step("split"), each("part"), step("joined")];
    let run = start_run(&mut rig, client, &draft(steps, &[("part", "split"), ("joined", "part")]));
    let split = rig.start(worker);
    answer(&mut rig, &mut worker, split.lease, Body::from(vec!["x".into(), "".into(), "z".into()]));
    let mut grants = begun(&mut rig, worker);
    let bodies: Vec<Vec<Bytes>> = grants.iter().map(|grant| grant.body.0.to_vec()).collect();
    assert_eq!(bodies, ["x", "", "z"].map(|frame| vec![Bytes::from("part"), Bytes::from(frame)]));
    grants.rotate_left(1);
    for grant in &grants {
        let frames = Body::from(vec![grant.body.0[1].clone(), "!".into()]);
        answer(&mut rig, &mut worker, grant.lease, frames);
    }
    let joined = rig.start(worker);
    assert_eq!(joined.body.0[..], ["joined", "x", "!", "", "!", "z", "!"].map(Bytes::from));
    finish(&mut rig, &mut worker, &joined);
    assert_eq!(rig.outcome(client, run), Some(Outcome::Done));
    let shown = show(&mut rig, client, run);
    assert_eq!((&shown["step_list"][1]["kind"], &shown["step_list"][1]["jobs"]), (&"each".into(), &3.into()));
    // Of no frame no job is made, and what comes behind begins.
    let steps = vec![step("split"), each("part")];
    let run = start_run(&mut rig, client, &draft(steps, &[("part", "split")]));
    let split = rig.start(worker);
    answer(&mut rig, &mut worker, split.lease, Body::default());
    let verdict = rig.result(client, run).unwrap();
    assert_eq!((verdict.outcome, verdict.body.0.len()), (Outcome::Done, 0));
}

#[test]
fn a_restart_finds_the_jobs_of_a_stage_where_they_were() {
    let mut rig = Rig::durable();
    let client = rig.client();
    let mut worker = rig.worker(4);
    let steps = vec![step("split"), each("part"), open("more"), step("joined")];
    let needs = [("part", "split"), ("joined", "part"), ("joined", "more")];
    let run = start_run(&mut rig, client, &draft(steps, &needs));
    let split = rig.start(worker);
    answer(&mut rig, &mut worker, split.lease, Body::from(vec!["x".into(), "y".into()]));
    let [x, _] = <[Grant; 2]>::try_from(begun(&mut rig, worker)).unwrap();
    finish(&mut rig, &mut worker, &x);
    add(&mut rig, client, run, "more", "m").unwrap();
    close(&mut rig, client, run, "more", "1").unwrap();
    for _ in 0..2 {
        rig = rig.restart(100);
        rig.pass_ms(1_000);
    }
    let client = rig.client();
    let mut worker = rig.worker(4);
    assert_eq!(add(&mut rig, client, run, "more", "late"), Err(Status::State), "it is closed");
    let grants = begun(&mut rig, worker);
    let waiting: Vec<&[u8]> = grants.iter().map(|grant| &grant.body.0.last().unwrap()[..]).collect();
    assert_eq!(waiting, [b"y", b"m"], "nothing is made twice");
    finish_all(&mut rig, &mut worker, grants);
    let joined = rig.start(worker);
    assert_eq!(joined.body.0[..], ["joined", "[part]", "[part]", "[m]"].map(Bytes::from));
    finish(&mut rig, &mut worker, &joined);
    let mut rig = rig.restart(100);
    let client = rig.client();
    let shown = show(&mut rig, client, run);
    assert_eq!((&shown["outcome"], &shown["steps_done"]), (&"DONE".into(), &4.into()));
    rig.send(client, forebay::wire::command::ToBroker::Forget(vec![run]));
    let mut rig = rig.restart(100);
    let client = rig.client();
    let status = rig.admin(client, "status", &[]);
    assert_eq!((&status["memory_bytes"], &status["jobs"]), (&0.into(), &0.into()), "nothing of it is left");
}

#[test]
fn a_job_that_fails_ends_its_run_unless_the_stage_may_fail() {
    let mut rig = Rig::new();
    let client = rig.client();
    let mut worker = rig.worker(2);
    let run = start_run(&mut rig, client, &draft(vec![open("many")], &[]));
    let first = add(&mut rig, client, run, "many", "1").unwrap();
    add(&mut rig, client, run, "many", "2").unwrap();
    let [one, two] = <[Grant; 2]>::try_from(begun(&mut rig, worker)).unwrap();
    rig.fail(&mut worker, one.lease, Retry::Never);
    let verdict = rig.result(client, run).unwrap();
    assert_eq!((verdict.outcome, verdict.code.as_str()), (Outcome::Failed, "step-failed"));
    assert_eq!(verdict.message, format!("job {first} of stage \"many\" ended FAILED: it went wrong"));
    assert_eq!(rig.revoked(worker).map(|(lease, _)| lease), Some(two.lease));
    rig.allow_one(&mut worker);
    assert_eq!(add(&mut rig, client, run, "many", "3"), Err(Status::State));

    let steps = vec![Step { may_fail: true, ..open("many") }, step("after")];
    let run = start_run(&mut rig, client, &draft(steps, &[("after", "many")]));
    for payload in ["1", "2"] {
        add(&mut rig, client, run, "many", payload).unwrap();
    }
    close(&mut rig, client, run, "many", "2").unwrap();
    let [one, two] = <[Grant; 2]>::try_from(begun(&mut rig, worker)).unwrap();
    rig.fail(&mut worker, one.lease, Retry::Never);
    finish(&mut rig, &mut worker, &two);
    let after = rig.start(worker);
    assert_eq!(
        after.body.0[..],
        ["after", "", "[2]"].map(Bytes::from),
        "an empty frame in the place of its result"
    );
}

#[test]
fn an_owner_that_vanishes_fails_the_run() {
    let mut rig = Rig::durable();
    let client = rig.client();
    let mut worker = rig.worker(1);
    let run = start_run(&mut rig, client, &draft(vec![open("many")], &[]));
    rig.pass_ms(500_000);
    add(&mut rig, client, run, "many", "1").unwrap();
    let one = rig.start(worker);
    rig.beat(worker.session, &[one.lease]);
    for _ in 0..100 {
        rig.pass_ms(10_000);
        rig.beat(worker.session, &[one.lease]);
    }
    assert!(rig.result(client, run).is_none(), "one of its jobs goes on");
    finish(&mut rig, &mut worker, &one);
    rig.pass_ms(599_000);
    assert!(rig.result(client, run).is_none());
    rig.pass_ms(2_000);
    let verdict = rig.result(client, run).unwrap();
    assert_eq!((verdict.outcome, verdict.code.as_str()), (Outcome::Failed, "stage-idle"));
    assert_eq!(verdict.meta.get("step").as_deref(), Some("many"));
    // One that is closed waits for nobody.
    let run = start_run(&mut rig, client, &draft(vec![open("many")], &[]));
    add(&mut rig, client, run, "many", "1").unwrap();
    close(&mut rig, client, run, "many", "").unwrap();
    let mut rig = rig.restart(1_000_000);
    rig.pass_ms(2_000_000);
    let client = rig.client();
    assert_eq!(show(&mut rig, client, run)["outcome"], "RUNNING");
}

#[test]
fn a_stage_is_found_by_the_run_its_name_and_its_owner() {
    let mut rig = Rig::new();
    let client = rig.client();
    let run = start_run(&mut rig, client, &draft(vec![open("many"), step("one")], &[]));
    assert_eq!(add(&mut rig, client, run, "few", "1"), Err(Status::NotFound));
    assert_eq!(add(&mut rig, client, run, "one", "1"), Err(Status::NotFound), "it is no stage");
    let other = rig.new_id();
    assert_eq!(add(&mut rig, client, other, "many", "1"), Err(Status::NotFound));
    assert_eq!(close(&mut rig, client, run, "one", ""), Err(Status::NotFound));
    let stranger = rig.open_as(forebay::wire::command::PeerKind::Client, "", "uid:2");
    assert_eq!(add(&mut rig, stranger, run, "many", "1"), Err(Status::NotFound));
    assert_eq!(close(&mut rig, stranger, run, "many", ""), Err(Status::NotFound));
    // The same job again is the same job, closed or not.
    let job = job_of(&mut rig, run, "many", "1");
    rig.submit_job(client, job.clone()).unwrap();
    close(&mut rig, client, run, "many", "1").unwrap();
    rig.submit_job(client, job).unwrap();
}

#[test]
fn nobody_takes_away_what_a_run_needs_though_nobody_wants_it() {
    let mut rig = Rig::durable();
    let client = rig.client();
    let mut worker = rig.worker(1);
    let unwanted = JobOptions { result_ttl_ms: Some(0), ..JobOptions::default() };
    let steps = vec![Step { options: unwanted, ..step("a") }, step("b")];
    let run = start_run(&mut rig, client, &draft(steps, &[("b", "a")]));
    let a = rig.start(worker);
    rig.admin(client, "queue.pause", &[("queue", "q")]);
    finish(&mut rig, &mut worker, &a);
    let mut rig = rig.restart(100);
    let client = rig.client();
    rig.admin(client, "queue.resume", &[("queue", "q")]);
    let worker = rig.worker(1);
    assert_eq!(rig.start(worker).body.0[..], ["b", "[a]"].map(Bytes::from));
    assert_eq!(show(&mut rig, client, run)["outcome"], "RUNNING");
}

#[test]
fn a_run_with_stages_is_resumed_with_those_that_went_well() {
    let mut rig = Rig::durable();
    let client = rig.client();
    let mut worker = rig.worker(4);
    let steps = vec![open("many"), each("twice"), step("end")];
    let run = start_run(&mut rig, client, &draft(steps, &[("twice", "many"), ("end", "twice")]));
    for payload in ["1", "2"] {
        add(&mut rig, client, run, "many", payload).unwrap();
    }
    close(&mut rig, client, run, "many", "2").unwrap();
    for _ in 0..2 {
        let grants = begun(&mut rig, worker);
        assert_eq!(grants.len(), 2);
        finish_all(&mut rig, &mut worker, grants);
    }
    let end = rig.start(worker);
    rig.fail(&mut worker, end.lease, Retry::Never);
    let mut rig = rig.restart(100);
    let client = rig.client();
    let resumed = rig.admin(client, "run.resume", &[("id", &run.to_string())]);
    let new = JobId::parse(resumed["resumed_as"].as_str().unwrap()).unwrap();
    let mut rig = rig.restart(100);
    let client = rig.client();
    let mut worker = rig.worker(4);
    let shown = show(&mut rig, client, new);
    assert_eq!(outcomes(&shown), [("many", "DONE"), ("twice", "DONE"), ("end", "WAITING")]);
    let end = rig.start(worker);
    assert_eq!(end.body.0[..], ["end", "[twice]", "[twice]"].map(Bytes::from));
    finish(&mut rig, &mut worker, &end);
    assert_eq!(show(&mut rig, client, new)["outcome"], "DONE");

    let run = start_run(&mut rig, client, &draft(vec![open("many")], &[]));
    rig.send(client, forebay::wire::command::ToBroker::Cancel { id: run, own: true, reason: "no".into() });
    let refused = rig.ask(client, "run.resume", &[("id", &run.to_string())]).unwrap_err();
    assert_eq!(refused.0, Status::State, "{}", refused.1);
}

#[test]
fn cancel_reaches_what_is_held_and_what_runs() {
    let mut rig = Rig::new();
    let client = rig.client();
    let worker = rig.worker(1);
    let mut draft = draft(vec![open("now"), open("later")], &[]);
    draft.after("later", "now", false).unwrap();
    let run = start_run(&mut rig, client, &draft);
    for stage in ["now", "now", "later"] {
        add(&mut rig, client, run, stage, "1").unwrap();
    }
    let running = rig.start(worker);
    rig.send(client, forebay::wire::command::ToBroker::Cancel { id: run, own: true, reason: "no".into() });
    assert_eq!(rig.outcome(client, run), Some(Outcome::Cancelled));
    assert_eq!(rig.revoked(worker).map(|(lease, _)| lease), Some(running.lease));
    assert_eq!(rig.admin(client, "status", &[])["jobs"], 0);
    assert_eq!(outcomes(&show(&mut rig, client, run)), [("now", "CANCELLED"), ("later", "REJECTED")]);
}
