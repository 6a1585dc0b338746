//! The broker's driver: one thread, one loop. It takes what the socket has, feeds link and core, appends what must be
//! kept, sends what became ready, and sleeps until there is more.
//!
//! Shutdown: whoever owns the [`BrokerThread`] sets `wish` and wakes the loop; the loop says goodbye, closes its socket
//! and leaves `phase` at `Ended`, which is what everybody waits for.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::core::broker::{Broker, BrokerConfig};
use crate::core::job_table::{Happened, JobTable, TableConfig};
use crate::core::jobs::{Io, IoDone};
use crate::link::{ConnId, Hub, HubLimits};
use crate::model::{Failure, Now, Outcome, Status, limits};
use crate::net::{
    Allowed, Endpoint, Frames, FromPeer, KeyList, KeyPair, PeerId, Poller, Router, RouterOptions, Sent,
    ServerCurve, Side, Waker, spawn_quiet,
};
use crate::run::clock;
use crate::run::settings::BrokerSettings;
use crate::store::Store;
use crate::store::memory::MemoryStore;
use crate::wire::command::Terms;

/// Packets taken from the socket before anything else gets its turn.
const PACKETS_PER_TURN: usize = 1_000;

/// What the owner wants of the loop; only ever rises.
const GO_ON: u8 = 0;
const DRAIN: u8 = 1;
const STOP: u8 = 2;

/// How the loop stands.
#[derive(Clone, Debug, PartialEq)]
enum Phase {
    Runs,
    /// Drained: nothing is handed out any more and no worker holds a job.
    Drained,
    /// It has closed its socket: as asked, or by itself and why.
    Ended(Result<(), Failure>),
}

#[derive(Debug)]
struct Shared {
    wish: AtomicU8,
    waker: Waker,
    phase: Mutex<Phase>,
    changed: Condvar,
}

impl Shared {
    fn enter(&self, phase: Phase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
        self.changed.notify_all();
    }

