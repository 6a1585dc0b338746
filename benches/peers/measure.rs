//! The rounds of a set of cells: every contender in turn, each beginning every other round earlier.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::args::{Args, Set};
use crate::cell::{Load, Wiring};
use crate::contenders::{Contender, Group};
use crate::middle::Middle;
use crate::process::{Part, Used};
use crate::syscalls;

/// What was measured in one cell.
pub(crate) struct Cell {
    pub(crate) wiring: Wiring,
    pub(crate) load: Load,
    pub(crate) rows: Vec<Row>,
}

/// What one contender did in a cell.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) rounds: Vec<Round>,
    pub(crate) jobs: u64,
    pub(crate) used: BTreeMap<Part, Used>,
    /// For each job, where they can be counted.
    pub(crate) syscalls: Option<BTreeMap<Part, f64>>,
    pub(crate) server_memory_kib: u64,
}

/// What a client said of one round. Times of jobs in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    pub(crate) jobs: u64,
    pub(crate) per_s: f64,
    pub(crate) p50_us: f64,
    pub(crate) p90_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) max_us: f64,
}

impl Row {
    pub(crate) fn middle(&self, figure: impl Fn(&Round) -> f64) -> Middle {
        Middle::of(self.rounds.iter().map(figure))
    }

    /// A figure of this one's rounds divided by the other's, pair by pair.
    pub(crate) fn ratio_to(&self, other: &Row, figure: impl Fn(&Round) -> f64) -> Middle {
        Middle::of(self.rounds.iter().zip(&other.rounds).map(|(own, other)| figure(own) / figure(other)))
    }
}

impl Cell {
    pub(crate) fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }
}

/// Starts everybody, measures every load, and ends everybody.
pub(crate) fn run(set: &Set, args: &Args) -> Vec<Cell> {
    println!("\n## {}\n", set.wiring.title());
    // There everything is installed, or the bench would rot unseen.
    let is_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    let mut groups = Vec::new();
    for contender in args.contenders() {
        match contender.start(set.wiring) {
            Ok(group) => groups.push((contender, group)),
            Err(why) => {
                println!("- left out: {}: {why}", contender.name);
                assert!(!(is_ci && why.contains("is not installed")), "{why}");
            }
        }
    }
    for (contender, group) in &groups {
        crate::report::commands(contender.name, group);
    }
    let mut cells = Vec::new();
    for &load in &set.loads {
        let mut takers: Vec<_> = groups.iter_mut().filter(|(contender, _)| contender.takes(load)).collect();
        let cell = measure(set.wiring, load, &mut takers, args);
        crate::report::cell(&cell);
        cells.push(cell);
    }
    cells
}

fn measure(wiring: Wiring, load: Load, takers: &mut [&mut (&Contender, Group)], args: &Args) -> Cell {
    let mut rows: Vec<Row> = takers.iter().map(|(contender, _)| Row::new(contender.name)).collect();
    for (_, group) in takers.iter_mut() {
        round(group, load, args.time() / 3);
    }
    for number in 0..args.rounds as usize {
        for at in 0..takers.len() {
            let at = (at + number) % takers.len();
            let (_, group) = &mut *takers[at];
            let before = used(group);
            let round = round(group, load, args.time());
            rows[at].add(round, &before, &used(group));
        }
    }
    for (row, (_, group)) in rows.iter_mut().zip(takers) {
        row.syscalls = syscalls::per_job(group, |group| round(group, load, args.time()).jobs);
        let servers = group.processes.iter().filter(|process| process.part == Part::Server);
        row.server_memory_kib = servers.map(|server| server.memory_kib_max()).sum();
    }
    Cell { wiring, load, rows }
}

impl Row {
    fn new(name: &'static str) -> Row {
        let (rounds, used) = (Vec::new(), BTreeMap::new());
        Row { name, rounds, jobs: 0, used, syscalls: None, server_memory_kib: 0 }
    }

    fn add(&mut self, round: Round, before: &BTreeMap<Part, Used>, after: &BTreeMap<Part, Used>) {
        self.jobs += round.jobs;
        self.rounds.push(round);
        for (part, after) in after {
            let sum = self.used.entry(*part).or_default();
            *sum = sum.plus(after.since(before[part]));
        }
    }
}

fn used(group: &Group) -> BTreeMap<Part, Used> {
    let mut used = BTreeMap::<Part, Used>::new();
    for process in &group.processes {
        let sum = used.entry(process.part).or_default();
        *sum = sum.plus(process.used());
    }
    used
}

/// Has the client run a round.
pub(crate) fn round(group: &mut Group, load: Load, time: Duration) -> Round {
    let client = group.client();
    client.say(&format!("{} {} {}", load.size, load.in_flight, time.as_millis()));
    let line = client.line();
    let figures: Vec<f64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [jobs, took_ns, p50, p90, p99, max] = figures[..] else { panic!("not a round: {line}") };
    Round {
        jobs: jobs as u64,
        per_s: jobs / took_ns * 1e9,
        p50_us: p50 / 1e3,
        p90_us: p90 / 1e3,
        p99_us: p99 / 1e3,
        max_us: max / 1e3,
    }
}
