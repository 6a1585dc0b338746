//! Worker hosts as `forebay status` shows them: each in a line, and what its slots do.

use comfy_table::Table;
use serde_json::Value;

use crate::cli::ask::{count, rows, text};
use crate::cli::{show, time};

/// Hosts, a line each.
pub(crate) fn table(hosts: &[Value]) -> Table {
    let mut table = show::table();
    table.set_header([
        "HOST", "WHERE", "PID", "UP", "SLOTS", "WORKING", "DONE", "CPU", "MEMORY", "HEARD", "QUEUES",
    ]);
    for host in hosts {
        let queues: Vec<&str> = rows(host, "queues").iter().filter_map(Value::as_str).collect();
        table.add_row([
            text(host, "name").to_owned(),
            text(host, "host").to_owned(),
            count(host, "pid").to_string(),
            time::age(count(host, "age_ms")),
            count(host, "slots").to_string(),
            count(host, "working").to_string(),
            count(host, "done").to_string(),
            percent(&host["cpu_percent"]),
            memory(&host["rss_bytes"]),
            time::age(count(host, "reported_ms")),
            queues.join(" "),
        ]);
    }
    table
}

/// What the slots of these hosts do, a line each.
pub(crate) fn slots(hosts: &[Value]) -> Table {
    let mut table = show::table();
    table.set_header(["SLOT", "PID", "STATE", "HANDLED", "CPU", "MEMORY", "QUEUE", "JOB", "AGE", "PROGRESS"]);
    for host in hosts {
        for slot in rows(host, "slot_list") {
            table.add_row([
                format!("{} {}", text(host, "name"), count(slot, "slot")),
                slot["pid"].as_u64().map_or(String::new(), |pid| pid.to_string()),
                text(slot, "state").to_owned(),
                count(slot, "handled").to_string(),
                percent(&slot["cpu_percent"]),
                memory(&slot["rss_bytes"]),
                text(slot, "queue").to_owned(),
                text(slot, "job").to_owned(),
                slot["running_ms"].as_u64().map_or(String::new(), time::age),
                progress(slot),
            ]);
        }
    }
    table
}

/// Processor time for people, 100 % is one core.
pub(crate) fn percent(cpu: &Value) -> String {
    cpu.as_f64().map_or(String::new(), |percent| format!("{percent:.0} %"))
}

/// Memory for people.
pub(crate) fn memory(bytes: &Value) -> String {
    bytes.as_u64().map_or(String::new(), show::bytes)
}

/// How far a slot's job is, as it said.
pub(crate) fn progress(slot: &Value) -> String {
    slot["progress"].as_f64().map_or(String::new(), |fraction| format!("{:.0} %", fraction * 100.0))
}
