//! What the broker hands to hosts: parameters for their plugins.

use support::{Broker, SOON, binary, eventually, run};

use crate::rig::{self, Host, odd};

fn set(broker: &Broker, rule: &str) {
    run(&mut broker.cli(&["queue", "set", "odd", rule]), SOON).success();
}

/// What the plugin was given as its parameter, from as many calls as there are slots and more.
fn given(broker: &Broker) -> Vec<String> {
    let mut said: Vec<String> = (0..6).map(|_| rig::call(broker, "odd", "begin").success().text()).collect();
    said.sort();
    said.dedup();
    said
}

/// Parameters are there from the beginning, change from process to process while no slot is empty, and a wrong one changes nothing.
#[test]
fn parameters_are_handed_out_and_changed_while_jobs_run() {
    let broker = Broker::start(binary!());
    let plugin = odd(broker.folder(), "odd", &[]);
    set(&broker, "param.begin=well: one");
    let load = plugin.display().to_string();
    let host = Host::start(&broker, &["--load", &load, "--slots", "2", "--report-every", "100ms"]);
    host.ready();
    assert_eq!(given(&broker), ["well: one"], "they began without what was set");

    let gate = broker.folder().join("gate");
    let waiting = rig::submit(&broker, "odd", &gate.display().to_string(), 1);
    rig::wait_until_running(&broker, 1);
    set(&broker, "param.begin=well: two");
    eventually("the new value everywhere", SOON, || (given(&broker) == ["well: two"]).then_some(()));
    assert_eq!(rig::running(&broker).len(), 1, "the job in hand was disturbed");
    std::fs::write(&gate, b"").expect("a file");
    rig::result(&broker, &waiting[0]).success();

    // Nobody declares it; and one that the plugin does not begin with.
    set(&broker, "param.begim=well: three");
    let unknown = "queue odd hands out param.begim, which no plugin here declares; right would be: begin";
    eventually("the word about it", SOON, || host.process.stderr().contains(unknown).then_some(()));
    assert_eq!(given(&broker), ["well: two"]);
    set(&broker, "param.begim=");
    set(&broker, "param.begin=badly");
    eventually("the heir that does not begin", SOON, || {
        host.process.stderr().contains("process_init answered 7: begin is badly").then_some(())
    });
    assert_eq!(given(&broker), ["well: two"]);
    set(&broker, "param.begin=well: four");
    eventually("the value that is right", SOON, || (given(&broker) == ["well: four"]).then_some(()));
    // It has to be said, so the default counts again when nothing is handed out.
    set(&broker, "param.begin=");
    eventually("the default", SOON, || (given(&broker) == ["well"]).then_some(()));
    host.ends_well();
}

/// What the host was told itself is never another's.
#[test]
fn a_hosts_own_parameter_wins() {
    let broker = Broker::start(binary!());
    let plugin = odd(broker.folder(), "odd", &[]);
    set(&broker, "param.begin=badly");
    let load = plugin.display().to_string();
    let host = Host::start(&broker, &["--load", &load, "--slots", "1", "--param", "begin=well: own"]);
    host.ready();
    assert_eq!(given(&broker), ["well: own"]);
    host.ends_well();
}
