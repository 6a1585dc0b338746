//! What happens to a socket's connections, as libzmq reports it beside the messages.
//!
//! Invariant: libzmq's thread never waits for the reader, because the queue between them has no limit; so a monitor
//! is stopped before it is closed, and read regularly.

use super::error::{Error, Result};
use super::poll::Poller;
use super::socket::Socket;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub(crate) struct Monitor {
    socket: Socket,
}

/// An event with the number that belongs to it: a descriptor, an interval, an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) kind: u32,
    pub(crate) value: u32,
}

impl Monitor {
    /// Watches `socket` for the events in the mask. Stop it (`Socket::stop_monitor`) before this is dropped.
    pub(crate) fn open(socket: &Socket, events: u32) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let address = format!("inproc://forebay-monitor-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let why = |errno| Error::errno("watch a socket", errno);
        let pair = Socket::open(socket.context(), zmq_sys::ZMQ_PAIR)?;
        pair.set_int(zmq_sys::ZMQ_RCVHWM, 0)?;
        socket.monitor(&address, events).map_err(why)?;
        if let Err(errno) = pair.connect(&address) {
            socket.stop_monitor();
            return Err(why(errno));
        }
        Ok(Self { socket: pair })
    }

    /// The next event, without waiting.
    pub(crate) fn next(&self) -> Result<Option<Event>> {
        let Some(frames) = self.socket.recv()? else { return Ok(None) };
        // Two bytes of event and four of value, in the machine's order, without padding.
        let Some((kind, value)) = frames.first().split_at_checked(2) else { return Ok(None) };
        let (Ok(kind), Ok(value)) = (kind.try_into(), value.try_into()) else { return Ok(None) };
        Ok(Some(Event { kind: u16::from_ne_bytes(kind).into(), value: u32::from_ne_bytes(value) }))
    }

    /// Waits for so many events of any kind, at most so long.
    pub(crate) fn wait_for(&self, count: usize, at_most: Duration) {
        let deadline = Instant::now() + at_most;
        let mut poller = Poller::new();
        let mut seen = 0;
        while seen < count {
            match self.next() {
                Ok(Some(_)) => seen += 1,
                Ok(None) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() || poller.wait(&[&self.socket], Some(left)).is_err() {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    }

    pub(crate) fn source(&self) -> &Socket {
        &self.socket
    }
}
