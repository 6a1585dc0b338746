//! Collectors: the results of a stage, each told until it is acknowledged, and then never again.

use forebay::model::pipeline::{Step, StepKind};
use forebay::model::{Body, JobId, Outcome, Status};
use forebay::wire::command::{FromBroker, Grant, Retry, ToBroker};
use serde_json::Value;

use crate::rig::{Rig, Worker};
use crate::runs::{begun, draft, finish, show, start_run, step};
use crate::stages::{add, close};

fn collected(name: &str) -> Step {
    Step { kind: StepKind::Open, body: Body::default(), is_collected: true, ..step(name) }
}

/// Asks for results of stage "many" that are not acknowledged: the jobs, and whether that was all.
fn results(rig: &mut Rig, client: u64, run: JobId, more: &[(&str, &str)]) -> (Vec<String>, Value) {
    let run = run.to_string();
    let mut arguments = vec![("id", run.as_str()), ("step", "many"), ("name", "c")];
    arguments.extend_from_slice(more);
    let answer = rig.admin(client, "stage.results", &arguments);
    let jobs = answer["results"].as_array().unwrap().iter();
    (jobs.map(|result| result["job"].as_str().unwrap().to_owned()).collect(), answer)
}

fn ack(rig: &mut Rig, client: u64, run: JobId, job: &str, data: &str) -> Result<Value, Status> {
    let run = run.to_string();
    let arguments = [("id", run.as_str()), ("step", "many"), ("name", "c"), ("job", job), ("data", data)];
    rig.ask(client, "stage.ack", &arguments).map_err(|(status, _)| status)
}

/// A run with a stage of so many jobs, all begun, in the order in which they were added.
fn stage_of(
    rig: &mut Rig,
    client: u64,
    worker: &mut Worker,
    jobs: usize,
) -> (JobId, Vec<Grant>, Vec<String>) {
    let run = start_run(rig, client, &draft(vec![collected("many")], &[]));
    let ids = (0..jobs).map(|i| add(rig, client, run, "many", &i.to_string()).unwrap().to_string()).collect();
    (run, begun(rig, *worker), ids)
}

#[test]
fn a_run_is_done_when_its_results_are_collected() {
    let mut rig = Rig::durable();
    let client = rig.client();
    let mut worker = rig.worker(3);
    let (run, grants, ids) = stage_of(&mut rig, client, &mut worker, 3);
    assert_eq!(results(&mut rig, client, run, &[]).0, Vec::<String>::new());
    assert_eq!(ack(&mut rig, client, run, &ids[0], ""), Err(Status::State), "it has not ended");
    for at in [2, 0] {
        finish(&mut rig, &mut worker, &grants[at]);
    }
    assert_eq!(results(&mut rig, client, run, &[]).0, [ids[2].clone(), ids[0].clone()], "as they ended");
    let (told, answer) = results(&mut rig, client, run, &[("order", "submission")]);
    assert_eq!(told, [ids[0].clone()], "one that was added before the third has not ended");
    let next = answer["next"].as_str().unwrap().to_owned();
    finish(&mut rig, &mut worker, &grants[1]);
    let (told, _) = results(&mut rig, client, run, &[("order", "submission"), ("since", &next)]);
    assert_eq!(told, ids[1..]);
    let said = ack(&mut rig, client, run, &ids[1], "0aff").unwrap();
    assert_eq!((&said["again"], &said["collected"], &said["end"]), (&false.into(), &1.into(), &false.into()));
    assert_eq!(ack(&mut rig, client, run, &ids[1], "bb").unwrap()["again"], true);
    assert_eq!(results(&mut rig, client, run, &[]).0, [ids[2].clone(), ids[0].clone()]);
    close(&mut rig, client, run, "many", "3").unwrap();
    assert_eq!(show(&mut rig, client, run)["outcome"], "RUNNING");
    assert_eq!(show(&mut rig, client, run)["step_list"][0]["why"], "2 of 3 results wait for their collector");
    ack(&mut rig, client, run, &ids[0], "").unwrap();
    assert!(rig.result(client, run).is_none());
    assert_eq!(ack(&mut rig, client, run, &ids[2], "").unwrap()["end"], true);
    let verdict = rig.result(client, run).unwrap();
    assert_eq!(
        (verdict.outcome, verdict.body.0.len()),
        (Outcome::Done, 0),
        "what was collected is no part of it"
    );
    let acks = rig.admin(client, "stage.acked", &[("id", &run.to_string()), ("step", "many")]);
    let data: Vec<(&Value, &Value)> =
        acks["acks"].as_array().unwrap().iter().map(|ack| (&ack["number"], &ack["data"])).collect();
    assert_eq!(data, [(&1.into(), &"0aff".into()), (&2.into(), &"".into()), (&3.into(), &"".into())]);
}

