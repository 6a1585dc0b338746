//! Submissions: who is let in, and who is the same as before.

use std::sync::Arc;

use crate::core::job_table::JobTable;
use crate::core::job_table::entry::{Job, Part, State, Turn};
use crate::core::job_table::remember::Happened;
use crate::core::job_table::runs::context_of;
use crate::core::jobs::{Answer, Asker, Event, Tag};
use crate::core::record::Record;
use crate::model::limits::{
    BODY_FRAMES_MAX, BUSY_RETRY_MS, CONTENT_LEN_MAX, DEDUPE_WINDOW_MS, HEADERS_LEN_MAX, ID_AHEAD_MS_MAX,
    INTERVAL_MS_MAX, PRIORITY_MAX, QUEUES_MAX, SERIAL_JOBS_MAX, SERIAL_KEY_LEN_MAX, STORE_RETRY_MS,
};
use crate::model::{Failure, JobOptions, JobRules, Level, Now, QueueName, ReplyMode, Status, Submission};
use crate::model::{Planted, planted};

impl JobTable {
    pub(super) fn admit(&mut self, now: Now, tag: Tag, asker: &Asker, job: Submission) {
        if let Some(&slot) = self.ids.get(&job.id) {
            return self.submit_again(tag, asker, &job, slot);
        }
        if let Some(answer) = self.submit_buried(asker, &job) {
            return self.tell(self.config.durable, Event::Reply { tag, answer });
        }
        let mut job = job;
        job.queue = self.shared_name(job.queue);
        let checked = self.enter_stage(asker, &mut job).and_then(|part| {
            let rules = self.rules_for(&job)?;
            self.check_submission(now, &job, &rules)?;
            Ok((part, rules, self.pipeline_of(&job)?))
        });
        let (part, rules, pipeline) = match checked {
            Ok(checked) => checked,
            Err(failure) => {
                self.counters.refused += 1;
                self.counters.busy += u64::from(matches!(failure.status, Status::Busy | Status::StoreFull));
                return self.events.push_back(Event::Reply { tag, answer: Answer::Refused(failure) });
            }
        };
        let resent = job.resent;
        if let Some(pipeline) = pipeline {
            self.runs.insert(job.id, pipeline, context_of(&job.headers));
        }
        let slot = self.insert(now, asker, job, rules);
        if let Some(part) = part {
            self.join_stage(now, slot, part);
        }
        self.enter_key(now, slot);
        let job = self.job(slot);
        let (durable, delay_ms) = (job.durable, job.rules.delay_ms);
        self.answer(durable && !planted(Planted::AcknowledgeEarly), tag, Answer::Done);
        if !self.job(slot).is_run() && self.claim_orphan(now, slot) {
            return;
        }
        if resent || delay_ms > 0 {
            let wait_ms = if resent { delay_ms.max(self.config.reattach_ms) } else { delay_ms };
            self.job_mut(slot).state = State::Delayed { until_us: now.after_ms(wait_ms) };
            self.rearm(slot);
        } else {
            self.set_going(now, slot);
        }
    }

    /// The rules of the job: what it says over what its queue says over what the broker says.
    pub(super) fn rules_for(&mut self, job: &Submission) -> Result<Arc<JobRules>, Failure> {
        let rules = match self.queues.get(&job.queue) {
            Some(queue) => {
                if job.options.refuse_unknown_queue.unwrap_or(queue.rules.refuse_unknown_queue)
                    && !queue.known
                    && !job.is_run
                {
                    return Err(unknown_queue(job));
                }
                // What a broker before this one took it has to take too.
                if queue.draining && !job.resent {
                    return Err(draining(&job.queue));
                }
                &queue.rules
            }
            // A run is handed to no worker, so none need know its name.
            None if !job.is_run
                && job.options.refuse_unknown_queue.unwrap_or(self.default_rules.refuse_unknown_queue) =>
            {
                return Err(unknown_queue(job));
            }
            None if self.queues.len() >= QUEUES_MAX => {
                return Err(Failure::busy(
                    format!(
                        "queue \"{}\" would be one more than the {QUEUES_MAX} the broker keeps",
                        job.queue
                    ),
                    BUSY_RETRY_MS,
                ));
            }
            None => &self.default_rules,
        };
        if job.options == JobOptions::default() {
            return Ok(rules.clone());
        }
        let rules = rules.with(&job.options);
        check_rules(&rules)?;
        Ok(Arc::new(rules))
    }

