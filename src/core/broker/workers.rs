//! What workers say, and what they are told.

use std::sync::Arc;

use crate::core::broker::calls::Call;
use crate::core::broker::sessions::{Held, Session, Side, WorkerSide};
use crate::core::broker::{Broker, What, session_of, worker_of};
use crate::core::jobs::{Allowance, Class, Crash, End, Jobs, SessionId, Word, WorkerId};
use crate::core::session::Output;
use crate::model::limits::WORKER_QUEUES_MAX;
use crate::model::{Failure, JobId, Lease, Now, QueueName, Status, Stop};
use crate::wire::command::{FromBroker, Grant, Presented, ToBroker};

impl<J: Jobs> Broker<J> {
    pub(super) fn execute_worker(&mut self, now: Now, session: SessionId, number: u64, command: ToBroker) {
        match command {
            ToBroker::Register { queue, slots, weight } => {
                self.register(now, session, &queue, slots, weight);
                self.done(session, number);
            }
            ToBroker::Unregister { queue } => {
                self.unregister(now, session, &queue);
                self.count_workers();
                self.done(session, number);
            }
            ToBroker::Demand { jobs, bytes } => {
                self.change_worker(session, |worker| worker.allowed = Allowance { jobs, bytes });
                self.pass_demand(now, session);
                self.done(session, number);
            }
            ToBroker::Start(lease) => {
                self.start(now, session, lease);
                self.done(session, number);
            }
            ToBroker::Progress { lease, fraction, note } => {
                let fraction = if fraction.is_finite() { fraction.clamp(0.0, 1.0) } else { 0.0 };
                self.change_worker(session, |worker| {
                    if let Some(held) = worker.leases.get_mut(lease) {
                        held.progress = Some(fraction);
                    }
                });
                self.say(now, session, number, lease, Word::Progress { fraction, note });
            }
            ToBroker::Partial { lease, sequence, body } => {
                self.say(now, session, number, lease, Word::Partial { sequence, body })
            }
            ToBroker::Present(held) => self.present(now, session, number, held),
            command => self.finish(now, session, number, command),
        }
    }

    /// The commands that end a lease.
    pub(super) fn finish(&mut self, now: Now, session: SessionId, number: u64, command: ToBroker) {
        let again = self.jobs.caps().unknown.then(|| command.clone());
        let (lease, end) = match command {
            ToBroker::Done { lease, completion } => (lease, End::Done(completion)),
            ToBroker::Failed { lease, fault } => (lease, End::Failed(fault)),
            ToBroker::Release { lease, delay_ms } => (lease, End::Released { delay_ms }),
            ToBroker::Unstarted(lease) => (lease, End::Unstarted),
            _ => return self.misplaced(session, number),
        };
        let is_done = matches!(end, End::Done(_));
        self.change_worker(session, |worker| {
            let held = worker.leases.remove(lease);
            worker.done += u64::from(held.is_some() && is_done);
        });
        let tag = self
            .call(session, number, What::Finish(lease), || again.expect("it was kept for such a jobs side"));
        self.jobs.finish(now, tag, lease, end);
    }

    fn change_worker(&mut self, session: SessionId, change: impl FnOnce(&mut WorkerSide)) {
        if let Some(Side::Worker(worker)) = self.side(session) {
            change(worker);
        }
    }

    pub(super) fn worker(&self, session: SessionId) -> Option<&WorkerSide> {
        match self.sessions.get(&session).map(|session| &session.side) {
            Some(Side::Worker(worker)) => Some(worker),
            _ => None,
        }
    }

    fn register(&mut self, now: Now, session: SessionId, queue: &str, slots: u32, weight: u32) {
        let name = match QueueName::new(queue) {
            Ok(name) => name,
            Err(failure) => {
                return self.send(session, FromBroker::RegisterRefused { queue: queue.to_owned(), failure });
            }
        };
        let Some(Side::Worker(worker)) = self.side(session) else { return };
        if worker.queues.len() >= WORKER_QUEUES_MAX && !worker.queues.contains(&name) {
            let message = format!("the worker has registered {WORKER_QUEUES_MAX} queues, as many as one may");
            let failure = Failure::new(Status::TooLarge, message);
            return self.send(session, FromBroker::RegisterRefused { queue: queue.to_owned(), failure });
        }
        worker.queues.insert(name.clone());
        self.jobs.take(now, worker_of(session), &Class { queue: name, slots, weight: weight.max(1) });
        self.count_workers();
    }

    fn unregister(&mut self, now: Now, session: SessionId, queue: &str) {
        let Some(Side::Worker(worker)) = self.side(session) else { return };
        if let Some(name) = worker.queues.take(queue) {
            self.jobs.give_up(now, worker_of(session), &name);
        }
    }

    /// Tells the jobs side how much the worker takes now.
    pub(super) fn pass_demand(&mut self, now: Now, session: SessionId) {
        let Some(known) = self.sessions.get(&session) else { return };
        let Side::Worker(worker) = &known.side else { return };
        if known.attached && !worker.draining && !self.draining {
            self.jobs.demand(now, worker_of(session), worker.allowed);
        } else {
            self.jobs.demand(now, worker_of(session), Allowance::default());
        }
    }

