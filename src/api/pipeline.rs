//! Pipelines: graphs of steps, each a job, which the broker executes as one run.
//!
//! A [`Draft`] is built step by step and gives a [`Pipeline`], which is sound; [`crate::api::Submit::run`] makes a run of it.

pub use crate::model::pipeline::{Draft, Drawn, Need, Pipeline, Step, StepKind, dot};
