//! The byte network: connections between one broker and its peers, and what becomes of each packet on its way.
//!
//! Without noise a connection is what ZeroMQ gives: packets arrive whole, once and in order, or not at all when the
//! connection is gone. With noise it is worse than any network under ZeroMQ, to see that nothing rests on its virtues.

use std::collections::BTreeMap;

use forebay::link::ConnId;

use crate::plan::Noise;
use crate::random::Random;

/// One connection. The broker's side knows it by its number, the peer's side knows only its present one.
#[derive(Debug)]
struct Conn {
    /// `None` for one that no peer of ours has.
    peer: Option<usize>,
    is_open: bool,
    /// Packets in one direction overtake each other only through noise: the last arrives then.
    last_us: [u64; 2],
    /// Packets are held back until then, or lost before then.
    held_until_us: u64,
    lost_until_us: u64,
}

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    ToBroker,
    ToPeer,
}

pub(crate) struct Network {
    conns: BTreeMap<ConnId, Conn>,
    next: u64,
    pub(crate) noise: Noise,
    random: Random,
}

/// When the copies of a packet arrive; none when it is lost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fate {
    pub(crate) arrives_us: [Option<u64>; 2],
    pub(crate) is_lost: bool,
    pub(crate) is_overtaking: bool,
}

impl Network {
    pub(crate) fn new(seed: u64, noise: Noise) -> Self {
        Network { conns: BTreeMap::new(), next: 1, noise, random: Random::of(seed, 2) }
    }

    pub(crate) fn connect(&mut self, peer: Option<usize>) -> ConnId {
        let id = ConnId(self.next);
        self.next += 1;
        let conn = Conn { peer, is_open: true, last_us: [0; 2], held_until_us: 0, lost_until_us: 0 };
        self.conns.insert(id, conn);
        id
    }

    pub(crate) fn close(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.is_open = false;
        }
    }

    pub(crate) fn is_open(&self, id: ConnId) -> bool {
        self.conns.get(&id).is_some_and(|conn| conn.is_open)
    }

    pub(crate) fn open(&self) -> Vec<ConnId> {
        self.conns.iter().filter(|(_, conn)| conn.is_open).map(|(id, _)| *id).collect()
    }

    pub(crate) fn peer(&self, id: ConnId) -> Option<usize> {
        self.conns.get(&id)?.peer
    }

    pub(crate) fn hold(&mut self, id: ConnId, until_us: u64) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.held_until_us = until_us;
        }
    }

    pub(crate) fn lose(&mut self, id: ConnId, until_us: u64) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.lost_until_us = until_us;
        }
    }

    /// Everything goes its way again.
    pub(crate) fn heal(&mut self) {
        self.noise = Noise { delay_us_max: self.noise.delay_us_max, ..Noise::default() };
        for conn in self.conns.values_mut() {
            (conn.held_until_us, conn.lost_until_us) = (0, 0);
        }
    }

    /// Puts a packet on its way.
    pub(crate) fn send(&mut self, now_us: u64, id: ConnId, way: Way) -> Fate {
        let noise = self.noise;
        let Some(conn) = self.conns.get_mut(&id).filter(|conn| conn.is_open) else {
            return Fate { is_lost: true, ..Fate::default() };
        };
        if now_us < conn.lost_until_us || self.random.chance(noise.loss) {
            return Fate { is_lost: true, ..Fate::default() };
        }
        let last_us = &mut conn.last_us[way as usize];
        let mut at_us = now_us + 20 + self.random.below(noise.delay_us_max);
        let is_overtaking = self.random.chance(noise.reorder);
        if is_overtaking {
            // The packets before it lose time, so to say: it does not wait for them.
            at_us = now_us + 10;
            *last_us += self.random.below(3 * noise.delay_us_max);
        } else {
            at_us = at_us.max(*last_us).max(conn.held_until_us);
            *last_us = at_us;
        }
        let twice =
            self.random.chance(noise.twice).then(|| at_us + self.random.below(4 * noise.delay_us_max));
        Fate { arrives_us: [Some(at_us), twice], is_lost: false, is_overtaking }
    }
}
