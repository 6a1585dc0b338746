//! One run: a broker, its peers, the network between them, one clock for all, and everything that can go wrong.
//!
//! The loop takes the earliest event, lets whoever it concerns handle it to the end, and checks every rule before the
//! next. Nothing happens outside an event, and everything that can be seen is in ordered maps, so a seed says it all.

use std::collections::BTreeMap;

use bytes::Bytes;
use forebay::core::broker::Broker;
use forebay::link::{ConnId, Hub, Peer};
use forebay::model::{JobId, Level, Now};

use crate::client::Client;
use crate::delayed::SimJobs;
use crate::judge::Judge;
use crate::network::{Network, Way};
use crate::plan::{ACTIVE_US, Fault, MS, Plan, SECOND, WALL_MS};
use crate::random::Random;
use crate::store::SimStore;
use crate::told::Told;
use crate::trace::{Tally, Trace};
use crate::work::Job;
use crate::worker::Worker;

/// Something that will happen.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Packet {
        conn: ConnId,
        way: Way,
        packet: Vec<Bytes>,
    },
    /// The broker's socket reports that a connection is gone.
    Gone(ConnId),
    /// A peer has a connection again.
    Connect {
        peer: usize,
        process: u64,
    },
    /// A peer's process starts, after the one before ended.
    Start(usize),
    BrokerStart,
    /// There is room on the disk again.
    DiskFreed,
    /// The store writes what it was handed.
    Write {
        life: u64,
    },
    BrokerTick,
    PeerTick(usize),
    Act {
        peer: usize,
        act: Act,
    },
    Fault(Fault),
    /// Faults end here: whatever is broken is put right.
    Calm,
}

/// What an application does.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Submit { job: Box<Job>, other: bool },
    Cancel(JobId),
    Peek(JobId),
    Wait(JobId),
    Flush,
    FetchKept,
    PeekAll,
    AckAll,
    Status,
    ChangeQueues,
    LookAway,
}

/// Which kind of process a peer is.
pub(crate) enum Role {
    Client(Box<Client>),
    Worker(Box<Worker>),
}

/// A peer: a process that may end and start again, with one connection at a time.
pub(crate) struct Node {
    pub(crate) role: Option<Role>,
    pub(crate) link: Option<Peer>,
    pub(crate) conn: Option<ConnId>,
    /// How many processes there were, this one included.
    pub(crate) process: u64,
    pub(crate) stalled_until_us: u64,
    /// What its socket holds while it has no connection.
    pub(crate) waiting: Vec<Vec<Bytes>>,
    pub(crate) is_client: bool,
    pub(crate) is_spoiled: bool,
    pub(crate) ticks_at: Option<(u64, u64)>,
}

/// The world. See the module's text.
pub(crate) struct World<J: SimJobs> {
    pub(crate) plan: Plan,
    pub(crate) random: Random,
    pub(crate) now_us: u64,
    pub(crate) wall_jump_ms: i64,
    pub(crate) events: BTreeMap<(u64, u64), Event>,
    pub(crate) next_event: u64,
    pub(crate) network: Network,
    pub(crate) broker: Option<(Hub, Broker<J>)>,
    pub(crate) store: SimStore,
    /// The store failed: the broker ends once it has said what it had to say.
    pub(crate) store_failed: bool,
    /// Something reached the broker in this step.
    pub(crate) is_touched: bool,
    pub(crate) broker_paused_until_us: u64,
    pub(crate) broker_ticks_at: Option<(u64, u64)>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) judge: Judge,
    pub(crate) told: Told,
    pub(crate) trace: Trace,
    pub(crate) tally: Tally,
    /// A packet some peer has sent, for hostile ones to play with.
    pub(crate) seen: Option<Vec<Bytes>>,
    pub(crate) hostile: Option<ConnId>,
    pub(crate) execs: u64,
    pub(crate) is_calm: bool,
    pub(crate) steps: u64,
}

