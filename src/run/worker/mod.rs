//! A worker: what threads call, and the thread that serves them.
//!
//! Threads receive jobs from a queue and put their answers into a mailbox; the serving thread owns the core and the
//! line, beats, renews leases and re-sends answers while they compute. Locks, each held for moments and never two at
//! once: the mailbox, the jobs, a job's own three, the gate's two.

mod calls;
mod job;
mod serve;
mod waiting;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread::JoinHandle;

pub use crate::run::gate::State;
pub use job::HeldJob;

use crate::core::worker::{Answer, JobKey};
use crate::model::{Body, Failure, Now, Status, limits};
use crate::net::{LevelEvent, spawn_quiet};
use crate::run::call::Call;
use crate::run::clock;
use crate::run::gate::{Gate, closed};
use crate::run::line::{Line, endpoints_of};
use crate::run::mailbox::Mailbox;
use crate::run::settings::{RegisterSettings, WorkerSettings};
use crate::wire::command::PeerKind;
use serve::Server;
use waiting::Waiting;

/// Requests that are in no hurry, before one of them wakes the serving thread.
const QUIET_MAX: usize = 128;

/// A worker. Dropping it closes it: jobs not begun go back, answers may still be on their way for `linger_ms`, and no
/// other thread may be inside a call.
pub struct WorkerHandle {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What a thread asks of the serving thread.
enum Request {
    Register {
        queue: String,
        settings: RegisterSettings,
    },
    Unregister {
        queue: String,
    },
    /// Somebody receives; so many jobs can be executed at once.
    Receiving {
        slots: u32,
    },
    /// A thread took the job from those that wait.
    Started(Now, JobKey),
    /// The job was answered; `progress`: its last word before.
    Answered {
        key: JobKey,
        answer: Answer,
        len: u64,
        run_us: u64,
        progress: Option<(f64, String)>,
    },
    /// The job has something new to say of its progress.
    Progress(JobKey),
    Partial {
        key: JobKey,
        body: Body,
    },
    /// Tells the call when nothing is held and nothing owed any more.
    Drain {
        call: Arc<Call>,
    },
    Abandon {
        call: Arc<Call>,
    },
    Stats {
        call: Arc<Call>,
    },
    /// Somebody watches the descriptor, so jobs are not given back because nobody is inside a call.
    Watched,
    Close,
}

struct Shared {
    gate: Gate,
    mailbox: Mailbox<Request>,
    settings: WorkerSettings,
    waiting: Waiting,
    /// Set by `stop`, which a signal handler may call: no lock, only this and a wake-up.
    is_stopping: AtomicBool,
    payload_max: AtomicU64,
    headers_max: AtomicU64,
    frames_max: AtomicU64,
    /// Bytes of answers and of partial results that the broker has not acknowledged.
    unacked_bytes: AtomicU64,
}

impl WorkerHandle {
    /// Checks the arguments and starts the thread; never waits for the network.
    pub fn open(endpoint: Option<&str>, settings: WorkerSettings) -> Result<Self, Failure> {
        if settings.slots == Some(0) {
            return Err(Failure::new(
                Status::Option,
                "worker.slots is 0; a worker executes at least 1 job at once",
            ));
        }
        let endpoints = endpoints_of(endpoint)?;
        let now = clock::now();
        let line = Line::open(now, PeerKind::Worker, &settings.name, endpoints, &settings.keys, "worker")?;
        let shared = Arc::new(Shared {
            gate: Gate::new(),
            mailbox: Mailbox::new(QUIET_MAX)?,
            waiting: Waiting::new(settings.slots, LevelEvent::new()?),
            settings,
            is_stopping: AtomicBool::new(false),
            payload_max: AtomicU64::new(u64::MAX),
            headers_max: AtomicU64::new(limits::HEADERS_LEN_MAX as u64),
            frames_max: AtomicU64::new(limits::BODY_FRAMES_MAX as u64),
            unacked_bytes: AtomicU64::new(0),
        });
        let server = Server::new(now, shared.clone(), line);
        let thread = spawn_quiet("forebay-worker", move || server.run())?;
        Ok(WorkerHandle { shared, thread: Some(thread) })
    }
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        let thread = self.thread.take();
        if self.shared.gate.is_forked() {
            // The thread is the parent's. What is shared with it may be locked for ever here: forget it.
            std::mem::forget(thread);
            std::mem::forget(self.shared.clone());
            return;
        }
        self.shared.gate.end(closed(), State::Closed);
        self.shared.mailbox.push(Request::Close);
        self.shared.mailbox.wake();
        if let Some(thread) = thread {
            // A fault inside was told to the callers and logged.
            let _ = thread.join();
        }
    }
}
