//! Jobs, rules and queues as JSON. A job is shown in two lengths: a line of a list, and whole.
//!
//! Invariant: every job has every field, whatever became of it; what is not known of it is null.

use serde_json::{Map, Value, json};

use crate::core::job_table::JobTable;
use crate::core::job_table::end::ended_wall_ms;
use crate::core::job_table::entry::{Job, KEPT_BY_RUN, State};
use crate::core::job_table::queue::Queue;
use crate::core::job_table::remember::PastJob;
use crate::core::record::{Attempt, Handed};
use crate::model::{JobId, JobOptions, Level, Now, Verdict};

impl JobTable {
    /// A job as a line of a list.
    pub(super) fn line(&self, now: Now, job: &Job) -> Value {
        let verdict = verdict_of(job);
        let holder = match job.state {
            State::Leased { worker, .. } | State::Running { worker, .. } => {
                self.workers.get(&worker).map(|worker| &*worker.name)
            }
            State::Ended { .. } => job.history.last().map(|attempt| &*attempt.worker),
            _ => None,
        };
        json!({
            "id": job.id.to_string(), "queue": job.queue.as_str(), "outcome": job.outcome().name(), "stage": stage_of(job),
            "client": job.asker.owner.name, "worker": holder, "priority": job.rules.priority,
            "attempts": job.attempts, "attempts_max": job.rules.attempts, "progress": job.fraction,
            "payload_bytes": job.payload_len(), "level": if job.durable { "durable" } else { "volatile" },
            "accepted_ms": job.accepted_wall_ms, "age_ms": now.us.saturating_sub(job.accepted_us) / 1_000,
            "ended_ms": verdict.and_then(ended_wall_ms),
            "code": verdict.map(|verdict| &verdict.code), "message": verdict.map(|verdict| &verdict.message),
            "parent": text_of(job.parent), "requeued_as": text_of(job.requeued_as()),
        })
    }

    /// Everything about a job but its payload and its result.
    pub(super) fn whole(&self, now: Now, job: &Job) -> Value {
        let mut shown = self.line(now, job);
        let verdict = verdict_of(job);
        let (not_before_us, keep_us) = match job.state {
            State::Delayed { until_us } => (Some(until_us), None),
            State::Ended { keep_us, .. } => (None, Some(keep_us).filter(|keep_us| *keep_us != KEPT_BY_RUN)),
            _ => (None, None),
        };
        let more = json!({
            "user": job.asker.owner.user, "note": job.note,
            "losses": job.losses, "releases": job.releases, "suspect": job.suspect,
            "behind": self.jobs_before(job), "not_before_ms": not_before_us.map(|at_us| wall_ms_of(now, at_us)),
            "kept_until_ms": keep_us.map(|at_us| wall_ms_of(now, at_us)),
            "detail": verdict.map(|verdict| &verdict.detail), "result_bytes": verdict.map(|verdict| verdict.body.len()),
            "rules": options(&JobOptions::from(&*job.rules)),
            "history": job.history.iter().map(attempt).collect::<Vec<_>>(),
        });
        extend(&mut shown, more);
        shown
    }
}

/// A job whose result is gone, as a line of a list.
pub(super) fn past_line(now: Now, id: JobId, past: &PastJob) -> Value {
    json!({
        "id": id.to_string(), "queue": past.queue.as_str(), "outcome": past.outcome.name(), "stage": "forgotten",
        "client": past.owner.name, "worker": past.history.last().map(|attempt| &*attempt.worker), "priority": null,
        "attempts": past.attempt, "attempts_max": null, "progress": null, "payload_bytes": null, "level": null,
        "accepted_ms": past.accepted_wall_ms, "age_ms": now.wall_ms.saturating_sub(past.accepted_wall_ms),
        "ended_ms": past.ended_wall_ms, "code": past.code, "message": past.message,
        "parent": text_of(past.parent), "requeued_as": text_of(past.requeued_as),
    })
}

/// Everything that is known of a job whose result is gone.
pub(super) fn past_whole(now: Now, id: JobId, past: &PastJob) -> Value {
    let mut shown = past_line(now, id, past);
    let more = json!({
        "user": past.owner.user, "note": null, "losses": null, "releases": null, "suspect": null,
        "behind": null, "not_before_ms": null, "kept_until_ms": null, "detail": null, "result_bytes": null, "rules": null,
        "history": past.history.iter().map(attempt).collect::<Vec<_>>(),
    });
    extend(&mut shown, more);
    shown
}

