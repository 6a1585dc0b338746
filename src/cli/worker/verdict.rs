//! What a host tells the broker over a connection of its own: that a process crashed, at once, so that its job does not wait for the
//! connection to come back, and with the evidence; what it saw of an attempt; and what its slots do.
//!
//! Invariant: telling happens on a thread of its own, so that a broker that is away keeps nobody from being started again. Of
//! reports only the last waits to be told.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use forebay::api::{Client, ClientSettings, Failure, JobId};

use crate::cli::exit::{Exit, Failed};
use crate::cli::worker::backtrace::{culprit, lines};
use crate::cli::worker::ending::{how, last_line};
use crate::cli::worker::limits::{REPORT_PATIENCE, TELL_PATIENCE};
use crate::cli::worker::process::Process;
use crate::cli::worker::report::Report;

/// How a process ended.
pub(super) struct Verdict {
    pid: u32,
    code: String,
    /// One sentence.
    pub(super) message: String,
    /// The evidence: what it used, where it stood, and the end of what it said.
    detail: String,
    /// The jobs it had at hand.
    at_hand: Vec<JobId>,
}

/// What was seen of an attempt in a process.
pub(super) struct Seen {
    pub(super) pid: u32,
    pub(super) id: JobId,
    pub(super) attempt: u32,
    pub(super) text: String,
}

/// Something to tell.
enum Word {
    Crashed(Verdict),
    /// `done` hears that the broker has heard, or cannot.
    Seen {
        seen: Seen,
        done: Option<SyncSender<()>>,
    },
    /// There is a report.
    Report,
}

/// The report that waits to be told.
type Latest = Arc<Mutex<Option<Report>>>;

/// Tells the broker.
#[derive(Debug)]
pub(super) struct Teller {
    tell: Option<Sender<Word>>,
    latest: Latest,
    thread: Option<JoinHandle<()>>,
}

impl Verdict {
    /// Of a process that ended so, using so much, after it had said that.
    pub(super) fn of(process: &Process, status: ExitStatus, used: &str, said: &str) -> Verdict {
        let signal = status.signal().and_then(signal_hook::low_level::signal_name);
        let frames = process.backtrace();
        let mut detail = format!("process {} {}", process.id, how(status));
        if !used.is_empty() {
            detail = format!("{detail}, having used {used}");
        }
        if !frames.is_empty() {
            detail.push_str("\nwhere it stood:");
        }
        detail.push_str(&lines(&frames));
        if !said.is_empty() {
            detail = format!("{detail}\nthe end of its standard error:\n{said}");
        }
        let culprit = culprit(&frames).map_or(String::new(), |name| format!(" in {name}"));
        Verdict {
            pid: process.id,
            code: signal.unwrap_or("exit").to_owned(),
            message: format!("process {} {}{}{}", process.id, how(status), culprit, last_line(said)),
            detail,
            at_hand: process.at_hand(),
        }
    }
}

impl Teller {
    /// One that connects, as soon as there is something to tell, with the keys of the workers.
    pub(super) fn start(endpoint: Option<String>, settings: ClientSettings) -> Result<Teller, Failed> {
        let (tell, told) = mpsc::channel();
        let latest = Latest::default();
        let theirs = Arc::clone(&latest);
        let body = move || tell_all(endpoint.as_deref(), &settings, &told, &theirs);
        let thread = thread::Builder::new().name("verdicts".into()).spawn(body);
        let thread =
            thread.map_err(|error| Failed::new(Exit::System, format!("cannot start a thread: {error}")))?;
        Ok(Teller { tell: Some(tell), latest, thread: Some(thread) })
    }

    /// Tells of one process.
    pub(super) fn tell(&self, verdict: Verdict) {
        self.send(Word::Crashed(verdict));
    }

    /// Tells what was seen of an attempt.
    pub(super) fn tell_seen(&self, seen: Seen) {
        self.send(Word::Seen { seen, done: None });
    }

    /// The same before something is done that may end the process: the broker believes it of processes that are there. Waits
    /// until it has heard it, though not for longer than `limit`.
    pub(super) fn tell_seen_first(&self, seen: Seen, limit: Duration) {
        let (done, heard) = mpsc::sync_channel(1);
        self.send(Word::Seen { seen, done: Some(done) });
        let _ = heard.recv_timeout(limit);
    }

    /// Tells what the slots do. A report that nobody has heard yet is told no more.
    pub(super) fn tell_report(&self, report: Report) {
        let before = self.latest.lock().unwrap_or_else(PoisonError::into_inner).replace(report);
        if before.is_none() {
            self.send(Word::Report);
        }
    }

    fn send(&self, word: Word) {
        if let Some(tell) = &self.tell {
            // The thread ends after its last word only.
            let _ = tell.send(word);
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.tell = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn tell_all(endpoint: Option<&str>, settings: &ClientSettings, told: &Receiver<Word>, latest: &Latest) {
    let mut client = None;
    let mut ask = |command: &str, said: &[(String, String)], limit: Duration| {
        let client = match &mut client {
            Some(client) => client,
            None => client.insert(Client::open(endpoint, settings.clone())?),
        };
        client.admin(command, said, Some(limit)).map(|answer| answer.data().to_vec())
    };
    for word in told {
        match word {
            Word::Crashed(verdict) => {
                hear(ask("worker.crashed", &verdict.arguments(), TELL_PATIENCE), verdict.pid)
            }
            Word::Seen { seen, done } => {
                hear(ask("worker.seen", &seen.arguments(), TELL_PATIENCE), seen.pid);
                if let Some(done) = done {
                    let _ = done.send(());
                }
            }
            Word::Report => {
                let report = latest.lock().unwrap_or_else(PoisonError::into_inner).take();
                let Some(report) = report else { continue };
                match ask("host.report", &report.arguments(), REPORT_PATIENCE) {
                    Ok(answer) => report.answered(&answer),
                    Err(failure) => {
                        log::debug!(target: "host", "the broker did not hear what the slots do: {failure}");
                    }
                }
            }
        }
    }
}

/// What is said when the broker could not be told of a process.
fn hear(told: Result<Vec<u8>, Failure>, pid: u32) {
    if let Err(failure) = told {
        log::info!(target: "host", "the broker did not hear of process {pid}: {failure}");
    }
}

impl Verdict {
    fn arguments(&self) -> Vec<(String, String)> {
        let texts = [("code", &self.code), ("message", &self.message), ("detail", &self.detail)];
        let jobs: Vec<String> = self.at_hand.iter().map(JobId::to_string).collect();
        let numbers = [("pid".to_owned(), self.pid.to_string()), ("jobs".to_owned(), jobs.join(","))];
        numbers.into_iter().chain(texts.map(|(key, text)| (key.to_owned(), text.clone()))).collect()
    }
}

impl Seen {
    fn arguments(&self) -> Vec<(String, String)> {
        let said = [
            ("pid", self.pid.to_string()),
            ("id", self.id.to_string()),
            ("attempt", self.attempt.to_string()),
            ("text", self.text.clone()),
        ];
        said.map(|(key, value)| (key.to_owned(), value)).into()
    }
}
