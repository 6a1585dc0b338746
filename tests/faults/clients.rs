//! Clients that go, and clients that have nobody to talk to.

use std::net::TcpListener;

use support::{Client, SOON, command};

/// A client that dies while its job waits: the job is done, and its result is there for whoever asks by its id.
#[test]
fn a_dead_clients_job_is_done() {
    let stage = support::stage!();
    let mut client = stage.client();
    let (_, id) = client.submit("work", "echo for whom");
    client.process.kill();
    let worker = stage.worker("work", 1);
    worker.wait_start(&id);
    assert_eq!(stage.cli(&["wait", &id, "--timeout", "20s"]), "for whom");
}

/// A wrong port: after 5 s one line of warning names the address and the cause, and what `ready` says does too.
#[test]
fn a_wrong_port_is_said_once_with_its_cause() {
    // Bound and closed again: nobody listens there.
    let port =
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let endpoint = format!("tcp://127.0.0.1:{port}");
    let program = support::prefix!().program("claims_client");
    let mut client = Client::start(command(program).env("FOREBAY_BROKER", &endpoint));
    let said = client.ready(6_000);
    assert!(said.contains(&endpoint) && said.contains("refused"), "{said}");
    let is_warning = |line: &str| line.contains("WARN") && line.contains(&endpoint);
    let warning = client.process.line_where("a warning", SOON, is_warning);
    assert!(warning.contains("refused"), "{warning}");
    client.process.signal(libc::SIGTERM);
    let done = client.process.wait(SOON);
    assert_eq!(done.error_text().matches(&endpoint).count(), 1, "once a minute: {}", done.error_text());
}
