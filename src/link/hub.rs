//! The broker's end of every session. Owns connections and sessions: a session has at most one connection, a
//! connection at most one session, and both are forgotten when nothing is heard of them for long enough.
//!
//! Feed `receive`, `gone` and `handle`; drain `poll_input` into the core and the core's outputs back into `handle`; then
//! drain `poll_packet`; then wait until `next_timeout` and call `tick`.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;

use crate::core::jobs::SessionId;
use crate::core::session::{Input, Output};
use crate::link::lane::{Done, Heard};
use crate::link::session::{Said, Session};
use crate::model::{Failure, Index, Now, Status, limits};
use crate::wire::codec::Numbered;
use crate::wire::command::{Control, Secret, Terms, ToBroker};
use crate::wire::{Header, Packet, WireError, control_packet};

/// One connection as the socket layer numbers it. A number is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// What bounds a hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubLimits {
    /// Sessions at once, attached or not.
    pub sessions: usize,
    /// Connections at once, with a session or not.
    pub connections: usize,
    /// Commands kept for one session's peer; over it the session ends.
    pub commands: usize,
    /// How long a session without a connection is remembered.
    pub session_ttl_ms: u64,
    /// How long a connection without a session is remembered.
    pub connection_ttl_ms: u64,
    /// A connection is told WHO at most this often.
    pub who_interval_ms: u64,
}

impl Default for HubLimits {
    fn default() -> Self {
        HubLimits {
            sessions: limits::SESSIONS_MAX,
            connections: limits::CONNECTIONS_MAX,
            commands: limits::SESSION_QUEUE_COMMANDS_MAX,
            session_ttl_ms: limits::SESSION_TTL_MS,
            connection_ttl_ms: limits::CONNECTION_TTL_MS,
            who_interval_ms: limits::WHO_INTERVAL_MS,
        }
    }
}

/// What a hub has counted since it began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HubCounters {
    /// Packets received, good or bad.
    pub packets_received: u64,
    /// Packets sent.
    pub packets_sent: u64,
    /// Numbered commands executed.
    pub commands_received: u64,
    /// Numbered commands queued.
    pub commands_sent: u64,
    /// Packets that could not be read.
    pub bad_packets: u64,
    /// The last of them.
    pub bad_packet: Option<WireError>,
    /// Packets of connections without a session, or of an incarnation that is over.
    pub strange_packets: u64,
    /// Packets that showed a gap in the numbers.
    pub gaps: u64,
    /// Commands that came again and were skipped.
    pub duplicates: u64,
    /// Times WHO was sent.
    pub who_sent: u64,
    /// Sessions opened.
    pub sessions_opened: u64,
    /// Times a session went on where it was.
    pub resyncs: u64,
    /// Sessions that lost their connection.
    pub sessions_dropped: u64,
    /// Sessions whose peer did not come back in time.
    pub sessions_expired: u64,
    /// Peers refused.
    pub refused: u64,
}

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    Session(SessionId),
    Connection(ConnId),
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) session: Option<SessionId>,
    /// WHO may be sent again.
    who_after_us: u64,
    /// WHO is sent then, unless HELLO comes before.
    pub(crate) who_wanted: bool,
    /// When it was heard last.
    heard_us: u64,
    timer_us: u64,
}

/// The broker's end of all sessions.
#[derive(Debug)]
pub struct Hub {
    pub(crate) terms: Terms,
    pub(crate) limits: HubLimits,
    pub(crate) sessions: Index<SessionId, Session>,
    pub(crate) by_secret: Index<Secret, SessionId>,
    pub(crate) connections: Index<ConnId, Connection>,
    /// Every session and every connection has exactly one entry, at a time not later than it must be looked at.
    pub(crate) timers: BTreeSet<(u64, Timer)>,
    /// Sessions that may have something to send; each stands here once at most.
    pub(crate) ready: VecDeque<SessionId>,
    /// Those that have a packet to which nothing can be added.
    full: VecDeque<SessionId>,
    /// What is said to connections without a session.
    strangers: VecDeque<(ConnId, Vec<Bytes>)>,
    pub(crate) inputs: VecDeque<Input>,
    scratch: Vec<Numbered<ToBroker>>,
    pub(crate) next_session: u64,
    pub(crate) incarnation: u32,
    /// The loop was away until then: nobody could be heard.
    paused_until_us: u64,
    pub(crate) counters: HubCounters,
}

