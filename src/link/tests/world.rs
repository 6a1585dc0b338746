//! A hub and a peer with cores that count, over a byte network in virtual time. Everything follows from the seed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use crate::core::jobs::SessionId;
use crate::core::session::{Input, Output, PeerEvent};
use crate::link::{ConnId, Hub, HubLimits, Peer, PeerConfig};
use crate::model::{Body, JobId, Lease, Now, limits};
use crate::wire::command::{FromBroker, PeerKind, Secret, Terms, ToBroker};

pub(crate) const CONN: ConnId = ConnId(1);

/// A small generator of test cases (splitmix64, Steele, Lea and Flood 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

pub(crate) fn at(us: u64) -> Now {
    Now { us, wall_ms: 1_700_000_000_000 + us / 1_000 }
}

pub(crate) fn terms() -> Terms {
    Terms {
        broker: [7; 16],
        epoch: 1,
        wall_ms: 0,
        payload_max: 64 << 20,
        frames_max: 1_024,
        headers_max: 65_536,
        window_bytes: limits::WINDOW_LEN as u64,
        beat_ms: limits::BEAT_MS,
        lease_ms: limits::LEASE_MS,
        reattach_ms: limits::REATTACH_MS,
        submit_jobs: 10_000,
        durable: false,
        version: "0.1.0".into(),
        features: vec![],
    }
}

pub(crate) fn config(kind: PeerKind) -> PeerConfig {
    PeerConfig {
        kind,
        secret: Secret([9; 16]),
        name: "name".into(),
        host: "host".into(),
        pid: 1,
        version: "0.1.0".into(),
        features: vec![],
    }
}

pub(crate) fn job_id(n: u64) -> JobId {
    JobId::new(n, [3; 10])
}

/// The `n`-th command of the conversation; bodies of every size that travels differently.
fn word(n: u64, large: bool) -> ToBroker {
    let len = match n % 50 {
        0 if large => (1 << 20) + 300_000,
        7 => 5_000,
        8 => 0,
        _ => 20,
    };
    ToBroker::Done {
        lease: Lease { slot: n as u32, token: n },
        completion: Arc::new(Body::one(vec![n as u8; len]).into()),
    }
}

/// What the network does to a packet, in percent.
#[derive(Clone, Copy, Default)]
pub(crate) struct Weather {
    pub(crate) loss: u64,
    pub(crate) twice: u64,
    pub(crate) delay_us: u64,
    pub(crate) broken: u64,
}

type Wire = BTreeMap<(u64, u64), Vec<Bytes>>;

pub(crate) struct World {
    pub(crate) now_us: u64,
    pub(crate) hub: Hub,
    pub(crate) peer: Peer,
    random: Random,
    weather: Weather,
    to_hub: Wire,
    to_peer: Wire,
    sequence: u64,
    words: u64,
    large: bool,
    /// The hub's side: how many words of each session were executed, and the ones not yet done.
    heard: BTreeMap<SessionId, u64>,
    open: VecDeque<(SessionId, u64)>,
    /// The peer's side: echoes heard in this session, what was acknowledged.
    echoes: u64,
    acknowledged: u64,
    pub(crate) fresh: u64,
    pub(crate) packets: u64,
}

impl World {
    pub(crate) fn new(seed: u64, weather: Weather, words: u64, large: bool) -> World {
        World {
            now_us: 1_000_000,
            hub: Hub::new(terms(), HubLimits::default()),
            peer: Peer::new(config(PeerKind::Worker)),
            random: Random(seed),
            weather,
            to_hub: Wire::new(),
            to_peer: Wire::new(),
            sequence: 0,
            words,
            large,
            heard: BTreeMap::new(),
            open: VecDeque::new(),
            echoes: 0,
            acknowledged: 0,
            fresh: 0,
            packets: 0,
        }
    }

    pub(crate) fn now(&self) -> Now {
        at(self.now_us)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.echoes == self.words && self.acknowledged == self.peer_words() && self.peer.unacknowledged() == 0
    }

    /// The number of the last word: chunks have numbers too.
    fn peer_words(&self) -> u64 {
        self.acknowledged.max(self.words)
    }

