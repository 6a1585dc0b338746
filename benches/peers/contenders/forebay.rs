//! forebay itself: the `forebay` binary as the broker, client and worker as C programs linked to the shared library.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use super::{Group, Stage, built, c_source};
use crate::cell::{Level, Transport, Wiring};
use crate::process::Part;

pub(super) fn version() -> Option<String> {
    super::debian::version(env!("CARGO_BIN_EXE_forebay"), "--version")
}

/// A C program, built once in each run as the examples are.
fn program(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        for name in ["forebay_client", "forebay_worker", "forebay_sleeper"] {
            let source = c_source(name).with_extension("c");
            let flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"];
            support::prefix!().cc(&flags, &source, &built(name));
        }
    });
    built(name)
}

pub(super) fn start(stage: &mut Stage) -> Result<(), String> {
    let (endpoint, key) = broker(stage);
    let with_key = |mut command: Command| {
        if let Some(key) = &key {
            command.env("FOREBAY_CLIENT_BROKER_KEY", key).env("FOREBAY_WORKER_BROKER_KEY", key);
        }
        command
    };
    let mut worker = with_key(support::command(program("forebay_worker")));
    stage.workers(worker.arg(&endpoint), false);
    let mut client = with_key(support::command(program("forebay_client")));
    stage.run(Part::Client, client.args([endpoint, stage.wiring.workers.to_string()]));
    Ok(())
}

/// Starts the broker and gives its address and, with CURVE, its public key.
fn broker(stage: &mut Stage) -> (String, Option<String>) {
    let mut command = support::command(support::binary!());
    command.args(["broker", "--log", "error", "--listen", &stage.address("broker")]);
    match stage.wiring.level {
        Level::Volatile => command.arg("--memory"),
        Level::Durable => command.arg("--store").arg(stage.folder.join("store")),
    };
    let key = stage.wiring.curve.then(|| {
        let file = stage.folder.join("broker.key");
        let made = Command::new(support::binary!()).arg("keygen").arg(&file).output().expect("keys");
        command.arg("--key-file").arg(&file);
        String::from_utf8_lossy(&made.stdout).trim().to_owned()
    });
    if stage.wiring.transport == Transport::Tcp && key.is_none() {
        command.arg("--insecure");
    }
    (stage.run(Part::Server, &mut command).line_after("listening on "), key)
}

/// A broker, a worker of so many slots whose jobs sleep, and a client.
pub(crate) fn sleepers(slots: usize) -> Group {
    Group::start(Wiring::USUAL, |stage| {
        let (endpoint, _) = broker(stage);
        let slots = slots.to_string();
        let mut worker = support::command(program("forebay_sleeper"));
        stage.workers(worker.args([endpoint.as_str(), &slots]), true);
        stage.run(Part::Client, support::command(program("forebay_client")).args([endpoint.as_str(), "1"]));
        Ok(())
    })
    .expect("forebay is never left out")
}
