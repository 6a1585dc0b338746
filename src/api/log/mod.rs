//! Where the library's words go. The library speaks through the `log` crate, so a Rust program sees it in its own
//! logger; for everybody else [`install`] puts this one behind the facade: stderr, warnings and worse, `FOREBAY_LOG`.
//!
//! Invariants: lines are handed over one at a time, in order, under one lock, so that when [`set`] returns the old
//! sink is idle and gone. A line spoken from inside a sink is dropped. A forked child begins with an output of its
//! own, because the lock may have been held when it was born.

mod format;
mod levels;
mod ring;

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::model::{Failure, Status};

pub use ::log::Level;
use format::Line;
pub use format::LogFormat;
use ring::Ring;

/// Receives the level, the part ("broker", "client", "worker", "net", "store", "cli") and the text of a line.
pub type Sink = Box<dyn Fn(Level, &str, &str) + Send>;

/// Where lines are written when no sink takes them.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LogSettings {
    /// A file to append to. `None`: stderr.
    pub file: Option<PathBuf>,
    /// How a line looks.
    pub format: LogFormat,
}

/// Who takes the lines.
#[derive(Default)]
enum Taker {
    #[default]
    Stderr,
    Sink(Sink),
    Ring(Ring),
}

#[derive(Default)]
struct Output {
    taker: Taker,
    file: Option<File>,
    format: LogFormat,
}

/// One process's output, and the one of the child it forked: a child never touches its parent's lock.
struct Place {
    pid: u32,
    output: Mutex<Output>,
    arrived: std::sync::Condvar,
    child: OnceLock<Box<Place>>,
}

impl Place {
    fn new() -> Self {
        Place {
            pid: std::process::id(),
            output: Mutex::default(),
            arrived: std::sync::Condvar::new(),
            child: OnceLock::new(),
        }
    }
}

fn place() -> &'static Place {
    static FIRST: OnceLock<Place> = OnceLock::new();
    let mut place = FIRST.get_or_init(Place::new);
    while place.pid != std::process::id() {
        place = place.child.get_or_init(|| Box::new(Place::new()));
    }
    place
}

fn lock(place: &Place) -> MutexGuard<'_, Output> {
    // A sink that panicked has left the output as it was.
    place.output.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    static IN_SINK: Cell<bool> = const { Cell::new(false) };
}

/// Whether the calling thread is inside a sink. Calls that may log or wait refuse to run there.
pub fn in_sink() -> bool {
    IN_SINK.with(Cell::get)
}

struct Logger;
static LOGGER: Logger = Logger;

impl ::log::Log for Logger {
    fn enabled(&self, metadata: &::log::Metadata<'_>) -> bool {
        levels::enabled(metadata.level(), metadata.target())
    }

    fn log(&self, record: &::log::Record<'_>) {
        if !self.enabled(record.metadata()) || in_sink() {
            return;
        }
        let line = Line::new(record);
        let place = place();
        let mut guard = lock(place);
        let output = &mut *guard;
        if let Some(file) = &mut output.file {
            // A full disk must not stop the jobs, and there is nowhere left to say so.
            let _ = file.write_all(line.whole(output.format).as_bytes());
        }
        match &mut output.taker {
            Taker::Stderr if output.file.is_none() => {
                let _ = std::io::stderr().write_all(line.whole(output.format).as_bytes());
            }
            Taker::Stderr => {}
            Taker::Sink(sink) => {
                struct Leave;
                impl Drop for Leave {
                    fn drop(&mut self) {
                        IN_SINK.with(|inside| inside.set(false));
                    }
                }
                IN_SINK.with(|inside| inside.set(true));
                let _leave = Leave;
                sink(line.level, line.part, &line.text);
            }
            Taker::Ring(ring) => {
                ring.push(line.level, format!("{}: {}", line.part, line.text));
                place.arrived.notify_one();
            }
        }
    }

    fn flush(&self) {}
}

/// Puts this logger behind the `log` facade, once, unless the program has set another one. Levels come from
/// `FOREBAY_LOG`, else warnings and worse. Answers whether this logger is the one.
pub fn install() -> bool {
    static OURS: OnceLock<bool> = OnceLock::new();
    *OURS.get_or_init(|| {
        if ::log::set_logger(&LOGGER).is_err() {
            return false;
        }
        if let Err(failure) = levels::set_from_environment() {
            ::log::warn!(target: "net", "{failure}");
        }
        true
    })
}

