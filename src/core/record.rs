//! What the jobs side writes down: each change of a durable job's state, one record. Replaying the records in
//! order gives the state again, so whatever is not in a record did not happen.

use std::sync::Arc;

use crate::model::{JobId, JobRules, Owner, Submission, Token, Verdict};

/// One change of state.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// The broker started on its store for the `epoch`-th time; the first record of each life.
    Booted { epoch: u64, broker: [u8; 16] },
    /// A job was accepted.
    Submitted { owner: Arc<Owner>, job: Arc<Submission>, rules: Arc<JobRules>, wall_ms: u64, sequence: u64 },
    /// A worker was handed the job.
    Leased { id: JobId, token: Token },
    /// The worker began it. Appended, never waited for.
    Started { id: JobId, token: Token, attempt: u32 },
    /// The job waits again, until this moment of the wall clock.
    Requeued { id: JobId, attempts: u32, losses: u32, releases: u32, suspect: bool, not_before_wall_ms: u64 },
    /// The job has ended.
    Ended { id: JobId, verdict: Arc<Verdict>, wall_ms: u64 },
    /// Its result need not be kept.
    Forgotten { id: JobId },
}
