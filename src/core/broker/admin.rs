//! ADMIN commands: what operators ask, answered as JSON by REPLY. `api::commands` lists them.

pub(in crate::core::broker) mod arguments;

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::core::broker::admin::arguments::Arguments;
use crate::core::broker::calls::Call;
use crate::core::broker::sessions::{Session, Side};
use crate::core::broker::{Broker, What};
use crate::core::job_table::JobTable;
use crate::core::jobs::{Admin, Answer, Collect, Collector, Crash, Jobs, QueueTurn, SessionId};
use crate::model::limits::{CRASH_TEXT_LEN_MAX, INTERVAL_MS_MAX, LIST_LEN, LIST_MAX, SHOWN_LEN};
use crate::model::{Body, Failure, JobId, Now, QueueName, Status};
use crate::wire::command::{FromBroker, PeerKind, ToBroker};

/// A long poll looks for events this often while things happen.
pub(super) const POLL_INTERVAL_MS: u64 = 20;

/// The commands that make jobs.
const REQUEUE: &str = "quarantine.requeue";
const RESUME: &str = "run.resume";

/// What is made of the jobs side's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// As it is.
    Plain,
    /// The sessions side adds what it knows.
    Status,
    /// Queues, to which the sessions side adds who serves them.
    Queues,
    /// One queue, the same.
    Queue,
}

/// A client that waits for events, or for what becomes of a stage.
#[derive(Clone, Debug)]
pub(super) struct Poll {
    pub(super) session: SessionId,
    tag: u64,
    what: Admin,
    pub(super) until_us: u64,
    /// It was asked and the answer is on its way.
    asked: bool,
}

/// A client that waits for workers.
#[derive(Clone, Debug)]
pub(super) struct WorkersWait {
    pub(super) session: SessionId,
    tag: u64,
    queue: String,
    count: usize,
    pub(super) until_us: u64,
}

impl Broker<JobTable> {
    /// Bytes of the jobs this command makes, if it makes any: a driver with a store looks for room first.
    pub fn requeued_len(&self, command: &ToBroker) -> Option<u64> {
        let ToBroker::Admin { command, arguments, .. } = command else { return None };
        let makes = [REQUEUE, RESUME].contains(&command.as_str());
        let id = arguments.iter().find(|(key, _)| makes && key == "id")?;
        let id = JobId::parse(&id.1)?;
        if command == REQUEUE { self.jobs.quarantined_len(id) } else { self.jobs.resumed_len(id) }
    }
}

impl<J: Jobs> Broker<J> {
    pub(super) fn administer(
        &mut self,
        now: Now,
        session: SessionId,
        tag: u64,
        command: &str,
        arguments: &[(String, String)],
    ) {
        let arguments = Arguments::new(command, arguments);
        if let Err(failure) = self.command(now, session, tag, command, arguments) {
            self.reply(session, tag, Shape::Plain, Answer::Refused(failure));
        }
    }

