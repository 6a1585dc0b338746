//! The reference model: what applications were told of durable jobs, which must stay true for ever.
//!
//! It knows nothing of brokers, sessions, tokens or time. A job that some application was told is accepted ends once;
//! everybody who is told its end is told the same; it is cancelled or has a result, not both.

use std::collections::{BTreeMap, BTreeSet};

use forebay::model::{JobId, Outcome, Verdict};

use crate::judge::rule;
use crate::work::{Job, numbers};
use crate::written::Written;

/// The end of a job as it was told: outcome, attempt, and the numbers its result begins with, unless the result was
/// said to be kept no more.
type End = (Outcome, u32, Option<Option<(u64, u64)>>);

/// The model. See the module's text.
#[derive(Default)]
pub(crate) struct Told {
    accepted: BTreeMap<JobId, u64>,
    /// Those of them that were not looked up yet.
    news: Vec<JobId>,
    ends: BTreeMap<JobId, End>,
    cancelled: BTreeSet<JobId>,
    /// Those of other applications, and volatile ones, are not compared.
    known: BTreeMap<JobId, Job>,
}

impl Told {
    /// An application is about to submit a durable job.
    pub(crate) fn expect(&mut self, job: &Job) {
        self.known.insert(job.id, job.clone());
    }

    pub(crate) fn accepted(&mut self, id: JobId) {
        if let Some(job) = self.known.get(&id) {
            self.accepted.insert(id, job.number);
            self.news.push(id);
        }
    }

    pub(crate) fn cancelled(&mut self, id: JobId) {
        if self.known.contains_key(&id) {
            self.cancelled.insert(id);
        }
    }

    /// The job was forgotten, its time being over, and its id is that of a new one now: as a rule one that somebody
    /// cancels who had not asked in time.
    pub(crate) fn lives_anew(&mut self, id: JobId) {
        self.ends.remove(&id);
    }

    pub(crate) fn ended(&mut self, id: JobId, verdict: &Verdict) {
        let Some(job) = self.known.get(&id) else { return };
        let is_kept = verdict.code != "result-forgotten";
        let end = (verdict.outcome, verdict.attempt, is_kept.then(|| numbers(&verdict.body)));
        let before = self.ends.entry(id).or_insert(end);
        // Who is told that it is cancelled need not be told when.
        let is_same = before.0 == end.0 && (before.1 == end.1 || end.0 == Outcome::Cancelled);
        let is_same = is_same && (before.2 == end.2 || before.2.is_none() || end.2.is_none());
        rule!(is_same, "job {} ended {before:?} for one reader and {end:?} for another", job.number);
        before.2 = before.2.or(end.2);
    }

    /// Who is told that a job is accepted can rely on it: it was written down, unless it ended before a broker took it.
    pub(crate) fn check_news(&mut self, written: &Written) {
        for id in self.news.drain(..) {
            let number = self.accepted[&id];
            let is_known = written.submitted(id).is_some() || written.end(id).is_some();
            let may_end_at_once = self.known[&id].options.deadline_ms.is_some();
            rule!(
                is_known || may_end_at_once || self.ends.contains_key(&id) || self.cancelled.contains(&id),
                "job {number} {id} was acknowledged, and was never written down"
            );
        }
    }

    /// Nobody waits for anything any more: what was told is what was written down.
    pub(crate) fn check(&self, written: &Written) {
        for (id, number) in &self.accepted {
            // One whose deadline passed before a broker could take it, or that was cancelled before, has ended here only.
            let job = &self.known[id];
            let is_local = self.ends.get(id).is_some_and(|end| end.1 == 0 && end.2 == Some(None))
                || job.options.deadline_ms.is_some()
                || self.cancelled.contains(id);
            let end = written.end(*id);
            rule!(
                end.is_some() || is_local,
                "job {number} {id} was acknowledged, and has no end: {:?}",
                self.ends.get(id)
            );
        }
        for (id, end) in &self.ends {
            let Some(kept) = written.end(*id) else { continue };
            let is_local = end.1 == 0 && end.2 == Some(None);
            rule!(
                kept.outcome == end.0 && (kept.attempt == end.1 || is_local),
                "job {} ended {end:?} for who was told, and {kept:?} in the store",
                self.known[id].number
            );
        }
        for id in &self.cancelled {
            let end = self.ends.get(id).map_or(Outcome::Cancelled, |end| end.0);
            let kept = written.end(*id).map_or(Outcome::Cancelled, |kept| kept.outcome);
            rule!(
                (end, kept) == (Outcome::Cancelled, Outcome::Cancelled),
                "job {} is cancelled for ever; {end:?} was told and {kept:?} is in the store",
                self.known[id].number
            );
        }
    }
}