    fn check_submission(&self, now: Now, job: &Submission, rules: &JobRules) -> Result<(), Failure> {
        let len = job.body.len() as u64;
        if len > self.config.payload_max {
            return Err(Failure::new(
                Status::TooLarge,
                format!("the payload has {len} bytes; the broker takes up to {}", self.config.payload_max),
            ));
        }
        if job.body.0.len() > BODY_FRAMES_MAX {
            return Err(Failure::new(
                Status::TooLarge,
                format!(
                    "the payload has {} frames; the broker takes up to {BODY_FRAMES_MAX}",
                    job.body.0.len()
                ),
            ));
        }
        if job.headers.len() > HEADERS_LEN_MAX {
            return Err(Failure::new(
                Status::TooLarge,
                format!(
                    "the headers have {} bytes with their names; the broker takes up to {HEADERS_LEN_MAX}",
                    job.headers.len()
                ),
            ));
        }
        if rules.level == Level::Durable && !self.config.durable {
            return Err(Failure::new(
                Status::Unsupported,
                "job.level is durable, but this broker has no store; start it with one, or submit the job volatile",
            ));
        }
        self.check_id(now, job)?;
        self.check_room(job, rules)
    }

    /// An id the application chose must lie in the window in which it can be remembered.
    fn check_id(&self, now: Now, job: &Submission) -> Result<(), Failure> {
        let Some(content) = &job.content else { return Ok(()) };
        let at = job.id.wall_ms();
        if !job.id.is_v7() {
            return Err(Failure::new(
                Status::Argument,
                format!(
                    "id {} is not a UUID of version 7; its time is needed to know how long to remember it",
                    job.id
                ),
            ));
        }
        if content.is_empty() || content.len() > CONTENT_LEN_MAX {
            return Err(Failure::new(
                Status::Argument,
                format!("the content hash has {} bytes; 1 to {CONTENT_LEN_MAX} are right", content.len()),
            ));
        }
        if at + DEDUPE_WINDOW_MS < now.wall_ms {
            return Err(Failure::new(
                Status::TooOld,
                format!(
                    "id {} is {} hours old; the broker remembers ids for 24, so the job may have run",
                    job.id,
                    (now.wall_ms - at) / 3_600_000
                ),
            ));
        }
        if at > now.wall_ms + ID_AHEAD_MS_MAX {
            return Err(Failure::new(
                Status::Argument,
                format!(
                    "id {} lies {} minutes ahead of the broker's clock; up to 10 are right",
                    job.id,
                    (at - now.wall_ms) / 60_000
                ),
            ));
        }
        if self.tombstones.is_full(self.named_ids) {
            return Err(Failure::busy(
                "the broker remembers as many ids of applications as it can",
                BUSY_RETRY_MS,
            ));
        }
        Ok(())
    }

