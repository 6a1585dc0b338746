//! The peers' processes in a run: started, ended, stopped, fed, and what their applications do.

use std::collections::BTreeMap;

use bytes::Bytes;
use forebay::link::{Peer, PeerConfig};
use forebay::wire::command::{PeerKind, Secret};

use crate::client::{Around, Client};
use crate::delayed::SimJobs;
use crate::hostile;
use crate::network::Way;
use crate::plan::{Fault, MS, SECOND};
use crate::worker::Worker;
use crate::world::{Act, Event, Role, World};

impl<J: SimJobs> World<J> {
    pub(crate) fn start_peer(&mut self, peer: usize) {
        if self.nodes[peer].link.is_some() {
            return;
        }
        let now = self.now();
        let (is_client, is_spoiled) = (self.nodes[peer].is_client, self.nodes[peer].is_spoiled);
        let name = match (is_spoiled, is_client, peer) {
            (true, ..) => hostile::NAME.to_owned(),
            // One client without a name, the others with reply boxes of their own.
            (_, true, 0) => String::new(),
            (_, true, _) => format!("client-{peer}"),
            _ => format!("worker-{peer}"),
        };
        let config = PeerConfig {
            kind: if is_client { PeerKind::Client } else { PeerKind::Worker },
            secret: Secret(self.random.bytes()),
            name,
            host: if is_spoiled { hostile::NAME } else { "host" }.into(),
            pid: self.nodes[peer].process as u32,
            version: String::new(),
            features: Vec::new(),
        };
        let is_again = self.nodes[peer].process > 0;
        self.note(format_args!("peer {peer} starts"));
        let mut role = match self.nodes[peer].role.take() {
            Some(Role::Client(before)) => {
                Role::Client(Box::new(Client::new(&self.plan, &mut self.random, before.mine, is_spoiled)))
            }
            None if is_client => {
                Role::Client(Box::new(Client::new(&self.plan, &mut self.random, BTreeMap::new(), is_spoiled)))
            }
            _ => Role::Worker(Box::new(Worker::new(now, &self.plan, &mut self.random))),
        };
        let mut around =
            Around { now, who: peer, trace: &mut self.trace, tally: &mut self.tally, told: &mut self.told };
        match &mut role {
            Role::Client(client) if is_again => client.ask_again(&mut around),
            Role::Worker(worker) if self.is_calm => worker.register_all(&self.plan),
            _ => {}
        }
        let node = &mut self.nodes[peer];
        node.role = Some(role);
        node.link = Some(Peer::new(config));
        node.process += 1;
        node.stalled_until_us = 0;
        node.waiting.clear();
        let process = node.process;
        let at_us = self.now_us + self.random.between(MS, 20 * MS);
        self.at(at_us, Event::Connect { peer, process });
    }

    /// The process ends, and another starts later. `silently`: its host is gone with it, so nobody closes its connection.
    pub(crate) fn end_peer(&mut self, peer: usize, silently: bool, down_us: u64) {
        let node = &mut self.nodes[peer];
        if node.link.take().is_none() {
            return;
        }
        // A process that comes later is another one, even before it starts.
        node.process += 1;
        let key = node.ticks_at.take();
        let conn = node.conn.take();
        if let Some(key) = key {
            self.events.remove(&key);
        }
        if let Some(conn) = conn {
            self.drop_conn(conn, silently);
        }
        self.at(self.now_us + down_us, Event::Start(peer));
    }

    pub(crate) fn stall(&mut self, peer: usize, until_us: u64) {
        self.nodes[peer].stalled_until_us = until_us;
    }

    pub(crate) fn tick_peer(&mut self, peer: usize) {
        let now = self.now();
        let node = &mut self.nodes[peer];
        let (Some(link), Some(role)) = (&mut node.link, &mut node.role) else { return };
        link.tick(now);
        let mut around =
            Around { now, who: peer, trace: &mut self.trace, tally: &mut self.tally, told: &mut self.told };
        match role {
            Role::Client(client) => client.core.tick(now),
            Role::Worker(worker) => {
                worker.core.tick(now);
                worker.work(&mut around);
            }
        }
        self.settle_peer(peer);
    }

