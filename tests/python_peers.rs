//! docs/PROTOCOL.md is enough: a client and a worker in plain Python, written from that page alone (pyzmq and msgpack,
//! nothing of forebay), work through a broker that is killed and started again.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use support::{Broker, Process, SOON, command};

/// A Python with pyzmq and msgpack: the one FOREBAY_PYTHON names, else python3. `None` when there is none, said aloud;
/// with CI=true that is a failure.
fn python() -> Option<String> {
    let python = std::env::var("FOREBAY_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let found = Command::new(&python).args(["-c", "import zmq, msgpack"]).output();
    let why = match found {
        Ok(output) if output.status.success() => return Some(python),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    let what = format!(
        "SKIPPED the plain Python peers: {python} cannot import zmq and msgpack ({why}). Install them (pip install \
         pyzmq msgpack), perhaps in a venv, and name its interpreter in FOREBAY_PYTHON"
    );
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{what}");
    eprintln!("\n{what}\n");
    None
}

fn start(python: &str, script: &str, arguments: &[&str]) -> Process {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    Process::start(command(python).arg("-B").arg(folder.join(script)).args(arguments))
}

#[test]
fn plain_python_peers_work_through_a_broker_that_is_killed() {
    let Some(python) = python() else { return };
    let arguments = ["--set", "broker.beat_ms=300", "--set", "broker.lease_ms=2s"];
    let mut broker = Broker::start_with(support::binary!(), &arguments);
    let endpoint = broker.endpoint().to_owned();
    // Four jobs of 300 ms at a time: the broker is killed while some run, some wait and some are done.
    let worker = start(&python, "plain_worker.py", &[&endpoint, "reverse", "300", "4"]);
    let client = start(&python, "plain_client.py", &[&endpoint, "reverse", "40"]);
    client.line_where("the eighth result", SOON, |line| line.starts_with("result 8 "));
    broker.kill();
    broker.restart();
    let said = client.wait(Duration::from_secs(60)).success().text();
    assert_eq!(said.lines().last(), Some("40 results"), "{said}");
    let work = worker.stdout();
    let adopted = work.lines().filter(|line| line.starts_with("adopted ")).count();
    assert!(adopted > 0, "no running job was adopted by the restarted broker:\n{work}");
    // A job that ran on through the restart was not started a second time.
    let starts: Vec<&str> = work.lines().filter(|line| line.starts_with("start ")).collect();
    for line in work.lines().filter(|line| line.starts_with("adopted ")) {
        let id = line.trim_start_matches("adopted ");
        let count = starts.iter().filter(|start| start.contains(id)).count();
        assert_eq!(count, 1, "job {id} was started {count} times:\n{work}");
    }
}

#[test]
fn a_plain_python_worker_serves_the_library_and_leaves_when_asked() {
    let Some(python) = python() else { return };
    let broker = Broker::start(support::binary!());
    let endpoint = broker.endpoint().to_owned();
    let worker = start(&python, "plain_worker.py", &[&endpoint, "reverse", "1", "2"]);
    let payload = broker.folder().join("payload");
    // Large enough to travel in chunks both ways.
    let bytes: Vec<u8> = (0..2_500_000u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(&payload, &bytes).expect("a file in the test's own folder");
    let path = payload.to_str().expect("a path of plain characters");
    let done = support::run(&mut broker.cli(&["call", "reverse", path]), SOON).success();
    assert!(done.stdout.iter().eq(bytes.iter().rev()), "{} bytes came back", done.stdout.len());
    // A broker that stops on purpose drains its workers, and this one leaves by itself.
    broker.stop(SOON).success();
    worker.wait(SOON).success();
}
