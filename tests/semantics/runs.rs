//! Runs: steps begin when what they need is done and not before, a run ends once, and a restart finds it where it was.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use forebay::model::pipeline::{Draft, Step, StepKind};
use forebay::model::{Body, Headers, JobId, JobOptions, Lease, Outcome, QueueName, Status, Stop, Submission};
use forebay::wire::codec::pipeline::encode;
use forebay::wire::command::{Grant, Retry, ToBroker};
use serde_json::Value;

use crate::rig::{Rig, Worker};

pub(crate) fn step(name: &str) -> Step {
    Step {
        name: name.into(),
        kind: StepKind::Job,
        queue: QueueName::new("q").unwrap(),
        body: Body::one(Bytes::copy_from_slice(name.as_bytes())),
        headers: Headers::default(),
        options: JobOptions::default(),
        needs: Vec::new(),
        may_fail: false,
        is_collected: false,
    }
}

/// A pipeline of steps that each carry their name; `needs` has what stands left of the arrow after what stands right.
pub(crate) fn draft(steps: Vec<Step>, needs: &[(&str, &str)]) -> Draft {
    let mut draft = Draft::new("p").unwrap();
    for step in steps {
        draft.step(step).unwrap();
    }
    for (after, before) in needs {
        draft.after(after, before, true).unwrap();
    }
    draft
}

pub(crate) fn run_of(rig: &mut Rig, draft: &Draft) -> Submission {
    let body = encode(&draft.build().unwrap());
    let queue = QueueName::new("p").unwrap();
    Submission { queue, body, is_run: true, ..rig.job(JobOptions::default()) }
}

pub(crate) fn start_run(rig: &mut Rig, client: u64, draft: &Draft) -> JobId {
    let run = run_of(rig, draft);
    let id = run.id;
    rig.submit_job(client, run).unwrap();
    id
}

fn names(names: &[&str]) -> Vec<Step> {
    names.iter().map(|name| step(name)).collect()
}

/// Ends a job with its own name as the result, in brackets.
pub(crate) fn finish(rig: &mut Rig, worker: &mut Worker, grant: &Grant) {
    let mut body = b"[".to_vec();
    body.extend_from_slice(grant.body.0.first().map_or(&[][..], |frame| frame));
    body.push(b']');
    answer(rig, worker, grant.lease, Body::one(body));
}

pub(crate) fn answer(rig: &mut Rig, worker: &mut Worker, lease: Lease, body: Body) {
    let done = ToBroker::Done { lease, completion: Arc::new(body.into()) };
    rig.send(worker.session, done);
    rig.allow_one(worker);
}

pub(crate) fn show(rig: &mut Rig, client: u64, run: JobId) -> Value {
    rig.admin(client, "run.get", &[("id", &run.to_string())])
}

pub(crate) fn outcomes(shown: &Value) -> Vec<(&str, &str)> {
    let steps = shown["step_list"].as_array().unwrap().iter();
    steps.map(|step| (step["name"].as_str().unwrap(), step["outcome"].as_str().unwrap())).collect()
}

/// Everything the worker was granted and has not begun, begun.
pub(crate) fn begun(rig: &mut Rig, worker: Worker) -> Vec<Grant> {
    let mut grants = Vec::new();
    while let Some(grant) = rig.grant(worker) {
        rig.send(worker.session, ToBroker::Start(grant.lease));
        grants.push(grant);
    }
    grants
}

fn name_of(grant: &Grant) -> String {
    String::from_utf8(grant.body.0[0].to_vec()).unwrap()
}

const SIXTEEN: &[(&str, &str)] = &[
    ("2", "1"),
    ("3", "1"),
    ("4", "2"),
    ("16", "2"),
    ("4", "3"),
    ("5", "4"),
    ("6", "5"),
    ("7", "5"),
    ("8", "5"),
    ("9", "5"),
    ("10", "6"),
    ("10", "7"),
    ("10", "8"),
    ("12", "10"),
    ("13", "10"),
    ("14", "10"),
    ("12", "11"),
    ("13", "11"),
    ("14", "11"),
];

