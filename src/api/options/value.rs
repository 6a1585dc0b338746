//! One option's value: text to value and back, checked against the row's type and bounds.

use std::fmt;

use crate::api::options::table::{Kind, OptionInfo};
use crate::model::{Failure, JobId, Status};

/// A value that fits its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// A count, milliseconds or bytes.
    Number(i64),
    /// `auto` where a number could stand.
    Auto,
    /// A word, text, path or id.
    Text(String),
    /// A switch.
    Switch(bool),
    /// A list.
    List(Vec<String>),
    /// A header's bytes.
    Bytes(Vec<u8>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(number) => write!(f, "{number}"),
            Value::Auto => f.write_str("auto"),
            Value::Text(text) => f.write_str(text),
            Value::Switch(on) => write!(f, "{on}"),
            Value::List(items) => f.write_str(&items.join(",")),
            Value::Bytes(bytes) => f.write_str(&String::from_utf8_lossy(bytes)),
        }
    }
}

/// "key = value: what is wrong; what would be right".
fn wrong(info: &OptionInfo, key: &str, value: &str, why: &str) -> Failure {
    let shown: String = value.chars().take(60).flat_map(char::escape_debug).collect();
    Failure::new(
        Status::Option,
        format!("option {key} = \"{shown}\": {why}; right would be: {}{}", info.kind, hint(info)),
    )
}

fn hint(info: &OptionInfo) -> &'static str {
    match info.kind {
        Kind::Millis { .. } => ", such as 1500 or 30s",
        Kind::Bytes { .. } => ", such as 65536 or 64Mi",
        _ => "",
    }
}

/// A number of bytes with or without a unit, such as 65536 or 64Mi.
pub fn parse_bytes(text: &str) -> Option<u64> {
    scaled(text.trim(), BYTES_UNITS).and_then(|bytes| u64::try_from(bytes).ok())
}

/// Reads `text` as the value of `key`, whose row is `info`.
pub(crate) fn parse(info: &OptionInfo, key: &str, text: &str) -> Result<Value, Failure> {
    let refuse = |why: &str| Err(wrong(info, key, text, why));
    let trimmed = text.trim();
    match info.kind {
        Kind::AutoCount { .. } if trimmed == "auto" => Ok(Value::Auto),
        Kind::Count { min, max } | Kind::AutoCount { min, max } => match trimmed.parse() {
            Ok(number) => bounded(info, key, text, number, min, max),
            Err(_) => refuse("not a whole number"),
        },
        Kind::Millis { min, max } => match scaled(trimmed, MILLIS_UNITS) {
            Some(number) => bounded(info, key, text, number, min, max),
            None => refuse("not a time"),
        },
        Kind::Bytes { min, max } => match scaled(trimmed, BYTES_UNITS) {
            Some(number) => bounded(info, key, text, number, min, max),
            None => refuse("not a number of bytes"),
        },
        Kind::Word(words) => match words.iter().find(|word| word.eq_ignore_ascii_case(trimmed)) {
            Some(word) => Ok(Value::Text((*word).to_owned())),
            None => refuse("not one of its words"),
        },
        Kind::Switch => match trimmed.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Ok(Value::Switch(true)),
            "false" | "no" | "off" | "0" => Ok(Value::Switch(false)),
            _ => refuse("not a switch"),
        },
        Kind::Text { len_max } if text.len() > len_max => refuse(&format!("has {} bytes", text.len())),
        Kind::Text { .. } | Kind::Path if text.chars().any(char::is_control) => {
            refuse("has a control character")
        }
        Kind::Text { .. } | Kind::Path => Ok(Value::Text(text.to_owned())),
        Kind::List => list(info, key, text.split(',')),
        Kind::Id => match JobId::parse(trimmed) {
            Some(id) => Ok(Value::Text(id.to_string())),
            None => refuse("not an id"),
        },
        Kind::Header => Ok(Value::Bytes(text.as_bytes().to_vec())),
    }
}

/// Reads a whole number as the value of `key`.
pub(crate) fn from_number(info: &OptionInfo, key: &str, number: i64) -> Result<Value, Failure> {
    match info.kind {
        Kind::Count { min, max }
        | Kind::AutoCount { min, max }
        | Kind::Millis { min, max }
        | Kind::Bytes { min, max } => bounded(info, key, &number.to_string(), number, min, max),
        Kind::Switch if (0..=1).contains(&number) => Ok(Value::Switch(number == 1)),
        _ => Err(wrong(info, key, &number.to_string(), "takes no number")),
    }
}

/// Takes any bytes for a header, and UTF-8 for everything else.
pub(crate) fn from_bytes(info: &OptionInfo, key: &str, bytes: &[u8]) -> Result<Value, Failure> {
    if info.kind == Kind::Header {
        return Ok(Value::Bytes(bytes.to_vec()));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => parse(info, key, text),
        Err(_) => Err(wrong(info, key, &String::from_utf8_lossy(bytes), "is not UTF-8")),
    }
}

/// Takes several texts for a list.
pub(crate) fn list<'a>(
    info: &OptionInfo,
    key: &str,
    items: impl Iterator<Item = &'a str>,
) -> Result<Value, Failure> {
    let mut kept = Vec::new();
    for item in items.map(str::trim).filter(|item| !item.is_empty()) {
        if item.chars().any(char::is_control) {
            return Err(wrong(info, key, item, "has a control character"));
        }
        kept.push(item.to_owned());
    }
    Ok(Value::List(kept))
}

fn bounded(
    info: &OptionInfo,
    key: &str,
    text: &str,
    number: i64,
    min: i64,
    max: i64,
) -> Result<Value, Failure> {
    if number < min {
        return Err(wrong(info, key, text, "too small"));
    }
    if number > max {
        return Err(wrong(info, key, text, "too large"));
    }
    Ok(Value::Number(number))
}

const MILLIS_UNITS: &[(&str, i64)] =
    &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

const BYTES_UNITS: &[(&str, i64)] = &[
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("B", 1),
];

/// A whole number with a unit, or without one; `None` when it is neither or does not fit 64 bits.
fn scaled(text: &str, units: &[(&str, i64)]) -> Option<i64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: i64 = number.parse().ok()?;
    let unit = unit.trim_start();
    if unit.is_empty() {
        return Some(number);
    }
    let (_, scale) = units.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*scale)
}
