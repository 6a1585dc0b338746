//! How a line looks: text for people, JSON for programs.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, Record};

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// "2026-01-31T12:00:00.123Z WARN broker: no room job=0198..."
    #[default]
    Text,
    /// One JSON object a line: time, level, part, text, and what the line is about, such as job.
    Json,
}

/// One line, ready to be handed over.
pub(super) struct Line {
    pub(super) level: Level,
    pub(super) part: &'static str,
    /// The message, then what it is about as " name=value".
    pub(super) text: String,
    message_len: usize,
    about: About,
    at: Duration,
}

#[derive(Default)]
struct About(Vec<(String, String)>);

impl<'kvs> VisitSource<'kvs> for About {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let text = value.to_string();
        if !text.is_empty() {
            self.0.push((key.as_str().to_owned(), text));
        }
        Ok(())
    }
}

impl Line {
    pub(super) fn new(record: &Record<'_>) -> Self {
        let mut about = About::default();
        // The visitor itself never fails.
        let _ = record.key_values().visit(&mut about);
        // One line each, whatever a peer has put into a name.
        let mut text = record.args().to_string().replace(['\n', '\r', '\0'], " ");
        let message_len = text.len();
        for (name, value) in &about.0 {
            let _ = write!(text, " {name}={value}");
        }
        let part = super::levels::PARTS.into_iter().find(|part| *part == record.target()).unwrap_or("other");
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Line { level: record.level(), part, text, message_len, about, at }
    }

    /// The whole line with its end.
    pub(super) fn whole(&self, format: LogFormat) -> String {
        let time = time_text(self.at);
        match format {
            LogFormat::Text => format!("{time} {:<5} {}: {}\n", self.level.as_str(), self.part, self.text),
            LogFormat::Json => {
                let mut object = serde_json::Map::new();
                object.insert("time".into(), time.into());
                object.insert("level".into(), self.level.as_str().to_ascii_lowercase().into());
                object.insert("part".into(), self.part.into());
                object.insert("text".into(), self.text[..self.message_len].into());
                for (name, value) in &self.about.0 {
                    object.insert(name.clone(), value.as_str().into());
                }
                format!("{}\n", serde_json::Value::Object(object))
            }
        }
    }
}

/// "2026-01-31T12:00:00.123Z", after H. Hinnant, "chrono-compatible low-level date algorithms", civil_from_days.
fn time_text(at: Duration) -> String {
    let seconds = at.as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        second / 3_600,
        second / 60 % 60,
        second % 60,
        at.subsec_millis()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_iso_8601() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(time_text(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn a_line_names_its_job_in_both_formats() {
        let pairs = [("job", "0198"), ("why", "")];
        let record = Record::builder()
            .args(format_args!("two\nlines \"quoted\""))
            .level(Level::Info)
            .target("worker")
            .key_values(&pairs)
            .build();
        let line = Line::new(&record);
        assert!(line.whole(LogFormat::Text).ends_with(" INFO  worker: two lines \"quoted\" job=0198\n"));
        let json: serde_json::Value = serde_json::from_str(&line.whole(LogFormat::Json)).unwrap();
        assert_eq!(json["text"], "two lines \"quoted\"");
        assert_eq!(json["job"], "0198");
        assert_eq!(json["level"], "info");
    }
}
