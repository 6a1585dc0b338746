//! Runs of pipelines: the order of their steps, over a restart of the broker too, and what is said of those that end badly.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use support::{Folder, Process, SOON, Stage, Worker, eventually, run};

use crate::claim;

/// Steps of each half: as claimed in an optimised build, fewer otherwise.
const HALF: usize = if cfg!(debug_assertions) { 100 } else { 500 };
/// What each of the first half takes.
const STEP_S: f64 = 0.01;
const WORKERS: usize = 4;

fn show(stage: &Stage, id: &str) -> Value {
    run(&mut stage.broker.cli(&["pipeline", "show", id, "--json"]), SOON).success().json()
}

/// Begins a run of these steps and gives its id.
fn start(stage: &Stage, steps: Value) -> String {
    let path = stage.broker.folder().join("run.json");
    std::fs::write(&path, json!({ "name": "claimed", "steps": steps }).to_string()).expect("a file");
    stage.cli(&["pipeline", "run", path.to_str().expect("UTF-8")]).trim_end().to_owned()
}

/// 500 steps of 10 ms before 500 others, each of which needs all of the first, with 4 workers and the broker killed with -9 in
/// the middle of the first and of the second half: not one of the second begins before the last of the first is done.
#[test]
fn first_before_second() {
    let folder = Folder::new();
    let store = folder.join("store");
    let mut stage = support::stage!(&["--store", store.to_str().expect("UTF-8"), "--reattach-ms", "5000"]);
    let workers: Vec<Worker> = (0..WORKERS).map(|_| stage.worker_unawaited("work")).collect();
    stage.wait_for_workers("work", WORKERS);
    let first: Vec<String> = (0..HALF).map(|i| format!("first {i}")).collect();
    let mut steps: Vec<Value> = first
        .iter()
        .map(|name| json!({ "name": name, "queue": "work", "data": format!("burn {STEP_S}") }))
        .collect();
    steps.extend((0..HALF).map(
        |i| json!({ "name": format!("second {i}"), "queue": "work", "data": "echo x", "after": first }),
    ));
    let id = start(&stage, steps.into());
    let begun = |workers: &[Worker]| workers.iter().map(|worker| worker.starts().len()).sum::<usize>();
    for part in [HALF / 2, HALF + HALF / 4] {
        eventually("the middle", SOON * 2, || (begun(&workers) >= part).then_some(()));
        stage.broker.kill();
        stage.broker.restart();
    }
    let shown = eventually("the end of the run", SOON * 2, || {
        Some(show(&stage, &id)).filter(|shown| shown["stage"] == "ended")
    });
    assert_eq!(
        (&shown["outcome"], &shown["steps_done"]),
        (&"DONE".into(), &(2 * HALF).into()),
        "{}",
        shown["message"]
    );

    let steps = shown["step_list"].as_array().expect("its steps");
    let ids =
        |half: &[Value]| half.iter().map(|step| step["job"].as_str().expect("an id").to_owned()).collect();
    let (first, second): (BTreeSet<String>, BTreeSet<String>) = (ids(&steps[..HALF]), ids(&steps[HALF..]));
    let starts: Vec<_> = workers.iter().flat_map(|worker| worker.starts()).collect();
    let early = starts.iter().filter(|start| second.contains(&start.id)).map(|start| start.at_us).min();
    let early = early.expect("a second step");
    let late = starts.iter().filter(|start| first.contains(&start.id) && start.at_us >= early).count();
    // By the broker's clock: the last of the first half had ended when the first of the second was queued.
    let moment = |step: &Value, field: &str| step[field].as_u64().expect("a time");
    let ended = steps[..HALF].iter().map(|step| moment(step, "ended_ms")).max();
    let overtaken = steps[HALF..].iter().filter(|step| Some(moment(step, "queued_ms")) < ended).count();
    claim(
        "first_before_second",
        format!(
            "{HALF} and {HALF} steps, the broker killed twice: {} done, {} begun by the workers, {late} of the first begun and \
             {overtaken} of the second queued out of turn",
            shown["steps_done"],
            starts.len()
        ),
        "all done, none out of turn",
    );
    assert_eq!((late, overtaken), (0, 0));
    let distinct: BTreeSet<_> = starts.iter().map(|start| &start.id).collect();
    assert_eq!(distinct.len(), 2 * HALF);
}