/// 16 steps in 1,000 random orders of completion: after each, exactly those have begun whose needs are done.
#[test]
fn sixteen_steps_in_a_thousand_orders() {
    let all: Vec<String> = (1..=16).map(|i| i.to_string()).collect();
    let draft = draft(names(&all.iter().map(String::as_str).collect::<Vec<_>>()), SIXTEEN);
    let mut rig = Rig::new();
    let client = rig.client();
    let mut worker = rig.worker(16);
    let mut random: u64 = 7;
    let mut orders = BTreeSet::new();
    for _ in 0..1_000 {
        let run = start_run(&mut rig, client, &draft);
        let (mut going, mut done, mut order) = (Vec::new(), BTreeSet::new(), Vec::new());
        while done.len() < all.len() {
            going.extend(begun(&mut rig, worker));
            let at_work: BTreeSet<String> = going.iter().map(name_of).collect();
            let may = all.iter().filter(|name| {
                let mut needs = SIXTEEN.iter().filter(|(after, _)| after == name);
                !done.contains(*name) && needs.all(|(_, before)| done.contains(*before))
            });
            assert_eq!(at_work, may.cloned().collect(), "after {order:?}");
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let grant = going.swap_remove((random >> 33) as usize % going.len());
            order.push(name_of(&grant));
            done.insert(name_of(&grant));
            finish(&mut rig, &mut worker, &grant);
        }
        let verdict = rig.result(client, run).expect("the run has ended");
        assert_eq!(verdict.outcome, Outcome::Done);
        // Those that no other needs, in the order of the steps.
        let expected =
            ["[9]", "[12]", "[13]", "[14]", "[15]", "[16]"].map(|text| Bytes::from_static(text.as_bytes()));
        assert_eq!(verdict.body.0[..], expected);
        assert!(rig.result(client, run).is_none(), "it ends once");
        orders.insert(order);
        rig.send(client, ToBroker::Forget(vec![run]));
    }
    assert!(orders.len() > 900, "only {} orders were different", orders.len());
    let status = rig.admin(client, "status", &[]);
    assert_eq!((&status["jobs"], &status["results_kept"]), (&0.into(), &0.into()), "{status}");
    assert_eq!(status["memory_bytes"], 0);
}

#[test]
fn a_step_is_given_its_own_payload_then_the_results_it_takes_in_the_order_said() {
    let mut rig = Rig::new();
    let client = rig.client();
    let mut worker = rig.worker(4);
    let mut draft = draft(names(&["a", "b", "c", "d"]), &[("d", "c"), ("d", "a")]);
    draft.after("d", "b", false).unwrap();
    start_run(&mut rig, client, &draft);
    let [a, b, c] = <[Grant; 3]>::try_from(begun(&mut rig, worker)).unwrap();
    answer(&mut rig, &mut worker, a.lease, Body::from(vec!["a1".into(), "a2".into()]));
    answer(&mut rig, &mut worker, b.lease, Body::one("b1"));
    assert!(rig.grant(worker).is_none(), "c is not done");
    answer(&mut rig, &mut worker, c.lease, Body::default());
    let d = rig.start(worker);
    assert_eq!(d.body.0[..], ["d", "", "a1", "a2"].map(Bytes::from));
}

#[test]
fn a_step_that_fails_ends_the_run_with_its_cause() {
    let mut rig = Rig::new();
    let client = rig.client();
    let mut worker = rig.worker(3);
    let draft = draft(names(&["a", "b", "c", "d"]), &[("c", "b"), ("d", "c")]);
    let run = start_run(&mut rig, client, &draft);
    let [a, b] = <[Grant; 2]>::try_from(begun(&mut rig, worker)).unwrap();
    rig.fail(&mut worker, b.lease, Retry::Never);
    let verdict = rig.result(client, run).unwrap();
    assert_eq!((verdict.outcome, verdict.code.as_str()), (Outcome::Failed, "step-failed"));
    assert_eq!(verdict.message, "step \"b\" ended FAILED: it went wrong");
    assert_eq!(verdict.meta.get("step").as_deref(), Some("b"));
    assert_eq!(rig.revoked(worker), Some((a.lease, Stop::CANCELLED)), "what is under way is told to stop");
    let shown = show(&mut rig, client, run);
    assert_eq!(outcomes(&shown), [("a", "CANCELLED"), ("b", "FAILED"), ("c", "REJECTED"), ("d", "REJECTED")]);
    assert_eq!(shown["step_list"][2]["why"], "the run ended before it");
    assert!(rig.grant(worker).is_none());
}

