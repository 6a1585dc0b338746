//! `forebay top` on a terminal of 80 columns and 24 lines, and where there is none.

use support::{Broker, Process, SOON, Terminal, binary, eventually, run};

/// What begins and ends a picture that hides what stood there before.
const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";

/// A broker with a host that has a job in hand, and a job that failed.
fn at_work() -> (Broker, Process, String) {
    let broker = Broker::start(binary!());
    let script = "read word; [ $word != bad ] || { echo spoilt >&2; exit 3; }; exec sleep 600";
    let flags = ["worker", "--queue", "sh", "--slots", "2", "--name", "shell", "--report-every", "100ms"];
    let host = Process::start(broker.cli(&flags).args(["--", "sh", "-c", script]));
    host.line_with("2 slots serve sh", SOON);
    run(&mut broker.cli(&["call", "sh", "--data", "bad\n", "--attempts", "1"]), SOON).code(1);
    let submitted = run(&mut broker.cli(&["submit", "sh", "--data", "good\n"]), SOON).success();
    let id = submitted.text().trim().to_owned();
    eventually("the job to run", SOON, || {
        let said = run(&mut broker.cli(&["job", &id, "--json"]), SOON).success().json();
        (said["outcome"] == "RUNNING").then_some(())
    });
    (broker, host, id)
}

fn top(broker: &Broker, columns: u16) -> Terminal {
    Terminal::start(&mut broker.cli(&["top", "--every", "200ms"]), columns, 24)
}

#[test]
fn queues_hosts_slots_and_failures_are_there_and_keys_are_heard() {
    let (broker, host, id) = at_work();
    let mut terminal = top(&broker, 80);
    assert!(terminal.is_cooked() || terminal.text().is_empty() || terminal.text().contains(ENTER));
    for word in [ENTER, "QUEUE", "shell", "working", &id[id.len() - 7..], "FAILED", "spoilt", "pause"] {
        terminal.shows(word);
    }
    assert!(!terminal.is_cooked(), "keys are not heard one by one");
    terminal.press("h");
    terminal.shows("Ctrl-C");
    terminal.press("h");
    terminal.forget();
    terminal.press("s");
    // Of "(name)" the bracket stands already.
    terminal.shows("age)");
    terminal.press("p");
    terminal.shows("PAUSED");
    terminal.press("q");
    assert!(terminal.ended(SOON).success());
    eventually("the terminal as it was", SOON, || terminal.text().ends_with(LEAVE_AND_SHOW).then_some(()));
    assert!(terminal.is_cooked(), "the terminal was not given back");
    drop(host);
}

/// Behind the picture comes the cursor, which it had hidden.
const LEAVE_AND_SHOW: &str = "\x1b[?1049l\x1b[?25h";

/// With room for it an id stands there whole, as `forebay job` takes it; SIGTERM gives the terminal back, too.
#[test]
fn a_wide_terminal_has_whole_ids_and_is_given_back_on_a_signal() {
    let (broker, host, id) = at_work();
    let mut terminal = top(&broker, 160);
    terminal.shows(&id);
    let pid = rustix::process::Pid::from_raw(terminal.pid().cast_signed()).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is there");
    assert!(terminal.ended(SOON).success());
    eventually("the terminal as it was", SOON, || terminal.text().contains(LEAVE).then_some(()));
    assert!(terminal.is_cooked(), "the terminal was not given back");
    drop(host);
}

#[test]
fn without_a_terminal_it_says_what_would_be_right() {
    let broker = Broker::start(binary!());
    let said = run(&mut broker.cli(&["top"]), SOON).code(2).error_text();
    assert!(said.contains("this is none") && said.contains("forebay status --every"), "{said}");
}
