//! The context of a run: what each worker gets with a job of it, and what a held run waits for.

use forebay::model::pipeline::{Step, StepKind};
use forebay::model::{Body, Outcome, Status};
use forebay::wire::command::ToBroker;

use crate::rig::Rig;
use crate::runs::{begun, draft, finish, outcomes, run_of, show, start_run, step};
use crate::stages::{add, close};

#[test]
fn a_held_run_begins_when_its_context_is_set() {
    for is_restarted in [false, true] {
        let mut rig = Rig::durable();
        let client = rig.client();
        let mut held = draft(vec![step("a"), step("b")], &[("b", "a")]);
        held.hold();
        let run = start_run(&mut rig, client, &held);
        let mut rig = if is_restarted { rig.restart(100) } else { rig };
        let client = rig.client();
        let mut worker = rig.worker(2);
        rig.pass_ms(5_000);
        assert!(rig.grant(worker).is_none(), "it is held");
        let shown = show(&mut rig, client, run);
        assert_eq!((&shown["stage"], &shown["outcome"]), (&"held".into(), &"WAITING".into()));
        assert_eq!(outcomes(&shown), [("a", "WAITING"), ("b", "WAITING")]);
        assert_eq!(shown["step_list"][0]["why"], "the run waits for its context");
        let text = run.to_string();
        let said = rig.admin(client, "run.context", &[("id", &text), ("data", "6869")]);
        assert_eq!((&said["bytes"], &said["released"]), (&2.into(), &true.into()));
        let a = rig.start(worker);
        assert_eq!(a.headers.0, [("forebay-context".to_owned(), "hi".into())]);
        let said = rig.admin(client, "run.context", &[("id", &text), ("data", "79")]);
        assert_eq!(said["released"], false);
        finish(&mut rig, &mut worker, &a);
        let (mut rig, mut worker) = match is_restarted {
            true => {
                let mut rig = rig.restart(100);
                let worker = rig.worker(1);
                rig.pass_ms(1_000);
                (rig, worker)
            }
            false => (rig, worker),
        };
        let client = rig.client();
        let b = rig.start(worker);
        assert_eq!(b.headers.0, [("forebay-context".to_owned(), "y".into())], "the last one counts");
        finish(&mut rig, &mut worker, &b);
        assert_eq!(show(&mut rig, client, run)["outcome"], "DONE");
        let late = rig.ask(client, "run.context", &[("id", &text)]).unwrap_err();
        assert_eq!(late.0, Status::State, "it has ended");
    }
}

#[test]
fn jobs_of_a_stage_get_it_and_other_jobs_do_not() {
    let mut rig = Rig::new();
    let client = rig.client();
    let mut worker = rig.worker(2);
    let open = Step { kind: StepKind::Open, body: Body::default(), ..step("many") };
    let run = start_run(&mut rig, client, &draft(vec![open], &[]));
    rig.admin(client, "run.context", &[("id", &run.to_string()), ("data", "01")]);
    add(&mut rig, client, run, "many", "1").unwrap();
    rig.submit(client, forebay::model::JobOptions::default());
    let given: Vec<usize> = begun(&mut rig, worker)
        .iter()
        .map(|grant| {
            finish(&mut rig, &mut worker, grant);
            grant.headers.0.len()
        })
        .collect();
    assert_eq!(given, [1, 0]);
    close(&mut rig, client, run, "many", "1").unwrap();
    assert_eq!(rig.outcome(client, run), Some(Outcome::Done));
    let refused = |rig: &mut Rig, data: &str| {
        let other = rig.new_id().to_string();
        rig.ask(client, "run.context", &[("id", &other), ("data", data)]).unwrap_err().0
    };
    assert_eq!(refused(&mut rig, "00"), Status::NotFound);
    assert_eq!(refused(&mut rig, "0"), Status::Argument, "half a byte");
}

#[test]
fn a_run_may_bring_its_context_and_its_collector_has_it() {
    let mut rig = Rig::durable();
    let client = rig.client();
    let many = Step { kind: StepKind::Open, body: Body::default(), is_collected: true, ..step("many") };
    let mut held = draft(vec![many], &[]);
    held.hold();
    let mut job = run_of(&mut rig, &held);
    job.headers.0.push(("forebay-context".to_owned(), vec![7; 2_001].into()));
    assert_eq!(rig.submit_job(client, job.clone()), Err(Status::TooLarge));
    job.headers.0[0].1 = "now".into();
    let run = job.id;
    rig.submit_job(client, job).unwrap();
    assert_eq!(show(&mut rig, client, run)["stage"], "open", "it waits for nothing");
    let mut rig = rig.restart(100);
    let client = rig.client();
    assert_eq!(show(&mut rig, client, run)["context"], "6e6f77");
    let asked = |rig: &mut Rig, client| {
        let run = run.to_string();
        rig.admin(client, "stage.results", &[("id", &run), ("step", "many"), ("name", "c")])
    };
    assert_eq!(asked(&mut rig, client)["context"], "6e6f77");
    let text = run.to_string();
    rig.admin(client, "run.context", &[("id", &text), ("data", "ff")]);
    let mut rig = rig.restart(100);
    let client = rig.client();
    assert_eq!(asked(&mut rig, client)["context"], "ff", "what was said last counts");
    add(&mut rig, client, run, "many", "1").unwrap();
    let worker = rig.worker(1);
    assert_eq!(rig.start(worker).headers.0, [("forebay-context".to_owned(), vec![0xff].into())]);
}

#[test]
fn a_run_that_goes_on_has_the_context_of_the_one_before() {
    let mut rig = Rig::durable();
    let client = rig.client();
    let run = start_run(&mut rig, client, &draft(vec![step("a")], &[]));
    let text = run.to_string();
    rig.admin(client, "run.context", &[("id", &text), ("data", "2a")]);
    rig.send(client, ToBroker::Cancel { id: run, reason: String::new(), own: true });
    let resumed = rig.admin(client, "run.resume", &[("id", &text)]);
    let new = resumed["resumed_as"].as_str().unwrap().to_owned();
    let mut rig = rig.restart(100);
    let client = rig.client();
    assert_eq!(rig.admin(client, "run.get", &[("id", &new)])["context"], "2a");
    let worker = rig.worker(1);
    assert_eq!(rig.start(worker).headers.0, [("forebay-context".to_owned(), "*".into())]);
}
