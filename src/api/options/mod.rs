//! Options: text keys to checked values, from calls, a TOML file and the environment, read once into plain settings.
//!
//! Invariant: an `Options` holds only keys of the table with values that fit them. What was set beats the
//! environment, and the environment beats the table's default.

mod load;
mod read;
mod table;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use crate::model::{Failure, Headers, JobOptions, Status, limits};

pub use table::{Family, Kind, OptionInfo};
use table::{HEADER_PREFIX, PARAM_PREFIX, TABLE};
use value::Value;
pub use value::parse_bytes;

/// A set of options. Opening a handle reads the keys of its own family and leaves the others alone, so that one
/// object, or one file, can serve all of a program.
#[derive(Clone, Debug, Default)]
pub struct Options {
    values: BTreeMap<String, Value>,
    /// The job's options as they were last read; nothing on the way of a submission reads text.
    job: OnceLock<Arc<(JobOptions, Headers)>>,
}

/// Every option there is.
pub fn options() -> &'static [OptionInfo] {
    TABLE
}

/// The option with number `i`, `None` past the last.
pub fn option_at(i: usize) -> Option<&'static OptionInfo> {
    TABLE.get(i)
}

impl Options {
    /// No option set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a key from text: "64Mi" for bytes, "30s" for milliseconds, "a,b" for a list.
    ///
    /// # Errors
    /// `ERR_OPTION`: the key is unknown (the nearest one is named), or the value does not fit (what would, is said).
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), Failure> {
        let value = value::parse(self.info(key)?, key, value)?;
        self.put(key, value);
        Ok(())
    }

    /// Sets a key to a whole number: a count, milliseconds, bytes, or 0 and 1 for a switch.
    ///
    /// # Errors
    /// As for [`Options::set`].
    pub fn set_int(&mut self, key: &str, value: i64) -> Result<(), Failure> {
        let value = value::from_number(self.info(key)?, key, value)?;
        self.put(key, value);
        Ok(())
    }

    /// Sets a header to any bytes, and any other key from UTF-8.
    ///
    /// # Errors
    /// As for [`Options::set`].
    pub fn set_bytes(&mut self, key: &str, value: &[u8]) -> Result<(), Failure> {
        let value = value::from_bytes(self.info(key)?, key, value)?;
        self.put(key, value);
        Ok(())
    }

    /// Takes back what was set, so that environment and default count again.
    ///
    /// # Errors
    /// `ERR_OPTION` for an unknown key.
    pub fn unset(&mut self, key: &str) -> Result<(), Failure> {
        self.info(key)?;
        self.values.remove(key);
        self.job = OnceLock::new();
        Ok(())
    }

    /// The value in effect as text: what was set, else the environment's, else the default. `None`: there is none.
    ///
    /// # Errors
    /// `ERR_OPTION` for an unknown key, or when the environment's value does not fit.
    pub fn get(&self, key: &str) -> Result<Option<String>, Failure> {
        let info = self.info(key)?;
        Ok(match self.said(info, key)? {
            Some(value) => Some(value.to_string()),
            None if info.default.is_empty() => None,
            None => Some(info.default.to_owned()),
        })
    }

    /// The bytes a header was set to, or the text in effect of any other key.
    ///
    /// # Errors
    /// As for [`Options::get`].
    pub fn get_bytes(&self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        match self.values.get(key) {
            Some(Value::Bytes(bytes)) => Ok(Some(bytes.clone())),
            _ => Ok(self.get(key)?.map(String::into_bytes)),
        }
    }

    /// The row of a key.
    fn info(&self, key: &str) -> Result<&'static OptionInfo, Failure> {
        for prefix in [HEADER_PREFIX, PARAM_PREFIX] {
            if let Some(name) = key.strip_prefix(prefix) {
                check_name(prefix, key, name)?;
                return Ok(named_row(prefix));
            }
        }
        let found = TABLE.iter().find(|info| info.key == key && info.kind != Kind::Header);
        found.ok_or_else(|| unknown(key))
    }

    fn put(&mut self, key: &str, value: Value) {
        self.job = OnceLock::new();
        self.values.insert(key.to_owned(), value);
    }

    /// What was set, else what the environment says. An empty variable says nothing.
    fn said(&self, info: &OptionInfo, key: &str) -> Result<Option<Value>, Failure> {
        if let Some(value) = self.values.get(key) {
            return Ok(Some(value.clone()));
        }
        let Some(variable) = info.variable() else { return Ok(None) };
        match std::env::var(&variable) {
            Ok(text) if text.is_empty() => Ok(None),
            Ok(text) => value::parse(info, key, &text).map(Some).map_err(|failure| {
                Failure::new(failure.status, format!("environment variable {variable}: {failure}"))
            }),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => {
                Err(Failure::new(Status::Option, format!("environment variable {variable}: not UTF-8")))
            }
        }
    }
}

/// The row of the keys that begin so and end in a name of the caller's choice.
fn named_row(prefix: &str) -> &'static OptionInfo {
    let is_it = |info: &&OptionInfo| info.kind == Kind::Header && info.key.starts_with(prefix);
    TABLE.iter().find(is_it).unwrap_or(&TABLE[0])
}

fn check_name(prefix: &str, key: &str, name: &str) -> Result<(), Failure> {
    let wrong = if name.is_empty() {
        "names nothing"
    } else if name.len() > limits::QUEUE_NAME_LEN_MAX {
        "has a name of more than 255 bytes"
    } else if name.chars().any(char::is_control) {
        "has a control character in its name"
    } else {
        return Ok(());
    };
    let shown: String = key.chars().take(60).flat_map(char::escape_debug).collect();
    Err(Failure::new(Status::Option, format!("option {shown} {wrong}; right would be: {prefix}NAME")))
}

/// Says that there is no such key, and which one may have been meant.
fn unknown(key: &str) -> Failure {
    let shown: String = key.chars().take(60).flat_map(char::escape_debug).collect();
    // A key without its family is the likeliest slip, so it counts as near as can be.
    let distance = |info: &OptionInfo| {
        let bare = info.key.split_once('.').map_or(info.key, |(_, bare)| bare);
        strsim::damerau_levenshtein(key, info.key).min(strsim::damerau_levenshtein(key, bare) + 1)
    };
    let nearest = TABLE.iter().map(|info| (distance(info), info)).min_by_key(|(distance, _)| *distance);
    let message = match nearest {
        Some((distance, info)) if distance <= 2 + key.len() / 3 => {
            format!("there is no option \"{shown}\"; the nearest is {}", info.key)
        }
        _ => format!("there is no option \"{shown}\"; `forebay options` lists them"),
    };
    Failure::new(Status::Option, message)
}
