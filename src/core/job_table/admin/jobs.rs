//! One job, and lists of jobs in pages.
//!
//! A page is the `limit` smallest ids behind `since`. They are found in one pass over all jobs that keeps no more of
//! them than that: no order by id has to be kept up while jobs come and go, and a list of a million jobs sorts only
//! its page.

use std::collections::BinaryHeap;

use serde_json::{Value, json};

use crate::core::job_table::admin::{show, unknown_job};
use crate::core::job_table::entry::Job;
use crate::core::job_table::remember::PastJob;
use crate::core::job_table::{JobTable, live};
use crate::core::jobs::{Asker, Listed};
use crate::model::{Failure, JobId, Now, QueueName};

/// Where a job of a page is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    Slot(u32),
    Past,
}

/// The smallest ids seen so far, one more than the page has room for.
struct Page {
    least: BinaryHeap<(JobId, Found)>,
    since: Option<JobId>,
    limit: usize,
}

impl Page {
    /// Takes `id` if it belongs to the page as far as is known; `fits` is only asked then.
    fn offer(&mut self, id: JobId, found: Found, fits: impl FnOnce() -> bool) {
        let is_behind = self.since.is_none_or(|since| id > since);
        let is_full = self.least.len() > self.limit;
        let is_less = !is_full || self.least.peek().is_some_and(|(most, _)| id < *most);
        if is_behind && is_less && fits() {
            if is_full {
                self.least.pop();
            }
            self.least.push((id, found));
        }
    }
}

impl JobTable {
    pub(super) fn show_job(&self, now: Now, id: JobId, by: &Asker) -> Result<Value, Failure> {
        if let Some(slot) = self.slot_of(id, by) {
            return Ok(self.whole(now, self.job(slot)));
        }
        let past = self.past.get(&id).filter(|past| past.owner.user == by.owner.user);
        past.map(|past| show::past_whole(now, id, past)).ok_or_else(|| unknown_job(id))
    }

    pub(super) fn list_jobs(
        &self,
        now: Now,
        queue: Option<&QueueName>,
        listed: Listed,
        since: Option<JobId>,
        limit: usize,
        by: &Asker,
    ) -> Value {
        let user = &by.owner.user;
        let mut page = Page { least: BinaryHeap::new(), since, limit };
        let fits = |job: &Job| {
            listed.takes(job.outcome())
                && queue.is_none_or(|queue| job.queue == *queue)
                && job.asker.owner.user == *user
        };
        for (slot, job) in live(&self.slots) {
            page.offer(job.id, Found::Slot(slot), || fits(job));
        }
        if listed.takes_forgotten() {
            let fits = |past: &PastJob| {
                listed.takes(past.outcome)
                    && queue.is_none_or(|queue| past.queue == *queue)
                    && past.owner.user == *user
            };
            for (id, past) in self.past.iter() {
                page.offer(id, Found::Past, || fits(past));
            }
        }
        let mut found = page.least.into_sorted_vec();
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|(id, _)| id.to_string());
        let line = |(id, found): (JobId, Found)| match found {
            Found::Slot(slot) => Some(self.line(now, self.job(slot))),
            Found::Past => self.past.get(&id).map(|past| show::past_line(now, id, past)),
        };
        let jobs: Vec<Value> = found.into_iter().filter_map(line).collect();
        json!({ "jobs": jobs, "more": more, "next": next })
    }
}
