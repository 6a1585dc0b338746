//! A worker's own machine: which jobs it holds, what it may still be handed, and what it owes the broker.
//!
//! Whoever drives it feeds calls and [`PeerEvent`]s, then drains [`WorkerCore::poll_command`] into the link (telling
//! back the number each command got) and [`WorkerCore::poll_event`] towards the receiving threads, then waits.
//!
//! Invariants: a job's slot is taken from its grant until it was answered or given back, whatever became of its
//! lease; an answer is kept until the broker has acknowledged it or disowned the job; nothing is said under a lease
//! that is over.

mod call;
mod held;
mod pace;
mod session;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

pub use held::JobKey;

use crate::core::session::PeerEvent;
use crate::model::{Completion, Failure, JobId, Lease, Now, Stop};
use crate::wire::command::{Fault, Grant, Terms, ToBroker};
use held::Table;
use pace::Pace;
use session::Mark;

/// A job nobody received for so long is given back, and no more is asked for until somebody receives.
const UNRECEIVED_MS: u64 = 1_000;

/// Go on, but know: a set of bits, part of the C ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Hints(pub u32);

impl Hints {
    /// The worker or the broker is about to stop; nothing comes after this job.
    pub const DRAINING: Hints = Hints(1);
    /// The job's soft limit has passed.
    pub const SOFT_LIMIT: Hints = Hints(2);
}

/// How a worker behaves.
#[derive(Clone, Copy, Debug)]
pub struct WorkerConfig {
    /// Jobs it is handed beyond its slots; `None`: as many as pay, see [`Pace`].
    pub prefetch: Option<u32>,
    /// Bytes of answers not acknowledged, beyond which it asks for nothing more.
    pub unacked_bytes: u64,
    /// It gives up after so long without a broker; 0: never.
    pub broker_gone_ms: u64,
}

/// What a job came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A result.
    Done(Arc<Completion>),
    /// It failed.
    Failed(Arc<Fault>),
    /// Given back, may run later.
    Released { delay_ms: u64 },
}

/// What a worker's core has to say to those who called.
#[derive(Clone, Debug, PartialEq)]
pub enum WorkerEvent {
    /// A job for whoever receives next.
    Granted { key: JobKey, grant: Box<Grant> },
    /// Take it out of those that wait to be received, if it is still there, and then call
    /// [`WorkerCore::withdrawn`]; if it is not, do nothing.
    Withdraw(JobKey),
    /// Whoever has it should stop.
    Stop { key: JobKey, why: Stop },
    /// Whoever has it should know.
    Hint { key: JobKey, hint: Hints },
    /// The core knows the job no more; `answer_len` bytes of its answer are free again.
    Freed { key: JobKey, answer_len: u64 },
    /// Bytes of partial results the broker has taken.
    PartialTaken { key: JobKey, len: u64 },
    /// The broker does not let this worker take a queue's jobs.
    RegisterRefused { queue: String, failure: Failure },
    /// The broker wants this worker to stop.
    Draining,
    /// No broker answered for the time allowed.
    BrokerGone,
    /// The broker does not want this worker; final.
    Refused(Failure),
}

/// What happened so far, for `stats`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerCounters {
    /// Jobs handed to this worker.
    pub granted: u64,
    /// Jobs received by a thread.
    pub started: u64,
    /// Jobs answered with a result.
    pub done: u64,
    /// Jobs answered with a failure.
    pub failed: u64,
    /// Jobs given back after they began.
    pub released: u64,
    /// Jobs given back before.
    pub unstarted: u64,
    /// Jobs taken away.
    pub revoked: u64,
    /// Answers that came too late.
    pub stale: u64,
    /// Jobs kept over a broker's restart.
    pub adopted: u64,
    /// Jobs the restarted broker did not leave to this worker.
    pub dropped: u64,
    /// Times the session was new to a broker, the first included.
    pub fresh_sessions: u64,
    /// Times the connection was lost.
    pub drops: u64,
}

/// The machine. See the module's text.
#[derive(Debug)]
pub struct WorkerCore {
    config: WorkerConfig,
    table: Table,
    commands: VecDeque<(ToBroker, Option<Unacked>)>,
    /// Jobs whose START waits, and until when.
    starts: VecDeque<(u64, JobKey)>,
    events: VecDeque<WorkerEvent>,
    counters: WorkerCounters,

    is_up: bool,
    terms: Option<Box<Terms>>,
    refusal: Option<Failure>,
    down_since_us: Option<u64>,
    is_gone_told: bool,

    /// Queue name to its slots and weight.
    queues: BTreeMap<String, (u32, u32)>,
    /// Jobs it can execute at once; 0 before the first receive.
    slots: u32,
    /// Jobs went unreceived: nothing more is asked for until somebody receives.
    is_unattended: bool,
    /// How long a job may wait to be received.
    unreceived_us: u64,
    is_draining: bool,
    /// The broker is about to stop: it is asked for nothing more, the next one is.
    is_paused: bool,
    /// GRANTs received in this session, and how many were asked for.
    grants: u64,
    demand: u64,

    /// Jobs told to a broker that did not know the session, by id.
    presented: BTreeMap<JobId, Mark>,
    unacked: VecDeque<(u64, Unacked)>,
    polled: Option<Unacked>,
    answer_bytes: u64,
    next_look_us: u64,
    pace: Pace,
}

