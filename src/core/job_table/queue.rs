//! One queue: its line, its defaults and who serves it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::core::job_table::dispatch::IdleKey;
use crate::core::job_table::keys::KeyLine;
use crate::core::job_table::ready::Ready;
use crate::core::jobs::WorkerId;
use crate::core::record::Handed;
use crate::model::{JobOptions, JobRules};

/// A queue. It exists as long as it has jobs, workers or settings of its own.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    pub(super) ready: Ready,
    /// The rules of a job of this queue that says nothing.
    pub(super) rules: Arc<JobRules>,
    /// What was set for this queue.
    pub(super) options: JobOptions,
    /// What its hosts are handed.
    pub(super) handed: Handed,
    /// Workers that have registered it.
    pub(super) workers: BTreeSet<WorkerId>,
    /// Those of them that could take a job now, the one that should get it first.
    pub(super) idle: BTreeSet<(IdleKey, WorkerId)>,
    /// A worker has registered it at some time.
    pub(super) known: bool,
    /// Nothing is handed out.
    pub(super) paused: bool,
    /// Nothing is taken.
    pub(super) draining: bool,
    /// Jobs that have not ended.
    pub(super) jobs: u64,
    /// Those of them that workers hold.
    pub(super) leased: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Unstarted jobs at workers that are busy with another: they may be asked back, oldest grant first.
    pub(super) unstarted: BTreeSet<(u64, u32)>,
    /// The serial keys that its jobs name.
    pub(super) keys: BTreeMap<Arc<str>, KeyLine>,
    /// Jobs of this queue that ended DONE, and otherwise.
    pub(super) done: u64,
    pub(super) not_done: u64,
}

impl Queue {
    pub(super) fn new(rules: Arc<JobRules>) -> Self {
        Queue {
            ready: Ready::default(),
            rules,
            options: JobOptions::default(),
            handed: Handed::default(),
            workers: BTreeSet::new(),
            idle: BTreeSet::new(),
            known: false,
            paused: false,
            draining: false,
            jobs: 0,
            leased: 0,
            bytes: 0,
            unstarted: BTreeSet::new(),
            keys: BTreeMap::new(),
            done: 0,
            not_done: 0,
        }
    }

    /// Jobs that wait for others of their serial keys.
    pub(super) fn behind(&self) -> usize {
        self.keys.values().map(KeyLine::behind).sum()
    }
}