#[test]
fn a_restart_forgets_no_acknowledgement_and_no_result() {
    let mut rig = Rig::durable();
    let client = rig.client();
    let mut worker = rig.worker(4);
    let (run, grants, ids) = stage_of(&mut rig, client, &mut worker, 4);
    for grant in &grants[..3] {
        finish(&mut rig, &mut worker, grant);
    }
    let (_, answer) = results(&mut rig, client, run, &[]);
    let next = answer["next"].as_str().unwrap().to_owned();
    ack(&mut rig, client, run, &ids[1], "01").unwrap();
    close(&mut rig, client, run, "many", "4").unwrap();
    for _ in 0..2 {
        rig = rig.restart(100);
        rig.pass_ms(1_000);
    }
    let client = rig.client();
    // What the broker of before told is told again, as far as it is not acknowledged.
    let (told, answer) = results(&mut rig, client, run, &[("since", &next)]);
    assert_eq!(told, [ids[0].clone(), ids[2].clone()]);
    assert_eq!(
        (&answer["jobs"], &answer["collected"], &answer["end"]),
        (&4.into(), &1.into(), &false.into())
    );
    let other = [("id", &run.to_string()[..]), ("step", "many"), ("name", "other")];
    assert_eq!(rig.ask(client, "stage.results", &other).unwrap_err().0, Status::State, "it is c's");
    let mut worker = rig.worker(1);
    let last = rig.start(worker);
    finish(&mut rig, &mut worker, &last);
    assert_eq!(show(&mut rig, client, run)["outcome"], "RUNNING");
    for (number, at) in [0, 3, 2].into_iter().enumerate() {
        assert_eq!(ack(&mut rig, client, run, &ids[at], "").unwrap()["collected"], number + 2);
    }
    let mut rig = rig.restart(100);
    let client = rig.client();
    assert_eq!(show(&mut rig, client, run)["outcome"], "DONE");
    rig.send(client, ToBroker::Forget(vec![run]));
    assert_eq!(rig.admin(client, "status", &[])["memory_bytes"], 0);
}

#[test]
fn who_waits_is_told_as_soon_as_there_is_something() {
    let mut rig = Rig::new();
    let client = rig.client();
    let mut worker = rig.worker(1);
    let (run, grants, ids) = stage_of(&mut rig, client, &mut worker, 1);
    let named = |more: &[(&str, &str)]| {
        let mut all = vec![("id".to_owned(), run.to_string()), ("step".to_owned(), "many".to_owned())];
        all.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        all.push(("wait_ms".to_owned(), "60000".to_owned()));
        all
    };
    let admin = |tag, command: &str, arguments| ToBroker::Admin { tag, command: command.into(), arguments };
    rig.send(client, admin(1, "stage.results", named(&[("name", "c")])));
    rig.send(client, admin(2, "stage.acked", named(&[])));
    let reply = |rig: &mut Rig, tag| {
        rig.take(client, |command| match command {
            FromBroker::Reply { tag: of, body, .. } if *of == tag => Some(body.0[0].clone()),
            _ => None,
        })
    };
    rig.pass_ms(1_000);
    assert_eq!((reply(&mut rig, 1), reply(&mut rig, 2)), (None, None), "there is nothing to tell");
    finish(&mut rig, &mut worker, &grants[0]);
    let told = String::from_utf8(reply(&mut rig, 1).expect("at once").to_vec()).unwrap();
    assert!(told.contains(&ids[0]) && told.contains("\"end\":false"), "{told}");
    ack(&mut rig, client, run, &ids[0], "2a").unwrap();
    let told = String::from_utf8(reply(&mut rig, 2).expect("at once").to_vec()).unwrap();
    assert!(told.contains("\"2a\""), "{told}");
    // Nothing more will come: that is told at once too.
    rig.send(client, admin(3, "stage.acked", named(&[("since", "1")])));
    assert_eq!(reply(&mut rig, 3), None);
    close(&mut rig, client, run, "many", "1").unwrap();
    let told = String::from_utf8(reply(&mut rig, 3).expect("at once").to_vec()).unwrap();
    assert!(told.contains("\"end\":true"), "{told}");
}