    /// The commands. Those about jobs and queues are the jobs side's, those about sessions are answered here.
    fn command(
        &mut self,
        now: Now,
        session: SessionId,
        tag: u64,
        command: &str,
        mut said: Arguments<'_>,
    ) -> Result<(), Failure> {
        let by = self.asker(session);
        let (what, shape) = match command {
            "status" => (Admin::Status, Shape::Status),
            "job.get" => (Admin::Job { id: said.need_id()?, by }, Shape::Plain),
            "jobs.list" => {
                let (queue, listed) = (said.queue()?, said.listed()?);
                let (since, limit) = (said.id("since")?, said.limit(LIST_LEN)?);
                (Admin::Jobs { queue, listed, since, limit, by }, Shape::Plain)
            }
            "run.get" => (Admin::Run { id: said.need_id()?, by }, Shape::Plain),
            RESUME => (Admin::Resume { id: said.need_id()?, by }, Shape::Plain),
            "run.context" => {
                let (id, context) = (said.need_id()?, said.bytes("data")?.into());
                (Admin::Context { id, context, by }, Shape::Plain)
            }
            "stage.close" => {
                let (id, step) = (said.need_id()?, said.need("step")?.to_owned());
                let count = said.number_if_said("count")?;
                (Admin::StageClose { id, step, count, by }, Shape::Plain)
            }
            "runs.list" => {
                let (listed, since, limit) = (said.listed()?, said.id("since")?, said.limit(LIST_LEN)?);
                (Admin::Runs { listed, since, limit, by }, Shape::Plain)
            }
            "queue.list" => (Admin::Queues { queue: said.queue()? }, Shape::Queues),
            "queue.set" => {
                let queue = said.need_queue()?;
                let handed = said.handed()?;
                let (set, unset) = said.rules(!handed.is_empty())?;
                (Admin::QueueSet { queue, set: Box::new(set), handed, unset }, Shape::Plain)
            }
            "queue.pause" => {
                (Admin::QueueTurn { queue: said.need_queue()?, turn: QueueTurn::Pause }, Shape::Queue)
            }
            "queue.drain" => {
                (Admin::QueueTurn { queue: said.need_queue()?, turn: QueueTurn::Drain }, Shape::Queue)
            }
            "queue.resume" => {
                (Admin::QueueTurn { queue: said.need_queue()?, turn: QueueTurn::Resume }, Shape::Queue)
            }
            "queue.purge" => {
                let (queue, before) = (said.need_queue()?, said.number_if_said("before")?);
                let limit = said.limit(LIST_MAX)?;
                (Admin::QueuePurge { queue, before, limit, by }, Shape::Plain)
            }
            "quarantine.list" => {
                let (queue, since, limit) = (said.queue()?, said.id("since")?, said.limit(LIST_LEN)?);
                (Admin::Quarantine { queue, since, limit, by }, Shape::Plain)
            }
            "quarantine.show" => {
                let (id, bytes) = (said.need_id()?, said.number("bytes", SHOWN_LEN)?);
                (Admin::Quarantined { id, bytes, by }, Shape::Plain)
            }
            REQUEUE => (Admin::Requeue { id: said.need_id()?, by }, Shape::Plain),
            "quarantine.drop" => (Admin::Drop { id: said.need_id()?, by }, Shape::Plain),
            "events" => return self.poll_events(now, session, tag, said),
            "stage.results" | "stage.acked" => return self.poll_stage(now, session, tag, command, said),
            "stage.ack" => {
                let (id, step, name) =
                    (said.need_id()?, said.need("step")?.into(), said.need("name")?.into());
                let (job, data) = (said.need_job()?, said.bytes("data")?);
                let collector = Collector { id, step, name, by };
                (Admin::Collect(Collect::Ack { collector, job, data }), Shape::Plain)
            }
            "workers.wait" => return self.add_wait(now, session, tag, said),
            "workers.list" => return self.list_peers(now, session, tag, said, PeerKind::Worker),
            "clients.list" => return self.list_peers(now, session, tag, said, PeerKind::Client),
            "hosts.list" => return self.list_hosts(now, session, tag, said),
            "host.report" => return self.hear_host(now, session, tag, said),
            "worker.drain" => return self.drain_named(now, session, tag, said),
            "worker.crashed" => return self.hear_of_crash(now, session, tag, said),
            "worker.seen" => (self.hear_of_attempt(session, &mut said)?, Shape::Plain),
            _ => {
                return Err(Failure::new(
                    Status::NotFound,
                    format!("no admin command \"{command}\"; forebay_command_at lists those there are"),
                ));
            }
        };
        said.finish()?;
        self.ask(now, session, what, What::Admin(tag, shape));
        Ok(())
    }

    fn list_peers(
        &mut self,
        now: Now,
        session: SessionId,
        tag: u64,
        said: Arguments<'_>,
        kind: PeerKind,
    ) -> Result<(), Failure> {
        said.finish()?;
        let list = self.list_sessions(now, kind);
        let key = if kind == PeerKind::Worker { "workers" } else { "clients" };
        self.reply(session, tag, Shape::Plain, Answer::Json(json!({ key: list })));
        Ok(())
    }

    pub(super) fn ask(&mut self, now: Now, session: SessionId, what: Admin, purpose: What) {
        let tag = self.calls.open(Call { session, number: 0, what: purpose, again: None });
        self.jobs.admin(now, tag, &what);
    }

