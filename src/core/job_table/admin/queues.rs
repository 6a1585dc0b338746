//! Queues: what is set for them, how they are turned, and the end of all that waits in one.

use serde_json::{Value, json};

use crate::core::job_table::admin::show;
use crate::core::job_table::admit::check_rules;
use crate::core::job_table::{JobTable, live};
use crate::core::jobs::{Asker, QueueTurn};
use crate::core::record::{Handed, QueueKept, Record};
use crate::model::limits::QUEUE_PARAMS_MAX;
use crate::model::{Failure, JobOptions, Level, Now, Outcome, QueueName, Status};

/// What the keys of parameters begin with.
const PARAM: &str = "param.";
/// Why a purged job is no more.
const PURGED: &str = "its queue was purged";

impl JobTable {
    pub(super) fn list_queues(&self, wanted: Option<&QueueName>) -> Result<Value, Failure> {
        if let Some(name) = wanted.filter(|name| !self.queues.contains(name)) {
            return Err(unknown_queue(name));
        }
        let queues = self.queues.iter().filter(|queue| wanted.is_none_or(|wanted| *wanted == queue.name));
        let shown = queues.map(|queue| {
            let mut shown = show::queue(queue);
            let rules = show::options(&JobOptions::from(&*queue.rules));
            show::extend(&mut shown, json!({ "options": show::options(&queue.options), "rules": rules }));
            show::extend(&mut shown, show::handed(&queue.handed));
            shown
        });
        Ok(json!({ "queues": shown.collect::<Vec<_>>() }))
    }

    pub(super) fn set_queue(
        &mut self,
        name: &QueueName,
        set: &JobOptions,
        handed_now: &Handed,
        unset: &[String],
    ) -> Result<Value, Failure> {
        let before = self.queues.get(name);
        let (options, mut handed) =
            before.map(|queue| (queue.options.clone(), queue.handed.clone())).unwrap_or_default();
        let mut options = set.clone().over(&options);
        handed.params.extend(handed_now.params.clone());
        handed.report_ms = handed_now.report_ms.or(handed.report_ms);
        for key in unset {
            match key.strip_prefix(PARAM) {
                Some(param) => drop(handed.params.remove(param)),
                None if key == "report_ms" => handed.report_ms = None,
                None => clear(&mut options, key)?,
            }
        }
        if handed.params.len() > QUEUE_PARAMS_MAX {
            let message =
                format!("{QUEUE_PARAMS_MAX} parameters are set for queue {name}, as many as may be");
            return Err(Failure::new(Status::TooLarge, message));
        }
        let rules = self.default_rules.with(&options);
        check_rules(&rules)?;
        if options.level == Some(Level::Durable) && !self.config.durable {
            return Err(Failure::new(
                Status::Unsupported,
                "level is durable, but this broker has no store, so it would refuse every job of the queue; start it \
                 with a store, or set auto",
            ));
        }
        let queue = self.queue(name);
        queue.rules = rules.into();
        queue.options = options.clone();
        queue.handed = handed.clone();
        self.record_queue(name);
        self.drop_queue_if_unused(name);
        let mut shown = json!({ "queue": name.as_str(), "options": show::options(&options) });
        show::extend(&mut shown, show::handed(&handed));
        Ok(shown)
    }

    /// What a host is answered when it reports: what is set for the hosts of its queues.
    pub(super) fn hand(&self, queues: &[QueueName]) -> Value {
        let set = queues.iter().filter_map(|name| Some((name, &self.queues.get(name)?.handed)));
        let shown = set.filter(|(_, handed)| !handed.is_empty()).map(|(name, handed)| {
            let mut shown = json!({ "queue": name.as_str() });
            show::extend(&mut shown, show::handed(handed));
            shown
        });
        json!({ "kept": true, "handed": shown.collect::<Vec<_>>() })
    }

