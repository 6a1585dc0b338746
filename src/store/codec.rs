//! Records as bytes: msgpack values one after the other, in an order that is written here and nowhere else, so that
//! no change of a type in memory changes what is on disk.
//!
//! Total: any bytes are a record or a named error, and no count is believed before the bytes it speaks of are there.

mod read;
mod write;

use std::fmt;

use crate::core::record::Record;
use crate::model::{JobId, JobRules};

pub use read::Decoder;
pub(in crate::store) use read::decode_id;
pub use write::{encode, encoded_len_max};

/// What a record is, in its frame. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// [`Record::Booted`].
    Booted = 16,
    /// [`Record::Submitted`].
    Submitted = 17,
    /// [`Record::Leased`].
    Leased = 18,
    /// [`Record::Started`].
    Started = 19,
    /// [`Record::Requeued`].
    Requeued = 20,
    /// [`Record::Ended`].
    Ended = 21,
    /// [`Record::Forgotten`].
    Forgotten = 22,
    /// [`Record::Buried`].
    Buried = 23,
    /// [`Record::QueueSet`].
    QueueSet = 24,
    /// [`Record::Stands`].
    Stands = 25,
    /// [`Record::Child`].
    Child = 26,
    /// [`Record::StageClosed`].
    StageClosed = 27,
    /// [`Record::Seen`].
    Seen = 28,
    /// [`Record::Collected`].
    Collected = 29,
    /// [`Record::Context`].
    Context = 30,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 15] = [
        Kind::Booted,
        Kind::Submitted,
        Kind::Leased,
        Kind::Started,
        Kind::Requeued,
        Kind::Ended,
        Kind::Forgotten,
        Kind::Buried,
        Kind::QueueSet,
        Kind::Stands,
        Kind::Child,
        Kind::StageClosed,
        Kind::Seen,
        Kind::Collected,
        Kind::Context,
    ];

    /// The kind with this number.
    pub fn from_number(number: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// The kind of a record.
    pub fn of(record: &Record) -> Kind {
        match record {
            Record::Booted { .. } => Kind::Booted,
            Record::Submitted { .. } => Kind::Submitted,
            Record::Leased { .. } => Kind::Leased,
            Record::Started { .. } => Kind::Started,
            Record::Requeued { .. } => Kind::Requeued,
            Record::Ended { .. } => Kind::Ended,
            Record::Forgotten { .. } => Kind::Forgotten,
            Record::Buried(_) => Kind::Buried,
            Record::QueueSet(_) => Kind::QueueSet,
            Record::Stands { .. } => Kind::Stands,
            Record::Child { .. } => Kind::Child,
            Record::StageClosed { .. } => Kind::StageClosed,
            Record::Seen { .. } => Kind::Seen,
            Record::Collected { .. } => Kind::Collected,
            Record::Context { .. } => Kind::Context,
        }
    }

    /// The last version of this kind's bytes. All up to it are read.
    pub fn version(self) -> u8 {
        match self {
            Kind::Submitted => 4,
            Kind::Stands => 5,
            Kind::QueueSet => 3,
            _ => 1,
        }
    }
}

/// The version of its kind in which a record is written: the first that can say it, so that a forebay before this one reads
/// a store in which there was no run, no stage and no serial key, and nothing was seen of an attempt or handed to hosts.
pub fn version_of(record: &Record) -> u8 {
    match record {
        Record::Submitted { rules, .. } if is_serial(rules) => 4,
        Record::QueueSet(kept) if kept.options.serial_key.is_some() || kept.options.serial_jobs.is_some() => {
            3
        }
        Record::Submitted { job, .. } if job.stage.is_some() => 3,
        Record::Submitted { job, .. } if job.is_run => 2,
        Record::QueueSet(kept) if !kept.handed.is_empty() => 2,
        Record::Stands { standing, .. } if standing.context.is_some() => 5,
        Record::Stands { standing, .. } if standing.collected.is_some() => 4,
        Record::Stands { standing, .. } if standing.has_evidence() => 3,
        Record::Stands { standing, .. } if !standing.closed.is_empty() => 2,
        _ => 1,
    }
}

/// Whether a job's rules say anything of a serial key.
fn is_serial(rules: &JobRules) -> bool {
    rules.serial_key.is_some() || rules.serial_jobs != JobRules::SERIAL_JOBS
}

/// The job a record is about.
pub fn id_of(record: &Record) -> Option<JobId> {
    match record {
        Record::Booted { .. } | Record::QueueSet(_) => None,
        Record::Submitted { job, .. } => Some(job.id),
        Record::Buried(buried) => Some(buried.id),
        Record::Leased { id, .. }
        | Record::Started { id, .. }
        | Record::Requeued { id, .. }
        | Record::Ended { id, .. }
        | Record::Forgotten { id }
        | Record::Child { id, .. }
        | Record::StageClosed { id, .. }
        | Record::Seen { id, .. }
        | Record::Collected { id, .. }
        | Record::Context { id, .. }
        | Record::Stands { id, .. } => Some(*id),
    }
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodecError {
    /// They end too early.
    Short,
    /// Something else stands where this should.
    Wrong(&'static str),
    /// Something follows the record.
    Trailing,
    /// A version that is not known here.
    Version(u8),
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CodecError::Short => f.write_str("the record ends too early"),
            CodecError::Wrong(what) => write!(f, "the record has something else where {what} should be"),
            CodecError::Trailing => f.write_str("something follows the record"),
            CodecError::Version(version) => {
                write!(f, "the record has version {version}, written by a later forebay")
            }
        }
    }
}

#[cfg(test)]
mod tests;
