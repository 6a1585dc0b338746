//! System calls of a contender's processes for each job, counted by perf in a round of their own, which is compared
//! with no other.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use support::Folder;

use crate::contenders::Group;
use crate::process::Part;

const EVENT: &str = "raw_syscalls:sys_enter";

/// Why they cannot be counted here, if so.
pub(crate) fn absent() -> Option<&'static str> {
    static ABSENT: OnceLock<Option<String>> = OnceLock::new();
    ABSENT
        .get_or_init(|| match Command::new("perf").args(["stat", "-e", EVENT, "true"]).output() {
            Ok(done) if done.status.success() => None,
            Ok(_) => Some("perf may not count them here".to_owned()),
            Err(_) => Some("perf is not installed (Debian: linux-perf)".to_owned()),
        })
        .as_deref()
}

/// Counts what this piece of work, which says how many jobs it was, costs each part.
pub(crate) fn per_job(
    group: &mut Group,
    work: impl FnOnce(&mut Group) -> u64,
) -> Option<BTreeMap<Part, f64>> {
    if absent().is_some() {
        return None;
    }
    let mut parts = BTreeMap::<Part, Vec<String>>::new();
    for process in &group.processes {
        parts.entry(process.part).or_default().push(process.pid().to_string());
    }
    let counters: Vec<(Part, Counter)> =
        parts.into_iter().map(|(part, pids)| (part, Counter::start(&pids.join(",")))).collect();
    let jobs = work(group) as f64;
    Some(counters.into_iter().map(|(part, counter)| (part, counter.stop() / jobs)).collect())
}

/// A perf that counts.
struct Counter {
    perf: Child,
    _folder: Folder,
}

impl Counter {
    /// Returns when it counts.
    fn start(pids: &str) -> Counter {
        let folder = Folder::new();
        let [control, told] = ["control", "told"].map(|name| folder.join(name));
        let made = Command::new("mkfifo").args([&control, &told]).status();
        assert!(made.is_ok_and(|status| status.success()), "mkfifo in {}", folder.path().display());
        let pipes = format!("fifo:{},{}", control.display(), told.display());
        let mut command = Command::new("perf");
        command.args(["stat", "-x", ",", "-e", EVENT, "-D", "-1", "--control", &pipes, "-p", pids]);
        let perf = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("perf");
        std::fs::write(&control, "enable\n").expect("perf listens");
        // perf answers "ack" and keeps the pipe open.
        let mut word = [0; 4];
        std::fs::File::open(&told).and_then(|mut told| told.read_exact(&mut word)).expect("perf answers");
        Counter { perf, _folder: folder }
    }

    /// What it has counted.
    fn stop(self) -> f64 {
        // SAFETY: a plain system call; the process is not yet reaped, so its id is still its own.
        unsafe { libc::kill(self.perf.id().cast_signed(), libc::SIGINT) };
        let said = self.perf.wait_with_output().expect("perf ends");
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        let count = text.lines().find(|line| line.contains(EVENT)).and_then(|line| line.split(',').next());
        count.and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("perf said {text}"))
    }
}
