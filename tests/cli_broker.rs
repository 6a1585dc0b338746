//! `forebay broker` as an operator meets it: addresses, keys, signals, logs.

use std::time::Duration;

use support::{Broker, Folder, Process, SOON, binary, command, eventually, run};

fn call(broker: &Broker, text: &str) -> String {
    run(&mut broker.cli(&["call", "echo", "--data", text]), SOON).success().text()
}

#[test]
fn a_second_broker_on_the_address_is_told_and_the_first_undisturbed() {
    for arguments in [&[][..], &["--listen", "tcp://127.0.0.1:0", "--insecure"]] {
        let broker = Broker::start_with(binary!(), arguments);
        let _worker = Process::start(&mut broker.cli(&["echo", "echo"]));
        assert_eq!(call(&broker, "before"), "before");
        let mut second = command(binary!());
        second.args(["broker", "--memory", "--insecure", "--listen", broker.endpoint()]);
        let said = run(&mut second, SOON).code(4).error_text();
        assert!(said.contains("in use") && said.contains(broker.endpoint()), "{said}");
        assert_eq!(call(&broker, "after"), "after");
    }
}

#[test]
fn what_a_killed_broker_left_is_no_obstacle() {
    let mut broker = Broker::start(binary!());
    let _worker = Process::start(&mut broker.cli(&["echo", "echo"]));
    assert_eq!(call(&broker, "before"), "before");
    broker.kill();
    let path = broker.endpoint().strip_prefix("ipc://").expect("ipc").to_owned();
    assert!(std::path::Path::new(&path).exists(), "kill -9 leaves the socket's file");
    broker.restart();
    assert_eq!(call(&broker, "after"), "after");
}

#[test]
fn tcp_wants_keys_or_the_word_insecure() {
    let tcp = "tcp://127.0.0.1:0";
    let said =
        run(command(binary!()).args(["broker", "--memory", "--listen", tcp]), SOON).code(2).error_text();
    assert!(said.contains("--insecure") || said.contains("insecure"), "{said}");
    assert!(said.contains("key"), "{said}");

    let open = Broker::start_with(binary!(), &["--listen", tcp, "--insecure"]);
    assert!(open.endpoint().starts_with("tcp://127.0.0.1:") && !open.endpoint().ends_with(":0"));
    let _worker = Process::start(&mut open.cli(&["echo", "echo"]));
    assert_eq!(call(&open, "plain"), "plain");
}

#[test]
fn keys_let_the_right_ones_in_and_nobody_else() {
    let folder = Folder::new();
    let key = folder.join("broker.key");
    let key = key.to_str().expect("UTF-8");
    let public = run(command(binary!()).args(["keygen", key]), SOON).success().text();
    let public = public.trim_end();
    let broker = Broker::start_with(binary!(), &["--listen", "tcp://127.0.0.1:0", "--key-file", key]);
    let worker_key = format!("worker.broker_key={public}");
    let _worker = Process::start(&mut broker.cli(&["echo", "echo", "--set", &worker_key]));
    let good = run(&mut broker.cli(&["call", "echo", "--data", "x", "--broker-key", public]), SOON).success();
    assert_eq!(good.stdout, b"x");
    let plain = run(&mut broker.cli(&["call", "echo", "--data", "x", "--connect", "500ms"]), SOON);
    assert_ne!(plain.status.code(), Some(0), "a client without the key was served");
    let other_file = folder.join("other.key");
    let other =
        run(command(binary!()).args(["keygen", other_file.to_str().expect("UTF-8")]), SOON).success().text();
    let wrong = ["call", "echo", "--data", "x", "--connect", "500ms", "--broker-key", other.trim_end()];
    assert_ne!(
        run(&mut broker.cli(&wrong), SOON).status.code(),
        Some(0),
        "a client with a wrong key was served"
    );
}

#[test]
fn sigterm_lets_running_jobs_end() {
    let broker = Broker::start(binary!());
    let worker = Process::start(&mut support::prefix!().example_at(&broker, "examples-c/cpu_loop"));
    let call = Process::start(&mut broker.cli(&["call", "cpu_loop", "--data", "1"]));
    let events = || run(&mut broker.cli(&["events", "--no-follow", "--json"]), SOON).success().text();
    eventually("the job runs", SOON, || events().contains("\"started\"").then_some(()));
    let mut stopping = broker.cli(&["call", "cpu_loop", "--data", "1", "--connect", "500ms"]);
    let finished = broker.stop(SOON);
    finished.success();
    assert!(call.wait(SOON).success().text().contains("million steps"));
    assert_ne!(run(&mut stopping, SOON).status.code(), Some(0));
    assert!(worker.stop(SOON).status.success());
}

