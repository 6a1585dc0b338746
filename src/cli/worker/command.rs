//! A host whose jobs are done by a command, one process for each job: the payload is its standard input, the result its
//! standard output, and its exit code says whether it went well.
//!
//! Invariants: a command never outlives its job, nor does what it left in its process group; the host's threads wait for
//! their processes and for nothing else.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use forebay::api::slots::{Handler, Host, HostSettings, Slot};
use forebay::api::{Failure, Job, Retry};

use crate::cli::exit::{Exit, Failed};
use crate::cli::worker::attempt::{Attempt, Ended, Step};
use crate::cli::worker::board::Board;
use crate::cli::worker::ending::last_line;
use crate::cli::worker::escalate::why;
use crate::cli::worker::guard::Guard;
use crate::cli::worker::life::Life;
use crate::cli::worker::pin;
use crate::cli::worker::report::Reporter;
use crate::cli::worker::verdict::{Seen, Teller};
use crate::cli::{show, signals, time};

/// What is run for each job.
#[derive(Debug)]
pub(super) struct CommandLine {
    program: PathBuf,
    name: String,
    arguments: Vec<OsString>,
    rules: Rules,
    guard: Arc<Guard>,
    teller: Arc<Teller>,
    board: Arc<Board>,
    /// Set when nothing may go on.
    is_over: Arc<AtomicBool>,
}

/// What a command is kept to.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) endpoint: Option<String>,
    /// How long it has between SIGTERM and SIGKILL.
    pub(super) grace: Duration,
    pub(super) life: Life,
    /// Cores for each slot; 0: any.
    pub(super) cores: u32,
}

struct CommandSlot<'a> {
    line: &'a CommandLine,
    slot: u32,
}

impl CommandLine {
    /// A command line whose program is there.
    pub(super) fn new(words: &[OsString], rules: Rules, teller: Teller, slots: u32) -> Result<Self, Failed> {
        let (program, arguments) =
            words.split_first().ok_or_else(|| Failed::usage("there is no command after `--`"))?;
        let found = find(program).ok_or_else(|| {
            Failed::usage(format!("there is no program {} to run", Path::new(program).display()))
        })?;
        Ok(CommandLine {
            name: found.file_name().unwrap_or(program).to_string_lossy().into_owned(),
            program: found,
            arguments: arguments.to_vec(),
            rules,
            guard: Arc::new(Guard::start()?),
            teller: Arc::new(teller),
            board: Arc::new(Board::new(slots)?),
            is_over: Arc::default(),
        })
    }

    /// What it runs, for people.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Executes jobs until SIGTERM, and then those in hand for as long as `drain` allows.
    pub(super) fn serve(
        self,
        mut settings: HostSettings,
        drain: Duration,
        reporter: Reporter,
    ) -> Result<Exit, Failed> {
        settings.report = Some(self.board.path());
        let _reports = self.board.report(&self.teller, reporter)?;
        let (slots, queues) = (settings.slots, settings.queues.join(", "));
        let host = Arc::new(Host::open(self.rules.endpoint.as_deref(), settings)?);
        let is_over = Arc::clone(&self.is_over);
        signals::on_stop_of(&host, move |host, count| {
            if count > 1 {
                is_over.store(true, Ordering::Relaxed);
                return;
            }
            log::info!(target: "host", "draining; what runs has {}", time::show(drain));
            host.stop();
            let is_over = Arc::clone(&is_over);
            std::thread::spawn(move || {
                std::thread::sleep(drain);
                is_over.store(true, Ordering::Relaxed);
            });
        })?;
        show::line(format_args!(
            "{slots} {} {queues}",
            if slots == 1 { "slot serves" } else { "slots serve" }
        ))?;
        let handler: [Box<dyn Handler>; 1] = [Box::new(self)];
        host.run(&handler)?;
        Ok(Exit::Done)
    }

