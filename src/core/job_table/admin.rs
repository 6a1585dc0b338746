//! What operators see and set, as JSON. Fields are only ever added.

use serde_json::{Value, json};

use crate::core::job_table::admit::check_rules;
use crate::core::job_table::entry::{Job, State};
use crate::core::job_table::remember::{Happened, Kept, PastJob};
use crate::core::job_table::{JobTable, live};
use crate::core::jobs::{Admin, Answer, Asker, Tag};
use crate::core::record::{Attempt, QueueKept, Record};
use crate::model::limits::LIST_MAX;
use crate::model::{Failure, JobId, JobOptions, Now, Outcome, QueueName, Status};

impl JobTable {
    pub(super) fn administer(&mut self, now: Now, tag: Tag, what: &Admin) {
        let answer = match what {
            Admin::Status => Ok(self.status()),
            Admin::Job { id, by } => self.show_job(now, *id, by),
            Admin::Jobs { queue, state, since, limit, by } => {
                Ok(self.list_jobs(now, queue.as_ref(), *state, *since, *limit, by))
            }
            Admin::QueueSet { queue, options } => self.set_queue(queue, options),
            Admin::QueuePause { queue, paused } => Ok(self.pause_queue(now, queue, *paused)),
            Admin::Events { since, limit, queue, by } => {
                Ok(self.list_events(*since, *limit, queue.as_ref(), by))
            }
        };
        let answer = answer.map_or_else(Answer::Refused, Answer::Json);
        let durable =
            self.config.durable && matches!(what, Admin::QueueSet { .. } | Admin::QueuePause { .. });
        self.answer(durable, tag, answer);
    }

    /// Writes down what is set for a queue.
    fn record_queue(&mut self, name: &QueueName) {
        let Some(queue) = self.queues.get(name).filter(|_| self.config.durable) else { return };
        let kept = QueueKept { queue: name.clone(), options: queue.options.clone(), paused: queue.paused };
        self.record(true, || Record::QueueSet(kept.into()));
    }

    fn status(&self) -> Value {
        let queues: Vec<Value> = self.queues.iter().map(|(name, queue)| {
            json!({
                "name": name.as_str(), "ready": queue.ready.len(), "leased": queue.leased,
                "delayed": queue.jobs - queue.leased - queue.ready.len() as u64, "bytes": queue.bytes, "workers": queue.workers.len(),
                "done": queue.done, "not_done": queue.not_done, "paused": queue.paused,
            })
        }).collect();
        let counters = &self.counters;
        json!({
            "jobs": self.queues.values().map(|queue| queue.jobs).sum::<u64>(),
            "leases": self.leases,
            "results_kept": self.ids.len() as u64 - self.queues.values().map(|queue| queue.jobs).sum::<u64>(),
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

    fn show_job(&self, now: Now, id: JobId, by: &Asker) -> Result<Value, Failure> {
        if let Some(slot) = self.slot_of(id, by) {
            return Ok(show(now, self.job(slot)));
        }
        match self.past.get(&id).filter(|past| past.owner.user == by.owner.user) {
            Some(past) => Ok(show_past(id, past)),
            None => Err(Failure::new(Status::NotFound, format!("no job {id} is known here"))),
        }
    }

    fn list_jobs(
        &self,
        now: Now,
        queue: Option<&QueueName>,
        state: Option<Outcome>,
        since: Option<JobId>,
        limit: usize,
        by: &Asker,
    ) -> Value {
        let fits = |job: &&Job| {
            job.asker.owner.user == by.owner.user
                && queue.is_none_or(|queue| job.queue == *queue)
                && state.is_none_or(|state| job.outcome() == state)
                && since.is_none_or(|since| job.id > since)
        };
        let mut jobs: Vec<&Job> = live(&self.slots).map(|(_, job)| job).filter(fits).collect();
        jobs.sort_unstable_by_key(|job| job.id);
        let limit = limit.min(LIST_MAX);
        let more = jobs.len() > limit;
        json!({ "jobs": jobs.into_iter().take(limit).map(|job| show(now, job)).collect::<Vec<_>>(), "more": more })
    }

    fn set_queue(&mut self, name: &QueueName, options: &JobOptions) -> Result<Value, Failure> {
        let rules = self.default_rules.with(options);
        check_rules(&rules)?;
        let queue = self.queue(name);
        queue.rules = rules.into();
        queue.options = options.clone();
        self.record_queue(name);
        Ok(json!({ "queue": name.as_str() }))
    }

    fn pause_queue(&mut self, now: Now, name: &QueueName, paused: bool) -> Value {
        self.queue(name).paused = paused;
        self.record_queue(name);
        if paused {
            self.drop_queue_if_unused(name);
        } else {
            self.offer(now, name);
        }
        json!({ "queue": name.as_str(), "paused": paused })
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

fn show_attempt(attempt: &Attempt) -> Value {
    json!({
        "number": attempt.number, "worker": &*attempt.worker, "started_ms": attempt.started_wall_ms,
        "ended_ms": (attempt.ended_wall_ms != 0).then_some(attempt.ended_wall_ms), "how": attempt.how,
    })
}

fn show(now: Now, job: &Job) -> Value {
    let stage = match &job.state {
        State::Delayed { .. } => "delayed",
        State::Queued => "queued",
        State::Leased { .. } => "leased",
        State::Running { .. } => "running",
        State::Ended { .. } => "ended",
    };
    let verdict = match &job.state {
        State::Ended { verdict, .. } => Some(verdict),
        _ => None,
    };
    json!({
        "id": job.id.to_string(), "queue": job.queue.as_str(), "outcome": job.outcome().name(), "stage": stage,
        "priority": job.rules.priority, "attempts": job.attempts, "attempts_max": job.rules.attempts,
        "losses": job.losses, "releases": job.releases, "suspect": job.suspect, "progress": job.fraction, "note": job.note,
        "payload_bytes": job.payload_len(), "level": if job.durable { "durable" } else { "volatile" },
        "accepted_ms": job.accepted_wall_ms, "age_ms": now.us.saturating_sub(job.accepted_us) / 1_000,
        "code": verdict.map(|verdict| &verdict.code), "message": verdict.map(|verdict| &verdict.message),
        "history": job.history.iter().map(show_attempt).collect::<Vec<_>>(),
    })
}

fn show_past(id: JobId, past: &PastJob) -> Value {
    json!({
        "id": id.to_string(), "queue": past.queue.as_str(), "outcome": past.outcome.name(), "stage": "forgotten",
        "attempts": past.attempt, "accepted_ms": past.accepted_wall_ms, "code": past.code, "message": past.message,
        "history": past.history.iter().map(show_attempt).collect::<Vec<_>>(),
    })
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
