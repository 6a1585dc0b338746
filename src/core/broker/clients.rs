//! What clients say, and what they are told.

use std::sync::Arc;

use crate::core::broker::sessions::{ClientSide, Side};
use crate::core::broker::{Broker, What};
use crate::core::jobs::{Answer, Asker, Jobs, SessionId, Word};
use crate::model::limits::BUSY_RETRY_MS;
use crate::model::{Failure, JobId, Now, Outcome, Status, Submission, Verdict};
use crate::model::{Planted, planted};
use crate::wire::command::{FromBroker, GetMode, PeerKind, ToBroker};

impl<J: Jobs> Broker<J> {
    pub(super) fn execute_client(&mut self, now: Now, session: SessionId, number: u64, command: ToBroker) {
        match command {
            ToBroker::Submit(job) => self.submit(now, session, number, job),
            ToBroker::BadSubmit { id, failure } => {
                if let Some(Side::Client(client)) = self.side(session) {
                    client.submitted += 1;
                }
                self.refuse(session, number, id, failure);
                self.refill_credit(session);
            }
            ToBroker::Cancel { id, own, reason } => {
                let tag = self.call(session, number, What::Cancel(id), || ToBroker::Cancel {
                    id,
                    own,
                    reason: reason.clone(),
                });
                let asker = self.asker(session);
                self.jobs.cancel(now, tag, id, &asker, own, &reason);
            }
            ToBroker::Get { id, mode } => {
                if mode == GetMode::Watch {
                    self.watch(session, id);
                }
                let tag = self.call(session, number, What::Get(id, mode), || ToBroker::Get { id, mode });
                let asker = self.asker(session);
                self.jobs.get(now, tag, id, &asker);
            }
            ToBroker::Forget(ids) => self.forget(now, session, number, ids),
            ToBroker::ResultCredit(results) => {
                if let Some(Side::Client(client)) = self.side(session) {
                    client.pushes_allowed = results;
                }
                self.push_backlog(session);
                self.done(session, number);
            }
            _ => self.misplaced(session, number),
        }
    }

    pub(super) fn asker(&self, session: SessionId) -> Asker {
        self.sessions[&session].asker.clone()
    }

    fn submit(&mut self, now: Now, session: SessionId, number: u64, job: Arc<Submission>) {
        let id = job.id;
        let Some(Side::Client(client)) = self.side(session) else { return };
        client.submitted += 1;
        if client.submitted > client.submits_allowed {
            let message = format!(
                "SUBMIT {} of this session goes beyond the credit of {}",
                client.submitted, client.submits_allowed
            );
            return self.refuse(session, number, id, Failure::busy(message, BUSY_RETRY_MS));
        }
        if self.draining {
            return self.refuse(
                session,
                number,
                id,
                Failure::busy("the broker is draining and takes no more jobs", 1_000),
            );
        }
        self.pass_submit(now, session, number, job);
        self.refill_credit(session);
    }

    /// Hands a submission that was let in to the jobs side.
    pub(super) fn pass_submit(&mut self, now: Now, session: SessionId, number: u64, job: Arc<Submission>) {
        if !self.sessions.contains_key(&session) {
            return;
        }
        let tag = self.call(session, number, What::Submit(job.id), || ToBroker::Submit(job.clone()));
        let asker = self.asker(session);
        self.jobs.submit(now, tag, &asker, Arc::unwrap_or_clone(job));
    }

    /// Allows more submissions once half of the credit is used, unless the broker is full.
    fn refill_credit(&mut self, session: SessionId) {
        let (window, full) = (self.config.submit_jobs, self.full);
        let Some(Side::Client(client)) = self.side(session) else { return };
        if !full && client.submits_allowed.saturating_sub(client.submitted) < window.div_ceil(2) {
            client.submits_allowed = client.submitted + window;
            let allowed = client.submits_allowed;
            self.send(session, FromBroker::SubmitCredit(allowed));
        }
    }

    /// The jobs side has run full, or has room again.
    pub(super) fn pressed(&mut self, full: bool) {
        self.full = full;
        if !full {
            let clients: Vec<SessionId> = self
                .sessions
                .iter()
                .filter(|(_, session)| session.kind() == PeerKind::Client)
                .map(|(id, _)| *id)
                .collect();
            for session in clients {
                self.refill_credit(session);
            }
        }
    }

    fn forget(&mut self, now: Now, session: SessionId, number: u64, ids: Vec<JobId>) {
        if ids.is_empty() {
            return self.done(session, number);
        }
        if let Some(Side::Client(client)) = self.side(session) {
            client.forgetting.insert(number, ids.len());
        }
        self.pass_forget(now, session, number, &ids);
    }

    /// Hands the jobs of a FORGET that was counted to the jobs side.
    pub(super) fn pass_forget(&mut self, now: Now, session: SessionId, number: u64, ids: &[JobId]) {
        if !self.sessions.contains_key(&session) {
            return;
        }
        let asker = self.asker(session);
        for &id in ids {
            let tag = self.call(session, number, What::Forget, || ToBroker::Forget(vec![id]));
            self.jobs.forget(now, tag, id, &asker);
        }
    }

