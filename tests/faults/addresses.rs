//! Addresses that are unusual and right.

use support::{Broker, Folder, Process, SOON, command, run};

/// IPv6 in brackets, with a port of the system's choice.
#[test]
fn an_ipv6_address_is_served() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        println!("skipped: this machine has no IPv6");
        return;
    }
    let broker = Broker::start_with(support::binary!(), &["--insecure", "--listen", "tcp://[::1]:0"]);
    assert!(broker.endpoint().starts_with("tcp://[::1]:"), "{}", broker.endpoint());
    run(&mut broker.cli(&["status"]), SOON).success();
}

/// A relative path is one from where the process stands, for the broker and for its clients.
#[test]
fn a_relative_ipc_path_is_served() {
    let folder = Folder::new();
    let mut broker = command(support::binary!());
    broker.args(["broker", "--memory", "--listen", "ipc://here"]).current_dir(folder.path());
    let broker = Process::start(&mut broker);
    broker.line_with("listening on ", SOON);
    let mut status = command(support::binary!());
    run(status.args(["status", "--endpoint", "ipc://here"]).current_dir(folder.path()), SOON).success();
    run(command(support::binary!()).args(["status", "--endpoint", &folder.ipc("here")]), SOON).success();
    broker.stop(SOON).success();
}