#[test]
fn a_step_that_may_fail_does_not_end_the_run() {
    let mut rig = Rig::new();
    let client = rig.client();
    let mut worker = rig.worker(1);
    let steps = vec![Step { may_fail: true, ..step("a") }, step("b")];
    let run = start_run(&mut rig, client, &draft(steps, &[("b", "a")]));
    let a = rig.start(worker);
    rig.fail(&mut worker, a.lease, Retry::Never);
    let b = rig.start(worker);
    assert_eq!(b.body.0[..], ["b", ""].map(Bytes::from));
    finish(&mut rig, &mut worker, &b);
    assert_eq!(rig.outcome(client, run), Some(Outcome::Done));
    assert_eq!(outcomes(&show(&mut rig, client, run)), [("a", "FAILED"), ("b", "DONE")]);
}

#[test]
fn cancel_reaches_every_job_of_the_run() {
    let mut rig = Rig::new();
    let client = rig.client();
    let worker = rig.worker(1);
    let run = start_run(&mut rig, client, &draft(names(&["a", "b", "c"]), &[("c", "a")]));
    let a = rig.start(worker);
    rig.send(client, ToBroker::Cancel { id: run, own: true, reason: "enough".into() });
    assert_eq!(rig.outcome(client, run), Some(Outcome::Cancelled));
    assert_eq!(rig.revoked(worker), Some((a.lease, Stop::CANCELLED)));
    let shown = show(&mut rig, client, run);
    assert_eq!(outcomes(&shown), [("a", "CANCELLED"), ("b", "CANCELLED"), ("c", "REJECTED")]);
    assert_eq!(shown["message"], "enough");
    assert_eq!(rig.admin(client, "status", &[])["jobs"], 0);
}

#[test]
fn the_deadline_of_a_run_ends_all_of_it() {
    let mut rig = Rig::new();
    let client = rig.client();
    let mut run = run_of(&mut rig, &draft(names(&["a", "b"]), &[("b", "a")]));
    run.options.deadline_ms = Some(5_000);
    // A queue timeout is for what waits in a line, which a run does not.
    run.options.queue_ms = Some(1_000);
    let id = run.id;
    rig.submit_job(client, run).unwrap();
    rig.pass_ms(4_900);
    assert_eq!(show(&mut rig, client, id)["outcome"], "RUNNING");
    rig.pass_ms(200);
    assert_eq!(rig.outcome(client, id), Some(Outcome::Expired));
    assert_eq!(outcomes(&show(&mut rig, client, id)), [("a", "CANCELLED"), ("b", "REJECTED")]);
}

#[test]
fn what_a_step_waits_for_is_shown_plainly() {
    let mut rig = Rig::new();
    let client = rig.client();
    let nowhere = Step { queue: QueueName::new("nowhere").unwrap(), ..step("a") };
    let run = start_run(&mut rig, client, &draft(vec![nowhere, step("b")], &[("b", "a")]));
    let shown = show(&mut rig, client, run);
    assert_eq!(shown["step_list"][0]["why"], "no worker serves queue \"nowhere\"");
    assert_eq!(shown["step_list"][1]["why"], "waits for a");
    let refused = Step {
        queue: QueueName::new("nowhere else").unwrap(),
        options: JobOptions { refuse_unknown_queue: Some(true), ..JobOptions::default() },
        ..step("a")
    };
    let run = start_run(&mut rig, client, &draft(vec![refused, step("b")], &[("b", "a")]));
    let verdict = rig.result(client, run).unwrap();
    assert!(
        verdict.message.starts_with("step \"a\" ended REJECTED: no worker has registered"),
        "{verdict:?}"
    );
}

