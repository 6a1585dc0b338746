//! What hosts report of their slots, as `forebay status` shows it.

use serde_json::Value;
use support::{Broker, Process, SOON, binary, eventually, json_lines, run};

use crate::rig::{self, Host, odd};

/// The hosts as `forebay status --json` has them.
fn hosts(broker: &Broker) -> Vec<Value> {
    let said = run(&mut broker.cli(&["status", "--json"]), SOON).success().json();
    said["host_list"].as_array().cloned().unwrap_or_default()
}

/// The slots of the first host that fit.
fn slots(broker: &Broker, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
    let hosts = hosts(broker);
    let slots = hosts.first().and_then(|host| host["slot_list"].as_array()).cloned().unwrap_or_default();
    slots.into_iter().filter(fits).collect()
}

/// A host of a plugin tells what each of its processes does; a worker of no host is there with what the broker knows; and nothing of a host
/// is left when it is gone.
#[test]
fn a_plugins_slots_are_there_with_their_jobs_and_what_they_use() {
    let broker = Broker::start(binary!());
    let plugin = odd(broker.folder(), "odd", &[]);
    let gate = broker.folder().join("gate");
    let host = Host::start(
        &broker,
        &["--load", &plugin.display().to_string(), "--slots", "2", "--report-every", "100ms"],
    );
    host.ready();
    let id = rig::submit(&broker, "odd", &gate.display().to_string(), 1).remove(0);
    let working = eventually("the job in a slot", SOON, || {
        slots(&broker, |slot| slot["job"] == id.as_str() && slot["cpu_percent"].is_number()).pop()
    });
    assert_eq!((&working["state"], &working["attempt"]), (&"working".into(), &1.into()), "{working}");
    assert_eq!((&working["queue"], &working["progress"]), (&"odd".into(), &0.5.into()), "{working}");
    assert_eq!(working["pid"].as_u64(), rig::running(&broker).first().copied(), "{working}");
    assert!(working["rss_bytes"].as_u64().is_some_and(|bytes| bytes > 100_000), "{working}");
    let about = &hosts(&broker)[0];
    assert_eq!(
        (&about["name"], &about["slots"], &about["working"]),
        (&"odd".into(), &2.into(), &1.into()),
        "{about}"
    );
    assert_eq!((&about["queues"][0], &about["every_ms"]), (&"odd".into(), &100.into()), "{about}");
    assert!(about["machine"]["memory_free_bytes"].as_u64().is_some_and(|bytes| bytes > 1 << 20), "{about}");
    let older = working["running_ms"].as_u64().expect("an age");
    eventually("the job to be older", SOON, || {
        slots(&broker, |slot| slot["running_ms"].as_u64().is_some_and(|ms| ms > older + 100)).pop()
    });

    let said = run(&mut broker.cli(&["status", "--workers"]), SOON).success().text();
    assert!(said.contains("odd 1") && said.contains("50 %") && said.contains(&id), "{said}");
    std::fs::write(&gate, b"").expect("a file");
    rig::result(&broker, &id).success();
    eventually("the slot to be idle again", SOON, || {
        slots(&broker, |slot| slot["state"] == "idle" && slot["handled"] == 1 && slot["job"].is_null()).pop()
    });
    host.ends_well();
    eventually("the host to be forgotten", SOON, || hosts(&broker).is_empty().then_some(()));
}

/// A command's host tells of the processes that do its jobs. Records come a line each.
#[test]
fn a_commands_slots_are_there_too_and_records_are_lines() {
    let broker = Broker::start(binary!());
    let gate = broker.folder().join("gate");
    let flags = ["worker", "--queue", "sh", "--slots", "2", "--name", "shell", "--report-every", "50ms"];
    let script = "read gate; while [ ! -e \"$gate\" ]; do sleep 0.05; done; echo through";
    let host = Process::start(broker.cli(&flags).args(["--", "sh", "-c", script]));
    let records = Process::start(&mut broker.cli(&["status", "--every", "50ms"]));
    let id = rig::submit(&broker, "sh", &format!("{}\n", gate.display()), 1).remove(0);
    let is_it = |slot: &Value| slot["job"] == id.as_str() && slot["pid"].is_number();
    let slot = eventually("the job in a slot", SOON, || slots(&broker, is_it).pop());
    let line = std::fs::read(format!("/proc/{}/cmdline", slot["pid"])).expect("the command's process");
    assert!(line.starts_with(b"sh\0-c") || line.windows(4).any(|part| part == b"sh\0-"), "{slot}");
    assert_eq!((&slot["state"], &slot["queue"]), (&"working".into(), &"sh".into()), "{slot}");
    std::fs::write(&gate, b"").expect("a file");
    assert_eq!(rig::result(&broker, &id).success().text(), "through\n");
    eventually("the slots to be idle", SOON, || {
        let idle = slots(&broker, |slot| slot["state"] == "idle" && slot["pid"].is_null());
        (idle.len() == 2).then_some(())
    });
    assert_eq!(hosts(&broker)[0]["name"], "shell");
    host.stop(SOON).success();
    let text = records.stdout();
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    let lines = json_lines(whole);
    assert!(lines.iter().any(|record| record["host_list"][0]["working"] == 1), "{whole}");
    let times: Vec<_> = lines.iter().map(|record| record["time_ms"].as_u64().expect("a time")).collect();
    assert!(times.is_sorted(), "{times:?}");
}

/// A worker of a program of its own is told of with what the broker knows of it, and is not taken for a host's.
#[test]
fn a_worker_of_no_host_is_told_of_beside() {
    let stage = support::stage!();
    let plain = Process::start(&mut stage.example("examples-c/hello_worker"));
    stage.wait_for_workers("hello", 1);
    let host =
        Process::start(stage.broker.cli(&["worker", "--queue", "c", "--slots", "1"]).args(["--", "cat"]));
    let said = eventually("the host", SOON, || {
        let said: Value = serde_json::from_str(&stage.cli(&["status", "--json"])).ok()?;
        said["host_list"][0]["queues"].as_array().is_some_and(|queues| queues.len() == 1).then_some(said)
    });
    let others = said["other_workers"].as_array().expect("a list");
    assert_eq!(others.len(), 1, "{said}");
    assert_eq!(others[0]["pid"].as_u64(), Some(plain.pid().into()), "{said}");
    assert!(others[0]["age_ms"].is_number() && others[0]["free"].is_number(), "{said}");
    let text = stage.cli(&["status"]);
    assert!(text.contains("HOST") && text.contains("WORKER") && text.contains("hello"), "{text}");
    host.stop(SOON).success();
}
