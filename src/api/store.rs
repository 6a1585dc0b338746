//! What can be done with a store that no broker has open: look at it, and make it small.

use std::collections::BTreeMap;
use std::path::Path;

use crate::model::{Failure, Status};
use crate::store::disk::Disk;
use crate::store::file_disk::FileDisk;
use crate::store::journal::{Inspected, Journal, JournalConfig, SegmentInfo, inspect};

/// What a store holds.
#[derive(Clone, Debug)]
pub struct StoreSummary {
    /// How often a broker has started on it.
    pub epoch: u64,
    /// Records in its files, those of jobs that are gone included.
    pub records: u64,
    /// Jobs by queue: that wait, that a worker was handed, that have ended and whose results are kept.
    pub queues: BTreeMap<String, QueueSummary>,
    /// Ids chosen by applications that must not run again.
    pub ids_remembered: u64,
    /// Its files, oldest first.
    pub segments: Vec<SegmentInfo>,
    /// Bytes all its files take, those that hold nothing included.
    pub file_bytes: u64,
    /// Where a crash cut off what was being written, and how many bytes of it there are; 0 when nothing was.
    pub cut: (String, u64, u64),
}

/// The jobs of one queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueSummary {
    /// Waiting.
    pub waiting: u64,
    /// Handed to a worker when the broker went.
    pub held: u64,
    /// Ended, the result kept.
    pub ended: u64,
    /// Of those, the ones that wait for a person.
    pub quarantined: u64,
    /// Bytes of their payloads and results.
    pub bytes: u64,
}

impl StoreSummary {
    /// Reads the whole store, and changes nothing.
    ///
    /// # Errors
    /// `ERR_NOT_FOUND` when there is none; `ERR_IN_USE` while a broker has it; `ERR_STORE` with file and byte when it
    /// is damaged; `ERR_UNSUPPORTED` when a later version wrote it; `ERR_IO`.
    pub fn read(dir: &Path) -> Result<StoreSummary, Failure> {
        let mut disk = open(dir)?;
        let found = inspect(&mut disk).map_err(|failure| named(dir, failure))?;
        let Some(found) = found else { return Err(none_at(dir)) };
        let mut file_bytes = found.segments.iter().map(|segment| segment.len).sum();
        for name in &found.left_over {
            file_bytes += disk.len(name).unwrap_or_default();
        }
        let Inspected { kept, report, segments, .. } = found;
        let mut queues: BTreeMap<String, QueueSummary> = BTreeMap::new();
        for job in &kept.jobs {
            let queue = queues.entry(job.job.queue.as_str().to_owned()).or_default();
            queue.bytes += job.job.body.len() as u64 + job.stored_len;
            match &job.ended {
                Some((verdict, _)) => {
                    queue.ended += 1;
                    queue.quarantined += u64::from(verdict.waits_for_a_person());
                    queue.bytes += verdict.body.len() as u64;
                }
                None if job.standing.held => queue.held += 1,
                None => queue.waiting += 1,
            }
        }
        Ok(StoreSummary {
            epoch: kept.epoch,
            records: report.records,
            queues,
            ids_remembered: kept.buried.len() as u64,
            segments,
            file_bytes,
            cut: (report.cut.file, report.cut.offset, report.cut.bytes),
        })
    }
}

/// Writes what lives once more and gives back every file that is not needed then. Counts as a start of the broker.
///
/// # Errors
/// As [`StoreSummary::read`]; and `ERR_STORE` when there is no room for it, when what was done until then stays.
pub fn compact(dir: &Path) -> Result<(), Failure> {
    let mut disk = open(dir)?;
    if disk.names().map_err(|error| unreadable(dir, &error))?.is_empty() {
        return Err(none_at(dir));
    }
    let (mut journal, _) =
        Journal::open(disk, JournalConfig::default()).map_err(|failure| named(dir, failure))?;
    journal.compact().map_err(|error| named(dir, Failure::new(Status::Store, error.to_string())))
}

fn open(dir: &Path) -> Result<FileDisk, Failure> {
    // Looking must not make one.
    if !dir.is_dir() {
        return Err(none_at(dir));
    }
    FileDisk::open(dir).map_err(|failure| match failure.status {
        Status::InUse => {
            let message = format!(
                "the store {} is in use by a broker; stop it first, or ask it (forebay status)",
                dir.display()
            );
            Failure::new(Status::InUse, message)
        }
        _ => failure,
    })
}

fn none_at(dir: &Path) -> Failure {
    Failure::new(Status::NotFound, format!("there is no store in {}", dir.display()))
}

fn unreadable(dir: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Status::Io, format!("cannot read {}: {error}", dir.display()))
}

fn named(dir: &Path, failure: Failure) -> Failure {
    Failure::new(failure.status, format!("the store {}: {}", dir.display(), failure.message))
}
