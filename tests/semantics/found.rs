//! What the simulation over a store found, each told as a story.

use std::sync::Arc;

use crate::rig::Rig;
use forebay::core::record::Record;
use forebay::model::{JobId, JobOptions, Level, Outcome, Submission};
use forebay::wire::command::{FromBroker, GetMode, Presented, Retry, ToBroker};

fn outcome_of(rig: &mut Rig, client: u64, id: JobId) -> Option<Outcome> {
    rig.send(client, ToBroker::Get { id, mode: GetMode::Watch });
    rig.outcome(client, id)
}

/// The broker was killed in the last attempt of a job. Its worker never came back, and the job was begun once more
/// than it was allowed.
#[test]
fn a_restart_gives_no_further_attempt() {
    let mut rig = Rig::durable();
    let (client, worker) = (rig.client(), rig.worker(1));
    let id = rig.submit(client, JobOptions { attempts: Some(1), ..JobOptions::default() });
    rig.start(worker);
    let mut rig = rig.restart(100);
    let (client, worker) = (rig.client(), rig.worker(1));
    rig.pass_ms(600);
    assert!(rig.grant(worker).is_none());
    assert_eq!(outcome_of(&mut rig, client, id), Some(Outcome::Lost));
}

/// A volatile job was running when a broker with a store was killed. Its client sent it again and its worker presented
/// it, but under a token of this very broker, which seemed to know better: the job ran a second time.
#[test]
fn a_running_volatile_job_is_adopted_by_a_broker_that_has_a_store() {
    let mut rig = Rig::durable();
    let (client, worker) = (rig.client(), rig.worker(1));
    let options = JobOptions { level: Some(Level::Volatile), ..JobOptions::default() };
    let job = rig.job(options);
    rig.submit_job(client, job.clone()).unwrap();
    let grant = rig.start(worker);
    let mut rig = rig.restart(100);
    let (client, mut worker) = (rig.client(), rig.worker(0));
    rig.submit_job(client, Submission { resent: true, ..job.clone() }).unwrap();
    let (queue, broker, token) = ("q".into(), [1; 16], grant.lease.token);
    let held = Presented { id: job.id, queue, broker, token, attempt: 1, answered: false };
    rig.send(worker.session, ToBroker::Present(held));
    let lease = rig.take(worker.session, |command| match command {
        FromBroker::Adopt { lease, .. } => Some(*lease),
        _ => None,
    });
    rig.complete(&mut worker, lease.expect("it is adopted"));
    assert_eq!(outcome_of(&mut rig, client, job.id), Some(Outcome::Done));
}

/// The wall clock was set back by ten minutes while the broker was away: a job that could have gone at once, and one
/// that waited for its next attempt, waited for ten minutes.
#[test]
fn a_clock_set_back_makes_no_wait_longer_than_it_was_to_be() {
    let mut rig = Rig::durable();
    let (client, mut worker) = (rig.client(), rig.worker(1));
    let failed = rig.submit(client, JobOptions::default());
    let grant = rig.start(worker);
    rig.fail(&mut worker, grant.lease, Retry::AfterMs(2_000));
    let paused = rig.submit_elsewhere(client);
    rig.now.wall_ms -= 600_000;
    let mut rig = rig.restart(0);
    let (worker, other) = (rig.worker(1), rig.worker_of("elsewhere", 1));
    assert_eq!(rig.start(other).id, paused);
    rig.pass_ms(1_900);
    assert!(rig.grant(worker).is_none());
    rig.pass_ms(200);
    assert_eq!(rig.start(worker).id, failed);
}

/// A job was cancelled while the record of its grant was being written. The worker was told to stop before it was told
/// to begin, which it passed over, and then worked for nobody to the end.
#[test]
fn a_worker_is_told_to_begin_before_it_is_told_to_stop() {
    let mut rig = Rig::durable();
    let (client, worker) = (rig.client(), rig.worker(1));
    let job = rig.job(JobOptions::default());
    rig.holds_io = true;
    rig.send(client, ToBroker::Submit(Arc::new(job.clone())));
    rig.send(client, ToBroker::Cancel { id: job.id, reason: String::new(), own: true });
    assert!(rig.grant(worker).is_none() && rig.revoked(worker).is_none());
    rig.holds_io = false;
    rig.pass_ms(1);
    let first = rig.take(worker.session, |command| Some(format!("{command:?}")));
    assert!(first.expect("something is said").starts_with("Grant"));
    assert!(rig.revoked(worker).is_some());
}