#[test]
fn a_restart_finds_a_run_where_it_was() {
    let mut rig = Rig::durable();
    let client = rig.client();
    let mut worker = rig.worker(1);
    let draft = draft(names(&["a", "b", "c", "d"]), &[("b", "a"), ("c", "b"), ("d", "c")]);
    let run = start_run(&mut rig, client, &draft);
    let a = rig.start(worker);
    finish(&mut rig, &mut worker, &a);
    let mut seen = Vec::new();
    for _ in 0..3 {
        rig = rig.restart(100);
        let client = rig.client();
        rig.pass_ms(1_000);
        assert_eq!(show(&mut rig, client, run)["outcome"], "RUNNING");
        let mut worker = rig.worker(1);
        let grant = rig.start(worker);
        seen.push(name_of(&grant));
        finish(&mut rig, &mut worker, &grant);
    }
    assert_eq!(seen, ["b", "c", "d"], "each begins once, behind the one before");
    let mut rig = rig.restart(100);
    let client = rig.client();
    let shown = show(&mut rig, client, run);
    assert_eq!((&shown["outcome"], &shown["steps_done"]), (&"DONE".into(), &4.into()));
    assert_eq!(shown["critical_path"].as_array().unwrap().len(), 4);
    rig.send(client, ToBroker::Forget(vec![run]));
    let mut rig = rig.restart(100);
    let client = rig.client();
    let missing = rig.ask(client, "run.get", &[("id", &run.to_string())]).unwrap_err();
    assert_eq!(missing.0, Status::NotFound);
    assert_eq!(rig.admin(client, "status", &[])["memory_bytes"], 0, "nothing of it is left");
}

#[test]
fn results_of_a_live_run_outlive_their_time() {
    let mut rig = Rig::durable();
    let client = rig.client();
    let mut worker = rig.worker(1);
    let mut steps = names(&["a", "b"]);
    steps[0].options.result_ttl_ms = Some(1_000);
    let run = start_run(&mut rig, client, &draft(steps, &[("b", "a")]));
    let a = rig.start(worker);
    rig.admin(client, "queue.pause", &[("queue", "q")]);
    finish(&mut rig, &mut worker, &a);
    // Not even a client may take it away.
    rig.send(client, ToBroker::Forget(vec![a.id]));
    rig.pass_ms(10_000);
    let mut rig = rig.restart(10_000);
    let client = rig.client();
    rig.admin(client, "queue.resume", &[("queue", "q")]);
    let mut worker = rig.worker(1);
    let b = rig.start(worker);
    assert_eq!(b.body.0[..], ["b", "[a]"].map(Bytes::from));
    finish(&mut rig, &mut worker, &b);
    assert_eq!(show(&mut rig, client, run)["outcome"], "DONE");
}

#[test]
fn what_is_no_pipeline_is_refused() {
    let mut rig = Rig::new();
    let client = rig.client();
    let run = run_of(&mut rig, &draft(names(&["a"]), &[]));
    let broken = Submission { body: Body::one("nonsense"), ..run.clone() };
    assert_eq!(rig.submit_job(client, broken), Err(Status::Argument));
    assert_eq!(rig.submit_job(client, Submission { body: Body::default(), ..run }), Err(Status::Argument));
    let mut steps = names(&["a"]);
    steps[0].options.priority = Some(9);
    let run = run_of(&mut rig, &draft(steps, &[]));
    assert_eq!(rig.submit_job(client, run), Err(Status::Argument));
    assert_eq!(rig.admin(client, "status", &[])["memory_bytes"], 0);
}

#[test]
fn the_same_run_again_is_the_same_run() {
    let mut rig = Rig::new();
    let client = rig.client();
    let mut worker = rig.worker(4);
    let run = run_of(&mut rig, &draft(names(&["a"]), &[]));
    rig.submit_job(client, run.clone()).unwrap();
    rig.submit_job(client, run.clone()).unwrap();
    let [a] = <[Grant; 1]>::try_from(begun(&mut rig, worker)).unwrap();
    finish(&mut rig, &mut worker, &a);
    assert_eq!(rig.outcome(client, run.id), Some(Outcome::Done));
    rig.send(client, ToBroker::Forget(vec![run.id]));
    rig.submit_job(client, run).unwrap();
    assert!(rig.grant(worker).is_none(), "it is over");
}

