//! The ceilings: brokers of this bench's own over the same libzmq with the same socket options.

use std::process::Command;

use super::{Stage, role};
use crate::cell::{Level, Transport};
use crate::process::Part;

/// Jobs a worker takes before it has answered one.
const CREDITS: &str = "1000";

pub(super) fn version() -> Option<String> {
    let (major, minor, patch) = zmq::version();
    Some(format!("libzmq {major}.{minor}.{patch}, forebay's own build"))
}

pub(super) fn proxy(stage: &mut Stage) -> Result<(), String> {
    if stage.wiring.level == Level::Durable {
        return Err("it keeps nothing".to_owned());
    }
    let keys = Keys::of(stage);
    let mut command = role(&["proxy", &stage.address("clients"), &stage.address("workers")]);
    let proxy = stage.run(Part::Server, keys.give(&mut command));
    let (clients, workers) = (proxy.line_after("listening on "), proxy.line_after("listening on "));
    stage.workers(keys.give(&mut role(&["plain-worker", &workers, "0"])), false);
    stage.run(Part::Client, keys.give(&mut role(&["plain-client", &clients])));
    Ok(())
}

pub(super) fn credit(stage: &mut Stage) -> Result<(), String> {
    if stage.wiring.level == Level::Durable {
        return Err("only the coalescing one writes records".to_owned());
    }
    broker(stage, "credit", "plain")
}

pub(super) fn coalescing(stage: &mut Stage) -> Result<(), String> {
    broker(stage, "coalescing", "coalescing")
}

fn broker(stage: &mut Stage, kind: &str, peers: &str) -> Result<(), String> {
    let keys = Keys::of(stage);
    let mut command = role(&[kind, &stage.address("broker")]);
    if stage.wiring.level == Level::Durable {
        command.arg(stage.folder.join("store"));
    }
    let endpoint = stage.run(Part::Server, keys.give(&mut command)).line_after("listening on ");
    stage.workers(keys.give(&mut role(&[&format!("{peers}-worker"), endpoint.as_str(), CREDITS])), false);
    stage.run(Part::Client, keys.give(&mut role(&[&format!("{peers}-client"), endpoint.as_str()])));
    Ok(())
}

/// The broker's pair of keys, with CURVE.
struct Keys(Option<zmq::CurveKeyPair>);

impl Keys {
    fn of(stage: &Stage) -> Keys {
        let is_wanted = stage.wiring.curve && stage.wiring.transport == Transport::Tcp;
        Keys(is_wanted.then(|| zmq::CurveKeyPair::new().expect("a pair of keys")))
    }

    fn give<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let text = |key: &[u8]| zmq::z85_encode(key).expect("32 bytes");
        if let Some(pair) = &self.0 {
            command.env("PEERS_CURVE_PUBLIC", text(&pair.public_key));
            command.env("PEERS_CURVE_SECRET", text(&pair.secret_key));
        }
        command
    }
}
