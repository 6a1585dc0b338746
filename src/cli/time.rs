//! Times as people say them on the command line: `10` or `10s`, `500ms`, `2m`, `1h`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

/// A moment for people: the time of day in UTC, behind the date if that is not today's.
pub(crate) fn clock(wall_ms: u64) -> String {
    let (day, ms_of_day) = (wall_ms / 86_400_000, wall_ms % 86_400_000);
    let (s, ms) = (ms_of_day / 1_000, ms_of_day % 1_000);
    let today = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 86_400;
    let date = if day == today { String::new() } else { format!("{} ", date(day)) };
    format!("{date}{:02}:{:02}:{:02}.{ms:03}Z", s / 3_600, s / 60 % 60, s % 60)
}

/// The date of a day, counted from the first of 1970.
fn date(day: u64) -> String {
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    // Whole cycles of the calendar first, so that no year is too far away to be counted to.
    const CYCLE_DAYS: u64 = 146_097;
    let (mut year, mut left) = (1970 + day / CYCLE_DAYS * 400, day % CYCLE_DAYS);
    loop {
        let days = 365 + u64::from(is_leap(year));
        if left < days {
            break;
        }
        (year, left) = (year + 1, left - days);
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < days {
            break;
        }
        (month, left) = (month + 1, left - days);
    }
    format!("{year}-{month:02}-{:02}", left + 1)
}

/// How long something has been so, in the unit that fits.
pub(crate) fn age(ms: u64) -> String {
    let s = ms / 1_000;
    match s {
        0..=99 => format!("{s} s"),
        100..=5_999 => format!("{} min", s / 60),
        6_000..=172_799 => format!("{} h", s / 3_600),
        _ => format!("{} d", s / 86_400),
    }
}

/// How long something took, by clocks that count milliseconds.
pub(crate) fn span(ms: u64) -> String {
    if ms < 1_000 { format!("{ms} ms") } else { show(Duration::from_millis(ms)) }
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

    #[test]
    fn ages_are_rounded_down_to_the_unit_that_fits() {
        let cases =
            [(999, "0 s"), (99_999, "99 s"), (100_000, "1 min"), (7_200_000, "2 h"), (345_600_000, "4 d")];
        for (ms, text) in cases {
            assert_eq!(age(ms), text);
        }
        assert_eq!((span(12), span(1_500)), ("12 ms".to_owned(), "1.50 s".to_owned()));
    }

    #[test]
    fn days_have_dates() {
        let cases = [
            (0, "1970-01-01"),
            (58, "1970-02-28"),
            (59, "1970-03-01"),
            (789, "1972-02-29"),
            (11_016, "2000-02-29"),
            (20_779, "2026-11-22"),
            (47_540, "2100-02-28"),
            (47_541, "2100-03-01"),
            (146_097, "2370-01-01"),
        ];
        for (day, text) in cases {
            assert_eq!(date(day), text);
        }
    }
}
