//! What the tests over real processes share: processes with deadlines, private folders, waiting for a condition,
//! the prefix that C programs are built against, a broker to talk to, and C programs that act as tests tell them.
//!
//! Invariant: nothing a test starts outlives it, nothing it writes lies outside its own folder, and no wait is
//! without an end: what does not come in time fails the test with everything its processes said.

mod actors;
mod broker;
pub mod header;
mod prefix;
mod process;
mod stage;
mod terminal;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use actors::{Client, Ended, Started, Worker, ms_between, now_us};
pub use broker::Broker;
pub use prefix::Prefix;
pub use process::{Finished, Process, command, run};
pub use stage::{SHORT_LEASE, Stage, json_lines};
pub use terminal::Terminal;

/// The longest a test waits for what takes a moment. Generous: two busy cores must not fail a test.
pub const SOON: Duration = Duration::from_secs(30);

/// The path of the binary this test run built.
#[macro_export]
macro_rules! binary {
    () => {
        std::path::Path::new(env!("CARGO_BIN_EXE_forebay"))
    };
}

/// The prefix made from this test run's library, laid out once for each process. See `Prefix`.
#[macro_export]
macro_rules! prefix {
    () => {
        $crate::Prefix::shared($crate::binary!(), std::path::Path::new(env!("CARGO_TARGET_TMPDIR")))
    };
}

/// A broker, and the programs of `tests/c` and the examples to act on it; the broker's arguments may be given. See `Stage`.
#[macro_export]
macro_rules! stage {
    () => {
        $crate::stage!(&[])
    };
    ($arguments:expr) => {
        $crate::Stage::new($crate::prefix!(), $crate::Broker::start_with($crate::binary!(), $arguments))
    };
}

/// A private folder, gone when dropped. Its path is short, so that ipc addresses in it are not too long.
pub struct Folder(tempfile::TempDir);

impl Folder {
    /// A new one in /tmp.
    pub fn new() -> Folder {
        Folder(tempfile::Builder::new().prefix("fb-").tempdir_in("/tmp").expect("a private folder in /tmp"))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A path in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// An ipc address in it.
    pub fn ipc(&self, name: &str) -> String {
        format!("ipc://{}", self.join(name).display())
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether a tool is there that not every machine has. Without it a test is skipped by name; CI has every tool.
#[track_caller]
pub fn has_tool(tool: &str, debian_package: &str) -> bool {
    let is_there = command(tool).arg("--version").output().is_ok_and(|said| said.status.success());
    if !is_there {
        skip(&format!("no `{tool}`; install it (Debian: {debian_package})"));
    }
    is_there
}

/// Says that a test is skipped and why, which CI does not allow.
#[track_caller]
pub fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "CI may not skip: {why}");
    eprintln!("SKIPPED: {why}");
}

/// Asks until there is an answer; fails the test naming `what` when there is none within `limit`.
#[track_caller]
pub fn eventually<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