/// A grant waited for its record longer than a lease lasts, since the disk was slow. The lease ran out meanwhile, the job went
/// to the next, and what the worker did once it was told came to nothing.
#[test]
fn a_lease_does_not_run_before_its_holder_is_told() {
    let mut rig = Rig::durable();
    let (client, mut worker) = (rig.client(), rig.worker(1));
    let job = rig.job(JobOptions { attempts: Some(1), ..JobOptions::default() });
    rig.holds_io = true;
    rig.send(client, ToBroker::Submit(Arc::new(job.clone())));
    rig.pass_ms(100_000);
    assert!(rig.grant(worker).is_none());
    rig.holds_io = false;
    rig.pass_ms(1);
    let grant = rig.start(worker);
    rig.pass_ms(29_000);
    rig.complete(&mut worker, grant.lease);
    assert!(rig.stale(worker).is_none());
    assert_eq!(rig.result(client, job.id).map(|verdict| verdict.outcome), Some(Outcome::Done));
}

/// A worker said goodbye while it ran a job. The attempt stood as running for ever; and was it the last, the job was
/// handed out again, one attempt too many.
#[test]
fn a_last_attempt_is_not_made_again_when_its_worker_says_goodbye() {
    let mut rig = Rig::new();
    let (client, worker) = (rig.client(), rig.worker(2));
    let last = rig.submit(client, JobOptions { attempts: Some(1), ..JobOptions::default() });
    let again = rig.submit(client, JobOptions { attempts: Some(2), ..JobOptions::default() });
    rig.start(worker);
    rig.start(worker);
    rig.close(worker.session, true);
    let reply = rig.admin(client, "job.get", &[("id", &again.to_string())]);
    assert_eq!(reply["history"][0]["how"], "lost");
    let other = rig.worker(2);
    assert_eq!(rig.grant(other).map(|grant| (grant.id, grant.attempt)), Some((again, 2)));
    assert!(rig.grant(other).is_none());
    assert_eq!(rig.result(client, last).map(|verdict| verdict.outcome), Some(Outcome::Lost));
}

/// A worker lost its connection for longer than it had to come back, and the job, in its last attempt, was LOST. When
/// the worker came back to its session nobody told it to stop.
#[test]
fn a_worker_that_comes_back_too_late_is_told_that_its_last_attempt_was_lost() {
    let mut rig = Rig::new();
    let (client, worker) = (rig.client(), rig.worker(1));
    let id = rig.submit(client, JobOptions { attempts: Some(1), ..JobOptions::default() });
    let grant = rig.start(worker);
    rig.drop_connection(worker.session);
    rig.pass_ms(600);
    assert_eq!(outcome_of(&mut rig, client, id), Some(Outcome::Lost));
    rig.come_back(worker.session);
    assert_eq!(rig.revoked(worker).map(|(lease, _)| lease), Some(grant.lease));
    assert_eq!(rig.beat(worker.session, &[grant.lease]), [grant.lease]);
}

/// A worker lost its connection for a while with one job that it had not begun. The job was taken for begun, since the
/// START might have been lost; when the worker came back and gave it back, nobody had it until its lease was over.
#[test]
fn a_job_that_was_taken_for_begun_and_is_given_back_goes_on_at_once() {
    let mut rig = Rig::new();
    let (client, worker) = (rig.client(), rig.worker(1));
    let id = rig.submit(client, JobOptions { attempts: Some(2), ..JobOptions::default() });
    let grant = rig.grant(worker).expect("it is handed out");
    rig.drop_connection(worker.session);
    rig.pass_ms(600);
    rig.come_back(worker.session);
    rig.send(worker.session, ToBroker::Unstarted(grant.lease));
    let other = rig.worker(1);
    let again = rig.start(other);
    assert_eq!((again.id, again.attempt), (id, 1));
}

/// The broker was killed when it had written down the end of a job whose result nobody wants, and not yet that it is
/// forgotten. The store held the job for ever.
#[test]
fn an_unwanted_result_that_was_not_forgotten_in_time_is_forgotten_after_a_restart() {
    let mut rig = Rig::durable();
    let (client, mut worker) = (rig.client(), rig.worker(1));
    let id = rig.submit(client, JobOptions { result_ttl_ms: Some(0), ..JobOptions::default() });
    let grant = rig.start(worker);
    rig.complete(&mut worker, grant.lease);
    let is_forgotten = |record: &Record| matches!(record, Record::Forgotten { id: of } if *of == id);
    assert!(rig.records.pop().is_some_and(|record| is_forgotten(&record)), "its last record");
    let mut rig = rig.restart(100);
    rig.pass_ms(1);
    assert!(rig.records.last().is_some_and(is_forgotten), "{:?}", rig.records.last());
}
