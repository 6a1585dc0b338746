//! ADMIN commands: what operators ask, answered as JSON by REPLY. `api::commands` lists them.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::core::broker::sessions::{Session, Side};
use crate::core::broker::{Broker, What};
use crate::core::jobs::{Admin, Answer, Jobs, SessionId};
use crate::model::limits::{INTERVAL_MS_MAX, LIST_MAX};
use crate::model::{Body, Failure, JobId, JobOptions, Level, Now, Outcome, QueueName, Status};
use crate::wire::command::{FromBroker, PeerKind};

/// A long poll looks for events this often while things happen.
pub(super) const POLL_INTERVAL_MS: u64 = 20;

/// What is made of the jobs side's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// As it is.
    Plain,
    /// The sessions side adds what it knows.
    Status,
    /// Only the list of queues.
    Queues,
}

/// A client that waits for events.
#[derive(Clone, Debug)]
pub(super) struct Poll {
    pub(super) session: SessionId,
    tag: u64,
    since: u64,
    limit: usize,
    queue: Option<QueueName>,
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

/// The arguments of one command; every key must be used.
struct Arguments<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Arguments<'a> {
    fn take(&mut self, key: &str) -> Option<&'a str> {
        let at = self.0.iter().position(|(name, _)| *name == key)?;
        Some(self.0.swap_remove(at).1)
    }

    fn need(&mut self, key: &str) -> Result<&'a str, Failure> {
        self.take(key).ok_or_else(|| Failure::new(Status::Argument, format!("argument \"{key}\" is missing")))
    }

    fn number(&mut self, key: &str, default: u64) -> Result<u64, Failure> {
        let Some(text) = self.take(key) else { return Ok(default) };
        let wrong = || {
            Failure::new(
                Status::Argument,
                format!("argument \"{key}\" is \"{text}\"; a whole number from 0 is right"),
            )
        };
        text.parse().map_err(|_| wrong())
    }

    fn queue(&mut self) -> Result<Option<QueueName>, Failure> {
        self.take("queue").map(QueueName::new).transpose()
    }

    fn id(&mut self, key: &str) -> Result<Option<JobId>, Failure> {
        let Some(text) = self.take(key) else { return Ok(None) };
        let wrong = || {
            Failure::new(
                Status::Argument,
                format!("argument \"{key}\" is \"{text}\"; a UUID of 36 characters is right"),
            )
        };
        JobId::parse(text).map(Some).ok_or_else(wrong)
    }

    fn finish(self) -> Result<(), Failure> {
        match self.0.first() {
            Some((key, _)) => {
                Err(Failure::new(Status::Argument, format!("the command has no argument \"{key}\"")))
            }
            None => Ok(()),
        }
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
        let arguments =
            Arguments(arguments.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect());
        if let Err(failure) = self.command(now, session, tag, command, arguments) {
            self.reply(session, tag, Shape::Plain, Answer::Refused(failure));
        }
    }

    fn command(
        &mut self,
        now: Now,
        session: SessionId,
        tag: u64,
        command: &str,
        mut arguments: Arguments<'_>,
    ) -> Result<(), Failure> {
        let by = self.asker(session);
        let (what, shape) = match command {
            "status" => (Admin::Status, Shape::Status),
            "queue.list" => (Admin::Status, Shape::Queues),
            "job.get" => {
                let id = arguments
                    .id("id")?
                    .ok_or_else(|| Failure::new(Status::Argument, "argument \"id\" is missing"))?;
                (Admin::Job { id, by }, Shape::Plain)
            }
            "jobs.list" => (self.jobs_list(&mut arguments, by)?, Shape::Plain),
            "queue.pause" | "queue.resume" => {
                let queue = QueueName::new(arguments.need("queue")?)?;
                (Admin::QueuePause { queue, paused: command == "queue.pause" }, Shape::Plain)
            }
            "queue.set" => {
                let queue = QueueName::new(arguments.need("queue")?)?;
                let options = Box::new(queue_options(&mut arguments)?);
                (Admin::QueueSet { queue, options }, Shape::Plain)
            }
            "events" => return self.add_poll(now, session, tag, arguments),
            "workers.wait" => return self.add_wait(now, session, tag, arguments),
            "workers.list" | "clients.list" => {
                arguments.finish()?;
                let kind = if command == "workers.list" { PeerKind::Worker } else { PeerKind::Client };
                let list = self.list_sessions(now, kind);
                let key = if kind == PeerKind::Worker { "workers" } else { "clients" };
                self.reply(session, tag, Shape::Plain, Answer::Json(json!({ key: list })));
                return Ok(());
            }
            "worker.drain" => return self.drain_named(now, session, tag, arguments),
            _ => {
                return Err(Failure::new(
                    Status::NotFound,
                    format!("no admin command \"{command}\"; forebay_command_at lists those there are"),
                ));
            }
        };
        arguments.finish()?;
        self.ask(now, session, what, What::Admin(tag, shape));
        Ok(())
    }

    fn ask(&mut self, now: Now, session: SessionId, what: Admin, pending: What) {
        let tag = self.next_tag;
        self.next_tag += 1;
        self.pending
            .insert(tag, crate::core::broker::Pending { session, number: 0, what: pending, again: None });
        self.jobs.admin(now, tag, &what);
    }

    fn jobs_list(
        &self,
        arguments: &mut Arguments<'_>,
        by: crate::core::jobs::Asker,
    ) -> Result<Admin, Failure> {
        let state = match arguments.take("state") {
            None => None,
            Some(name) => {
                let known =
                    Outcome::ALL.into_iter().find(|outcome| outcome.name().eq_ignore_ascii_case(name));
                let wrong = || {
                    Failure::new(
                        Status::Argument,
                        format!(
                            "argument \"state\" is \"{name}\"; an outcome's name such as RUNNING is right"
                        ),
                    )
                };
                Some(known.ok_or_else(wrong)?)
            }
        };
        let (queue, since) = (arguments.queue()?, arguments.id("since")?);
        let limit = arguments.number("limit", 100)? as usize;
        Ok(Admin::Jobs { queue, state, since, limit, by })
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
        if shape != Shape::Plain {
            self.count_serving(&mut json);
        }
        match shape {
            Shape::Plain => json,
            Shape::Queues => json!({ "queues": json["queues"].take() }),
            Shape::Status => {
                let count = |kind| {
                    self.sessions
                        .values()
                        .filter(|session| session.kind() == kind && session.attached)
                        .count()
                };
                json["clients"] = json!(count(PeerKind::Client));
                json["workers"] = json!(count(PeerKind::Worker));
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
    fn count_serving(&self, json: &mut Value) {
        let mut serving = BTreeMap::<&str, usize>::new();
        for session in self.sessions.values().filter(|session| session.attached) {
            if let Side::Worker(worker) = &session.side
                && !worker.draining
            {
                for class in &worker.classes {
                    *serving.entry(class.queue.as_str()).or_default() += 1;
                }
            }
        }
        for queue in json["queues"].as_array_mut().into_iter().flatten() {
            let count = queue["name"].as_str().and_then(|name| serving.get(name)).copied();
            queue["workers"] = json!(count.unwrap_or(0));
        }
    }

    fn list_sessions(&self, now: Now, kind: PeerKind) -> Vec<Value> {
        let wanted = self.sessions.values().filter(|session| session.kind() == kind);
        wanted.map(|session| show_session(now, session)).collect()
    }

    fn add_poll(
        &mut self,
        now: Now,
        session: SessionId,
        tag: u64,
        mut arguments: Arguments<'_>,
    ) -> Result<(), Failure> {
        let since = arguments.number("since", 0)?;
        let limit = (arguments.number("limit", 1_000)? as usize).clamp(1, LIST_MAX);
        let wait_ms = arguments.number("wait_ms", 0)?.min(INTERVAL_MS_MAX);
        let queue = arguments.queue()?;
        arguments.finish()?;
        let poll = Poll { session, tag, since, limit, queue, until_us: now.after_ms(wait_ms), asked: false };
        let key = self.next_poll;
        self.next_poll += 1;
        self.polls.insert(key, poll);
        self.ask_poll(now, key);
        Ok(())
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
        let (session, since, limit, queue) = (poll.session, poll.since, poll.limit, poll.queue.clone());
        let by = self.asker(session);
        self.ask(now, session, Admin::Events { since, limit, queue, by }, What::Poll(key));
    }

    /// The events a client waits for, if there are any; else it goes on waiting until its time is over.
    pub(super) fn polled(&mut self, now: Now, key: u64, answer: Answer) {
        let Some(poll) = self.polls.get_mut(&key) else { return };
        poll.asked = false;
        let empty = matches!(&answer, Answer::Json(json) if json["events"].as_array().is_some_and(Vec::is_empty))
            || answer == Answer::Unknown;
        if empty && poll.until_us > now.us {
            if let Answer::Json(json) = &answer {
                poll.since = json["next"].as_u64().unwrap_or(poll.since);
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

fn show_session(now: Now, session: &Session) -> Value {
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
            shown["queues"] = worker.classes.iter().map(|class| class.queue.as_str()).collect();
            shown["free"] = json!(worker.allowed.jobs.saturating_sub(worker.granted));
            shown["granted"] = json!(worker.granted);
            shown["done"] = json!(worker.done);
            shown["draining"] = json!(worker.draining);
            let held = worker.leases.values().map(|held| json!({ "job": held.id.to_string(), "running_ms": held.started_us.map(|at| now.us.saturating_sub(at) / 1_000) }));
            shown["jobs"] = held.collect();
        }
    }
    shown
}

/// A queue's defaults from text: the keys of `job.*` without the prefix.
fn queue_options(arguments: &mut Arguments<'_>) -> Result<JobOptions, Failure> {
    let mut number = |key: &str| -> Result<Option<u64>, Failure> {
        if arguments.0.iter().any(|(name, _)| *name == key) {
            arguments.number(key, 0).map(Some)
        } else {
            Ok(None)
        }
    };
    let small = |value: Option<u64>| value.map(|value| u32::try_from(value).unwrap_or(u32::MAX));
    let mut options = JobOptions {
        priority: small(number("priority")?),
        delay_ms: number("delay_ms")?,
        queue_ms: number("queue_ms")?,
        run_ms: number("run_ms")?,
        soft_ms: number("soft_ms")?,
        stall_ms: number("stall_ms")?,
        deadline_ms: number("deadline_ms")?,
        attempts: small(number("attempts")?),
        backoff_ms: number("backoff_ms")?,
        backoff_ms_max: number("backoff_ms_max")?,
        releases: small(number("releases")?),
        result_ttl_ms: number("result_ttl_ms")?,
        partial_bytes: number("partial_bytes")?,
        ..JobOptions::default()
    };
    options.level = match arguments.take("level") {
        None => None,
        Some("auto") => Some(Level::Auto),
        Some("volatile") => Some(Level::Volatile),
        Some("durable") => Some(Level::Durable),
        Some(other) => {
            return Err(Failure::new(
                Status::Argument,
                format!("argument \"level\" is \"{other}\"; auto, volatile or durable is right"),
            ));
        }
    };
    options.refuse_unknown_queue = match arguments.take("unknown_queue") {
        None => None,
        Some("wait") => Some(false),
        Some("refuse") => Some(true),
        Some(other) => {
            return Err(Failure::new(
                Status::Argument,
                format!("argument \"unknown_queue\" is \"{other}\"; wait or refuse is right"),
            ));
        }
    };
    Ok(options)
}
