//! Who is let in: dedupe, ids, rules, limits, back-pressure.

use crate::rig::{Rig, WALL_MS};
use bytes::Bytes;
use forebay::core::job_table::TableConfig;
use forebay::model::{Body, JobId, JobOptions, Level, Outcome, Status};
use forebay::wire::command::{FromBroker, PeerKind, ToBroker};

#[test]
fn the_same_job_again_is_the_same_job() {
    let mut rig = Rig::new();
    let (client, mut worker) = (rig.client(), rig.worker(1));
    let job = rig.job(JobOptions::default());
    for _ in 0..3 {
        rig.submit_job(client, job.clone()).unwrap();
    }
    let grant = rig.start(worker);
    rig.complete(&mut worker, grant.lease);
    assert!(rig.grant(worker).is_none());
    assert_eq!(rig.outcome(client, job.id), Some(Outcome::Done));
    rig.submit_job(client, job.clone()).unwrap();
    assert_eq!(rig.outcome(client, job.id), Some(Outcome::Done), "the kept result is told again");
    assert_eq!(rig.broker.jobs().counters().submitted, 1);
}

#[test]
fn an_applications_id_is_remembered_after_its_result_is_gone() {
    let mut rig = Rig::new();
    let (client, mut worker) = (rig.client(), rig.worker(1));
    let mut job = rig.job(JobOptions::default());
    job.content = Some(vec![1; 16]);
    rig.submit_job(client, job.clone()).unwrap();
    let grant = rig.start(worker);
    rig.complete(&mut worker, grant.lease);
    rig.send(client, ToBroker::Forget(vec![job.id]));
    rig.pass_ms(3_600_000);
    assert_eq!(rig.outcome(client, job.id), Some(Outcome::Done));
    rig.submit_job(client, job.clone()).unwrap();
    let verdict = rig.result(client, job.id).unwrap();
    assert_eq!((verdict.outcome, verdict.code.as_str()), (Outcome::Done, "result-forgotten"));
    assert!(rig.grant(worker).is_none(), "it is not run again");
    job.content = Some(vec![2; 16]);
    assert_eq!(rig.submit_job(client, job), Err(Status::Conflict));
}

/// A batch under ids of the library was partly refused because the store was full, or not confirmed in time. Its client did as it
/// is told, submitted the same ids again, and heard CONFLICT for those the broker had: an id that an application names comes with
/// the sum of its content, the library's own do not. Found by killing processes.
#[test]
fn a_librarys_id_may_be_named_by_its_application_afterwards() {
    let mut rig = Rig::new();
    let (client, mut worker) = (rig.client(), rig.worker(1));
    let mut job = rig.job(JobOptions::default());
    rig.submit_job(client, job.clone()).unwrap();
    job.content = Some(vec![1; 16]);
    rig.submit_job(client, job.clone()).unwrap();
    let grant = rig.start(worker);
    rig.submit_job(client, job.clone()).unwrap();
    rig.complete(&mut worker, grant.lease);
    rig.submit_job(client, job.clone()).unwrap();
    assert_eq!(rig.outcome(client, job.id), Some(Outcome::Done));
    assert!(rig.grant(worker).is_none(), "it is not run again");
    assert_eq!(rig.broker.jobs().counters().submitted, 1);
}

#[test]
fn ids_of_yesterday_and_of_tomorrow_are_refused_by_name() {
    let mut rig = Rig::new();
    let client = rig.client();
    let mut job = rig.job(JobOptions::default());
    job.content = Some(vec![1]);
    for (wall_ms, expected) in [
        (WALL_MS - 90_000_000, Err(Status::TooOld)),
        (WALL_MS + 86_400_000, Err(Status::Argument)),
        (WALL_MS + 60_000, Ok(())),
    ] {
        job.id = JobId::new(wall_ms, [7; 10]);
        assert_eq!(rig.submit_job(client, job.clone()), expected);
    }
}

#[test]
fn rules_nothing_could_live_by_are_refused() {
    let mut rig = Rig::new();
    let client = rig.client();
    for options in [
        JobOptions { priority: Some(0), ..JobOptions::default() },
        JobOptions { priority: Some(9), ..JobOptions::default() },
        JobOptions { attempts: Some(0), ..JobOptions::default() },
        JobOptions { run_ms: Some(u64::MAX), ..JobOptions::default() },
    ] {
        let job = rig.job(options.clone());
        assert_eq!(rig.submit_job(client, job), Err(Status::Argument), "{options:?}");
    }
    let durable = rig.job(JobOptions { level: Some(Level::Durable), ..JobOptions::default() });
    assert_eq!(rig.submit_job(client, durable), Err(Status::Unsupported));
}

