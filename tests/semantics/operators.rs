//! What operators are told.

use crate::rig::Rig;
use forebay::model::JobOptions;

/// A worker killed with -9 was still counted as serving its queue for as long as its session was kept, so that
/// `forebay status --check` found all well while jobs waited for nobody.
#[test]
fn a_worker_whose_connection_is_gone_serves_no_queue() {
    let mut rig = Rig::new();
    let (client, worker) = (rig.client(), rig.worker(1));
    let serving =
        |rig: &mut Rig, command: &str| rig.admin(client, command, &[])["queues"][0]["workers"].clone();
    assert_eq!(serving(&mut rig, "status"), 1);
    rig.drop_connection(worker.session);
    assert_eq!((serving(&mut rig, "status"), serving(&mut rig, "queue.list")), (0.into(), 0.into()));
    rig.come_back(worker.session);
    assert_eq!(serving(&mut rig, "queue.list"), 1);
}

/// A drain waited its whole time for a job whose worker had died: the lease was over, but the dead session still had it
/// in case it came back.
#[test]
fn a_drain_does_not_wait_for_the_dead() {
    let mut rig = Rig::new();
    let (client, worker) = (rig.client(), rig.worker(1));
    rig.submit(client, JobOptions::default());
    rig.start(worker);
    rig.broker.drain(rig.now);
    rig.drop_connection(worker.session);
    assert!(!rig.broker.is_drained(), "it may come back");
    rig.pass_ms(600);
    assert!(rig.broker.is_drained());
}
