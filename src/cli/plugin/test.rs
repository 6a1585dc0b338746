//! `forebay plugin test`: a plugin's function on one job, without a broker.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use clap::Args;
use forebay::api::Outcome;

use crate::cli::exit::{Exit, Failed};
use crate::cli::flags::{Sources, split};
use crate::cli::worker;

/// Runs a plugin's function on one job, without a broker: the payload is standard input, the result standard output.
#[derive(Args, Debug)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Examples:
  printf World | forebay plugin test ./libhello.so
  forebay plugin test ./libresize.so --param quality=90 < picture.jpg > small.jpg
  gdb --args forebay plugin test ./libresize.so
A job that did not end DONE says why on standard error; the exit code is 1. A crash is a crash."
)]
pub(super) struct Test {
    /// The plugin, the file of a shared object.
    file: PathBuf,
    /// The job's queue; default: the file's name without `lib` and `.so`.
    #[arg(short, long, value_name = "NAME")]
    queue: Option<String>,
    /// A parameter of the plugin; may be repeated.
    #[arg(long = "param", value_name = "NAME=VALUE")]
    params: Vec<String>,
    #[command(flatten)]
    sources: Sources,
}

impl Test {
    pub(super) fn run(self) -> Result<Exit, Failed> {
        let path = worker::absolute(&self.file)?;
        let queue = self.queue.clone().unwrap_or_else(|| self.stem());
        let mut options = self.sources.pairs()?;
        options.push(("host.load".to_owned(), path));
        // Whatever the plugin calls its queues: this is the job it is to handle.
        options.push(("host.queues".to_owned(), queue.clone()));
        for text in &self.params {
            let (name, value) = split(text, "--param")?;
            options.push((format!("param.{name}"), value.to_owned()));
        }
        let mut payload = Vec::new();
        let said =
            |error: io::Error| Failed::new(Exit::System, format!("cannot read standard input: {error}"));
        io::stdin().lock().read_to_end(&mut payload).map_err(said)?;
        let library = worker::open(&worker::library()?)?;
        let tested = library.test(self.sources.config(), &options, &queue, &payload)?;
        let mut out = io::stdout().lock();
        out.write_all(&tested.data).and_then(|()| out.flush()).map_err(|error| {
            Failed::new(Exit::System, format!("cannot write to standard output: {error}"))
        })?;
        if tested.outcome == Outcome::Done as i32 {
            return Ok(Exit::Done);
        }
        let [code, message, detail] = &tested.texts;
        let detail = if detail.is_empty() { String::new() } else { format!("\n{detail}") };
        anstream::eprintln!("forebay: {} {code}: {message}{detail}", name(tested.outcome));
        Ok(Exit::NotDone)
    }

    /// "libshout.so" as "shout".
    fn stem(&self) -> String {
        let name = self.file.file_name().unwrap_or_default().to_string_lossy();
        let name = name.strip_prefix("lib").unwrap_or(&name);
        name.split_once(".so").map_or(name, |(stem, _)| stem).to_owned()
    }
}

fn name(outcome: i32) -> &'static str {
    match outcome {
        outcome if outcome == Outcome::Failed as i32 => Outcome::Failed.name(),
        _ => "given back",
    }
}
