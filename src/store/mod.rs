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
use crate::model::{Failure, Status};
use crate::store::file_disk::FileDisk;
use crate::store::journal::{Journal, JournalConfig, Recovered};

/// Takes records in order and keeps them.
pub trait Store {
    /// Keeps these records behind those before. When it returns they are as safe as this store can make them.
    ///
    /// # Errors
    /// `Full`: there was no room and nothing was kept; the same records may be appended later, or others.
    /// `Fatal`: what was kept of them is unknown, and the store takes nothing any more.
    fn append(&mut self, records: &[Record]) -> Result<(), StoreError>;

    /// Whether further jobs may be taken. While there is none the store keeps what is left for the outcomes of jobs
    /// it has, and each call looks again.
    fn has_room(&mut self) -> bool;

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

/// Counts and sizes of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Records appended, those copied forward not counted.
    pub records: u64,
    /// Batches, each one sync.
    pub commits: u64,
    /// Syncs of any kind.
    pub syncs: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Bytes of records copied forward, so that old segments could be used again.
    pub copied_bytes: u64,
    /// Segments that were used again or removed.
    pub recycled: u64,
    /// Segments with records, the active one included.
    pub segments: u64,
    /// Bytes of records in them.
    pub used_bytes: u64,
    /// Those of them that are still needed.
    pub live_bytes: u64,
    /// Appends refused for want of room.
    pub refused: u64,
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
