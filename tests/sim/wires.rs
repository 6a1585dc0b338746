//! Packets on their way between the processes of a run, and connections that come and go.

use bytes::Bytes;
use forebay::link::ConnId;

use crate::delayed::SimJobs;
use crate::hostile;
use crate::network::Way;
use crate::plan::MS;
use crate::world::{Event, World};

impl<J: SimJobs> World<J> {
    pub(crate) fn send(&mut self, conn: ConnId, way: Way, packet: Vec<Bytes>) {
        for frame in &packet {
            self.trace.bytes(frame);
        }
        let fate = self.network.send(self.now_us, conn, way);
        self.tally.add("packets lost", u64::from(fate.is_lost));
        self.tally.add("packets overtaking", u64::from(fate.is_overtaking));
        self.tally.add("packets twice", u64::from(fate.arrives_us[1].is_some()));
        for at_us in fate.arrives_us.into_iter().flatten() {
            self.at(at_us, Event::Packet { conn, way, packet: packet.clone() });
        }
    }

    pub(crate) fn arrive(&mut self, conn: ConnId, way: Way, packet: Vec<Bytes>) {
        if !self.network.is_open(conn) {
            return self.tally.one("packets lost with their connection");
        }
        let now = self.now();
        let peer = self.network.peer(conn);
        match (way, peer) {
            (Way::ToBroker, _) => {
                let identity = if self.hostile == Some(conn) { "uid:2" } else { "uid:1" };
                if let Some((hub, _)) = &mut self.broker {
                    hub.receive(now, conn, identity, packet);
                    self.settle_broker();
                }
            }
            (Way::ToPeer, Some(peer)) => {
                if let Some(link) = &mut self.nodes[peer].link {
                    link.receive(now, packet);
                    self.settle_peer(peer);
                }
            }
            (Way::ToPeer, None) => {}
        }
    }

    /// A connection is gone: what is on its way is lost, the broker hears of it unless `silently`, and the peer looks
    /// for another.
    pub(crate) fn drop_conn(&mut self, conn: ConnId, silently: bool) {
        self.network.close(conn);
        if !silently && self.broker.is_some() {
            let at_us = self.now_us + self.random.between(100, 50 * MS);
            self.at(at_us, Event::Gone(conn));
        }
        let Some(peer) = self.network.peer(conn) else { return };
        if self.nodes[peer].conn == Some(conn) {
            self.nodes[peer].conn = None;
            let at_us = self.now_us + self.random.between(MS, self.plan.reconnect_us_max);
            let process = self.nodes[peer].process;
            self.at(at_us, Event::Connect { peer, process });
        }
    }

    pub(crate) fn conn(&self, peer: usize) -> Option<ConnId> {
        self.nodes[peer].conn
    }

    pub(crate) fn connect(&mut self, peer: usize, process: u64) {
        if self.nodes[peer].process != process
            || self.nodes[peer].conn.is_some()
            || self.nodes[peer].link.is_none()
        {
            return;
        }
        if self.broker.is_none() {
            let at_us = self.now_us + self.random.between(MS, self.plan.reconnect_us_max);
            self.at(at_us, Event::Connect { peer, process });
            return;
        }
        self.tally.one("connections");
        let conn = self.network.connect(Some(peer));
        let now = self.now();
        let node = &mut self.nodes[peer];
        node.conn = Some(conn);
        let waiting = std::mem::take(&mut node.waiting);
        if let Some(link) = &mut node.link {
            link.connected(now);
        }
        // What the socket still held leaves first, now and then.
        if self.random.chance(500) {
            for packet in waiting {
                self.send(conn, Way::ToBroker, packet);
            }
        }
        self.settle_peer(peer);
    }

    /// Throws packets at the broker over a connection of its own.
    pub(crate) fn throw_bad_frames(&mut self) {
        if self.broker.is_none() {
            return;
        }
        let conn = match self.hostile.filter(|conn| self.network.is_open(*conn)) {
            Some(conn) => conn,
            None => self.network.connect(None),
        };
        self.hostile = Some(conn);
        for _ in 0..self.random.between(1, 30) {
            let packet = hostile::packet(&mut self.random, self.seen.as_ref());
            self.tally.one("bad packets thrown");
            self.send(conn, Way::ToBroker, packet);
        }
    }
}