impl<J: SimJobs> World<J> {
    pub(crate) fn new(plan: Plan, printed: bool) -> Self {
        let mut world = World {
            random: Random::of(plan.seed, 3),
            now_us: SECOND,
            wall_jump_ms: 0,
            events: BTreeMap::new(),
            next_event: 0,
            network: Network::new(plan.seed, plan.noise),
            broker: None,
            store: SimStore::default(),
            store_failed: false,
            is_touched: false,
            broker_paused_until_us: 0,
            broker_ticks_at: None,
            nodes: Vec::new(),
            judge: Judge::new(&plan),
            told: Told::default(),
            trace: Trace::new(printed),
            tally: Tally::default(),
            seen: None,
            hostile: None,
            execs: 0,
            is_calm: false,
            steps: 0,
            plan,
        };
        world.trace.note(0, format_args!("{:?}", world.plan));
        world.set_up();
        world
    }

    fn set_up(&mut self) {
        self.start_broker();
        let spoiled = usize::from(self.plan.has(Fault::BadFrames));
        for peer in 0..self.plan.clients + self.plan.workers + spoiled {
            let is_spoiled = peer >= self.plan.clients + self.plan.workers;
            self.nodes.push(Node {
                role: None,
                link: None,
                conn: None,
                process: 0,
                stalled_until_us: 0,
                waiting: Vec::new(),
                is_client: peer < self.plan.clients || is_spoiled,
                is_spoiled,
                ticks_at: None,
            });
            let at_us = self.now_us + self.random.below(500 * MS);
            self.at(at_us, Event::Start(peer));
        }
        for number in 0..self.plan.jobs {
            self.plan_job(number);
        }
        for fault in self.plan.faults.clone() {
            let at_us = self.moment();
            self.at(at_us, Event::Fault(fault));
        }
        let calm_us = self.now_us + ACTIVE_US;
        self.at(calm_us, Event::Calm);
    }

    /// When something happens: mostly together with other things.
    fn moment(&mut self) -> u64 {
        let at_us = if self.random.chance(850) {
            self.random.pick(&self.plan.waves_us) + self.random.below(self.plan.wave_us)
        } else {
            self.random.below(ACTIVE_US)
        };
        self.now_us + SECOND + at_us
    }

    /// What an application does about one job.
    fn plan_job(&mut self, number: u64) {
        let at_us = self.moment();
        let random = &mut self.random;
        let is_spoiled = self.plan.has(Fault::BadFrames) && random.chance(150);
        let peer = match is_spoiled {
            true => self.plan.clients + self.plan.workers,
            false => random.below(self.plan.clients as u64) as usize,
        };
        // By a clock that does not jump, so that a run with and one without jumps have the same ids.
        let job = Box::new(Job::draw(&self.plan, number, WALL_MS + at_us / MS, random));
        let (id, named, level, known) = (job.id, job.named, job.options.level, job.clone());
        let mut acts = vec![(at_us, peer, Act::Submit { job: job.clone(), other: false })];
        let later = |random: &mut Random| at_us + random.below(6 * SECOND);
        if random.chance(200) {
            acts.push((later(random), peer, Act::Cancel(id)));
        }
        if random.chance(200) {
            acts.push((later(random), peer, Act::Peek(id)));
        }
        // A spoiled one may wait in a queue nobody serves.
        if random.chance(100) && !is_spoiled {
            acts.push((later(random), random.below(self.plan.clients as u64) as usize, Act::Wait(id)));
        }
        if named && random.chance(600) {
            acts.push((later(random), peer, Act::Submit { job: job.clone(), other: false }));
        }
        if named && random.chance(300) {
            acts.push((later(random), peer, Act::Submit { job, other: true }));
        }
        if random.chance(100) {
            acts.push((later(random), peer, Act::Flush));
        }
        if random.chance(100) {
            let worker = self.plan.clients + random.below(self.plan.workers as u64) as usize;
            let act = if random.chance(500) { Act::ChangeQueues } else { Act::LookAway };
            acts.push((later(random), worker, act));
        }
        self.judge.expect(id);
        if self.plan.durable && !is_spoiled && level != Some(Level::Volatile) {
            self.told.expect(&known);
        }
        for (at_us, peer, act) in acts {
            self.at(at_us, Event::Act { peer, act });
        }
    }

    pub(crate) fn now(&self) -> Now {
        let mut jump_ms = self.wall_jump_ms;
        if self.plan.wild_clock {
            // Another time every second, drawn from nobody's stream.
            let span_ms = 2 * self.plan.jump_ms_max;
            jump_ms = (Random::of(self.plan.seed, self.now_us / SECOND).below(span_ms) as i64)
                - (span_ms / 2) as i64;
        }
        let wall_ms = (WALL_MS + self.now_us / MS).saturating_add_signed(jump_ms);
        Now { us: self.now_us, wall_ms }
    }

