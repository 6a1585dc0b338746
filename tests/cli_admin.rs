//! Operators' commands on the command line, through a broker process: jobs, queues, quarantine, workers.

use std::fs::File;
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::Command;

use serde_json::Value;
use support::{Broker, Finished, Process, SOON, binary, eventually, run};

fn broker() -> Broker {
    Broker::start(binary!())
}

#[track_caller]
fn forebay(broker: &Broker, arguments: &[&str]) -> Finished {
    run(&mut broker.cli(arguments), SOON)
}

fn submit(broker: &Broker, queue: &str, more: &[&str]) -> String {
    let mut arguments = vec!["submit", queue, "--data", "the payload"];
    arguments.extend(more);
    forebay(broker, &arguments).success().text().trim_end().to_owned()
}

fn submit_lines(broker: &Broker, queue: &str, count: usize) {
    let mut submit = Process::start(&mut broker.cli(&["submit", queue, "--lines"]));
    submit.write("x\n".repeat(count).as_bytes());
    submit.close_stdin();
    submit.wait(SOON).success();
}

/// A queue's entry in `queue list`.
fn queue(broker: &Broker, name: &str) -> Value {
    forebay(broker, &["queue", "list", name, "--json"]).success().json()["queues"][0].clone()
}

/// Kills two workers with the job that is next in the queue.
fn quarantine(broker: &Broker, queue: &str) -> String {
    let id = submit(broker, queue, &["--header", "trace=abc"]);
    for _ in 0..2 {
        let mut worker = Process::start(&mut broker.cli(&["echo", queue, "--hold"]));
        eventually("the job runs", SOON, || {
            let job = forebay(broker, &["job", &id, "--json"]).success().json();
            (job["outcome"] == "RUNNING").then_some(())
        });
        worker.kill();
        eventually("it is taken back", SOON, || {
            let job = forebay(broker, &["job", &id, "--json"]).success().json();
            (job["outcome"] != "RUNNING").then_some(())
        });
    }
    let job = forebay(broker, &["job", &id, "--json"]).success().json();
    assert_eq!(job["outcome"], "QUARANTINED");
    id
}

#[test]
fn jobs_are_listed_in_pages_that_name_the_next() {
    let broker = broker();
    submit_lines(&broker, "many", 25);
    let page = forebay(&broker, &["jobs", "--queue", "many", "--limit", "10"]).success();
    assert_eq!(page.text().lines().count(), 11, "{}", page.text());
    let hint = page.error_text();
    let next = hint.lines().find_map(|line| line.split_once("there are more: forebay ")).expect("a hint").1;
    let arguments: Vec<&str> = next.split(' ').collect();
    let second = forebay(&broker, &arguments).success();
    assert_eq!(second.text().lines().count(), 11);
    let json = forebay(&broker, &[&arguments[..], &["--json"]].concat()).success().json();
    assert_eq!(json["jobs"].as_array().map(Vec::len), Some(10));
    let last = json["next"].as_str().expect("there is a third page");
    let third = forebay(&broker, &["jobs", "--since", last]).success();
    assert_eq!((third.text().lines().count(), third.error_text()), (6, String::new()));
    let recent = forebay(&broker, &["jobs", "--since", "1h", "--json"]).success().json();
    assert_eq!(recent["jobs"].as_array().map(Vec::len), Some(25));
    let none = forebay(&broker, &["jobs", "--state", "running"]).success();
    assert!(none.stdout.is_empty() && none.error_text().contains("no such jobs"), "{}", none.error_text());
    for (arguments, part) in [
        (["--state", "dead"], "QUARANTINED"),
        (["--limit", "0"], "1..=10000"),
        (["--since", "yesterday"], "10m"),
        (["--queue", ""], "empty"),
    ] {
        let refused = forebay(&broker, &["jobs", arguments[0], arguments[1]]).code(2);
        assert!(refused.error_text().contains(part), "{}", refused.error_text());
    }
}

