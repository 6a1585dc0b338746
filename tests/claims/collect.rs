//! Collectors of the results of stages, killed and begun again, and owners who wait for them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use support::{Folder, Process, SOON, Stage, eventually, run};

use crate::claim;

/// Begins a run of one stage of this queue whose results are collected, and gives its id.
fn start(stage: &Stage, queue: &str) -> String {
    let path = stage.broker.folder().join("collected.json");
    let many = json!({ "name": "many", "kind": "open", "queue": queue, "collected": true });
    std::fs::write(&path, json!({ "steps": [many] }).to_string()).expect("a file");
    stage.cli(&["pipeline", "run", path.to_str().expect("UTF-8")]).trim_end().to_owned()
}

fn collector(stage: &Stage, id: &str) -> Process {
    Process::start(stage.program("claims_collector").args(["collect", id, "many", "claimed"]))
}

fn outcome(stage: &Stage, id: &str) -> Value {
    run(&mut stage.broker.cli(&["pipeline", "show", id, "--json"]), SOON).success().json()["outcome"].clone()
}

/// 10,000 results, collected by a process that is killed with -9 in the middle, three times, and the broker once: every one is collected,
/// none comes again after its acknowledgement, and the run is DONE behind the last.
#[test]
fn killed_collector() {
    let count = if cfg!(debug_assertions) { 1_000 } else { 10_000 };
    let folder = Folder::new();
    let store = folder.join("store");
    let mut stage = support::stage!(&["--store", store.to_str().expect("UTF-8")]);
    let _echo = Process::start(&mut stage.broker.cli(&["echo", "echo"]));
    stage.wait_for_workers("echo", 1);
    let id = start(&stage, "echo");
    let lines: String = (0..count).map(|i| format!("{i}\n")).collect();
    let path = stage.broker.folder().join("lines");
    std::fs::write(&path, lines).expect("a file");
    stage.cli(&["pipeline", "add", &id, "many", path.to_str().expect("UTF-8"), "--lines"]);
    stage.cli(&["pipeline", "close", &id, "many", "--count", &count.to_string()]);
    let mut lives: Vec<String> = Vec::new();
    for life in 1..=3 {
        let mut collecting = collector(&stage, &id);
        eventually("some are collected", SOON * 4, || {
            (collecting.stdout().lines().count() >= count / 5).then_some(())
        });
        collecting.kill();
        lives.push(collecting.stdout());
        if life == 2 {
            stage.broker.kill();
            stage.broker.restart();
        }
    }
    assert_eq!(outcome(&stage, &id), "RUNNING", "not all is collected");
    let last = collector(&stage, &id);
    last.line_with("drained", SOON * 4);
    lives.push(last.wait(SOON).success().text());

    let (mut payloads, mut acked) = (BTreeMap::new(), BTreeSet::new());
    let mut again = 0;
    for life in &lives {
        // The last line may be half of one.
        for line in life.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["got", job, payload] => {
                    again += usize::from(acked.contains(job));
                    payloads.insert(payload.to_owned(), job.to_owned());
                }
                ["acked", job] => drop(acked.insert(job.to_owned())),
                _ => {}
            }
        }
    }
    let is_done =
        eventually("the end of the run", SOON, || Some(outcome(&stage, &id)).filter(|is| is == "DONE"));
    claim(
        "killed_collector",
        format!(
            "{} distinct results of {count}, {again} of them again after their acknowledgement, the run {is_done}",
            payloads.len()
        ),
        "all, none, DONE",
    );
    assert_eq!((payloads.len(), again), (count, 0));
}

/// 100 jobs of x + 1, each added only when the acknowledgement of the one before has said its result: 100.
#[test]
fn hundred_steps_of_one() {
    let stage = support::stage!();
    let add =
        ["worker", "--queue", "increment", "--slots", "1", "--", "sh", "-c", "read x; printf $((x + 1))"];
    let _worker = Process::start(&mut stage.broker.cli(&add));
    stage.wait_for_workers("increment", 1);
    let id = start(&stage, "increment");
    let collecting = collector(&stage, &id);
    let mut program = stage.program("claims_collector");
    let said = run(program.args(["chain", &id, "many", "100"]), SOON * 4).success().text();
    collecting.line_with("drained", SOON);
    let is_done =
        eventually("the end of the run", SOON, || Some(outcome(&stage, &id)).filter(|is| is == "DONE"));
    claim("hundred_steps_of_one", format!("{}, the run {is_done}", said.trim()), "100, DONE");
    assert_eq!(said.trim(), "100");
}
