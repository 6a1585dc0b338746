//! Jobs on the command line: sent, waited for, cancelled and watched, through a broker process.

use std::time::Duration;

use serde_json::Value;
use support::{Broker, Process, SOON, binary, eventually, run};

/// A broker with a worker that echoes the queue "echo".
fn with_echo() -> (Broker, Process) {
    let broker = Broker::start(binary!());
    let worker = Process::start(&mut broker.cli(&["echo", "echo"]));
    (broker, worker)
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[test]
fn a_call_gives_back_any_bytes() {
    let (broker, _worker) = with_echo();
    let all: Vec<u8> = (0..=255).collect();
    for payload in [&b""[..], b"x", &[0; 33], &[255; 34], &all, &vec![7; 1 << 20]] {
        let mut call = Process::start(&mut broker.cli(&["call", "echo", "-"]));
        call.write(payload);
        call.close_stdin();
        let finished = call.wait(SOON).success();
        assert!(finished.stdout == payload, "{} bytes came back otherwise", payload.len());
        assert!(finished.stderr.is_empty(), "{}", finished.error_text());
    }
    let file = broker.folder().join("payload");
    std::fs::write(&file, &all).expect("a file");
    let from_file = run(&mut broker.cli(&["call", "echo", file.to_str().expect("UTF-8")]), SOON).success();
    assert_eq!(from_file.stdout, all);
    let json = run(&mut broker.cli(&["call", "echo", "--data", "héllo", "--json"]), SOON).success().json();
    assert_eq!(json["outcome"], "DONE");
    assert_eq!(json["data"], "héllo");
    assert_eq!(json["attempt"], 1);
}

#[test]
fn the_default_address_is_found_by_everybody_and_private() {
    use std::os::unix::fs::PermissionsExt;
    let home = support::Folder::new();
    let start = |arguments: &[&str]| {
        let mut command = support::command(binary!());
        command.args(arguments).env("XDG_RUNTIME_DIR", home.path());
        command
    };
    let broker = Process::start(&mut start(&["broker", "--memory"]));
    let line = broker.line_with("listening on ", SOON);
    let path = line.strip_prefix("listening on ipc://").expect("ipc");
    assert!(path.starts_with(home.path().to_str().expect("UTF-8")), "{path}");
    let folder = std::path::Path::new(path).parent().expect("a folder");
    assert_eq!(std::fs::metadata(folder).expect("the folder").permissions().mode() & 0o777, 0o700);
    let _worker = Process::start(&mut start(&["echo", "echo"]));
    assert_eq!(run(&mut start(&["call", "echo", "--data", "x"]), SOON).success().stdout, b"x");
}

#[test]
fn lines_are_jobs_and_results_come_in_order() {
    let (broker, _worker) = with_echo();
    let input: String = (0..3_000).map(|i| format!("line {i}\n")).collect();
    let mut call = Process::start(&mut broker.cli(&["call", "echo", "--lines", "--in-flight", "100"]));
    call.write(input.as_bytes());
    call.close_stdin();
    assert_eq!(call.wait(SOON).success().text(), input);
    let mut call = Process::start(&mut broker.cli(&["call", "echo", "--lines", "--json"]));
    call.write(b"one\r\n\nthree");
    call.close_stdin();
    let results = json_lines(&call.wait(SOON).success().text());
    let data: Vec<_> = results.iter().map(|result| result["data"].as_str().expect("text")).collect();
    assert_eq!(data, ["one", "", "three"]);
}

/// A result is there as soon as its turn has come, although more lines may follow.
#[test]
fn lines_are_answered_while_the_input_goes_on() {
    let (broker, _worker) = with_echo();
    let mut call = Process::start(&mut broker.cli(&["call", "echo", "--lines"]));
    for i in 0..3 {
        call.write(format!("line {i}\n").as_bytes());
        call.line_where("its answer", SOON, |line| line == format!("line {i}"));
    }
    call.close_stdin();
    call.wait(SOON).success();
}

#[test]
fn submit_and_wait_are_two_processes() {
    let (broker, _worker) = with_echo();
    let submit = |text: &str| {
        run(&mut broker.cli(&["submit", "echo", "--data", text]), SOON).success().text().trim_end().to_owned()
    };
    let (one, two) = (submit("one"), submit("two"));
    let kept = run(&mut broker.cli(&["wait", "--keep", &one]), SOON).success();
    assert_eq!(kept.text(), "one");
    let both = run(&mut broker.cli(&["wait", &two, &one]), SOON).success();
    assert_eq!(both.text(), "two\none\n");
    let gone = run(&mut broker.cli(&["wait", &one, "--timeout", "5s"]), SOON).code(5);
    assert!(gone.error_text().contains(&one), "{}", gone.error_text());
    let mut lines = Process::start(&mut broker.cli(&["submit", "echo", "--lines", "--json"]));
    lines.write(b"a\nb\n");
    lines.close_stdin();
    let jobs = json_lines(&lines.wait(SOON).success().text());
    assert_eq!(jobs.len(), 2);
    assert_eq!(jobs[0]["queue"], "echo");
}

/// Nobody takes the jobs, and the broker keeps them in memory only: a client holds 10,000 of those at most.
#[test]
fn more_lines_than_a_client_holds_are_submitted() {
    let broker = Broker::start(binary!());
    let input: String = (0..12_000).map(|i| format!("{i}\n")).collect();
    let mut lines = Process::start(&mut broker.cli(&["submit", "nobody", "--lines"]));
    lines.write(input.as_bytes());
    lines.close_stdin();
    assert_eq!(lines.wait(SOON).success().text().lines().count(), 12_000);
    let status = run(&mut broker.cli(&["status", "--json"]), SOON).success().text();
    let status: Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!(status["jobs"], 12_000, "{status}");
}

#[test]
fn the_same_id_is_the_same_job() {
    let (broker, _worker) = with_echo();
    let id = run(&mut broker.cli(&["submit", "echo", "--data", "x"]), SOON).success().text();
    // An id of today that nobody has used.
    let id = format!("{}{}", &id.trim_end()[..35], if id.trim_end().ends_with('0') { '1' } else { '0' });
    let submit = |data: &str| run(&mut broker.cli(&["submit", "echo", "--data", data, "--id", &id]), SOON);
    submit("same").success();
    submit("same").success();
    let other = submit("other").code(5);
    assert!(!other.stderr.is_empty());
    assert_eq!(run(&mut broker.cli(&["wait", &id]), SOON).success().text(), "same");
}

#[test]
fn a_waiting_job_times_out_and_is_cancelled() {
    let broker = Broker::start(binary!());
    let id = run(&mut broker.cli(&["submit", "nobody", "--data", "x"]), SOON).success().text();
    let id = id.trim_end();
    let waited = run(&mut broker.cli(&["wait", id, "--timeout", "100ms"]), SOON).code(7);
    assert!(waited.error_text().contains("not ended"), "{}", waited.error_text());
    run(&mut broker.cli(&["cancel", id, "--reason", "no longer wanted"]), SOON).success();
    let ended = run(&mut broker.cli(&["wait", id]), SOON).code(1);
    assert!(ended.error_text().contains("CANCELLED"), "{}", ended.error_text());
    let unknown = "01980f3c-8f2a-7c3e-9d2b-5a6b7c8d9e0f";
    assert_ne!(run(&mut broker.cli(&["cancel", unknown]), SOON).status.code(), Some(0));
}

#[test]
fn an_interrupted_call_cancels_its_job() {
    let broker = Broker::start(binary!());
    let call = Process::start(&mut broker.cli(&["call", "nobody", "--data", "x"]));
    let events = || run(&mut broker.cli(&["events", "--no-follow", "--json"]), SOON).success().text();
    let id = eventually("the job is accepted", SOON, || {
        json_lines(&events()).first().map(|event| event["job"].as_str().expect("an id").to_owned())
    });
    call.signal(libc::SIGINT);
    assert_eq!(call.wait(SOON).status.code(), Some(130));
    let ended = json_lines(&events()).into_iter().find(|event| event["outcome"] == "CANCELLED");
    assert_eq!(ended.expect("it is cancelled")["job"], id.as_str());
}

#[test]
fn too_large_is_refused_by_name() {
    let broker = Broker::start_with(binary!(), &["--payload-max", "1Ki"]);
    let _worker = Process::start(&mut broker.cli(&["echo", "echo"]));
    for (len, code) in [(1_024, 0), (1_025, 5)] {
        let data = "x".repeat(len);
        let finished = run(&mut broker.cli(&["call", "echo", "--data", &data]), SOON).code(code);
        if code == 5 {
            assert!(finished.error_text().contains("1024"), "{}", finished.error_text());
        }
    }
}

#[test]
fn status_shows_and_checks() {
    let (broker, worker) = with_echo();
    run(&mut broker.cli(&["call", "echo", "--data", "x"]), SOON).success();
    let text = run(&mut broker.cli(&["status"]), SOON).success().text();
    assert!(text.contains(broker.endpoint()) && text.contains("QUEUE") && text.contains("echo"), "{text}");
    let json = run(&mut broker.cli(&["status", "--json", "--queue", "echo"]), SOON).success().json();
    assert_eq!(json["queues"][0]["done"], 1);
    assert_eq!(json["queues"][0]["workers"], 1);
    run(&mut broker.cli(&["status", "--check"]), SOON).success();

    run(&mut broker.cli(&["submit", "nobody", "--data", "x"]), SOON).success();
    let fault = run(&mut broker.cli(&["status", "--check"]), SOON).code(1);
    assert!(fault.error_text().contains("\"nobody\""), "{}", fault.error_text());
    let json = run(&mut broker.cli(&["status", "--check", "--json"]), SOON).code(1).json();
    assert_eq!(json["well"], false);
    run(&mut broker.cli(&["status", "--check", "--queue", "echo"]), SOON).success();

    let again = Process::start(&mut broker.cli(&["status", "--every", "50ms", "--json"]));
    eventually("three reports", SOON, || (again.stdout().lines().count() >= 3).then_some(()));
    assert!(worker.stop(SOON).status.success());
}

#[test]
fn events_tell_the_past_and_follow() {
    let (broker, _worker) = with_echo();
    run(&mut broker.cli(&["call", "echo", "--data", "past"]), SOON).success();
    let follow = Process::start(&mut broker.cli(&["events", "--queue", "echo", "--json"]));
    let done = |text: &str| text.lines().filter(|line| line.contains("\"DONE\"")).count();
    eventually("the past", SOON, || (done(&follow.stdout()) == 1).then_some(()));
    run(&mut broker.cli(&["call", "echo", "--data", "new"]), SOON).success();
    eventually("the news", SOON, || (done(&follow.stdout()) == 2).then_some(()));
    let events = json_lines(&follow.stdout());
    let numbers: Vec<_> = events.iter().map(|event| event["number"].as_u64().expect("a number")).collect();
    assert!(numbers.is_sorted_by(|one, two| one < two), "{numbers:?}");
    let text = run(&mut broker.cli(&["events", "--no-follow"]), SOON).success().text();
    assert_eq!(text.lines().count(), events.len(), "{text}");
    let other = run(&mut broker.cli(&["events", "--no-follow", "--queue", "other"]), SOON).success();
    assert!(other.stdout.is_empty(), "{}", other.text());
    let two = run(&mut broker.cli(&["events", "-n", "2"]), SOON).success().text();
    assert_eq!(two.lines().count(), 2, "{two}");
}

/// The job of a worker that fails it says why, and the exit code tells scripts.
#[test]
fn a_job_that_fails_says_why() {
    let broker = Broker::start(binary!());
    let call = run(&mut broker.cli(&["call", "nobody", "--data", "x", "--timeout", "100ms"]), SOON);
    assert!(call.stdout.is_empty());
    assert!(matches!(call.status.code(), Some(1 | 5 | 7)), "{:?} {}", call.status, call.error_text());
    let refused = run(
        &mut broker.cli(&["call", "nobody", "--data", "x", "--unknown-queue", "refuse", "--timeout", "5s"]),
        Duration::from_secs(20),
    );
    assert_eq!(refused.status.code(), Some(5), "{}", refused.error_text());
}