fn ours() -> Result<(), Failure> {
    if in_sink() {
        return Err(Failure::new(Status::State, "called from inside the log sink"));
    }
    if install() {
        return Ok(());
    }
    Err(Failure::new(
        Status::State,
        "the program has set its own logger for the log crate; forebay's lines go there, and its levels count",
    ))
}

/// Sets the levels: one for all ("info"), or one for each part ("warn,broker=debug"). Parts that are not named keep
/// theirs.
///
/// # Errors
/// `ERR_ARGUMENT` naming the word that is wrong; `ERR_STATE` when the program has its own logger.
pub fn set_levels(levels: &str) -> Result<(), Failure> {
    ours()?;
    levels::set(levels)
}

/// Sets the levels, unless `None`, and who takes the lines: the sink, or with `None` stderr (or the file) again. When
/// this returns the old sink has returned and will not be called any more.
///
/// # Errors
/// As for [`set_levels`]; `ERR_STATE` from inside a sink. On an error nothing has changed.
pub fn set(levels: Option<&str>, sink: Option<Sink>) -> Result<(), Failure> {
    ours()?;
    if let Some(levels) = levels {
        levels::set(levels)?;
    }
    let place = place();
    let taker = sink.map_or(Taker::Stderr, Taker::Sink);
    let old = std::mem::replace(&mut lock(place).taker, taker);
    drop(old);
    place.arrived.notify_all();
    Ok(())
}

/// Sets the file and the format of the lines that are written.
///
/// # Errors
/// `ERR_IO` when the file cannot be opened; `ERR_STATE` as for [`set_levels`].
pub fn set_output(settings: &LogSettings) -> Result<(), Failure> {
    ours()?;
    let open = |path: &PathBuf| {
        OpenOptions::new().append(true).create(true).open(path).map_err(|error| {
            Failure::new(Status::Io, format!("log file {}: {error}; it must be writable", path.display()))
        })
    };
    let file = settings.file.as_ref().map(open).transpose()?;
    let mut output = lock(place());
    output.file = file;
    output.format = settings.format;
    Ok(())
}

/// Like [`set_output`], but leaves the output alone where the settings say nothing: for a broker inside a program whose
/// log is the program's.
///
/// # Errors
/// As for [`set_output`].
pub fn set_output_if_said(settings: &LogSettings) -> Result<(), Failure> {
    if *settings == LogSettings::default() { Ok(()) } else { set_output(settings) }
}

/// The next line, for programs that cannot be called back. The first call begins to collect lines instead of writing
/// them to stderr; up to 1024 wait, then the oldest are dropped and counted in a line of their own. `take` is shown
/// the line and says whether it has it; otherwise it stays the next.
///
/// # Errors
/// `TIMED_OUT`; `ERR_STATE` while a sink is set, and as for [`set_levels`].
pub fn next(timeout: Option<Duration>, mut take: impl FnMut(Level, &str) -> bool) -> Result<bool, Failure> {
    ours()?;
    let deadline = timeout.and_then(|timeout| std::time::Instant::now().checked_add(timeout));
    let place = place();
    let mut output = lock(place);
    if matches!(output.taker, Taker::Stderr) {
        output.taker = Taker::Ring(Ring::default());
    }
    loop {
        let Taker::Ring(ring) = &mut output.taker else {
            return Err(Failure::new(
                Status::State,
                "a sink takes the lines; set it to none to collect them",
            ));
        };
        if let Some((level, text)) = ring.peek() {
            let taken = take(level, text);
            if taken {
                ring.pop();
            }
            return Ok(taken);
        }
        let left = match deadline {
            // Looked at again now and then, so that no wait lasts longer than a thread may.
            None => Duration::from_secs(3600),
            Some(deadline) => deadline.saturating_duration_since(std::time::Instant::now()),
        };
        if left.is_zero() {
            return Err(Failure::new(Status::TimedOut, ""));
        }
        output = match place.arrived.wait_timeout(output, left) {
            Ok((output, _)) => output,
            Err(poisoned) => poisoned.into_inner().0,
        };
    }
}