#[test]
fn a_job_tells_its_whole_history() {
    let broker = broker();
    let id = submit(&broker, "later", &["--delay-ms", "3600000"]);
    let text = forebay(&broker, &["job", &id]).success().text();
    assert!(text.contains("WAITING (delayed)") && text.contains("no worker has begun it"), "{text}");
    submit(&broker, "keyed", &["--serial-key", "red"]);
    let id = submit(&broker, "keyed", &["--serial-key", "red"]);
    let text = forebay(&broker, &["job", &id]).success().text();
    assert!(text.contains("WAITING (behind)") && text.contains("red, behind another job"), "{text}");
    assert!(forebay(&broker, &["queue", "list"]).success().text().contains("BEHIND"));
    let id = submit(&broker, "echo", &[]);
    let _worker = Process::start(&mut broker.cli(&["echo", "echo"]));
    forebay(&broker, &["wait", &id]).success();
    let text = forebay(&broker, &["job", &id]).success().text();
    assert!(text.contains("DONE") && text.contains("ATTEMPT"), "{text}");
    let json = forebay(&broker, &["job", &id, "--json"]).success().json();
    assert_eq!((&json["stage"], &json["history"][0]["how"]), (&"forgotten".into(), &"done".into()));
    let listed = forebay(&broker, &["jobs", "--state", "done", "--json"]).success().json();
    assert_eq!(listed["jobs"][0]["id"], id.as_str());
    let unknown = forebay(&broker, &["job", "01980f3c-8f2a-7c3e-9d2b-5a6b7c8d9e0f"]).code(5);
    assert!(unknown.error_text().contains("no job"), "{}", unknown.error_text());
    forebay(&broker, &["job", "17"]).code(2);
}

#[test]
fn a_queue_is_set_paused_drained_and_resumed() {
    let broker = broker();
    let set = forebay(&broker, &["queue", "set", "echo", "attempts=5", "run_ms=90s"]).success().text();
    assert_eq!(set, "queue echo: attempts=5 run_ms=90000\n");
    let set =
        forebay(&broker, &["queue", "set", "echo", "run_ms=", "job.priority=6", "--json"]).success().json();
    assert_eq!(set["options"], serde_json::json!({ "attempts": 5, "priority": 6 }));
    let listed = forebay(&broker, &["queue", "list"]).success().text();
    assert!(listed.contains("SET") && listed.contains("attempts=5 priority=6"), "{listed}");
    for (rules, part) in [
        (["attempts=0"], "attempts"),
        (["attemps=2"], "nearest is job.attempts"),
        (["attempts"], "KEY=VALUE"),
        (["colour="], "colour"),
    ] {
        let refused = forebay(&broker, &["queue", "set", "echo", rules[0]]).code(2);
        assert!(refused.error_text().contains(part), "{}", refused.error_text());
    }

    let typo = forebay(&broker, &["queue", "pause", "ehco"]).success();
    assert!(typo.error_text().contains("nobody has used"), "{}", typo.error_text());
    let text = forebay(&broker, &["queue", "pause", "echo"]).success().text();
    assert!(text.starts_with("queue echo (paused)"), "{text}");
    let _worker = Process::start(&mut broker.cli(&["echo", "echo"]));
    let id = submit(&broker, "echo", &[]);
    let waited = forebay(&broker, &["wait", &id, "--timeout", "200ms"]).code(7);
    assert!(waited.stdout.is_empty());
    assert!(forebay(&broker, &["status"]).success().text().contains("echo (paused)"));
    let stuck = forebay(&broker, &["queue", "drain", "echo", "--wait"]).code(5);
    assert!(stuck.error_text().contains("paused"), "{}", stuck.error_text());
    let refused = forebay(&broker, &["submit", "echo", "--data", "x"]).code(5);
    assert!(refused.error_text().contains("draining"), "{}", refused.error_text());
    forebay(&broker, &["queue", "resume", "echo"]).success();
    assert_eq!(forebay(&broker, &["wait", &id]).success().text(), "the payload");

    let _id = submit(&broker, "echo", &["--delay-ms", "300"]);
    let late = forebay(&broker, &["queue", "drain", "echo", "--wait", "--timeout", "1ms"]).code(7);
    assert!(late.error_text().contains("1 job left"), "{}", late.error_text());
    forebay(&broker, &["queue", "drain", "echo", "--wait"]).success();
    assert_eq!(queue(&broker, "echo")["delayed"], 0);
    forebay(&broker, &["submit", "echo", "--data", "x"]).code(5);
    forebay(&broker, &["queue", "resume", "echo"]).success();
    submit(&broker, "echo", &[]);
    forebay(&broker, &["queue", "resume", "nowhere"]).code(5);
}

/// A pair of descriptors, the second of which is a terminal.
fn terminal() -> (File, OwnedFd) {
    let (mut ours, mut theirs) = (-1, -1);
    let null = std::ptr::null_mut();
    // SAFETY: both places are valid for a descriptor each, and everything else is optional.
    let opened = unsafe { libc::openpty(&mut ours, &mut theirs, null, null.cast(), null.cast()) };
    assert_eq!(opened, 0, "a terminal");
    // SAFETY: both were just opened, and nobody else has them.
    unsafe { (File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) }
}