    /// Ends worker sessions of this name after what they run.
    fn drain_named(
        &mut self,
        now: Now,
        session: SessionId,
        tag: u64,
        mut arguments: Arguments<'_>,
    ) -> Result<(), Failure> {
        let name = arguments.need("name")?;
        arguments.finish()?;
        let user = self.asker(session).owner.user.clone();
        let fits = |known: &Session| {
            known.kind() == PeerKind::Worker && known.shown_name() == name && known.asker.owner.user == user
        };
        let found: Vec<SessionId> =
            self.sessions.iter().filter(|(_, known)| fits(known)).map(|(id, _)| *id).collect();
        if found.is_empty() {
            return Err(Failure::new(
                Status::NotFound,
                format!("no worker \"{name}\" is here; workers.list names those that are"),
            ));
        }
        for &worker in &found {
            self.drain_worker(now, worker);
        }
        self.reply(session, tag, Shape::Plain, Answer::Json(json!({ "drained": found.len() })));
        Ok(())
    }

    /// The asker, on the worker's own host and of its user, has seen its process end: what that held is lost now, and why
    /// is kept.
    fn hear_of_crash(
        &mut self,
        now: Now,
        session: SessionId,
        tag: u64,
        mut said: Arguments<'_>,
    ) -> Result<(), Failure> {
        let pid = said.need_number("pid")?;
        let text = |text: &str| {
            let end = (0..=text.len().min(CRASH_TEXT_LEN_MAX)).rev().find(|at| text.is_char_boundary(*at));
            text[..end.unwrap_or(0)].to_owned()
        };
        let (code, message) = (text(said.need("code")?), text(said.need("message")?));
        let detail = text(said.take("detail").unwrap_or_default());
        let at_hand = said.ids("jobs")?;
        said.finish()?;
        let found = self.workers_of_process(session, pid)?;
        let crash = Crash { code, message, detail, at_hand };
        let lost: usize = found.into_iter().map(|id| self.crashed(now, id, crash.clone())).sum();
        self.reply(session, tag, Shape::Plain, Answer::Json(json!({ "lost": lost })));
        Ok(())
    }

    /// The asker, on the worker's own host and of its user, looks after a process that makes an attempt and says what it saw.
    fn hear_of_attempt(&mut self, session: SessionId, said: &mut Arguments<'_>) -> Result<Admin, Failure> {
        let pid = said.need_number("pid")?;
        let (id, attempt) = (said.need_id()?, said.need_number("attempt")?);
        let text = said.need("text")?.to_owned();
        let found = self.workers_of_process(session, pid)?;
        let worker = found.first().and_then(|id| self.sessions.get(id)).map(Session::shown_name);
        let attempt = u32::try_from(attempt).unwrap_or(u32::MAX);
        Ok(Admin::Seen { id, attempt, worker: worker.unwrap_or_default().to_string(), text })
    }

    /// The workers of a process on the asker's own host and of its user.
    fn workers_of_process(&self, asker: SessionId, pid: u64) -> Result<Vec<SessionId>, Failure> {
        let Some(asker) = self.sessions.get(&asker) else { return Ok(Vec::new()) };
        let (host, user) = (&asker.host, &asker.asker.owner.user);
        let is_it = |known: &Session| {
            known.kind() == PeerKind::Worker
                && u64::from(known.pid) == pid
                && known.host == *host
                && known.asker.owner.user == *user
        };
        let found: Vec<SessionId> =
            self.sessions.iter().filter(|(_, known)| is_it(known)).map(|(id, _)| *id).collect();
        if found.is_empty() {
            let text =
                format!("no worker of process {pid} on {host} is here; workers.list names those that are");
            return Err(Failure::new(Status::NotFound, text));
        }
        Ok(found)
    }

    /// Sends a REPLY.
    pub(super) fn reply(&mut self, session: SessionId, tag: u64, shape: Shape, answer: Answer) {
        let (status, body, message) = match answer {
            Answer::Json(json) => (Status::Ok, self.shape(shape, json).to_string(), String::new()),
            Answer::Refused(failure) => (failure.status, String::new(), failure.message),
            _ => (
                Status::Unconfirmed,
                String::new(),
                "nobody knows whether the command was carried out; try again".to_owned(),
            ),
        };
        self.send(session, FromBroker::Reply { tag, status, body: Body::one(Bytes::from(body)), message });
    }

