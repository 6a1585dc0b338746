//! The other side of `forebay bench --bare`: client and worker on bare sockets, and a proxy between them. It shows what
//! ZeroMQ alone can do on this machine, and so what the broker costs.
//!
//! Invariant: the library, its socket options and the calls that send and receive are those of a broker and its peers.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::model::{Failure, Status};
use crate::net::{Dealer, DealerOptions, Endpoint, Frames, FromBroker, Poller, Proxy, Sent, Side};

/// Messages taken before those taken are answered.
const BATCH: usize = 1_000;

/// Passes messages on between the clients at one address and the workers at another, until the process ends. Calls
/// `bound` with both real addresses when they can be connected to. Returns only why it cannot go on.
pub fn proxy(clients: &str, workers: &str, bound: impl FnOnce(&[String; 2])) -> Failure {
    let bind = || Proxy::bind(&Endpoint::parse(clients, Side::Bind)?, &Endpoint::parse(workers, Side::Bind)?);
    match bind() {
        Ok(proxy) => {
            bound(proxy.endpoints());
            proxy.run().into()
        }
        Err(error) => error.into(),
    }
}

/// Sends every message back to where it came from, until the process ends. Returns only why it cannot go on.
pub fn echo(workers: &str) -> Failure {
    let run = || -> Result<Infallible, Failure> {
        let mut peer = Peer::connect(workers)?;
        let mut messages = Vec::new();
        loop {
            peer.receive(&mut messages, None)?;
            for frames in messages.drain(..) {
                peer.send(&frames)?;
            }
        }
    };
    match run() {
        Err(failure) => failure,
        Ok(never) => match never {},
    }
}

/// The client: messages of one frame go out, and come back in any order.
pub struct Client {
    peer: Peer,
    messages: Vec<Frames>,
}

impl Client {
    /// Connects to a proxy's address for clients, and waits until there is a connection.
    pub fn connect(clients: &str) -> Result<Self, Failure> {
        Ok(Self { peer: Peer::connect(clients)?, messages: Vec::new() })
    }

    /// Sends one message.
    pub fn send(&mut self, message: Bytes) -> Result<(), Failure> {
        self.peer.send(&Frames::one(message))
    }

    /// Adds what came back; waits for the first one, but not longer than `wait`.
    pub fn receive(&mut self, out: &mut Vec<Bytes>, wait: Duration) -> Result<(), Failure> {
        self.peer.receive(&mut self.messages, Some(wait))?;
        out.extend(self.messages.drain(..).map(|frames| frames.into_parts().0));
        Ok(())
    }
}

/// A connection that counts on staying: a lost one is an error.
struct Peer {
    dealer: Dealer,
    poller: Poller,
}

impl Peer {
    fn connect(endpoint: &str) -> Result<Self, Failure> {
        const PATIENCE: Duration = Duration::from_secs(10);
        let dealer = Dealer::connect(&Endpoint::parse(endpoint, Side::Connect)?, &DealerOptions::default())?;
        let mut peer = Self { dealer, poller: Poller::new() };
        let end = Instant::now() + PATIENCE;
        while peer.dealer.recv()? != Some(FromBroker::Connected) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Failure::new(Status::Io, format!("no connection to {endpoint}")));
            }
            peer.poller.wait(&[&peer.dealer], Some(left))?;
        }
        Ok(peer)
    }

    fn send(&mut self, frames: &Frames) -> Result<(), Failure> {
        match self.dealer.send(frames)? {
            Sent::Queued => Ok(()),
            _ => Err(Failure::new(Status::Busy, "the connection takes no more messages")),
        }
    }

    /// Waits for the first message, then takes what is there.
    fn receive(&mut self, out: &mut Vec<Frames>, wait: Option<Duration>) -> Result<(), Failure> {
        let end = wait.map(|wait| Instant::now() + wait);
        loop {
            while out.len() < BATCH {
                match self.dealer.recv()? {
                    Some(FromBroker::Packet(frames)) => out.push(frames),
                    Some(FromBroker::Connected) => {}
                    Some(FromBroker::Lost) => {
                        return Err(Failure::new(Status::Io, "the connection was lost"));
                    }
                    None => break,
                }
            }
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if !out.is_empty() || left.is_some_and(|left| left.is_zero()) {
                return Ok(());
            }
            self.poller.wait(&[&self.dealer], left)?;
        }
    }
}