/// Runs `command` at a terminal where somebody types `answer`.
fn at_a_terminal(command: &mut Command, answer: &str) -> Finished {
    use std::io::Write;
    let (mut ours, theirs) = terminal();
    ours.write_all(answer.as_bytes()).expect("it is typed");
    Process::start_at(command, theirs).wait(SOON)
}

#[test]
fn a_purge_asks_or_takes_yes_or_refuses() {
    let broker = broker();
    submit_lines(&broker, "waste", 30);
    submit(&broker, "kept", &[]);
    let refused = forebay(&broker, &["queue", "purge", "waste"]).code(2);
    assert!(
        refused.error_text().contains("--yes") && refused.error_text().contains("30 jobs"),
        "{}",
        refused.error_text()
    );
    let no = at_a_terminal(&mut broker.cli(&["queue", "purge", "waste"]), "n\n").code(1);
    assert!(no.error_text().contains("cancel 30 jobs") && no.error_text().contains("nothing was cancelled"));
    assert_eq!(queue(&broker, "waste")["ready"], 30);
    let yes = at_a_terminal(&mut broker.cli(&["queue", "purge", "waste"]), "y\n").success();
    assert_eq!(yes.text(), "30 jobs of queue waste cancelled\n");
    let cancelled = forebay(&broker, &["jobs", "--state", "cancelled", "--json"]).success().json();
    assert_eq!(cancelled["jobs"].as_array().map(Vec::len), Some(30));
    assert_eq!(cancelled["jobs"][0]["message"], "its queue was purged");
    submit_lines(&broker, "waste", 2);
    let json = forebay(&broker, &["queue", "purge", "waste", "--yes", "--json"]).success().json();
    assert_eq!(json, serde_json::json!({ "queue": "waste", "purged": 2, "others": 0 }));
    assert_eq!(queue(&broker, "kept")["ready"], 1);
    forebay(&broker, &["queue", "purge", "nowhere", "--yes"]).code(5);
}

/// More than one answer of the broker's worth.
#[test]
fn a_purge_of_many_ends_them_all() {
    let broker = broker();
    // One client keeps no more than 10,000 jobs under way.
    submit_lines(&broker, "waste", 5_000);
    submit_lines(&broker, "waste", 5_050);
    let yes = forebay(&broker, &["queue", "purge", "waste", "--yes"]).success();
    assert_eq!(yes.text(), "10050 jobs of queue waste cancelled\n");
    let left = forebay(&broker, &["jobs", "--state", "open", "--json"]).success().json();
    assert_eq!(left["jobs"], serde_json::json!([]));
}

#[test]
fn a_quarantined_job_is_looked_at_requeued_and_dropped() {
    let broker = broker();
    assert!(
        forebay(&broker, &["quarantine", "list"]).success().error_text().contains("no job is quarantined")
    );
    let (first, second) = (quarantine(&broker, "crash"), quarantine(&broker, "crash"));
    let list = forebay(&broker, &["quarantine", "list"]).success().text();
    assert!(list.contains(&first) && list.contains(&second) && list.contains("QUARANTINED"), "{list}");
    assert!(forebay(&broker, &["status"]).success().text().contains("2 quarantined"));
    let shown = forebay(&broker, &["quarantine", "show", &first]).success().text();
    for part in ["lost", "took its worker down 2 times", "header trace: abc", "the payload"] {
        assert!(shown.contains(part), "no {part:?} in {shown}");
    }
    let file = broker.folder().join("payload");
    let path = file.to_str().expect("UTF-8");
    forebay(&broker, &["quarantine", "show", &first, "--save", path]).success();
    assert_eq!(std::fs::read(&file).expect("it was saved"), b"the payload");

    let new = forebay(&broker, &["quarantine", "requeue", &first]).success().text();
    let new = new.trim_end();
    let job = forebay(&broker, &["job", new]).success().text();
    assert!(job.contains("requeued from") && job.contains(&first), "{job}");
    let old = forebay(&broker, &["job", &first]).success().text();
    assert!(old.contains("requeued as") && old.contains(new), "{old}");
    let again = forebay(&broker, &["quarantine", "requeue", &first]).success().text();
    assert_eq!(again.trim_end(), new, "once is enough");
    let _worker = Process::start(&mut broker.cli(&["echo", "crash"]));
    assert_eq!(forebay(&broker, &["wait", new]).success().text(), "the payload");

    forebay(&broker, &["quarantine", "drop", &second]).code(2);
    let no = at_a_terminal(&mut broker.cli(&["quarantine", "drop", &second]), "\n").code(1);
    assert!(no.error_text().contains(&second), "{}", no.error_text());
    forebay(&broker, &["quarantine", "drop", "--all", "--queue", "other", "--yes"]).success();
    forebay(&broker, &["quarantine", "drop", "--all", "--yes"]).success();
    let wrong = forebay(&broker, &["quarantine", "requeue", &second, new]).code(5);
    assert_eq!(wrong.error_text().lines().count(), 2, "each says why: {}", wrong.error_text());
    assert!(
        forebay(&broker, &["quarantine", "list", "--json"]).success().json()["jobs"] == serde_json::json!([])
    );
}

