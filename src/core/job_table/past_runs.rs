//! Runs whose results are gone, as operators see them: for a while, and not too many.
//!
//! Invariant: `order` names each run of `by_id` once, in the order in which they went.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use crate::model::limits::{PAST_RUNS_MAX, PAST_STEPS_MAX};
use crate::model::{JobId, Now, Owner};

/// One of them.
#[derive(Clone, Debug)]
struct PastRun {
    owner: Arc<Owner>,
    steps: usize,
    /// What was shown of it when it went, as JSON. Most are never asked for.
    shown: Box<str>,
}

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub(super) struct PastRuns {
    by_id: BTreeMap<JobId, PastRun>,
    order: VecDeque<(u64, JobId)>,
    steps: usize,
}

impl PastRuns {
    /// A run went. One that went before under the same id is forgotten, and so are the oldest beyond what is kept.
    pub(super) fn insert(&mut self, now: Now, id: JobId, owner: Arc<Owner>, steps: usize, shown: &Value) {
        self.forget(id);
        self.steps += steps;
        self.by_id.insert(id, PastRun { owner, steps, shown: shown.to_string().into() });
        self.order.push_back((now.us, id));
        while self.by_id.len() > PAST_RUNS_MAX || (self.steps > PAST_STEPS_MAX && self.by_id.len() > 1) {
            let Some(&(_, oldest)) = self.order.front() else { break };
            self.forget(oldest);
        }
    }

    pub(super) fn expire(&mut self, now: Now, retention_ms: u64) {
        while let Some(&(at_us, oldest)) = self.order.front()
            && at_us + retention_ms * 1_000 < now.us
        {
            self.forget(oldest);
        }
    }

    /// What is remembered of a run of this user.
    pub(super) fn get(&self, id: JobId, user: &str) -> Option<Value> {
        self.by_id.get(&id).filter(|run| run.owner.user == user).and_then(read)
    }

    /// The runs of this user behind `since`, in the order of their ids.
    pub(super) fn after<'a>(
        &'a self,
        since: Option<JobId>,
        user: &'a str,
    ) -> impl Iterator<Item = JobId> + 'a {
        let behind = self.by_id.iter().filter(move |(id, _)| since.is_none_or(|since| **id > since));
        behind.filter(move |(_, run)| run.owner.user == user).map(|(id, _)| *id)
    }

    fn forget(&mut self, id: JobId) {
        if let Some(run) = self.by_id.remove(&id) {
            self.steps -= run.steps;
            match self.order.front() {
                Some((_, first)) if *first == id => drop(self.order.pop_front()),
                _ => self.order.retain(|(_, known)| *known != id),
            }
        }
    }
}

fn read(run: &PastRun) -> Option<Value> {
    serde_json::from_str(&run.shown).ok()
}
