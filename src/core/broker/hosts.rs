//! What hosts report of themselves: their slots, what each does, and what they use of their machine.
//!
//! Invariants: the last report of a host is kept in memory, with the session that said it, for as long as that has a connection,
//! and no longer; there are at most [`HOSTS_MAX`] hosts with [`HOST_SLOTS_MAX`] slots each. What a host says changes nothing of
//! any job.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::core::broker::admin::arguments::{Arguments, wrong};
use crate::core::broker::admin::{Shape, show_session};
use crate::core::broker::sessions::{Session, Side};
use crate::core::broker::{Broker, What};
use crate::core::jobs::{Admin, Answer, Jobs, SessionId};
use crate::model::limits::{
    BUSY_RETRY_MS, HOST_QUEUES_MAX, HOST_SLOTS_MAX, HOSTS_MAX, NAME_LEN_MAX, QUEUE_NAME_LEN_MAX,
};
use crate::model::{Failure, JobId, Now, QueueName, Status};
use crate::wire::command::PeerKind;

/// What a host said last.
#[derive(Clone, Debug)]
pub(super) struct Host {
    about: About,
    slots: Vec<Slot>,
    heard_us: u64,
}

/// A host as it says it.
#[derive(Clone, Debug, Deserialize)]
struct About {
    name: String,
    /// All it has; it need not tell what each does.
    slots: u32,
    every_ms: u64,
    cpu_percent: Option<f64>,
    rss_bytes: Option<u64>,
    #[serde(default)]
    machine: Machine,
    /// Whose settings for hosts it wants to be told.
    #[serde(default)]
    queues: Vec<String>,
}

/// What there is of the machine, all of it and what is left.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Machine {
    cores: Option<u32>,
    load: Option<f64>,
    memory_bytes: Option<u64>,
    memory_free_bytes: Option<u64>,
}

/// One slot as its host says it.
#[derive(Deserialize)]
struct SlotSaid {
    slot: u32,
    pid: Option<u32>,
    state: SlotState,
    handled: Option<u64>,
    cpu_percent: Option<f64>,
    rss_bytes: Option<u64>,
    job: Option<String>,
    attempt: Option<u32>,
    queue: Option<String>,
    running_ms: Option<u64>,
}

/// What becomes of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SlotState {
    /// Its process is not ready yet.
    Beginning,
    /// It waits for a job.
    Idle,
    /// It has one.
    Working,
    /// Its process finishes what it does and goes.
    Leaving,
    /// It has no process now.
    Down,
}

/// One slot as it is kept.
#[derive(Clone, Debug)]
struct Slot {
    slot: u32,
    pid: Option<u32>,
    state: SlotState,
    handled: Option<u64>,
    cpu_percent: Option<f64>,
    rss_bytes: Option<u64>,
    doing: Option<Doing>,
}

#[derive(Clone, Debug)]
struct Doing {
    id: JobId,
    attempt: u32,
    queue: Option<Arc<str>>,
    /// Until it was heard.
    running_ms: u64,
}

impl SlotState {
    fn name(self) -> &'static str {
        match self {
            SlotState::Beginning => "beginning",
            SlotState::Idle => "idle",
            SlotState::Working => "working",
            SlotState::Leaving => "leaving",
            SlotState::Down => "down",
        }
    }
}

/// A process of some machine and some user: what workers and hosts are told apart by.
type Process<'a> = (&'a str, &'a str, u32);