    /// Whether there is room for the job: in the store, in memory, in its queue.
    pub(super) fn check_room(&self, job: &Submission, rules: &JobRules) -> Result<(), Failure> {
        if self.store_full && self.config.durable && rules.level != Level::Volatile {
            return Err(Failure::store_full(
                format!(
                    "the store has no room for a job of {} bytes; it takes jobs again when it has, and volatile ones now",
                    job.body.len()
                ),
                STORE_RETRY_MS,
            ));
        }
        if self.full {
            return Err(Failure::busy(
                format!(
                    "the broker keeps {} bytes of jobs and results, its limit (broker.memory_max)",
                    self.bytes - self.stored_bytes
                ),
                BUSY_RETRY_MS,
            ));
        }
        let (jobs, bytes) = self.queues.get(&job.queue).map_or((0, 0), |queue| (queue.jobs, queue.bytes));
        let (jobs_max, bytes_max) = (self.config.queue_jobs_max, self.config.queue_bytes_max);
        if jobs_max != 0 && jobs >= jobs_max {
            return Err(Failure::busy(
                format!("queue \"{}\" holds {jobs} jobs, its limit (queue.max_jobs)", job.queue),
                BUSY_RETRY_MS,
            ));
        }
        if bytes_max != 0 && bytes + job.body.len() as u64 > bytes_max {
            return Err(Failure::busy(
                format!(
                    "queue \"{}\" holds {bytes} bytes; with this job it would pass its limit of {bytes_max} (queue.max_bytes)",
                    job.queue
                ),
                BUSY_RETRY_MS,
            ));
        }
        Ok(())
    }

    pub(super) fn insert(&mut self, now: Now, asker: &Asker, job: Submission, rules: Arc<JobRules>) -> u32 {
        let slot = self.free_slots.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let durable = self.config.durable && rules.level != Level::Volatile;
        if durable {
            let (owner, job, rules) = (asker.owner.clone(), Arc::new(job.clone()), rules.clone());
            let wall_ms = now.wall_ms;
            self.record(true, || Record::Submitted { owner, job, rules, wall_ms, sequence, stored_len: 0 });
        }
        self.named_ids += usize::from(job.content.is_some());
        let entry = Job {
            id: job.id,
            asker: asker.clone(),
            queue: self.shared_name(job.queue),
            body: job.body,
            stored_len: 0,
            headers: job.headers,
            reply: if rules.result_ttl_ms == 0 { ReplyMode::None } else { job.reply },
            rules,
            content: job.content,
            wants_progress: job.wants_progress,
            wants_partial: job.wants_partial,
            durable,
            sequence,
            accepted_us: now.us,
            accepted_wall_ms: now.wall_ms,
            state: State::Delayed { until_us: now.us },
            turn: Turn::None,
            token: 0,
            holder: None,
            granted_at: 0,
            begun: false,
            attempts: 0,
            losses: 0,
            releases: 0,
            suspect: false,
            first: false,
            fraction: 0.0,
            note: String::new(),
            history: Vec::new(),
            parent: None,
            part: job.is_run.then(|| Box::new(Part::Run)),
        };
        let bytes = entry.bytes();
        let queue = self.queue(&entry.queue);
        queue.jobs += 1;
        queue.bytes += bytes;
        self.account(bytes, 0);
        self.counters.submitted += 1;
        self.events_kept.push(now, &entry, Happened::Accepted, "");
        self.ids.insert(entry.id, slot);
        self.slots[slot as usize] = Some(entry);
        self.consider_leaving(slot);
        slot
    }

    /// The id is known: the same job, or another one under its name.
    fn submit_again(&mut self, tag: Tag, asker: &Asker, again: &Submission, slot: u32) {
        self.counters.duplicates += 1;
        let job = self.job_mut(slot);
        if job.is_early() && job.content.is_none() && again.content.is_some() {
            // It was cancelled before anything but its id was known.
            job.content.clone_from(&again.content);
            self.named_ids += 1;
        }
        let job = self.job_mut(slot);
        // A library's id came without a content. Its user names it again because the first OK got lost.
        let is_other = job.content.is_some() && job.content != again.content;
        if job.asker.owner.user != asker.owner.user || is_other {
            self.counters.refused += 1;
            let failure = Failure::new(
                Status::Conflict,
                format!("id {} is in use for a job with other content", again.id),
            );
            return self.events.push_back(Event::Reply { tag, answer: Answer::Refused(failure) });
        }
        // A session that comes after a restart of its client is where the result is wanted now. The line's order
        // hangs on the owner, so only the session changes.
        job.asker.session = asker.session;
        let durable = job.durable;
        self.answer(durable, tag, Answer::Done);
        self.tell_ended_again(slot);
    }

