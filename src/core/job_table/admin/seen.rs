//! What was seen of attempts from outside: where a job stood, and what was done to end it.
//!
//! Invariant: only attempts that are remembered are added to, each up to its limit; nothing else of a job changes.

use serde_json::{Value, json};

use crate::core::job_table::JobTable;
use crate::core::record::{Attempt, Record};
use crate::model::{Failure, JobId, Status};

impl JobTable {
    /// Adds to what is remembered of an attempt of this worker, also when the job is gone already.
    pub(super) fn see_attempt(
        &mut self,
        id: JobId,
        number: u32,
        worker: &str,
        text: &str,
    ) -> Result<Value, Failure> {
        let slot = self.ids.get(&id).copied();
        let history = match slot {
            Some(slot) => Some(&mut self.job_mut(slot).history),
            None => self.past.history_mut(&id),
        };
        let is_it = |one: &&mut Attempt| one.number == number && *one.worker == *worker;
        let attempt = history.and_then(|history| history.iter_mut().rev().find(is_it));
        let Some(attempt) = attempt else {
            let message =
                format!("worker \"{worker}\" is not remembered to have made attempt {number} of job {id}");
            return Err(Failure::new(Status::NotFound, message));
        };
        attempt.see(text);
        if let Some(slot) = slot {
            let (durable, text) = (self.job(slot).durable, text.to_owned());
            self.record(durable, || Record::Seen { id, attempt: number, text });
        }
        Ok(json!({ "kept": true }))
    }
}