/// 1,000 jobs added to an open stage by ten processes, one after the other, with the broker killed with -9 between two of them and again
/// before the stage is closed: what comes behind is given every result once, in the order of the adding, and only then.
#[test]
fn stage_over_restarts() {
    const PARTS: usize = 10;
    let part_len = if cfg!(debug_assertions) { 10 } else { 100 };
    let folder = Folder::new();
    let store = folder.join("store");
    let mut stage = support::stage!(&["--store", store.to_str().expect("UTF-8"), "--reattach-ms", "5000"]);
    let _echo = Process::start(&mut stage.broker.cli(&["echo", "echo"]));
    let workers: Vec<Worker> = (0..WORKERS).map(|_| stage.worker_unawaited("work")).collect();
    stage.wait_for_workers("work", WORKERS);
    let many = json!({ "name": "many", "kind": "open", "queue": "work" });
    let id = start(&stage, json!([many, { "name": "behind", "queue": "echo", "needs": ["many"] }]));
    let words: Vec<String> = (0..PARTS * part_len).map(|i| format!("{i},")).collect();
    for (part, words) in words.chunks(part_len).enumerate() {
        let lines: String = words.iter().map(|word| format!("echo {word}\n")).collect();
        let path = stage.broker.folder().join("lines");
        std::fs::write(&path, lines).expect("a file");
        let added = stage.cli(&["pipeline", "add", &id, "many", path.to_str().expect("UTF-8"), "--lines"]);
        assert_eq!(added.lines().count(), part_len);
        if [PARTS / 2, PARTS - 1].contains(&part) {
            stage.broker.kill();
            stage.broker.restart();
        }
    }
    let close = |count: usize| {
        run(&mut stage.broker.cli(&["pipeline", "close", &id, "many", "--count", &count.to_string()]), SOON)
    };
    let wrong = close(words.len() + 1).error_text();
    let early = show(&stage, &id)["step_list"][1]["job"].clone();
    close(words.len()).success();
    let late = run(&mut stage.broker.cli(&["pipeline", "add", &id, "many", "--data", "echo x"]), SOON);
    let result = stage.cli(&["wait", &id]);
    let starts: Vec<_> = workers.iter().flat_map(|worker| worker.starts()).collect();
    let distinct: BTreeSet<_> = starts.iter().map(|start| &start.id).collect();
    claim(
        "stage_over_restarts",
        format!(
            "{} jobs added by {PARTS} processes, the broker killed twice: {} begun, {} bytes of result, in order: {}",
            words.len(),
            distinct.len(),
            result.len(),
            result == words.concat()
        ),
        "each once, in the order of the adding, nothing behind before the stage is closed",
    );
    assert!(wrong.contains("ERR_STATE") && wrong.contains("it stays open"), "{wrong}");
    assert!(late.error_text().contains("is closed"), "{}", late.error_text());
    assert_eq!((early, distinct.len()), (Value::Null, words.len()));
    assert_eq!(result, words.concat());
}

/// A failing step, a cancelled run, one held for its context and an unknown queue: each is told plainly by `pipeline show`.
#[test]
fn runs_that_end_badly_say_why() {
    let stage = support::stage!();
    let _worker = stage.worker("work", 1);
    let chain = |first: Value| {
        start(
            &stage,
            json!([first, { "name": "behind", "queue": "work", "data": "echo x", "needs": ["first"] }]),
        )
    };
    let told = |id: &str| stage.cli(&["pipeline", "show", id]);
    let failing = chain(json!({ "name": "first", "queue": "work", "data": "fail no good" }));
    eventually("its end", SOON, || (show(&stage, &failing)["stage"] == "ended").then_some(()));
    let waiting = chain(json!({ "name": "first", "queue": "nowhere", "data": "x" }));
    let unknown = told(&waiting);
    stage.cli(&["cancel", &waiting, "--reason", "no longer wanted"]);
    let (failed, cancelled) = (told(&failing), told(&waiting));
    let path = stage.broker.folder().join("run.json");
    let held = stage.cli(&["pipeline", "run", "--hold", path.to_str().expect("UTF-8")]);
    let waits = told(held.trim_end());
    stage.cli(&["pipeline", "context", held.trim_end(), "for somebody"]);
    let begun = told(held.trim_end());
    stage.cli(&["cancel", held.trim_end()]);
    let expected = [
        (&waits, "WAITING (held), 0 of 2 steps done"),
        (&waits, "it is held until it has its context"),
        (&waits, "the run waits for its context"),
        (&begun, "RUNNING, 0 of 2 steps done"),
        (&begun, "context: for somebody"),
        (&failed, "FAILED, 0 of 2 steps done"),
        (&failed, "step \"first\" ended FAILED: no good"),
        (&failed, "the run ended before it"),
        (&unknown, "RUNNING, 0 of 2 steps done"),
        (&unknown, "no worker serves queue \"nowhere\""),
        (&unknown, "waits for first"),
        (&cancelled, "CANCELLED, 0 of 2 steps done"),
        (&cancelled, "no longer wanted"),
    ];
    let said = expected.iter().filter(|(text, wanted)| text.contains(wanted)).count();
    claim(
        "runs_that_end_badly_say_why",
        format!("{said} of {} sentences there", expected.len()),
        "all of them, on a failing step, a cancelled run, one held for its context and an unknown queue",
    );
    for (text, wanted) in expected {
        assert!(text.contains(wanted), "no {wanted:?} in\n{text}");
    }
}

