//! What a host tells the broker of its processes: that one crashed, at once, so that its job does not wait for the connection to
//! come back, and with the evidence; and what it saw of an attempt.
//!
//! Invariant: telling happens on a thread of its own, so that a broker that is away keeps nobody from being started again.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use forebay::api::{Client, ClientSettings, Failure, JobId};

use crate::cli::exit::{Exit, Failed};
use crate::cli::worker::backtrace::{culprit, lines};
use crate::cli::worker::ending::{how, last_line};
use crate::cli::worker::limits::TELL_PATIENCE;
use crate::cli::worker::process::Process;

/// How a process ended.
pub(super) struct Verdict {
    pid: u32,
    code: String,
    /// One sentence.
    pub(super) message: String,
    /// The evidence: what it used, where it stood, and the end of what it said.
    detail: String,
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
}

/// Tells the broker.
#[derive(Debug)]
pub(super) struct Teller {
    tell: Option<Sender<Word>>,
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
        }
    }
}

impl Teller {
    /// One that connects, when there is something to tell, with the keys of the workers.
    pub(super) fn start(endpoint: Option<String>, settings: ClientSettings) -> Result<Teller, Failed> {
        let (tell, told) = mpsc::channel();
        let body = move || tell_all(endpoint.as_deref(), &settings, &told);
        let thread = thread::Builder::new().name("verdicts".into()).spawn(body);
        let thread =
            thread.map_err(|error| Failed::new(Exit::System, format!("cannot start a thread: {error}")))?;
        Ok(Teller { tell: Some(tell), thread: Some(thread) })
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

fn tell_all(endpoint: Option<&str>, settings: &ClientSettings, told: &Receiver<Word>) {
    let mut client = None;
    for word in told {
        let (command, pid) = (word.command(), word.pid());
        if let Err(failure) = tell(&mut client, endpoint, settings, command, &word.arguments()) {
            log::info!(target: "host", "the broker did not hear of process {pid}: {command}: {failure}");
        }
        if let Word::Seen { done: Some(done), .. } = word {
            let _ = done.send(());
        }
    }
}

fn tell(
    client: &mut Option<Client>,
    endpoint: Option<&str>,
    settings: &ClientSettings,
    command: &str,
    said: &[(String, String)],
) -> Result<(), Failure> {
    let client = match client {
        Some(client) => client,
        None => client.insert(Client::open(endpoint, settings.clone())?),
    };
    client.admin(command, said, Some(TELL_PATIENCE))?;
    Ok(())
}

impl Word {
    fn command(&self) -> &'static str {
        match self {
            Word::Crashed(_) => "worker.crashed",
            Word::Seen { .. } => "worker.seen",
        }
    }

    fn pid(&self) -> u32 {
        match self {
            Word::Crashed(verdict) => verdict.pid,
            Word::Seen { seen, .. } => seen.pid,
        }
    }

    fn arguments(&self) -> Vec<(String, String)> {
        let said = match self {
            Word::Crashed(verdict) => vec![
                ("code", verdict.code.clone()),
                ("message", verdict.message.clone()),
                ("detail", verdict.detail.clone()),
            ],
            Word::Seen { seen, .. } => vec![
                ("id", seen.id.to_string()),
                ("attempt", seen.attempt.to_string()),
                ("text", seen.text.clone()),
            ],
        };
        let pid = ("pid", self.pid().to_string());
        std::iter::once(pid).chain(said).map(|(key, value)| (key.to_owned(), value)).collect()
    }
}
