//! A client's or worker's end of its one session. Owns the session's secret, its numbers, and when to say HELLO.
//!
//! Feed `connected`, `receive`, `send`, `beat` and `goodbye`; drain `poll_event`, then `poll_packet`; then wait until
//! `next_timeout` and call `tick`.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::core::session::PeerEvent;
use crate::link::lane::{Done, Heard, Lane};
use crate::model::{Failure, Lease, Now, Status, limits};
use crate::wire::codec::Numbered;
use crate::wire::command::{Control, FromBroker, Hello, PeerKind, Secret, Terms, ToBroker, Welcome};
use crate::wire::header::MAJOR;
use crate::wire::{Header, Packet, WireError, control_packet};

/// Who a peer is.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerConfig {
    /// Client or worker.
    pub kind: PeerKind,
    /// Random, one for each session.
    pub secret: Secret,
    /// `client.name` or `worker.name`; empty when none.
    pub name: String,
    /// Its host's name, for people.
    pub host: String,
    /// Its process id, for people.
    pub pid: u32,
    /// The version of its library, for people.
    pub version: String,
    /// What it can do beyond the protocol's major.
    pub features: Vec<String>,
}

/// What a peer has counted since it began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerCounters {
    /// Packets received, good or bad.
    pub packets_received: u64,
    /// Packets sent.
    pub packets_sent: u64,
    /// Numbered commands executed.
    pub commands_received: u64,
    /// Numbered commands queued.
    pub commands_sent: u64,
    /// Commands sent more than once.
    pub commands_resent: u64,
    /// HELLOs sent.
    pub hellos: u64,
    /// WELCOMEs taken.
    pub welcomes: u64,
    /// Of them, those that began a new session.
    pub fresh: u64,
    /// Packets that showed a gap in the numbers.
    pub gaps: u64,
    /// Commands that came again and were skipped.
    pub duplicates: u64,
    /// Packets of an incarnation that is over, and WELCOMEs to HELLOs that are over.
    pub stale_packets: u64,
    /// Packets that could not be read.
    pub bad_packets: u64,
    /// The last of them.
    pub bad_packet: Option<WireError>,
    /// Times nothing was heard for too long.
    pub silences: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Never connected.
    Idle,
    /// WELCOME is awaited.
    Waiting,
    /// Welcomed.
    Up,
    /// Refused, or left on purpose: nothing more is said.
    Over,
}

/// A peer's end of its session.
#[derive(Debug)]
pub struct Peer {
    config: PeerConfig,
    state: State,
    lane: Lane,
    /// What the last WELCOME said.
    terms: Option<Terms>,
    incarnation: u32,
    /// HELLOs sent, and the last of them that was answered.
    hello: u64,
    welcomed: u64,
    /// The last WELCOME said what cannot be: the next HELLO asks for a new session by a number that cannot be either.
    disagreed: bool,
    hello_due_us: u64,
    hello_after_us: u64,
    heard_us: u64,
    sent_us: u64,
    beat_due_us: u64,
    /// BEATs that wait to be sent.
    beats: VecDeque<Vec<Bytes>>,
    goodbye: Option<String>,
    events: VecDeque<PeerEvent>,
    scratch: Vec<Numbered<FromBroker>>,
    counters: PeerCounters,
}

impl Peer {
    /// A peer that says nothing before [`Peer::connected`].
    pub fn new(config: PeerConfig) -> Peer {
        Peer {
            config,
            state: State::Idle,
            lane: Lane::new(0, u64::MAX),
            terms: None,
            incarnation: 0,
            hello: 0,
            welcomed: 0,
            disagreed: false,
            hello_due_us: 0,
            hello_after_us: 0,
            heard_us: 0,
            sent_us: 0,
            beat_due_us: 0,
            beats: VecDeque::new(),
            goodbye: None,
            events: VecDeque::new(),
            scratch: Vec::new(),
            counters: PeerCounters::default(),
        }
    }

    /// The socket was created, or reports a reconnection.
    pub fn connected(&mut self, now: Now) {
        self.hello_after_us = 0;
        self.say_hello(now);
    }

    /// HELLO as soon as it may be said; nothing else until WELCOME.
    fn say_hello(&mut self, now: Now) {
        let at_us = now.us.max(self.hello_after_us);
        match self.state {
            State::Over => return,
            State::Waiting => self.hello_due_us = self.hello_due_us.min(at_us),
            State::Idle | State::Up => self.hello_due_us = at_us,
        }
        if self.state == State::Up {
            self.events.push_back(PeerEvent::Down);
        }
        self.state = State::Waiting;
        self.beats.clear();
    }

    /// A packet came.
    pub fn receive(&mut self, now: Now, frames: Vec<Bytes>) {
        self.counters.packets_received += 1;
        if self.state == State::Over {
            return;
        }
        let result = Packet::open(&frames).and_then(|packet| {
            if packet.header.control {
                self.receive_controls(now, &packet)
            } else {
                self.receive_commands(now, &packet)
            }
        });
        if let Err(error) = result {
            self.counters.bad_packets += 1;
            self.counters.bad_packet = Some(error);
        }
    }