#[derive(Clone, Copy, Debug)]
enum Unacked {
    Answer(JobKey),
    Partial(JobKey, u64),
}

impl WorkerCore {
    /// A worker that knows no broker and has no queue.
    pub fn new(now: Now, config: WorkerConfig) -> Self {
        WorkerCore {
            config,
            table: Table::default(),
            commands: VecDeque::new(),
            starts: VecDeque::new(),
            events: VecDeque::new(),
            counters: WorkerCounters::default(),
            is_up: false,
            terms: None,
            refusal: None,
            down_since_us: Some(now.us),
            is_gone_told: false,
            queues: BTreeMap::new(),
            slots: 0,
            is_unattended: false,
            unreceived_us: UNRECEIVED_MS * 1_000,
            is_draining: false,
            is_paused: false,
            grants: 0,
            demand: 0,
            presented: BTreeMap::new(),
            unacked: VecDeque::new(),
            polled: None,
            answer_bytes: 0,
            next_look_us: u64::MAX,
            pace: Pace::default(),
        }
    }

    /// Takes what the link has to say.
    pub fn handle(&mut self, now: Now, event: PeerEvent) {
        match event {
            PeerEvent::Up { fresh, terms } => self.up(fresh, terms),
            PeerEvent::Down => self.down(now),
            PeerEvent::Command(command) => self.command(now, command),
            PeerEvent::Acknowledged(number) => self.acknowledged(number),
            PeerEvent::LeasesDropped(leases) => {
                leases.into_iter().for_each(|lease| self.revoked(lease, Stop::LEASE_LOST));
            }
            PeerEvent::Refused(failure) => {
                self.is_up = false;
                self.refusal = Some(failure.clone());
                self.events.push_back(WorkerEvent::Refused(failure));
            }
            // The driver answers it with `leases`.
            PeerEvent::BeatDue => {}
        }
    }

    /// The next command for the link, until there is none. The caller passes it on at once and tells its number by
    /// [`WorkerCore::sent`].
    pub fn poll_command(&mut self) -> Option<ToBroker> {
        if !self.is_up {
            return None;
        }
        if let Some((command, what)) = self.commands.pop_front() {
            self.polled = what;
            return Some(command);
        }
        self.polled = None;
        self.next_demand()
    }

    /// The number the link gave to the command polled last.
    pub fn sent(&mut self, number: u64) {
        if let Some(what) = self.polled.take() {
            self.unacked.push_back((number, what));
        }
    }

    /// The next event for those who called, until there is none.
    pub fn poll_event(&mut self) -> Option<WorkerEvent> {
        self.events.pop_front()
    }

    /// The leases to name in a beat.
    pub fn leases(&self) -> Vec<Lease> {
        self.table.iter().filter_map(|held| held.lease).collect()
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Now) {
        while self.starts.front().is_some_and(|(due_us, _)| *due_us <= now.us) {
            let Some((_, key)) = self.starts.pop_front() else { break };
            self.say_start(key);
        }
        if now.us >= self.next_look_us {
            self.look_at_limits(now);
        }
        if self.gone_us().is_some_and(|due_us| now.us >= due_us) {
            self.is_gone_told = true;
            self.events.push_back(WorkerEvent::BrokerGone);
        }
    }

    /// When `tick` must be called next.
    pub fn next_timeout(&self) -> Option<u64> {
        let start_us = self.starts.front().map_or(u64::MAX, |(due_us, _)| *due_us);
        let next = self.next_look_us.min(start_us).min(self.gone_us().unwrap_or(u64::MAX));
        (next != u64::MAX).then_some(next)
    }

    fn gone_us(&self) -> Option<u64> {
        let since_us = self.down_since_us.filter(|_| self.config.broker_gone_ms > 0 && !self.is_gone_told)?;
        Some(since_us.saturating_add(self.config.broker_gone_ms.saturating_mul(1_000)))
    }

    /// What happened so far.
    pub fn counters(&self) -> &WorkerCounters {
        &self.counters
    }

    /// What the broker said of itself, once one did.
    pub fn terms(&self) -> Option<&Terms> {
        self.terms.as_deref()
    }

    /// Whether a broker answers at the moment.
    pub fn is_up(&self) -> bool {
        self.is_up
    }

    /// Whether it holds nothing and owes nothing.
    pub fn is_idle(&self) -> bool {
        self.table.is_empty() && (self.commands.is_empty() || !self.is_up)
    }

    /// Whether the broker has still to acknowledge an answer.
    pub fn owes_answers(&self) -> bool {
        self.table.iter().any(|held| !held.is_occupying())
    }

    /// Whether it asks for nothing because jobs went unreceived.
    pub fn is_unattended(&self) -> bool {
        self.is_unattended
    }

    /// The application watches for jobs without being inside a call: it takes one at a time at least, and none is given
    /// back for waiting too long.
    pub fn watched(&mut self) {
        self.slots = self.slots.max(1);
        self.unreceived_us = u64::MAX;
        self.is_unattended = false;
    }

    /// Jobs received and not answered.
    pub fn running(&self) -> usize {
        self.table.iter().filter(|held| held.is_running()).count()
    }
}
