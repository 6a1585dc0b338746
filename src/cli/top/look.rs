//! Asking the broker, again and again, on a thread of its own: what it says is drawn when it is there, and a broker that is away
//! does not keep keys from being heard.

use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use forebay::api::Client;
use serde_json::Value;

use crate::cli::ask::{ask, count, rows, text};
use crate::cli::exit::{Exit, Failed};

/// Of how many failures of one look it is asked why: as many as are seen on most terminals.
const ASKED_MAX: usize = 10;
/// The most events of one question.
const EVENTS_MAX: u64 = 1_000;
/// Events that are gone over in one look; of more, those before are not looked at.
const EVENTS_BEHIND_MAX: u64 = 10_000;

/// What the broker said at one moment.
pub(super) struct Look {
    pub(super) at: Instant,
    pub(super) status: Value,
    pub(super) hosts: Vec<Value>,
    /// Workers of no host.
    pub(super) workers: Vec<Value>,
    /// Jobs that ended and were not DONE since the look before, oldest first.
    pub(super) failures: Vec<Failure>,
}

/// A job that ended otherwise than DONE.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) time_ms: u64,
    pub(super) queue: String,
    pub(super) outcome: String,
    pub(super) job: String,
    pub(super) why: String,
}

/// What was said, or why nothing was, until somebody looks at it.
pub(super) struct Looks(Receiver<Result<Look, String>>);

impl Looks {
    /// Begins to ask. It ends when nobody listens any more.
    pub(super) fn start(client: Client, every: Duration) -> Result<Looks, Failed> {
        let (tell, looks) = mpsc::sync_channel(1);
        let body = move || ask_on(&client, every, &tell);
        thread::Builder::new()
            .name("look".into())
            .spawn(body)
            .map_err(|error| Failed::new(Exit::System, format!("cannot start a thread: {error}")))?;
        Ok(Looks(looks))
    }

    /// What nobody has looked at yet.
    pub(super) fn next(&self) -> Option<Result<Look, String>> {
        self.0.try_recv().ok()
    }
}

fn ask_on(client: &Client, every: Duration, tell: &SyncSender<Result<Look, String>>) {
    let mut since = None;
    loop {
        let begun = Instant::now();
        let look = look(client, &mut since).map_err(|failed| failed.message);
        if tell.send(look).is_err() {
            return;
        }
        thread::sleep(every.saturating_sub(begun.elapsed()));
    }
}

/// Asks for everything once. `since`: the last event that was told.
fn look(client: &Client, since: &mut Option<u64>) -> Result<Look, Failed> {
    let status = ask(client, "status", &[])?;
    let mut hosts = ask(client, "hosts.list", &[])?;
    let last = count(&status, "last_event");
    let mut next = since.unwrap_or(0).max(last.saturating_sub(EVENTS_BEHIND_MAX));
    // A broker that was started anew counts anew.
    if next > last {
        next = 0;
    }
    let mut failures = Vec::new();
    while next < last {
        let arguments = [("since", next.to_string()), ("limit", EVENTS_MAX.to_string())];
        let answer = ask(client, "events", &arguments)?;
        failures.extend(rows(&answer, "events").iter().filter_map(failure));
        let behind = count(&answer, "next");
        if behind <= next {
            break;
        }
        next = behind;
    }
    *since = Some(next);
    let asked = failures.len().saturating_sub(ASKED_MAX);
    failures[asked..].iter_mut().for_each(|failure| failure.ask_why(client));
    let mut list = |name: &str| match hosts[name].take() {
        Value::Array(list) => list,
        _ => Vec::new(),
    };
    let (hosts, workers) = (list("hosts"), list("workers"));
    Ok(Look { at: Instant::now(), status, hosts, workers, failures })
}

impl Failure {
    /// An event has a word at most; the job says more, as long as it is remembered, and if it is this user's.
    fn ask_why(&mut self, client: &Client) {
        let Ok(job) = ask(client, "job.get", &[("id", self.job.clone())]) else { return };
        if let Some(said) =
            ["message", "code"].map(|field| text(&job, field)).iter().find(|said| !said.is_empty())
        {
            self.why = (*said).to_owned();
        }
    }
}

fn failure(event: &Value) -> Option<Failure> {
    let outcome = text(event, "outcome");
    let is_one = text(event, "event") == "ended" && outcome != "DONE";
    is_one.then(|| Failure {
        time_ms: count(event, "time_ms"),
        queue: text(event, "queue").to_owned(),
        outcome: outcome.to_owned(),
        job: text(event, "job").to_owned(),
        why: text(event, "why").to_owned(),
    })
}
