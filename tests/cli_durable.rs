//! `forebay broker` with a store, as an operator meets it: what was submitted is there again after kill -9, a store is
//! one broker's, a full one says so, a damaged one is refused.

use std::os::unix::fs::{FileExt, PermissionsExt};

use support::{Broker, Folder, Process, SOON, binary, command, eventually, run};

fn status(broker: &Broker) -> serde_json::Value {
    let text = run(&mut broker.cli(&["status", "--json"]), SOON).success().text();
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn submitted_jobs_outlive_the_broker_and_the_client() {
    let folder = Folder::new();
    let store = folder.join("store");
    let mut broker = Broker::start_with(binary!(), &["--store", store.to_str().expect("UTF-8")]);
    let id = run(&mut broker.cli(&["submit", "echo", "--data", "kept"]), SOON).success().text();
    broker.kill();
    broker.restart();
    assert_eq!(status(&broker)["jobs"], 1);
    let _worker = Process::start(&mut broker.cli(&["echo", "echo"]));
    assert_eq!(run(&mut broker.cli(&["wait", id.trim()]), SOON).success().stdout, b"kept");
    let store = eventually("the store's figures", SOON, || {
        let status = status(&broker);
        (status["store"]["commits"].as_u64()? >= 3).then(|| status["store"].clone())
    });
    assert_eq!(store["full"], false);
    let said = broker.stop(SOON).error_text();
    assert!(said.contains("start 2, 1 jobs from"), "{said}");
}

/// Without room in memory payloads are read back from the store, before a restart and after it.
#[test]
fn payloads_that_are_left_in_the_store_come_back_whole() {
    let folder = Folder::new();
    let store = folder.join("store");
    let arguments = ["--store", store.to_str().expect("UTF-8"), "--cache-max", "0"];
    let mut broker = Broker::start_with(binary!(), &arguments);
    let payload = |n: u8| -> Vec<u8> { (0..100_000_u32).map(|i| (i % 251) as u8 ^ n).collect() };
    let submit = |broker: &Broker, n: u8| {
        let file = folder.join("payload");
        std::fs::write(&file, payload(n)).expect("a file");
        let submit = &mut broker.cli(&["submit", "echo", file.to_str().expect("UTF-8")]);
        run(submit, SOON).success().text().trim().to_owned()
    };
    let mut ids: Vec<String> = (0..3).map(|n| submit(&broker, n)).collect();
    assert_eq!(status(&broker)["stored_bytes"], 300_000);
    broker.kill();
    broker.restart();
    ids.push(submit(&broker, 3));
    assert_eq!(status(&broker)["stored_bytes"], 400_000);
    let _worker = Process::start(&mut broker.cli(&["echo", "echo"]));
    for (n, id) in (0..).zip(&ids) {
        assert!(run(&mut broker.cli(&["wait", id]), SOON).success().stdout == payload(n), "payload {n}");
    }
    assert_eq!(status(&broker)["stored_bytes"], 0);
}

/// A submission that says volatile is not written down, and one without a store that says durable is refused.
#[test]
fn the_level_is_what_was_asked_for() {
    let folder = Folder::new();
    let store = folder.join("store");
    let mut broker = Broker::start_with(binary!(), &["--store", store.to_str().expect("UTF-8")]);
    run(&mut broker.cli(&["submit", "echo", "--data", "x", "--level", "volatile"]), SOON).success();
    broker.kill();
    broker.restart();
    assert_eq!(status(&broker)["jobs"], 0);
    let memory = Broker::start(binary!());
    let mut durable = memory.cli(&["submit", "echo", "--data", "x", "--level", "durable"]);
    let said = run(&mut durable, SOON).code(5).error_text();
    assert!(said.contains("ERR_UNSUPPORTED") && said.contains("no store"), "{said}");
    assert_eq!(status(&memory)["store"], serde_json::Value::Null);
}

#[test]
fn a_store_is_one_brokers_and_the_first_is_undisturbed() {
    let folder = Folder::new();
    let store = folder.join("store");
    let store = store.to_str().expect("UTF-8");
    let broker = Broker::start_with(binary!(), &["--store", store]);
    let mut second = command(binary!());
    second.args(["broker", "--store", store, "--listen", &folder.ipc("second")]);
    let said = run(&mut second, SOON).code(4).error_text();
    for words in [store, "--store DIR", "--memory"] {
        assert!(said.contains(words), "{said}");
    }
    run(&mut broker.cli(&["submit", "echo", "--data", "x"]), SOON).success();
    assert_eq!(status(&broker)["jobs"], 1);
}

#[test]
fn without_a_word_it_is_a_private_folder_of_the_user() {
    let home = Folder::new();
    let mut broker = command(binary!());
    broker.args(["broker", "--listen", &home.ipc("b")]).env("XDG_STATE_HOME", home.path());
    let broker = Process::start(&mut broker);
    broker.line_with("listening on ", SOON);
    let store = home.path().join("forebay/store");
    assert_eq!(std::fs::metadata(&store).expect("the store").permissions().mode() & 0o777, 0o700);

    let mut homeless = command(binary!());
    homeless
        .args(["broker", "--listen", &home.ipc("c")])
        .env("XDG_STATE_HOME", "")
        .env("HOME", "not/absolute");
    let said = run(&mut homeless, SOON).code(2).error_text();
    assert!(said.contains("--store DIR") && said.contains("--memory"), "{said}");
    let mut both = command(binary!());
    both.args(["broker", "--memory", "--store", store.to_str().expect("UTF-8")]);
    run(&mut both, SOON).code(2);
}

/// The store's own limit stands in for a full disk: jobs are refused by name, those that are there end, and then jobs
/// are taken again.
#[test]
fn a_full_store_refuses_by_name_and_takes_jobs_again() {
    let folder = Folder::new();
    let store = folder.join("store");
    let store = store.to_str().expect("UTF-8");
    let broker = Broker::start_with(binary!(), &["--store", store, "--store-max", "16Mi"]);
    let file = folder.join("payload");
    std::fs::write(&file, vec![7; 700 << 10]).expect("a file");
    let submit = || run(&mut broker.cli(&["submit", "echo", file.to_str().expect("UTF-8")]), SOON);
    let mut ids = Vec::new();
    let refused = loop {
        let submitted = submit();
        match submitted.status.code() {
            Some(0) => ids.push(submitted.text().trim().to_owned()),
            _ => break submitted.code(5).error_text(),
        }
        assert!(ids.len() < 100, "16 MiB hold no such number of jobs");
    };
    assert!(refused.contains("ERR_STORE_FULL"), "{refused}");
    assert_eq!(status(&broker)["store"]["full"], true);
    let said = run(&mut broker.cli(&["status", "--check"]), SOON).code(1).error_text();
    assert!(said.contains("the store is full"), "{said}");
    let said = run(&mut broker.cli(&["status"]), SOON).success().text();
    assert!(said.contains("store: ") && said.contains("FULL"), "{said}");
    // What can be done without the store goes on.
    let worker = Process::start(&mut broker.cli(&["echo", "echo"]));
    assert_eq!(run(&mut broker.cli(&["call", "echo", "--data", "x"]), SOON).success().stdout, b"x");
    for id in &ids {
        assert_eq!(run(&mut broker.cli(&["wait", id]), SOON).success().stdout.len(), 700 << 10);
    }
    eventually("room again", SOON, || (submit().status.code() == Some(0)).then_some(()));
    assert_eq!(status(&broker)["store"]["full"], false);
    drop(worker);
    let said = broker.stop(SOON).error_text();
    assert!(said.contains("no room") && said.contains("there is room again"), "{said}");
}

#[test]
fn a_damaged_store_is_refused_with_the_place() {
    let folder = Folder::new();
    let store = folder.join("store");
    let mut broker = Broker::start_with(binary!(), &["--store", store.to_str().expect("UTF-8")]);
    for _ in 0..3 {
        run(&mut broker.cli(&["submit", "echo", "--data", "x"]), SOON).success();
    }
    broker.kill();
    let file =
        std::fs::OpenOptions::new().read(true).write(true).open(store.join("00000001.log")).expect("it");
    let mut start = vec![0; 8 << 10];
    file.read_exact_at(&mut start, 0).expect("the first records");
    let at = start.windows(4).position(|bytes| bytes == b"echo").expect("a job's queue");
    file.write_all_at(b"e", at as u64 + 1).expect("written");
    let mut again = command(binary!());
    again.args(["broker", "--listen", &folder.ipc("again"), "--store"]).arg(&store);
    let said = run(&mut again, SOON).code(6).error_text();
    assert!(said.contains("00000001.log") && said.contains("ERR_STORE"), "{said}");
}
