//! A broker without sockets, and peers that are a number each.

use bytes::Bytes;
use forebay::core::broker::{Broker, BrokerConfig};
use forebay::core::job_table::{JobTable, TableConfig};
use forebay::core::jobs::{Io, IoDone, SessionId};
use forebay::core::record::Record;
use forebay::core::session::{Input, Output};
use forebay::model::{
    Body, JobId, JobOptions, Lease, Now, Outcome, QueueName, Status, Stop, Submission, Verdict,
};
use forebay::wire::command::{Fault, FromBroker, Grant, Hello, PeerKind, Retry, Secret, ToBroker};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The wall clock when a rig starts: the middle of 2026.
pub(crate) const WALL_MS: u64 = 1_780_000_000_000;

pub(crate) struct Rig {
    config: TableConfig,
    pub(crate) broker: Broker<JobTable>,
    pub(crate) now: Now,
    sessions: u64,
    numbers: BTreeMap<u64, u64>,
    inbox: BTreeMap<u64, VecDeque<FromBroker>>,
    done: BTreeMap<u64, Vec<u64>>,
    dropped: Vec<Lease>,
    ids: u64,
    /// What a store would hold.
    pub(crate) records: Vec<Record>,
    /// The store takes its time: nothing is synced.
    pub(crate) holds_io: bool,
    /// Payloads that were read back.
    pub(crate) reads: usize,
}

