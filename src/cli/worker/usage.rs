//! What processes and the machine use, as proc(5) tells.

use std::fs;
use std::time::Duration;

/// What there is of the machine, and what is left of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Machine {
    /// Tasks that ran or wanted to, over the last minute.
    pub(super) load: Option<f64>,
    pub(super) memory: Option<u64>,
    pub(super) memory_free: Option<u64>,
}

/// The memory that a process has now.
pub(super) fn rss(id: u32) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{id}/statm")).ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// The processor time that a process has used.
pub(super) fn cpu(id: u32) -> Option<Duration> {
    cpu_in(&format!("/proc/{id}/stat"))
}

/// The same of one of its threads.
pub(super) fn cpu_of_thread(id: u32, thread: u32) -> Option<Duration> {
    cpu_in(&format!("/proc/{id}/task/{thread}/stat"))
}

fn cpu_in(path: &str) -> Option<Duration> {
    let stat = fs::read_to_string(path).ok()?;
    // The name, in brackets, may have spaces.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let ticks = ticks()? + ticks()?;
    Some(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second().max(1) as f64))
}

/// The machine now.
pub(super) fn machine() -> Machine {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = |name: &str| {
        let line = memory.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
    };
    Machine {
        load: load.split(' ').next().and_then(|text| text.parse().ok()),
        memory: kib("MemTotal"),
        memory_free: kib("MemAvailable"),
    }
}
