//! What a host tells the broker of a process that crashed: at once, so that its job does not wait for the connection to come
//! back, and with the evidence.
//!
//! Invariant: telling happens on a thread of its own, so that a broker that is away keeps nobody from being started again.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use forebay::api::{Client, ClientSettings, Failure};

use crate::cli::exit::{Exit, Failed};
use crate::cli::worker::backtrace::culprit;
use crate::cli::worker::ending::{how, last_line};
use crate::cli::worker::process::Process;

/// How long the broker may take to hear of one crash.
const PATIENCE: Duration = Duration::from_secs(5);

/// How a process ended.
pub(super) struct Verdict {
    pid: u32,
    code: String,
    /// One sentence.
    pub(super) message: String,
    /// The evidence: what it used, where it stood, and the end of what it said.
    detail: String,
}

/// Tells the broker.
pub(super) struct Teller {
    tell: Option<Sender<Verdict>>,
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
        for (i, frame) in frames.iter().enumerate() {
            detail.push_str(&format!("\n#{i} {frame}"));
        }
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
        if let Some(tell) = &self.tell {
            // The thread ends after its last verdict only.
            let _ = tell.send(verdict);
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

fn tell_all(endpoint: Option<&str>, settings: &ClientSettings, told: &Receiver<Verdict>) {
    let mut client = None;
    for verdict in told {
        if let Err(failure) = tell(&mut client, endpoint, settings, &verdict) {
            log::info!(target: "host", "the broker was not told how process {} ended: {failure}", verdict.pid);
        }
    }
}

fn tell(
    client: &mut Option<Client>,
    endpoint: Option<&str>,
    settings: &ClientSettings,
    verdict: &Verdict,
) -> Result<(), Failure> {
    let client = match client {
        Some(client) => client,
        None => client.insert(Client::open(endpoint, settings.clone())?),
    };
    let said = [
        ("pid", verdict.pid.to_string()),
        ("code", verdict.code.clone()),
        ("message", verdict.message.clone()),
        ("detail", verdict.detail.clone()),
    ];
    let said: Vec<(String, String)> = said.map(|(key, value)| (key.to_owned(), value)).into();
    client.admin("worker.crashed", &said, Some(PATIENCE))?;
    Ok(())
}
