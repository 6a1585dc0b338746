//! Between packets and the cores: numbers and what was acknowledged, resynchronisation, coalescing, windows, chunks.
//! [`Hub`] is the broker's end of all sessions, [`Peer`] the client's or worker's end of its one session; both stand
//! on one [`Lane`] per session. Pure: fed packets and times, drained of packets and events.
#![forbid(unsafe_code)]

mod hub;
mod hub_hello;
mod inbound;
mod lane;
mod outbound;
mod peer;
mod session;
mod transfers;

pub use hub::{ConnId, Hub, HubCounters, HubLimits};
pub use lane::Lane;
pub use peer::{Peer, PeerConfig, PeerCounters};

#[cfg(test)]
mod tests;
