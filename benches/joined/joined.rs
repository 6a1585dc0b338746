//! The machines, joined: what one says is handed to the other in the order a good network keeps.

use std::sync::Arc;

use bytes::Bytes;
use forebay::core::broker::{Broker, BrokerConfig};
use forebay::core::client::{ClientConfig, ClientCore, ClientEvent, News, Order, Want};
use forebay::core::job_table::{JobTable, TableConfig};
use forebay::core::jobs::{Io, IoDone};
use forebay::core::session::PeerEvent;
use forebay::core::worker::{Answer, WorkerConfig, WorkerCore, WorkerEvent};
use forebay::link::{ConnId, Hub, HubLimits, Peer, PeerConfig};
use forebay::model::{Body, JobId, JobOptions, Level, Now, QueueName, Submission, limits};
use forebay::wire::command::{PeerKind, Secret, Terms};

const QUEUE: &str = "echo";
const CLIENT: ConnId = ConnId(1);
const WORKER: ConnId = ConnId(2);
/// The time that passes in one turn of everybody.
const TURN_US: u64 = 100;

pub(crate) struct Joined {
    now: Now,
    client: (ClientCore, Peer),
    worker: (WorkerCore, Peer),
    hub: Hub,
    broker: Broker<JobTable>,
    in_flight: usize,
    payload: Bytes,
    submitted: u128,
    ended: usize,
}

impl Joined {
    /// Everybody connected, and `in_flight` jobs of `len` bytes to be kept under way.
    pub(crate) fn new(in_flight: usize, len: usize) -> Self {
        let now = Now { us: 1_000_000, wall_ms: 1_780_000_000_000 };
        let config = ClientConfig { window_jobs: 10_000, window_bytes: 256 << 20, is_ack_auto: true };
        let mut worker =
            WorkerCore::new(now, WorkerConfig { prefetch: None, unacked_bytes: 64 << 20, broker_gone_ms: 0 });
        worker.register(QUEUE, 0, 1);
        worker.receiving(1);
        let table = TableConfig { broker: [1; 16], ..TableConfig::default() };
        let mut joined = Joined {
            now,
            client: (ClientCore::new(config), peer(PeerKind::Client, 1)),
            worker: (worker, peer(PeerKind::Worker, 2)),
            hub: Hub::new(terms(), HubLimits::default()),
            broker: Broker::new(BrokerConfig::default(), JobTable::new(table)),
            in_flight,
            payload: (0..len).map(|at| at as u8).collect::<Vec<_>>().into(),
            submitted: 0,
            ended: 0,
        };
        joined.client.1.connected(now);
        joined.worker.1.connected(now);
        joined
    }

    /// Submits `jobs` jobs and hands on what everybody says until each has ended.
    pub(crate) fn echo(&mut self, jobs: usize) {
        let (first, mut left) = (self.ended, jobs);
        while self.ended < first + jobs {
            self.now.us += TURN_US;
            self.now.wall_ms = 1_780_000_000_000 + self.now.us / 1_000;
            let under_way = jobs - left - (self.ended - first);
            let new = left.min(self.in_flight - under_way);
            (0..new).for_each(|_| self.submit());
            left -= new;
            self.client_turn();
            self.broker_turn();
            self.worker_turn();
            self.broker_turn();
        }
    }

    fn submit(&mut self) {
        self.submitted += 1;
        let submission = Submission {
            options: JobOptions { level: Some(Level::Volatile), ..JobOptions::default() },
            is_patient: true,
            ..Submission::new(
                JobId(((self.now.wall_ms as u128) << 80 | 7 << 76 | 2 << 62 | self.submitted).to_be_bytes()),
                QueueName::new(QUEUE).expect("a name"),
                Body::one(self.payload.clone()),
            )
        };
        let order = Order {
            submission: Arc::new(submission),
            tag: 0,
            want: Want::RESULT | Want::REFUSED,
            is_volatile: true,
            charge: self.payload.len() as u64,
            confirm: None,
            wait: None,
        };
        self.client.0.submit(self.now, order);
    }

    fn client_turn(&mut self) {
        let now = self.now;
        let (core, link) = &mut self.client;
        link.tick(now);
        while let Some(event) = link.poll_event() {
            match event {
                PeerEvent::BeatDue => link.beat(now, &[]),
                event => core.handle(now, event),
            }
        }
        core.tick(now);
        while let Some(event) = core.poll_event() {
            let ClientEvent::Deliver(delivery) = event else { continue };
            let News::Ended(verdict) = &delivery.news else { panic!("{:?}", delivery.news) };
            assert_eq!(verdict.body.0[0], self.payload, "the answer is the payload");
            self.ended += 1;
            core.taken(now, delivery.id, self.payload.len() as u64);
        }
        core.take_released();
        while let Some(command) = core.poll_command(now) {
            let number = link.send(command);
            core.sent(number);
        }
        while let Some(packet) = link.poll_packet(now) {
            self.hub.receive(now, CLIENT, "", packet);
        }
    }

    fn worker_turn(&mut self) {
        let now = self.now;
        let (core, link) = &mut self.worker;
        link.tick(now);
        while let Some(event) = link.poll_event() {
            match event {
                PeerEvent::BeatDue => link.beat(now, &core.leases()),
                event => core.handle(now, event),
            }
        }
        core.tick(now);
        while let Some(event) = core.poll_event() {
            let WorkerEvent::Granted { key, grant } = event else { continue };
            let len = grant.body.len() as u64;
            core.started(now, key);
            let answer = Answer::Done(Arc::new(grant.body.into()));
            core.answer(now, key, answer, len, 10);
        }
        core.receiving(1);
        while let Some(command) = core.poll_command() {
            let number = link.send(command);
            core.sent(number);
        }
        while let Some(packet) = link.poll_packet(now) {
            self.hub.receive(now, WORKER, "", packet);
        }
    }

    fn broker_turn(&mut self) {
        let now = self.now;
        self.hub.tick(now);
        self.broker.tick(now);
        loop {
            while let Some(input) = self.hub.poll_input() {
                self.broker.handle(now, input);
            }
            while let Some(output) = self.broker.poll() {
                self.hub.handle(now, output);
            }
            match self.broker.poll_io() {
                Some(Io::Append { upto, .. }) => self.broker.io_done(now, IoDone::Synced { upto }),
                Some(Io::Read { .. }) => unreachable!("nothing was left in a store"),
                None => break,
            }
        }
        while let Some((conn, packet)) = self.hub.poll_packet(now) {
            let link = if conn == CLIENT { &mut self.client.1 } else { &mut self.worker.1 };
            link.receive(now, packet);
        }
    }
}

fn peer(kind: PeerKind, secret: u8) -> Peer {
    Peer::new(PeerConfig {
        kind,
        secret: Secret([secret; 16]),
        name: String::new(),
        host: String::new(),
        pid: 0,
        version: String::new(),
        features: Vec::new(),
    })
}

fn terms() -> Terms {
    Terms {
        broker: [1; 16],
        epoch: 1,
        wall_ms: 1_780_000_000_000,
        payload_max: limits::PAYLOAD_LEN_MAX as u64,
        frames_max: limits::BODY_FRAMES_MAX as u64,
        headers_max: limits::HEADERS_LEN_MAX as u64,
        window_bytes: limits::WINDOW_LEN as u64,
        beat_ms: 1_000,
        lease_ms: 3_000,
        reattach_ms: 3_000,
        submit_jobs: limits::SUBMIT_CREDIT_JOBS,
        durable: false,
        version: String::new(),
        features: Vec::new(),
    }
}
