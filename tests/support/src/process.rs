//! One process of a test: started in its own process group, read line by line while it runs, and killed with all
//! its children when the test is done with it.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A command without the settings of the user who runs the tests: nothing named FOREBAY_* and no library path.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"FOREBAY_") {
            command.env_remove(name);
        }
    }
    command.env_remove("LD_LIBRARY_PATH");
    command
}

/// Runs a command to its end, which has to come within `limit`.
#[track_caller]
pub fn run(command: &mut Command, limit: Duration) -> Finished {
    let mut process = Process::start(command);
    process.close_stdin();
    process.wait(limit)
}

/// What a process said, by stream, and which of its streams are at their end.
#[derive(Default)]
struct Said {
    streams: [Vec<u8>; 2],
    ended: [bool; 2],
}

/// A running process.
pub struct Process {
    name: String,
    child: Child,
    status: Option<ExitStatus>,
    said: Arc<(Mutex<Said>, Condvar)>,
    readers: Vec<JoinHandle<()>>,
}

/// How a process ended and what it had said.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Its command line.
    pub name: String,
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
}

impl Process {
    /// Starts a command with pipes on its three streams.
    #[track_caller]
    pub fn start(command: &mut Command) -> Process {
        Process::start_at(command, Stdio::piped())
    }

    /// The same with a standard input of the test's own, such as a terminal.
    #[track_caller]
    pub fn start_at(command: &mut Command, stdin: impl Into<Stdio>) -> Process {
        let name = format!("{command:?}");
        let spawned =
            command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let said = Arc::<(Mutex<Said>, Condvar)>::default();
        let stdout = child.stdout.take().expect("a pipe");
        let stderr = child.stderr.take().expect("a pipe");
        let readers = vec![reader(0, stdout, &said), reader(1, stderr, &said)];
        Process { name, child, status: None, said, readers }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the process alone.
    pub fn signal(&self, signal: i32) {
        if self.status.is_none() {
            // SAFETY: a plain system call; the process is not yet reaped, so its id is still its own.
            unsafe { libc::kill(self.child.id().cast_signed(), signal) };
        }
    }

    /// SIGKILL to the process alone, then waits until it is gone.
    #[track_caller]
    pub fn kill(&mut self) -> ExitStatus {
        self.signal(libc::SIGKILL);
        self.exit(super::SOON)
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.child.try_wait().expect("a child to wait for");
        }
        self.status.is_none()
    }

    /// Writes to its standard input.
    #[track_caller]
    pub fn write(&mut self, bytes: &[u8]) {
        let stdin = self.child.stdin.as_mut().expect("its input is still open");
        stdin.write_all(bytes).and_then(|()| stdin.flush()).expect("it reads its input");
    }

    /// Ends its standard input.
    pub fn close_stdin(&mut self) {
        self.child.stdin = None;
    }

    /// Waits until a line on either stream contains `text`, and gives that line.
    #[track_caller]
    pub fn line_with(&self, text: &str, limit: Duration) -> String {
        self.line_where(&format!("a line with {text:?}"), limit, |line| line.contains(text))
    }

    /// Waits until a whole line on either stream is what `wanted` says.
    #[track_caller]
    pub fn line_where(&self, what: &str, limit: Duration, wanted: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + limit;
        let (said, news) = &*self.said;
        let mut said = said.lock().expect("no reader panics");
        loop {
            let both_ended = said.ended == [true, true];
            for stream in &said.streams {
                let text = String::from_utf8_lossy(stream);
                let whole = text.split_inclusive('\n').filter(|line| both_ended || line.ends_with('\n'));
                if let Some(line) = whole.map(str::trim_end).find(|line| wanted(line)) {
                    return line.to_owned();
                }
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || both_ended {
                let why = if both_ended { "it ended" } else { "time is over" };
                let streams = describe(&said.streams);
                drop(said); // or the readers would find the lock of a panic
                panic!("{why} before {what} came from {}{streams}", self.name);
            }
            (said, _) = news.wait_timeout(said, left).expect("no reader panics");
        }
    }

    /// What it has written to standard output so far.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.said.0.lock().expect("no reader panics").streams[0]).into_owned()
    }

    /// What it has written to standard error so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.said.0.lock().expect("no reader panics").streams[1]).into_owned()
    }

    /// Waits for its end, which has to come within `limit`. Fails the test otherwise.
    #[track_caller]
    pub fn wait(mut self, limit: Duration) -> Finished {
        let status = self.exit(limit);
        // Its children may hold the pipes open; they end here.
        self.end_group();
        for reader in self.readers.drain(..) {
            reader.join().expect("no reader panics");
        }
        let mut said = self.said.0.lock().expect("no reader panics");
        let [stdout, stderr] = std::mem::take(&mut said.streams);
        Finished { name: self.name.clone(), status, stdout, stderr }
    }

    /// SIGTERM, then `wait`.
    #[track_caller]
    pub fn stop(self, limit: Duration) -> Finished {
        self.signal(libc::SIGTERM);
        self.wait(limit)
    }

    #[track_caller]
    fn exit(&mut self, limit: Duration) -> ExitStatus {
        let end = Instant::now() + limit;
        while self.is_running() {
            if Instant::now() >= end {
                let said = describe(&self.said.0.lock().expect("no reader panics").streams);
                panic!("still runs after {limit:?}: {}{said}", self.name);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.status.expect("it ended")
    }

    fn end_group(&self) {
        // SAFETY: a plain system call. The group carries the id of its first process; it exists as long as any
        // member does, and a new process cannot get an id that a group still carries.
        unsafe { libc::kill(-self.child.id().cast_signed(), libc::SIGKILL) };
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end_group();
        if self.status.is_none() {
            let _ = self.child.wait();
        }
    }
}

impl Finished {
    /// Itself, if the process ended with exit code 0; fails the test otherwise.
    #[track_caller]
    pub fn success(self) -> Finished {
        self.code(0)
    }

    /// Itself, if the process ended with this exit code; fails the test otherwise.
    #[track_caller]
    pub fn code(self, code: i32) -> Finished {
        let streams = [self.stdout, self.stderr];
        assert_eq!(
            self.status.code(),
            Some(code),
            "{} ended with {}{}",
            self.name,
            self.status,
            describe(&streams)
        );
        let [stdout, stderr] = streams;
        Finished { name: self.name, status: self.status, stdout, stderr }
    }

    /// The signal that ended it, if one did.
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn error_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Standard output as one JSON value.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|error| panic!("{} wrote no JSON ({error}): {}", self.name, self.text()))
    }
}

/// A thread that collects what comes from one stream.
fn reader(
    stream: usize,
    from: impl Read + Send + 'static,
    said: &Arc<(Mutex<Said>, Condvar)>,
) -> JoinHandle<()> {
    let said = Arc::clone(said);
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        loop {
            let len = from.fill_buf().map_or(0, |bytes| {
                said.0.lock().expect("no waiter panics with the lock").streams[stream]
                    .extend_from_slice(bytes);
                bytes.len()
            });
            from.consume(len);
            if len == 0 {
                said.0.lock().expect("no waiter panics with the lock").ended[stream] = true;
            }
            said.1.notify_all();
            if len == 0 {
                return;
            }
        }
    })
}

/// Both streams for a failure's message.
fn describe(streams: &[Vec<u8>; 2]) -> String {
    let mut text = String::new();
    for (name, stream) in ["stdout", "stderr"].iter().zip(streams) {
        let _ = write!(text, "\n--- {name}\n{}", String::from_utf8_lossy(stream));
    }
    text
}
