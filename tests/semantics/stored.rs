//! Payloads beyond the cache: in the store alone while their jobs wait, and there again with the grant.

use bytes::Bytes;
use forebay::model::{Body, JobId, JobOptions, Outcome};
use forebay::wire::command::ToBroker;

use crate::rig::Rig;

/// A job with a payload worth leaving.
fn submit(rig: &mut Rig, client: u64, byte: u8) -> JobId {
    let mut job = rig.job(JobOptions::default());
    job.body = Body::one(Bytes::from(vec![byte; 1_000]));
    let id = job.id;
    rig.submit_job(client, job).expect("accepted");
    id
}

fn stored_bytes(rig: &mut Rig, client: u64) -> u64 {
    rig.admin(client, "status", &[])["stored_bytes"].as_u64().expect("a number")
}

#[test]
fn a_payload_left_in_the_store_is_there_with_the_grant() {
    let mut rig = Rig::durable_with_cache(0);
    let client = rig.client();
    let ids = [1, 2, 3].map(|byte| submit(&mut rig, client, byte));
    assert_eq!(stored_bytes(&mut rig, client), 3_000);
    let mut worker = rig.worker(1);
    for (id, byte) in ids.into_iter().zip(1_u8..) {
        let grant = rig.start(worker);
        assert_eq!((grant.id, &grant.body), (id, &Body::one(Bytes::from(vec![byte; 1_000]))));
        rig.complete(&mut worker, grant.lease);
        assert_eq!(rig.outcome(client, id), Some(Outcome::Done));
    }
    assert_eq!((rig.reads, stored_bytes(&mut rig, client)), (3, 0));
}

#[test]
fn with_room_in_memory_nothing_is_left_and_nothing_read() {
    let mut rig = Rig::durable();
    let client = rig.client();
    submit(&mut rig, client, 1);
    assert_eq!(stored_bytes(&mut rig, client), 0);
    let worker = rig.worker(1);
    assert_eq!(rig.start(worker).body.len(), 1_000);
    assert_eq!(rig.reads, 0);
}

/// What was read for one attempt is in memory for the next.
#[test]
fn a_job_that_is_given_back_keeps_its_payload() {
    let mut rig = Rig::durable_with_cache(0);
    let client = rig.client();
    submit(&mut rig, client, 7);
    let worker = rig.worker(1);
    let grant = rig.start(worker);
    rig.send(worker.session, ToBroker::Release { lease: grant.lease, delay_ms: 0 });
    let other = rig.worker(1);
    assert_eq!(rig.start(other).body.len(), 1_000);
    assert_eq!(rig.reads, 1);
}

#[test]
fn left_payloads_outlive_a_restart_and_a_cancelled_one_is_never_read() {
    let mut rig = Rig::durable_with_cache(0);
    let client = rig.client();
    let ids = [1, 2].map(|byte| submit(&mut rig, client, byte));
    let mut rig = rig.restart(1_000);
    let client = rig.client();
    assert_eq!(stored_bytes(&mut rig, client), 2_000);
    rig.send(client, ToBroker::Cancel { id: ids[0], reason: String::new(), own: false });
    assert_eq!(stored_bytes(&mut rig, client), 1_000);
    let worker = rig.worker(1);
    let grant = rig.start(worker);
    assert_eq!((grant.id, grant.body.0[0][0], grant.body.len()), (ids[1], 2, 1_000));
    assert_eq!(rig.reads, 1);
}
