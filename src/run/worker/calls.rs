//! What threads call on a worker.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::core::client::News;
use crate::model::{Body, Failure, QueueName, Status};
use crate::run::call::{Call, Woken};
use crate::run::clock;
use crate::run::gate::{Interrupted, Wait, lock, nothing, until, wait_on};
use crate::run::settings::RegisterSettings;
use crate::run::worker::{HeldJob, Request, Shared, State, WorkerHandle};

type Timeout = Option<Duration>;

/// What the serving thread, which never waits for anything, needs at most to answer.
const SERVER_ANSWER: Duration = Duration::from_millis(500);

impl WorkerHandle {
    /// Waits until a broker answers.
    pub fn ready(&self, timeout: Timeout) -> Result<(), Failure> {
        self.shared.gate.ready(until(timeout))
    }

    /// How it stands with its broker.
    pub fn state(&self) -> State {
        let state = self.shared.gate.state();
        if state <= State::Ready && self.shared.is_stopping.load(Ordering::SeqCst) {
            State::Draining
        } else {
            state
        }
    }

    /// Takes jobs of a queue from now on, also after a broker's restart.
    pub fn register(&self, queue: &str, settings: RegisterSettings) -> Result<(), Failure> {
        let queue = QueueName::new(queue)?.as_str().to_owned();
        self.shared.gate.check()?;
        if settings.weight == 0 {
            return Err(Failure::new(Status::Option, "register.weight is 0; a queue's share is at least 1"));
        }
        self.shared.mailbox.push(Request::Register { queue, settings });
        Ok(())
    }

    /// Takes no more jobs of a queue.
    pub fn unregister(&self, queue: &str) -> Result<(), Failure> {
        let queue = QueueName::new(queue)?.as_str().to_owned();
        self.shared.gate.check()?;
        self.shared.mailbox.push(Request::Unregister { queue });
        Ok(())
    }

    /// Hands over jobs, at least one, at most `cap`.
    pub fn receive(
        &self,
        timeout: Timeout,
        cap: usize,
        out: &mut Vec<Arc<HeldJob>>,
    ) -> Result<usize, Failure> {
        let shared = &self.shared;
        shared.gate.check()?;
        let until = until(timeout);
        let cap = cap.clamp(1, 100_000);
        let thread = std::thread::current().id();
        let waiting = &shared.waiting;
        let mut wait: Option<Wait<'_>> = None;
        let mut state = lock(&waiting.state);
        if let Some(slots) = waiting.enter(&mut state, thread, cap as u32) {
            drop(state);
            shared.mailbox.push(Request::Receiving { slots });
            state = lock(&waiting.state);
        }
        let status = loop {
            let is_stopping = shared.is_stopping.load(Ordering::SeqCst) || state.is_drained;
            // What has begun is handed over even when the worker is stopping.
            if state.claimed > 0 || (!is_stopping && !state.jobs.is_empty()) {
                break None;
            }
            if let Err(failure) = shared.gate.check() {
                waiting.leave(&mut state, thread, 0);
                return Err(failure);
            }
            if is_stopping {
                break Some(Status::Drained);
            }
            match &wait {
                None if timeout == Some(Duration::ZERO) => break Some(Status::TimedOut),
                None => {
                    // Another lock, so not under this one.
                    drop(state);
                    let begun = shared.gate.wait();
                    state = lock(&waiting.state);
                    match begun {
                        Ok(begun) => wait = Some(begun),
                        Err(Interrupted) => break Some(Status::Interrupted),
                    }
                    continue;
                }
                Some(wait) if wait.is_interrupted() => break Some(Status::Interrupted),
                Some(_) => {}
            }
            state.wanted += cap;
            state.sleepers += 1;
            let (woken, is_late) = match wait_on(&waiting.changed, state, until) {
                Ok(state) => (state, false),
                Err(state) => (state, true),
            };
            state = woken;
            state.wanted -= cap;
            state.sleepers -= 1;
            if is_late && state.jobs.is_empty() {
                break Some(Status::TimedOut);
            }
        };
        if let Some(status) = status {
            waiting.leave(&mut state, thread, 0);
            if state.has_watcher && !state.is_drained && state.jobs.is_empty() {
                waiting.level.clear();
            }
            return Err(nothing(status));
        }
        let is_stopping = shared.is_stopping.load(Ordering::SeqCst) || state.is_drained;
        let available = if is_stopping { state.claimed } else { state.jobs.len() };
        let count = available.min(cap);
        let begun = count.min(state.claimed);
        state.claimed -= begun;
        let first = out.len();
        out.extend(state.jobs.drain(..count));
        waiting.leave(&mut state, thread, count as u32);
        if state.jobs.is_empty() && state.has_watcher && !state.is_drained {
            waiting.level.clear();
        }
        drop(state);
        let now = clock::now();
        for (i, job) in out[first..].iter().enumerate() {
            job.received();
            if i >= begun {
                shared.mailbox.push_for_look(Request::Started(now, job.key()));
            }
        }
        Ok(count)
    }

