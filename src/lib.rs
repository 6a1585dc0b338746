//! forebay: a job broker over ZeroMQ, and a library for the workers and clients around it.
//!
//! Layers, each depending only on those below it; docs/ARCHITECTURE.md draws them:
//! `cli` and `ffi` over `api` over `run` over `link`, `store` and `net`; `link` over `core` and `wire`;
//! all over `model`.

pub mod api;
#[doc(hidden)]
pub mod core;
#[doc(hidden)]
pub mod ffi;
#[doc(hidden)]
pub mod link;
#[doc(hidden)]
pub mod model;
#[doc(hidden)]
pub mod net;
#[doc(hidden)]
pub mod run;
#[doc(hidden)]
pub mod store;
#[doc(hidden)]
pub mod wire;
