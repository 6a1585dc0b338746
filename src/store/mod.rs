//! Where the records of durable jobs go. A broker without a store keeps them in memory, which is no promise at all:
//! such a broker takes no durable jobs.
//!
//! [`journal`] is the store on disk: a log of records behind [`disk::Disk`], which is a folder ([`file_disk`]) or a
//! simulated disk that forgets, tears and reorders what was not synced ([`sim_disk`]). docs/STORE.md draws the format.

pub mod codec;
pub mod disk;
pub mod file_disk;
pub mod journal;
pub mod memory;
pub mod sim_disk;

use std::fmt;
use std::path::Path;
use std::time::Instant;

use crate::core::record::Record;
pub use crate::core::record::StoreStats;
use crate::model::{Body, Failure, JobId, Status};
use crate::store::file_disk::FileDisk;
use crate::store::journal::{Journal, JournalConfig, Recovered};

/// Takes records in order and keeps them.
pub trait Store {
    /// Keeps these records behind those before. When it returns they are as safe as this store can make them.
    ///
    /// # Errors
    /// `Full`: the disk had no room and nothing was kept; the same records may be appended later, or others. No limit of
    /// the store's own is a reason: what was let in must be able to end, for only that makes room again.
    /// `Fatal`: what was kept of them is unknown, and the store takes nothing any more.
    fn append(&mut self, records: &[Record]) -> Result<(), StoreError>;

    /// Whether jobs of so many bytes in all may be taken before the next `append`, which will then have room for them.
    /// While they may not, the store keeps what is left for the outcomes of jobs it has, and each call looks again.
    fn has_room_for(&mut self, len: u64) -> bool;

    /// The payload of a job whose record was appended, and which has not ended.
    ///
    /// # Errors
    /// `Fatal`: it is not what was written, or cannot be read.
    fn body(&mut self, id: JobId) -> Result<Body, StoreError>;

    /// What it did since it was opened, and what it holds.
    fn stats(&self) -> StoreStats;
}

/// Why records were not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// No room. Nothing was kept.
    Full,
    /// A sentence that says what failed. The store must not be used after it.
    Fatal(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Full => f.write_str("the store has no room left"),
            StoreError::Fatal(why) => f.write_str(why),
        }
    }
}

/// Opens the store in `dir`, which is made if it is not there, and reads it back.
///
/// # Errors
/// `ERR_IN_USE` when another broker has it; `ERR_STORE` when it is damaged, with the place, or written by a later
/// version; `ERR_IO` when the system refused.
pub fn open(dir: &Path, config: JournalConfig) -> Result<(Journal<FileDisk>, Recovered), Failure> {
    let began = Instant::now();
    let disk = FileDisk::open(dir)?;
    let (journal, mut recovered) = Journal::open(disk, config).map_err(|failure| {
        Failure::new(failure.status, format!("the store {}: {}", dir.display(), failure.message))
    })?;
    recovered.report.millis = began.elapsed().as_millis() as u64;
    Ok((journal, recovered))
}

/// What the system said, as a failure of the store.
fn io_failure(what: impl fmt::Display, error: &std::io::Error) -> Failure {
    Failure::new(Status::Io, format!("{what}: {error}"))
}