#[test]
fn a_worker_is_listed_and_sent_home() {
    let broker = broker();
    assert!(forebay(&broker, &["workers"]).success().error_text().contains("no such worker"));
    let worker = Process::start(&mut broker.cli(&["echo", "echo"]));
    let _other = Process::start(&mut broker.cli(&["echo", "other"]));
    let name = eventually("both are there", SOON, || {
        let listed = forebay(&broker, &["workers", "--json"]).success().json();
        let workers = listed["workers"].as_array().expect("a list").clone();
        let served = |worker: &Value| worker["queues"] == serde_json::json!(["echo"]);
        let name = workers.iter().find(|worker| served(worker))?["name"].as_str()?.to_owned();
        (workers.len() == 2).then_some(name)
    });
    let text = forebay(&broker, &["workers", "--queue", "echo"]).success().text();
    assert!(text.lines().count() == 2 && text.contains(&name), "{text}");
    forebay(&broker, &["call", "echo", "--data", "x"]).success();
    forebay(&broker, &["worker", "drain", &name]).success();
    worker.wait(SOON).success();
    eventually("it is gone", SOON, || {
        let listed = forebay(&broker, &["workers", "--json"]).success().json();
        (listed["workers"].as_array().map(Vec::len) == Some(1)).then_some(())
    });
    let nobody = forebay(&broker, &["worker", "drain", "nobody"]).code(5);
    assert!(nobody.error_text().contains("nobody"), "{}", nobody.error_text());
}

#[test]
fn what_operators_set_and_what_happened_survives_kill_9() {
    let folder = support::Folder::new();
    let store = folder.join("store");
    let mut broker = Broker::start_with(binary!(), &["--store", store.to_str().expect("UTF-8")]);
    let quarantined = quarantine(&broker, "crash");
    let requeued = forebay(&broker, &["quarantine", "requeue", &quarantined]).success().text();
    let left = quarantine(&broker, "other");
    forebay(&broker, &["queue", "set", "crash", "attempts=7"]).success();
    forebay(&broker, &["queue", "drain", "crash"]).success();
    submit_lines(&broker, "waste", 5);
    forebay(&broker, &["queue", "purge", "waste", "--yes"]).success();
    let story = |broker: &Broker| {
        [&quarantined, requeued.trim_end(), &left].map(|id| {
            let mut job = forebay(broker, &["job", id, "--json"]).success().json();
            let job = job.as_object_mut().expect("an object");
            job.remove("age_ms");
            job.remove("kept_until_ms");
            job.clone()
        })
    };
    let before = story(&broker);
    broker.kill();
    let stats =
        forebay(&broker, &["store", "stats", store.to_str().expect("UTF-8"), "--json"]).success().json();
    let waiting_for_a_person = |name| {
        let queues = stats["queues"].as_array().expect("a list");
        queues.iter().find(|queue| queue["name"] == name).map(|queue| queue["quarantined"].clone())
    };
    assert_eq!(waiting_for_a_person("crash"), Some(0.into()), "somebody has requeued it: {stats}");
    assert_eq!(waiting_for_a_person("other"), Some(1.into()), "{stats}");
    broker.restart();
    assert_eq!(before, story(&broker));
    let queue = queue(&broker, "crash");
    assert_eq!((&queue["draining"], &queue["options"]["attempts"]), (&true.into(), &7.into()));
    forebay(&broker, &["submit", "crash", "--data", "x"]).code(5);
    let open = forebay(&broker, &["jobs", "--state", "open", "--json"]).success().json();
    assert_eq!(open["jobs"].as_array().map(Vec::len), Some(1), "nothing purged came back: {open}");
    let list = forebay(&broker, &["quarantine", "list", "--json"]).success().json();
    assert_eq!(
        (list["jobs"].as_array().map(Vec::len), &list["jobs"][0]["id"]),
        (Some(1), &left.as_str().into())
    );
    let shown = forebay(&broker, &["quarantine", "show", &left]).success().text();
    assert!(shown.contains("the payload"), "{shown}");
}
