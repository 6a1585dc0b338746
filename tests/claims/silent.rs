//! A computation that never calls the library keeps its lease, in C and under Python's global lock.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use support::{Process, SHORT_LEASE, SOON, Stage};

use crate::{claim, seconds};

/// Where the size of these two claims is said.
const SECONDS: &str = "FOREBAY_SILENT_SECONDS";

/// 10 s of CPU-bound work without a library call, lease 1 s, a second idle worker on the queue: one attempt.
#[test]
fn silent_computation() {
    let stage = support::stage!(&SHORT_LEASE);
    let workers = [stage.worker("work", 1), stage.worker("work", 2)];
    one_attempt("silent_computation", &stage, "work", |seconds| format!("burn {seconds}"));
    assert_eq!(workers.iter().map(|worker| worker.starts().len()).sum::<usize>(), 1);
}

/// The same from Python with `ctypes.PyDLL`, which holds the global lock throughout.
#[test]
fn silent_computation_python() {
    let Some(python) = python() else { return };
    let prefix = support::prefix!();
    let stage = support::stage!(&SHORT_LEASE);
    let burn = stage.broker.folder().join("burn.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/c/claims_burn.c");
    prefix.cc(&["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror"], source.as_ref(), &burn);
    let start = || {
        let mut command = stage.broker.program(&python);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/claims/silent_worker.py"));
        Process::start(command.arg(prefix.lib().join("libforebay.so.0")).arg(&burn))
    };
    let _workers = [start(), start()];
    stage.wait_for_workers("silent", 2);
    one_attempt("silent_computation_python", &stage, "silent", |seconds| seconds.to_string());
}

/// Submits one long job, and asserts that it was begun once and its lease never lapsed.
fn one_attempt(name: &str, stage: &Stage, queue: &str, payload: impl Fn(f64) -> String) {
    let seconds = seconds(SECONDS, 10.0, 4.0);
    assert!(seconds > 2.0, "{SECONDS} is too short to outlast a lease");
    let mut client = stage.client();
    let (number, id) = client.submit(queue, &payload(seconds));
    let ended = client.result_within(number, Duration::from_secs_f64(seconds) + SOON);
    assert_eq!((ended.outcome.as_str(), ended.attempt), ("DONE", 1));
    let (starts, lapses) = (stage.starts_of(queue, &id), stage.counter("lapses"));
    claim(name, format!("{starts} attempt in {seconds} s of silence, {lapses} lapses"), "1 and 0, lease 1 s");
    assert_eq!((starts, lapses), (1, 0));
    client.finish();
}

/// Python, if there is one; without it the claim is skipped by name, and CI has it.
fn python() -> Option<PathBuf> {
    let python = std::env::var_os("FOREBAY_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from);
    let probe = Command::new(&python).args(["-c", "import ctypes"]).output();
    if probe.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    assert!(std::env::var_os("CI").is_none(), "CI needs python3");
    claim("silent_computation_python", "skipped: there is no python3", "needs python3");
    None
}