/// 30,000 runs of two steps, a no-op and 10 ms of work, twice: the last 1,000 submissions take as long as the first 1,000 though
/// most runs before them still go on, and when all have ended and their retention is over, memory is what it was.
#[test]
fn many_runs_stay_cheap() {
    let is_claimed = std::env::var_os("FOREBAY_BENCH_ASSERT").is_some_and(|value| value == "1");
    let (count, sample, work_s) =
        if is_claimed { (30_000, "1000", "0.01") } else { (1_500, "300", "0.0002") };
    let mut stage = support::stage!(&["--retention-ms", "1000"]);
    let _echo = Process::start(&mut stage.broker.cli(&["echo", "echo"]));
    let _workers: Vec<Worker> = (0..2).map(|_| stage.worker_unawaited("work")).collect();
    stage.wait_for_workers("work", 2);
    stage.wait_for_workers("echo", 1);
    let mut round = || {
        let mut program = stage.program("claims_runs");
        let said = run(program.args([&count.to_string(), sample, work_s]), SOON * 20).success().text();
        let words: Vec<&str> = said.split_whitespace().collect();
        let ["first", first, "last", last, "done", done] = words[..] else { panic!("{said}") };
        assert_eq!(done.parse(), Ok(count), "{said}");
        let ratio = last.parse::<f64>().expect("a number") / first.parse::<f64>().expect("a number");
        // The last acknowledgement may still be on its way, and what is remembered goes when something happens after its time.
        eventually("nothing is left", SOON, || {
            let status = stage.status();
            let listed = run(&mut stage.broker.cli(&["pipeline", "list", "--json"]), SOON).success().json();
            (status["memory_bytes"] == 0 && listed["runs"].as_array().is_some_and(Vec::is_empty))
                .then_some(())
        });
        (said.trim().to_owned(), ratio, memory_of(stage.broker.process().pid()))
    };
    let (said, ratio, before) = round();
    let (_, _, after) = round();
    claim(
        "many_runs_stay_cheap",
        format!(
            "{count} runs: {said} (us), last to first {ratio:.2}; the broker's memory {before} kB and then {after} kB"
        ),
        "1.2, when FOREBAY_BENCH_ASSERT is 1; memory at most 1.2 of itself and 8 MB",
    );
    assert!(!is_claimed || ratio <= 1.2);
    assert!(after <= before + before / 5 + 8_192, "{before} kB and then {after} kB");
}

/// 16 steps whose ends come in 1,000 random orders, of a program that is client and worker in C: after each, exactly those have begun
/// whose needs are done.
#[test]
fn sixteen_steps_in_a_thousand_orders() {
    const RUNS: u64 = 1_000;
    const STEPS: u64 = 16;
    let stage = support::stage!(&[]);
    let said = run(stage.program("claims_orders").args([&RUNS.to_string(), "7"]), SOON * 10).success().text();
    let words: Vec<&str> = said.split_whitespace().collect();
    let ["runs", runs, "ends", ends, "orders", orders] = words[..] else { panic!("{said}") };
    claim(
        "sixteen_steps_in_a_thousand_orders",
        format!("{runs} runs in {orders} different orders, right after each of {ends} ends"),
        "1000 runs, 16000 ends; 900 orders",
    );
    assert_eq!((runs.parse(), ends.parse()), (Ok(RUNS), Ok(RUNS * STEPS)));
    assert!(orders.parse::<u64>().is_ok_and(|orders| orders >= 900), "{said}");
}

/// Kilobytes of a process's memory.
fn memory_of(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process's status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
