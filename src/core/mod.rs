//! The state machines, without I/O: feed one input, drain all outputs, then wait for the next input or timeout.
#![forbid(unsafe_code)]

pub mod broker;
pub mod client;
pub mod graph;
pub mod job_table;
pub mod jobs;
pub mod record;
pub mod session;
pub mod timers;
pub mod worker;
