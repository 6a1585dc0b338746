//! What is measured: cells, and how the processes of a cell are wired together.

use clap::ValueEnum;

/// Bytes of payloads that may be in flight at once. More only measures memory, and nats-server lets nobody be so far
/// behind.
const IN_FLIGHT_BYTES_MAX: usize = 32 << 20;

/// How processes reach their broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    /// Unix sockets; the TCP of this machine for systems that have none.
    Ipc,
    /// TCP on this machine.
    Tcp,
}

/// Whether a broker that is killed may lose a job it has accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    /// Jobs live in memory.
    Volatile,
    /// On disk before the answer.
    Durable,
}

/// What is started once for several cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wiring {
    pub(crate) transport: Transport,
    pub(crate) level: Level,
    pub(crate) workers: usize,
    pub(crate) curve: bool,
    /// Everything on one processor.
    pub(crate) pinned: bool,
}

impl Wiring {
    pub(crate) const USUAL: Wiring =
        Wiring { transport: Transport::Ipc, level: Level::Volatile, workers: 1, curve: false, pinned: false };

    pub(crate) fn title(&self) -> String {
        let transport = if self.transport == Transport::Ipc { "ipc" } else { "tcp" };
        let level = if self.level == Level::Volatile { "volatile" } else { "durable" };
        let workers =
            if self.workers == 1 { "1 worker".to_owned() } else { format!("{} workers", self.workers) };
        let curve = if self.curve { ", CURVE" } else { "" };
        let pinned = if self.pinned { ", all on one processor" } else { "" };
        format!("{transport}, {level}, {workers}{curve}{pinned}")
    }
}

/// One echo of so many bytes with so many in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) size: usize,
    pub(crate) in_flight: usize,
}

impl Load {
    pub(crate) fn title(&self) -> String {
        format!("{}, {} in flight", size_text(self.size), self.in_flight)
    }
}

/// Every size with every number in flight, as far as memory allows.
pub(crate) fn loads(sizes: &[usize], in_flight: &[usize]) -> Vec<Load> {
    let mut loads = Vec::new();
    for &size in sizes {
        for &wanted in in_flight {
            let load = Load { size, in_flight: wanted.min(IN_FLIGHT_BYTES_MAX / size).max(1) };
            if !loads.contains(&load) {
                loads.push(load);
            }
        }
    }
    loads
}

pub(crate) fn size_text(size: usize) -> String {
    match size {
        _ if size >= 1 << 20 && size.is_multiple_of(1 << 20) => format!("{} MiB", size >> 20),
        _ if size >= 1 << 10 && size.is_multiple_of(1 << 10) => format!("{} KiB", size >> 10),
        _ => format!("{size} B"),
    }
}

/// The size that `16`, `1k` or `1M` is.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match &text[digits.len()..] {
        "" => 0,
        "k" | "K" | "KiB" => 10,
        "m" | "M" | "MiB" => 20,
        _ => return Err("a size is a number, with k or M behind it if you like".to_owned()),
    };
    let size = digits.parse::<usize>().map_err(|error| error.to_string())? << shift;
    if (16..=1 << 20).contains(&size) { Ok(size) } else { Err("a size from 16 to 1M".to_owned()) }
}
