//! `forebay worker drain`: a worker is sent home.

use clap::Args;

use crate::cli::ask::{ask, count};
use crate::cli::connection::Connection;
use crate::cli::exit::{Exit, Failed};
use crate::cli::show;

/// Lets a worker finish what it runs and gives it no more.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  forebay worker drain render-3          it finishes what it runs; receive then answers DRAINED
  forebay worker drain build7:41232      by host and process, for a worker without a name
All workers of that name are drained. What they had fetched and not begun goes to others at once.")]
pub(super) struct Drain {
    /// The worker's name, as `forebay workers` lists it.
    name: String,
    /// One JSON object, the broker's own words (docs/ADMIN.md).
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Drain {
    pub(super) fn run(self) -> Result<Exit, Failed> {
        let client = self.connection.open()?;
        let answer = ask(&client, "worker.drain", &[("name", self.name.clone())])?;
        match self.json {
            true => show::line(&answer)?,
            false => show::line(format_args!(
                "{} finishes what it runs and takes nothing more{}",
                self.name,
                match count(&answer, "drained") {
                    0 | 1 => String::new(),
                    n => format!(" ({n} workers of that name)"),
                }
            ))?,
        }
        Ok(Exit::Done)
    }
}
