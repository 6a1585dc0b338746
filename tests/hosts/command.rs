//! A command as a worker: its standard streams, its exit code, its environment, and that nothing of it is left behind.

use support::{Broker, Process, SOON, binary, eventually, run};

use crate::rig::{self, call};

/// A host that runs a script of the shell for each job of the queue "sh".
fn script(broker: &Broker, script: &str, flags: &[&str]) -> Process {
    let mut command = broker.cli(&["worker", "--queue", "sh", "--slots", "2"]);
    let process = Process::start(command.args(flags).args(["--", "sh", "-c", script]));
    process.line_with("2 slots serve sh", SOON);
    process
}

/// Whether a process with this argument is there.
fn is_there(argument: &str) -> bool {
    let entries = std::fs::read_dir("/proc").expect("Linux").flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.into_iter().any(|line| line.split(|byte| *byte == 0).any(|word| word == argument.as_bytes()))
}

#[test]
fn payload_and_result_are_its_streams() {
    let broker = Broker::start(binary!());
    let host = script(&broker, "cat", &[]);
    let bytes: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let file = broker.folder().join("large");
    std::fs::write(&file, &bytes).expect("a file");
    let said = run(&mut broker.cli(&["call", "sh", &file.display().to_string()]), SOON).success();
    assert!(said.stdout == bytes, "{} bytes came back", said.stdout.len());
    assert_eq!(call(&broker, "sh", "").success().text(), "");
    host.stop(SOON).success();
}

/// One that does not read its input, and one that leaves a process behind with its output open.
#[test]
fn a_command_need_not_read_and_may_not_leave_anything() {
    let broker = Broker::start(binary!());
    let host = script(&broker, "sleep 98761.5 & echo done", &[]);
    let large = "x".repeat(100_000);
    assert_eq!(call(&broker, "sh", &large).success().text(), "done\n");
    eventually("what was left to be gone", SOON, || (!is_there("98761.5")).then_some(()));
    host.stop(SOON).success();
}

#[test]
fn ids_and_headers_are_in_its_environment() {
    let broker = Broker::start(binary!());
    let text = r#"printf '%s|' "$FOREBAY_QUEUE" "$FOREBAY_ATTEMPT" "$FOREBAY_ATTEMPTS_MAX" "$FOREBAY_HEADER_TRACE_ID" \
        "${FOREBAY_TIME_LEFT_MS:+limited}" "${FOREBAY_SLOT:+slot}"; echo $FOREBAY_ID"#;
    let host = script(&broker, text, &[]);
    let mut asked = broker.cli(&["call", "sh", "--data", "", "--header", "trace-id=a b", "--attempts", "5"]);
    let said = run(asked.arg("--json"), SOON).success().json();
    let id = said["id"].as_str().expect("an id");
    assert_eq!(said["data"], format!("sh|1|5|a b|limited|slot|{id}\n"));
    host.stop(SOON).success();
}

#[test]
fn how_it_ended_is_the_outcome() {
    let broker = Broker::start(binary!());
    let text = r#"case $(cat) in
        code) echo "no such colour" >&2; exit 3 ;;
        signal) kill -SEGV $$ ;;
        late) [ "$FOREBAY_ATTEMPT" = 2 ] && echo "at last" || exit 1 ;;
    esac"#;
    let host = script(&broker, text, &[]);
    let once = |data| {
        let mut asked = broker.cli(&["call", "sh", "--data", data, "--attempts", "1", "--json"]);
        run(&mut asked, SOON).code(1).json()
    };
    let coded = once("code");
    assert_eq!((&coded["outcome"], &coded["code"]), (&"FAILED".into(), &"exit".into()), "{coded}");
    assert_eq!(coded["message"], "sh ended with 3, after saying \"no such colour\"");
    assert_eq!(coded["detail"], "no such colour\n");
    rig::assert_used(&coded["meta"]);
    let signalled = once("signal");
    assert_eq!((&signalled["outcome"], &signalled["code"]), (&"FAILED".into(), &"SIGSEGV".into()));
    assert_eq!(signalled["message"], "sh was killed by SIGSEGV (11)");
    // With attempts left it is as with a plugin that crashes: the second time it is put away.
    let mut twice = broker.cli(&["call", "sh", "--data", "signal", "--attempts", "5", "--json"]);
    let crashed = run(&mut twice, SOON).code(1).json();
    assert_eq!((&crashed["outcome"], &crashed["attempt"]), (&"QUARANTINED".into(), &2.into()), "{crashed}");
    assert_eq!(crashed["message"], "its process crashed, 2 times: sh was killed by SIGSEGV (11)");
    let id = crashed["id"].as_str().expect("an id");
    let job = run(&mut broker.cli(&["job", id, "--json"]), SOON).success().json();
    let first = &job["history"][0];
    assert_eq!((&first["how"], &first["code"]), (&"crashed".into(), &"SIGSEGV".into()), "{job}");
    let mut late = broker.cli(&["call", "sh", "--data", "late", "--backoff-ms", "1"]);
    assert_eq!(run(&mut late, SOON).success().text(), "at last\n");
    host.stop(SOON).success();
}

