//! The descriptors of client and worker in the event loops that people use: 10,000 jobs through each. A lost wake-up would
//! stop the jobs, and a descriptor that is readable without reason would wake the loop for nothing.

use std::path::Path;

use support::{Broker, Folder, SOON, binary, command, has_tool, prefix, run, skip};

const JOBS: u64 = 10_000;

/// Builds a program of examples-c/loops in a copy and runs it; checks what it counted.
fn loop_of(name: &str) {
    let folder = Folder::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples-c/loops");
    for file in [&format!("{name}.c"), "jobs.h", "Makefile"] {
        std::fs::copy(source.join(file), folder.join(file)).expect("a copy");
    }
    let mut make = command("make");
    make.env_remove("MAKEFLAGS").arg("-C").arg(folder.path());
    run(make.arg(format!("PREFIX={}", prefix!().root().display())).arg(name), SOON).success();
    let broker = Broker::start(binary!());
    let said = run(broker.program(folder.join(name)).arg(JOBS.to_string()), SOON * 4).success().text();
    eprint!("{name}: {said}");
    let numbers: Vec<f64> = said
        .split(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .filter_map(|word| word.parse().ok())
        .collect();
    let [right, jobs, wakeups, for_nothing, _idle_ms, idle_wakeups, idle_cpu_ms] = numbers[..] else {
        panic!("not the line of an event loop: {said}");
    };
    assert_eq!((right, jobs), (JOBS as f64, JOBS as f64));
    // Each job wakes the loop twice at most, once for the worker and once for the client.
    assert!(wakeups <= 2.0 * JOBS as f64 + for_nothing, "{said}");
    assert_eq!(for_nothing, 0.0, "readable with nothing to hand over: {said}");
    assert_eq!(idle_wakeups, 0.0, "readable while idle: {said}");
    // Of the second of idling: the library's threads beat, and nothing else.
    assert!(idle_cpu_ms < 200.0, "{said}");
}

/// Whether a library can be built against; without it the test is skipped by name.
fn has_library(name: &str, debian_package: &str) -> bool {
    if !has_tool("pkg-config", "pkg-config") {
        return false;
    }
    let is_there = run(command("pkg-config").args(["--exists", name]), SOON).status.success();
    if !is_there {
        skip(&format!("no {name}; install it (Debian: {debian_package})"));
    }
    is_there
}

#[test]
fn epoll() {
    loop_of("epoll_loop");
}

#[test]
fn libuv() {
    if has_library("libuv", "libuv1-dev") {
        loop_of("uv_loop");
    }
}

#[test]
fn libevent() {
    if has_library("libevent", "libevent-dev") {
        loop_of("event_loop");
    }
}
