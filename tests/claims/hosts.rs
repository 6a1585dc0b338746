//! Hosts that execute jobs by plugins and by a command.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Process, SOON, Stage, command, eventually, json_lines, prefix, run};

use crate::{claim, median};

/// Jobs of one stream.
const STREAM: usize = 1_000;
/// Slots they are for.
const SLOTS: usize = 4;

/// How many files are counted.
const FILES: usize = 100;

/// `forebay worker --queue wc -- wc -c` counts the bytes of files; a program that exits 3 gives FAILED with its stderr.
#[test]
fn command_as_worker() {
    let stage = support::stage!();
    let host = Process::start(&mut stage.broker.cli(&["worker", "--queue", "wc", "--", "wc", "-c"]));
    let folder = stage.broker.folder().join("files");
    std::fs::create_dir(&folder).expect("a folder");
    let mut right = 0;
    for number in 0..FILES {
        let (path, len) = (folder.join(number.to_string()), number * number * 37);
        std::fs::write(&path, vec![b'x'; len]).expect("a file");
        let said = stage.cli(&["call", "wc", &path.display().to_string()]);
        right += usize::from(said.trim() == len.to_string());
    }
    host.stop(SOON).success();

    let script = "echo 'the colour is wrong' >&2; exit 3";
    let failing = ["worker", "--queue", "three", "--", "sh", "-c", script];
    let host = Process::start(&mut stage.broker.cli(&failing));
    let mut asked = stage.broker.cli(&["call", "three", "--data", "", "--attempts", "1", "--json"]);
    let said = json_lines(&run(&mut asked, SOON).code(1).text()).remove(0);
    host.stop(SOON).success();
    claim(
        "command_as_worker",
        format!("{right} of {FILES} files counted; exit 3 is {} with {}", said["outcome"], said["detail"]),
        format!("{FILES}, FAILED with its stderr"),
    );
    assert_eq!(right, FILES);
    assert_eq!((&said["outcome"], &said["detail"]), (&"FAILED".into(), &"the colour is wrong\n".into()));
}

/// A plugin that crashes on one of 1,000 jobs on 4 busy slots: 999 are done, the one is quarantined with its signal, the
/// function it crashed in and what it said last, and the broker knows within moments.
#[test]
fn crash_verdict() {
    let rounds = if cfg!(debug_assertions) { 3 } else { 20 };
    let stage = support::stage!();
    let host = host(&stage, SLOTS, &[]);
    let jobs: Vec<String> =
        (0..STREAM).map(|i| if i == STREAM / 2 { "poison".to_owned() } else { format!("job {i}") }).collect();
    let lines = stage.broker.folder().join("lines");
    std::fs::write(&lines, jobs.join("\n")).expect("a file");
    let (mut delays_ms, mut again) = (Vec::new(), 0);
    for _ in 0..rounds {
        let mut asked = stage.broker.cli(&["call", "claims", "--lines", "--json", "--in-flight", "100"]);
        let said = run(asked.arg(&lines), SOON * 2);
        let results = json_lines(&said.code(1).text());
        let done = results
            .iter()
            .zip(&jobs)
            .filter(|(result, job)| result["outcome"] == "DONE" && result["data"] == job.as_str());
        assert_eq!(done.count(), STREAM - 1, "another job was disturbed");
        // Only a job whose answer died with the process that had just done it is done once more.
        for result in results.iter().filter(|result| result["outcome"] == "DONE" && result["attempt"] != 1) {
            let shown = stage.cli(&["job", result["id"].as_str().expect("an id"), "--json"]);
            let job: Value = serde_json::from_str(&shown).expect("JSON");
            assert_eq!(job["history"][0]["how"], "crashed", "{job}");
            again += 1;
        }
        let poison = &results[STREAM / 2];
        assert_eq!(poison["outcome"], "QUARANTINED", "{poison}");
        delays_ms.extend(delays(&stage, poison["id"].as_str().expect("an id")));
    }
    let finished = host.stop(SOON).success();
    let restarts = finished.error_text().matches("started again").count();
    let ms = median(delays_ms);
    claim(
        "crash_verdict",
        format!(
            "{rounds} times 999 DONE and one QUARANTINED, {restarts} processes started again, verdict after {ms:.1} ms, \
             {again} jobs done again whose answers died with these processes"
        ),
        format!("{} processes, 100 ms, at most one job again for each", 2 * rounds),
    );
    assert!(again <= 2 * rounds);
    assert_eq!(restarts, 2 * rounds);
    assert!(ms <= 100.0);
}

