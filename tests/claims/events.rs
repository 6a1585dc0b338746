//! The stream of events is complete, whenever it is asked for.

use std::collections::BTreeMap;

use serde_json::Value;
use support::{Process, SOON, eventually, json_lines};

use crate::claim;

/// How many jobs.
const JOBS: usize = 10_000;
/// How many have ended before somebody asks.
const BEFORE: u64 = 1_000;

/// 10,000 events for 10,000 jobs, some of which ended before the subscription.
#[test]
fn events_complete() {
    let stage = support::stage!();
    let _workers = [(); 2].map(|()| Process::start(&mut stage.example("examples-c/square_worker")));
    stage.wait_for_workers("square", 2);
    let mut client = stage.example("examples-c/square_client");
    let client = Process::start(client.arg(JOBS.to_string()));
    let before = eventually("the first jobs to end", SOON, || {
        let done = stage.status()["counters"]["done"].as_u64()?;
        (done >= BEFORE).then_some(done)
    });

    // Three for each job: accepted, started, ended.
    let wanted = (3 * JOBS).to_string();
    let events =
        Process::start(&mut stage.broker.cli(&["events", "--queue", "square", "--json", "-n", &wanted]));
    client.wait(SOON * 4).success();
    let events = json_lines(&events.wait(SOON * 2).success().text());

    let mut by_job = BTreeMap::<&str, Vec<&str>>::new();
    let mut numbers: Vec<u64> = Vec::new();
    for event in &events {
        numbers.push(event["number"].as_u64().expect("a number"));
        let name = |field: &str| -> &str { event[field].as_str().unwrap_or_else(|| panic!("{event}")) };
        by_job.entry(name("job")).or_default().push(name("event"));
    }
    let ended = |event: &&Value| event["event"] == "ended" && event["outcome"] == "DONE";
    let ended = events.iter().filter(ended).count();
    claim(
        "events_complete",
        format!("{ended} jobs ended by the events, {before} of them before the subscription"),
        format!("{JOBS} of {JOBS}"),
    );
    assert_eq!((ended, by_job.len()), (JOBS, JOBS));
    assert!(by_job.values().all(|events| events == &["accepted", "started", "ended"]), "in order, each once");
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "numbers only grow");
}
