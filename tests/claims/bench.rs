//! Forebay beside a bare libzmq proxy of the same library in the same run.

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
