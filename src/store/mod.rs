//! Where the records of durable jobs go. A broker without a store keeps them in memory, which is no promise at all:
//! such a broker takes no durable jobs.

pub mod memory;

use crate::core::record::Record;

/// Takes records in order and keeps them.
pub trait Store {
    /// Keeps these records behind those before, and returns when they are as safe as this store can make them.
    ///
    /// # Errors
    /// A sentence that says what failed. The store must not be used after it.
    fn append(&mut self, records: Vec<Record>) -> Result<(), String>;
}
