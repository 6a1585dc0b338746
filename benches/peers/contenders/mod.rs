//! Who is measured, and how each is started: a client, a broker and workers, each a process of its own.

mod bare;
mod debian;
mod forebay;

use std::ffi::OsStr;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) use forebay::sleepers;
use support::Folder;

use crate::cell::{Load, Transport, Wiring};
use crate::process::{PATIENCE, Part, Process};

/// One way to send an echo through a broker.
pub(crate) struct Contender {
    /// Its name on the command line and in tables.
    pub(crate) name: &'static str,
    /// What it is, in a few words.
    pub(crate) what: &'static str,
    /// Payloads longer than this are not its business.
    size_max: usize,
    start: fn(&mut Stage) -> Result<(), String>,
    version: fn() -> Option<String>,
}

impl Contender {
    pub(crate) fn takes(&self, load: Load) -> bool {
        load.size <= self.size_max
    }

    /// Its version, if it is installed.
    pub(crate) fn version(&self) -> Option<String> {
        (self.version)()
    }

    /// Starts its processes, or says why it is left out.
    pub(crate) fn start(&self, wiring: Wiring) -> Result<Group, String> {
        Group::start(wiring, self.start)
    }
}

/// Longest payload there is.
const ANY: usize = usize::MAX;

/// Everybody; forebay first.
pub(crate) const ALL: [Contender; 8] = [
    Contender {
        name: "forebay",
        what: "through its C API, default options",
        size_max: ANY,
        start: forebay::start,
        version: forebay::version,
    },
    Contender { name: "proxy", what: "zmq_proxy", size_max: ANY, start: bare::proxy, version: bare::version },
    Contender {
        name: "credit",
        what: "bare credit broker, one message for each job",
        size_max: ANY,
        start: bare::credit,
        version: bare::version,
    },
    Contender {
        name: "coalescing",
        what: "bare credit broker, jobs share messages",
        size_max: 16 << 10,
        start: bare::coalescing,
        version: bare::version,
    },
    Contender {
        name: "nats",
        what: "nats-server, request and reply",
        size_max: ANY,
        start: debian::nats,
        version: || debian::version("nats-server", "--version"),
    },
    Contender {
        name: "redis",
        what: "redis-server, lists, many entries at once",
        size_max: ANY,
        start: debian::redis,
        version: || debian::version("redis-server", "--version"),
    },
    Contender {
        name: "beanstalkd",
        what: "two tubes, commands of one step in one write",
        size_max: ANY,
        start: debian::beanstalkd,
        version: || debian::version("beanstalkd", "-v"),
    },
    Contender {
        name: "gearmand",
        what: "libgearman, tasks run in sets",
        // It takes half a second for each MiB, and so minutes for its rounds.
        size_max: 64 << 10,
        start: debian::gearmand,
        version: || debian::version("gearmand", "--version"),
    },
];

/// A contender's processes while they run: the client first.
pub(crate) struct Group {
    pub(crate) processes: Vec<Process>,
    _folder: Folder,
}

impl Group {
    fn start(wiring: Wiring, all: impl FnOnce(&mut Stage) -> Result<(), String>) -> Result<Group, String> {
        let mut stage = Stage { wiring, folder: Folder::new(), processes: Vec::new() };
        all(&mut stage)?;
        let Stage { folder, mut processes, .. } = stage;
        processes.sort_by_key(|process| process.part);
        let client = processes.first().filter(|process| process.part == Part::Client);
        client.expect("every contender has a client").line_after("ready");
        Ok(Group { processes, _folder: folder })
    }

    pub(crate) fn client(&mut self) -> &mut Process {
        &mut self.processes[0]
    }
}

impl Drop for Group {
    /// Workers first: one that loses its server says so.
    fn drop(&mut self) {
        while self.processes.pop().is_some() {}
    }
}

/// What a contender is started with.
struct Stage {
    wiring: Wiring,
    folder: Folder,
    processes: Vec<Process>,
}

impl Stage {
    fn run(&mut self, part: Part, command: &mut Command) -> &Process {
        let cores = u64::from(self.wiring.pinned);
        self.processes.push(Process::start(part, command, cores));
        self.processes.last().expect("it was just added")
    }

    /// As many workers as there are to be, all by the same command; waits until each is ready if it says so.
    fn workers(&mut self, command: &mut Command, says_ready: bool) {
        for _ in 0..self.wiring.workers {
            let worker = self.run(Part::Worker, command);
            if says_ready {
                worker.line_after("ready");
            }
        }
    }

    /// An address to bind, as ZeroMQ writes it.
    fn address(&self, name: &str) -> String {
        match self.wiring.transport {
            Transport::Ipc => self.folder.ipc(name),
            Transport::Tcp => "tcp://127.0.0.1:0".to_owned(),
        }
    }
}

/// This program in another role.
fn role(words: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program's file"));
    command.arg("role").args(words);
    command
}

/// A port of this machine that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound address").port()
}

/// Waits until a server answers at a port of this machine.
fn wait_port(port: u16) {
    wait_until("a server to listen", || TcpStream::connect(("127.0.0.1", port)).is_ok());
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The file of a program, also where servers are kept.
fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// The source of a C program.
fn c_source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/c").join(name)
}

/// Where programs are built.
fn built(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
    std::fs::create_dir_all(&folder).expect("a folder for programs");
    folder.join(name)
}
