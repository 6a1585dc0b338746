//! What `forebay bench --bare --json` says, summed up: medians of paired ratios with their spread.
//!
//! Invariant: a ratio is of two rounds that ran one after the other in the same run; figures of different rounds are
//! never divided.

use std::collections::BTreeMap;

use serde_json::Value;

/// What was measured at one number in flight.
pub(crate) struct Pairs {
    pub(crate) in_flight: u64,
    rows: Vec<Value>,
}

/// The middle of some figures, and between which values they lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Middle {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Pairs {
    /// Reads the command's output: one JSON object for each pair of rounds.
    pub(crate) fn read(output: &str) -> Vec<Pairs> {
        let mut groups = BTreeMap::<u64, Vec<Value>>::new();
        for line in output.lines() {
            let row: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let in_flight = row["in_flight"].as_u64().unwrap_or_else(|| panic!("no in_flight in {line}"));
            groups.entry(in_flight).or_default().push(row);
        }
        groups.into_iter().map(|(in_flight, rows)| Pairs { in_flight, rows }).collect()
    }

    /// One field of every pair.
    pub(crate) fn figures(&self, field: &str) -> Vec<f64> {
        let figure = |row: &Value| row[field].as_f64().unwrap_or_else(|| panic!("no {field} in {row}"));
        self.rows.iter().map(figure).collect()
    }

    /// The middle of one field.
    pub(crate) fn middle(&self, field: &str) -> Middle {
        Middle::of(self.figures(field))
    }
}

impl Middle {
    /// The middle of these, of which there is at least one.
    pub(crate) fn of(mut figures: Vec<f64>) -> Middle {
        figures.sort_by(f64::total_cmp);
        Middle { median: figures[figures.len() / 2], min: figures[0], max: figures[figures.len() - 1] }
    }
}
