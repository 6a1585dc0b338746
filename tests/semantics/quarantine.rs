//! Quarantined jobs and the person they wait for.

use crate::rig::{Rig, Worker};
use forebay::model::{JobId, JobOptions, Outcome, ReplyMode, Status};
use forebay::wire::command::{PeerKind, Retry, ToBroker};
use serde_json::json;

/// Takes two workers down with the job that is next.
fn quarantine_next(rig: &mut Rig) {
    for _ in 0..2 {
        let worker = rig.worker(1);
        rig.start(worker);
        rig.close(worker.session, false);
    }
}

fn quarantined(rig: &mut Rig, client: u64, options: JobOptions) -> JobId {
    let id = rig.submit(client, options);
    rig.pass_ms(100);
    quarantine_next(rig);
    assert_eq!(rig.outcome(client, id), Some(Outcome::Quarantined));
    id
}

fn listed(rig: &mut Rig, client: u64) -> Vec<String> {
    let list = rig.admin(client, "quarantine.list", &[]);
    list["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect()
}

fn requeue(rig: &mut Rig, client: u64, id: JobId) -> JobId {
    let answer = rig.admin(client, "quarantine.requeue", &[("id", &id.to_string())]);
    assert_eq!((&answer["id"], &answer["again"]), (&id.to_string().into(), &false.into()));
    JobId::parse(answer["requeued_as"].as_str().unwrap()).unwrap()
}

fn shown(rig: &mut Rig, client: u64, id: JobId) -> serde_json::Value {
    rig.admin(client, "job.get", &[("id", &id.to_string())])
}

#[test]
fn a_quarantined_job_shows_its_payload_and_waits_although_its_result_was_acknowledged() {
    let mut rig = Rig::new();
    let client = rig.client();
    let id = quarantined(&mut rig, client, JobOptions::default());
    rig.send(client, ToBroker::Forget(vec![id]));
    rig.pass_ms(7 * 24 * 3_600_000);
    assert_eq!(listed(&mut rig, client), [id.to_string()]);
    let job = rig.admin(client, "quarantine.show", &[("id", &id.to_string()), ("bytes", "3")]);
    assert_eq!((&job["outcome"], &job["losses"]), (&"QUARANTINED".into(), &2.into()));
    assert_eq!(job["history"].as_array().map(Vec::len), Some(2));
    assert_eq!(job["history"][1]["code"], "quarantined");
    assert_eq!(job["payload"], serde_json::json!([{ "bytes": 7, "base64": "cGF5" }]));
    assert_eq!(rig.admin(client, "status", &[])["quarantined"], 1);
    // Not for ever.
    rig.pass_ms(24 * 24 * 3_600_000);
    assert_eq!(listed(&mut rig, client), [""; 0]);
}

/// What a host says of a process it looks after counts at once, with what it found; a connection that is lost after that is
/// not counted again, and nobody else may say it.
#[test]
fn a_crash_that_is_told_of_ends_the_attempt_at_once() {
    let mut rig = Rig::new();
    let client = rig.client();
    let id = rig.submit(client, JobOptions::default());
    for round in 1..=2 {
        let worker = rig.worker(1);
        rig.start(worker);
        let list = rig.admin(client, "workers.list", &[]);
        let holder = list["workers"]
            .as_array()
            .unwrap()
            .iter()
            .find(|worker| worker["jobs"][0]["job"] == id.to_string());
        let pid = holder.unwrap()["pid"].to_string();
        let said =
            [("pid", &*pid), ("code", "SIGSEGV"), ("message", "killed by SIGSEGV"), ("detail", "#0 f\n#1 g")];
        assert_eq!(rig.admin(client, "worker.crashed", &said)["lost"], 1);
        let job = shown(&mut rig, client, id);
        assert_eq!(job["losses"], round);
        assert_eq!(job["history"].as_array().map(Vec::len), Some(round));
        rig.close(worker.session, false);
        rig.pass_ms(1_000);
        assert_eq!(shown(&mut rig, client, id)["losses"], round, "it was counted twice");
    }
    let job = shown(&mut rig, client, id);
    let first = &job["history"][0];
    assert_eq!(
        (&first["how"], &first["code"], &first["message"]),
        (&"crashed".into(), &"SIGSEGV".into(), &"killed by SIGSEGV".into())
    );
    assert_eq!((&job["outcome"], &job["detail"]), (&"QUARANTINED".into(), &"#0 f\n#1 g".into()));
    assert_eq!(job["message"], "its worker's process ended while it ran, 2 times: killed by SIGSEGV");
}

/// The job before it was done, and its answer died with the process; the one behind it had not begun; the start of the one that
/// crashed was not said. Who looks after the process knows which it was.
#[test]
fn who_knows_what_was_at_hand_has_only_that_blamed() {
    let mut rig = Rig::new();
    let client = rig.client();
    let worker = rig.worker(3);
    let [before, culprit, behind] = [(); 3].map(|()| rig.submit(client, JobOptions::default()));
    rig.start(worker);
    assert_eq!([(); 2].map(|()| rig.grant(worker).map(|grant| grant.id)), [Some(culprit), Some(behind)]);
    let pid = rig.admin(client, "workers.list", &[])["workers"][0]["pid"].to_string();
    let crash = [("pid", &*pid), ("code", "SIGSEGV"), ("message", "killed by SIGSEGV")];
    let refused = rig.ask(client, "worker.crashed", &[&crash[..], &[("jobs", "7")]].concat());
    assert_eq!(refused.unwrap_err().0, Status::Argument);
    let jobs = culprit.to_string();
    assert_eq!(rig.admin(client, "worker.crashed", &[&crash[..], &[("jobs", &*jobs)]].concat())["lost"], 3);
    let state = |rig: &mut Rig, id| {
        let job = shown(rig, client, id);
        ["losses", "suspect", "attempts"].map(|field| job[field].clone())
    };
    assert_eq!(state(&mut rig, before), [json!(0), json!(false), json!(1)]);
    assert_eq!(state(&mut rig, culprit), [json!(1), json!(false), json!(1)]);
    assert_eq!(state(&mut rig, behind), [json!(0), json!(false), json!(0)]);
}

/// A worker whose command crashed lives, and says so in its answer: that counts like a process that is gone, and nobody else is
/// suspected.
#[test]
fn a_crash_in_an_answer_is_a_loss_of_its_own() {
    let mut rig = Rig::new();
    let client = rig.client();
    let id = rig.submit(client, JobOptions::default());
    let mut worker = rig.worker(1);
    for round in 1..=2 {
        let grant = rig.start(worker);
        rig.fail(&mut worker, grant.lease, Retry::Crashed);
        let job = shown(&mut rig, client, id);
        assert_eq!((&job["losses"], &job["suspect"]), (&round.into(), &false.into()));
    }
    let job = shown(&mut rig, client, id);
    let first = &job["history"][0];
    assert_eq!((&first["how"], &first["code"]), (&"crashed".into(), &"bad".into()));
    assert_eq!(job["outcome"], "QUARANTINED");
    assert_eq!(job["message"], "its process crashed, 2 times: it went wrong");
    // The last attempt of all is the worker's own answer.
    let id = rig.submit(client, JobOptions { attempts: Some(1), ..JobOptions::default() });
    let grant = rig.start(worker);
    rig.fail(&mut worker, grant.lease, Retry::Crashed);
    assert_eq!(rig.outcome(client, id), Some(Outcome::Failed));
}

/// What a host saw of an attempt is added to its history, whatever became of the job, and is there after a restart; of nobody
/// else's attempts is it believed.
#[test]
fn what_was_seen_of_an_attempt_stays_in_its_history() {
    let mut rig = Rig::durable();
    let (client, mut worker) = (rig.client(), rig.worker(1));
    let stranger = rig.open_as(PeerKind::Client, "", "uid:2");
    let id = rig.submit(client, JobOptions::default()).to_string();
    let grant = rig.start(worker);
    let pid = worker.session.to_string();
    let seen = |attempt, text| [("pid", &*pid), ("id", &*id), ("attempt", attempt), ("text", text)];
    rig.admin(client, "worker.seen", &seen("1", "it stood here"));
    rig.complete(&mut worker, grant.lease);
    rig.admin(client, "worker.seen", &seen("1", "and there"));
    for (asker, attempt) in [(client, "2"), (stranger, "1")] {
        let refused = rig.ask(asker, "worker.seen", &seen(attempt, "no")).expect_err("refused");
        assert_eq!(refused.0, Status::NotFound);
    }
    let other = rig.worker(1).session.to_string();
    let said = [("pid", &*other), ("id", &*id), ("attempt", "1"), ("text", "no")];
    assert_eq!(rig.ask(client, "worker.seen", &said).expect_err("refused").0, Status::NotFound);
    let evidence = |rig: &mut Rig, client| {
        rig.admin(client, "job.get", &[("id", &id)])["history"][0]["evidence"].clone()
    };
    assert_eq!(evidence(&mut rig, client), "it stood here\nand there");
    let mut rig = rig.restart(1_000);
    let client = rig.client();
    assert_eq!(evidence(&mut rig, client), "it stood here\nand there");
}

#[test]
fn a_job_nobody_wants_the_result_of_waits_in_quarantine_all_the_same() {
    for durable in [false, true] {
        let mut rig = if durable { Rig::durable() } else { Rig::new() };
        let client = rig.client();
        let id = rig.submit(client, JobOptions { result_ttl_ms: Some(0), ..JobOptions::default() });
        quarantine_next(&mut rig);
        if durable {
            rig = rig.restart(1_000);
        }
        let client = rig.client();
        assert_eq!(listed(&mut rig, client), [id.to_string()]);
        requeue(&mut rig, client, id);
        assert_eq!(shown(&mut rig, client, id)["stage"], "forgotten");
    }
}

#[test]
fn requeued_it_is_a_new_job_that_runs_alone_and_knows_its_parent() {
    let mut rig = Rig::new();
    let client = rig.open(PeerKind::Client, "box");
    rig.send(client, ToBroker::ResultCredit(u64::MAX));
    let old = quarantined(&mut rig, client, JobOptions { delay_ms: Some(100), ..JobOptions::default() });
    let new = requeue(&mut rig, client, old);
    assert!(new.is_v7() && new > old);
    assert_eq!(listed(&mut rig, client), [""; 0]);
    let parent = shown(&mut rig, client, new);
    assert_eq!((&parent["parent"], &parent["suspect"]), (&old.to_string().into(), &true.into()));
    let child = shown(&mut rig, client, old);
    assert_eq!((&child["outcome"], &child["requeued_as"]), (&"QUARANTINED".into(), &new.to_string().into()));
    // Asked again, because the answer may have been lost: there is one new job, however often.
    let again = rig.admin(client, "quarantine.requeue", &[("id", &old.to_string())]);
    assert_eq!((&again["requeued_as"], &again["again"]), (&new.to_string().into(), &true.into()));
    for command in ["quarantine.drop", "quarantine.show"] {
        let (status, message) = rig.ask(client, command, &[("id", &old.to_string())]).unwrap_err();
        assert_eq!(status, Status::State);
        assert!(message.contains(&new.to_string()), "{message}");
    }
    let mut worker: Worker = rig.worker(2);
    let grant = rig.start(worker);
    assert_eq!((grant.id, grant.attempt, &grant.body.0[0][..]), (new, 1, &b"payload"[..]));
    rig.submit(client, JobOptions::default());
    assert!(rig.grant(worker).is_none(), "it may take nobody else down");
    rig.complete(&mut worker, grant.lease);
    assert_eq!(rig.outcome(client, new), Some(Outcome::Done), "the name it came from gets the result");
    // What is left of the old one goes like any result.
    rig.send(client, ToBroker::Forget(vec![old]));
    let past = shown(&mut rig, client, old);
    assert_eq!((&past["stage"], &past["requeued_as"]), (&"forgotten".into(), &new.to_string().into()));
    let again = rig.admin(client, "quarantine.requeue", &[("id", &old.to_string())]);
    assert_eq!((&again["requeued_as"], &again["again"]), (&new.to_string().into(), &true.into()));
}

#[test]
fn without_a_name_the_result_is_kept_for_whoever_asks() {
    let mut rig = Rig::new();
    let client = rig.client();
    let old = quarantined(&mut rig, client, JobOptions::default());
    let new = requeue(&mut rig, client, old);
    let mut worker = rig.worker(1);
    let grant = rig.start(worker);
    rig.complete(&mut worker, grant.lease);
    assert_eq!(rig.outcome(client, new), None);
    let operator = rig.client();
    rig.send(operator, ToBroker::Get { id: new, mode: forebay::wire::command::GetMode::Watch });
    assert_eq!(rig.outcome(operator, new), Some(Outcome::Done));
}

#[test]
fn both_survive_a_restart_as_they_are() {
    let mut rig = Rig::durable();
    let client = rig.open(PeerKind::Client, "box");
    rig.send(client, ToBroker::ResultCredit(u64::MAX));
    let (old, left) = (
        quarantined(&mut rig, client, JobOptions::default()),
        quarantined(&mut rig, client, JobOptions::default()),
    );
    let new = requeue(&mut rig, client, old);
    let mut rig = rig.restart(1_000);
    let client = rig.open(PeerKind::Client, "box");
    rig.send(client, ToBroker::ResultCredit(u64::MAX));
    assert_eq!(rig.outcome(client, old), Some(Outcome::Quarantined), "its client is told again");
    assert_eq!(listed(&mut rig, client), [left.to_string()]);
    let job = rig.admin(client, "quarantine.show", &[("id", &left.to_string())]);
    assert_eq!(job["payload"][0]["base64"], "cGF5bG9hZA==");
    assert_eq!(shown(&mut rig, client, old)["requeued_as"], new.to_string());
    let parent = shown(&mut rig, client, new);
    assert_eq!((&parent["parent"], &parent["suspect"]), (&old.to_string().into(), &true.into()));
    let again = rig.admin(client, "quarantine.requeue", &[("id", &old.to_string())]);
    assert_eq!(again["again"], true);
    let worker = rig.worker(2);
    assert_eq!(rig.start(worker).id, new);
    assert!(rig.grant(worker).is_none());
}

#[test]
fn dropped_it_is_gone_and_remembered_for_a_while() {
    let mut rig = Rig::durable();
    let client = rig.client();
    let id = quarantined(&mut rig, client, JobOptions::default());
    rig.admin(client, "quarantine.drop", &[("id", &id.to_string())]);
    assert_eq!(listed(&mut rig, client), [""; 0]);
    let past = shown(&mut rig, client, id);
    assert_eq!((&past["outcome"], &past["stage"]), (&"QUARANTINED".into(), &"forgotten".into()));
    let (status, message) = rig.ask(client, "quarantine.requeue", &[("id", &id.to_string())]).unwrap_err();
    assert!(status == Status::State && message.contains("dropped"), "{message}");
    let mut rig = rig.restart(1_000);
    let client = rig.client();
    assert_eq!(listed(&mut rig, client), [""; 0]);
    assert_eq!(rig.admin(client, "jobs.list", &[])["jobs"], serde_json::json!([]));
}

#[test]
fn only_quarantined_jobs_of_this_user_are_decided_about() {
    let mut rig = Rig::new();
    let client = rig.client();
    let waiting = rig.submit(client, JobOptions::default());
    for command in ["quarantine.show", "quarantine.requeue", "quarantine.drop"] {
        let (status, message) = rig.ask(client, command, &[("id", &waiting.to_string())]).unwrap_err();
        assert!(status == Status::State && message.contains("WAITING"), "{message}");
    }
    quarantine_next(&mut rig);
    let stranger = rig.open_as(PeerKind::Client, "", "uid:2");
    assert_eq!(listed(&mut rig, stranger), [""; 0]);
    for command in ["quarantine.show", "quarantine.requeue", "quarantine.drop"] {
        let refused = rig.ask(stranger, command, &[("id", &waiting.to_string())]).unwrap_err();
        assert_eq!(refused.0, Status::NotFound);
    }
    // A queue that takes nothing takes this neither.
    rig.admin(client, "queue.drain", &[("queue", "q")]);
    let refused = rig.ask(client, "quarantine.requeue", &[("id", &waiting.to_string())]).unwrap_err();
    assert!(refused.0 == Status::State && refused.1.contains("draining"), "{}", refused.1);
    assert_eq!(listed(&mut rig, client), [waiting.to_string()]);
}

#[test]
fn the_list_comes_in_pages_and_by_queue() {
    let mut rig = Rig::new();
    let client = rig.client();
    let ids: Vec<String> =
        (0..3).map(|_| quarantined(&mut rig, client, JobOptions::default()).to_string()).collect();
    let first = rig.admin(client, "quarantine.list", &[("limit", "2"), ("queue", "q")]);
    assert_eq!((&first["more"], &first["next"]), (&true.into(), &ids[1].as_str().into()));
    let second = rig.admin(client, "quarantine.list", &[("since", &ids[1])]);
    assert_eq!((&second["more"], &second["jobs"][0]["id"]), (&false.into(), &ids[2].as_str().into()));
    assert_eq!(rig.admin(client, "quarantine.list", &[("queue", "x")])["jobs"], serde_json::json!([]));
}

/// What a client that comes late is told: the old id is quarantined, and as what it was requeued.
#[test]
fn the_result_of_a_requeued_job_names_the_new_one() {
    let mut rig = Rig::new();
    let client = rig.client();
    let mut job = rig.job(JobOptions::default());
    job.reply = ReplyMode::Keep;
    let old = job.id;
    rig.submit_job(client, job).unwrap();
    quarantine_next(&mut rig);
    let new = requeue(&mut rig, client, old);
    rig.send(client, ToBroker::Get { id: old, mode: forebay::wire::command::GetMode::Watch });
    let verdict = rig.result(client, old).unwrap();
    assert_eq!(verdict.outcome, Outcome::Quarantined);
    assert_eq!(verdict.meta.get("requeued_as").as_deref(), Some(new.to_string().as_str()));
}