#[test]
fn what_is_collected_is_let_go_unless_a_step_takes_it() {
    for is_taken in [false, true] {
        let mut rig = Rig::new();
        let client = rig.client();
        let mut worker = rig.worker(1);
        let mut draft = draft(vec![collected("many"), step("behind")], &[]);
        draft.after("behind", "many", is_taken).unwrap();
        let run = start_run(&mut rig, client, &draft);
        add(&mut rig, client, run, "many", "1").unwrap();
        let one = rig.start(worker);
        crate::runs::answer(&mut rig, &mut worker, one.lease, Body::one(vec![7; 10_000]));
        let memory = |rig: &mut Rig| rig.admin(client, "status", &[])["memory_bytes"].as_u64().unwrap();
        let before = memory(&mut rig);
        ack(&mut rig, client, run, &one.id.to_string(), "").unwrap();
        assert_eq!(before - memory(&mut rig), if is_taken { 0 } else { 10_000 });
        close(&mut rig, client, run, "many", "").unwrap();
        let behind = rig.start(worker);
        assert_eq!(behind.body.0.len(), if is_taken { 2 } else { 1 });
        finish(&mut rig, &mut worker, &behind);
        let verdict = rig.result(client, run).unwrap();
        assert_eq!((verdict.outcome, &verdict.body), (Outcome::Done, &Body::one("[behind]")));
    }
}

#[test]
fn an_owner_may_wait_for_its_collector_but_not_for_ever_for_itself() {
    let mut rig = Rig::durable();
    let client = rig.client();
    let mut worker = rig.worker(1);
    let (run, grants, ids) = stage_of(&mut rig, client, &mut worker, 1);
    finish(&mut rig, &mut worker, &grants[0]);
    rig.pass_ms(5_000_000);
    assert_eq!(show(&mut rig, client, run)["outcome"], "RUNNING", "its collector is away");
    ack(&mut rig, client, run, &ids[0], "").unwrap();
    rig.pass_ms(590_000);
    assert_eq!(show(&mut rig, client, run)["outcome"], "RUNNING");
    rig.pass_ms(700_000);
    assert_eq!(rig.result(client, run).unwrap().code, "stage-idle");
}

#[test]
fn results_of_a_run_that_failed_can_still_be_collected() {
    let mut rig = Rig::new();
    let client = rig.client();
    let mut worker = rig.worker(2);
    let (run, grants, ids) = stage_of(&mut rig, client, &mut worker, 2);
    finish(&mut rig, &mut worker, &grants[0]);
    rig.fail(&mut worker, grants[1].lease, Retry::Never);
    assert_eq!(rig.outcome(client, run), Some(Outcome::Failed));
    let (told, answer) = results(&mut rig, client, run, &[]);
    assert_eq!((told, &answer["outcome"], &answer["end"]), (ids, &"FAILED".into(), &false.into()));
    let (told, answer) = results(&mut rig, client, run, &[("since", answer["next"].as_str().unwrap())]);
    assert_eq!((told.len(), &answer["end"]), (0, &true.into()));
    let one = draft(vec![Step { is_collected: true, ..step("a") }], &[]).build().unwrap_err();
    assert_eq!(one.status, Status::Argument, "{one}");
}
