//! What forebay costs while nothing happens.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Process, SOON, Stage, eventually};

use crate::{claim, seconds};

/// Percent of one core.
const BOUND: f64 = 0.1;

/// Wake-ups a second of a whole process: its beats, their answers, and the threads that hand them on.
const WAKE_UPS_BOUND: f64 = 5.0;

/// Where waking up alone costs more, as on a virtual machine whose host takes idle memory away, the processor time of an
/// idle process says nothing about the process: it is printed then, and judged only with `FOREBAY_BENCH_ASSERT=1`.
const DEAR_WAKE_UP: Duration = Duration::from_micros(50);

/// Idle with default beats, a registered worker, an open client and a host of a plugin, which reports: few wake-ups, and CPU of each
/// process below 0.1 % of a core.
#[test]
fn idle_cpu() {
    let mut stage = support::stage!();
    let worker = Process::start(&mut stage.example("examples-c/hello_worker"));
    stage.wait_for_workers("hello", 1);
    let client = stage.client();
    let host = crate::hosts::host(&stage, 1, &[]);
    let slot = slot_of(&stage);

    let idle = Duration::from_secs_f64(seconds("FOREBAY_IDLE_SECONDS", 60.0, 10.0));
    let processes = [
        ("broker", stage.broker.process().pid()),
        ("worker", worker.pid()),
        ("client", client.process.pid()),
        ("host", host.pid()),
        ("slot", slot),
    ];
    let before = processes.map(|(_, pid)| Spent::by(pid));
    let bare = bare_wake_up(idle);
    let spent: Vec<Spent> =
        processes.iter().zip(before).map(|((_, pid), before)| Spent::by(*pid).since(before)).collect();
    client.finish();
    host.stop(SOON).success();

    let percent = |spent: &Spent| spent.ns as f64 / idle.as_nanos() as f64 * 100.0;
    let wake_ups_s = |spent: &Spent| spent.wake_ups as f64 / idle.as_secs_f64();
    let shown: Vec<String> = (processes.iter().zip(&spent))
        .map(|((name, _), spent)| {
            format!("{name} {:.3} % with {:.1} wake-ups/s", percent(spent), wake_ups_s(spent))
        })
        .collect();
    let is_judged = bare <= DEAR_WAKE_UP || std::env::var_os("FOREBAY_BENCH_ASSERT").is_some();
    let judged = if is_judged { "" } else { " (not judged here: waking up alone is dear)" };
    claim(
        "idle_cpu",
        format!(
            "{} of a core in {} s, a bare wake-up {} us",
            shown.join(", "),
            idle.as_secs(),
            bare.as_micros()
        ),
        format!("{BOUND} %{judged}, {WAKE_UPS_BOUND} wake-ups/s each"),
    );
    for ((name, _), spent) in processes.iter().zip(&spent) {
        assert!(wake_ups_s(spent) <= WAKE_UPS_BOUND, "the {name} wakes up too often");
        assert!(!is_judged || percent(spent) < BOUND, "the {name} does too much when it wakes up");
    }
}

/// The process of the host's only slot.
#[track_caller]
fn slot_of(stage: &Stage) -> u32 {
    eventually("a slot that waits", SOON, || {
        let said: Value = serde_json::from_str(&stage.cli(&["status", "--json"])).ok()?;
        let slot = &said["host_list"][0]["slot_list"][0];
        slot["pid"].as_u64().filter(|_| slot["state"] == "idle").and_then(|pid| u32::try_from(pid).ok())
    })
}

/// What a thread spends each time it wakes up and goes to sleep again, in processor time; takes `time`.
fn bare_wake_up(time: Duration) -> Duration {
    const EVERY: Duration = Duration::from_millis(250);
    let spent_ns = || first_number(Path::new("/proc/thread-self/schedstat"));
    let (begin, before) = (Instant::now(), spent_ns());
    let mut wake_ups = 0;
    while begin.elapsed() < time {
        // Not a synchronisation: waking up is what is measured.
        std::thread::sleep(EVERY);
        wake_ups += 1;
    }
    Duration::from_nanos(spent_ns() - before) / wake_ups
}

/// What all threads of a process had so far.
#[derive(Clone, Copy)]
struct Spent {
    /// Processor time, in nanoseconds.
    ns: u64,
    /// How often one of them went to sleep by itself.
    wake_ups: u64,
}

impl Spent {
    /// Reads what the scheduler counts: /proc/PID/stat counts in ticks of 10 ms, which is more than the bound allows in
    /// a short time.
    fn by(pid: u32) -> Self {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("a running process");
        threads.map(|thread| thread.expect("a thread").path()).fold(
            Self { ns: 0, wake_ups: 0 },
            |sum, thread| Self {
                ns: sum.ns + first_number(&thread.join("schedstat")),
                wake_ups: sum.wake_ups + voluntary_switches(&thread.join("status")),
            },
        )
    }

    fn since(self, before: Self) -> Self {
        Self { ns: self.ns - before.ns, wake_ups: self.wake_ups - before.wake_ups }
    }
}

fn first_number(path: &Path) -> u64 {
    let text = fs::read_to_string(path).expect("the scheduler's figures");
    text.split(' ').next().and_then(|ns| ns.parse().ok()).expect("a number")
}

fn voluntary_switches(path: &Path) -> u64 {
    let text = fs::read_to_string(path).expect("the thread's state");
    let count = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    count.and_then(|count| count.trim().parse().ok()).expect("a number")
}
