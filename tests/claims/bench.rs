//! Forebay beside others in the same run: a bare libzmq proxy of the same library, and threads of one process.

use serde_json::Value;
use support::{SOON, command, run};

use crate::claim;
use pairs::{Middle, Pairs};

#[path = "../../benches/compare/pairs.rs"]
pub(crate) mod pairs;

/// The least ratio at 100 in flight, asserted when FOREBAY_BENCH_ASSERT is 1: a loaded machine says nothing about it.
const BOUND: f64 = 0.5;

/// 1 KiB with 1, 100, 1000 in flight over ipc and tcp, beside the proxy, as ratios; every answer right.
#[test]
fn bench_against_proxy() {
    let is_asserted = std::env::var_os("FOREBAY_BENCH_ASSERT").is_some_and(|value| value == "1");
    let (rounds, time) = if is_asserted { ("7", "1s") } else { ("3", "50ms") };
    let mut below = Vec::new();
    for transport in ["ipc", "tcp"] {
        let mut bench = command(support::binary!());
        bench.args(["bench", "--bare", "--json", "--size", "1k", "--in-flight", "1,100,1000"]);
        bench.args(["--transport", transport, "--rounds", rounds, "--time", time]);
        let pairs = Pairs::read(&run(&mut bench, SOON * 4).success().text());
        let in_flight: Vec<u64> = pairs.iter().map(|pairs| pairs.in_flight).collect();
        assert_eq!(in_flight, [1, 100, 1000]);
        for pairs in pairs {
            assert!(
                pairs
                    .figures("jobs_per_s")
                    .iter()
                    .chain(&pairs.figures("bare_per_s"))
                    .all(|rate| *rate > 0.0)
            );
            let Middle { median, min, max } = pairs.middle("ratio");
            let is_bound = pairs.in_flight == 100;
            claim(
                "bench_against_proxy",
                format!(
                    "{transport}, {} in flight: ratio {median:.2} ({min:.2} to {max:.2})",
                    pairs.in_flight
                ),
                if is_bound { format!("{BOUND}") } else { "none".to_owned() },
            );
            if is_bound && median < BOUND {
                below.push(format!("{transport}: {median:.2}"));
            }
        }
    }
    assert!(!is_asserted || below.is_empty(), "below {BOUND} of a bare proxy at 100 in flight: {below:?}");
}

/// Processor time of a job in milliseconds, and the least part of what threads of one process get done.
const EFFICIENCIES: [(&str, f64); 4] = [("20", 0.95), ("5", 0.92), ("1", 0.85), ("0.2", 0.6)];

/// The same computation on all cores, in threads of one process and through forebay, as ratios; every result compared.
#[test]
fn vs_local() {
    let is_asserted = std::env::var_os("FOREBAY_BENCH_ASSERT").is_some_and(|value| value == "1");
    let (rounds, time) = if is_asserted { ("9", "2s") } else { ("3", "50ms") };
    let cpu_times: Vec<String> = EFFICIENCIES.iter().map(|(ms, _)| format!("{ms}ms")).collect();
    let mut bench = command(support::binary!());
    bench.args(["bench", "--vs-local", "--json", "--rounds", rounds, "--time", time]);
    let text = run(bench.args(["--cpu-time", &cpu_times.join(",")]), SOON * 8).success().text();
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let mut below = Vec::new();
    for (ms, bound) in EFFICIENCIES {
        let cpu_ms = |row: &Value| row["cpu_us"].as_f64().map(|us| us / 1e3);
        let of = rows.iter().filter(|row| cpu_ms(row) == ms.parse().ok());
        let efficiencies: Vec<f64> = of.filter_map(|row| row["efficiency"].as_f64()).collect();
        assert_eq!(efficiencies.len().to_string(), rounds, "{text}");
        let Middle { median, min, max } = Middle::of(efficiencies);
        let measured = format!("{ms} ms of CPU: efficiency {median:.3} ({min:.3} to {max:.3})");
        claim("vs_local", measured, bound.to_string());
        if median < bound {
            below.push(format!("{ms} ms: {median:.3}"));
        }
    }
    assert!(!is_asserted || below.is_empty(), "below their bounds: {below:?}");
}
