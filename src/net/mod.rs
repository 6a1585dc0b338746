//! Sockets, addresses and wake-ups: the only layer that knows ZeroMQ.
//!
//! Invariant: nothing above this folder names the `zmq` crate, and this folder names no other layer.

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
