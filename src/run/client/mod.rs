//! A client: what threads call, and the thread that serves them.
//!
//! Threads put requests into a mailbox and wait on their own call or on the deliveries; the serving thread owns the
//! core and the line. Locks, each held for moments and never two at once: the mailbox, a call, the deliveries, the
//! room, the gate's two.

mod calls;
mod serve;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

pub use crate::run::gate::State;
pub use calls::{Ended, NewJob, Taken};

use crate::core::client::{Delivery, Kind, News, Order, Ticket};
use crate::model::{Failure, JobId, Status, limits};
use crate::net::{LevelEvent, spawn_quiet};
use crate::run::call::Call;
use crate::run::clock;
use crate::run::gate::{Gate, closed, lock};
use crate::run::line::{Line, endpoints_of};
use crate::run::mailbox::Mailbox;
use crate::run::settings::ClientSettings;
use crate::wire::command::PeerKind;
use serve::Server;

/// A client. Dropping it closes it: what was enqueued may still be on its way for `linger_ms`, and no other thread
/// may be inside a call.
pub struct ClientHandle {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What a thread asks of the serving thread.
enum Request {
    Submit(Orders),
    Wait {
        call: Arc<Call>,
        ids: Vec<JobId>,
    },
    Peek {
        call: Arc<Call>,
        id: JobId,
    },
    Cancel {
        call: Arc<Call>,
        id: JobId,
        reason: String,
    },
    Admin {
        call: Arc<Call>,
        command: String,
        arguments: Vec<(String, String)>,
    },
    Flush {
        call: Arc<Call>,
    },
    Stats {
        call: Arc<Call>,
    },
    Ack(JobId),
    /// Somebody who waited for the job has its result.
    Handed(JobId),
    /// A delivered result was taken, of so many bytes.
    Taken(JobId, u64),
    Abandon {
        ticket: Ticket,
        ids: Vec<JobId>,
    },
    Close,
}

/// Jobs to submit, and the call that waits for them.
struct Orders {
    orders: Vec<Order>,
    call: Option<Arc<Call>>,
}

struct Shared {
    gate: Gate,
    mailbox: Mailbox<Request>,
    settings: ClientSettings,
    room: Room,
    next: Next,
    /// Milliseconds the broker's clock is ahead of ours.
    clock_ahead_ms: AtomicI64,
    payload_max: AtomicU64,
    headers_max: AtomicU64,
    frames_max: AtomicU64,
    broker: Mutex<Option<[u8; 16]>>,
}

/// How many jobs and bytes of payload the client holds.
struct Room {
    jobs: AtomicU64,
    bytes: AtomicU64,
    waiting: AtomicUsize,
    lock: Mutex<()>,
    changed: Condvar,
}

/// What `next` hands over.
struct Next {
    state: Mutex<NextState>,
    changed: Condvar,
    level: LevelEvent,
}

#[derive(Default)]
struct NextState {
    queue: VecDeque<Delivery>,
    waiting: usize,
    /// Somebody watches the descriptor.
    has_watcher: bool,
}

impl ClientHandle {
    /// Checks the arguments and starts the thread; never waits for the network.
    pub fn open(endpoint: Option<&str>, settings: ClientSettings) -> Result<Self, Failure> {
        if settings.window_jobs == 0 || settings.window_bytes == 0 {
            return Err(Failure::new(
                Status::Option,
                "client.window_jobs and client.window_bytes must be above 0",
            ));
        }
        let endpoints = endpoints_of(endpoint)?;
        let now = clock::now();
        let line = Line::open(now, PeerKind::Client, &settings.name, endpoints, &settings.keys, "client")?;
        let quiet_max = usize::try_from(settings.window_jobs / 4).unwrap_or(usize::MAX).min(128);
        let shared = Arc::new(Shared {
            gate: Gate::new(),
            mailbox: Mailbox::new(quiet_max)?,
            settings,
            room: Room {
                jobs: AtomicU64::new(0),
                bytes: AtomicU64::new(0),
                waiting: AtomicUsize::new(0),
                lock: Mutex::new(()),
                changed: Condvar::new(),
            },
            next: Next {
                state: Mutex::new(NextState::default()),
                changed: Condvar::new(),
                level: LevelEvent::new()?,
            },
            clock_ahead_ms: AtomicI64::new(0),
            payload_max: AtomicU64::new(u64::MAX),
            headers_max: AtomicU64::new(limits::HEADERS_LEN_MAX as u64),
            frames_max: AtomicU64::new(limits::BODY_FRAMES_MAX as u64),
            broker: Mutex::new(None),
        });
        let server = Server::new(shared.clone(), line);
        let thread = spawn_quiet("forebay-client", move || server.run())?;
        Ok(ClientHandle { shared, thread: Some(thread) })
    }

