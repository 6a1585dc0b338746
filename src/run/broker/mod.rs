//! A broker that runs in a thread of its own, and the handle its owner has on it.
//!
//! Shutdown: whoever owns the [`BrokerThread`] sets `wish` and wakes the loop; the loop says goodbye, closes its socket
//! and leaves `phase` at `Ended`, which is what everybody waits for.

mod driver;
mod keeper;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::model::{Failure, Status, limits};
use crate::net::{
    Allowed, Endpoint, KeyList, KeyPair, Router, RouterOptions, ServerCurve, Side, Waker, spawn_quiet,
};
use crate::run::broker::driver::Driver;
use crate::run::broker::keeper::Keeper;
use crate::run::settings::BrokerSettings;

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
    thread: Option<JoinHandle<()>>,
    generation: u32,
}

impl BrokerThread {
    /// Reads the store back, binds every endpoint and starts the loop.
    ///
    /// # Errors
    /// What of the settings cannot be, what the system refused, or what is wrong with the store.
    pub fn start(settings: &BrokerSettings) -> Result<Self, Failure> {
        // What the store says must be on disk before anybody can reach the broker, so it comes first.
        let (keeper, life) = Keeper::open(settings)?;
        let router = Router::bind(&endpoints(settings)?, &router_options(settings)?)?;
        let shared = Arc::new(Shared {
            wish: AtomicU8::new(GO_ON),
            waker: Waker::new()?,
            phase: Mutex::new(Phase::Runs),
            changed: Condvar::new(),
        });
        let bound = router.endpoints().to_vec();
        let driver = Driver::new(settings, keeper, life, router, shared.clone())?;
        let end = shared.clone();
        let thread = spawn_quiet("forebay-broker", move || {
            let ended = catch_unwind(AssertUnwindSafe(|| driver.run()));
            let ended = ended.unwrap_or_else(|_| {
                Err(Failure::new(Status::Panic, "the broker's thread ended by a fault of its own"))
            });
            if let Err(failure) = &ended {
                log::error!(target: "broker", "the broker ends: {failure}");
            }
            end.enter(Phase::Ended(ended));
        })?;
        Ok(BrokerThread {
            shared,
            endpoints: bound,
            thread: Some(thread),
            generation: crate::net::generation(),
        })
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
        let thread = self.thread.take();
        if self.check_process().is_err() {
            // The thread is the parent's; there is nothing to stop.
            std::mem::forget(thread);
            return;
        }
        let _ = self.stop(None);
        if let Some(thread) = thread {
            // It has said that it ended and is on its way out; a library must not be unloaded under it.
            let _ = thread.join();
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