    /// The command for one job.
    fn command(&self, slot: u32, job: &Job) -> std::process::Command {
        let mut command = std::process::Command::new(&self.program);
        let number = slot.to_string();
        command.args(self.arguments.iter().map(|argument| match argument.to_str() {
            Some(text) => OsString::from(text.replace("{slot}", &number)),
            None => argument.clone(),
        }));
        command.env("FOREBAY_SLOT", number);
        command.env("FOREBAY_ID", job.id().to_string());
        command.env("FOREBAY_QUEUE", job.queue());
        command.env("FOREBAY_ATTEMPT", job.attempt().to_string());
        command.env("FOREBAY_ATTEMPTS_MAX", job.attempts_max().to_string());
        match job.time_left() {
            Some(left) => command.env("FOREBAY_TIME_LEFT_MS", left.as_millis().to_string()),
            None => command.env_remove("FOREBAY_TIME_LEFT_MS"),
        };
        if let Some(endpoint) = &self.rules.endpoint {
            command.env("FOREBAY_BROKER", endpoint);
        }
        if self.rules.cores > 0 {
            command.envs(pin::variables(self.rules.cores));
        }
        for (name, value) in &job.headers().0 {
            if !value.contains(&0) {
                use std::os::unix::ffi::OsStrExt;
                command.env(format!("FOREBAY_HEADER_{}", variable(name)), OsStr::from_bytes(value));
            }
        }
        command
    }

    /// Has the job's history say that its command is ended, and why.
    fn tell(&self, job: &Job, step: Step) {
        let text = match step {
            Step::Term => format!("was told to stop ({}): SIGTERM", why(job.stop())),
            Step::Kill => format!("goes on {} after SIGTERM: SIGKILL", time::show(self.rules.grace)),
        };
        log::info!(target: "host", "job={} {text}", job.id());
        let (pid, id, attempt) = (std::process::id(), job.id(), job.attempt());
        self.teller.tell_seen(Seen { pid, id, attempt, text });
    }

    /// Answers the job with how its process ended.
    fn answer(&self, job: &Job, ended: Ended) {
        let name = &self.name;
        let answered = match ended {
            Ended::Well { result, used } => {
                job.measure(move || used.clone());
                match job.complete(result) {
                    Err(failure) if !job.is_answered() => {
                        job.fail(Retry::Never, "too_large", &format!("{name}: {failure}"), "")
                    }
                    answered => answered,
                }
            }
            Ended::Badly { how, code, is_crash, said, used } => {
                job.measure(move || used.clone());
                let retry = if is_crash { Retry::Crashed } else { Retry::Policy };
                job.fail(retry, &code, &format!("{name} {how}{}", last_line(&said)), &said)
            }
            Ended::NotBegun(error) => {
                job.fail(Retry::Policy, "cannot_run", &format!("{name} cannot be run: {error}"), "")
            }
            Ended::CutOff => job.release(Duration::ZERO),
        };
        if let Err(failure) = answered {
            log::debug!(target: "host", "job={} its answer does not count: {failure}", job.id());
        }
    }
}

impl Handler for CommandLine {
    fn name(&self) -> &str {
        &self.name
    }

    fn queues(&self) -> &[String] {
        &[]
    }

    fn begin(&self, slot: u32) -> Result<Box<dyn Slot + '_>, Failure> {
        let cores = self.rules.cores;
        // What a thread starts is kept where the thread is.
        if cores > 0 && !pin::here(slot..slot + 1, cores) {
            log::warn!(target: "host", "slot {slot}: the system does not let it be kept to its cores");
        }
        Ok(Box::new(CommandSlot { line: self, slot }))
    }
}

impl Slot for CommandSlot<'_> {
    fn handle(&mut self, job: Job) {
        let command = self.line.command(self.slot, &job);
        let ended = match Attempt::start(command, job.body(), &self.line.guard) {
            Ok(attempt) => {
                self.line.rules.life.limit(attempt.id());
                let _shown = self.line.board.show(self.slot, attempt.id());
                let told = |step| self.line.tell(&job, step);
                attempt.finish(self.line.rules.grace, || job.stop(), told, &self.line.is_over)
            }
            Err(error) => Ended::NotBegun(error),
        };
        self.line.answer(&job, ended);
    }
}

/// A header's name as part of a variable's: letters and digits, all else `_`.
fn variable(header: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    header.chars().map(letter).collect()
}

/// The program's file: as it is with a `/`, else in the folders of PATH.
fn find(program: &OsStr) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let is_program = |path: &PathBuf| {
        path.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
    };
    if program.as_encoded_bytes().contains(&b'/') {
        return std::fs::canonicalize(program).ok().filter(is_program);
    }
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(program)).find(is_program)
}