/// Workers by their processes.
type Workers<'a> = BTreeMap<Process<'a>, Vec<(SessionId, &'a Session)>>;

impl<J: Jobs> Broker<J> {
    /// A host says what it does.
    pub(super) fn hear_host(
        &mut self,
        now: Now,
        session: SessionId,
        tag: u64,
        mut said: Arguments<'_>,
    ) -> Result<(), Failure> {
        let mut about = About::read(said.need("host")?)?;
        let queues = std::mem::take(&mut about.queues).into_iter().take(HOST_QUEUES_MAX);
        let queues = queues.map(|name| QueueName::new(&name)).collect::<Result<Vec<_>, _>>()?;
        let slots = read_slots(&said.numbered("slots."))?;
        said.finish()?;
        let known = self.hosts().any(|(id, ..)| id == session);
        if !known && self.hosts().count() >= HOSTS_MAX {
            let text = format!("{HOSTS_MAX} hosts report to this broker, as many as may");
            return Err(Failure::busy(text, BUSY_RETRY_MS));
        }
        let Some(Side::Client(client)) = self.side(session) else {
            return Err(Failure::new(Status::State, "host.report is for clients, and this is a worker"));
        };
        client.host = Some(Box::new(Host { about, slots, heard_us: now.us }));
        self.ask(now, session, Admin::Handed { queues }, What::Admin(tag, Shape::Plain));
        Ok(())
    }

    /// The hosts with what each slot does, and the workers of none.
    pub(super) fn list_hosts(
        &mut self,
        now: Now,
        session: SessionId,
        tag: u64,
        said: Arguments<'_>,
    ) -> Result<(), Failure> {
        said.finish()?;
        let mut workers = self.workers_by_process();
        let hosts: Vec<Value> =
            self.hosts().map(|(_, known, host)| show_host(now, known, host, &workers)).collect();
        for (_, known, host) in self.hosts() {
            processes(known, host).into_iter().for_each(|process| drop(workers.remove(&process)));
        }
        let others: BTreeMap<SessionId, &Session> = workers.into_values().flatten().collect();
        let others: Vec<Value> = others.into_values().map(|known| show_session(now, known)).collect();
        self.reply(session, tag, Shape::Plain, Answer::Json(json!({ "hosts": hosts, "workers": others })));
        Ok(())
    }

    /// The hosts that report.
    pub(super) fn hosts(&self) -> impl Iterator<Item = (SessionId, &Session, &Host)> {
        self.sessions.iter().filter_map(|(id, known)| match &known.side {
            Side::Client(client) => client.host.as_deref().map(|host| (*id, known, host)),
            Side::Worker(_) => None,
        })
    }

    fn workers_by_process(&self) -> Workers<'_> {
        let mut workers = Workers::new();
        for (id, known) in self.sessions.iter().filter(|(_, known)| known.kind() == PeerKind::Worker) {
            workers.entry(process_of(known, known.pid)).or_default().push((*id, known));
        }
        workers
    }
}

impl About {
    fn read(text: &str) -> Result<About, Failure> {
        let mut about: About =
            serde_json::from_str(text).map_err(|error| wrong_json("host", text, &error, "an object"))?;
        let end = (0..=about.name.len().min(NAME_LEN_MAX)).rev().find(|at| about.name.is_char_boundary(*at));
        about.name.truncate(end.unwrap_or(0));
        Ok(about)
    }
}

/// The slots a host tells of, in as many lists as it needed; no more of them than are kept.
fn read_slots(lists: &[&str]) -> Result<Vec<Slot>, Failure> {
    let mut names: BTreeSet<Arc<str>> = BTreeSet::new();
    let mut slots = Vec::new();
    for text in lists {
        let said: Vec<SlotSaid> = serde_json::from_str(text)
            .map_err(|error| wrong_json("slots", text, &error, "a list of objects"))?;
        for one in said {
            let doing = match &one.job {
                None => None,
                Some(job) => Some(one.doing(job, &mut names)?),
            };
            let SlotSaid { slot, pid, state, handled, cpu_percent, rss_bytes, .. } = one;
            slots.push(Slot { slot, pid, state, handled, cpu_percent, rss_bytes, doing });
        }
    }
    slots.truncate(HOST_SLOTS_MAX);
    slots.shrink_to_fit();
    Ok(slots)
}

