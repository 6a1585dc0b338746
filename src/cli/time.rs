//! Times as people say them on the command line: `10` or `10s`, `500ms`, `2m`, `1h`.

use std::time::Duration;

/// Reads a time; a bare number is seconds.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit_s = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return Err(format!("\"{unit}\" is no unit of time; ms, s, m and h are")),
    };
    let number: f64 =
        number.parse().map_err(|_| "no number; right would be 10, 0.5s, 500ms or 2m".to_owned())?;
    Duration::try_from_secs_f64(number * unit_s).map_err(|_| "too long".to_owned())
}

/// A time for people, in the unit that fits.
pub(crate) fn show(time: Duration) -> String {
    let s = time.as_secs_f64();
    match s {
        _ if s < 0.001 => format!("{:.0} us", s * 1e6),
        _ if s < 0.1 => format!("{:.1} ms", s * 1e3),
        _ if s < 1.0 => format!("{:.0} ms", s * 1e3),
        _ if s < 100.0 => format!("{s:.2} s"),
        _ => format!("{:.0} s", s),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        let cases = [("10", 10_000), ("0.5s", 500), ("500ms", 500), ("2m", 120_000), ("1h", 3_600_000)];
        for (text, ms) in cases {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for wrong in ["", "s", "-1", "1 day", "1.2.3", "1e999h"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