    /// The same client for what belongs to it: its calls work as long as the client is open, and dropping it closes nothing.
    pub fn share(&self) -> Self {
        ClientHandle { shared: self.shared.clone(), thread: None }
    }
}

impl Drop for ClientHandle {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        if self.shared.gate.is_forked() {
            // The thread is the parent's. What is shared with it may be locked for ever here: forget it.
            std::mem::forget(thread);
            std::mem::forget(self.shared.clone());
            return;
        }
        self.shared.gate.end(closed(), State::Closed);
        self.shared.mailbox.push(Request::Close);
        self.shared.mailbox.wake();
        // A fault inside was told to the callers and logged.
        let _ = thread.join();
    }
}

impl Room {
    /// Takes room for one job; false: there is none. A job larger than the whole window fits when it is alone.
    fn take(&self, settings: &ClientSettings, len: u64) -> bool {
        let jobs = self.jobs.fetch_add(1, Ordering::AcqRel);
        let bytes = self.bytes.fetch_add(len, Ordering::AcqRel);
        let fits = jobs < settings.window_jobs && bytes.saturating_add(len) <= settings.window_bytes;
        if fits || jobs == 0 {
            return true;
        }
        self.jobs.fetch_sub(1, Ordering::AcqRel);
        self.bytes.fetch_sub(len, Ordering::AcqRel);
        false
    }

    fn give_back(&self, jobs: u64, bytes: u64) {
        if jobs == 0 {
            return;
        }
        self.jobs.fetch_sub(jobs, Ordering::AcqRel);
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.wake();
        }
    }

    fn wake(&self) {
        drop(lock(&self.lock));
        self.changed.notify_all();
    }
}

impl Next {
    /// Wakes everybody, because of an interruption or an end.
    fn wake(&self, is_over: bool) {
        let state = lock(&self.state);
        if is_over && state.has_watcher {
            self.level.set();
        }
        drop(state);
        self.changed.notify_all();
    }

    fn put(&self, deliveries: &mut Vec<Delivery>) {
        if deliveries.is_empty() {
            return;
        }
        let mut state = lock(&self.state);
        let count = deliveries.len();
        let is_long = state.queue.len() > UNTAKEN_PROGRESS_MAX;
        state.queue.extend(deliveries.drain(..).filter(|one| !is_long || one.news.kind() != Kind::Progress));
        if state.has_watcher {
            self.level.set();
        }
        let waiting = state.waiting;
        drop(state);
        if waiting > 1 && count > 1 {
            self.changed.notify_all();
        } else if waiting > 0 {
            self.changed.notify_one();
        }
    }
}

fn result_len(news: &News) -> Option<u64> {
    match news {
        News::Ended(verdict) => Some(verdict.body.len() as u64),
        _ => None,
    }
}

/// The longest a call waits beyond the deadline it gave its job, for the broker to say that it has passed.
const DEADLINE_GRACE: Duration = Duration::from_millis(250);

/// Progress beyond so many deliveries nobody took is dropped: the next one says more.
const UNTAKEN_PROGRESS_MAX: usize = 1_000;
