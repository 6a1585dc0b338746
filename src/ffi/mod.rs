//! The C interface: checks what comes in, converts it, calls `api`, converts what goes out. No logic of its own.
//!
//! Invariants: every exported body goes through [`guard`], so that no panic crosses into C; into Rust come only
//! fixed-width integers, `double`, `size_t` and pointers; outputs are written only where the function's text says so.
//! The module texts and the texts of the functions become include/forebay.h, one section for each file.
// The names are those of the header.
#![allow(non_camel_case_types)]
// Each function's text is its contract; a section of its own about safety would repeat it.
#![allow(clippy::missing_safety_doc)]

#[macro_use]
mod guard;
mod arg;
mod hosting;
pub mod loaded;

pub mod broker;
pub mod buffer;
pub mod client;
pub mod collector;
pub mod error;
pub mod id;
pub mod job;
pub mod log;
pub mod options;
pub mod pipeline;
pub mod plugin;
pub mod result;
pub mod stage;
pub mod status;
pub mod submit;
pub mod usage;
pub mod version;
pub mod worker;