    pub(crate) fn settle_peer(&mut self, peer: usize) {
        let now = self.now();
        let node = &mut self.nodes[peer];
        let (Some(link), Some(role)) = (&mut node.link, &mut node.role) else { return };
        let mut around =
            Around { now, who: peer, trace: &mut self.trace, tally: &mut self.tally, told: &mut self.told };
        let mut goes = false;
        match role {
            Role::Client(client) => {
                client.settle(&mut around, link);
                self.told.check_news(&self.judge.written);
            }
            Role::Worker(worker) => {
                worker.settle(&mut around, link, &mut self.judge, &self.plan, &mut self.execs);
                worker.check();
                goes = worker.may_go() && link.unacknowledged() == 0;
            }
        }
        if goes {
            link.goodbye(now, "drained");
        }
        let mut packets = Vec::new();
        while let Some(packet) = link.poll_packet(now) {
            packets.push(packet);
        }
        for packet in packets {
            self.leave(peer, packet);
        }
        self.arm_peer(peer);
        if goes {
            self.tally.one("workers that left");
            // What is on its way arrives before the connection closes.
            if let Some(conn) = self.nodes[peer].conn.take() {
                self.at(self.now_us + SECOND, Event::Gone(conn));
            }
            self.end_peer(peer, true, 500 * MS);
        }
    }

    pub(crate) fn leave(&mut self, peer: usize, mut packet: Vec<Bytes>) {
        if self.nodes[peer].is_spoiled && !self.is_calm && self.random.chance(150) {
            packet = hostile::spoil(&mut self.random, packet);
            self.tally.one("packets spoiled");
        }
        // A HELLO carries the session's secret, which nobody else ever sees.
        let is_secret = packet.first().is_none_or(|frame| frame.len() < 12 || frame[8..12] == [0; 4]);
        let len: usize = packet.iter().map(Bytes::len).sum();
        if self.plan.has(Fault::BadFrames) && !is_secret && len < 10_000 {
            self.seen = Some(packet.clone());
        }
        match self.nodes[peer].conn {
            Some(conn) => self.send(conn, Way::ToBroker, packet),
            None => self.nodes[peer].waiting.push(packet),
        }
    }

    pub(crate) fn arm_peer(&mut self, peer: usize) {
        let now_us = self.now_us;
        let node = &mut self.nodes[peer];
        let before = node.ticks_at.take();
        let due_us = match (&node.link, &node.role) {
            (Some(link), Some(Role::Client(client))) => {
                link.next_timeout().into_iter().chain(client.core.next_timeout()).min()
            }
            (Some(link), Some(Role::Worker(worker))) => {
                let core_us = worker.core.next_timeout();
                link.next_timeout().into_iter().chain(core_us).chain(worker.next_us(now_us)).min()
            }
            _ => None,
        };
        if let Some(key) = before {
            self.events.remove(&key);
        }
        let key = due_us.map(|due_us| self.at(due_us, Event::PeerTick(peer)));
        self.nodes[peer].ticks_at = key;
    }

    pub(crate) fn act(&mut self, peer: usize, act: Act) {
        let now = self.now();
        let node = &mut self.nodes[peer];
        if node.link.is_none() {
            // Its process is not there; whoever would have acted does so a little later, or never.
            if matches!(act, Act::Submit { .. } | Act::Status) {
                self.at(self.now_us + 300 * MS, Event::Act { peer, act });
            }
            return;
        }
        let mut around =
            Around { now, who: peer, trace: &mut self.trace, tally: &mut self.tally, told: &mut self.told };
        match (&mut node.role, act) {
            (Some(Role::Client(client)), act) => match act {
                Act::Submit { job, other } => client.submit(&mut around, &job, other, &mut self.random),
                Act::Cancel(id) => client.cancel(id),
                Act::Peek(id) => client.peek(id),
                Act::Wait(id) => client.wait(&mut around, id),
                Act::Flush => client.flush(),
                Act::FetchKept => client.fetch_kept(&mut around),
                Act::PeekAll => client.peek_all(),
                Act::AckAll => client.ack_all(&mut around),
                Act::Status => client.ask_status(),
                Act::ChangeQueues | Act::LookAway => {}
            },
            (Some(Role::Worker(worker)), Act::ChangeQueues) if !self.is_calm => {
                worker.change_queues(&mut self.random)
            }
            (Some(Role::Worker(worker)), Act::LookAway) if !self.is_calm => {
                worker.look_away(now.us + self.random.below(3 * SECOND));
            }
            _ => {}
        }
        self.settle_peer(peer);
    }

    /// Faults are over. What is held goes on, who is away comes back, and everybody fetches what is kept for them.
    pub(crate) fn calm(&mut self) {
        self.note(format_args!("calm"));
        self.is_calm = true;
        self.network.heal();
        self.store.set_full(false);
        self.store.slow_until_us = 0;
        self.broker_paused_until_us = 0;
        for peer in 0..self.nodes.len() {
            self.nodes[peer].stalled_until_us = 0;
            if let Some(Role::Worker(worker)) = &mut self.nodes[peer].role
                && !worker.is_leaving
            {
                worker.register_all(&self.plan);
            }
            self.settle_peer(peer);
        }
    }
}
