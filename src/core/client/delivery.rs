//! What a client hands to its application: one value per piece of news about a job.
//!
//! Invariant: the numbers of [`Kind`] and the bits of [`Want`] are part of the C ABI; never changed, never reused.

use std::ops::BitOr;
use std::sync::Arc;

use crate::model::{Body, Failure, JobId, Outcome, Verdict};

/// What a piece of news is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum Kind {
    /// The broker holds the job at its level.
    Accepted = 1,
    /// The broker did not take it.
    Refused = 2,
    /// How far its worker is.
    Progress = 3,
    /// A part of the result, ahead of it.
    Partial = 4,
    /// How it ended. Nothing comes after it.
    Result = 5,
}

/// Which news of a job `next` hands over: a set of bits, one per [`Kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Want(pub u32);

impl Want {
    /// Nothing.
    pub const NONE: Want = Want(0);
    /// [`Kind::Accepted`].
    pub const ACCEPTED: Want = Want(1 << 1);
    /// [`Kind::Refused`].
    pub const REFUSED: Want = Want(1 << 2);
    /// [`Kind::Progress`].
    pub const PROGRESS: Want = Want(1 << 3);
    /// [`Kind::Partial`].
    pub const PARTIAL: Want = Want(1 << 4);
    /// [`Kind::Result`].
    pub const RESULT: Want = Want(1 << 5);
    /// Every kind there is.
    pub const ALL: Want = Want(0b11_1110);

    /// Whether every bit of `other` is in this set.
    pub fn contains(self, other: Want) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Want {
    type Output = Want;

    fn bitor(self, other: Want) -> Want {
        Want(self.0 | other.0)
    }
}

/// One piece of news.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The job.
    pub id: JobId,
    /// What the application gave with it.
    pub tag: u64,
    /// What it is about, and what it says.
    pub news: News,
}

/// What a piece of news says.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// See [`Kind::Accepted`].
    Accepted,
    /// See [`Kind::Refused`]: why.
    Refused(Failure),
    /// See [`Kind::Progress`].
    Progress { attempt: u32, fraction: f64, note: String },
    /// See [`Kind::Partial`].
    Partial { attempt: u32, sequence: u64, body: Body },
    /// See [`Kind::Result`].
    Ended(Arc<Verdict>),
    /// The answer to a question how a job stands that has not ended; never comes unasked.
    State { state: Outcome, attempt: u32, fraction: f64 },
    /// The answer to an operator's command; never comes unasked.
    Text(Body),
}

impl News {
    /// Which kind of news it is. Answers count as results.
    pub fn kind(&self) -> Kind {
        match self {
            News::Accepted => Kind::Accepted,
            News::Refused(_) => Kind::Refused,
            News::Progress { .. } => Kind::Progress,
            News::Partial { .. } => Kind::Partial,
            News::Ended(_) | News::State { .. } | News::Text(_) => Kind::Result,
        }
    }
}
