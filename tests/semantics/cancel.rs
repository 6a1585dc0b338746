//! Cancelling: decided in the order of inputs, and then for ever.

use crate::rig::Rig;
use forebay::model::{JobId, JobOptions, Outcome, ReplyMode, Status, Stop};
use forebay::wire::command::{FromBroker, PeerKind, ToBroker};

fn cancel(rig: &mut Rig, client: u64, id: JobId, own: bool) -> Status {
    rig.send(client, ToBroker::Cancel { id, reason: "changed my mind".into(), own });
    rig.take(client, |command| match command {
        FromBroker::CancelReply { status, .. } => Some(*status),
        _ => None,
    })
    .expect("a cancel is answered")
}

#[test]
fn a_waiting_job_is_never_handed_out() {
    let mut rig = Rig::new();
    let client = rig.client();
    let id = rig.submit(client, JobOptions::default());
    assert_eq!(cancel(&mut rig, client, id, true), Status::Ok);
    let worker = rig.worker(1);
    assert!(rig.grant(worker).is_none());
    let verdict = rig.result(client, id).unwrap();
    assert_eq!((verdict.outcome, verdict.message.as_str()), (Outcome::Cancelled, "changed my mind"));
    assert_eq!(cancel(&mut rig, client, id, true), Status::Ok);
}

#[test]
fn a_running_job_is_told_and_its_result_does_not_count() {
    let mut rig = Rig::new();
    let (client, mut worker) = (rig.client(), rig.worker(1));
    let id = rig.submit(client, JobOptions::default());
    let next = rig.submit(client, JobOptions::default());
    let grant = rig.start(worker);
    assert_eq!(cancel(&mut rig, client, id, true), Status::Ok);
    assert_eq!(rig.revoked(worker), Some((grant.lease, Stop::CANCELLED)));
    assert_eq!(rig.outcome(client, id), Some(Outcome::Cancelled));
    // The slot comes back when the worker says so, not at the cancel.
    assert!(rig.grant(worker).is_none());
    rig.complete(&mut worker, grant.lease);
    assert_eq!(rig.stale(worker), Some(grant.lease));
    assert_eq!(rig.result(client, id), None);
    assert_eq!(rig.start(worker).id, next);
}

#[test]
fn what_has_ended_stays_as_it_is() {
    let mut rig = Rig::new();
    let (client, mut worker) = (rig.client(), rig.worker(1));
    let id = rig.submit(client, JobOptions::default());
    let grant = rig.start(worker);
    rig.complete(&mut worker, grant.lease);
    assert_eq!(cancel(&mut rig, client, id, true), Status::State);
    assert_eq!(rig.outcome(client, id), Some(Outcome::Done));
    rig.send(client, ToBroker::Forget(vec![id]));
    assert_eq!(cancel(&mut rig, client, id, true), Status::State);
}

#[test]
fn an_own_id_that_is_still_on_its_way_is_cancelled_in_advance() {
    let mut rig = Rig::new();
    let (client, worker) = (rig.client(), rig.worker(1));
    let job = rig.job(JobOptions::default());
    assert_eq!(cancel(&mut rig, client, job.id, true), Status::Ok);
    assert_eq!(rig.outcome(client, job.id), Some(Outcome::Cancelled));
    rig.submit_job(client, job).unwrap();
    assert!(rig.grant(worker).is_none());
}

#[test]
fn unknown_and_foreign_ids_look_the_same() {
    let mut rig = Rig::new();
    let client = rig.client();
    let id = rig.submit(client, JobOptions::default());
    let stranger = rig.open_as(PeerKind::Client, "", "uid:2");
    let unknown = rig.new_id();
    assert_eq!(cancel(&mut rig, stranger, id, false), Status::NotFound);
    assert_eq!(cancel(&mut rig, stranger, unknown, false), Status::NotFound);
    let worker = rig.worker(1);
    assert_eq!(rig.start(worker).id, id);
}

/// An application's id that was cancelled before it was submitted came in CONFLICT with itself, and ran once the result
/// of the cancellation was acknowledged. Found by simulation.
#[test]
fn an_applications_id_cancelled_in_advance_stays_cancelled() {
    for acknowledged in [false, true] {
        let mut rig = Rig::new();
        let (client, worker) = (rig.client(), rig.worker(1));
        let mut job = rig.job(JobOptions::default());
        job.content = Some(vec![7]);
        assert_eq!(cancel(&mut rig, client, job.id, true), Status::Ok);
        assert_eq!(rig.outcome(client, job.id), Some(Outcome::Cancelled));
        if acknowledged {
            rig.send(client, ToBroker::Forget(vec![job.id]));
        }
        rig.submit_job(client, job.clone()).unwrap();
        assert_eq!(rig.outcome(client, job.id), Some(Outcome::Cancelled));
        assert!(rig.grant(worker).is_none());
    }
}

/// A client said its cancellation and its submission once more, because its session was lost: a job whose result nobody
/// wanted was forgotten at once, so it could not be cancelled, and then it ran. Found by simulation.
#[test]
fn what_is_over_is_over_when_it_is_said_again() {
    let mut rig = Rig::new();
    let (client, worker) = (rig.client(), rig.worker(1));
    let mut job = rig.job(JobOptions { delay_ms: Some(1_000), ..JobOptions::default() });
    job.reply = ReplyMode::None;
    rig.submit_job(client, job.clone()).unwrap();
    for _ in 0..2 {
        assert_eq!(cancel(&mut rig, client, job.id, true), Status::Ok);
        rig.submit_job(client, job.clone()).unwrap();
    }
    rig.pass_ms(2_000);
    assert!(rig.grant(worker).is_none());
}
