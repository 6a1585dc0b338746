//! One session as the broker's end keeps it: its lane, the connection it has at the moment, and what is to be said
//! beside the numbered commands.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::core::jobs::SessionId;
use crate::link::hub::ConnId;
use crate::link::lane::Lane;
use crate::model::Lease;
use crate::wire::command::{Control, Hello, PeerKind, Secret, Terms, Welcome};
use crate::wire::header::MAJOR;
use crate::wire::{Header, control_packet};

/// A session a broker knows.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) secret: Secret,
    pub(crate) kind: PeerKind,
    /// What the connection proved that opened it; no other may resume it.
    pub(crate) identity: String,
    pub(crate) lane: Lane,
    /// The connection it has; `None` while its peer is away.
    pub(crate) conn: Option<ConnId>,
    pub(crate) incarnation: u32,
    /// The `hello` of the HELLO that opened it, and of the last one.
    pub(crate) opened_by: u64,
    pub(crate) hello: u64,
    /// The `hello` of the last WELCOME under whose incarnation the peer has spoken.
    pub(crate) spoken_as: u64,
    /// When the peer was heard last; when it went away, once it has.
    pub(crate) since_us: u64,
    /// Under which time its timer stands.
    pub(crate) timer_us: u64,
    /// It stands in the queue of sessions that may have something to send.
    pub(crate) queued: bool,
    /// It stands in the queue of those that have a full packet.
    pub(crate) is_full: bool,
    /// The core was told that the peer is slow.
    pub(crate) congested: bool,
    welcome: Option<bool>,
    beat_reply: Option<Vec<Lease>>,
    goodbye: bool,
}

/// What a session says next.
pub(crate) enum Said {
    /// A packet, perhaps not the last.
    Packet(Vec<Bytes>),
    /// The last packet of this session.
    Goodbye(Vec<Bytes>),
    /// Nothing.
    Nothing,
}

impl Session {
    pub(crate) fn new(id: SessionId, hello: &Hello, identity: &str, lane: Lane) -> Self {
        Session {
            id,
            secret: hello.session,
            kind: hello.kind,
            identity: identity.to_owned(),
            lane,
            conn: None,
            incarnation: 0,
            opened_by: hello.hello,
            hello: hello.hello,
            spoken_as: 0,
            since_us: 0,
            timer_us: 0,
            queued: false,
            is_full: false,
            congested: false,
            welcome: None,
            beat_reply: None,
            goodbye: false,
        }
    }

    /// There may be something to say: puts the session into the queue of those, unless it stands there or is away.
    pub(crate) fn wake(&mut self, ready: &mut VecDeque<SessionId>) {
        if !self.queued && self.conn.is_some() {
            self.queued = true;
            ready.push_back(self.id);
        }
    }

    /// Whether the peer has become slow, or is not any more; `None` while nothing changes.
    pub(crate) fn congestion(&mut self) -> Option<bool> {
        let congested = self.lane.is_congested(self.congested);
        (congested != self.congested).then(|| {
            self.congested = congested;
            congested
        })
    }

    /// The peer is to be welcomed before anything else is said.
    pub(crate) fn welcome(&mut self, fresh: bool) {
        self.welcome = Some(fresh);
        self.beat_reply = None;
    }

    /// A beat is to be answered. Answers that wait are joined.
    pub(crate) fn beat_reply(&mut self, dropped: Vec<Lease>) {
        self.beat_reply.get_or_insert_default().extend(dropped);
    }

    /// The broker closes: GOODBYE once everything else is said.
    pub(crate) fn goodbye(&mut self) {
        self.goodbye = true;
    }

    /// The next thing to say on its connection.
    pub(crate) fn next(&mut self, now_us: u64, wall_ms: u64, terms: &Terms) -> Said {
        if let Some(fresh) = self.welcome.take() {
            let welcome = Control::Welcome(Welcome {
                major: MAJOR,
                incarnation: self.incarnation,
                hello: self.hello,
                fresh,
                received: self.lane.received(),
                terms: Terms { wall_ms, ..terms.clone() },
            });
            return Said::Packet(control_packet(Header::default(), &welcome));
        }
        if let Some(dropped) = self.beat_reply.take() {
            return Said::Packet(self.lane.control(self.incarnation, &Control::BeatReply(dropped)));
        }
        if let Some(packet) = self.lane.poll_packet(now_us, self.incarnation) {
            return Said::Packet(packet);
        }
        if self.goodbye {
            let goodbye = Control::Goodbye("the broker closes".to_owned());
            return Said::Goodbye(self.lane.control(self.incarnation, &goodbye));
        }
        Said::Nothing
    }
}