#[test]
fn a_drain_that_takes_too_long_is_cut() {
    let broker = Broker::start_with(binary!(), &["--drain", "200ms"]);
    let _worker = Process::start(&mut support::prefix!().example_at(&broker, "examples-c/cpu_loop"));
    let _call = Process::start(&mut broker.cli(&["call", "cpu_loop", "--data", "60"]));
    let events = || run(&mut broker.cli(&["events", "--no-follow", "--json"]), SOON).success().text();
    eventually("the job runs", SOON, || events().contains("\"started\"").then_some(()));
    broker.stop(Duration::from_secs(10)).success();
}

#[test]
fn the_log_goes_where_it_is_told_as_json() {
    let folder = Folder::new();
    let log = folder.join("log");
    let path = log.to_str().expect("UTF-8");
    let broker =
        Broker::start_with(binary!(), &["--log-file", path, "--log-format", "json", "--log", "debug"]);
    let finished = broker.stop(SOON).success();
    let text = std::fs::read_to_string(&log).expect("the log");
    assert!(text.lines().count() > 0, "nothing was logged; stderr: {}", finished.error_text());
    for line in text.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        for field in ["time", "level", "part", "text"] {
            assert!(entry[field].is_string(), "no {field} in {line}");
        }
    }
    assert!(finished.stderr.is_empty(), "{}", finished.error_text());
}

#[test]
fn a_file_of_options_is_read() {
    let folder = Folder::new();
    let file = folder.join("forebay.toml");
    let listen = folder.ipc("b");
    std::fs::write(&file, format!("[broker]\nlisten = [\"{listen}\"]\npayload_max = \"2Ki\"\n"))
        .expect("a file");
    let broker = Process::start(command(binary!()).args(["broker", "--memory", "--config"]).arg(&file));
    assert_eq!(broker.line_with("listening on ", SOON), format!("listening on {listen}"));
    std::fs::write(&file, "[broker]\nlitsen = 1\n").expect("a file");
    let said = run(command(binary!()).args(["broker", "--memory", "--config"]).arg(&file), SOON)
        .code(2)
        .error_text();
    assert!(said.contains("broker.listen"), "{said}");
}

/// Relative paths count from where each process stands; IPv6 wants brackets; several addresses are one broker.
#[test]
fn addresses_that_are_right_are_taken() {
    let folder = Folder::new();
    let mut broker = command(binary!());
    broker.current_dir(folder.path()).args([
        "broker",
        "--memory",
        "--insecure",
        "--listen",
        "ipc://relative",
    ]);
    broker.args(["--listen", "tcp://127.0.0.1:0", "--listen", "inproc://inside"]);
    let has_ipv6 = std::net::TcpListener::bind("[::1]:0").is_ok();
    if has_ipv6 {
        broker.args(["--listen", "tcp://[::1]:0"]);
    }
    let broker = Process::start(&mut broker);
    let wanted = if has_ipv6 { 4 } else { 3 };
    eventually("all addresses", SOON, || {
        (broker.stdout().lines().filter(|line| line.starts_with("listening on ")).count() == wanted)
            .then_some(())
    });
    let said = broker.stdout();
    let addresses: Vec<_> = said.lines().map(|line| line.trim_start_matches("listening on ")).collect();
    let forebay = |address: &str, arguments: &[&str]| {
        let mut forebay = command(binary!());
        forebay.current_dir(folder.path()).args(arguments).args(["--endpoint", address]);
        forebay
    };
    let _worker = Process::start(&mut forebay(addresses[0], &["echo", "echo"]));
    for address in addresses.iter().filter(|address| !address.starts_with("inproc")) {
        let said = run(&mut forebay(address, &["call", "echo", "--data", address]), SOON).success().text();
        assert_eq!(&said, address);
    }
    // A list is tried in turn.
    let list = format!("ipc://nobody,{}", addresses[1]);
    let called =
        run(&mut forebay(&list, &["call", "echo", "--data", "x", "--connect", "20s"]), SOON).success();
    assert_eq!(called.stdout, b"x");
}
