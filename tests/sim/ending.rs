//! How a run ends: who still waits for something, what is still kept, and what was counted.

use forebay::core::broker::Broker;
use forebay::core::record::KeptJob;
use forebay::link::Hub;
use forebay::model::Outcome;
use forebay::store::Store;
use forebay::store::journal::inspect;

use crate::delayed::SimJobs;
use crate::judge::rule;
use crate::plan::Fault;
use crate::state::State;
use crate::world::{Role, World};

impl<J: SimJobs> World<J> {
    /// What somebody still waits for or does; `None` when all is done.
    pub(crate) fn is_unsettled(&self) -> Option<String> {
        for (peer, node) in self.nodes.iter().enumerate() {
            let Some(link) = &node.link else { return Some(format!("peer {peer} is not there")) };
            let open = match &node.role {
                Some(Role::Client(client)) => client.waits_for(),
                Some(Role::Worker(worker)) => worker.is_busy(),
                None => None,
            };
            let unsaid = (link.unacknowledged() > 0 && !node.is_spoiled)
                .then(|| format!("{} commands not acknowledged", link.unacknowledged()));
            if let Some(open) = open.or(unsaid) {
                return Some(format!("peer {peer} waits: {open}"));
            }
        }
        let Some((_, broker)) = &self.broker else { return Some("the broker is not there".into()) };
        if !self.store.is_settled() {
            return Some("the store has not written everything".into());
        }
        let counters = broker.jobs().table().counters();
        let open = counters.submitted - counters.done - counters.not_done;
        // A spoiled packet may have submitted a job to a queue nobody serves.
        (open > 0 && !self.plan.has(Fault::BadFrames)).then(|| format!("{open} jobs have not ended"))
    }

    /// Nobody waits for anything and every result's time is over: nothing is kept any more.
    pub(crate) fn check_empty(&mut self) {
        let open = self.is_unsettled();
        rule!(open.is_none(), "after the calm {open:?}");
        let status = match &self.nodes[0].role {
            Some(Role::Client(client)) => client.status.clone(),
            _ => None,
        };
        let Some(status) = status else { panic!("broken: the broker does not say how it stands") };
        // A quarantined job waits for a person, and nobody comes.
        let quarantined = status["quarantined"].as_u64().unwrap_or_default();
        let is_kept = |field: &str| field == "memory_bytes" && quarantined > 0;
        for field in ["jobs", "leases", "results_kept", "memory_bytes"] {
            let is_clean = status[field] == 0 || is_kept(field) || self.plan.has(Fault::BadFrames);
            rule!(is_clean, "{field} is {} with nothing to do: {status}", status[field]);
        }
        self.check_store();
        let Some((hub, broker)) = &self.broker else { return };
        rule!(broker.jobs().is_settled(), "the jobs side holds something back");
        let ours = self.nodes.iter().filter(|node| !node.is_spoiled).count();
        let sessions = hub.sessions();
        rule!((ours..=self.nodes.len()).contains(&sessions), "{sessions} sessions for {ours} peers");
        for (peer, node) in self.nodes.iter().enumerate() {
            if let Some(Role::Client(client)) = &node.role {
                let known = client.core.jobs();
                if known > 0 {
                    self.detail("known:", &client.core);
                }
                rule!(node.is_spoiled || known == 0, "client {peer} knows {known} jobs with nothing to do");
            }
        }
    }

    /// The store holds what was written to it, and no job any more.
    fn check_store(&mut self) {
        if !self.plan.durable {
            return;
        }
        let found = match inspect(&mut self.store.disk) {
            Ok(Some(found)) => State::of(&found.kept),
            other => panic!("broken: at the end the store is {other:?}"),
        };
        let state = &self.judge.written.state;
        rule!(
            found == *state,
            "the store holds something else than was written: {}",
            state.difference(&found)
        );
        let open = self.judge.written.open();
        rule!(
            open.is_none() || self.plan.has(Fault::BadFrames),
            "job {open:?} was written down and has no end"
        );
        let is_left = |job: &&KeptJob| {
            job.ended.as_ref().is_none_or(|(verdict, _)| verdict.outcome != Outcome::Quarantined)
        };
        let left = found.jobs.values().find(is_left);
        rule!(
            left.is_none() || self.plan.has(Fault::BadFrames),
            "the store holds {left:?} with nothing to do"
        );
    }

    /// Adds what one life of the broker counted.
    pub(crate) fn count_life(&mut self, hub: &Hub, broker: &Broker<J>) {
        let unknowns = broker.jobs().unknowns();
        let (hub, broker, table) = (hub.counters(), broker.counters(), broker.jobs().table().counters());
        for (name, count) in [
            ("hub: bad packets", hub.bad_packets),
            ("hub: strange packets", hub.strange_packets),
            ("hub: gaps", hub.gaps),
            ("hub: duplicates", hub.duplicates),
            ("hub: WHO", hub.who_sent),
            ("hub: sessions opened", hub.sessions_opened),
            ("hub: resyncs", hub.resyncs),
            ("hub: sessions expired", hub.sessions_expired),
            ("hub: refused", hub.refused),
            ("broker: sessions returned", broker.returned),
            ("jobs side: unknown", unknowns),
            ("table: duplicates", table.duplicates),
            ("table: retried", table.retried),
            ("table: losses", table.losses),
            ("table: lapses", table.lapses),
            ("table: stale", table.stale),
            ("table: adopted", table.adopted),
            ("table: recalled", table.recalled),
            ("table: results expired", table.results_expired),
        ] {
            self.tally.add(name, count);
        }
    }

    pub(crate) fn finish_count(&mut self) {
        if let Some((hub, broker)) = self.broker.take() {
            self.count_life(&hub, &broker);
            self.broker = Some((hub, broker));
        }
        let last = self.store.journal.as_ref().map_or(0, |journal| journal.stats().recycled);
        self.tally.add("store: segments used again", self.store.recycled + last);
        let judged = std::mem::take(&mut self.judge.tally);
        self.tally.merge(&judged);
    }
}
