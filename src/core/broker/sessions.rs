//! Sessions: opened, dropped, returned, closed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::core::broker::hosts::Host;
use crate::core::broker::{Broker, worker_of};
use crate::core::jobs::{Allowance, Asker, Crash, Jobs, SessionId};
use crate::core::session::Output;
use crate::model::{JobId, Lease, Now, Owner, QueueName, Sequence, Verdict};
use crate::wire::command::{FromBroker, Hello, PeerKind};

/// One peer's session.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) asker: Asker,
    pub(super) host: String,
    pub(super) pid: u32,
    pub(super) version: String,
    /// It has a connection.
    pub(super) attached: bool,
    pub(super) opened_us: u64,
    pub(super) side: Side,
}

/// What belongs to one kind of peer only.
#[derive(Clone, Debug)]
pub(super) enum Side {
    Client(ClientSide),
    Worker(WorkerSide),
}

/// A client's credits, and results that wait for them.
#[derive(Clone, Debug, Default)]
pub(super) struct ClientSide {
    pub(super) submitted: u64,
    pub(super) submits_allowed: u64,
    pub(super) pushed: u64,
    pub(super) pushes_allowed: u64,
    pub(super) backlog: VecDeque<(JobId, Arc<Verdict>)>,
    /// Jobs whose results it waits for.
    pub(super) watching: BTreeSet<JobId>,
    /// It takes what it is sent too slowly: words on the way are dropped, results are not.
    pub(super) congested: bool,
    /// FORGETs that are not carried out in full, by command number: how many jobs are left.
    pub(super) forgetting: BTreeMap<u64, usize>,
    /// What it said last, if it is a host.
    pub(super) host: Option<Box<Host>>,
}

/// A worker's queues, demand and leases.
#[derive(Clone, Debug, Default)]
pub(super) struct WorkerSide {
    pub(super) queues: BTreeSet<QueueName>,
    pub(super) allowed: Allowance,
    /// Grants sent in this session.
    pub(super) granted: u64,
    /// What it holds.
    pub(super) leases: Sequence<Lease, Held>,
    /// Its leases end then unless it comes back.
    pub(super) suspended_until_us: Option<u64>,
    /// It was asked to finish and go.
    pub(super) draining: bool,
    pub(super) done: u64,
}

/// One lease of a worker.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) id: JobId,
    pub(super) started_us: Option<u64>,
    /// How far its worker said it is.
    pub(super) progress: Option<f64>,
}

impl Session {
    pub(super) fn kind(&self) -> PeerKind {
        match self.side {
            Side::Client(_) => PeerKind::Client,
            Side::Worker(_) => PeerKind::Worker,
        }
    }

    /// Whether it holds jobs and may still answer them in time. A worker that did not come back in time keeps the
    /// leases it had, in case it does come back; they have ended.
    pub(super) fn is_working(&self) -> bool {
        match &self.side {
            Side::Worker(worker) => {
                !worker.leases.is_empty() && (self.attached || worker.suspended_until_us.is_some())
            }
            Side::Client(_) => false,
        }
    }

    /// The worker's name, or what else tells it apart.
    pub(super) fn shown_name(&self) -> String {
        match self.asker.owner.name.as_str() {
            "" => format!("{}:{}", self.host, self.pid),
            name => name.to_owned(),
        }
    }
}

impl<J: Jobs> Broker<J> {
    pub(super) fn open(&mut self, now: Now, id: SessionId, hello: Hello, identity: String) {
        self.counters.opened += 1;
        let owner = Arc::new(Owner { user: identity, name: hello.name });
        let asker = Asker { owner, session: id };
        let side = match hello.kind {
            PeerKind::Client => {
                Side::Client(ClientSide { submits_allowed: self.config.submit_jobs, ..ClientSide::default() })
            }
            PeerKind::Worker => Side::Worker(WorkerSide { draining: self.draining, ..WorkerSide::default() }),
        };
        let session = Session {
            asker: asker.clone(),
            host: hello.host,
            pid: hello.pid,
            version: hello.version,
            attached: true,
            opened_us: now.us,
            side,
        };
        match session.kind() {
            PeerKind::Client => self.jobs.watch(now, &asker, true),
            PeerKind::Worker => self.jobs.arrive(now, worker_of(id), &session.shown_name()),
        }
        let is_late_worker = self.draining && session.kind() == PeerKind::Worker;
        self.sessions.insert(id, session);
        if is_late_worker {
            self.send(id, FromBroker::Drain { stops: true });
        }
    }

    pub(super) fn dropped(&mut self, now: Now, id: SessionId) {
        let reattach_ms = self.config.reattach_ms;
        let Some(session) = self.sessions.get_mut(&id).filter(|session| session.attached) else { return };
        session.attached = false;
        self.counters.dropped += 1;
        match &mut session.side {
            Side::Worker(worker) => {
                let until_us = now.after_ms(reattach_ms);
                worker.suspended_until_us = Some(until_us);
                self.suspensions.insert((until_us, id));
                self.withdraw(now, id);
            }
            Side::Client(client) => client.host = None,
        }
    }

    pub(super) fn returned(&mut self, now: Now, id: SessionId) {
        self.end_suspension(id);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.attached = true;
        self.counters.returned += 1;
        if let Side::Worker(worker) = &mut session.side {
            let leases: Vec<Lease> = worker.leases.keys().collect();
            self.jobs.extend(now, worker_of(id), &leases);
            self.pass_demand(now, id);
            self.count_workers();
        }
    }

    pub(super) fn closed(&mut self, now: Now, id: SessionId, on_purpose: bool) {
        self.end_suspension(id);
        let Some(session) = self.sessions.get(&id) else { return };
        match session.kind() {
            PeerKind::Worker => {
                self.withdraw(now, id);
                self.end_leases(now, id, !on_purpose, None);
                self.jobs.leave(now, worker_of(id));
            }
            PeerKind::Client => {
                let asker = session.asker.clone();
                self.jobs.watch(now, &asker, false);
                self.unwatch_all(id);
                self.polls.retain(|_, poll| poll.session != id);
                self.waits.retain(|wait| wait.session != id);
            }
        }
        self.sessions.remove(&id);
        // The jobs side answers every tag; those of a session that is gone are passed over when they come.
        self.outputs.retain(|output| !matches!(output, Output::Send { session, .. } | Output::Done { session, .. } if *session == id));
    }

    /// Ends the leases of workers that did not come back in time.
    pub(super) fn end_suspensions(&mut self, now: Now) {
        while let Some((until_us, id)) =
            self.suspensions.first().copied().filter(|(until_us, _)| *until_us <= now.us)
        {
            self.suspensions.remove(&(until_us, id));
            if let Some(Side::Worker(worker)) = self.side(id) {
                worker.suspended_until_us = None;
            }
            self.end_leases(now, id, true, None);
        }
    }

    /// Whoever looks after a worker's process says that it has ended: nobody waits for its connection to come back. How
    /// many jobs it held.
    pub(super) fn crashed(&mut self, now: Now, id: SessionId, crash: Crash) -> usize {
        self.dropped(now, id);
        self.end_suspension(id);
        let held = self.worker(id).map_or(0, |worker| worker.leases.len());
        self.end_leases(now, id, true, Some(Arc::new(crash)));
        held
    }

    /// The worker is there again, or gone for good.
    fn end_suspension(&mut self, id: SessionId) {
        let Some(Side::Worker(worker)) = self.side(id) else { return };
        if let Some(until_us) = worker.suspended_until_us.take() {
            self.suspensions.remove(&(until_us, id));
        }
    }
}