    /// The id belongs to a job whose result was acknowledged: it is not run again.
    fn submit_buried(&mut self, asker: &Asker, job: &Submission) -> Option<Answer> {
        let (outcome, attempt) = match self.tombstones.get(&job.id) {
            Some(buried) => {
                let is_same = buried.content.is_empty() || job.content.as_ref() == Some(&buried.content);
                if buried.owner.user != asker.owner.user || !is_same {
                    self.counters.duplicates += 1;
                    self.counters.refused += 1;
                    return Some(Answer::Refused(Failure::new(
                        Status::Conflict,
                        format!("id {} was used for a job with other content", job.id),
                    )));
                }
                (buried.outcome, buried.attempt)
            }
            // A submission may be repeated after its result was acknowledged, or when nobody wanted the result: as long as
            // the job is remembered it does not run again.
            None => {
                let past = self.past.get(&job.id).filter(|past| past.owner.user == asker.owner.user)?;
                (past.outcome, past.attempt)
            }
        };
        self.counters.duplicates += 1;
        let id = job.id;
        let verdict = crate::core::job_table::end::verdict_of_forgotten(outcome, attempt);
        if job.reply == ReplyMode::Push {
            let (asker, verdict) = (asker.clone(), Arc::new(verdict));
            self.tell(self.config.durable, Event::Ended { id, asker, push: true, verdict });
        }
        Some(Answer::Done)
    }
}

/// The refusal of a job whose queue takes none.
pub(super) fn draining(queue: &QueueName) -> Failure {
    Failure::new(
        Status::State,
        format!("queue \"{queue}\" is draining and takes no new jobs; queue.resume has it take jobs again"),
    )
}

fn unknown_queue(job: &Submission) -> Failure {
    Failure::new(
        Status::NotFound,
        format!("no worker has registered queue \"{}\", and job.unknown_queue is refuse", job.queue),
    )
}

/// Refuses rules nothing could live by.
pub(super) fn check_rules(rules: &JobRules) -> Result<(), Failure> {
    let wrong = |what: &str, value: u64, right: &str| {
        Err(Failure::new(Status::Argument, format!("job.{what} is {value}; {right} is right")))
    };
    if !(1..=PRIORITY_MAX).contains(&rules.priority) {
        return wrong("priority", rules.priority.into(), "1 (lowest) to 8");
    }
    if rules.attempts == 0 {
        return wrong("attempts", 0, "at least 1");
    }
    if !(1..=SERIAL_JOBS_MAX).contains(&rules.serial_jobs) {
        return wrong("serial_jobs", rules.serial_jobs.into(), "1 to 100,000");
    }
    if let Some(key) = rules.serial_key.as_ref().filter(|key| key.len() > SERIAL_KEY_LEN_MAX) {
        let message = format!("job.serial_key has {} bytes; it may have {SERIAL_KEY_LEN_MAX}", key.len());
        return Err(Failure::new(Status::Argument, message));
    }
    let intervals = [
        ("delay_ms", rules.delay_ms),
        ("queue_ms", rules.queue_ms),
        ("run_ms", rules.run_ms),
        ("soft_ms", rules.soft_ms),
        ("stall_ms", rules.stall_ms),
        ("deadline_ms", rules.deadline_ms),
        ("backoff_ms", rules.backoff_ms),
        ("backoff_ms_max", rules.backoff_ms_max),
        ("result_ttl_ms", rules.result_ttl_ms),
    ];
    match intervals.into_iter().find(|(_, ms)| *ms > INTERVAL_MS_MAX) {
        Some((name, ms)) => wrong(name, ms, "up to 365 days"),
        None => Ok(()),
    }
}
