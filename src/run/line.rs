//! A peer's line to its broker: the socket, the session spoken over it, and which of several endpoints it is at.
//!
//! Invariants: nothing is handed to the socket while it has no connection; a packet the socket does not take is kept
//! and is the next one; a session survives every reconnection and every change of endpoint.

use std::time::Duration;

use crate::core::session::PeerEvent;
use crate::link::{Peer, PeerConfig};
use crate::model::{Failure, Now, Status};
use crate::net::{
    ClientCurve, Dealer, DealerOptions, Endpoint, Frames, FromBroker, KeyPair, Poller, PublicKey, Sent, Side,
    Source, Waker,
};
use crate::run::ids;
use crate::run::settings::Keys;
use crate::wire::command::{PeerKind, Secret};

/// Packets and bytes taken from the socket before something is done about them, so that others can go on meanwhile.
const TURN_PACKETS_MAX: usize = 1_000;
const TURN_LEN_MAX: usize = 16 << 10;
/// An endpoint that does not answer for so long is left for the next of the list.
const ROTATE_US: u64 = 2_000_000;
/// A connection over which nobody answers for so long is made anew; within a process, where nothing tells that the
/// broker went, sooner.
const UNANSWERED_US: u64 = 6_000_000;
const UNANSWERED_INPROC_US: u64 = 500_000;
/// Without a broker for so long a warning is due, and then again and again.
const WARN_FIRST_US: u64 = 5_000_000;
const WARN_AGAIN_US: u64 = 60_000_000;
/// The socket is full: it is tried again after so long.
const FULL_RETRY_US: u64 = 2_000;
/// How long the last packets may still be on their way after the socket was closed.
const SOCKET_LINGER_MS: u64 = 500;

pub(super) struct Line {
    endpoints: Vec<Endpoint>,
    at: usize,
    options: DealerOptions,
    dealer: Dealer,
    pub(super) peer: Peer,
    poller: Poller,
    unsent: Option<Frames>,
    part: &'static str,
    /// Since when no broker has answered; `None` while one does.
    down_since_us: Option<u64>,
    tried_since_us: u64,
    warn_due_us: u64,
    refusal: Option<Failure>,
    reconnects: u64,
}

/// Reads a comma-separated list of endpoints to connect to; `None` means `$FOREBAY_BROKER`, else the default.
pub(super) fn endpoints_of(text: Option<&str>) -> Result<Vec<Endpoint>, Failure> {
    let named = match text {
        Some(text) => Some(text.to_owned()),
        None => std::env::var("FOREBAY_BROKER").ok().filter(|text| !text.is_empty()),
    };
    Ok(match named {
        Some(text) => Endpoint::parse_list(&text, Side::Connect)?,
        None => vec![Endpoint::default_ipc()?],
    })
}

fn curve_of(keys: &Keys) -> Result<Option<ClientCurve>, Failure> {
    let Some(broker_key) = &keys.broker_key else { return Ok(None) };
    let broker_key = PublicKey::parse(broker_key)?;
    let keys = match &keys.key_file {
        Some(path) => KeyPair::load(path)?,
        None => KeyPair::generate()?,
    };
    Ok(Some(ClientCurve { broker_key, keys }))
}

fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| String::new(), |text| text.trim().to_owned())
}

impl Line {
    /// Begins to connect to the first of `endpoints`. `part` names the kind of handle in the log.
    pub(super) fn open(
        now: Now,
        kind: PeerKind,
        name: &str,
        endpoints: Vec<Endpoint>,
        keys: &Keys,
        part: &'static str,
    ) -> Result<Line, Failure> {
        let curve = curve_of(keys)?;
        let options = DealerOptions { linger_ms: SOCKET_LINGER_MS, curve, ..DealerOptions::default() };
        let dealer = Dealer::connect(&endpoints[0], &options)?;
        let peer = Peer::new(PeerConfig {
            kind,
            secret: Secret(ids::random()?),
            name: name.to_owned(),
            host: host_name(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            features: Vec::new(),
        });
        Ok(Line {
            endpoints,
            at: 0,
            options,
            dealer,
            peer,
            poller: Poller::new(),
            unsent: None,
            part,
            down_since_us: Some(now.us),
            tried_since_us: now.us,
            warn_due_us: now.us + WARN_FIRST_US,
            refusal: None,
            reconnects: 0,
        })
    }

    /// Takes what arrived, and lets time pass. Drain [`Line::poll_event`] after it. True: there may be more.
    pub(super) fn receive(&mut self, now: Now) -> Result<bool, Failure> {
        let (mut packets, mut len) = (0, 0);
        let mut has_more = true;
        while has_more && packets < TURN_PACKETS_MAX && len < TURN_LEN_MAX {
            packets += 1;
            match self.dealer.recv()? {
                None => has_more = false,
                Some(FromBroker::Connected) => self.peer.connected(now),
                Some(FromBroker::Packet(frames)) => {
                    len += frames.bytes_len();
                    let (first, rest) = frames.into_parts();
                    let mut packet = Vec::with_capacity(1 + rest.len());
                    packet.push(first);
                    packet.extend(rest);
                    self.peer.receive(now, packet);
                }
                Some(FromBroker::Lost) => {
                    self.unsent = None;
                    self.reconnects += 1;
                    self.note_down(now);
                }
            }
        }
        self.peer.tick(now);
        self.look_after_connection(now)?;
        Ok(has_more)
    }

    /// The next thing the session has to say to the core.
    pub(super) fn poll_event(&mut self, now: Now) -> Option<PeerEvent> {
        if let Some(failure) = self.refusal.take() {
            return Some(PeerEvent::Refused(failure));
        }
        let event = self.peer.poll_event()?;
        match &event {
            PeerEvent::Up { .. } => {
                if self.warned() {
                    log::info!(target: self.part, "a broker answers at {} again", self.dealer.endpoint());
                }
                self.down_since_us = None;
            }
            PeerEvent::Down => self.note_down(now),
            _ => {}
        }
        Some(event)
    }

    fn note_down(&mut self, now: Now) {
        if self.down_since_us.is_none() {
            self.down_since_us = Some(now.us);
            self.tried_since_us = now.us;
            self.warn_due_us = now.us + WARN_FIRST_US;
        }
    }

    fn warned(&self) -> bool {
        self.down_since_us.is_some_and(|since_us| self.warn_due_us > since_us + WARN_FIRST_US)
    }

    /// Whether a broker answers over a connection that lives.
    pub(super) fn is_up(&self) -> bool {
        self.down_since_us.is_none()
    }

    /// Why there is no connection, if that is known.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.dealer.failure().map(|failure| failure.text.as_str())
    }

