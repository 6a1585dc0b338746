//! The middle of some figures, and between which values they lie.

use std::fmt;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Middle {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Middle {
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Middle {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        Middle { median: figures[figures.len() / 2], min: figures[0], max: figures[figures.len() - 1] }
    }
}

impl fmt::Display for Middle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}-{})", figure(self.median), figure(self.min), figure(self.max))
    }
}

/// A number with as many digits as tell something.
pub(crate) fn figure(number: f64) -> String {
    match number {
        _ if number >= 100.0 => format!("{number:.0}"),
        _ if number >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

/// A whole number with commas.
pub(crate) fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
