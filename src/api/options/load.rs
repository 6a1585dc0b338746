//! Options from a TOML file: one table for each family, one entry for each key.

use std::fs;
use std::path::Path;

use toml::{Table, Value as Toml};

use crate::api::options::Options;
use crate::api::options::value;
use crate::model::{Failure, Status};

/// Bytes of a file of options; a larger one is not what the caller meant.
const FILE_LEN_MAX: u64 = 1 << 20;

impl Options {
    /// Sets every key the file names. Either all of them are taken or, on an error, none.
    ///
    /// # Errors
    /// `ERR_IO` when the file cannot be read, `ERR_OPTION` when it is not TOML or a key or value is wrong.
    pub fn load(&mut self, toml_path: &Path) -> Result<(), Failure> {
        let shown = toml_path.display().to_string();
        let io = |error: std::io::Error| Failure::new(Status::Io, format!("options file {shown}: {error}"));
        let len = fs::metadata(toml_path).map_err(io)?.len();
        if len > FILE_LEN_MAX {
            return Err(Failure::new(
                Status::Option,
                format!("options file {shown} has {len} bytes; up to {FILE_LEN_MAX} are read"),
            ));
        }
        let text = fs::read_to_string(toml_path).map_err(io)?;
        self.load_text(&text, &shown)
    }

    /// Like [`Options::load`] for text in memory; `name` stands in messages for the file.
    ///
    /// # Errors
    /// `ERR_OPTION` when it is not TOML or a key or value is wrong.
    pub fn load_text(&mut self, toml: &str, name: &str) -> Result<(), Failure> {
        let table: Table = toml::from_str(toml)
            .map_err(|error| Failure::new(Status::Option, format!("options file {name}: {error}")))?;
        let mut next = self.clone();
        for (key, entry) in &table {
            next.take(key, entry)
                .map_err(|failure| Failure::new(failure.status, format!("options file {name}: {failure}")))?;
        }
        *self = next;
        Ok(())
    }

    fn take(&mut self, key: &str, entry: &Toml) -> Result<(), Failure> {
        match entry {
            Toml::Table(table) => {
                for (name, entry) in table {
                    self.take(&format!("{key}.{name}"), entry)?;
                }
                Ok(())
            }
            Toml::String(text) => self.set(key, text),
            Toml::Integer(number) => self.set_int(key, *number),
            Toml::Boolean(on) => self.set(key, if *on { "true" } else { "false" }),
            Toml::Array(items) => {
                let texts: Option<Vec<&str>> = items.iter().map(Toml::as_str).collect();
                let info = self.info(key)?;
                match (info.kind, texts) {
                    (super::Kind::List, Some(texts)) => {
                        let list = value::list(info, key, texts.into_iter())?;
                        self.put(key, list);
                        Ok(())
                    }
                    _ => Err(unfit(key, "a list", info)),
                }
            }
            Toml::Float(_) => Err(unfit(key, "a fraction", self.info(key)?)),
            Toml::Datetime(_) => Err(unfit(key, "a date", self.info(key)?)),
        }
    }
}

fn unfit(key: &str, what: &str, info: &super::OptionInfo) -> Failure {
    Failure::new(Status::Option, format!("option {key} is {what}; right would be: {}", info.kind))
}
