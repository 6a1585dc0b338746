//! forebay: a job broker over ZeroMQ, and a library for the workers and clients around it.

#[doc(hidden)]
pub mod net;