/// A worker that allows one job after the other.
#[derive(Clone, Copy)]
pub(crate) struct Worker {
    pub(crate) session: u64,
    pub(crate) allowed: u64,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(TableConfig { broker: [1; 16], ..TableConfig::default() })
    }

    pub(crate) fn with(config: TableConfig) -> Self {
        Rig {
            broker: Broker::new(BrokerConfig::default(), JobTable::new(config.clone())),
            config,
            now: Now { us: 1_000_000, wall_ms: WALL_MS },
            sessions: 0,
            numbers: BTreeMap::new(),
            inbox: BTreeMap::new(),
            done: BTreeMap::new(),
            dropped: Vec::new(),
            ids: 0,
            records: Vec::new(),
            holds_io: false,
            reads: 0,
        }
    }

    /// A broker with a store.
    pub(crate) fn durable() -> Self {
        Self::durable_with_cache(u64::MAX)
    }

    /// A broker with a store, and so much room for payloads in memory.
    pub(crate) fn durable_with_cache(cache_max: u64) -> Self {
        Self::with(TableConfig { broker: [1; 16], durable: true, cache_max, ..TableConfig::default() })
    }

    /// The broker is killed and starts again on its store; `away_ms` pass between. Every session is gone.
    pub(crate) fn restart(self, away_ms: u64) -> Self {
        let config = TableConfig { epoch: self.config.epoch + 1, ..self.config };
        let leaves_bodies = config.cache_max == 0;
        let mut rig = Self::with(config.clone());
        rig.now.wall_ms = self.now.wall_ms + away_ms;
        rig.ids = self.ids;
        let mut table = JobTable::new(config);
        table.recover(
            rig.now,
            self.records.iter().cloned().map(|record| match record {
                Record::Submitted { owner, mut job, rules, wall_ms, sequence, .. } if leaves_bodies => {
                    let stored_len = std::mem::take(&mut Arc::make_mut(&mut job).body).len() as u64;
                    Record::Submitted { owner, job, rules, wall_ms, sequence, stored_len }
                }
                record => record,
            }),
        );
        rig.records = self.records;
        rig.broker = Broker::new(BrokerConfig::default(), table);
        rig.broker.tick(rig.now);
        rig.drain();
        rig
    }

    pub(crate) fn open(&mut self, kind: PeerKind, name: &str) -> u64 {
        self.open_as(kind, name, "uid:1")
    }

    pub(crate) fn open_as(&mut self, kind: PeerKind, name: &str, identity: &str) -> u64 {
        self.sessions += 1;
        let hello = Hello {
            min: 1,
            max: 1,
            kind,
            session: Secret([self.sessions as u8; 16]),
            hello: 1,
            welcomed: 0,
            received: 0,
            name: name.into(),
            host: "host".into(),
            pid: self.sessions as u32,
            version: "0".into(),
            features: vec![],
        };
        self.input(Input::Opened {
            session: SessionId(self.sessions),
            hello: Box::new(hello),
            identity: identity.into(),
        });
        self.sessions
    }

    /// A client that takes any number of results.
    pub(crate) fn client(&mut self) -> u64 {
        let client = self.open(PeerKind::Client, "");
        self.send(client, ToBroker::ResultCredit(u64::MAX));
        client
    }

    /// A worker of queue "q" that takes `slots` jobs at once.
    pub(crate) fn worker(&mut self, slots: u64) -> Worker {
        self.worker_of("q", slots)
    }

    pub(crate) fn worker_of(&mut self, queue: &str, slots: u64) -> Worker {
        let session = self.open(PeerKind::Worker, "");
        self.send(session, ToBroker::Register { queue: queue.into(), slots: 0, weight: 1 });
        self.send(session, ToBroker::Demand { jobs: slots, bytes: 0 });
        Worker { session, allowed: slots }
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.broker.handle(self.now, input);
        self.drain();
    }

    pub(crate) fn drop_connection(&mut self, session: u64) {
        self.input(Input::Dropped { session: SessionId(session) });
    }

    pub(crate) fn come_back(&mut self, session: u64) {
        self.input(Input::Returned { session: SessionId(session) });
    }

    pub(crate) fn close(&mut self, session: u64, on_purpose: bool) {
        self.input(Input::Closed { session: SessionId(session), on_purpose });
    }

    /// Leases the broker says the worker has lost.
    pub(crate) fn beat(&mut self, session: u64, held: &[Lease]) -> Vec<Lease> {
        self.input(Input::Beat { session: SessionId(session), held: held.to_vec() });
        std::mem::take(&mut self.dropped)
    }

    pub(crate) fn send(&mut self, session: u64, command: ToBroker) -> u64 {
        let number = self.numbers.entry(session).or_insert(0);
        *number += 1;
        let number = *number;
        self.input(Input::Command { session: SessionId(session), number, command });
        number
    }

    /// Whether the command with this number was answered in full.
    pub(crate) fn is_done(&self, session: u64, number: u64) -> bool {
        self.done.get(&session).is_some_and(|done| done.contains(&number))
    }

    fn drain(&mut self) {
        self.take_outputs();
        while !self.holds_io
            && let Some(io) = self.broker.poll_io()
        {
            let done = match io {
                Io::Append { upto, records } => {
                    self.records.extend(records);
                    IoDone::Synced { upto }
                }
                Io::Read { lease, id } => {
                    self.reads += 1;
                    IoDone::Read { lease, id, body: self.stored_body(id) }
                }
            };
            self.broker.io_done(self.now, done);
            self.take_outputs();
        }
        if let Err(violation) = self.broker.jobs().check(self.now) {
            panic!("{}", violation.0);
        }
    }

    fn stored_body(&self, id: JobId) -> Body {
        let body = self.records.iter().find_map(|record| match record {
            Record::Submitted { job, .. } if job.id == id => Some(job.body.clone()),
            _ => None,
        });
        body.expect("what is read was appended")
    }

    fn take_outputs(&mut self) {
        while let Some(output) = self.broker.poll() {
            match output {
                Output::Send { session, command } => {
                    self.inbox.entry(session.0).or_default().push_back(command)
                }
                Output::Done { session, number } => {
                    let done = self.done.entry(session.0).or_default();
                    assert!(!done.contains(&number), "command {number} was answered twice");
                    done.push(number);
                }
                Output::BeatReply { dropped, .. } => self.dropped = dropped,
                Output::Close { why, .. } => panic!("nobody is to be closed here: {why}"),
            }
        }
    }

    /// Lets time pass, waking the broker whenever it asks to be.
    pub(crate) fn pass_ms(&mut self, ms: u64) {
        let end_us = self.now.us + ms * 1_000;
        loop {
            let next_us = self.broker.next_timeout().map_or(end_us, |us| us.max(self.now.us + 1).min(end_us));
            self.now.wall_ms += (next_us - self.now.us) / 1_000;
            self.now.us = next_us;
            self.broker.tick(self.now);
            self.drain();
            if next_us >= end_us {
                return;
            }
        }
    }

    /// Time passes and the broker is not woken: it was stopped.
    pub(crate) fn stop_broker_ms(&mut self, ms: u64) {
        self.now.us += ms * 1_000;
        self.now.wall_ms += ms;
        self.broker.tick(self.now);
        self.drain();
    }

    pub(crate) fn new_id(&mut self) -> JobId {
        self.ids += 1;
        let mut random = [0; 10];
        random[2..].copy_from_slice(&self.ids.to_be_bytes());
        JobId::new(self.now.wall_ms, random)
    }

    pub(crate) fn job(&mut self, options: JobOptions) -> Submission {
        Submission {
            options,
            ..Submission::new(
                self.new_id(),
                QueueName::new("q").unwrap(),
                Body::one(Bytes::from_static(b"payload")),
            )
        }
    }

    pub(crate) fn submit(&mut self, client: u64, options: JobOptions) -> JobId {
        let job = self.job(options);
        let id = job.id;
        self.submit_job(client, job).expect("the job is accepted");
        id
    }

    /// A job of queue "elsewhere".
    pub(crate) fn submit_elsewhere(&mut self, client: u64) -> JobId {
        let queue = QueueName::new("elsewhere").unwrap();
        let job = Submission { queue, ..self.job(JobOptions::default()) };
        let id = job.id;
        self.submit_job(client, job).expect("the job is accepted");
        id
    }

    /// Ok when accepted, else the refusal.
    pub(crate) fn submit_job(&mut self, client: u64, job: Submission) -> Result<(), Status> {
        let id = job.id;
        let number = self.send(client, ToBroker::Submit(Arc::new(job)));
        let refused = self.take(client, |command| match command {
            FromBroker::Refused { id: refused, failure } if *refused == id => Some(failure.status),
            _ => None,
        });
        assert!(self.is_done(client, number));
        refused.map_or(Ok(()), Err)
    }

    /// Asks an admin command, which has to succeed, and gives its JSON.
    #[track_caller]
    pub(crate) fn admin(
        &mut self,
        client: u64,
        command: &str,
        arguments: &[(&str, &str)],
    ) -> serde_json::Value {
        match self.ask(client, command, arguments) {
            Ok(json) => json,
            Err((status, message)) => panic!("{command} {arguments:?}: {status} {message}"),
        }
    }

    /// Asks an admin command: its JSON, or why it was refused.
    pub(crate) fn ask(
        &mut self,
        client: u64,
        command: &str,
        arguments: &[(&str, &str)],
    ) -> Result<serde_json::Value, (Status, String)> {
        const TAG: u64 = 4_711;
        let arguments = arguments.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        self.send(client, ToBroker::Admin { tag: TAG, command: command.into(), arguments });
        let reply = self.take(client, |command| match command {
            FromBroker::Reply { tag: TAG, status: Status::Ok, body, .. } => Some(Ok(body.0[0].clone())),
            FromBroker::Reply { tag: TAG, status, message, .. } => Some(Err((*status, message.clone()))),
            _ => None,
        });
        reply.expect("an answer").map(|body| serde_json::from_slice(&body).expect("JSON"))
    }

    /// Takes the first message `pick` wants out of what the session has received.
    pub(crate) fn take<T>(&mut self, session: u64, pick: impl Fn(&FromBroker) -> Option<T>) -> Option<T> {
        let inbox = self.inbox.entry(session).or_default();
        let at = inbox.iter().position(|command| pick(command).is_some())?;
        inbox.remove(at).as_ref().and_then(pick)
    }

    pub(crate) fn grant(&mut self, worker: Worker) -> Option<Grant> {
        self.take(worker.session, |command| match command {
            FromBroker::Grant(grant) => Some((**grant).clone()),
            _ => None,
        })
    }

    pub(crate) fn revoked(&mut self, worker: Worker) -> Option<(Lease, Stop)> {
        self.take(worker.session, |command| match command {
            FromBroker::Revoke { lease, why } => Some((*lease, *why)),
            _ => None,
        })
    }

    pub(crate) fn recalled(&mut self, worker: Worker) -> Option<Lease> {
        self.take(worker.session, |command| match command {
            FromBroker::Recall(lease) => Some(*lease),
            _ => None,
        })
    }

    pub(crate) fn stale(&mut self, worker: Worker) -> Option<Lease> {
        self.take(worker.session, |command| match command {
            FromBroker::Stale(lease) => Some(*lease),
            _ => None,
        })
    }

    /// The worker's next job, begun.
    pub(crate) fn start(&mut self, worker: Worker) -> Grant {
        let grant = self.grant(worker).expect("a job was granted");
        self.send(worker.session, ToBroker::Start(grant.lease));
        grant
    }

    pub(crate) fn complete(&mut self, worker: &mut Worker, lease: Lease) {
        self.send(
            worker.session,
            ToBroker::Done { lease, completion: Arc::new(Body::one(Bytes::from_static(b"result")).into()) },
        );
        self.allow_one(worker);
    }

    pub(crate) fn fail(&mut self, worker: &mut Worker, lease: Lease, retry: Retry) {
        let fault = Fault { retry, code: "bad".into(), message: "it went wrong".into(), ..Fault::default() };
        self.send(worker.session, ToBroker::Failed { lease, fault: Arc::new(fault) });
        self.allow_one(worker);
    }

    /// The slot of a job that ended some other way is free again.
    pub(crate) fn allow_one(&mut self, worker: &mut Worker) {
        worker.allowed += 1;
        self.send(worker.session, ToBroker::Demand { jobs: worker.allowed, bytes: 0 });
    }

    pub(crate) fn result(&mut self, client: u64, id: JobId) -> Option<Arc<Verdict>> {
        self.take(client, |command| match command {
            FromBroker::Result { id: ended, verdict } if *ended == id => Some(verdict.clone()),
            _ => None,
        })
    }

    pub(crate) fn outcome(&mut self, client: u64, id: JobId) -> Option<Outcome> {
        self.result(client, id).map(|verdict| verdict.outcome)
    }
}
