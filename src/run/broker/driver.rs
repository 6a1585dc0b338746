//! The broker's loop: it takes what the socket has, feeds link and core, appends what must be kept, sends what became
//! ready, and sleeps until there is more.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::core::broker::{Broker, BrokerConfig};
use crate::core::job_table::{Happened, JobTable, TableConfig};
use crate::core::jobs::Io;
use crate::core::session::Input;
use crate::link::{ConnId, Hub, HubLimits};
use crate::model::{Failure, Level, Now, Outcome, limits};
use crate::net::{Frames, FromPeer, PeerId, Poller, Router, Sent};
use crate::run::broker::keeper::{Keeper, Life};
use crate::run::broker::{DRAIN, GO_ON, Phase, Shared};
use crate::run::settings::BrokerSettings;
use crate::run::{clock, ids};
use crate::wire::command::{Terms, ToBroker};

/// Packets taken from the socket before anything else gets its turn.
const PACKETS_PER_TURN: usize = 1_000;

/// The loop and everything it owns.
pub(super) struct Driver {
    router: Router,
    hub: Hub,
    broker: Broker<JobTable>,
    keeper: Keeper,
    identities: HashMap<PeerId, Arc<str>>,
    nobody: Arc<str>,
    /// What has happened to jobs up to this number stands in the log.
    logged: u64,
    shared: Arc<Shared>,
}

impl Driver {
    pub(super) fn new(
        settings: &BrokerSettings,
        keeper: Keeper,
        life: Life,
        router: Router,
        shared: Arc<Shared>,
    ) -> Result<Self, Failure> {
        let durable = life.records.is_some();
        let table = TableConfig {
            rules: settings.rules.clone(),
            lease_ms: settings.lease_ms,
            reattach_ms: settings.reattach_ms,
            memory_max: settings.memory_max,
            cache_max: settings.cache_max,
            payload_max: settings.payload_max,
            queue_jobs_max: settings.queue_max_jobs,
            queue_bytes_max: settings.queue_max_bytes,
            retention_ms: settings.retention_ms.unwrap_or(limits::RETENTION_MS),
            quarantine_ms: settings.quarantine_ms,
            stage_idle_ms: settings.stage_idle_ms,
            broker: life.broker,
            epoch: life.epoch,
            durable,
            seed: u64::from_be_bytes(ids::random()?),
        };
        let mut jobs = JobTable::new(table);
        if let Some(records) = life.records {
            jobs.recover(clock::now(), records);
        }
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let config = BrokerConfig { reattach_ms: settings.reattach_ms, version, ..BrokerConfig::default() };
        let terms = terms(settings, life.broker, life.epoch, durable);
        Ok(Driver {
            router,
            hub: Hub::new(terms, HubLimits::default()),
            broker: Broker::new(config, jobs),
            keeper,
            identities: HashMap::new(),
            nobody: "".into(),
            logged: 0,
            shared,
        })
    }

    pub(super) fn run(mut self) -> Result<(), Failure> {
        let mut poller = Poller::new();
        loop {
            let now = clock::now();
            match self.shared.wish.load(Ordering::SeqCst) {
                GO_ON => {}
                DRAIN => self.drain(now),
                _ => return self.say_goodbye(now),
            }
            let has_more = self.receive(now)?;
            self.hub.tick(now);
            self.broker.tick(now);
            self.turn(now)?;
            self.send(now)?;
            self.log();
            if has_more {
                continue;
            }
            let timeouts = [self.hub.next_timeout(), self.broker.next_timeout(), self.keeper.next_timeout()];
            let due_us = timeouts.into_iter().flatten().min();
            let timeout = due_us.map(|due_us| Duration::from_micros(due_us.saturating_sub(clock::now().us)));
            poller.wait(&[&self.router, &self.shared.waker], timeout)?;
            self.shared.waker.clear();
        }
    }

    /// Takes what the socket has, up to a bound; true when there may be more.
    fn receive(&mut self, now: Now) -> Result<bool, Failure> {
        for _ in 0..PACKETS_PER_TURN {
            match self.router.recv()? {
                None => return Ok(false),
                Some(FromPeer::Gone { peer }) => {
                    self.identities.remove(&peer);
                    self.hub.gone(now, ConnId(peer.as_u64()));
                }
                Some(FromPeer::Packet { peer, frames, identity }) => {
                    if let Some(owner) = identity.and_then(|identity| identity.owner) {
                        self.identities.insert(peer, owner.into());
                    }
                    let identity = self.identities.get(&peer).unwrap_or(&self.nobody).clone();
                    let (first, mut rest) = frames.into_parts();
                    rest.insert(0, first);
                    self.hub.receive(now, ConnId(peer.as_u64()), &identity, rest);
                }
            }
            self.feed(now);
            self.pass(now);
            while let Some((conn, packet)) = self.hub.poll_full_packet(now) {
                self.send_one(now, conn, packet)?;
            }
            if self.keeper.is_replete() {
                break;
            }
        }
        Ok(true)
    }