impl SlotSaid {
    fn doing(&self, job: &str, names: &mut BTreeSet<Arc<str>>) -> Result<Doing, Failure> {
        let id =
            JobId::parse(job).ok_or_else(|| wrong("slots", job, "a job's id, a UUID of 36 characters,"))?;
        // Slots of one host serve the same few queues: each name is kept once.
        let queue = self.queue.as_deref().filter(|name| name.len() <= QUEUE_NAME_LEN_MAX);
        let queue = queue.map(|name| match names.get(name) {
            Some(known) => Arc::clone(known),
            None => {
                let name: Arc<str> = name.into();
                names.insert(Arc::clone(&name));
                name
            }
        });
        let (attempt, running_ms) = (self.attempt.unwrap_or(0), self.running_ms.unwrap_or(0));
        Ok(Doing { id, attempt, queue, running_ms })
    }
}

fn wrong_json(key: &str, text: &str, error: &serde_json::Error, right: &str) -> Failure {
    let mut failure = wrong(key, text, &format!("{right} as docs/ADMIN.md describes"));
    failure.message = format!("{}: {error}", failure.message);
    failure
}

fn process_of(known: &Session, pid: u32) -> Process<'_> {
    (&known.host, &known.asker.owner.user, pid)
}

/// The processes that belong to a host: its own, and those it tells of.
fn processes<'a>(known: &'a Session, host: &Host) -> Vec<Process<'a>> {
    let theirs = host.slots.iter().filter_map(|slot| slot.pid);
    let pids: BTreeSet<u32> = theirs.chain([known.pid]).collect();
    pids.into_iter().map(|pid| process_of(known, pid)).collect()
}

fn show_host(now: Now, known: &Session, host: &Host, workers: &Workers<'_>) -> Value {
    let About { name, slots, every_ms, cpu_percent, rss_bytes, machine, queues: _ } = &host.about;
    let ago_ms = now.us.saturating_sub(host.heard_us) / 1_000;
    let own = processes(known, host).into_iter().filter_map(|process| workers.get(&process)).flatten();
    let mut queues = BTreeSet::new();
    let mut done = 0;
    for (_, worker) in own {
        let Side::Worker(worker) = &worker.side else { continue };
        done += worker.done;
        queues.extend(worker.queues.iter().map(QueueName::as_str));
    }
    let slot_list: Vec<Value> =
        host.slots.iter().map(|slot| show_slot(known, slot, ago_ms, workers)).collect();
    json!({
        "name": name, "user": known.asker.owner.user, "host": known.host, "pid": known.pid,
        "version": known.version, "age_ms": now.us.saturating_sub(known.opened_us) / 1_000,
        "every_ms": every_ms, "reported_ms": ago_ms, "queues": queues, "slots": slots,
        "working": host.slots.iter().filter(|slot| slot.doing.is_some()).count(), "done": done,
        "cpu_percent": cpu_percent, "rss_bytes": rss_bytes,
        "machine": { "cores": machine.cores, "load": machine.load, "memory_bytes": machine.memory_bytes,
            "memory_free_bytes": machine.memory_free_bytes },
        "slot_list": slot_list,
    })
}

/// A slot as its host told of it, with the job's progress, which its worker told.
fn show_slot(known: &Session, slot: &Slot, ago_ms: u64, workers: &Workers<'_>) -> Value {
    let doing = slot.doing.as_ref();
    let of_process = slot.pid.and_then(|pid| workers.get(&process_of(known, pid)));
    // The processes of a command are no workers: their host is.
    let of_host = workers.get(&process_of(known, known.pid));
    let progress = doing.and_then(|doing| {
        let sessions = of_process.into_iter().chain(of_host).flatten();
        sessions.into_iter().find_map(|(_, worker)| match &worker.side {
            Side::Worker(worker) => worker.leases.values().find(|held| held.id == doing.id)?.progress,
            Side::Client(_) => None,
        })
    });
    json!({
        "slot": slot.slot, "pid": slot.pid, "state": slot.state.name(), "handled": slot.handled,
        "cpu_percent": slot.cpu_percent, "rss_bytes": slot.rss_bytes,
        "job": doing.map(|doing| doing.id.to_string()), "attempt": doing.map(|doing| doing.attempt),
        "queue": doing.and_then(|doing| doing.queue.as_deref()),
        "running_ms": doing.map(|doing| doing.running_ms.saturating_add(ago_ms)), "progress": progress,
    })
}
