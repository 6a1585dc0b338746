//! One process of a contender: started, spoken to line by line, and what it has used so far as /proc tells.
//!
//! Invariant: it ends with the measuring process, however that ends, and nothing it says is waited for without an end.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long a line may take, or a server to be reachable.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// What it does for its contender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Client,
    Server,
    Worker,
}

pub(crate) struct Process {
    pub(crate) part: Part,
    /// Its command line, as printed.
    pub(crate) command: String,
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    /// Starts a command on the processors whose bits are in `cores`; all if there are none. Its standard error is the
    /// measuring process's own, unless it is a server's that tells its life story.
    pub(crate) fn start(part: Part, command: &mut Command, cores: u64) -> Process {
        let shown = show(command);
        let spawned = bound_to_us(command, cores).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("cannot start {shown}: {error}"));
        let (said, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if said.send(line).is_err() {
                    // Somebody must read on, or it would wait for room.
                    continue;
                }
            }
        });
        Process { part, command: shown, child, lines }
    }

    /// Writes a line to it.
    pub(crate) fn say(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("a pipe");
        let said = writeln!(stdin, "{line}").and_then(|()| stdin.flush());
        said.unwrap_or_else(|error| panic!("{} does not listen: {error}", self.command));
    }

    /// Its next line.
    pub(crate) fn line(&self) -> String {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(why) => panic!("nothing from {}: {why}", self.command),
        }
    }

    /// What stands behind `prefix` on the next line that begins with it.
    pub(crate) fn line_after(&self, prefix: &str) -> String {
        loop {
            if let Some(rest) = self.line().strip_prefix(prefix) {
                return rest.to_owned();
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What its threads have used since they began.
    pub(crate) fn used(&self) -> Used {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid()));
        let threads = threads.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        threads.fold(Used::default(), |sum, thread| {
            let read = |name: &str| fs::read_to_string(thread.join(name)).unwrap_or_default();
            // On a processor, waiting for one, time slices: nanoseconds.
            let cpu_ns = read("schedstat").split(' ').next().and_then(|word| word.parse().ok());
            let status = read("status");
            sum.plus(Used {
                cpu_ns: cpu_ns.unwrap_or(0),
                voluntary: field(&status, "voluntary_ctxt_switches:"),
                involuntary: field(&status, "nonvoluntary_ctxt_switches:"),
            })
        })
    }

    /// The most memory it has had, in KiB.
    pub(crate) fn memory_kib_max(&self) -> u64 {
        field(&fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default(), "VmHWM:")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process, or several, have used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    pub(crate) cpu_ns: u64,
    pub(crate) voluntary: u64,
    pub(crate) involuntary: u64,
}

impl Used {
    pub(crate) fn plus(self, other: Used) -> Used {
        Used {
            cpu_ns: self.cpu_ns + other.cpu_ns,
            voluntary: self.voluntary + other.voluntary,
            involuntary: self.involuntary + other.involuntary,
        }
    }

    pub(crate) fn since(self, before: Used) -> Used {
        Used {
            cpu_ns: self.cpu_ns.saturating_sub(before.cpu_ns),
            voluntary: self.voluntary.saturating_sub(before.voluntary),
            involuntary: self.involuntary.saturating_sub(before.involuntary),
        }
    }
}

fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// The child dies with us, runs on these processors, and knows none of the user's settings.
fn bound_to_us(command: &mut Command, cores: u64) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"FOREBAY_") {
            command.env_remove(name);
        }
    }
    // SAFETY: only system calls between fork and exec.
    unsafe {
        command.pre_exec(move || {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            if cores != 0 {
                let mut set: libc::cpu_set_t = std::mem::zeroed();
                (0..64).filter(|core| cores >> core & 1 == 1).for_each(|core| libc::CPU_SET(core, &mut set));
                libc::sched_setaffinity(0, size_of_val(&set), &set);
            }
            Ok(())
        })
    }
}

/// A command as a person would type it, this program by its name.
fn show(command: &Command) -> String {
    let own = std::env::current_exe().unwrap_or_default();
    let program = match command.get_program() == own.as_os_str() {
        true => "peers".into(),
        false => command.get_program().to_string_lossy(),
    };
    let name = program.rsplit('/').next().unwrap_or(&program).to_owned();
    let words = command.get_args().map(|word| word.to_string_lossy().into_owned());
    std::iter::once(name).chain(words).collect::<Vec<_>>().join(" ")
}