    /// Waits until `arrived` gives something; `None` when the time is over.
    fn wait<T>(&self, timeout: Option<Duration>, arrived: impl Fn(&Phase) -> Option<T>) -> Option<T> {
        let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(found) = arrived(&phase) {
                return Some(found);
            }
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return None;
            }
            phase = match left {
                Some(left) => {
                    self.changed.wait_timeout(phase, left).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(phase).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

/// A broker that runs in a thread of its own. Dropping it stops it.
#[derive(Debug)]
pub struct BrokerThread {
    shared: Arc<Shared>,
    endpoints: Vec<String>,
    generation: u32,
}

impl BrokerThread {
    /// Binds every endpoint and starts the loop.
    ///
    /// # Errors
    /// What of the settings cannot be, or what the system refused.
    pub fn start(settings: &BrokerSettings) -> Result<Self, Failure> {
        if let Some(store) = &settings.store {
            let message = format!(
                "broker.store is \"{}\"; this version keeps jobs in memory only, so leave it out",
                store.display()
            );
            return Err(Failure::new(Status::Unsupported, message));
        }
        let router = Router::bind(&endpoints(settings)?, &router_options(settings)?)?;
        let shared = Arc::new(Shared {
            wish: AtomicU8::new(GO_ON),
            waker: Waker::new()?,
            phase: Mutex::new(Phase::Runs),
            changed: Condvar::new(),
        });
        let bound = router.endpoints().to_vec();
        let driver = Driver::new(settings, router, shared.clone())?;
        let end = shared.clone();
        spawn_quiet("forebay-broker", move || {
            let ended = catch_unwind(AssertUnwindSafe(|| driver.run()));
            let ended = ended.unwrap_or_else(|_| {
                Err(Failure::new(Status::Panic, "the broker's thread ended by a fault of its own"))
            });
            if let Err(failure) = &ended {
                log::error!(target: "broker", "the broker ends: {failure}");
            }
            end.enter(Phase::Ended(ended));
        })?;
        Ok(BrokerThread { shared, endpoints: bound, generation: crate::net::generation() })
    }

    /// Where it really listens.
    pub fn endpoints(&self) -> &[String] {
        &self.endpoints
    }

    /// Waits for the end: `Ok` when it was asked to stop.
    ///
    /// # Errors
    /// `TIMED_OUT` while it runs; else why it ended.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<(), Failure> {
        self.check_process()?;
        let ended = |phase: &Phase| match phase {
            Phase::Ended(how) => Some(how.clone()),
            _ => None,
        };
        self.shared.wait(timeout, ended).unwrap_or_else(|| Err(timed_out()))
    }

    /// Hands out nothing more, and waits until no worker holds a job.
    ///
    /// # Errors
    /// `TIMED_OUT` while some still do; why it ended when it has.
    pub fn drain(&self, timeout: Option<Duration>) -> Result<(), Failure> {
        self.check_process()?;
        self.wish(DRAIN);
        let drained = |phase: &Phase| match phase {
            Phase::Runs => None,
            Phase::Drained => Some(Ok(())),
            Phase::Ended(how) => Some(how.clone()),
        };
        self.shared.wait(timeout, drained).unwrap_or_else(|| Err(timed_out()))
    }

    /// Says goodbye to everybody and closes.
    ///
    /// # Errors
    /// `TIMED_OUT` when it takes longer; why it had ended before.
    pub fn stop(&self, timeout: Option<Duration>) -> Result<(), Failure> {
        self.check_process()?;
        self.wish(STOP);
        self.wait(timeout)
    }

    fn wish(&self, wish: u8) {
        self.shared.wish.fetch_max(wish, Ordering::SeqCst);
        self.shared.waker.wake();
    }

    fn check_process(&self) -> Result<(), Failure> {
        if self.generation == crate::net::generation() {
            return Ok(());
        }
        Err(Failure::new(Status::Forked, Status::Forked.text()))
    }
}

impl Drop for BrokerThread {
    fn drop(&mut self) {
        // In a forked child the loop's thread does not exist; there is nothing to stop.
        if self.check_process().is_ok() {
            let _ = self.stop(None);
        }
    }
}

fn timed_out() -> Failure {
    Failure::new(Status::TimedOut, "")
}

/// The addresses to bind, and whether they may be bound like this.
fn endpoints(settings: &BrokerSettings) -> Result<Vec<Endpoint>, Failure> {
    if settings.listen.is_empty() {
        return Ok(vec![Endpoint::default_ipc()?]);
    }
    let mut endpoints = Vec::new();
    for text in &settings.listen {
        endpoints.extend(Endpoint::parse_list(text, Side::Bind)?);
    }
    let open = endpoints.iter().find(|endpoint| endpoint.is_tcp() && settings.key_file.is_none());
    if let Some(endpoint) = open {
        if !settings.insecure {
            let message = format!(
                "{endpoint} would take jobs from whoever reaches it; give the broker keys (broker.key_file, made by `forebay keygen`), or say insecure (broker.insecure, --insecure)"
            );
            return Err(Failure::new(Status::Denied, message));
        }
        let who = if endpoint.is_local() { "every user of this host" } else { "everybody who reaches it" };
        log::warn!(target: "broker", "{endpoint} is not encrypted: {who} may submit and execute jobs");
    }
    Ok(endpoints)
}

fn router_options(settings: &BrokerSettings) -> Result<RouterOptions, Failure> {
    let curve = match &settings.key_file {
        None => None,
        Some(path) => {
            let allowed = match &settings.clients_file {
                Some(list) => Allowed::Listed(Arc::new(KeyList::open(list)?)),
                None => Allowed::Anyone,
            };
            Some(ServerCurve { keys: KeyPair::load(path)?, allowed })
        }
    };
    let lease_ms = settings.lease_ms.max(limits::LEASE_MS);
    Ok(RouterOptions {
        curve,
        heartbeat_timeout_ms: lease_ms,
        heartbeat_ms: lease_ms / 3,
        ..RouterOptions::default()
    })
}

/// The loop and everything it owns.
struct Driver {
    router: Router,
    hub: Hub,
    broker: Broker<JobTable>,
    store: Box<dyn Store + Send>,
    identities: HashMap<PeerId, Arc<str>>,
    nobody: Arc<str>,
    /// What has happened to jobs up to this number stands in the log.
    logged: u64,
    shared: Arc<Shared>,
}

impl Driver {
    fn new(settings: &BrokerSettings, router: Router, shared: Arc<Shared>) -> Result<Self, Failure> {
        let mut random = [0; 24];
        getrandom::fill(&mut random).map_err(|error| {
            Failure::new(Status::Io, format!("the system gives no random bytes: {error}"))
        })?;
        let mut broker = [0; 16];
        broker.copy_from_slice(&random[..16]);
        let seed = u64::from_be_bytes([
            random[16], random[17], random[18], random[19], random[20], random[21], random[22], random[23],
        ]);
        let table = TableConfig {
            rules: settings.rules.clone(),
            lease_ms: settings.lease_ms,
            reattach_ms: settings.reattach_ms,
            memory_max: settings.memory_max,
            payload_max: settings.payload_max,
            queue_jobs_max: settings.queue_max_jobs,
            queue_bytes_max: settings.queue_max_bytes,
            retention_ms: settings.retention_ms.unwrap_or(limits::RETENTION_MS),
            broker,
            epoch: 1,
            durable: false,
            seed,
        };
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let config = BrokerConfig { reattach_ms: settings.reattach_ms, version, ..BrokerConfig::default() };
        Ok(Driver {
            router,
            hub: Hub::new(terms(settings, broker), HubLimits::default()),
            broker: Broker::new(config, JobTable::new(table)),
            store: Box::new(MemoryStore::default()),
            identities: HashMap::new(),
            nobody: "".into(),
            logged: 0,
            shared,
        })
    }

    fn run(mut self) -> Result<(), Failure> {
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
            let due_us = self.hub.next_timeout().into_iter().chain(self.broker.next_timeout()).min();
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
        }
        Ok(true)
    }

    /// From the link to the core.
    fn feed(&mut self, now: Now) {
        while let Some(input) = self.hub.poll_input() {
            self.broker.handle(now, input);
        }
    }

    /// Lets everything happen that can happen now, up to what must be kept first.
    fn turn(&mut self, now: Now) -> Result<(), Failure> {
        loop {
            self.feed(now);
            while let Some(output) = self.broker.poll() {
                self.hub.handle(now, output);
            }
            let Some(Io::Append { upto, records }) = self.broker.poll_io() else { return Ok(()) };
            self.store.append(&records).map_err(|error| Failure::new(Status::Store, error.to_string()))?;
            self.broker.io_done(now, IoDone::Synced { upto });
        }
    }

    /// Sends every packet that is ready. A peer that takes no more is broken: its windows lie below the high-water mark.
    fn send(&mut self, now: Now) -> Result<(), Failure> {
        while let Some((conn, packet)) = self.hub.poll_packet(now) {
            match self.router.send(PeerId::from_u64(conn.0), &frames_of(packet))? {
                Sent::Queued => {}
                Sent::Full | Sent::Gone => {
                    self.hub.gone(now, conn);
                    self.turn(now)?;
                }
            }
        }
        Ok(())
    }

    /// One line for each thing that happened to a job: each step at debug, an end that is no result at info, and what
    /// waits for a person as a warning.
    fn log(&mut self) {
        for happened in self.broker.jobs().happened_after(self.logged) {
            let (job, queue, attempt, why) =
                (happened.id, happened.queue.as_str(), happened.attempt, happened.why);
            let (level, outcome) = match happened.what {
                Happened::Ended(outcome @ Outcome::Quarantined) => (log::Level::Warn, outcome.name()),
                Happened::Ended(outcome @ Outcome::Done) => (log::Level::Debug, outcome.name()),
                Happened::Ended(outcome) => (log::Level::Info, outcome.name()),
                Happened::Requeued => (log::Level::Info, ""),
                Happened::Accepted | Happened::Started => (log::Level::Debug, ""),
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
fn terms(settings: &BrokerSettings, broker: [u8; 16]) -> Terms {
    Terms {
        broker,
        epoch: 1,
        wall_ms: clock::wall_ms(),
        payload_max: settings.payload_max,
        frames_max: limits::BODY_FRAMES_MAX as u64,
        headers_max: limits::HEADERS_LEN_MAX as u64,
        window_bytes: limits::WINDOW_LEN as u64,
        beat_ms: settings.beat_ms,
        lease_ms: settings.lease_ms,
        reattach_ms: settings.reattach_ms,
        submit_jobs: limits::SUBMIT_CREDIT_JOBS,
        durable: false,
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