    fn look_after_connection(&mut self, now: Now) -> Result<(), Failure> {
        if self.is_up() || self.peer.is_over() {
            return Ok(());
        }
        if now.us >= self.warn_due_us {
            self.warn_due_us = now.us + WARN_AGAIN_US;
            let why = match self.dealer.failure() {
                Some(failure) => failure.text.clone(),
                None => format!("the broker at {} does not answer", self.dealer.endpoint()),
            };
            log::warn!(target: self.part, "{why}");
        }
        let is_permanent = self.dealer.failure().is_some_and(|failure| failure.is_permanent);
        if self.endpoints.len() > 1 {
            if is_permanent || now.us >= self.tried_since_us + ROTATE_US {
                self.rotate(now)?;
            }
        } else if is_permanent {
            if let Some(failure) = self.dealer.failure() {
                self.refusal = Some(Failure::new(Status::Denied, failure.text.clone()));
            }
            self.peer.goodbye(now, "");
        } else if self.dealer.is_connected() && now.us >= self.tried_since_us + self.unanswered_us() {
            self.tried_since_us = now.us;
            self.dealer.reconnect()?;
        }
        Ok(())
    }

    fn unanswered_us(&self) -> u64 {
        match self.dealer.endpoint() {
            Endpoint::Inproc { .. } => UNANSWERED_INPROC_US,
            _ => UNANSWERED_US,
        }
    }

    fn rotate(&mut self, now: Now) -> Result<(), Failure> {
        self.at = (self.at + 1) % self.endpoints.len();
        self.tried_since_us = now.us;
        self.unsent = None;
        self.dealer = Dealer::connect(&self.endpoints[self.at], &self.options)?;
        Ok(())
    }

    /// Hands the socket what the session has to say, as far as it takes it.
    pub(super) fn flush(&mut self, now: Now) -> Result<(), Failure> {
        self.flush_while(now, |_| true)
    }

    /// Hands the socket the packets to which nothing can be added.
    pub(super) fn flush_full(&mut self, now: Now) -> Result<(), Failure> {
        self.flush_while(now, Peer::has_full_packet)
    }

    fn flush_while(&mut self, now: Now, goes_on: impl Fn(&Peer) -> bool) -> Result<(), Failure> {
        if !self.dealer.is_connected() {
            return Ok(());
        }
        while goes_on(&self.peer) {
            let frames = match self.unsent.take() {
                Some(frames) => frames,
                None => match self.peer.poll_packet(now) {
                    Some(packet) => frames_of(packet),
                    None => return Ok(()),
                },
            };
            match self.dealer.send(&frames)? {
                Sent::Queued => {}
                Sent::Full | Sent::Gone => {
                    self.unsent = Some(frames);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Sleeps until something arrives, the waker is woken, or `next_us` has come.
    pub(super) fn sleep(&mut self, now: Now, waker: &Waker, next_us: Option<u64>) -> Result<(), Failure> {
        let mut next_us = next_us.unwrap_or(u64::MAX);
        if self.dealer.is_connected() {
            // Without a connection nothing can be said, so its times do not matter.
            next_us = next_us.min(self.peer.next_timeout().unwrap_or(u64::MAX));
        }
        if !self.is_up() && !self.peer.is_over() {
            next_us = next_us.min(self.warn_due_us);
            if self.endpoints.len() > 1 {
                next_us = next_us.min(self.tried_since_us + ROTATE_US);
            } else if self.dealer.is_connected() {
                next_us = next_us.min(self.tried_since_us + self.unanswered_us());
            }
        }
        if self.unsent.is_some() {
            next_us = next_us.min(now.us + FULL_RETRY_US);
        }
        let timeout = (next_us != u64::MAX).then(|| Duration::from_micros(next_us.saturating_sub(now.us)));
        let sources: [&dyn Source; 2] = [&self.dealer, waker];
        self.poller.wait(&sources, timeout)?;
        Ok(())
    }

    /// Whether nothing is left to hand to the socket.
    pub(super) fn is_flushed(&self) -> bool {
        self.unsent.is_none()
    }

    /// Where it connects at the moment.
    pub(super) fn endpoint(&self) -> String {
        self.dealer.endpoint().to_string()
    }

    /// How often a connection was lost.
    pub(super) fn reconnects(&self) -> u64 {
        self.reconnects
    }
}

pub(super) fn frames_of(packet: Vec<bytes::Bytes>) -> Frames {
    let mut frames = packet.into_iter();
    let first = frames.next().unwrap_or_default();
    Frames::from((first, frames.collect::<Vec<_>>()))
}