/// Cancel and run timeout: SIGTERM, and SIGKILL for one that does not listen; the slot serves the next job.
#[test]
fn a_command_that_is_to_stop_is_ended() {
    let broker = Broker::start(binary!());
    let text = r#"case $(cat) in
        deaf) trap '' TERM; sleep 98762.5; sleep 98762.5 ;;
        *) echo served ;;
    esac"#;
    let host = script(&broker, text, &["--kill-grace", "100ms"]);
    let jobs = rig::submit(&broker, "sh", "deaf", 1);
    eventually("the command to run", SOON, || is_there("98762.5").then_some(()));
    run(&mut broker.cli(&["cancel", &jobs[0]]), SOON).success();
    eventually("the command to end", SOON, || (!is_there("98762.5")).then_some(()));
    let seen = rig::evidence(&broker, &jobs[0], "SIGKILL");
    assert_eq!(seen, "was told to stop (cancelled): SIGTERM\ngoes on 100 ms after SIGTERM: SIGKILL");
    let mut limited = broker.cli(&["call", "sh", "--data", "deaf", "--run-ms", "200", "--attempts", "1"]);
    assert!(run(&mut limited, SOON).code(1).error_text().contains("TIMED_OUT"));
    eventually("the command to end", SOON, || (!is_there("98762.5")).then_some(()));
    assert_eq!(call(&broker, "sh", "next").success().text(), "served\n");
    host.stop(SOON).success();
}

/// A host that is killed takes its commands along, and what they started; also after somebody has killed its guard.
#[test]
fn commands_do_not_outlive_a_host_that_is_killed() {
    let broker = Broker::start(binary!());
    let mut host = script(&broker, "sleep 98764.5; true", &[]);
    let guard = children(host.pid()).into_iter().next().expect("a guard");
    kill(guard);
    rig::submit(&broker, "sh", "", 2);
    eventually("the commands to run", SOON, || {
        (rig::running(&broker).len() == 2 && is_there("98764.5")).then_some(())
    });
    host.kill();
    eventually("the commands to end", SOON, || (!is_there("98764.5")).then_some(()));
}

/// The processes that a process has started.
fn children(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("Linux").flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

fn kill(pid: u32) {
    // SAFETY: a signal to a process of this test.
    assert_eq!(unsafe { libc::kill(pid as i32, libc::SIGKILL) }, 0);
}

/// When nothing may go on the command is killed, and its job is for others: not an attempt that failed.
#[test]
fn a_job_that_is_cut_off_goes_back() {
    let broker = Broker::start(binary!());
    let host = script(&broker, "sleep 98763.5", &[]);
    let jobs = rig::submit(&broker, "sh", "", 1);
    eventually("the command to run", SOON, || is_there("98763.5").then_some(()));
    host.signal(libc::SIGTERM);
    host.line_with("draining", SOON);
    host.signal(libc::SIGTERM);
    host.wait(SOON).success();
    assert!(!is_there("98763.5"));
    let said = run(&mut broker.cli(&["job", &jobs[0]]), SOON).success().text();
    assert!(said.contains("WAITING"), "{said}");
}

#[test]
fn what_cannot_be_run_is_refused_at_once() {
    let cases: [(&[&str], &str); 4] = [
        (&["--queue", "q", "--", "no-such-program"], "no-such-program"),
        (&["--queue", "q", "--", "/etc/passwd"], "/etc/passwd"),
        (&["--", "cat"], "--queue"),
        (&["--load", "x.so", "--queue", "q", "--", "cat"], "--load"),
    ];
    for (arguments, text) in cases {
        let mut command = support::command(binary!());
        let said = run(command.arg("worker").args(arguments), SOON).code(2).error_text();
        assert!(said.contains(text), "{arguments:?} said:\n{said}");
    }
}