    /// Runs until all words were said, echoed and acknowledged. Panics after `seconds` of virtual time.
    pub(crate) fn run(&mut self, seconds: u64) {
        let end_us = self.now_us + seconds * 1_000_000;
        self.peer.connected(self.now());
        self.settle();
        while !self.is_over() {
            let next = [
                self.to_hub.keys().next().map(|key| key.0),
                self.to_peer.keys().next().map(|key| key.0),
                self.hub.next_timeout(),
                self.peer.next_timeout(),
            ];
            let next_us = next.into_iter().flatten().min().expect("somebody waits for something");
            assert!(next_us < end_us, "not over after {seconds} s: {} echoes of {}", self.echoes, self.words);
            self.now_us = self.now_us.max(next_us);
            self.step();
        }
    }

    /// Delivers what has arrived, lets time pass, and settles.
    pub(crate) fn step(&mut self) {
        let now = self.now();
        while let Some(entry) = self.to_hub.first_entry().filter(|entry| entry.key().0 <= now.us) {
            self.hub.receive(now, CONN, "uid:1", entry.remove());
        }
        while let Some(entry) = self.to_peer.first_entry().filter(|entry| entry.key().0 <= now.us) {
            self.peer.receive(now, entry.remove());
        }
        if self.random.chance(self.weather.broken) {
            self.hub.gone(now, CONN);
            self.to_hub.clear();
            self.to_peer.clear();
            self.peer.connected(now);
        }
        self.hub.tick(now);
        self.peer.tick(now);
        self.settle();
    }

    /// Drains both sides: inputs, outputs, events, packets.
    pub(crate) fn settle(&mut self) {
        let now = self.now();
        while let Some(input) = self.hub.poll_input() {
            self.hub_input(now, input);
        }
        // Some words are done later than they came, and not in their order.
        let later = self.open.len() / 2;
        while self.open.len() > later {
            let at = self.random.below(self.open.len() as u64) as usize;
            let (session, number) = self.open.remove(at).expect("within the queue");
            let command = FromBroker::SubmitCredit(number);
            self.hub.handle(now, Output::Send { session, command });
            self.hub.handle(now, Output::Done { session, number });
        }
        while let Some(event) = self.peer.poll_event() {
            self.peer_event(now, event);
        }
        while let Some((conn, packet)) = self.hub.poll_packet(now) {
            assert_eq!(conn, CONN);
            self.post(packet, false);
        }
        while let Some(packet) = self.peer.poll_packet(now) {
            self.post(packet, true);
        }
    }

    fn hub_input(&mut self, now: Now, input: Input) {
        match input {
            Input::Command { session, number, command } => {
                let heard = self.heard.entry(session).or_default();
                *heard += 1;
                assert_eq!(command, word(*heard, self.large), "in order and each once");
                self.open.push_back((session, number));
            }
            Input::Beat { session, .. } => {
                self.hub.handle(now, Output::BeatReply { session, dropped: vec![] });
            }
            Input::Closed { session, .. } => self.open.retain(|open| open.0 != session),
            Input::Opened { .. }
            | Input::Dropped { .. }
            | Input::Returned { .. }
            | Input::Congested { .. } => {}
        }
    }

    fn peer_event(&mut self, now: Now, event: PeerEvent) {
        match event {
            PeerEvent::Up { fresh, .. } => {
                if fresh {
                    self.fresh += 1;
                    self.echoes = 0;
                    self.acknowledged = 0;
                    for n in 1..=self.words {
                        self.peer.send(word(n, self.large));
                    }
                }
            }
            PeerEvent::Command(FromBroker::SubmitCredit(_)) => self.echoes += 1,
            PeerEvent::Acknowledged(number) => {
                assert!(number > self.acknowledged);
                self.acknowledged = number;
                if !self.large {
                    assert!(self.echoes >= number, "{number} was acknowledged before it was answered");
                }
            }
            PeerEvent::BeatDue => self.peer.beat(now, &[]),
            PeerEvent::Down => {}
            other => panic!("{other:?}"),
        }
    }

    fn post(&mut self, packet: Vec<Bytes>, to_hub: bool) {
        self.packets += 1;
        if self.random.chance(self.weather.loss) {
            return;
        }
        let copies = if self.random.chance(self.weather.twice) { 2 } else { 1 };
        for _ in 0..copies {
            self.sequence += 1;
            let at_us = self.now_us + 100 + self.random.below(self.weather.delay_us + 1);
            let wire = if to_hub { &mut self.to_hub } else { &mut self.to_peer };
            wire.insert((at_us, self.sequence), packet.clone());
        }
    }
}