    /// Nothing more is handed to the worker.
    pub(super) fn withdraw(&mut self, now: Now, session: SessionId) {
        if self.worker(session).is_some() {
            self.jobs.demand(now, worker_of(session), Allowance::default());
        }
    }

    /// A worker is asked to finish what it runs and to take nothing more.
    pub(super) fn drain_worker(&mut self, now: Now, session: SessionId) {
        self.change_worker(session, |worker| worker.draining = true);
        self.withdraw(now, session);
        self.send(session, FromBroker::Drain { stops: false });
    }

    fn start(&mut self, now: Now, session: SessionId, lease: Lease) {
        let Some(Side::Worker(worker)) = self.side(session) else { return };
        match worker.leases.get_mut(lease) {
            Some(held) => {
                held.started_us = Some(now.us);
                self.jobs.start(now, lease);
            }
            None => self.send(session, FromBroker::Revoke { lease, why: Stop::LEASE_LOST }),
        }
    }

    fn say(&mut self, now: Now, session: SessionId, number: u64, lease: Lease, word: Word) {
        if self.worker(session).is_some_and(|worker| worker.leases.contains(lease)) {
            self.jobs.say(now, lease, word);
        }
        self.done(session, number);
    }

    fn present(&mut self, now: Now, session: SessionId, number: u64, held: Presented) {
        let tag = self.call(session, number, What::Present(held.id), || ToBroker::Present(held.clone()));
        self.jobs.present(now, tag, worker_of(session), &held);
    }

    pub(super) fn adopted(&mut self, session: SessionId, id: JobId, lease: Lease) {
        self.change_worker(session, |worker| {
            worker.leases.insert(lease, Held { id, started_us: Some(0), progress: None });
        });
        self.send(session, FromBroker::Adopt { id, lease });
    }

    pub(super) fn granted(&mut self, now: Now, worker: WorkerId, grant: Box<Grant>) {
        let session = session_of(worker);
        let lease = grant.lease;
        let Some(Side::Worker(worker)) = self.side(session) else {
            // The session closed while the grant was on its way.
            return self.end_lease(now, session, lease, false, false, None);
        };
        worker.granted += 1;
        worker.leases.insert(lease, Held { id: grant.id, started_us: None, progress: None });
        self.send(session, FromBroker::Grant(grant));
    }

    pub(super) fn revoked(&mut self, _now: Now, worker: WorkerId, lease: Lease, why: Stop) {
        let session = session_of(worker);
        let Some(Side::Worker(worker)) = self.side(session) else { return };
        if worker.leases.remove(lease).is_some() {
            self.send(session, FromBroker::Revoke { lease, why });
        }
    }

    pub(super) fn beat(&mut self, now: Now, session: SessionId, held: &[Lease]) {
        let Some(known) = self.sessions.get(&session) else { return };
        let mut dropped = Vec::new();
        if let Side::Worker(worker) = &known.side {
            let (kept, gone): (Vec<Lease>, Vec<Lease>) =
                held.iter().copied().partition(|&lease| worker.leases.contains(lease));
            self.jobs.extend(now, worker_of(session), &kept);
            dropped = gone;
        }
        self.outputs.push_back(Output::BeatReply { session, dropped });
    }

    /// Gives up every lease of a session. `counted`: it vanished, it did not say goodbye. Who says how its process ended may know
    /// what that had at hand; what else it held, it was only about to do, or had done without having said so, and none of that counts.
    pub(super) fn end_leases(
        &mut self,
        now: Now,
        session: SessionId,
        counted: bool,
        crash: Option<Arc<Crash>>,
    ) {
        let Some(worker) = self.worker(session) else { return };
        let running = worker.leases.values().filter(|held| held.started_us.is_some()).count();
        let all = worker.leases.len();
        let is_at_hand = |held: &Held| crash.as_ref().is_some_and(|crash| crash.at_hand.contains(&held.id));
        let at_hand = worker.leases.values().filter(|held| is_at_hand(held)).count();
        let lost = |(lease, held): (Lease, &Held)| {
            let alone = match (at_hand, held.started_us) {
                (0, Some(_)) => running == 1,
                (0, None) => all == 1,
                _ => at_hand == 1 && is_at_hand(held),
            };
            (lease, alone, counted && (at_hand == 0 || is_at_hand(held)))
        };
        let leases: Vec<(Lease, bool, bool)> = worker.leases.iter().map(lost).collect();
        for (lease, alone, counted) in leases {
            self.end_lease(now, session, lease, alone, counted, crash.clone());
        }
    }

    pub(super) fn end_lease(
        &mut self,
        now: Now,
        session: SessionId,
        lease: Lease,
        alone: bool,
        counted: bool,
        crash: Option<Arc<Crash>>,
    ) {
        let what = What::Lost(lease, alone, counted, crash.clone());
        let tag = self.calls.open(Call { session, number: 0, what, again: None });
        self.jobs.finish(now, tag, lease, End::Lost { alone, counted, crash });
    }

    /// How many attached workers serve a queue.
    pub(super) fn workers_of(&self, queue: &str) -> usize {
        let serves = |session: &&Session| {
            session.attached
                && matches!(&session.side, Side::Worker(worker) if !worker.draining && worker.queues.contains(queue))
        };
        self.sessions.values().filter(serves).count()
    }
}