    fn shape(&self, shape: Shape, mut json: Value) -> Value {
        match shape {
            Shape::Plain => json,
            Shape::Queues => {
                self.count_serving(json["queues"].as_array_mut().into_iter().flatten());
                json
            }
            Shape::Queue => {
                self.count_serving(std::iter::once(&mut json));
                json
            }
            Shape::Status => {
                self.count_serving(json["queues"].as_array_mut().into_iter().flatten());
                let count = |kind| {
                    self.sessions
                        .values()
                        .filter(|session| session.kind() == kind && session.attached)
                        .count()
                };
                json["clients"] = json!(count(PeerKind::Client));
                json["workers"] = json!(count(PeerKind::Worker));
                json["hosts"] = json!(self.hosts().count());
                json["draining"] = json!(self.draining);
                json["version"] = json!(self.config.version);
                let counters = &self.counters;
                json["sessions"] = json!({ "opened": counters.opened, "dropped": counters.dropped, "returned": counters.returned, "stale": counters.stale, "misplaced": counters.misplaced, "words_dropped": counters.words_dropped });
                json
            }
        }
    }

    /// Puts the workers that serve each queue now into its entry. The jobs side also counts those whose connection is
    /// gone while their session may still come back.
    fn count_serving<'a>(&self, queues: impl Iterator<Item = &'a mut Value>) {
        let mut serving = BTreeMap::<&str, usize>::new();
        for session in self.sessions.values().filter(|session| session.attached) {
            if let Side::Worker(worker) = &session.side
                && !worker.draining
            {
                for queue in &worker.queues {
                    *serving.entry(queue.as_str()).or_default() += 1;
                }
            }
        }
        for queue in queues {
            let count = queue["name"].as_str().and_then(|name| serving.get(name)).copied();
            queue["workers"] = json!(count.unwrap_or(0));
        }
    }

    fn list_sessions(&self, now: Now, kind: PeerKind) -> Vec<Value> {
        let wanted = self.sessions.values().filter(|session| session.kind() == kind);
        wanted.map(|session| show_session(now, session)).collect()
    }

    fn poll_events(
        &mut self,
        now: Now,
        session: SessionId,
        tag: u64,
        mut arguments: Arguments<'_>,
    ) -> Result<(), Failure> {
        let since = arguments.number("since", 0)?;
        let limit = arguments.limit(1_000)?;
        let wait_ms = arguments.number("wait_ms", 0)?.min(INTERVAL_MS_MAX);
        let queue = arguments.queue()?;
        arguments.finish()?;
        let by = self.asker(session);
        self.add_poll(now, session, tag, Admin::Events { since, limit, queue, by }, wait_ms);
        Ok(())
    }

    fn poll_stage(
        &mut self,
        now: Now,
        session: SessionId,
        tag: u64,
        command: &str,
        mut said: Arguments<'_>,
    ) -> Result<(), Failure> {
        let by = self.asker(session);
        let (id, step) = (said.need_id()?, said.need("step")?.to_owned());
        let what = if command == "stage.results" {
            let (name, order) = (said.need("name")?.to_owned(), said.order()?);
            let since = said.take("since").map(str::to_owned);
            let collector = Collector { id, step, name, by };
            Collect::Results { collector, order, since, limit: said.limit(LIST_LEN)? }
        } else {
            let since = said.number("since", 0)?;
            Collect::Acked { id, step, since, limit: said.limit(LIST_LEN)?, by }
        };
        let wait_ms = said.number("wait_ms", 0)?.min(INTERVAL_MS_MAX);
        said.finish()?;
        self.add_poll(now, session, tag, Admin::Collect(what), wait_ms);
        Ok(())
    }

    fn add_poll(&mut self, now: Now, session: SessionId, tag: u64, what: Admin, wait_ms: u64) {
        let poll = Poll { session, tag, what, until_us: now.after_ms(wait_ms), asked: false };
        let key = self.next_poll;
        self.next_poll += 1;
        self.polls.insert(key, poll);
        self.ask_poll(now, key);
    }

    /// Something has happened that a client may wait for who wants to hear of a stage.
    pub(super) fn ask_stage_polls(&mut self, now: Now) {
        let is_due = |poll: &Poll| !poll.asked && matches!(poll.what, Admin::Collect(_));
        let keys: Vec<u64> =
            self.polls.iter().filter(|(_, poll)| is_due(poll)).map(|(key, _)| *key).collect();
        keys.into_iter().for_each(|key| self.ask_poll(now, key));
    }

    /// Asks the jobs side for what every waiting client waits for.
    pub(super) fn ask_polls(&mut self, now: Now) {
        let due = self.polls_due_us.is_some_and(|due_us| due_us <= now.us);
        if due {
            self.polls_due_us = None;
        }
        let keys: Vec<u64> = self
            .polls
            .iter()
            .filter(|(_, poll)| !poll.asked && (due || poll.until_us <= now.us))
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            self.ask_poll(now, key);
        }
    }

    fn ask_poll(&mut self, now: Now, key: u64) {
        let Some(poll) = self.polls.get_mut(&key) else { return };
        poll.asked = true;
        let (session, what) = (poll.session, poll.what.clone());
        self.ask(now, session, what, What::Poll(key));
    }

    /// The events a client waits for, if there are any; else it goes on waiting until its time is over.
    pub(super) fn polled(&mut self, now: Now, key: u64, answer: Answer) {
        let Some(poll) = self.polls.get_mut(&key) else { return };
        poll.asked = false;
        let is_empty = match &answer {
            Answer::Json(json) => is_empty(json),
            answer => *answer == Answer::Unknown,
        };
        if is_empty && poll.until_us > now.us {
            if let (Answer::Json(json), Admin::Events { since, .. }) = (&answer, &mut poll.what) {
                *since = json["next"].as_u64().unwrap_or(*since);
            }
            return;
        }
        let (session, tag) = (poll.session, poll.tag);
        self.polls.remove(&key);
        self.reply(session, tag, Shape::Plain, answer);
    }

    fn add_wait(
        &mut self,
        now: Now,
        session: SessionId,
        tag: u64,
        mut arguments: Arguments<'_>,
    ) -> Result<(), Failure> {
        let queue = QueueName::new(arguments.need("queue")?)?.as_str().to_owned();
        let count = arguments.number("n", 1)? as usize;
        let until_us = now.after_ms(arguments.number("timeout_ms", 0)?.min(INTERVAL_MS_MAX));
        arguments.finish()?;
        self.waits.push(WorkersWait { session, tag, queue, count, until_us });
        self.count_workers();
        self.expire_waits(now);
        Ok(())
    }

    /// Workers came or went: answers those that waited for as many.
    pub(super) fn count_workers(&mut self) {
        let waits = std::mem::take(&mut self.waits);
        for wait in waits {
            let workers = self.workers_of(&wait.queue);
            if workers >= wait.count {
                self.reply(wait.session, wait.tag, Shape::Plain, Answer::Json(json!({ "workers": workers })));
            } else {
                self.waits.push(wait);
            }
        }
    }

    pub(super) fn expire_waits(&mut self, now: Now) {
        let waits = std::mem::take(&mut self.waits);
        let (over, left): (Vec<_>, Vec<_>) = waits.into_iter().partition(|wait| wait.until_us <= now.us);
        self.waits = left;
        for wait in over {
            let workers = self.workers_of(&wait.queue);
            let message =
                format!("{workers} workers serve queue \"{}\", {} were waited for", wait.queue, wait.count);
            self.reply(
                wait.session,
                wait.tag,
                Shape::Plain,
                Answer::Refused(Failure::new(Status::TimedOut, message)),
            );
        }
    }
}

