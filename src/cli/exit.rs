//! How the command ends: the exit codes, and the one error value of the commands.
//!
//! The codes are part of the command's face. Scripts read them, so they are never changed or reused.

use std::fmt;
use std::process::ExitCode;

use forebay::api::{Failure, Status};

/// Why the process ends. The numbers are what a shell sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// All is well.
    Done = 0,
    /// A job did not end DONE, or a check failed.
    NotDone = 1,
    /// The command line, an option or an address is wrong.
    Usage = 2,
    /// No broker answers at the address.
    NoBroker = 3,
    /// The address is in use.
    InUse = 4,
    /// The broker refused.
    Refused = 5,
    /// The system refused: a file, a folder, a missing compiler.
    System = 6,
    /// The time given was over.
    TimedOut = 7,
    /// Ended by Ctrl-C or SIGTERM before it was done, as shells number it.
    Interrupted = 130,
}

/// What `--help` says about the exit codes.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    a job did not end DONE, or a check failed
  2    the command line, an option or an address is wrong
  3    no broker answers at the address
  4    the address is in use
  5    the broker refused: no room, not allowed, too large, unknown id
  6    the system refused: a file, a folder, a missing compiler
  7    the time given was over
  130  interrupted by Ctrl-C or SIGTERM before it was done";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Why a command could not do its work.
#[derive(Debug)]
pub(crate) struct Failed {
    /// What the process ends with.
    pub(crate) exit: Exit,
    /// What was wrong, with which value, and what would be right.
    pub(crate) message: String,
}

impl Failed {
    /// A failure that says `message`.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Failed { exit, message: message.into() }
    }

    /// What the command line says is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Failed::new(Exit::Usage, message)
    }

    /// The system refused something about a file or folder.
    pub(crate) fn file(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Failed::new(Exit::System, format!("cannot {doing} {}: {error}", path.display()))
    }
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        let exit = match failure.status {
            Status::Option | Status::Argument | Status::Address => Exit::Usage,
            Status::InUse => Exit::InUse,
            Status::Io | Status::Store | Status::Memory | Status::Panic => Exit::System,
            Status::TimedOut => Exit::TimedOut,
            Status::Interrupted => Exit::Interrupted,
            _ => Exit::Refused,
        };
        // Statuses above zero carry no text of their own. The name of an error is what docs/ERRORS.md explains.
        let message = match (failure.message.is_empty(), failure.status < Status::Ok) {
            (true, _) => failure.status.text().to_owned(),
            (false, true) => format!("{} ({})", failure.message, failure.status.name()),
            (false, false) => failure.message,
        };
        Failed { exit, message }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
