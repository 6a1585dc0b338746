//! The command line: what can be said, and who does it. Each command is one file.
//!
//! Invariant: standard output carries only what was asked for, so that it can be piped; everything said to people
//! beside it goes to standard error. How a command ends is in `exit`.

mod exit;
mod prefix;
mod version;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use exit::{EXIT_CODES, Failed};

/// A job broker over ZeroMQ, and what is needed to work with it.
#[derive(Debug, Parser)]
#[command(name = "forebay", version, after_help = EXIT_CODES, propagate_version = true, max_term_width = 100)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Version(version::Version),
    /// Builds the library and lays out DIR/bin, DIR/include and DIR/lib: what `make install` and the tests use.
    #[command(hide = true)]
    Prefix {
        /// The folder.
        dir: PathBuf,
    },
}

/// Reads the command line, does what it says, and tells how that went.
pub(crate) fn main() -> ExitCode {
    let line = Line::parse();
    let done = match line.command {
        Command::Version(version) => version.run(),
        Command::Prefix { dir } => lay_out(&dir),
    };
    match done {
        Ok(exit) => exit.into(),
        Err(failed) => {
            anstream::eprintln!("forebay: {failed}");
            failed.exit.into()
        }
    }
}

fn lay_out(dir: &std::path::Path) -> Result<exit::Exit, Failed> {
    let prefix = prefix::Prefix::build(dir)?;
    println!("{}", prefix.root().display());
    Ok(exit::Exit::Done)
}
