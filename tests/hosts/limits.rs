//! What a process and a job are limited to: processes are replaced between jobs, and a job that uses too much is ended.

use support::{Broker, SOON, binary, eventually, run};

use crate::rig::{self, Host, odd};

/// A host with one slot.
#[track_caller]
fn host(broker: &Broker, flags: &[&str]) -> Host {
    let plugin = odd(broker.folder(), "odd", &[]).display().to_string();
    let mut arguments = vec!["--load", &plugin, "--slots", "1", "--grace", "40ms"];
    arguments.extend(flags);
    let host = Host::start(broker, &arguments);
    host.ready();
    host
}

fn pid(broker: &Broker) -> String {
    rig::call(broker, "odd", "pid").success().text()
}

#[test]
fn a_process_does_so_many_jobs_and_no_more() {
    let broker = Broker::start(binary!());
    let host = host(&broker, &["--max-jobs", "2"]);
    let jobs = rig::submit(&broker, "odd", "pid", 6);
    let pids: Vec<String> = jobs.iter().map(|id| rig::result(&broker, id).success().text()).collect();
    let mut runs = pids.clone();
    runs.sort();
    runs.dedup();
    assert_eq!(runs.len(), 3, "{pids:?}");
    assert!(runs.iter().all(|pid| pids.iter().filter(|other| *other == pid).count() == 2), "{pids:?}");
    host.ends_well();
}

/// A job that is longer than its process's life is done all the same, and the next is another's.
#[test]
fn a_process_is_replaced_when_it_is_old_but_not_in_a_job() {
    let broker = Broker::start(binary!());
    let host = host(&broker, &["--max-age", "300ms", "--max-age-delta", "100ms"]);
    let gate = broker.folder().join("gate");
    let jobs = rig::submit(&broker, "odd", &gate.display().to_string(), 1);
    let before = rig::wait_until_running(&broker, 1);
    host.process.line_with("old, and is replaced", SOON);
    eventually("another process", SOON, || (pid(&broker) != before[0].to_string()).then_some(()));
    std::fs::write(&gate, b"").expect("a file");
    assert_eq!(rig::result(&broker, &jobs[0]).success().text(), before[0].to_string());
    host.ends_well();
}

#[test]
fn a_process_with_too_much_memory_is_replaced() {
    let broker = Broker::start(binary!());
    let host = host(&broker, &["--max-rss", "150Mi"]);
    let before = pid(&broker);
    rig::call(&broker, "odd", "leak").success();
    host.process.line_with("of memory; --max-rss is 150.00 MiB, and is replaced", SOON);
    eventually("another process", SOON, || (pid(&broker) != before).then_some(()));
    host.ends_well();
}

/// Both limits of a job: its process is ended, the history says why and where it stood, and the second time the job is put away.
#[test]
fn a_job_that_uses_too_much_is_ended() {
    let broker = Broker::start(binary!());
    for (limit, value, payload, text) in [
        ("--job-cpu-limit", "200ms", "spin", "of processor time; --job-cpu-limit is 200 ms: SIGKILL"),
        ("--job-memory-limit", "150Mi", "hog", "of memory; --job-memory-limit is 150.00 MiB: SIGKILL"),
    ] {
        let host = host(&broker, &[limit, value]);
        let id = rig::submit_with(&broker, &["odd", "--data", payload]);
        assert!(rig::result(&broker, &id).code(1).error_text().contains("QUARANTINED"));
        let seen = rig::evidence(&broker, &id, "SIGKILL");
        assert!(seen.contains(text) && seen.contains("#0 "), "{seen}");
        pid(&broker);
        host.ends_well();
    }
}

#[test]
fn a_command_that_uses_too_much_is_ended() {
    let broker = Broker::start(binary!());
    let mut command = broker.cli(&["worker", "--queue", "sh", "--slots", "1", "--job-cpu-limit", "1s"]);
    let host = support::Process::start(command.args(["--", "sh", "-c", "while :; do :; done"]));
    host.line_with("1 slot serves sh", SOON);
    let mut asked = broker.cli(&["call", "sh", "--data", "", "--attempts", "1", "--json"]);
    let said = run(&mut asked, SOON).code(1).json();
    assert_eq!((&said["outcome"], &said["code"]), (&"FAILED".into(), &"SIGXCPU".into()), "{said}");
    host.stop(SOON).success();
}

#[test]
fn a_slot_is_kept_to_its_cores() {
    let broker = Broker::start(binary!());
    let host = host(&broker, &["--pin"]);
    assert_eq!(rig::call(&broker, "odd", "cores").success().text(), "1 1");
    host.ends_well();
    let text = "echo threads $OMP_NUM_THREADS; OMP_NUM_THREADS= nproc";
    let mut command = broker.cli(&["worker", "--queue", "sh", "--slots", "1", "--pin"]);
    let host = support::Process::start(command.args(["--", "sh", "-c", text]));
    let said = rig::call(&broker, "sh", "").success().text();
    assert!(said == "threads 1\n1\n", "{said}");
    host.stop(SOON).success();
}

#[test]
fn limits_that_cannot_be_kept_are_refused() {
    let cases: [(&[&str], &str); 4] = [
        (&["--load", "x.so", "--isolate", "thread", "--job-cpu-limit", "1s"], "--isolate process"),
        (&["--queue", "q", "--max-jobs", "3", "--", "cat"], "--max-jobs"),
        (&["--load", "x.so", "--max-rss", "lots"], "2Gi"),
        (&["--load", "x.so", "--max-age-delta", "1s"], "--max-age"),
    ];
    for (arguments, text) in cases {
        let said = run(rig::forebay(&["worker"]).args(arguments), SOON).code(2).error_text();
        assert!(said.contains(text), "{arguments:?} said:\n{said}");
    }
}
