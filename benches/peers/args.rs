//! What a person asks to be measured.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::cell::{Level, Load, Transport, Wiring, loads, size};
use crate::contenders::{ALL, Contender};

const SIZES: [usize; 4] = [16, 1 << 10, 64 << 10, 1 << 20];
const IN_FLIGHT: [usize; 3] = [1, 100, 1000];
const SLOTS: [usize; 4] = [1, 2, 10, 20];
const SLEEP_JOBS: usize = 5_000;

/// Measures forebay beside its peers: echoes through each in turn, in one run.
///
/// Without a choice of cells it measures what docs/BENCHMARKS.md shows. With one, every combination of what is chosen;
/// what is not chosen is 1 KiB, 1, 100 and 1000 in flight, one worker, ipc, volatile, without CURVE.
#[derive(Parser, Debug)]
#[command(
    name = "peers",
    after_help = "\
Examples:
  cargo bench --bench peers
  cargo bench --bench peers -- --size 1k --in-flight 1000 --peer nats
  cargo bench --bench peers -- --transport tcp --curve on --peer coalescing,credit
  cargo bench --bench peers -- --sleep-jobs 500 --slots 1,10
FOREBAY_BENCH_ASSERT=1 makes a figure below its bound a failure."
)]
pub(crate) struct Args {
    /// Bytes of each payload: 16, 1k, 64k, 1M.
    #[arg(long, value_name = "BYTES", value_delimiter = ',', value_parser = size)]
    size: Vec<usize>,
    /// Jobs in flight.
    #[arg(long, value_name = "N", value_delimiter = ',')]
    in_flight: Vec<usize>,
    /// Worker processes.
    #[arg(long, value_name = "N", value_delimiter = ',')]
    workers: Vec<usize>,
    /// How processes are connected.
    #[arg(long, value_enum, value_delimiter = ',')]
    transport: Vec<Transport>,
    /// Whether jobs are on disk before they count as accepted.
    #[arg(long, value_enum, value_delimiter = ',')]
    level: Vec<Level>,
    /// Encryption, over TCP.
    #[arg(long, value_enum, value_delimiter = ',')]
    curve: Vec<Curve>,
    /// Everything on one processor.
    #[arg(long)]
    pinned: bool,
    /// Every size, number in flight and workers, transport and level, and CURVE over TCP: an hour or two.
    #[arg(long)]
    full: bool,
    /// Whom forebay is measured beside; all without it. proxy, credit, coalescing, nats, redis, beanstalkd, gearmand.
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = peer)]
    peer: Vec<String>,
    /// Rounds of each cell.
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Milliseconds that each contender has in each round.
    #[arg(long, value_name = "MS", default_value_t = 300)]
    time: u64,
    /// Jobs that sleep for 10 ms, beside the ideal; 0: none.
    #[arg(long, value_name = "N")]
    sleep_jobs: Option<usize>,
    /// Slots of their worker.
    #[arg(long, value_name = "N", value_delimiter = ',')]
    slots: Vec<usize>,
    /// Where the picture goes; without a choice of cells docs/bench/peers.svg.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Curve {
    Off,
    On,
}

/// Cells whose processes are started once.
pub(crate) struct Set {
    pub(crate) wiring: Wiring,
    pub(crate) loads: Vec<Load>,
}

impl Args {
    /// How long each contender runs in each round.
    pub(crate) fn time(&self) -> Duration {
        Duration::from_millis(self.time)
    }

