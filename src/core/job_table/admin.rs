//! What operators see and set, as JSON: the parts of it, and the broker as a whole. Fields are only ever added;
//! docs/ADMIN.md says what each of them means.
//!
//! Invariant: an answer appears only once every record it may speak of is synced.

mod jobs;
mod quarantine;
mod queues;
mod runs;
mod seen;
mod show;

use serde_json::{Value, json};

use crate::core::job_table::JobTable;
use crate::core::job_table::remember::{Happened, Kept};
use crate::core::jobs::{Admin, Answer, Asker, Tag};
use crate::model::limits::LIST_MAX;
use crate::model::{Failure, JobId, Now, QueueName, Status};

impl JobTable {
    pub(super) fn administer(&mut self, now: Now, tag: Tag, what: &Admin) {
        let answer = match what {
            Admin::Status => Ok(self.status()),
            Admin::Job { id, by } => self.show_job(now, *id, by),
            Admin::Jobs { queue, listed, since, limit, by } => {
                Ok(self.list_jobs(now, queue.as_ref(), *listed, *since, *limit, by))
            }
            Admin::Run { id, by } => self.show_run(now, *id, by),
            Admin::Resume { id, by } => self.resume_run(now, *id, by),
            Admin::StageClose { id, step, count, by } => self.close_stage(now, *id, step, *count, by),
            Admin::Context { id, context, by } => self.set_context(now, *id, context.clone(), by),
            Admin::Collect(what) => self.collect(now, what),
            Admin::Runs { listed, since, limit, by } => Ok(self.list_runs(now, *listed, *since, *limit, by)),
            Admin::Queues { queue } => self.list_queues(queue.as_ref()),
            Admin::QueueSet { queue, set, handed, unset } => self.set_queue(queue, set, handed, unset),
            Admin::Handed { queues } => Ok(self.hand(queues)),
            Admin::QueueTurn { queue, turn } => self.turn_queue(now, queue, *turn),
            Admin::QueuePurge { queue, before, limit, by } => {
                self.purge_queue(now, queue, *before, *limit, by)
            }
            Admin::Quarantine { queue, since, limit, by } => {
                Ok(self.list_quarantined(now, queue.as_ref(), *since, *limit, by))
            }
            Admin::Quarantined { id, bytes, by } => self.show_quarantined(now, *id, *bytes, by),
            Admin::Requeue { id, by } => self.requeue_quarantined(now, *id, by),
            Admin::Drop { id, by } => self.drop_quarantined(now, *id, by),
            Admin::Seen { id, attempt, worker, text } => self.see_attempt(*id, *attempt, worker, text),
            Admin::Events { since, limit, queue, by } => {
                Ok(self.list_events(*since, *limit, queue.as_ref(), by))
            }
        };
        let answer = answer.map_or_else(Answer::Refused, Answer::Json);
        self.answer(self.config.durable, tag, answer);
    }

    fn status(&self) -> Value {
        let queues: Vec<Value> = self.queues.iter().map(show::queue).collect();
        let counters = &self.counters;
        let jobs: u64 = self.queues.iter().map(|queue| queue.jobs).sum();
        json!({
            "jobs": jobs,
            "leases": self.leases,
            "results_kept": (self.ids.len() - self.quarantined.len()) as u64 - jobs,
            "quarantined": self.quarantined.len(),
            "memory_bytes": self.bytes - self.stored_bytes, "stored_bytes": self.stored_bytes, "memory_max": self.config.memory_max, "full": self.full,
            "queues": queues,
            "counters": {
                "submitted": counters.submitted, "duplicates": counters.duplicates, "refused": counters.refused, "busy": counters.busy,
                "started": counters.started, "done": counters.done, "not_done": counters.not_done, "retried": counters.retried,
                "losses": counters.losses, "lapses": counters.lapses, "stale": counters.stale, "adopted": counters.adopted,
                "recalled": counters.recalled, "results_expired": counters.results_expired, "tombstones": self.tombstones.len(),
            },
            "last_event": self.last_event(),
            "store": self.store.map(|store| json!({
                "full": self.store_full, "segments": store.segments, "used_bytes": store.used_bytes, "live_bytes": store.live_bytes,
                "records": store.records, "commits": store.commits, "syncs": store.syncs, "written_bytes": store.written_bytes,
                "copied_bytes": store.copied_bytes, "recycled": store.recycled, "refused": store.refused,
            })),
        })
    }

    fn list_events(&self, since: u64, limit: usize, queue: Option<&QueueName>, by: &Asker) -> Value {
        let limit = limit.min(LIST_MAX);
        let mut last = since;
        let mut events = Vec::new();
        for kept in self.events_kept.after(since) {
            if events.len() >= limit {
                break;
            }
            last = kept.number;
            if kept.owner.user == by.owner.user && queue.is_none_or(|queue| kept.queue == *queue) {
                events.push(show_event(kept));
            }
        }
        let first = self.events_kept.after(0).next().map_or(self.last_event() + 1, |kept| kept.number);
        let missed = first.saturating_sub(since + 1);
        json!({ "events": events, "next": last.max(since), "missed": missed })
    }
}

/// The refusal of an id that nobody of this user has.
fn unknown_job(id: JobId) -> Failure {
    Failure::new(
        Status::NotFound,
        format!("no job {id} is known here: it is another user's, or was forgotten, or never came"),
    )
}

fn show_event(kept: &Kept) -> Value {
    let outcome = match kept.what {
        Happened::Ended(outcome) => Some(outcome.name()),
        _ => None,
    };
    json!({
        "number": kept.number, "time_ms": kept.wall_ms, "job": kept.id.to_string(), "queue": kept.queue.as_str(),
        "event": kept.what.name(), "attempt": kept.attempt, "outcome": outcome, "why": (!kept.why.is_empty()).then_some(kept.why),
    })
}
