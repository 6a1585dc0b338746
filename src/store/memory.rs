//! Records in memory: for brokers without a folder, and for simulations, where they outlive a simulated crash.

use crate::core::record::Record;
use crate::model::{Body, JobId};
use crate::store::{Store, StoreError, StoreStats};

/// Keeps records until it is dropped.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    records: Vec<Record>,
}

impl MemoryStore {
    /// Everything appended, in order.
    pub fn records(&self) -> &[Record] {
        &self.records
    }
}

impl Store for MemoryStore {
    fn append(&mut self, records: &[Record]) -> Result<(), StoreError> {
        self.records.extend_from_slice(records);
        Ok(())
    }

    fn has_room_for(&mut self, _len: u64) -> bool {
        true
    }

    fn body(&mut self, id: JobId) -> Result<Body, StoreError> {
        let submitted = self.records.iter().rev().find_map(|record| match record {
            Record::Submitted { job, .. } if job.id == id => Some(job.body.clone()),
            _ => None,
        });
        submitted.ok_or_else(|| StoreError::Fatal(format!("job {id} is not in the store")))
    }

    fn stats(&self) -> StoreStats {
        StoreStats { records: self.records.len() as u64, ..StoreStats::default() }
    }
}
