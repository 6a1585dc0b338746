//! A client's own machine: what it knows of its jobs, and what it still has to tell the broker.
//!
//! Whoever drives it feeds calls and [`PeerEvent`]s, then drains [`ClientCore::poll_command`] into the link (telling
//! back the number each command got) and [`ClientCore::poll_event`] towards the waiting threads, then waits.
//!
//! Invariants: every ticket is answered at most once; a job's end is told once, and nothing about it after; the
//! payload of a volatile job is kept until its end is known, that of a durable one until the broker holds it.

mod call;
mod delivery;
mod session;
mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

pub use delivery::{Delivery, Kind, News, Want};

use crate::core::session::PeerEvent;
use crate::model::{Failure, JobId, Now, Outcome, Submission, Verdict};
use crate::wire::command::{Terms, ToBroker};
use table::{Key, Table};

/// Names one waiting call; chosen by the driver, never used twice.
pub type Ticket = u64;

/// Ids in one FORGET.
const FORGET_IDS_MAX: usize = 1_000;
/// A FORGET waits so long for another command to travel with.
const FORGET_DELAY_MS: u64 = 20;
/// So many of them wait for nobody.
const FORGET_BATCH: usize = 256;
/// How often jobs that wait for a broker are looked at for passed deadlines.
const DEADLINE_LOOK_MS: u64 = 500;
/// What a result is taken to be long before the first one came.
const RESULT_LEN_GUESS: u64 = 4_096;

/// How a client behaves.
#[derive(Clone, Copy, Debug)]
pub struct ClientConfig {
    /// Results that may wait here, for `next` or to be asked about.
    pub window_jobs: u64,
    /// Their bytes.
    pub window_bytes: u64,
    /// A result is acknowledged when it is handed over.
    pub is_ack_auto: bool,
}

/// A job to submit.
#[derive(Debug)]
pub struct Order {
    /// The job.
    pub submission: Arc<Submission>,
    /// What comes back with its news.
    pub tag: u64,
    /// Which news to deliver.
    pub want: Want,
    /// The job is kept until its outcome is known, whatever the broker keeps.
    pub is_volatile: bool,
    /// Bytes it was counted with in the window.
    pub charge: u64,
    /// Whom to tell that it was accepted, and which of that call's jobs it is.
    pub confirm: Option<(Ticket, u32)>,
    /// Whom to tell how it ended.
    pub wait: Option<Ticket>,
}

/// What a client's core has to say to those who called.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientEvent {
    /// The broker holds the `index`-th job of a submission, or refused it.
    Confirmed { ticket: Ticket, index: u32, result: Result<(), Failure> },
    /// A job somebody waits for has ended; a failure when it never will.
    Ended { ticket: Ticket, id: JobId, result: Result<Arc<Verdict>, Failure> },
    /// A question or command was answered.
    Answered { ticket: Ticket, result: Result<News, Failure> },
    /// For `next`.
    Deliver(Delivery),
}

/// What happened so far, for `stats`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientCounters {
    /// Jobs submitted.
    pub submitted: u64,
    /// Jobs the broker took.
    pub accepted: u64,
    /// Jobs it refused.
    pub refused: u64,
    /// Jobs said again after a broker's restart.
    pub resent: u64,
    /// Results received.
    pub results: u64,
    /// Results received twice.
    pub duplicates: u64,
    /// Results nobody asked for in time; the broker still has them.
    pub evicted: u64,
    /// Times the session was new to a broker, the first included.
    pub fresh_sessions: u64,
    /// Times the connection was lost.
    pub drops: u64,
}

/// The machine. See the module's text.
#[derive(Debug)]
pub struct ClientCore {
    config: ClientConfig,
    table: Table,
    commands: VecDeque<ToBroker>,
    events: VecDeque<ClientEvent>,
    counters: ClientCounters,

    is_up: bool,
    terms: Option<Box<Terms>>,
    refusal: Option<Failure>,

    /// Jobs to say, in order.
    queue: VecDeque<(Key, JobId)>,
    /// Refused for now; said again then.
    retries: BTreeMap<(u64, u64), (Key, JobId)>,
    /// SUBMITs said in this session, and how many may be.
    submits: u64,
    submit_credit: u64,
    /// SUBMITs and FORGETs said and not acknowledged, by the link's numbers.
    unacked: VecDeque<(u64, Unacked)>,
    /// What the command polled last was.
    polled: Option<Unacked>,
    orders: u64,

    /// RESULTs received in this session, and how many it allowed.
    results: u64,
    result_credit: u64,
    result_len_mean: u64,
    /// Results delivered and not taken by the application.
    untaken_jobs: u64,
    untaken_bytes: u64,
    /// Ended jobs nobody asked about yet, oldest first.
    kept: VecDeque<(Key, JobId)>,
    kept_jobs: u64,
    kept_bytes: u64,

    forgets: Vec<JobId>,
    forget_due_us: u64,
    has_spoken: bool,

