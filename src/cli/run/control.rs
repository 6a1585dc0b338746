//! How a run is spoken to: a socket in a private folder, one JSON object in a line each way; and the commands that do it.
//!
//! Invariant: whoever connects waits for its answer alone, and the socket's file is there only while the run is.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::thread;

use clap::Args;
use forebay::api::host::runtime_folder;
use serde_json::{Value, json};

use crate::cli::exit::{Exit, Failed};
use crate::cli::run::limits::{SLOTS_MAX, WORD_LEN_MAX, WORD_PATIENCE};
use crate::cli::show;

/// Where the socket is, when no flag says so.
pub(super) const VARIABLE: &str = "FOREBAY_CONTROL";
/// Its name in the private folder.
const NAME: &str = "run.sock";

/// What is asked of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// The host of this queue, or of this name, is to have so many slots.
    Scale { queue: String, slots: u32 },
    /// Everything is read anew.
    Reload,
}

/// What it answers: what was done, for people, or why not.
pub(super) type Answer = Result<Vec<String>, String>;

/// A question that waits for its answer.
pub(super) struct Asked {
    pub(super) request: Request,
    pub(super) answer: Sender<Answer>,
}

/// The run's side.
pub(super) struct Listener {
    socket: UnixListener,
    path: PathBuf,
}

impl Listener {
    /// Binds the socket; what a killed run left there is removed.
    pub(super) fn bind(path: Option<PathBuf>) -> Result<Listener, Failed> {
        let path = path.map_or_else(default, Ok)?;
        if UnixStream::connect(&path).is_ok() {
            let message = format!(
                "a run is there already: {}; another may have --control FILE and a broker at another address",
                path.display()
            );
            return Err(Failed::new(Exit::InUse, message));
        }
        let _ = fs::remove_file(&path);
        let socket = UnixListener::bind(&path).map_err(|error| Failed::file("bind", &path, &error))?;
        Ok(Listener { socket, path })
    }

    /// Hands each question on, as long as anybody takes it.
    pub(super) fn serve<News: From<Asked> + Send + 'static>(&self, tell: Sender<News>) -> Result<(), Failed> {
        let said =
            |error: io::Error| Failed::new(Exit::System, format!("cannot serve the control socket: {error}"));
        let socket = self.socket.try_clone().map_err(said)?;
        let accept = move || {
            for stream in socket.incoming().flatten() {
                let tell = tell.clone();
                // One that says nothing keeps nobody else waiting.
                let _ =
                    thread::Builder::new().name("control".into()).spawn(move || drop(answer(&stream, &tell)));
            }
        };
        thread::Builder::new().name("controls".into()).spawn(accept).map_err(said)?;
        Ok(())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Reads one question, has it answered, and writes that.
fn answer<News: From<Asked>>(stream: &UnixStream, tell: &Sender<News>) -> io::Result<()> {
    stream.set_read_timeout(Some(WORD_PATIENCE))?;
    let mut line = String::new();
    BufReader::new(stream.take(WORD_LEN_MAX)).read_line(&mut line)?;
    let answered = Request::parse(&line).and_then(|request| {
        let (answer, answered) = mpsc::channel();
        let _ = tell.send(Asked { request, answer }.into());
        answered.recv().unwrap_or_else(|_| Err("the run ends".to_owned()))
    });
    let said = match answered {
        Ok(done) => json!({ "done": done }),
        Err(why) => json!({ "error": why }),
    };
    let mut to = stream;
    to.write_all(format!("{said}\n").as_bytes())
}

impl Request {
    fn parse(line: &str) -> Result<Request, String> {
        let said: Value = serde_json::from_str(line).map_err(|error| format!("that is no JSON: {error}"))?;
        match said["command"].as_str() {
            Some("scale") => {
                let queue = said["queue"].as_str().ok_or("scale needs a queue")?.to_owned();
                let slots = said["slots"].as_u64().and_then(|slots| u32::try_from(slots).ok());
                let slots = slots.filter(|slots| (1..=SLOTS_MAX).contains(slots));
                Ok(Request::Scale {
                    queue,
                    slots: slots.ok_or(format!("right would be 1 to {SLOTS_MAX} slots"))?,
                })
            }
            Some("reload") => Ok(Request::Reload),
            _ => Err("there are the commands scale and reload".to_owned()),
        }
    }

    fn text(&self) -> String {
        match self {
            Request::Scale { queue, slots } => json!({ "command": "scale", "queue": queue, "slots": slots }),
            Request::Reload => json!({ "command": "reload" }),
        }
        .to_string()
    }
}

/// The socket in this user's private folder.
fn default() -> Result<PathBuf, Failed> {
    Ok(runtime_folder()?.join(NAME))
}

/// Changes how many jobs of a queue are executed at once, while `forebay run` runs.
///
/// A host with the new number is started; when it is ready, the old one finishes what it does and ends. Nothing is lost in
/// between, and for a moment both are there.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  forebay scale resize 8
  forebay scale --control /run/jobs/run.sock resize 8")]
pub(crate) struct Scale {
    /// A queue that a host serves, or the host's name.
    queue: String,
    /// Its slots.
    #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(SLOTS_MAX)))]
    slots: u32,
    #[command(flatten)]
    run: Run,
}

/// Reads file and plugins anew, while `forebay run` runs.
///
/// Each host is started a second time, as the file says now; when it is ready, the old one finishes what it does and ends: each job is
/// answered by the one or the other. Hosts that are new in the file begin, those that are gone end. One that does not
/// become ready changes nothing. What the file says of the broker counts from its next start on.
///
/// A new version of a plugin has to be a new file under the old name (`mv` or `install`, not `cp`): processes have the old one in use.
#[derive(Args, Debug)]
pub(crate) struct Reload {
    #[command(flatten)]
    run: Run,
}

#[derive(Args, Debug)]
struct Run {
    /// The run's socket. Default: in this user's private folder.
    #[arg(long, value_name = "FILE", env = VARIABLE)]
    control: Option<PathBuf>,
}

impl Scale {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        self.run.ask(&Request::Scale { queue: self.queue, slots: self.slots })
    }
}

impl Reload {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        self.run.ask(&Request::Reload)
    }
}

impl Run {
    /// Asks, and shows what was done.
    fn ask(self, request: &Request) -> Result<Exit, Failed> {
        let path = self.control.map_or_else(default, Ok)?;
        let line = exchange(&path, request).map_err(|error| {
            let message = format!("no `forebay run` answers at {}: {error}", path.display());
            Failed::new(Exit::NoBroker, message)
        })?;
        let said: Value = serde_json::from_str(&line).unwrap_or_default();
        if let Some(why) = said["error"].as_str() {
            return Err(Failed::new(Exit::Refused, why));
        }
        for done in said["done"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            show::line(done)?;
        }
        Ok(Exit::Done)
    }
}

/// Asks the run at `path`, and gives its answer.
fn exchange(path: &Path, request: &Request) -> io::Result<String> {
    let mut stream = UnixStream::connect(path)?;
    stream.write_all(format!("{}\n", request.text()).as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream.take(WORD_LEN_MAX)).read_line(&mut line)?;
    if line.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(line) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood() {
        for request in [Request::Scale { queue: "a \"b\"".to_owned(), slots: 7 }, Request::Reload] {
            assert_eq!(Request::parse(&request.text()), Ok(request));
        }
        for wrong in [
            "",
            "{}",
            "{\"command\":\"scale\",\"queue\":\"q\",\"slots\":0}",
            "{\"command\":\"scale\",\"slots\":1}",
        ] {
            assert!(Request::parse(wrong).is_err(), "{wrong}");
        }
    }
}