#[test]
fn runs_are_listed_and_remembered_for_a_while() {
    let mut rig = Rig::new();
    let client = rig.client();
    let mut worker = rig.worker(1);
    let draft = draft(names(&["a"]), &[]);
    let ids: Vec<JobId> = (0..3).map(|_| start_run(&mut rig, client, &draft)).collect();
    let a = rig.start(worker);
    finish(&mut rig, &mut worker, &a);
    rig.send(client, ToBroker::Forget(vec![ids[0]]));
    let listed = |rig: &mut Rig, state: &str| {
        let answer = rig.admin(client, "runs.list", &[("state", state)]);
        let runs = answer["runs"].as_array().unwrap();
        runs.iter().map(|run| run["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let text = |ids: &[JobId]| ids.iter().map(JobId::to_string).collect::<Vec<_>>();
    assert_eq!(listed(&mut rig, "open"), text(&ids[1..]));
    assert_eq!(listed(&mut rig, "done"), text(&ids[..1]), "its result is gone, and it is remembered");
    assert_eq!(show(&mut rig, client, ids[0])["step_list"][0]["outcome"], "DONE");
    let page = rig.admin(client, "runs.list", &[("limit", "2")]);
    assert_eq!((&page["more"], &page["next"]), (&true.into(), &ids[1].to_string().into()));
    let other = rig.open_as(forebay::wire::command::PeerKind::Client, "", "uid:2");
    assert!(rig.ask(other, "run.get", &[("id", &ids[1].to_string())]).is_err());
    assert_eq!(rig.admin(other, "runs.list", &[])["runs"], Value::Array(vec![]));
    rig.pass_ms(3_700_000);
    assert_eq!(listed(&mut rig, "done"), text(&[]));
}

#[test]
fn a_run_is_resumed_from_the_step_that_failed() {
    let mut rig = Rig::durable();
    let client = rig.client();
    let mut worker = rig.worker(2);
    let draft = draft(names(&["a", "b", "c", "d"]), &[("c", "a"), ("c", "b"), ("d", "c")]);
    let run = start_run(&mut rig, client, &draft);
    let text = run.to_string();
    let refused = rig.ask(client, "run.resume", &[("id", &text)]).unwrap_err();
    assert_eq!(refused.0, Status::State, "it goes on");
    for grant in begun(&mut rig, worker) {
        finish(&mut rig, &mut worker, &grant);
    }
    let c = rig.start(worker);
    rig.fail(&mut worker, c.lease, Retry::Never);
    assert_eq!(rig.outcome(client, run), Some(Outcome::Failed));
    // The store alone knows of it.
    let mut rig = rig.restart(100);
    let client = rig.client();
    let resumed = rig.admin(client, "run.resume", &[("id", &text)]);
    assert_eq!(resumed["again"], false);
    let mut rig = rig.restart(100);
    let client = rig.client();
    let again = rig.admin(client, "run.resume", &[("id", &text)]);
    assert_eq!((&again["again"], &again["resumed_as"]), (&true.into(), &resumed["resumed_as"]));
    let mut worker = rig.worker(2);
    let new = JobId::parse(again["resumed_as"].as_str().unwrap()).unwrap();
    let shown = show(&mut rig, client, new);
    assert_eq!(outcomes(&shown), [("a", "DONE"), ("b", "DONE"), ("c", "WAITING"), ("d", "WAITING")]);
    let c = rig.start(worker);
    assert_eq!(c.body.0[..], ["c", "[a]", "[b]"].map(Bytes::from), "what went well is not done again");
    finish(&mut rig, &mut worker, &c);
    let d = rig.start(worker);
    finish(&mut rig, &mut worker, &d);
    assert_eq!(show(&mut rig, client, new)["outcome"], "DONE");
    assert_eq!(show(&mut rig, client, run)["outcome"], "FAILED", "the old run stays as it ended");
    rig.send(client, ToBroker::Forget(vec![run, new]));
    assert_eq!(rig.admin(client, "status", &[])["memory_bytes"], 0);
    let refused = rig.ask(client, "run.resume", &[("id", &run.to_string())]);
    assert_eq!(refused.unwrap()["again"], true, "it is remembered");
}