    cancels: BTreeMap<JobId, Cancel>,
    peeks: BTreeMap<JobId, Vec<Ticket>>,
    admins: BTreeMap<Ticket, (String, Vec<(String, String)>)>,
    flushes: Vec<Flush>,
    refused_since_flush: Option<Failure>,
    unconfirmed: u64,

    released_jobs: u64,
    released_bytes: u64,
    deadline_look_us: u64,
}

#[derive(Debug)]
enum Unacked {
    Submit(Key, JobId),
    Forget(Vec<JobId>),
}

#[derive(Debug)]
struct Cancel {
    reason: String,
    /// The job was submitted here.
    own: bool,
    tickets: Vec<Ticket>,
    /// How the job has ended meanwhile: a broker that does not know it must not be asked.
    ended: Option<Outcome>,
}

#[derive(Debug)]
struct Flush {
    ticket: Ticket,
    /// Jobs of a lower order are meant.
    before: u64,
    left: u64,
}

impl ClientCore {
    /// A client that knows no broker and no job.
    pub fn new(config: ClientConfig) -> Self {
        ClientCore {
            config,
            table: Table::default(),
            commands: VecDeque::new(),
            events: VecDeque::new(),
            counters: ClientCounters::default(),
            is_up: false,
            terms: None,
            refusal: None,
            queue: VecDeque::new(),
            retries: BTreeMap::new(),
            submits: 0,
            submit_credit: 0,
            unacked: VecDeque::new(),
            polled: None,
            orders: 0,
            results: 0,
            result_credit: 0,
            result_len_mean: RESULT_LEN_GUESS,
            untaken_jobs: 0,
            untaken_bytes: 0,
            kept: VecDeque::new(),
            kept_jobs: 0,
            kept_bytes: 0,
            forgets: Vec::new(),
            forget_due_us: u64::MAX,
            has_spoken: false,
            cancels: BTreeMap::new(),
            peeks: BTreeMap::new(),
            admins: BTreeMap::new(),
            flushes: Vec::new(),
            refused_since_flush: None,
            unconfirmed: 0,
            released_jobs: 0,
            released_bytes: 0,
            deadline_look_us: u64::MAX,
        }
    }

    /// Takes what the link has to say.
    pub fn handle(&mut self, now: Now, event: PeerEvent) {
        match event {
            PeerEvent::Up { fresh, terms } => self.up(now, fresh, terms),
            PeerEvent::Down => self.down(now),
            PeerEvent::Command(command) => self.command(now, command),
            PeerEvent::Acknowledged(number) => self.acknowledged(number),
            PeerEvent::Refused(failure) => self.refused_by_broker(failure),
            // A client holds no leases; the driver answers BeatDue itself.
            PeerEvent::BeatDue | PeerEvent::LeasesDropped(_) => {}
        }
    }

    /// The next command for the link, until there is none. The caller passes it on at once and tells its number by
    /// [`ClientCore::sent`].
    pub fn poll_command(&mut self, now: Now) -> Option<ToBroker> {
        if !self.is_up {
            return None;
        }
        let command = self
            .commands
            .pop_front()
            .or_else(|| self.next_submit(now))
            .or_else(|| self.next_result_credit())
            .or_else(|| self.next_forget(now));
        self.has_spoken = command.is_some();
        command
    }

    /// The number the link gave to the command polled last.
    pub fn sent(&mut self, number: u64) {
        let Some(what) = self.polled.take() else { return };
        if let Unacked::Submit(key, _) = &what
            && let Some(entry) = self.table.get_mut(*key)
        {
            entry.sent_number = number;
        }
        self.unacked.push_back((number, what));
    }

    /// The next event for those who called, until there is none.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// Jobs and bytes given back to the window since the last call.
    pub fn take_released(&mut self) -> (u64, u64) {
        (std::mem::take(&mut self.released_jobs), std::mem::take(&mut self.released_bytes))
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Now) {
        while let Some((&(due_us, order), &(key, id))) = self.retries.first_key_value() {
            if due_us > now.us {
                break;
            }
            self.retries.remove(&(due_us, order));
            if self.table.get(key).is_some_and(|entry| entry.id == id) {
                self.queue.push_back((key, id));
            }
        }
        if now.us >= self.deadline_look_us {
            self.look_for_deadlines(now);
        }
    }

    /// When `tick` and `poll_command` must be called next.
    pub fn next_timeout(&self) -> Option<u64> {
        let mut next = self.deadline_look_us;
        if let Some(((due_us, _), _)) = self.retries.first_key_value() {
            next = next.min(*due_us);
        }
        if self.is_up && !self.forgets.is_empty() {
            next = next.min(self.forget_due_us);
        }
        (next != u64::MAX).then_some(next)
    }

    /// What happened so far.
    pub fn counters(&self) -> &ClientCounters {
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

    /// What the broker at hand should still hear: jobs it has not confirmed, acknowledgements not yet said.
    pub fn unsaid(&self) -> u64 {
        self.unconfirmed + if self.is_up { self.forgets.len() as u64 } else { 0 }
    }

    /// Jobs known here.
    pub fn jobs(&self) -> usize {
        self.table.len()
    }
}
