//! Slot processes are looked after: started again, drained, and never left behind.

use support::{Broker, SOON, binary, eventually, run};

use crate::rig::{self, Host, odd};

fn host(broker: &Broker, slots: &str) -> Host {
    host_with(broker, slots, "1m")
}

fn host_with(broker: &Broker, slots: &str, grace: &str) -> Host {
    let plugin = odd(broker.folder(), "odd", &[]).display().to_string();
    let host = Host::start(broker, &["--load", &plugin, "--slots", slots, "--name", "odd", "--grace", grace]);
    host.ready();
    host
}

/// A crash costs one attempt: the job of the other slot goes on, and the process is there again.
#[test]
fn a_crash_disturbs_nobody_else() {
    let broker = Broker::start(binary!());
    let host = host(&broker, "2");
    let gate = broker.folder().join("gate");
    let waiting = rig::submit(&broker, "odd", &gate.display().to_string(), 1);
    let before = rig::wait_until_running(&broker, 1);
    let said = run(&mut broker.cli(&["call", "odd", "--data", "crash"]), SOON).code(1).error_text();
    assert!(said.contains("QUARANTINED"), "{said}");
    host.process.line_with(
        "was killed by SIGABRT (6) in crash_here (odd.so), after saying \"odd: about to crash\"",
        SOON,
    );
    assert_eq!(rig::running(&broker), before, "the other slot was disturbed");
    let ended = run(&mut broker.cli(&["quarantine", "list", "--json"]), SOON).success().json();
    let id = ended["jobs"][0]["id"].as_str().expect("the job that crashed").to_owned();
    let job = run(&mut broker.cli(&["job", &id, "--json"]), SOON).success().json();
    let first = &job["history"][0];
    assert_eq!((&first["how"], &first["code"]), (&"crashed".into(), &"SIGABRT".into()), "{job}");
    assert!(first["message"].as_str().is_some_and(|text| text.contains("odd: about to crash")), "{job}");
    let detail = job["detail"].as_str().expect("the evidence");
    for part in [
        "was killed by SIGABRT (6)",
        "of processor time",
        "where it stood:",
        "crash_here+0x",
        "odd: about to crash\n",
    ] {
        assert!(detail.contains(part), "no {part:?} in {detail}");
    }
    // The crashed one is back: it takes what comes, since the other is busy.
    assert_ne!(rig::call(&broker, "odd", "pid").success().text(), before[0].to_string());
    std::fs::write(&gate, b"").expect("a file");
    assert_eq!(rig::result(&broker, &waiting[0]).success().text(), before[0].to_string());
    host.ends_well();
}

/// SIGTERM lets the job in hand end; what it did not take waits for the next host.
#[test]
fn a_host_drains() {
    let broker = Broker::start(binary!());
    let host = host(&broker, "1");
    let gate = broker.folder().join("gate");
    let jobs = rig::submit(&broker, "odd", &gate.display().to_string(), 2);
    let pids = rig::wait_until_running(&broker, 1);
    host.process.signal(libc::SIGTERM);
    host.process.line_with("draining", SOON);
    std::fs::write(&gate, b"").expect("a file");
    let finished = host.process.wait(SOON).success();
    assert!(finished.error_text().contains("odd: fini"), "{}", finished.error_text());
    assert_eq!(rig::result(&broker, &jobs[0]).success().text(), pids[0].to_string());
    let next = self::host(&broker, "1");
    rig::result(&broker, &jobs[1]).success();
    next.ends_well();
}

/// A second SIGTERM does not wait for a handler that does not return.
#[test]
fn a_second_signal_ends_it_at_once() {
    let broker = Broker::start(binary!());
    let host = host(&broker, "1");
    rig::submit(&broker, "odd", "/nonexistent/gate", 1);
    rig::wait_until_running(&broker, 1);
    host.process.signal(libc::SIGTERM);
    host.process.line_with("draining", SOON);
    host.process.signal(libc::SIGTERM);
    host.process.wait(SOON).success();
}

/// Slots whose host was killed drain by themselves: nobody would look after them.
#[test]
fn slots_do_not_outlive_their_host() {
    let broker = Broker::start(binary!());
    let mut host = host(&broker, "2");
    assert_eq!(rig::workers(&broker), 2);
    host.process.kill();
    eventually("the slots to end", SOON, || (rig::workers(&broker) == 0).then_some(()));
}

/// Slots that the broker sends home are not started again, and the host ends with them.
#[test]
fn a_host_that_is_sent_home_ends() {
    let broker = Broker::start(binary!());
    let host = host(&broker, "2");
    run(&mut broker.cli(&["worker", "drain", "odd"]), SOON).success();
    host.process.wait(SOON).success();
}

/// A handler in an endless loop, which hears of nothing: its time is over, its process is ended, and the slot serves the
/// next job.
#[test]
fn a_job_that_does_not_stop_is_ended() {
    let broker = Broker::start(binary!());
    let host = host_with(&broker, "1", "200ms");
    let mut spins = broker.cli(&["call", "odd", "--data", "spin", "--run-ms", "200", "--attempts", "1"]);
    assert!(run(&mut spins, SOON).code(1).error_text().contains("TIMED_OUT"));
    host.process.line_with("was told to stop and goes on after 200 ms", SOON);
    host.process.line_with("was killed by SIGABRT (6) in spin_here (odd.so)", SOON);
    let jobs = rig::submit(&broker, "odd", "spin", 1);
    let before = rig::wait_until_running(&broker, 1);
    run(&mut broker.cli(&["cancel", &jobs[0]]), SOON).success();
    assert_ne!(rig::call(&broker, "odd", "pid").success().text(), before[0].to_string());
    host.ends_well();
}