    /// No new jobs: every receive answers DRAINED from now on. Async-signal-safe.
    pub fn stop(&self) {
        self.shared.is_stopping.store(true, Ordering::SeqCst);
        self.shared.mailbox.wake();
    }

    /// Stops, and waits until every job is answered and every answer acknowledged.
    pub fn drain(&self, timeout: Timeout) -> Result<(), Failure> {
        let shared = &self.shared;
        shared.gate.check()?;
        self.stop();
        let unfinished = |why: &str| {
            Failure::new(
                Status::Unconfirmed,
                format!("{why} while jobs were held or answers not acknowledged"),
            )
        };
        let wait = shared.gate.wait().map_err(|Interrupted| unfinished("interrupted"))?;
        let call = Call::new(wait.turn());
        shared.mailbox.push(Request::Drain { call: call.clone() });
        let (mut progress, woken) =
            call.wait(Some(&wait), until(timeout), |progress| progress.answer.is_some());
        if let Some(answer) = progress.answer.take() {
            return answer.map(drop);
        }
        drop(progress);
        shared.mailbox.push_quietly(Request::Abandon { call });
        Err(match woken {
            Woken::Interrupted => unfinished("interrupted"),
            Woken::Over => shared.gate.ended().cloned().unwrap_or_else(crate::run::gate::closed),
            Woken::Done | Woken::TimedOut => unfinished("the time was over"),
        })
    }

    /// What happened so far, as JSON text.
    pub fn stats(&self) -> String {
        let shared = &self.shared;
        if shared.gate.check().is_err() {
            return "{}".to_owned();
        }
        let call = Call::new(shared.gate.turn());
        shared.mailbox.push(Request::Stats { call: call.clone() });
        let (mut progress, _) =
            call.wait(None, until(Some(SERVER_ANSWER)), |progress| progress.answer.is_some());
        match progress.answer.take() {
            Some(Ok(News::Text(body))) => {
                String::from_utf8_lossy(body.0.first().map_or(&[], |text| text.as_ref())).into_owned()
            }
            _ => "{}".to_owned(),
        }
    }

    /// A descriptor that is readable exactly while `receive` would not wait; -1 in a forked child.
    pub fn fd(&self) -> i64 {
        if self.shared.gate.is_forked() {
            return -1;
        }
        let waiting = &self.shared.waiting;
        let mut state = lock(&waiting.state);
        if !state.has_watcher {
            let slots = waiting.watch(&mut state);
            drop(state);
            self.shared.mailbox.push(Request::Watched);
            if let Some(slots) = slots {
                self.shared.mailbox.push(Request::Receiving { slots });
            }
        }
        waiting.level.fd().into()
    }

    /// Ends all waits, or the next one. Async-signal-safe.
    pub fn interrupt(&self) {
        self.shared.gate.interrupt();
        self.shared.mailbox.wake();
    }
}

impl Shared {
    /// Whether the broker would take this as a result.
    pub(super) fn check_body(&self, body: &Body) -> Result<(), Failure> {
        let sizes = [
            ("the result's length in bytes", body.len() as u64, self.payload_max.load(Ordering::Relaxed)),
            ("the number of frames", body.0.len() as u64, self.frames_max.load(Ordering::Relaxed)),
        ];
        match sizes.into_iter().find(|(_, size, max)| size > max) {
            Some((what, size, max)) => {
                Err(Failure::new(Status::TooLarge, format!("{what} is {size}; the limit is {max}")))
            }
            None => Ok(()),
        }
    }

    /// Counts an answer that will wait for its acknowledgement. One alone always fits.
    pub(super) fn take_unacked(&self, len: u64) -> Result<(), Failure> {
        let before = self.unacked_bytes.fetch_add(len, Ordering::AcqRel);
        let max = self.settings.unacked_bytes;
        if before == 0 || before.saturating_add(len) <= max {
            return Ok(());
        }
        self.unacked_bytes.fetch_sub(len, Ordering::AcqRel);
        let message = format!(
            "{before} bytes of answers wait for the broker to acknowledge them; worker.unacked_bytes lets {max} wait"
        );
        Err(Failure::busy(message, 100))
    }
}
