//! Slot processes are looked after: started again, drained, and never left behind.

use support::{Broker, SOON, binary, eventually, run};

use crate::rig::{self, Host, odd};

fn host(broker: &Broker, slots: &str) -> Host {
    host_with(broker, slots, "1m")
}

/// `grace` is that before SIGTERM, and behind a comma that before SIGKILL, if that is another.
fn host_with(broker: &Broker, slots: &str, grace: &str) -> Host {
    let plugin = odd(broker.folder(), "odd", &[]).display().to_string();
    let (grace, kill_grace) = grace.split_once(',').unwrap_or((grace, grace));
    let mut arguments = vec!["--load", &plugin, "--slots", slots, "--name", "odd"];
    arguments.extend(["--grace", grace, "--kill-grace", kill_grace]);
    let host = Host::start(broker, &arguments);
    host.ready();
    host
}

/// A slot may be ready before the broker has heard of it.
fn wait_until_known(broker: &Broker, workers: usize) {
    eventually("the slots to be known", SOON, || (rig::workers(broker) == workers).then_some(()));
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
    wait_until_known(&broker, 2);
    host.process.kill();
    eventually("the slots to end", SOON, || (rig::workers(&broker) == 0).then_some(()));
}

/// Not for ever: what has not drained in time ends.
#[test]
fn a_handler_in_a_loop_does_not_outlive_its_host_for_long() {
    let broker = Broker::start(binary!());
    let plugin = odd(broker.folder(), "odd", &[]).display().to_string();
    let mut host = Host::start(&broker, &["--load", &plugin, "--slots", "1", "--drain", "200ms"]);
    host.ready();
    rig::submit(&broker, "odd", "spin", 1);
    let spinning = rig::wait_until_running(&broker, 1)[0];
    host.process.kill();
    let is_there = || std::path::Path::new(&format!("/proc/{spinning}")).exists();
    eventually("the slot to end", SOON, || (!is_there()).then_some(()));
}

/// Slots that the broker sends home are not started again, and the host ends with them.
#[test]
fn a_host_that_is_sent_home_ends() {
    let broker = Broker::start(binary!());
    let host = host(&broker, "2");
    wait_until_known(&broker, 2);
    run(&mut broker.cli(&["worker", "drain", "odd"]), SOON).success();
    host.process.wait(SOON).success();
}

/// A handler in an endless loop, which hears of nothing: its time is over, its process is ended step by step, the slot serves
/// the next job, and the history says what was done and where it stood.
#[test]
fn a_job_that_does_not_stop_is_ended() {
    let broker = Broker::start(binary!());
    let host = host_with(&broker, "1", "200ms");
    let jobs = rig::submit_with(&broker, &["odd", "--data", "spin", "--run-ms", "200", "--attempts", "1"]);
    assert!(rig::result(&broker, &jobs).code(1).error_text().contains("TIMED_OUT"));
    host.process.line_with("was told to stop (out of time) and goes on after 200 ms: SIGTERM", SOON);
    host.process.line_with("goes on 200 ms after SIGTERM: SIGKILL", SOON);
    host.process.line_with("was killed by SIGKILL (9)", SOON);
    let seen = rig::evidence(&broker, &jobs, "SIGKILL");
    for part in
        ["goes on after 200 ms: SIGTERM; where it stood:\n#0 spin_here+0x", "200 ms after SIGTERM: SIGKILL"]
    {
        assert!(seen.contains(part), "no {part:?} in {seen}");
    }
    let shown = run(&mut broker.cli(&["job", &jobs]), SOON).success().text();
    assert!(shown.contains("seen of attempt 1:\nwas told to stop (out of time)"), "{shown}");
    let jobs = rig::submit(&broker, "odd", "spin", 1);
    let before = rig::wait_until_running(&broker, 1);
    run(&mut broker.cli(&["cancel", &jobs[0]]), SOON).success();
    assert_ne!(rig::call(&broker, "odd", "pid").success().text(), before[0].to_string());
    assert!(rig::evidence(&broker, &jobs[0], "SIGKILL").contains("told to stop (cancelled)"));
    host.ends_well();
}

/// One that listens to nothing but returns after SIGTERM: its process ends in order, and is replaced all the same.
#[test]
fn a_job_that_returns_after_sigterm_costs_no_sigkill() {
    let broker = Broker::start(binary!());
    let host = host_with(&broker, "1", "200ms,1m");
    let gate = broker.folder().join("gate");
    let jobs = rig::submit(&broker, "odd", &format!("deaf{}", gate.display()), 1);
    let before = rig::wait_until_running(&broker, 1);
    run(&mut broker.cli(&["cancel", &jobs[0]]), SOON).success();
    host.process.line_with("goes on after 200 ms: SIGTERM; it stands in wait_for (odd.so)", SOON);
    std::fs::write(&gate, b"").expect("a file");
    host.process.line_with("odd: fini", SOON);
    assert_ne!(rig::call(&broker, "odd", "pid").success().text(), before[0].to_string());
    assert!(!host.ends_well().error_text().contains("SIGKILL"));
}

/// The soft limit ends nothing: where the job stood is in the log and in its history, and it goes on.
#[test]
fn where_a_job_stood_at_its_soft_limit_is_kept() {
    let broker = Broker::start(binary!());
    for isolate in ["process", "thread"] {
        let plugin = odd(broker.folder(), "odd", &[]).display().to_string();
        let host = Host::start(
            &broker,
            &["--load", &plugin, "--slots", "2", "--isolate", isolate, "--grace", "100ms"],
        );
        host.ready();
        let gate = broker.folder().join(isolate);
        let path = gate.display().to_string();
        let soft = || rig::submit_with(&broker, &["odd", "--data", &path, "--soft-ms", "100"]);
        let jobs = [soft(), soft()];
        for id in &jobs {
            let seen = rig::evidence(&broker, id, "soft limit");
            assert!(seen.contains("is past its soft limit; where it stood:\n#0 "), "{seen}");
            assert!(seen.contains("wait_for+0x"), "{seen}");
        }
        std::fs::write(&gate, b"").expect("a file");
        jobs.iter().for_each(|id| drop(rig::result(&broker, id).success()));
        assert!(host.ends_well().error_text().contains("it stands in wait_for (odd.so)"));
    }
}

/// What an attempt cost is among the facts of its result.
#[test]
fn what_an_attempt_used_is_in_its_result() {
    let broker = Broker::start(binary!());
    let host = host(&broker, "1");
    let gate = broker.folder().join("gate");
    std::fs::write(&gate, b"").expect("a file");
    let mut asked = broker.cli(&["call", "odd", "--data", &gate.display().to_string(), "--json"]);
    let meta = run(&mut asked, SOON).success().json()["meta"].clone();
    rig::assert_used(&meta);
    host.ends_well();
}