    /// One job of a FORGET is done with.
    pub(super) fn forgot(&mut self, session: SessionId, number: u64) {
        let Some(Side::Client(client)) = self.side(session) else { return };
        let left = client.forgetting.get(&number).map_or(0, |left| left - 1);
        if left > 0 {
            client.forgetting.insert(number, left);
            return;
        }
        client.forgetting.remove(&number);
        self.done(session, number);
    }

    /// Remembers that the session wants this job's result when there is one.
    fn watch(&mut self, session: SessionId, id: JobId) {
        let Some(Side::Client(client)) = self.side(session) else { return };
        if client.watching.insert(id) {
            self.watchers.get_or_insert_with(id, Vec::new).push(session);
        }
    }

    pub(super) fn got(&mut self, session: SessionId, id: JobId, mode: GetMode, answer: Answer) {
        let (status, state, attempt, fraction, verdict) = match answer {
            Answer::State { state, attempt, fraction, verdict } => {
                (Status::Ok, state, attempt, fraction, verdict)
            }
            Answer::Refused(failure) => (failure.status, Outcome::Waiting, 0, 0.0, None),
            _ => return,
        };
        self.send(session, FromBroker::State { id, status, state, attempt, fraction });
        // Who only looked may be told late that there is no job, and have begun to watch it since.
        let is_unknown = mode == GetMode::Watch && status != Status::Ok;
        if verdict.is_some() || is_unknown {
            self.unwatch(session, id);
        }
        if let Some(verdict) = verdict {
            self.send(session, FromBroker::Result { id, verdict });
        }
    }

    /// A client is gone, and with it what it waited for.
    pub(super) fn unwatch_all(&mut self, session: SessionId) {
        let Some(Side::Client(client)) = self.side(session) else { return };
        for id in std::mem::take(&mut client.watching) {
            self.unwatch(session, id);
        }
    }

    fn unwatch(&mut self, session: SessionId, id: JobId) {
        if let Some(Side::Client(client)) = self.side(session) {
            client.watching.remove(&id);
        }
        if let Some(watchers) = self.watchers.get_mut(&id) {
            watchers.retain(|watcher| *watcher != session);
            if watchers.is_empty() {
                self.watchers.remove(&id);
            }
        }
    }

    /// A job has ended: its watchers are told, and whoever submitted it if it wanted to be.
    pub(super) fn ended(&mut self, id: JobId, asker: &Asker, push: bool, verdict: &Arc<Verdict>) {
        let watchers =
            self.watchers.remove(&id).filter(|_| !planted(Planted::DropWaiter)).unwrap_or_default();
        for &session in &watchers {
            if let Some(Side::Client(client)) = self.side(session) {
                client.watching.remove(&id);
                self.send(session, FromBroker::Result { id, verdict: verdict.clone() });
            }
        }
        let Some(session) = self.addressee(asker).filter(|session| push && !watchers.contains(session))
        else {
            return;
        };
        let Some(Side::Client(client)) = self.side(session) else { return };
        client.backlog.push_back((id, verdict.clone()));
        if planted(Planted::DeliverTwice) {
            client.backlog.push_back((id, verdict.clone()));
        }
        self.push_backlog(session);
    }

    /// Who is there to be told: the session itself, or another client of the same name.
    fn addressee(&self, asker: &Asker) -> Option<SessionId> {
        if self.sessions.contains_key(&asker.session) {
            return Some(asker.session);
        }
        let same_name = |(_, session): &(&SessionId, &crate::core::broker::sessions::Session)| {
            session.kind() == PeerKind::Client && session.attached && session.asker.owner == asker.owner
        };
        (!asker.owner.name.is_empty())
            .then(|| self.sessions.iter().find(same_name).map(|(id, _)| *id))
            .flatten()
    }

    /// Sends as many results as the client has room for.
    fn push_backlog(&mut self, session: SessionId) {
        while let Some(Side::Client(client)) = self.side(session) {
            let Some((id, verdict)) = take_next(client) else { return };
            self.send(session, FromBroker::Result { id, verdict });
        }
    }

    /// A running job's worker spoke, and its submitter wants to hear it.
    pub(super) fn said(&mut self, id: JobId, asker: &Asker, attempt: u32, word: Word) {
        let Some(session) = self.addressee(asker) else { return };
        if matches!(self.side(session), Some(Side::Client(client)) if client.congested) {
            self.counters.words_dropped += 1;
            return;
        }
        let command = match word {
            Word::Progress { fraction, note } => FromBroker::ProgressOf { id, attempt, fraction, note },
            Word::Partial { sequence, body } => FromBroker::PartialOf { id, attempt, sequence, body },
        };
        self.send(session, command);
    }
}

fn take_next(client: &mut ClientSide) -> Option<(JobId, Arc<Verdict>)> {
    if client.pushed >= client.pushes_allowed {
        return None;
    }
    let next = client.backlog.pop_front()?;
    client.pushed += 1;
    Some(next)
}
