//! What a store's records bring back.

use crate::rig::Rig;
use forebay::model::{JobId, JobOptions, Level, Outcome};
use forebay::wire::command::{FromBroker, GetMode, PeerKind, Presented, Retry, ToBroker};

/// A client of this name, with room for results.
fn client_named(rig: &mut Rig, name: &str) -> u64 {
    let client = rig.open(PeerKind::Client, name);
    rig.send(client, ToBroker::ResultCredit(u64::MAX));
    client
}

fn outcome_of(rig: &mut Rig, client: u64, id: JobId) -> Option<Outcome> {
    rig.send(client, ToBroker::Get { id, mode: GetMode::Watch });
    rig.outcome(client, id)
}

#[test]
fn waiting_jobs_wait_again_in_their_order_and_volatile_ones_are_gone() {
    let mut rig = Rig::durable();
    let client = rig.client();
    let volatile = rig.submit(client, JobOptions { level: Some(Level::Volatile), ..JobOptions::default() });
    let ids: Vec<JobId> = (0..5).map(|_| rig.submit(client, JobOptions::default())).collect();
    let delayed = rig.submit(client, JobOptions { delay_ms: Some(10_000), ..JobOptions::default() });
    let mut rig = rig.restart(4_000);
    let client = rig.client();
    rig.send(client, ToBroker::Get { id: volatile, mode: GetMode::Peek });
    assert!(
        rig.take(client, |command| {
            matches!(command, FromBroker::State { status, .. } if *status != forebay::model::Status::Ok)
                .then_some(())
        })
        .is_some()
    );
    let mut worker = rig.worker(1);
    for id in ids {
        let grant = rig.start(worker);
        assert_eq!(grant.id, id);
        rig.complete(&mut worker, grant.lease);
        assert_eq!(outcome_of(&mut rig, client, id), Some(Outcome::Done));
    }
    rig.pass_ms(5_900);
    assert!(rig.grant(worker).is_none());
    rig.pass_ms(200);
    assert_eq!(rig.start(worker).id, delayed);
}

#[test]
fn ended_jobs_stay_ended_and_a_name_gets_its_results() {
    let mut rig = Rig::durable();
    let client = client_named(&mut rig, "box");
    let (done, cancelled) =
        (rig.submit(client, JobOptions::default()), rig.submit(client, JobOptions::default()));
    let mut worker = rig.worker(1);
    let grant = rig.start(worker);
    rig.complete(&mut worker, grant.lease);
    rig.send(client, ToBroker::Cancel { id: cancelled, reason: String::new(), own: true });
    let mut rig = rig.restart(1_000);
    let worker = rig.worker(1);
    assert!(rig.grant(worker).is_none());
    let client = client_named(&mut rig, "box");
    assert_eq!(rig.outcome(client, done), Some(Outcome::Done));
    assert_eq!(rig.outcome(client, cancelled), Some(Outcome::Cancelled));
    rig.send(client, ToBroker::Forget(vec![done, cancelled]));
    let mut rig = rig.restart(1_000);
    let client = client_named(&mut rig, "box");
    assert_eq!(rig.outcome(client, done), None);
}

#[test]
fn a_running_job_is_adopted_under_a_higher_token_or_runs_again() {
    for comes_back in [true, false] {
        let mut rig = Rig::durable();
        let (client, worker) = (rig.client(), rig.worker(1));
        let id = rig.submit(client, JobOptions::default());
        let grant = rig.start(worker);
        let mut rig = rig.restart(1_000);
        let idle = rig.worker(1);
        let mut worker = rig.worker(0);
        if comes_back {
            let held = Presented {
                id,
                queue: "q".into(),
                broker: [1; 16],
                token: grant.lease.token,
                attempt: 1,
                answered: true,
            };
            rig.send(worker.session, ToBroker::Present(held));
            let lease = rig.take(worker.session, |command| match command {
                FromBroker::Adopt { lease, .. } => Some(*lease),
                _ => None,
            });
            let lease = lease.expect("it is adopted");
            assert!(lease.token > grant.lease.token);
            rig.pass_ms(2_000);
            assert!(rig.grant(idle).is_none());
            rig.complete(&mut worker, lease);
            let client = rig.client();
            assert_eq!(outcome_of(&mut rig, client, id), Some(Outcome::Done));
        } else {
            rig.pass_ms(490);
            assert!(rig.grant(idle).is_none());
            rig.pass_ms(20);
            let again = rig.start(idle);
            assert_eq!((again.id, again.attempt), (id, 2));
        }
    }
}

