//! What forebay claims, each as a test of its name over separate processes and the public face only: C programs built
//! against the prefix, the `forebay` binary, Python through ctypes. docs/CLAIMS.md lists them.
//!
//! Invariant: each prints `NAME measured bound` also when it passes, and fails when what it names is not so. Times are
//! asserted as medians against bounds far above what is measured, rates only as ratios within one run, so that a busy
//! machine fails none of them.

mod bench;
mod broker;
mod cancel;
mod collect;
mod durable;
mod events;
mod hosts;
mod idle;
mod keys;
mod library;
mod runs;
mod service;
mod silent;
mod squares;
mod twelve;
mod workers;

use std::fmt::Display;
use std::io::Write;

/// Prints a claim's line. Not by `println!`, which a passing test keeps to itself.
fn claim(name: &str, measured: impl Display, bound: impl Display) {
    let line = format!("{name} measured: {measured}; bound: {bound}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).expect("standard output");
}

/// How long something is observed: what `variable` says, else the claim's own time in an optimised build and a
/// shorter one otherwise, so that a plain `cargo test` stays short.
fn seconds(variable: &str, claimed: f64, shorter: f64) -> f64 {
    match std::env::var(variable) {
        Ok(text) => {
            text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}; a number of seconds is right"))
        }
        Err(_) if cfg!(debug_assertions) => shorter,
        Err(_) => claimed,
    }
}

/// The one in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    assert!(!values.is_empty(), "nothing was measured");
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
