//! What forebay is to reach beside others: each bound by name, with what was measured. A bound is judged only where its
//! cell was measured and whom it speaks of was there.

use crate::cell::{Level, Load, Wiring};
use crate::measure::{Cell, Round, Row};
use crate::middle::Middle;
use crate::process::Part;
use crate::sleep::Slept;

const BARE: [&str; 2] = ["credit", "coalescing"];

/// A ratio of forebay's rate to another's.
struct Bound {
    name: &'static str,
    size: usize,
    in_flight: usize,
    level: Level,
    /// The best of these counts.
    of: &'static [&'static str],
    floor: f64,
    aim: f64,
}

const fn volatile(
    name: &'static str,
    size: usize,
    in_flight: usize,
    of: &'static [&'static str],
    [floor, aim]: [f64; 2],
) -> Bound {
    Bound { name, size, in_flight, level: Level::Volatile, of, floor, aim }
}

const fn durable(name: &'static str, of: &'static [&'static str], [floor, aim]: [f64; 2]) -> Bound {
    Bound { name, size: 1 << 10, in_flight: 1000, level: Level::Durable, of, floor, aim }
}

const BOUNDS: [Bound; 14] = [
    volatile("of_best_bare_1000", 1 << 10, 1000, &BARE, [0.65, 0.9]),
    volatile("of_nats_1000", 1 << 10, 1000, &["nats"], [1.1, 1.6]),
    volatile("of_gearmand_1000", 1 << 10, 1000, &["gearmand"], [40.0, 60.0]),
    volatile("of_beanstalkd_1000", 1 << 10, 1000, &["beanstalkd"], [25.0, 40.0]),
    volatile("of_redis_1000", 1 << 10, 1000, &["redis"], [2.0, 4.0]),
    volatile("of_best_bare_100", 1 << 10, 100, &BARE, [0.7, 0.9]),
    volatile("of_nats_100", 1 << 10, 100, &["nats"], [0.75, 1.0]),
    volatile("of_coalescing_16_bytes_1000", 16, 1000, &["coalescing"], [0.5, 0.7]),
    volatile("of_credit_64_kib", 64 << 10, 100, &["credit"], [0.9, 1.0]),
    volatile("of_credit_1_mib", 1 << 20, 32, &["credit"], [0.9, 1.0]),
    durable("of_bare_durable", &["coalescing"], [0.6, 0.9]),
    durable("of_beanstalkd_durable", &["beanstalkd"], [30.0, 60.0]),
    durable("of_redis_durable", &["redis"], [2.0, 4.0]),
    // Not forebay's: without it the coalescing broker is no ceiling.
    volatile("ceiling_is_valid", 1 << 10, 1000, &["proxy"], [2.5, 2.5]),
];

/// Round trip with one in flight on one processor, as part of the proxy's: at most, and the aim.
const ROUND_TRIP: [f64; 2] = [1.35, 1.15];
/// Total time of jobs that sleep, as part of the ideal.
const SLEEP: [f64; 2] = [1.01, 1.003];
/// The broker's processor time for a byte of 1 MiB payloads, as part of the credit broker's, which copies none.
const BYTES: [f64; 2] = [1.5, 1.1];

/// Prints each and says how many are not held.
pub(crate) fn print(cells: &[Cell], slept: Vec<Slept>) -> usize {
    println!("\n## Bounds\n");
    let mut missed = 0;
    let mut judge = |name: &str, measured: Middle, bound: String, is_held: bool| {
        missed += usize::from(!is_held);
        let word = if is_held { "held" } else { "MISSED" };
        println!("{name} measured: {measured}; bound: {bound}; {word}");
    };
    for bound in &BOUNDS {
        let Some(measured) = bound.measured(cells) else { continue };
        let text = format!("{} (aim {})", bound.floor, bound.aim);
        judge(bound.name, measured, text, measured.median >= bound.floor);
    }
    let mut at_most = |name: &str, measured: Option<Middle>, [bound, aim]: [f64; 2]| {
        if let Some(measured) = measured {
            let text = format!("at most {bound} (aim {aim})");
            judge(name, measured, text, measured.median <= bound);
        }
    };
    let pinned = Wiring { pinned: true, ..Wiring::USUAL };
    at_most("round_trip_of_proxy", round_trip(cells, pinned), ROUND_TRIP);
    at_most("large_payloads_are_not_copied", bytes(cells), BYTES);
    for slept in slept {
        at_most(&format!("sleep_of_ideal_{}_slots", slept.slots), Some(slept.of_ideal), SLEEP);
    }
    missed
}

fn find(cells: &[Cell], wiring: Wiring, load: Load) -> Option<&Cell> {
    cells.iter().find(|cell| cell.wiring == wiring && cell.load == load)
}

impl Bound {
    fn measured(&self, cells: &[Cell]) -> Option<Middle> {
        let wiring = Wiring { level: self.level, ..Wiring::USUAL };
        let cell = find(cells, wiring, Load { size: self.size, in_flight: self.in_flight })?;
        let others: Option<Vec<&Row>> = self.of.iter().map(|name| cell.row(name)).collect();
        let rate = |round: &Round| round.per_s;
        let best =
            others?.into_iter().max_by(|a, b| a.middle(rate).median.total_cmp(&b.middle(rate).median))?;
        let own = if self.name == "ceiling_is_valid" { cell.row("coalescing")? } else { &cell.rows[0] };
        Some(own.ratio_to(best, rate))
    }
}

fn round_trip(cells: &[Cell], wiring: Wiring) -> Option<Middle> {
    let cell = find(cells, wiring, Load { size: 1 << 10, in_flight: 1 })?;
    Some(cell.rows[0].ratio_to(cell.row("proxy")?, |round| round.p50_us))
}

fn bytes(cells: &[Cell]) -> Option<Middle> {
    let cell = find(cells, Wiring::USUAL, Load { size: 1 << 20, in_flight: 32 })?;
    let per_job = |row: &Row| row.used.get(&Part::Server).map(|used| used.cpu_ns as f64 / row.jobs as f64);
    let ratio = per_job(&cell.rows[0])? / per_job(cell.row("credit")?)?;
    Some(Middle::of([ratio]))
}