#[test]
fn an_unknown_queue_is_waited_for_or_refused_as_the_job_says() {
    let mut rig = Rig::new();
    let client = rig.client();
    let refusing = JobOptions { refuse_unknown_queue: Some(true), ..JobOptions::default() };
    let job = rig.job(refusing.clone());
    assert_eq!(rig.submit_job(client, job), Err(Status::NotFound));
    let worker = rig.worker(0);
    rig.close(worker.session, true);
    let job = rig.job(refusing);
    assert_eq!(rig.submit_job(client, job), Ok(()), "a queue that was registered once is known");
}

#[test]
fn a_full_broker_says_busy_and_takes_jobs_again_when_there_is_room() {
    let mut rig = Rig::with(TableConfig { memory_max: 20_000, ..TableConfig::default() });
    let client = rig.client();
    let mut accepted = Vec::new();
    loop {
        let mut job = rig.job(JobOptions::default());
        job.body = Body::one(Bytes::from(vec![0; 4_000]));
        let id = job.id;
        match rig.submit_job(client, job) {
            Ok(()) => accepted.push(id),
            Err(status) => break assert_eq!(status, Status::Busy),
        }
    }
    assert_eq!(accepted.len(), 5);
    let mut worker = rig.worker(1);
    let grant = rig.start(worker);
    rig.complete(&mut worker, grant.lease);
    rig.send(client, ToBroker::Forget(vec![grant.id]));
    let job = rig.job(JobOptions::default());
    assert_eq!(rig.submit_job(client, job), Ok(()));
}

#[test]
fn payloads_over_the_limit_are_refused() {
    let mut rig = Rig::with(TableConfig { payload_max: 1_000, ..TableConfig::default() });
    let client = rig.client();
    for (len, expected) in [(1_000, Ok(())), (1_001, Err(Status::TooLarge))] {
        let mut job = rig.job(JobOptions::default());
        job.body = Body::one(Bytes::from(vec![0; len]));
        assert_eq!(rig.submit_job(client, job), expected);
    }
}

#[test]
fn a_client_that_ignores_its_credit_is_told_busy_and_a_refilled_one_goes_on() {
    let mut rig = Rig::new();
    let client = rig.client();
    let mut credit = 10_000;
    for number in 1..=30_000_u64 {
        while let Some(allowed) = rig.take(client, |command| match command {
            FromBroker::SubmitCredit(allowed) => Some(*allowed),
            _ => None,
        }) {
            assert!(allowed > credit);
            credit = allowed;
        }
        assert!(number <= credit);
        if number % 100 == 0 {
            let refused = rig.job(JobOptions { attempts: Some(0), ..JobOptions::default() });
            assert_eq!(rig.submit_job(client, refused), Err(Status::Argument));
        } else {
            // Cancelled in advance, so that nothing piles up and each step stays cheap to check.
            let job = rig.job(JobOptions { attempts: Some(0), ..JobOptions::default() });
            assert_eq!(rig.submit_job(client, job), Err(Status::Argument));
        }
    }
    assert!(credit > 30_000);
}

#[test]
fn another_user_cannot_take_an_id_over() {
    let mut rig = Rig::new();
    let client = rig.client();
    let stranger = rig.open_as(PeerKind::Client, "", "uid:2");
    let job = rig.job(JobOptions::default());
    rig.submit_job(client, job.clone()).unwrap();
    assert_eq!(rig.submit_job(stranger, job), Err(Status::Conflict));
}

/// A broker that had been stopped was asked for jobs before it looked at the clock, and handed out one whose deadline had
/// passed. Found by simulation.
#[test]
fn a_job_whose_deadline_passed_while_the_broker_was_away_is_not_handed_out() {
    let mut rig = Rig::new();
    let client = rig.client();
    let id = rig.submit(client, JobOptions { deadline_ms: Some(1_000), ..JobOptions::default() });
    rig.now.us += 2_000_000;
    let worker = rig.worker(1);
    assert!(rig.grant(worker).is_none());
    assert_eq!(rig.outcome(client, id), Some(Outcome::Expired));
}
