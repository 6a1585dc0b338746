//! What links and cores say to each other.
//!
//! On the broker's side `link::Hub` turns packets into [`Input`]s and [`Output`]s into packets; on a peer's side
//! `link::Peer` does the same with [`PeerEvent`]s. Numbers, resynchronisation, windows and chunks are the link's;
//! what a command means is the core's.

use crate::core::jobs::SessionId;
use crate::model::{Failure, Lease};
use crate::wire::command::{FromBroker, Hello, Terms, ToBroker};

/// What a broker's link tells its core.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A session nobody knew. `identity` is what the connection proved: "uid:...", "key:..." or empty.
    Opened { session: SessionId, hello: Box<Hello>, identity: String },
    /// A command to execute. The core answers each with exactly one [`Output::Done`].
    Command { session: SessionId, number: u64, command: ToBroker },
    /// The peer lives and holds these leases. Answered by [`Output::BeatReply`].
    Beat { session: SessionId, held: Vec<Lease> },
    /// The session's connection is gone; it may come back.
    Dropped { session: SessionId },
    /// It came back, nothing lost.
    Returned { session: SessionId },
    /// The peer takes what it is sent much more slowly than it is sent, or does not any more.
    Congested { session: SessionId, congested: bool },
    /// The session is over: the peer said goodbye, or was away too long.
    Closed { session: SessionId, on_purpose: bool },
}

/// What a broker's core tells its link.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// A command for the peer. Kept and re-sent by the link until acknowledged.
    Send { session: SessionId, command: FromBroker },
    /// The peer's command has reached its level and all its answers were sent.
    Done { session: SessionId, number: u64 },
    /// The answer to a beat: the leases to drop.
    BeatReply { session: SessionId, dropped: Vec<Lease> },
    /// Ends the session with a refusal the peer reports. No [`Input::Closed`] follows.
    Close { session: SessionId, why: Failure },
}

/// What a peer's link tells its core.
#[derive(Clone, Debug, PartialEq)]
pub enum PeerEvent {
    /// The broker welcomed the session. `fresh`: it does not know the session, so everything must be said anew, and
    /// numbers begin at 1; else nothing was lost.
    Up { fresh: bool, terms: Box<Terms> },
    /// The connection is lost, or the broker wants the session opened again. `Up` or `Refused` follows some day.
    Down,
    /// A command of the broker.
    Command(FromBroker),
    /// Every own command up to this number has reached its level.
    Acknowledged(u64),
    /// It is time to beat: call `Peer::beat` with the leases held.
    BeatDue,
    /// The broker says these leases are not the worker's any more.
    LeasesDropped(Vec<Lease>),
    /// The broker does not want this peer; final.
    Refused(Failure),
}

/// What a peer's core tells its link: commands to send, in order.
pub type PeerOutput = ToBroker;
