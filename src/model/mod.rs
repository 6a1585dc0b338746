//! The nouns every layer speaks of. Plain values: no clock, no I/O, no knowledge of any other layer.
#![forbid(unsafe_code)]

pub mod id;
pub mod index;
pub mod job;
pub mod lease;
pub mod limits;
pub mod meta;
pub mod outcome;
pub mod owner;
pub mod pipeline;
mod planted;
pub mod queue_name;
pub mod sequence;
pub mod status;
pub mod time;

pub use id::JobId;
pub use index::Index;
pub use job::{Body, BodyFrames, Headers, InStage, JobOptions, JobRules, Level, ReplyMode, Submission};
pub use lease::{Lease, Stop, Token};
pub use meta::{Known, Meta};
pub use outcome::{Completion, Outcome, Verdict};
pub use owner::Owner;
pub use pipeline::{Pipeline, StepKind};
#[cfg(feature = "planted-faults")]
pub use planted::{PLANTED, plant};
pub(crate) use planted::{Planted, planted};
pub use queue_name::QueueName;
pub use sequence::Sequence;
pub use status::{Failure, Status};
pub use time::Now;