/// A host of the plugin in tests/c, ready.
#[track_caller]
pub(crate) fn host(stage: &Stage, slots: usize, flags: &[&str]) -> Process {
    let plugin = stage.broker.folder().join("claims.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c/claims_plugin.c");
    prefix!().cc(&["-D_GNU_SOURCE", "-std=c11", "-g", "-shared", "-fPIC"], &source, &plugin);
    let mut host = command(prefix!().root().join("bin/forebay"));
    host.args(["worker", "--slots", &slots.to_string(), "--load"]).arg(&plugin).args(flags);
    let host = Process::start(host.env("FOREBAY_BROKER", stage.broker.endpoint()));
    host.line_where("slots that serve", SOON, |line| line.contains(" claims") && line.contains("slot"));
    host
}

/// A handler in an endless loop: the run timeout ends it by the steps, the slot serves the next job, and the history says
/// which steps were taken and where it stood.
#[test]
fn escalation() {
    const GRACE_MS: u64 = 300;
    let stage = support::stage!();
    let grace = format!("{GRACE_MS}ms");
    let host = host(&stage, 1, &["--grace", &grace, "--kill-grace", &grace]);
    let said = stage.cli(&["submit", "claims", "--data", "spin", "--run-ms", "300", "--attempts", "1"]);
    let id = said.trim().to_owned();
    let ended = run(&mut stage.broker.cli(&["wait", &id]), SOON).code(1).error_text();
    let (over, next) = (Instant::now(), stage.cli(&["call", "claims", "--data", "next"]));
    let ms = over.elapsed().as_millis() as u64;
    let job: Value = serde_json::from_str(&stage.cli(&["job", &id, "--json"])).expect("JSON");
    host.stop(SOON).success();
    let attempt = &job["history"][0];
    let seen = attempt["evidence"].as_str().unwrap_or_default();
    claim(
        "escalation",
        format!(
            "{} by {}; the next job was served {ms} ms later; it stood in {}",
            job["outcome"],
            ["SIGTERM", "SIGKILL"]
                .into_iter()
                .filter(|step| seen.contains(step))
                .collect::<Vec<_>>()
                .join(" and "),
            seen.split("#0 ").nth(1).and_then(|rest| rest.lines().next()).unwrap_or("nowhere"),
        ),
        format!("TIMED_OUT by SIGTERM and SIGKILL, no sooner than {} ms, in spin", 2 * GRACE_MS),
    );
    assert!(ended.contains("TIMED_OUT"), "{ended}");
    assert_eq!((next.trim(), &attempt["how"]), ("next", &"run timeout".into()), "{job}");
    assert!(seen.contains("SIGTERM; where it stood:\n#0 spin+0x") && seen.contains("SIGKILL"), "{seen}");
    // The host hears of the end when the client does, give or take a moment.
    assert!(ms + 100 >= 2 * GRACE_MS, "{ms} ms");
}