    /// From the link to the core, which hears first whether there is room for a job.
    fn feed(&mut self, now: Now) {
        while let Some(input) = self.hub.poll_input() {
            let room = match &input {
                Input::Command { command: ToBroker::Submit(job), .. } => self.keeper.look_ahead(job),
                Input::Command { command, .. } => {
                    self.broker.requeued_len(command).and_then(|len| self.keeper.look_ahead_len(len))
                }
                _ => None,
            };
            if let Some(room) = room {
                self.broker.io_done(now, room);
            }
            self.broker.handle(now, input);
        }
    }

    /// From the core to the link.
    fn pass(&mut self, now: Now) {
        while let Some(output) = self.broker.poll() {
            self.hub.handle(now, output);
        }
    }

    /// Lets everything happen that can happen now, up to what must be kept first.
    fn turn(&mut self, now: Now) -> Result<(), Failure> {
        loop {
            self.feed(now);
            self.pass(now);
            let done = match self.keeper.retry(now)? {
                Some(done) => Some(done),
                None if self.keeper.is_stuck() => None,
                None => match self.broker.poll_io() {
                    Some(Io::Append { upto, records }) => self.keeper.append(now, upto, records)?,
                    Some(Io::Read { lease, id }) => Some(self.keeper.read(lease, id)?),
                    None => None,
                },
            };
            match done {
                Some(done) => self.broker.io_done(now, done),
                None => break,
            }
        }
        if let Some(news) = self.keeper.news() {
            self.broker.io_done(now, news);
        }
        Ok(())
    }

    /// Sends every packet that is ready.
    fn send(&mut self, now: Now) -> Result<(), Failure> {
        while let Some((conn, packet)) = self.hub.poll_packet(now) {
            if !self.send_one(now, conn, packet)? {
                self.turn(now)?;
            }
        }
        Ok(())
    }

    /// False: the peer is gone. One that takes no more is broken: its windows lie below the high-water mark.
    fn send_one(&mut self, now: Now, conn: ConnId, packet: Vec<Bytes>) -> Result<bool, Failure> {
        let sent = self.router.send(PeerId::from_u64(conn.0), &frames_of(packet))?;
        let is_there = sent == Sent::Queued;
        if !is_there {
            self.hub.gone(now, conn);
        }
        Ok(is_there)
    }

    /// One line for each thing that happened to a job: each step at debug, an attempt that came to nothing and an end that is
    /// no result at info, and what waits for a person as a warning.
    fn log(&mut self) {
        for happened in self.broker.jobs().happened_after(self.logged) {
            let (job, queue, attempt, why) =
                (happened.id, happened.queue.as_str(), happened.attempt, happened.why);
            let (level, outcome) = match happened.what {
                Happened::Ended(outcome @ Outcome::Quarantined) => (log::Level::Warn, outcome.name()),
                Happened::Ended(outcome @ Outcome::Done) => (log::Level::Debug, outcome.name()),
                Happened::Ended(outcome) => (log::Level::Info, outcome.name()),
                Happened::Requeued { begun: true } => (log::Level::Info, ""),
                Happened::Requeued { begun: false } | Happened::Accepted | Happened::Started => {
                    (log::Level::Debug, "")
                }
            };
            let word = happened.what.name();
            log::log!(target: "broker", level, job:% = job, queue, attempt, outcome, why; "{word}");
        }
        self.logged = self.broker.jobs().last_event();
    }

    fn drain(&mut self, now: Now) {
        self.broker.drain(now);
        let drained = self.broker.is_drained();
        let mut phase = self.shared.phase.lock().unwrap_or_else(PoisonError::into_inner);
        if drained && *phase == Phase::Runs {
            *phase = Phase::Drained;
            self.shared.changed.notify_all();
        }
    }

    fn say_goodbye(&mut self, now: Now) -> Result<(), Failure> {
        self.turn(now)?;
        self.hub.farewell(now);
        self.send(now)
    }
}

/// What every peer is told.
fn terms(settings: &BrokerSettings, broker: [u8; 16], epoch: u64, durable: bool) -> Terms {
    Terms {
        broker,
        epoch,
        wall_ms: clock::wall_ms(),
        payload_max: settings.payload_max,
        frames_max: limits::BODY_FRAMES_MAX as u64,
        headers_max: limits::HEADERS_LEN_MAX as u64,
        window_bytes: limits::WINDOW_LEN as u64,
        beat_ms: settings.beat_ms,
        lease_ms: settings.lease_ms,
        reattach_ms: settings.reattach_ms,
        submit_jobs: limits::SUBMIT_CREDIT_JOBS,
        durable: durable && settings.rules.level != Level::Volatile,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        features: Vec::new(),
    }
}

fn frames_of(packet: Vec<Bytes>) -> Frames {
    let mut packet = packet.into_iter();
    let mut frames = Frames::one(packet.next().unwrap_or_default());
    for frame in packet {
        frames.push(frame);
    }
    frames
}
