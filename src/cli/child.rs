//! A process that a command starts and that must not outlive it.

use std::io::{BufRead, BufReader};
use std::process::{Child as Process, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::cli::exit::{Exit, Failed};

/// A child process; killed when dropped.
pub(crate) struct Child {
    name: String,
    process: Process,
    stdout: Option<BufReader<ChildStdout>>,
}

impl Child {
    /// Starts a command without input. What it says on standard error is seen; its standard output is ours.
    pub(crate) fn start(name: &str, command: &mut Command) -> Result<Child, Failed> {
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut process =
            spawned.map_err(|error| Failed::new(Exit::System, format!("cannot start {name}: {error}")))?;
        let stdout = process.stdout.take().map(BufReader::new);
        Ok(Child { name: name.to_owned(), process, stdout })
    }

    /// This program with other arguments.
    pub(crate) fn own(arguments: &[&str]) -> Result<Command, Failed> {
        let binary = std::env::current_exe().map_err(|error| {
            Failed::new(Exit::System, format!("cannot find this program's file: {error}"))
        })?;
        let mut command = private(Command::new(binary));
        command.args(arguments);
        Ok(command)
    }

    /// The rest of the first line it writes that begins so.
    pub(crate) fn line(&mut self, prefix: &str) -> Result<String, Failed> {
        let mut line = String::new();
        while let Some(stdout) = &mut self.stdout {
            line.clear();
            if stdout.read_line(&mut line).unwrap_or(0) == 0 {
                break;
            }
            if let Some(rest) = line.strip_prefix(prefix) {
                return Ok(rest.trim_end().to_owned());
            }
        }
        Err(Failed::new(Exit::System, format!("{} ended before it was ready", self.name)))
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    /// Asks it to end. Whether it has ended within `limit`; if not, `drop` kills it.
    pub(crate) fn stop(&mut self, limit: Duration) -> bool {
        if let (None, Some(id)) =
            (self.ended(), rustix::process::Pid::from_raw(self.process.id().cast_signed()))
        {
            // Not reaped yet, so the id is still its own.
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
        let end = Instant::now() + limit;
        while self.ended().is_none() {
            if Instant::now() >= end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.ended().is_none() {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// A command without the user's own forebay settings: it must neither reach the user's broker nor be changed by
/// options meant for others.
pub(crate) fn private(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"FOREBAY_") {
            command.env_remove(name);
        }
    }
    command
}

/// A private folder for the command's own files, gone when dropped. Its path is short enough for ipc addresses.
pub(crate) fn scratch() -> Result<tempfile::TempDir, Failed> {
    /// Bytes of a path that leave room for a name below it in an ipc address (107 bytes).
    const PATH_LEN_MAX: usize = 70;
    let usual = std::env::temp_dir();
    let parent = if usual.as_os_str().len() > PATH_LEN_MAX { "/tmp".into() } else { usual };
    tempfile::Builder::new()
        .prefix("forebay-")
        .tempdir_in(&parent)
        .map_err(|error| Failed::file("make a folder in", &parent, &error))
}