    pub(super) fn turn_queue(
        &mut self,
        now: Now,
        name: &QueueName,
        turn: QueueTurn,
    ) -> Result<Value, Failure> {
        let known = self.queues.contains(name);
        // Pausing a queue before anybody uses it makes sense; resuming one that is not there is a slip of the pen.
        if !known && turn == QueueTurn::Resume {
            return Err(unknown_queue(name));
        }
        let queue = self.queue(name);
        match turn {
            QueueTurn::Pause => queue.paused = true,
            QueueTurn::Drain => queue.draining = true,
            QueueTurn::Resume => (queue.paused, queue.draining) = (false, false),
        }
        let mut shown = show::queue(queue);
        show::extend(&mut shown, json!({ "known": known }));
        self.record_queue(name);
        if turn == QueueTurn::Resume {
            self.offer(now, name);
            self.reserve_for_suspect(name);
        }
        self.drop_queue_if_unused(name);
        Ok(shown)
    }

    pub(super) fn purge_queue(
        &mut self,
        now: Now,
        name: &QueueName,
        before: Option<u64>,
        limit: usize,
        by: &Asker,
    ) -> Result<Value, Failure> {
        if !self.queues.contains(name) {
            return Err(unknown_queue(name));
        }
        let before = before.unwrap_or(self.next_sequence);
        let mut others = 0_u64;
        let waiting = live(&self.slots).filter(|(_, job)| {
            job.queue == *name && job.outcome() == Outcome::Waiting && job.sequence < before
        });
        let own = waiting.filter(|(_, job)| {
            let is_own = job.asker.owner.user == by.owner.user;
            others += u64::from(!is_own);
            is_own
        });
        let mut slots: Vec<u32> = own.map(|(slot, _)| slot).take(limit + 1).collect();
        let more = slots.len() > limit;
        slots.truncate(limit);
        for &slot in &slots {
            self.cancel_running(now, slot, PURGED);
        }
        Ok(json!({
            "queue": name.as_str(), "purged": slots.len(), "more": more, "before": before,
            "others": (!more).then_some(others),
        }))
    }

    /// Writes down what is set for a queue.
    fn record_queue(&mut self, name: &QueueName) {
        let Some(queue) = self.queues.get(name).filter(|_| self.config.durable) else { return };
        let kept = QueueKept {
            queue: name.clone(),
            options: queue.options.clone(),
            paused: queue.paused,
            draining: queue.draining,
            handed: queue.handed.clone(),
        };
        self.record(true, || Record::QueueSet(kept.into()));
    }
}

fn unknown_queue(name: &QueueName) -> Failure {
    Failure::new(
        Status::NotFound,
        format!(
            "no queue \"{name}\" is known here: it has no jobs, no workers and nothing set; queue.list names those \
             there are"
        ),
    )
}

/// The broker's own rule again.
fn clear(options: &mut JobOptions, key: &str) -> Result<(), Failure> {
    match key {
        "priority" => options.priority = None,
        "delay_ms" => options.delay_ms = None,
        "queue_ms" => options.queue_ms = None,
        "run_ms" => options.run_ms = None,
        "soft_ms" => options.soft_ms = None,
        "stall_ms" => options.stall_ms = None,
        "deadline_ms" => options.deadline_ms = None,
        "attempts" => options.attempts = None,
        "backoff_ms" => options.backoff_ms = None,
        "backoff_ms_max" => options.backoff_ms_max = None,
        "releases" => options.releases = None,
        "level" => options.level = None,
        "result_ttl_ms" => options.result_ttl_ms = None,
        "partial_bytes" => options.partial_bytes = None,
        "unknown_queue" => options.refuse_unknown_queue = None,
        "serial_key" => options.serial_key = None,
        "serial_jobs" => options.serial_jobs = None,
        _ => {
            return Err(Failure::new(
                Status::Argument,
                format!(
                    "argument \"unset\" names \"{key}\", which is no rule of jobs such as run_ms or attempts"
                ),
            ));
        }
    }
    Ok(())
}
