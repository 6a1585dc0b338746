//! `forebay options`: every option there is, from the one table.

use clap::Args;
use forebay::api::options::{Family, OptionInfo, options};
use serde_json::{Value, json};

use crate::cli::exit::{Exit, Failed};
use crate::cli::show;

/// Lists every option: what it does, its type and default, and its environment variable.
#[derive(Args, Debug)]
#[command(after_help = "\
An option is said as a flag of the commands it concerns (job.run_ms is --run-ms), with --set KEY=VALUE, in a TOML \
file given with --config, or in the environment; the first of these counts.")]
pub(crate) struct OptionsCommand {
    /// Only options whose key or text contains this.
    word: Option<String>,
    /// One JSON array.
    #[arg(long)]
    json: bool,
}

impl OptionsCommand {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        let word = self.word.unwrap_or_default().to_lowercase();
        let fits = |row: &&OptionInfo| row.key.contains(&word) || row.text.to_lowercase().contains(&word);
        let rows: Vec<_> = options().iter().filter(fits).collect();
        if self.json {
            show::line(rows.iter().map(|row| as_json(row)).collect::<Value>())?;
        } else {
            for family in Family::ALL {
                let mut of_family = rows.iter().filter(|row| row.family == family).peekable();
                if of_family.peek().is_some() {
                    show::line(format_args!("{}: {}\n", family.name(), family.text()))?;
                }
                for row in of_family {
                    show::line(as_text(row))?;
                }
            }
        }
        if rows.is_empty() {
            return Err(Failed::new(Exit::NotDone, format!("no option has {word:?} in its key or text")));
        }
        Ok(Exit::Done)
    }
}

fn as_json(row: &OptionInfo) -> Value {
    json!({
        "key": row.key, "family": row.family.name(), "type": row.kind.to_string(), "default": row.default,
        "variable": row.variable(), "text": row.text,
    })
}

fn as_text(row: &OptionInfo) -> String {
    let default = if row.default.is_empty() { String::new() } else { format!(", default {}", row.default) };
    let variable = row.variable().map_or(String::new(), |variable| format!(", ${variable}"));
    format!("  {}  ({}{default}{variable})\n      {}\n", row.key, row.kind, row.text)
}
