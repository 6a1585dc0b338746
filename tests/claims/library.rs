//! What a program takes on with the shared library: its size, what else it loads, and how long that takes.

use std::collections::BTreeSet;
use std::fs;

use support::{Folder, SOON, command, has_tool, prefix, run};

use crate::{claim, median};

/// All that a system with C and C++ programs has anyway.
const NEEDED: [&str; 5] = ["libc.so", "libm.so", "libgcc_s.so", "libstdc++.so", "ld-linux"];

#[test]
fn library_is_small_and_needs_little() {
    if !has_tool("strip", "binutils") || !has_tool("ldd", "libc-bin") {
        return;
    }
    let folder = Folder::new();
    let (library, stripped) = (prefix!().lib().join("libforebay.so.0"), folder.join("stripped"));
    run(command("strip").arg("--strip-unneeded").arg(&library).arg("-o").arg(&stripped), SOON).success();
    let size_kib = fs::metadata(&stripped).expect("the file").len() / 1024;
    let said = run(command("ldd").arg(&stripped), SOON).success().text();
    let loaded: BTreeSet<&str> = said
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(|name| name.rsplit('/').next().unwrap_or(name))
        .filter(|name| !name.starts_with("linux-vdso"))
        .collect();
    let names = loaded.iter().copied().collect::<Vec<_>>().join(" ");
    claim(
        "library",
        format!("{size_kib} KiB stripped, loads {names}"),
        "8192 KiB, libc libm libgcc_s libstdc++",
    );
    assert!(size_kib < 8192, "{size_kib} KiB");
    let strange: Vec<_> =
        loaded.iter().filter(|name| !NEEDED.iter().any(|known| name.starts_with(known))).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

#[test]
fn library_starts_at_once() {
    let program = prefix!().program("claims_startup");
    let (mut loads_ms, mut opens_ms) = (Vec::new(), Vec::new());
    for _ in 0..21 {
        let mut start = command(&program);
        start.arg(monotonic_us().to_string());
        let said = run(&mut start, SOON).success().text();
        let times: Vec<f64> = said.split_whitespace().map(|us| us.parse().expect("a time")).collect();
        loads_ms.push(times[0] / 1000.0);
        opens_ms.push(times[1] / 1000.0);
    }
    let (load_ms, open_ms) = (median(loads_ms), median(opens_ms));
    claim(
        "startup",
        format!("{load_ms:.1} ms to main, {open_ms:.2} ms to open a client"),
        "1 s both, medians of 21",
    );
    assert!(load_ms + open_ms < 1000.0);
}

/// The clock that the program reads too.
fn monotonic_us() -> i64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid clock and a place for its time.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}
