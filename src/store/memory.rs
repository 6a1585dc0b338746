//! Records in memory: for brokers without a folder, and for simulations, where they outlive a simulated crash.

use crate::core::record::Record;
use crate::store::Store;

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
    fn append(&mut self, records: Vec<Record>) -> Result<(), String> {
        self.records.extend(records);
        Ok(())
    }
}
