//! Options as flags. The flags of a command are read from the option table: `job.run_ms` is `--run-ms`, with the
//! table's text as its help. What has no flag of its own is said with `--set KEY=VALUE` or in a file.
//!
//! Invariant: a flag beats `--set`, `--set` beats `--config`, and all of them beat the environment.

use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::process;

use clap::error::Result as ClapResult;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use forebay::api::Options;
use forebay::api::options::{Family, Kind, OptionInfo, options};

use crate::cli::exit::Failed;

/// Which families of options a command has as flags.
pub(crate) trait Families {
    /// The families.
    const FAMILIES: &[Family];
}

/// The flags of a command that talks to a broker.
#[derive(Clone, Debug)]
pub(crate) struct ClientFlags;

impl Families for ClientFlags {
    const FAMILIES: &[Family] = &[Family::Client];
}

/// The flags of a command that submits jobs.
#[derive(Clone, Debug)]
pub(crate) struct JobFlags;

impl Families for JobFlags {
    const FAMILIES: &[Family] = &[Family::Job];
}

/// The flags of the broker.
#[derive(Clone, Debug)]
pub(crate) struct BrokerFlags;

impl Families for BrokerFlags {
    const FAMILIES: &[Family] = &[Family::Broker];
}

/// What the flags of some families said, in the table's words.
#[derive(Clone, Debug)]
pub(crate) struct Flags<F> {
    said: Vec<(&'static str, String)>,
    families: PhantomData<F>,
}

/// The rows that are flags: headers have a flag of their own.
fn rows<F: Families>() -> impl Iterator<Item = &'static OptionInfo> {
    options().iter().filter(|row| F::FAMILIES.contains(&row.family) && row.kind != Kind::Header)
}

/// "job.run_ms" as "run-ms".
fn flag_of(row: &OptionInfo) -> String {
    row.key.split_once('.').map_or(row.key, |(_, bare)| bare).replace('_', "-")
}

/// What stands for the value in the help.
fn value_name(row: &OptionInfo) -> &'static str {
    match row.kind {
        Kind::Count { .. } | Kind::AutoCount { .. } => "N",
        Kind::Millis { .. } => "MS",
        Kind::Bytes { .. } => "BYTES",
        Kind::Path => "FILE",
        Kind::List => "ADDRESS",
        Kind::Switch => "BOOL",
        Kind::Word(_) | Kind::Text { .. } | Kind::Id | Kind::Header => "VALUE",
    }
}

fn argument(row: &'static OptionInfo) -> Arg {
    let default = if row.default.is_empty() { String::new() } else { format!(" [default: {}]", row.default) };
    let variable = row.variable().map_or(String::new(), |name| format!(" [env: {name}]"));
    let argument = Arg::new(row.key)
        .long(flag_of(row))
        .value_name(value_name(row))
        .help(format!("{}{default}", row.text))
        .long_help(format!("{} ({}){default}{variable}", row.text, row.kind));
    match row.kind {
        Kind::Switch => argument.num_args(0..=1).require_equals(true).default_missing_value("true"),
        Kind::List => argument.action(ArgAction::Append),
        _ => argument.allow_hyphen_values(true),
    }
}

impl<F: Families> Args for Flags<F> {
    fn augment_args(command: Command) -> Command {
        let heading = match F::FAMILIES.first() {
            Some(Family::Job) => "The job",
            Some(Family::Client) => "The connection",
            _ => "The broker",
        };
        // The job's rules are what a user looks for in a short help; the rest is for `--help`.
        let quiet = F::FAMILIES == [Family::Client];
        rows::<F>().fold(command, |command, row| {
            command.arg(argument(row).help_heading(heading).hide_short_help(quiet))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<F: Families> FromArgMatches for Flags<F> {
    fn from_arg_matches(matches: &ArgMatches) -> ClapResult<Self> {
        let said = rows::<F>().filter_map(|row| {
            let values: Vec<&str> = matches.get_many::<String>(row.key)?.map(String::as_str).collect();
            Some((row.key, values.join(",")))
        });
        Ok(Flags { said: said.collect(), families: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> ClapResult<()> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<F> Flags<F> {
    /// Puts what was said over `options`.
    pub(crate) fn apply(&self, options: &mut Options) -> Result<(), Failed> {
        for (key, value) in &self.said {
            options.set(key, value)?;
        }
        Ok(())
    }
}

/// Where any option can be said, for every command that has options.
#[derive(Args, Clone, Debug)]
pub(crate) struct Sources {
    /// A TOML file with options: [client], [job], [broker] ... with keys as `forebay options` lists them.
    #[arg(long, value_name = "FILE", help_heading = "Options from elsewhere")]
    config: Option<PathBuf>,
    /// Any option by its key, such as job.attempts=5; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Options from elsewhere")]
    set: Vec<String>,
}

impl Sources {
    /// The options that the file and `--set` give.
    pub(crate) fn options(&self) -> Result<Options, Failed> {
        let mut options = Options::new();
        if let Some(path) = &self.config {
            options.load(path)?;
        }
        for (key, value) in self.pairs()? {
            options.set(&key, &value)?;
        }
        Ok(options)
    }

    /// What `--set` says.
    pub(crate) fn pairs(&self) -> Result<Vec<(String, String)>, Failed> {
        let pair =
            |text: &String| split(text, "--set").map(|(key, value)| (key.to_owned(), value.to_owned()));
        self.set.iter().map(pair).collect()
    }

    /// The file.
    pub(crate) fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// Tells another process of this program the same.
    pub(crate) fn hand_on(&self, command: &mut process::Command) {
        if let Some(path) = &self.config {
            command.arg("--config").arg(path);
        }
        for text in &self.set {
            command.arg("--set").arg(text);
        }
    }
}

/// "name=value" in its two parts.
pub(crate) fn split<'a>(text: &'a str, flag: &str) -> Result<(&'a str, &'a str), Failed> {
    text.split_once('=')
        .ok_or_else(|| Failed::usage(format!("{flag} {text:?} has no `=`; right would be {flag} NAME=VALUE")))
}
