//! What forebay costs while nothing happens.

use std::fs;
use std::time::{Duration, Instant};

use support::Process;

use crate::{claim, seconds};

/// Percent of one core.
const BOUND: f64 = 0.1;

/// Idle with default beats, a registered worker and an open client: CPU of each process below 0.1 % of a core.
#[test]
fn idle_cpu() {
    let mut stage = support::stage!();
    let worker = Process::start(&mut stage.example("examples-c/hello_worker"));
    stage.wait_for_workers("hello", 1);
    let client = stage.client();

    let idle = Duration::from_secs_f64(seconds("FOREBAY_IDLE_SECONDS", 60.0, 10.0));
    let processes = [
        ("broker", stage.broker.process().pid()),
        ("worker", worker.pid()),
        ("client", client.process.pid()),
    ];
    let before = processes.map(|(_, pid)| cpu_ns(pid));
    let begin = Instant::now();
    // Not a synchronisation: the time that passes is what is measured.
    std::thread::sleep(idle);
    let took_ns = begin.elapsed().as_nanos() as f64;
    let percent: Vec<f64> = (processes.iter().zip(before))
        .map(|((_, pid), before)| (cpu_ns(*pid) - before) as f64 / took_ns * 100.0)
        .collect();
    let shown: Vec<String> =
        processes.iter().zip(&percent).map(|((name, _), percent)| format!("{name} {percent:.3} %")).collect();
    claim("idle_cpu", format!("{} of a core in {} s", shown.join(", "), idle.as_secs()), "0.1 % each");
    assert!(percent.iter().all(|percent| *percent < BOUND));
    client.finish();
}

/// The processor time that all threads of a process have had, in nanoseconds. /proc/PID/stat counts in ticks of 10 ms,
/// which is more than the bound allows in a short time.
fn cpu_ns(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("a running process");
    threads
        .map(|thread| {
            let path = thread.expect("a thread").path().join("schedstat");
            let text = fs::read_to_string(&path).expect("the scheduler's figures");
            text.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).expect("a number")
        })
        .sum()
}
