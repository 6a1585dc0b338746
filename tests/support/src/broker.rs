//! A broker process on a private address.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::{Finished, Folder, Process, SOON, command};

/// `forebay broker` on an ipc address in a folder of its own. Killed when dropped.
pub struct Broker {
    binary: std::path::PathBuf,
    arguments: Vec<String>,
    endpoint: String,
    process: Process,
    folder: Folder,
}

impl Broker {
    /// Starts one and waits until it listens.
    #[track_caller]
    pub fn start(binary: &Path) -> Broker {
        Broker::start_with(binary, &[])
    }

    /// Starts one with more arguments, such as `["--set", "broker.lease_ms=1000"]`. With `--listen` among them
    /// it listens there, else on an ipc address of its own; without `--store` it keeps jobs in memory.
    #[track_caller]
    pub fn start_with(binary: &Path, arguments: &[&str]) -> Broker {
        let folder = Folder::new();
        let mut arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        if !arguments.iter().any(|argument| argument == "--listen") {
            arguments.extend(["--listen".to_owned(), folder.ipc("broker")]);
        }
        if !arguments.iter().any(|argument| argument == "--store") {
            arguments.push("--memory".to_owned());
        }
        let (process, endpoint) = start(binary, &arguments);
        Broker { binary: binary.to_owned(), arguments, endpoint, process, folder }
    }

    /// The address it listens on, the first if there are several.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Its folder, for whatever else the test has to put somewhere.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// A command of the same binary that talks to this broker.
    pub fn cli(&self, arguments: &[&str]) -> Command {
        let mut command = command(&self.binary);
        command.args(arguments).env("FOREBAY_BROKER", &self.endpoint);
        command
    }

    /// A program that finds this broker by itself, through FOREBAY_BROKER.
    pub fn program(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = command(program);
        command.env("FOREBAY_BROKER", &self.endpoint);
        command
    }

    /// Ends it with SIGKILL.
    #[track_caller]
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same address, after `kill`.
    #[track_caller]
    pub fn restart(&mut self) {
        // A TCP port chosen by the system is asked for again by its number.
        let at = self.arguments.iter().position(|argument| argument == "--listen").expect("always given");
        self.arguments[at + 1] = self.endpoint.clone();
        (self.process, _) = start(&self.binary, &self.arguments);
    }

    /// Ends it with SIGTERM and waits for it.
    #[track_caller]
    pub fn stop(self, limit: Duration) -> Finished {
        self.process.stop(limit)
    }
}

#[track_caller]
fn start(binary: &Path, arguments: &[String]) -> (Process, String) {
    let process = Process::start(command(binary).arg("broker").args(arguments));
    let line = process.line_where("listening on ADDRESS", SOON, |line| line.starts_with("listening on "));
    let endpoint = line.trim_start_matches("listening on ").to_owned();
    (process, endpoint)
}