    pub(crate) fn at(&mut self, at_us: u64, event: Event) -> (u64, u64) {
        let key = (at_us.max(self.now_us), self.next_event);
        self.next_event += 1;
        self.events.insert(key, event);
        key
    }

    /// Takes the next step. False when nothing will ever happen again.
    pub(crate) fn step(&mut self) -> bool {
        let Some(((at_us, _), event)) = self.events.pop_first() else { return false };
        self.now_us = at_us;
        if let Some(later_us) = self.waits_until(&event) {
            self.at(later_us, event);
            return true;
        }
        self.steps += 1;
        self.execute(event);
        // What nothing has reached stands as it stood.
        if std::mem::take(&mut self.is_touched)
            && let Some((_, broker)) = &self.broker
            && let Err(violation) = broker.jobs().table().check(self.now())
        {
            panic!("broken: {}", violation.0);
        }
        true
    }

    /// Whoever stands still handles nothing.
    fn waits_until(&self, event: &Event) -> Option<u64> {
        let until_us = match event {
            Event::Packet { way: Way::ToBroker, .. }
            | Event::Gone(_)
            | Event::BrokerTick
            | Event::Write { .. } => self.broker_paused_until_us,
            Event::Packet { conn, way: Way::ToPeer, .. } => {
                self.network.peer(*conn).map_or(0, |peer| self.nodes[peer].stalled_until_us)
            }
            Event::Connect { peer, .. } | Event::PeerTick(peer) | Event::Act { peer, .. } => {
                self.nodes[*peer].stalled_until_us
            }
            _ => 0,
        };
        (until_us > self.now_us).then_some(until_us)
    }

    fn execute(&mut self, event: Event) {
        match event {
            Event::Packet { conn, way, packet } => self.arrive(conn, way, packet),
            Event::Gone(conn) => {
                self.note(format_args!("broker: {conn:?} is gone"));
                self.network.close(conn);
                let now = self.now();
                if let Some((hub, _)) = &mut self.broker {
                    hub.gone(now, conn);
                }
                self.settle_broker();
            }
            Event::Connect { peer, process } => self.connect(peer, process),
            Event::Start(peer) => self.start_peer(peer),
            Event::BrokerStart => self.start_broker(),
            Event::Write { life } => self.write_now(life),
            Event::DiskFreed => self.store.set_full(false),
            Event::BrokerTick => {
                self.broker_ticks_at = None;
                let now = self.now();
                if let Some((hub, broker)) = &mut self.broker {
                    hub.tick(now);
                    broker.tick(now);
                }
                self.settle_broker();
            }
            Event::PeerTick(peer) => {
                self.nodes[peer].ticks_at = None;
                self.tick_peer(peer);
            }
            Event::Act { peer, act } => self.act(peer, act),
            Event::Fault(fault) => self.strike(fault),
            Event::Calm => self.calm(),
        }
    }

    pub(crate) fn jump(&mut self, jump_ms: i64) {
        self.wall_jump_ms = (self.wall_jump_ms + jump_ms)
            .clamp(-(self.plan.jump_ms_max as i64), self.plan.jump_ms_max as i64);
    }

    /// Something worth printing when a seed is replayed, and too long to hash.
    pub(crate) fn detail(&self, what: &str, value: &impl std::fmt::Debug) {
        if self.trace.is_printed() {
            println!("{:>10}.{:06}     {what} {}", self.now_us / SECOND, self.now_us % SECOND, brief(value));
        }
    }

    pub(crate) fn note(&mut self, what: std::fmt::Arguments<'_>) {
        self.trace.note(self.now_us, what);
    }
}

/// A value on one line, without the bytes of bodies.
pub(crate) fn brief(value: &impl std::fmt::Debug) -> String {
    let mut text = format!("{value:?}");
    while let Some(at) = text.find("b\"") {
        let end = text[at + 2..].find('"').map_or(text.len(), |end| at + 3 + end);
        text.replace_range(at..end, "..");
    }
    text
}
