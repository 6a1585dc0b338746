//! What a job costs in instructions, in client, broker and worker together: a change that makes it dearer is noticed here, on
//! however busy a machine.
//!
//! Invariant: counted by callgrind over the machines of `benches/joined`, as the difference of two runs, so that nothing but
//! jobs counts. docs/bench/instructions.json holds the figures; `FOREBAY_BLESS=1` writes those of this build.

#[path = "../benches/joined/joined.rs"]
mod joined;

use std::collections::BTreeMap;
use std::path::Path;

use joined::Joined;
use support::{Folder, SOON, has_tool, run};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/bench/instructions.json");
/// A count further from the one in the page, in either direction, is a change somebody must look at.
const TOLERANCE: f64 = 0.05;
const JOBS: [usize; 2] = [2_000, 6_000];
const VARIABLE: &str = "FOREBAY_JOINED_JOBS";

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Each case: jobs in flight and bytes of each.
const CASES: [(usize, usize); 3] = [(1, 1_024), (100, 1_024), (1_000, 16)];

/// The workload: `IN_FLIGHT LEN JOBS`. Does nothing unless the test below runs it, in a process of its own.
#[test]
fn workload() {
    let Ok(text) = std::env::var(VARIABLE) else { return };
    let numbers: Vec<usize> = text.split(' ').map(|number| number.parse().expect("a number")).collect();
    Joined::new(numbers[0], numbers[1]).echo(numbers[2]);
}

#[test]
fn a_job_costs_as_many_as_it_did() {
    if !has_tool("valgrind", "valgrind") {
        return;
    }
    let counted: BTreeMap<String, u64> = (CASES.iter())
        .map(|&(in_flight, len)| {
            let [few, many] = JOBS.map(|jobs| instructions(in_flight, len, jobs));
            let each = (many - few) / (JOBS[1] - JOBS[0]) as u64;
            (format!("{len} bytes, {in_flight} in flight"), each)
        })
        .collect();
    println!("instructions a job, {}: {counted:?}", toolchain());
    let mut page: BTreeMap<String, BTreeMap<String, u64>> = match std::fs::read_to_string(PAGE) {
        Ok(text) => serde_json::from_str(&text).expect("a table for each toolchain"),
        Err(_) => BTreeMap::new(),
    };
    if std::env::var_os("FOREBAY_BLESS").is_some() {
        page.insert(toolchain(), counted);
        let text = serde_json::to_string_pretty(&page).expect("it is a map");
        std::fs::create_dir_all(Path::new(PAGE).parent().expect("a folder")).expect("a folder");
        return std::fs::write(PAGE, text + "\n").expect("the page is written");
    }
    let Some(known) = page.get(&toolchain()) else {
        return println!("not compared: {PAGE} has no figures of {}", toolchain());
    };
    for (case, count) in &counted {
        let ratio = *count as f64 / known[case] as f64;
        assert!(
            (ratio - 1.0).abs() <= TOLERANCE,
            "{case}: {count} instructions a job, {ratio:.2} of the {} in docs/bench/instructions.json. If it is meant to \
             be so, FOREBAY_BLESS=1 writes the page anew.",
            known[case]
        );
    }
}

/// Other compilers and profiles make other code.
fn toolchain() -> String {
    let version = run(std::process::Command::new(env!("CARGO")).arg("--version"), SOON).success().text();
    let version = version.split(' ').nth(1).unwrap_or("unknown").to_owned();
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    format!("{} {version} {profile}", std::env::consts::ARCH)
}

/// What one run of the workload takes, as callgrind counts.
fn instructions(in_flight: usize, len: usize, jobs: usize) -> u64 {
    let folder = Folder::new();
    let out = folder.join("callgrind.out");
    let mut command = std::process::Command::new("valgrind");
    command.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", out.display()));
    command.arg(std::env::current_exe().expect("this test")).args([
        "--exact",
        "workload",
        "--test-threads=1",
    ]);
    command.env(VARIABLE, format!("{in_flight} {len} {jobs}"));
    run(&mut command, SOON * 10).success();
    let text = std::fs::read_to_string(&out).expect("what callgrind counted");
    let total =
        text.lines().find_map(|line| line.strip_prefix("summary: ").or(line.strip_prefix("totals: ")));
    total.and_then(|total| total.trim().parse().ok()).expect("a total")
}