/// Whether an answer tells nothing yet, and something may follow.
fn is_empty(answer: &Value) -> bool {
    let lists = ["events", "results", "acks"].map(|name| answer[name].as_array());
    answer["end"] != true && lists.into_iter().flatten().all(Vec::is_empty)
}

pub(super) fn show_session(now: Now, session: &Session) -> Value {
    let mut shown = json!({
        "name": session.shown_name(), "user": session.asker.owner.user, "host": session.host, "pid": session.pid,
        "version": session.version, "attached": session.attached, "age_ms": now.us.saturating_sub(session.opened_us) / 1_000,
    });
    match &session.side {
        Side::Client(client) => {
            shown["submitted"] = json!(client.submitted);
            shown["pushed"] = json!(client.pushed);
            shown["backlog"] = json!(client.backlog.len());
        }
        Side::Worker(worker) => {
            shown["queues"] = worker.queues.iter().map(QueueName::as_str).collect();
            shown["free"] = json!(worker.allowed.jobs.saturating_sub(worker.granted));
            shown["granted"] = json!(worker.granted);
            shown["done"] = json!(worker.done);
            shown["draining"] = json!(worker.draining);
            // One that did not come back in time has lost what it held.
            let held = worker.leases.values().filter(|_| session.is_working()).map(|held| json!({ "job": held.id.to_string(), "running_ms": held.started_us.map(|at| now.us.saturating_sub(at) / 1_000), "progress": held.progress }));
            shown["jobs"] = held.collect();
        }
    }
    shown
}