#[test]
fn attempts_and_back_off_are_remembered() {
    let mut rig = Rig::durable();
    let (client, mut worker) = (rig.client(), rig.worker(1));
    let id = rig.submit(client, JobOptions { attempts: Some(2), ..JobOptions::default() });
    let grant = rig.start(worker);
    rig.fail(&mut worker, grant.lease, Retry::AfterMs(60_000));
    let mut rig = rig.restart(50_000);
    let mut worker = rig.worker(1);
    rig.pass_ms(9_900);
    assert!(rig.grant(worker).is_none());
    rig.pass_ms(200);
    let grant = rig.start(worker);
    assert_eq!((grant.id, grant.attempt), (id, 2));
    rig.fail(&mut worker, grant.lease, Retry::Policy);
    let client = rig.client();
    assert_eq!(outcome_of(&mut rig, client, id), Some(Outcome::Failed));
}

#[test]
fn an_applications_id_is_not_run_again_after_a_restart() {
    let mut rig = Rig::durable();
    let (client, mut worker) = (rig.client(), rig.worker(1));
    let mut job = rig.job(JobOptions::default());
    job.content = Some(vec![9; 32]);
    rig.submit_job(client, job.clone()).unwrap();
    let grant = rig.start(worker);
    rig.complete(&mut worker, grant.lease);
    rig.send(client, ToBroker::Forget(vec![job.id]));
    let mut rig = rig.restart(1_000);
    let (client, worker) = (rig.client(), rig.worker(1));
    assert_eq!(rig.submit_job(client, job.clone()), Ok(()));
    assert!(rig.grant(worker).is_none());
    job.content = Some(vec![8; 32]);
    assert_eq!(rig.submit_job(client, job), Err(forebay::model::Status::Conflict));
}

/// Attempts that were released, failed, lost or adopted are all in the records, so a job's history is after a restart what
/// it was before; a released attempt used to be taken for the one that followed it, under the same number.
#[test]
fn a_jobs_history_is_whole_after_a_restart() {
    let mut rig = Rig::durable();
    let (client, mut worker) = (rig.client(), rig.worker(1));
    let options = JobOptions { attempts: Some(4), run_ms: Some(5_000), ..JobOptions::default() };
    let (job, other) = (rig.submit(client, options), rig.job(JobOptions::default()));
    let grant = rig.start(worker);
    rig.pass_ms(10);
    rig.send(worker.session, ToBroker::Release { lease: grant.lease, delay_ms: 0 });
    rig.allow_one(&mut worker);
    rig.pass_ms(10);
    let grant = rig.start(worker);
    rig.pass_ms(10);
    rig.fail(&mut worker, grant.lease, Retry::AfterMs(0));
    rig.start(worker);
    rig.close(worker.session, false);
    let mut worker = rig.worker(1);
    let lost = rig.start(worker);
    rig.pass_ms(6_000);
    assert!(rig.revoked(worker).is_some_and(|(lease, _)| lease == lost.lease));
    let shown =
        |rig: &mut Rig, client: u64, id: JobId| rig.admin(client, "job.get", &[("id", &id.to_string())]);
    let before = shown(&mut rig, client, job);
    let hows: Vec<_> = before["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| attempt["how"].as_str().unwrap())
        .collect();
    assert_eq!(hows, ["released", "failed", "lost", "run timeout"]);
    let numbers: Vec<_> = before["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| attempt["number"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [1, 1, 2, 3]);
    rig.allow_one(&mut worker);
    rig.pass_ms(10_000);
    let last = rig.start(worker);
    assert_eq!(last.attempt, 4);
    rig.pass_ms(10);
    rig.fail(&mut worker, last.lease, Retry::Policy);
    let before = shown(&mut rig, client, job);
    assert_eq!((&before["outcome"], &before["history"][4]["code"]), (&"FAILED".into(), &"bad".into()));
    rig.submit_job(client, other).unwrap();

    let mut rig = rig.restart(2_000);
    let client = rig.client();
    let after = shown(&mut rig, client, job);
    for field in [
        "history",
        "outcome",
        "attempts",
        "losses",
        "releases",
        "accepted_ms",
        "ended_ms",
        "code",
        "message",
        "rules",
    ] {
        assert_eq!(before[field], after[field], "{field}");
    }
}