    /// Who is measured: forebay always.
    pub(crate) fn contenders(&self) -> impl Iterator<Item = &'static Contender> {
        ALL.iter()
            .enumerate()
            .filter(|(place, contender)| {
                *place == 0 || self.peer.is_empty() || self.peer.iter().any(|name| name == contender.name)
            })
            .map(|(_, contender)| contender)
    }

    fn chooses_cells(&self) -> bool {
        let lists = [self.size.len(), self.in_flight.len(), self.workers.len(), self.transport.len()];
        lists.iter().sum::<usize>() + self.level.len() + self.curve.len() > 0 || self.pinned
    }

    fn chooses_sleep(&self) -> bool {
        self.sleep_jobs.is_some() || !self.slots.is_empty()
    }

    /// What is to be measured.
    pub(crate) fn sets(&self) -> Vec<Set> {
        match (self.full, self.chooses_cells()) {
            (true, _) => all(),
            (false, true) => self.chosen(),
            (false, false) if self.chooses_sleep() => Vec::new(),
            (false, false) => shown(),
        }
    }

    fn chosen(&self) -> Vec<Set> {
        let or = |chosen: &[usize], usual: &[usize]| -> Vec<usize> {
            if chosen.is_empty() { usual.to_vec() } else { chosen.to_vec() }
        };
        let curves = if self.curve.is_empty() { &[Curve::Off][..] } else { &self.curve };
        let transports = match (self.transport.is_empty(), curves.contains(&Curve::On)) {
            (false, _) => &self.transport[..],
            (true, false) => &[Transport::Ipc],
            (true, true) => &[Transport::Tcp],
        };
        let levels = if self.level.is_empty() { &[Level::Volatile][..] } else { &self.level };
        let loads = loads(&or(&self.size, &[1 << 10]), &or(&self.in_flight, &IN_FLIGHT));
        let mut sets = Vec::new();
        for &transport in transports {
            for &level in levels {
                for &workers in &or(&self.workers, &[1]) {
                    for &curve in curves {
                        let curve = curve == Curve::On && transport == Transport::Tcp;
                        let wiring = Wiring { transport, level, workers, curve, pinned: self.pinned };
                        sets.push(Set { wiring, loads: loads.clone() });
                    }
                }
            }
        }
        sets
    }

    /// Slots and jobs of each measurement of jobs that sleep.
    pub(crate) fn sleeps(&self) -> impl Iterator<Item = (usize, usize)> {
        let is_wanted = self.chooses_sleep() || !self.chooses_cells();
        let jobs = if is_wanted { self.sleep_jobs.unwrap_or(SLEEP_JOBS) } else { 0 };
        let slots = if self.slots.is_empty() { SLOTS.to_vec() } else { self.slots.clone() };
        slots.into_iter().filter(move |_| jobs > 0).map(move |slots| (slots, jobs))
    }

    /// They take most of a minute each with one slot, and hardly differ.
    pub(crate) fn rounds_of_sleep(&self) -> u32 {
        self.rounds.div_ceil(3)
    }

    /// Where the picture goes, if there is one.
    pub(crate) fn plot(&self) -> Option<PathBuf> {
        let usual = || Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/bench/peers.svg");
        let is_shown = !self.chooses_cells() && !self.chooses_sleep() && self.peer.is_empty();
        self.plot.clone().or_else(|| is_shown.then(usual))
    }
}

/// What docs/BENCHMARKS.md shows: every size, and at 1 KiB each other way to wire it.
fn shown() -> Vec<Set> {
    let usual = Wiring::USUAL;
    let at_1k = |in_flight: &[usize]| loads(&[1 << 10], in_flight);
    vec![
        Set { wiring: usual, loads: loads(&SIZES, &IN_FLIGHT) },
        Set { wiring: Wiring { transport: Transport::Tcp, ..usual }, loads: at_1k(&IN_FLIGHT) },
        Set { wiring: Wiring { workers: 4, ..usual }, loads: at_1k(&[100, 1000]) },
        Set { wiring: Wiring { level: Level::Durable, ..usual }, loads: at_1k(&[100, 1000]) },
        Set { wiring: Wiring { transport: Transport::Tcp, curve: true, ..usual }, loads: at_1k(&IN_FLIGHT) },
        Set { wiring: Wiring { pinned: true, ..usual }, loads: at_1k(&[1]) },
    ]
}

fn all() -> Vec<Set> {
    let mut sets = Vec::new();
    for (transport, curve) in [(Transport::Ipc, false), (Transport::Tcp, false), (Transport::Tcp, true)] {
        for level in [Level::Volatile, Level::Durable] {
            for workers in [1, 4] {
                let wiring = Wiring { transport, level, workers, curve, pinned: false };
                sets.push(Set { wiring, loads: loads(&SIZES, &IN_FLIGHT) });
            }
        }
    }
    sets
}

fn peer(name: &str) -> Result<String, String> {
    match ALL.iter().skip(1).any(|contender| contender.name == name) {
        true => Ok(name.to_owned()),
        false => Err("no such peer".to_owned()),
    }
}
