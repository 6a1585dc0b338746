//! Sockets, addresses and wake-ups: the only layer that knows ZeroMQ.
//!
//! A broker has a [`Router`], a client or worker a [`Dealer`] for each connection. Both are used by one thread, never
//! wait and never drop silently: take until empty, work, then sleep in [`Poller::wait`], from which a [`Waker`] in
//! another thread's hands ends the sleep.
//!
//! Invariant: nothing above this folder names the `zmq` crate, and this folder names no other layer.

mod context;
mod curve;
mod dealer;
mod endpoint;
mod error;
mod frames;
mod listen;
mod monitor;
mod poll;
mod proxy;
mod router;
mod socket;
#[cfg(test)]
mod tests;
mod thread;
mod wake;
mod zap;

pub use context::{close_in_child, generation};
pub use curve::{Allowed, ClientCurve, KeyList, KeyPair, PublicKey, SecretKey, ServerCurve};
pub use dealer::{Dealer, DealerOptions, Failure, FromBroker};
pub use endpoint::{Endpoint, INPROC_NAME_LEN_MAX, IPC_PATH_LEN_MAX, Side, runtime_folder};
pub use error::{Error, ErrorKind, Result};
pub use frames::Frames;
pub use poll::{PollFds, Poller, Source};
pub use proxy::Proxy;
pub use router::{FromPeer, Identity, PeerId, Router, RouterOptions, Sent};
pub use socket::FRAME_LEN_MAX;
pub use thread::spawn_quiet;
pub use wake::{LevelEvent, Waker};

/// What the linked libzmq is and can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Build {
    /// Version as major, minor, patch.
    pub version: (i32, i32, i32),
    /// Whether connections can be encrypted and authenticated (CURVE).
    pub curve: bool,
    /// Whether the draft interface is there; disconnects are seen through it.
    pub draft: bool,
}

/// Asks the linked libzmq what it is. It must be 4.3.5 with both features; there is no fallback to plain text.
pub fn build() -> Build {
    Build {
        version: zmq::version(),
        curve: zmq::has("curve").unwrap_or(false),
        draft: zmq::has("draft").unwrap_or(false),
    }
}
