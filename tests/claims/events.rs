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

    let subscription = Process::start(&mut stage.broker.cli(&["events", "--queue", "square", "--json"]));
    client.wait(SOON * 4).success();
    eventually("the end of every job in the events", SOON, || {
        (subscription.stdout().matches(r#""event":"ended""#).count() >= JOBS).then_some(())
    });
    let events = json_lines(&subscription.stop(SOON).text());

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
    // A job may be handed to and fro before it begins; what begins and ends it is there once, and in order.
    let is_whole = |events: &Vec<&str>| {
        let begun = events.iter().filter(|event| **event == "started").count();
        let ends = events.iter().filter(|event| matches!(**event, "accepted" | "ended")).count();
        events.first() == Some(&"accepted") && events.last() == Some(&"ended") && (begun, ends) == (1, 2)
    };
    let broken = by_job.iter().find(|(_, events)| !is_whole(events));
    assert_eq!(broken, None);
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "numbers only grow");
}