/// Slot processes that live for moments only, under many clients: every answer is right, none is lost, and neither descriptors
/// nor memory grow.
#[test]
fn short_lives() {
    let size = |name: &str, usual: u64| match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}; a number is right")),
        Err(_) => usual,
    };
    let (seconds, age_s) = (size("FOREBAY_LIVES_SECONDS", 12), size("FOREBAY_LIVES_AGE_SECONDS", 1));
    let (children, clients) = (size("FOREBAY_LIVES_CHILDREN", 10), size("FOREBAY_LIVES_CLIENTS", 5));
    let mut stage = support::stage!();
    let broker = stage.broker.process().pid();
    let (age, delta) = (format!("{age_s}s"), format!("{}ms", age_s * 500));
    let host = host(&stage, children as usize, &["--max-age", &age, "--max-age-delta", &delta]);
    let jobs: Vec<String> = (0..500).map(|i| format!("job {i}")).collect();
    let lines = stage.broker.folder().join("lines");
    std::fs::write(&lines, jobs.join("\n")).expect("a file");
    let until = Instant::now() + Duration::from_secs(seconds);
    let call = || {
        let mut right = 0;
        while Instant::now() < until {
            let mut asked = stage.broker.cli(&["call", "claims", "--lines", "--json", "--in-flight", "8"]);
            let results = json_lines(&run(asked.arg(&lines), SOON * 2).success().text());
            let is_right = |(result, job): &(&Value, &String)| result["data"] == job.as_str();
            assert_eq!(results.iter().zip(&jobs).filter(is_right).count(), jobs.len(), "an answer is wrong");
            right += jobs.len();
        }
        right
    };
    let watched = [broker, host.pid()];
    let (answers, used) = thread::scope(|scope| {
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(call)).collect();
        let mut used = Vec::new();
        while Instant::now() < until {
            used.push(watched.map(uses));
            thread::sleep(Duration::from_millis(100));
        }
        (threads.into_iter().map(|thread| thread.join().expect("a client")).sum::<usize>(), used)
    });
    let replaced = host.stop(SOON).success().error_text().matches("and is replaced").count();
    let (early, late) = (&used[used.len() / 4..used.len() / 2], &used[used.len() * 3 / 4..]);
    let most = |of: &[[(u64, u64); 2]], i: usize, what: fn((u64, u64)) -> u64| {
        of.iter().map(|one| what(one[i])).max().unwrap_or(0)
    };
    let fds = [0, 1].map(|i| (most(early, i, |(fds, _)| fds), most(late, i, |(fds, _)| fds)));
    let kib = [0, 1].map(|i| (most(early, i, |(_, kib)| kib), most(late, i, |(_, kib)| kib)));
    claim(
        "short_lives",
        format!(
            "{answers} answers, all right, by {children} slots, {replaced} times replaced, over {seconds} s; descriptors of \
             broker and host {fds:?}, KiB of memory {kib:?}, most of the second and of the last quarter"
        ),
        "all right, descriptors +25 %, memory +25 % and 16 MiB",
    );
    assert!(replaced as u64 >= children * seconds / 4 / age_s, "{replaced}");
    assert!(fds.iter().all(|(early, late)| *late <= early + early / 4 + 8), "{fds:?}");
    assert!(kib.iter().all(|(early, late)| *late <= early + early / 4 + (16 << 10)), "{kib:?}");
}

/// Descriptors of a process, and KiB of its memory.
fn uses(pid: u32) -> (u64, u64) {
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |entries| entries.count() as u64);
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    (fds, pages * 4)
}

/// Between each crash, which the plugin says the time of, and the broker's word that the attempt is over.
#[track_caller]
fn delays(stage: &Stage, id: &str) -> Vec<f64> {
    let job: Value = eventually("the job's history", SOON, || {
        let job: Value = serde_json::from_str(&stage.cli(&["job", id, "--json"])).ok()?;
        (job["history"].as_array().map(Vec::len) == Some(2)).then_some(job)
    });
    assert_eq!(
        (&job["history"][0]["how"], &job["history"][0]["code"]),
        (&"crashed".into(), &"SIGSEGV".into())
    );
    let detail = job["detail"].as_str().expect("the evidence");
    for part in ["SIGSEGV (11)", "#0 swallow+0x", "#1 handle+0x", "claims: poison at "] {
        assert!(detail.contains(part), "no {part:?} in {detail}");
    }
    let attempts = job["history"].as_array().expect("a history");
    let took = |attempt: &Value| {
        let said = attempt["message"].as_str()?.split("poison at ").nth(1)?;
        let crashed_ms: f64 = said.trim_end_matches('"').parse().ok()?;
        Some(attempt["ended_ms"].as_f64()? - crashed_ms)
    };
    attempts.iter().map(|attempt| took(attempt).expect("both times")).collect()
}
