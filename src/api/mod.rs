//! The safe Rust interface: clients, workers and brokers as handles that any thread may use.
//!
//! A call's status and a job's outcome are two things: waiting for a job that failed is a successful wait with the
//! outcome FAILED. Where a wait ends with nothing to hand over, the error's status is above zero: `TimedOut`,
//! `Interrupted` or `Drained`; nothing is wrong then.
#![forbid(unsafe_code)]

use std::time::Duration;

#[doc(hidden)]
pub mod bare;
pub mod broker;
pub mod client;
pub mod collector;
pub mod command;
pub(crate) mod hooks;
pub mod host;
pub mod job;
pub mod log;
pub mod options;
pub mod pipeline;
pub mod report;
pub mod result;
pub mod slots;
pub mod store;
pub mod submit;
pub mod worker;

pub use crate::model::{
    Body, Failure, Headers, JobId, JobOptions, JobRules, Known, Level, Meta, Outcome, QueueName, Status, Stop,
};
pub use crate::run::settings::{
    AckMode, BrokerSettings, ClientSettings, Keys, RegisterSettings, WorkerSettings,
};
pub use broker::Broker;
pub use client::{Client, State, Submitted};
pub use collector::{Collector, Order};
pub use command::{Command, commands};
pub use job::{Hints, Job, Retry};
pub use options::Options;
pub use pipeline::Pipeline;
pub use result::JobResult;
pub use submit::{Kind, Submit, Want};
pub use worker::Worker;

/// How long a call may wait: `None` for ever, zero not at all.
pub type Timeout = Option<Duration>;

/// A new job id by the local clock, greater than every one made before in this process.
///
/// # Errors
/// `ERR_IO` when the system has no random bytes.
pub fn id_new() -> Result<JobId, Failure> {
    crate::run::ids::new_id(crate::run::clock::wall_ms())
}

/// Where clients and workers connect and brokers listen when nothing else is said: `$FOREBAY_BROKER`, else an ipc
/// address in the user's private runtime folder.
///
/// # Errors
/// `ERR_DENIED` when the folder is not private to this user.
pub fn default_endpoint() -> Result<String, Failure> {
    match std::env::var("FOREBAY_BROKER") {
        Ok(text) if !text.is_empty() => Ok(text),
        _ => Ok(crate::net::Endpoint::default_ipc()?.to_string()),
    }
}
