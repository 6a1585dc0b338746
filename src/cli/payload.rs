//! What a job carries, from the command line: a text, a file, or standard input.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::path::PathBuf;

use clap::Args;
use forebay::api::{Options, QueueName, Submit};

use crate::cli::exit::{Exit, Failed};
use crate::cli::flags::{Flags, JobFlags, split};

/// Where payloads come from.
#[derive(Args, Clone, Debug)]
pub(crate) struct Source {
    /// The file with the payload; `-`, or none: standard input.
    #[arg(value_name = "FILE", conflicts_with = "data")]
    file: Option<PathBuf>,
    /// The payload itself, instead of a file.
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    data: Option<String>,
    /// Each line is a job of its own, without its line end.
    #[arg(short, long)]
    pub(crate) lines: bool,
}

/// The queue and what goes to it.
#[derive(Args, Clone, Debug)]
pub(crate) struct Payload {
    /// The queue, by the name that workers register.
    pub(crate) queue: String,
    #[command(flatten)]
    pub(crate) source: Source,
    /// A header of the job; may be repeated.
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE", help_heading = "The job")]
    headers: Vec<String>,
    #[command(flatten)]
    flags: Flags<JobFlags>,
}

impl Payload {
    /// A job without its payload: the queue, the headers and the rules that were said.
    pub(crate) fn template(&self, mut options: Options) -> Result<Submit, Failed> {
        self.flags.apply(&mut options)?;
        let queue = QueueName::new(&self.queue)?;
        for text in &self.headers {
            let (name, value) = split(text, "--header")?;
            options.set_bytes(&format!("job.header.{name}"), value.as_bytes())?;
        }
        let (rules, headers) = options.job_options()?;
        let mut job = Submit::new(queue.as_str(), Vec::new()).options(rules);
        job.headers = headers;
        Ok(job)
    }
}

impl Source {
    /// The whole payload.
    pub(crate) fn read(&self) -> Result<Vec<u8>, Failed> {
        let mut bytes = Vec::new();
        self.open()?.read_to_end(&mut bytes).map_err(|error| self.unreadable(&error))?;
        Ok(bytes)
    }

    /// Where the payload comes from.
    pub(crate) fn open(&self) -> Result<Box<dyn BufRead + Send>, Failed> {
        if let Some(text) = &self.data {
            return Ok(Box::new(std::io::Cursor::new(text.clone().into_bytes())));
        }
        match self.file.as_deref().filter(|path| *path != "-") {
            Some(path) => {
                let file = File::open(path).map_err(|error| Failed::file("read", path, &error))?;
                Ok(Box::new(BufReader::new(file)))
            }
            None => {
                if std::io::stdin().is_terminal() {
                    anstream::eprintln!("forebay: the payload comes from the terminal; Ctrl-D ends it");
                }
                Ok(Box::new(BufReader::new(std::io::stdin())))
            }
        }
    }

    /// What is said when it cannot be read.
    pub(crate) fn unreadable(&self, error: &std::io::Error) -> Failed {
        match self.file.as_deref().filter(|path| *path != "-") {
            Some(path) => Failed::file("read", path, error),
            None => Failed::new(Exit::System, format!("cannot read standard input: {error}")),
        }
    }
}

/// The next line without its end, `None` after the last.
pub(crate) fn next_line(from: &mut dyn BufRead) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if from.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    Ok(Some(line))
}