    fn receive_controls(&mut self, now: Now, packet: &Packet<'_>) -> Result<(), WireError> {
        let controls = packet.controls()?;
        let mut current = self.is_current(packet);
        if current {
            let acknowledged = self.lane.acknowledged();
            let heard = self.lane.observe(packet)?;
            self.acknowledged_since(acknowledged);
            self.observed(now, heard);
            current = heard != Heard::Gap;
        }
        for control in controls {
            match control {
                Control::Welcome(welcome) => self.welcome(now, welcome),
                Control::Who if self.state != State::Idle => self.say_hello(now),
                Control::Refuse(failure) => self.refused(failure),
                Control::BeatReply(dropped) if current && !dropped.is_empty() => {
                    self.events.push_back(PeerEvent::LeasesDropped(dropped));
                }
                Control::Goodbye(_) if current => {
                    // The broker closes; it may come back.
                    self.hello_after_us = now.after_ms(limits::HELLO_INTERVAL_MS);
                    self.say_hello(now);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn receive_commands(&mut self, now: Now, packet: &Packet<'_>) -> Result<(), WireError> {
        if !self.is_current(packet) {
            self.counters.stale_packets += 1;
            return Ok(());
        }
        let acknowledged = self.lane.acknowledged();
        let events = &mut self.events;
        let execute = |_, command| events.push_back(PeerEvent::Command(command));
        let heard = self.lane.receive(now.us, packet, Done::AtOnce, &mut self.scratch, execute)?;
        self.acknowledged_since(acknowledged);
        self.observed(now, heard);
        Ok(())
    }

    fn is_current(&self, packet: &Packet<'_>) -> bool {
        self.state == State::Up && packet.header.incarnation == self.incarnation
    }

    fn acknowledged_since(&mut self, before: u64) {
        let acknowledged = self.lane.acknowledged();
        if acknowledged > before {
            self.events.push_back(PeerEvent::Acknowledged(acknowledged));
        }
    }

    fn observed(&mut self, now: Now, heard: Heard) {
        self.heard_us = now.us;
        match heard {
            Heard::Executed { commands, duplicates } => {
                self.counters.commands_received += commands;
                self.counters.duplicates += duplicates;
            }
            Heard::Gap => {
                self.counters.gaps += 1;
                self.say_hello(now);
            }
        }
    }

    fn welcome(&mut self, now: Now, welcome: Welcome) {
        let counted = welcome.hello > self.welcomed && welcome.hello <= self.hello;
        let uncounted = welcome.hello == 0 && self.state == State::Waiting;
        if !(counted || uncounted) || matches!(self.state, State::Idle | State::Over) {
            self.counters.stale_packets += 1;
            return;
        }
        if welcome.major != MAJOR {
            let message =
                format!("the broker chose protocol version {}, this side speaks {MAJOR}", welcome.major);
            return self.refused(Failure::new(Status::Protocol, message));
        }
        let fresh = welcome.fresh || self.terms.is_none();
        if !fresh && !self.lane.can_resync(welcome.received) {
            self.disagreed = true;
            return self.say_hello(now);
        }
        if self.state == State::Up {
            self.events.push_back(PeerEvent::Down);
        }
        if fresh {
            self.counters.fresh += 1;
            self.counters.commands_resent += self.lane.resent();
            self.lane = Lane::new(welcome.terms.window_bytes, u64::MAX);
        } else {
            self.lane.resync(now.us, welcome.received);
        }
        self.counters.welcomes += 1;
        self.disagreed = false;
        self.state = State::Up;
        self.incarnation = welcome.incarnation;
        self.welcomed = welcome.hello;
        self.heard_us = now.us;
        self.sent_us = now.us;
        // A worker's leases have waited long enough.
        self.beat_due_us = match self.config.kind {
            PeerKind::Worker => now.us,
            PeerKind::Client => now.after_ms(beat_ms(&welcome.terms)),
        };
        self.terms = Some(welcome.terms.clone());
        self.events.push_back(PeerEvent::Up { fresh, terms: Box::new(welcome.terms) });
    }

    fn refused(&mut self, failure: Failure) {
        if matches!(self.state, State::Waiting | State::Up) {
            self.state = State::Over;
            self.events.push_back(PeerEvent::Refused(failure));
        }
    }

    /// Queues a command and returns the number it has in this session. While the session is down it waits: it is sent
    /// if the session goes on, and dropped if it begins anew, for then the core says everything anew.
    pub fn send(&mut self, command: ToBroker) -> u64 {
        self.counters.commands_sent += 1;
        self.lane.push(&command)
    }

    /// Sends a beat that names the leases held, if the session is up.
    pub fn beat(&mut self, now: Now, held: &[Lease]) {
        if self.state == State::Up && self.goodbye.is_none() {
            self.beats.push_back(self.lane.control(self.incarnation, &Control::Beat(held.to_vec())));
            self.beat_due_us = now.after_ms(self.terms.as_ref().map_or(limits::BEAT_MS, beat_ms));
        }
    }

    /// Leaves: says what the windows allow, then GOODBYE, then nothing more.
    pub fn goodbye(&mut self, _now: Now, reason: &str) {
        match self.state {
            State::Up => self.goodbye = Some(reason.to_owned()),
            _ => self.state = State::Over,
        }
    }

    /// The next event for the core, until there is none.
    pub fn poll_event(&mut self) -> Option<PeerEvent> {
        self.events.pop_front()
    }

    /// The next packet to send, until there is none.
    pub fn poll_packet(&mut self, now: Now) -> Option<Vec<Bytes>> {
        let packet = match self.state {
            State::Idle | State::Over => None,
            State::Waiting => self.poll_hello(now),
            State::Up => self
                .beats
                .pop_front()
                .or_else(|| self.lane.poll_packet(now.us, self.incarnation))
                .or_else(|| self.poll_goodbye()),
        }?;
        self.counters.packets_sent += 1;
        self.sent_us = now.us;
        Some(packet)
    }

    /// Whether the session is up and a packet is ready to which nothing can be added.
    pub fn has_full_packet(&self) -> bool {
        self.state == State::Up && self.lane.has_full_packet()
    }

    fn poll_hello(&mut self, now: Now) -> Option<Vec<Bytes>> {
        if now.us < self.hello_due_us {
            return None;
        }
        self.hello += 1;
        self.hello_after_us = now.after_ms(limits::HELLO_INTERVAL_MS);
        self.hello_due_us = now.after_ms(limits::HELLO_RETRY_MS);
        self.counters.hellos += 1;
        let hello = Hello {
            min: MAJOR,
            max: MAJOR,
            kind: self.config.kind,
            session: self.config.secret,
            hello: self.hello,
            welcomed: self.welcomed,
            received: if self.disagreed { u64::MAX } else { self.lane.received() },
            name: self.config.name.clone(),
            host: self.config.host.clone(),
            pid: self.config.pid,
            version: self.config.version.clone(),
            features: self.config.features.clone(),
        };
        Some(control_packet(Header::default(), &Control::Hello(hello)))
    }

    fn poll_goodbye(&mut self) -> Option<Vec<Bytes>> {
        let reason = self.goodbye.take()?;
        self.state = State::Over;
        Some(self.lane.control(self.incarnation, &Control::Goodbye(reason)))
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Now) {
        if self.state != State::Up {
            return;
        }
        let Some(terms) = &self.terms else { return };
        let beat_ms = beat_ms(terms);
        if now.us >= self.silence_us(terms) {
            self.counters.silences += 1;
            return self.say_hello(now);
        }
        if now.us >= self.beat_due_us {
            let quiet_until_us = match self.config.kind {
                // A worker's beats carry its leases.
                PeerKind::Worker => now.us,
                PeerKind::Client => self.sent_us.saturating_add(beat_ms.saturating_mul(1_000)),
            };
            if quiet_until_us > now.us {
                self.beat_due_us = quiet_until_us;
            } else {
                self.beat_due_us = now.after_ms(beat_ms);
                self.events.push_back(PeerEvent::BeatDue);
            }
        }
    }

    /// When nothing has been heard for too long.
    fn silence_us(&self, terms: &Terms) -> u64 {
        let lease_ms = if terms.lease_ms == 0 { limits::LEASE_MS } else { terms.lease_ms };
        self.heard_us.saturating_add(lease_ms.saturating_mul(1_000))
    }

    /// When `tick` must be called next, in microseconds of the clock that never jumps.
    pub fn next_timeout(&self) -> Option<u64> {
        match (self.state, &self.terms) {
            (State::Waiting, _) => Some(self.hello_due_us),
            (State::Up, Some(terms)) => {
                let due_us = self.lane.due_us().unwrap_or(u64::MAX);
                Some(due_us.min(self.beat_due_us).min(self.silence_us(terms)))
            }
            _ => None,
        }
    }

    /// Own commands that the broker has not acknowledged, queued ones included.
    pub fn unacknowledged(&self) -> usize {
        self.lane.unacknowledged()
    }

    /// Whether the session is up.
    pub fn is_up(&self) -> bool {
        self.state == State::Up
    }

    /// Whether nothing more will be said: refused, or left.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// What was counted.
    pub fn counters(&self) -> PeerCounters {
        let commands_resent = self.counters.commands_resent + self.lane.resent();
        PeerCounters { commands_resent, ..self.counters.clone() }
    }
}

/// How often to beat under these terms.
fn beat_ms(terms: &Terms) -> u64 {
    if terms.beat_ms == 0 { limits::BEAT_MS } else { terms.beat_ms }
}
