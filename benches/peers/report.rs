//! What is printed: the tables of docs/BENCHMARKS.md.

use std::process::Command;

use crate::args::Args;
use crate::contenders::Group;
use crate::measure::{Cell, Row};
use crate::middle::{figure, grouped};
use crate::process::{Part, Used};
use crate::syscalls;

const PARTS: [Part; 3] = [Part::Client, Part::Server, Part::Worker];

/// Where and with what everything runs.
pub(crate) fn preamble(args: &Args) {
    println!("# forebay beside its peers\n");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{}, {}, {cores} processors", system(), processor());
    println!("{} rounds of {:?} for each, one after the other in turn\n", args.rounds, args.time());
    for contender in args.contenders() {
        let version = contender.version().unwrap_or_else(|| "not installed".to_owned());
        println!("- {}: {}; {version}", contender.name, contender.what);
    }
    if let Some(why) = syscalls::absent() {
        println!("- left out: system calls: {why}");
    }
}

fn system() -> String {
    let said = Command::new("uname").arg("-srm").output();
    said.map_or_else(
        |_| std::env::consts::OS.to_owned(),
        |said| String::from_utf8_lossy(&said.stdout).trim().to_owned(),
    )
}

/// The processor's name, as far as the system tells.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.to_owned())
}

/// How a contender was started.
pub(crate) fn commands(name: &str, group: &Group) {
    let mut commands: Vec<&str> = group.processes.iter().map(|process| process.command.as_str()).collect();
    commands.dedup();
    println!("- {name}: `{}`", commands.join("`, `"));
}

/// The tables of one cell.
pub(crate) fn cell(cell: &Cell) {
    println!("\n### {}\n", cell.load.title());
    println!("| | jobs/s | forebay to it | p50, us | p90 | p99 | longest |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for row in &cell.rows {
        let ratio = match &cell.rows[0] {
            forebay if forebay.name == row.name => String::new(),
            forebay => forebay.ratio_to(row, |round| round.per_s).to_string(),
        };
        println!(
            "| {} | {} | {ratio} | {} | {} | {} | {} |",
            row.name,
            grouped(row.middle(|round| round.per_s).median),
            figure(row.middle(|round| round.p50_us).median),
            figure(row.middle(|round| round.p90_us).median),
            figure(row.middle(|round| round.p99_us).median),
            figure(row.middle(|round| round.max_us).median),
        );
    }
    println!("\nFor each job, client / broker / workers:\n");
    println!("| | CPU, us | voluntary switches | involuntary | system calls | broker's memory at most |");
    println!("|---|---:|---:|---:|---:|---:|");
    for row in &cell.rows {
        println!(
            "| {} | {} | {} | {} | {} | {} MiB |",
            row.name,
            parts(row, |used| used.cpu_ns as f64 / 1e3),
            parts(row, |used| used.voluntary as f64),
            parts(row, |used| used.involuntary as f64),
            row.syscalls.as_ref().map_or_else(
                || "-".to_owned(),
                |calls| { PARTS.map(|part| figure(calls.get(&part).copied().unwrap_or(0.0))).join(" / ") }
            ),
            row.server_memory_kib >> 10,
        );
    }
}

fn parts(row: &Row, of: impl Fn(&Used) -> f64) -> String {
    PARTS.map(|part| figure(row.used.get(&part).map_or(0.0, &of) / row.jobs as f64)).join(" / ")
}

/// All cells in one table: forebay's rate, and by how much it is each other's.
pub(crate) fn summary(cells: &[Cell]) {
    let mut names: Vec<&str> = Vec::new();
    for row in cells.iter().flat_map(|cell| cell.rows.iter().skip(1)) {
        if !names.contains(&row.name) {
            names.push(row.name);
        }
    }
    if cells.is_empty() {
        return;
    }
    println!("\n## All in one: forebay's rate, and how many times each other's it is\n");
    println!("| | | forebay, jobs/s | {} |", names.join(" | "));
    println!("|---|---|---:|{}", "---:|".repeat(names.len()));
    for cell in cells {
        let forebay = &cell.rows[0];
        let ratios = names.iter().map(|name| {
            let row = cell.row(name);
            row.map_or_else(String::new, |row| forebay.ratio_to(row, |round| round.per_s).to_string())
        });
        println!(
            "| {} | {} | {} | {} |",
            cell.wiring.title(),
            cell.load.title(),
            grouped(forebay.middle(|round| round.per_s).median),
            ratios.collect::<Vec<_>>().join(" | "),
        );
    }
}