/// What a queue holds and how it is turned.
pub(super) fn queue(queue: &Queue) -> Value {
    json!({
        "name": queue.name.as_str(), "ready": queue.ready.len(), "leased": queue.leased,
        "delayed": queue.jobs - queue.leased - queue.ready.len() as u64, "behind": queue.behind(), "bytes": queue.bytes, "workers": queue.workers.len(),
        "done": queue.done, "not_done": queue.not_done, "paused": queue.paused, "draining": queue.draining,
    })
}

/// What options say, under the names they are set by; nothing of those that say nothing.
pub(super) fn options(options: &JobOptions) -> Value {
    let JobOptions {
        priority,
        delay_ms,
        queue_ms,
        run_ms,
        soft_ms,
        stall_ms,
        deadline_ms,
        attempts,
        backoff_ms,
        backoff_ms_max,
        releases,
        level,
        result_ttl_ms,
        partial_bytes,
        refuse_unknown_queue,
        serial_key,
        serial_jobs,
    } = options;
    let numbers = [
        ("priority", priority.map(u64::from)),
        ("delay_ms", *delay_ms),
        ("queue_ms", *queue_ms),
        ("run_ms", *run_ms),
        ("soft_ms", *soft_ms),
        ("stall_ms", *stall_ms),
        ("deadline_ms", *deadline_ms),
        ("attempts", attempts.map(u64::from)),
        ("backoff_ms", *backoff_ms),
        ("backoff_ms_max", *backoff_ms_max),
        ("releases", releases.map(u64::from)),
        ("result_ttl_ms", *result_ttl_ms),
        ("partial_bytes", *partial_bytes),
        ("serial_jobs", serial_jobs.map(u64::from)),
    ];
    let mut shown: Map<String, Value> =
        numbers.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect();
    if let Some(level) = level {
        let word = match level {
            Level::Auto => "auto",
            Level::Volatile => "volatile",
            Level::Durable => "durable",
        };
        shown.insert("level".into(), word.into());
    }
    if let Some(refuse) = refuse_unknown_queue {
        shown.insert("unknown_queue".into(), if *refuse { "refuse" } else { "wait" }.into());
    }
    if let Some(key) = serial_key {
        shown.insert("serial_key".into(), (&**key).into());
    }
    Value::Object(shown)
}

/// What the hosts of a queue are handed.
pub(super) fn handed(handed: &Handed) -> Value {
    json!({ "params": handed.params, "report_ms": handed.report_ms })
}

/// Adds the fields of `more`.
pub(super) fn extend(shown: &mut Value, more: Value) {
    if let (Value::Object(shown), Value::Object(more)) = (shown, more) {
        shown.extend(more);
    }
}

fn attempt(attempt: &Attempt) -> Value {
    let error = attempt.error.as_deref();
    json!({
        "number": attempt.number, "worker": &*attempt.worker, "started_ms": attempt.started_wall_ms,
        "ended_ms": (attempt.ended_wall_ms != 0).then_some(attempt.ended_wall_ms), "how": attempt.how,
        "code": error.map(|error| &error.code), "message": error.map(|error| &error.message),
        "evidence": attempt.evidence,
    })
}

fn stage_of(job: &Job) -> &'static str {
    match &job.state {
        State::Delayed { .. } => "delayed",
        State::Queued => "queued",
        State::Behind => "behind",
        State::Leased { .. } => "leased",
        State::Running { .. } => "running",
        State::Held => "held",
        State::Open { .. } => "open",
        State::Ended { .. } => "ended",
    }
}

fn verdict_of(job: &Job) -> Option<&Verdict> {
    match &job.state {
        State::Ended { verdict, .. } => Some(verdict),
        _ => None,
    }
}

pub(super) fn text_of(id: Option<JobId>) -> Option<String> {
    id.map(|id| id.to_string())
}

/// A moment of the clock that never jumps on the wall's clock.
fn wall_ms_of(now: Now, at_us: u64) -> u64 {
    let ahead_ms = at_us.saturating_sub(now.us) / 1_000;
    let ago_ms = now.us.saturating_sub(at_us) / 1_000;
    now.wall_ms.saturating_add(ahead_ms).saturating_sub(ago_ms)
}