impl Hub {
    /// A hub without sessions that welcomes peers under `terms`.
    pub fn new(terms: Terms, limits: HubLimits) -> Hub {
        // Incarnations of two lives of a broker differ, so that a packet meant for the first is strange to the second.
        let life = terms.broker.iter().fold(terms.epoch, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(17)
        });
        Hub {
            terms,
            limits,
            sessions: Index::default(),
            by_secret: Index::default(),
            connections: Index::default(),
            timers: BTreeSet::new(),
            ready: VecDeque::new(),
            full: VecDeque::new(),
            strangers: VecDeque::new(),
            inputs: VecDeque::new(),
            scratch: Vec::new(),
            next_session: 1,
            incarnation: (life >> 32) as u32,
            paused_until_us: 0,
            counters: HubCounters::default(),
        }
    }

    /// A packet came. `identity` is what the connection proved: "uid:...", "key:..." or empty.
    pub fn receive(&mut self, now: Now, conn: ConnId, identity: &str, frames: Vec<Bytes>) {
        self.counters.packets_received += 1;
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.heard_us = now.us;
        }
        let packet = match Packet::open(&frames) {
            Ok(packet) => packet,
            Err(error) => return self.bad(now, conn, error),
        };
        if packet.header.control && packet.header.incarnation == 0 {
            return match packet.controls() {
                Ok(controls) => match controls.into_iter().next() {
                    Some(Control::Hello(hello)) => self.hello(now, conn, identity, hello),
                    _ => self.strange(now, conn),
                },
                Err(error) => self.bad(now, conn, error),
            };
        }
        let session = self.connections.get(&conn).and_then(|connection| connection.session);
        let session = session.and_then(|id| self.sessions.get_mut(&id));
        let Some(session) = session.filter(|session| session.incarnation == packet.header.incarnation) else {
            return self.strange(now, conn);
        };
        session.since_us = now.us;
        session.spoken_as = session.hello;
        let id = session.id;
        let heard = if packet.header.control {
            packet.controls().and_then(|controls| Ok((session.lane.observe(&packet)?, controls)))
        } else {
            let inputs = &mut self.inputs;
            let execute = |number, command| inputs.push_back(Input::Command { session: id, number, command });
            session
                .lane
                .receive(now.us, &packet, Done::WhenSaid, &mut self.scratch, execute)
                .map(|heard| (heard, Vec::new()))
        };
        session.wake(&mut self.ready);
        if let Some(congested) = session.congestion() {
            self.inputs.push_back(Input::Congested { session: id, congested });
        }
        match heard {
            Ok((Heard::Executed { commands, duplicates }, controls)) => {
                self.counters.commands_received += commands;
                self.counters.duplicates += duplicates;
                controls.into_iter().for_each(|control| self.control(now, id, control));
            }
            Ok((Heard::Gap, _)) => {
                self.counters.gaps += 1;
                self.who(now, conn);
            }
            Err(error @ WireError::TooLarge { .. }) => {
                self.counters.bad_packets += 1;
                self.counters.bad_packet = Some(error);
                self.end(now, id, Failure::new(Status::TooLarge, format!("a packet {error}")));
                self.inputs.push_back(Input::Closed { session: id, on_purpose: false });
            }
            Err(error) => self.bad(now, conn, error),
        }
    }

    fn control(&mut self, now: Now, session: SessionId, control: Control) {
        match control {
            Control::Beat(held) => self.inputs.push_back(Input::Beat { session, held }),
            Control::Goodbye(_) => {
                self.forget(now, session);
                self.inputs.push_back(Input::Closed { session, on_purpose: true });
            }
            // HELLO comes with incarnation 0; the others are the broker's own.
            _ => {}
        }
    }

    /// The connection is gone, or the socket takes nothing more for it.
    pub fn gone(&mut self, now: Now, conn: ConnId) {
        let Some(connection) = self.connections.remove(&conn) else { return };
        self.timers.remove(&(connection.timer_us, Timer::Connection(conn)));
        if let Some(session) = connection.session {
            self.detach(now, session);
        }
    }

    /// What the core has to say.
    pub fn handle(&mut self, now: Now, output: Output) {
        match output {
            Output::Send { session: id, command } => {
                let Some(session) = self.sessions.get_mut(&id) else { return };
                session.lane.push(&command);
                session.wake(&mut self.ready);
                if !session.is_full && session.lane.has_full_packet() {
                    session.is_full = true;
                    self.full.push_back(id);
                }
                self.counters.commands_sent += 1;
                if let Some(congested) = session.congestion() {
                    self.inputs.push_back(Input::Congested { session: id, congested });
                }
                if session.lane.kept() > self.limits.commands {
                    let message = format!("more than {} commands wait for this peer", self.limits.commands);
                    self.end(now, id, Failure::new(Status::Busy, message));
                    self.inputs.push_back(Input::Closed { session: id, on_purpose: false });
                }
            }
            Output::Done { session: id, number } => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.lane.done(now.us, number);
                    session.wake(&mut self.ready);
                }
            }
            Output::BeatReply { session: id, dropped } => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.beat_reply(dropped);
                    session.wake(&mut self.ready);
                }
            }
            Output::Close { session, why } => self.end(now, session, why),
        }
    }

    /// The next input for the core, until there is none.
    pub fn poll_input(&mut self) -> Option<Input> {
        self.inputs.pop_front()
    }

    /// The next packet to send, until there is none. Sessions take turns.
    pub fn poll_packet(&mut self, now: Now) -> Option<(ConnId, Vec<Bytes>)> {
        let packet = self.strangers.pop_front().or_else(|| self.poll_session(now));
        self.counters.packets_sent += u64::from(packet.is_some());
        packet
    }

    /// The next packet to which nothing can be added, until there is none.
    pub fn poll_full_packet(&mut self, now: Now) -> Option<(ConnId, Vec<Bytes>)> {
        while let Some(id) = self.full.front().copied() {
            let session = self.sessions.get_mut(&id);
            let Some((session, conn)) = session.and_then(|session| session.conn.map(|conn| (session, conn)))
            else {
                self.full.pop_front();
                continue;
            };
            if session.lane.has_full_packet()
                && let Said::Packet(packet) = session.next(now.us, now.wall_ms, &self.terms)
            {
                self.counters.packets_sent += 1;
                return Some((conn, packet));
            }
            session.is_full = false;
            self.full.pop_front();
        }
        None
    }

    fn poll_session(&mut self, now: Now) -> Option<(ConnId, Vec<Bytes>)> {
        while let Some(id) = self.ready.pop_front() {
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            session.queued = false;
            let Some(conn) = session.conn else { continue };
            match session.next(now.us, now.wall_ms, &self.terms) {
                Said::Packet(packet) => {
                    session.wake(&mut self.ready);
                    return Some((conn, packet));
                }
                Said::Goodbye(packet) => {
                    self.forget(now, id);
                    return Some((conn, packet));
                }
                Said::Nothing => self.arm(id),
            }
        }
        None
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Now) {
        let overdue = |at_us: u64| now.us.saturating_sub(at_us) > limits::LOOP_PAUSE_MS * 1_000;
        if self.timers.first().is_some_and(|(at_us, _)| overdue(*at_us)) {
            self.paused_until_us = now.us;
        }
        while let Some((at_us, timer)) = self.timers.first().copied().filter(|(at_us, _)| *at_us <= now.us) {
            self.timers.remove(&(at_us, timer));
            match timer {
                Timer::Session(id) => self.look_at_session(now, id),
                Timer::Connection(conn) => self.look_at_connection(now, conn),
            }
        }
    }

    fn look_at_session(&mut self, now: Now, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let (attached, since_us) = (session.conn.is_some(), session.since_us);
        let due_us = session.lane.due_us().filter(|_| attached);
        if due_us.is_some_and(|due_us| due_us <= now.us) {
            session.wake(&mut self.ready);
        }
        let deadline_us = self.deadline_us(attached, since_us);
        if deadline_us > now.us {
            // The timer may be that of an acknowledgement that has left meanwhile, and a later one is due.
            let later_us = due_us.filter(|due_us| *due_us > now.us).unwrap_or(u64::MAX);
            self.set_timer(id, deadline_us.min(later_us));
        } else if attached {
            // Back into the timers first: every session stands there.
            self.set_timer(id, u64::MAX);
            self.detach(now, id);
        } else {
            self.counters.sessions_expired += 1;
            self.set_timer(id, u64::MAX);
            self.forget(now, id);
            self.inputs.push_back(Input::Closed { session: id, on_purpose: false });
        }
    }

    /// When something must happen to the session if its peer says nothing more.
    fn deadline_us(&self, attached: bool, since_us: u64) -> u64 {
        let patience_ms = if attached {
            self.terms.lease_ms.saturating_add(self.terms.beat_ms.saturating_mul(2))
        } else {
            self.limits.session_ttl_ms
        };
        since_us.max(self.paused_until_us).saturating_add(patience_ms.saturating_mul(1_000))
    }

    fn set_timer(&mut self, id: SessionId, at_us: u64) {
        if let Some(session) = self.sessions.get_mut(&id) {
            self.timers.remove(&(session.timer_us, Timer::Session(id)));
            session.timer_us = at_us;
            self.timers.insert((at_us, Timer::Session(id)));
        }
    }

    /// Makes sure the session is looked at in time.
    pub(crate) fn arm(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(&id) else { return };
        let attached = session.conn.is_some();
        let due_us = session.lane.due_us().filter(|_| attached).unwrap_or(u64::MAX);
        let at_us = self.deadline_us(attached, session.since_us).min(due_us);
        if at_us < session.timer_us {
            self.set_timer(id, at_us);
        }
    }

    fn look_at_connection(&mut self, now: Now, conn: ConnId) {
        let ttl_us = self.limits.connection_ttl_ms.saturating_mul(1_000);
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        if connection.session.is_none() && connection.heard_us.saturating_add(ttl_us) <= now.us {
            self.connections.remove(&conn);
            return;
        }
        let mut at_us = connection.heard_us.max(now.us).saturating_add(ttl_us);
        let due = connection.who_wanted && connection.who_after_us <= now.us;
        if connection.who_wanted && !due {
            at_us = at_us.min(connection.who_after_us);
        }
        connection.timer_us = at_us;
        self.timers.insert((at_us, Timer::Connection(conn)));
        if due {
            self.who(now, conn);
        }
    }

    /// When `tick` must be called next, in microseconds of the clock that never jumps.
    pub fn next_timeout(&self) -> Option<u64> {
        self.timers.first().map(|(at_us, _)| *at_us)
    }

    /// What was counted.
    pub fn counters(&self) -> &HubCounters {
        &self.counters
    }

    /// Sessions known, attached or not.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// The broker closes: every peer is said what is ready for it, and then GOODBYE.
    pub fn farewell(&mut self, _now: Now) {
        let sessions: Vec<SessionId> = self
            .timers
            .iter()
            .filter_map(|(_, timer)| match timer {
                Timer::Session(id) => Some(*id),
                Timer::Connection(_) => None,
            })
            .collect();
        for id in sessions {
            if let Some(session) = self.sessions.get_mut(&id) {
                session.goodbye();
                session.wake(&mut self.ready);
            }
        }
    }

    /// Takes the session's connection away.
    pub(crate) fn detach(&mut self, now: Now, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(conn) = session.conn.take() else { return };
        session.since_us = now.us;
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.session = None;
        }
        self.counters.sessions_dropped += 1;
        self.inputs.push_back(Input::Dropped { session: id });
        self.arm(id);
    }

    /// Forgets the session without a word.
    pub(crate) fn forget(&mut self, now: Now, id: SessionId) {
        let Some(session) = self.sessions.remove(&id) else { return };
        self.by_secret.remove(&session.secret);
        self.timers.remove(&(session.timer_us, Timer::Session(id)));
        if let Some(connection) = session.conn.and_then(|conn| self.connections.get_mut(&conn)) {
            connection.session = None;
            connection.heard_us = now.us;
        }
    }

    /// Ends the session with a refusal.
    fn end(&mut self, now: Now, id: SessionId, why: Failure) {
        let conn = self.sessions.get(&id).and_then(|session| session.conn);
        self.forget(now, id);
        if let Some(conn) = conn {
            self.refuse(conn, why);
        }
    }

    pub(crate) fn refuse(&mut self, conn: ConnId, why: Failure) {
        self.counters.refused += 1;
        self.strangers.push_back((conn, control_packet(Header::default(), &Control::Refuse(why))));
    }

    fn bad(&mut self, now: Now, conn: ConnId, error: WireError) {
        self.counters.bad_packets += 1;
        self.counters.bad_packet = Some(error);
        self.who(now, conn);
    }

    fn strange(&mut self, now: Now, conn: ConnId) {
        self.counters.strange_packets += 1;
        self.who(now, conn);
    }

    /// The connection, which is new perhaps; `None` when there are too many.
    pub(crate) fn connection(&mut self, now: Now, conn: ConnId) -> Option<&mut Connection> {
        if !self.connections.contains(&conn) {
            if self.connections.len() >= self.limits.connections {
                return None;
            }
            let timer_us = now.after_ms(self.limits.connection_ttl_ms);
            let connection =
                Connection { session: None, who_after_us: 0, who_wanted: false, heard_us: now.us, timer_us };
            self.connections.insert(conn, connection);
            self.timers.insert((timer_us, Timer::Connection(conn)));
        }
        self.connections.get_mut(&conn)
    }

    /// Asks who speaks: now, or when it may be asked again if no HELLO comes before.
    fn who(&mut self, now: Now, conn: ConnId) {
        let interval_ms = self.limits.who_interval_ms;
        let Some(connection) = self.connection(now, conn) else { return };
        if connection.who_after_us <= now.us {
            connection.who_after_us = now.after_ms(interval_ms);
            connection.who_wanted = false;
            self.counters.who_sent += 1;
            self.strangers.push_back((conn, control_packet(Header::default(), &Control::Who)));
        } else if !connection.who_wanted {
            connection.who_wanted = true;
            let (before_us, at_us) = (connection.timer_us, connection.who_after_us);
            connection.timer_us = before_us.min(at_us);
            let timer_us = connection.timer_us;
            self.timers.remove(&(before_us, Timer::Connection(conn)));
            self.timers.insert((timer_us, Timer::Connection(conn)));
        }
    }
}
