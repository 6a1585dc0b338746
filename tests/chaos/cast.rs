//! The processes of a campaign: a broker, workers, clients, and the proxies and the disk between and below them.
//!
//! Invariant: a process that ends without having been told to fails the test with what it said.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Folder, Prefix, Process, SOON, command, run};

use crate::disk::SmallDisk;
use crate::ledger::Ledger;
use crate::proxy::Proxy;

/// Clients: library ids and their own, waited for and by next; the two in the middle through a proxy.
pub(crate) const CLIENTS: usize = 4;
/// Workers, the second half through a proxy.
pub(crate) const WORKERS: usize = 4;
/// Jobs a worker executes at once: a killed one takes several along.
const THREADS: &str = "2";
/// How long anything may take to go on after a fault.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// One process and the ones before it.
pub(crate) struct Actor {
    /// It, unless it was killed and not yet started again.
    pub(crate) process: Option<Process>,
    lives: u32,
    /// What the processes before it said last.
    words: String,
}

impl Actor {
    fn new() -> Actor {
        Actor { process: None, lives: 0, words: String::new() }
    }

    /// Ends it with SIGKILL.
    #[track_caller]
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
            self.words = format!("{}{}(killed)\n", self.words, process.stderr());
        }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: i32) {
        self.process.as_ref().expect("it runs").signal(signal);
    }
}

/// Everybody.
pub(crate) struct Cast {
    binary: PathBuf,
    prefix: &'static Prefix,
    /// The broker.
    pub(crate) broker: Actor,
    /// The workers.
    pub(crate) workers: Vec<Actor>,
    /// The clients.
    pub(crate) clients: Vec<Actor>,
    /// Between half of the clients and the broker.
    pub(crate) clients_proxy: Proxy,
    /// Between half of the workers and the broker.
    pub(crate) workers_proxy: Proxy,
    /// Below the store, where mounting is permitted.
    pub(crate) disk: Option<SmallDisk>,
    /// What they write down.
    pub(crate) ledger: Ledger,
    folder: Folder,
    /// When the campaign began.
    pub(crate) began: Instant,
}

impl Cast {
    /// Starts everybody.
    pub(crate) fn start(binary: PathBuf, prefix: &'static Prefix, disk: Option<SmallDisk>) -> Cast {
        let folder = Folder::new();
        let logs = folder.join("logs");
        std::fs::create_dir(&logs).expect("a folder for logs");
        let socket = folder.join("broker");
        let mut cast = Cast {
            binary,
            prefix,
            broker: Actor::new(),
            workers: (0..WORKERS).map(|_| Actor::new()).collect(),
            clients: (0..CLIENTS).map(|_| Actor::new()).collect(),
            clients_proxy: Proxy::start(&socket),
            workers_proxy: Proxy::start(&socket),
            disk,
            ledger: Ledger::new(&logs, CLIENTS),
            folder,
            began: Instant::now(),
        };
        cast.start_broker();
        (0..WORKERS).for_each(|worker| cast.start_worker(worker));
        (0..CLIENTS).for_each(|client| cast.start_client(client, "busy"));
        cast
    }

    /// Where the store is.
    pub(crate) fn store(&self) -> PathBuf {
        self.disk.as_ref().map_or_else(|| self.folder.join("store"), |disk| disk.path().join("store"))
    }

    /// Starts a broker that may be killed before it listens.
    pub(crate) fn start_broker_unawaited(&mut self) {
        let mut broker = command(&self.binary);
        broker.args(["broker", "--listen", &self.folder.ipc("broker"), "--store"]).arg(self.store());
        broker.args(["--store-max", "32Mi", "--lease-ms", "1000", "--beat-ms", "200"]);
        let log = std::env::var("FOREBAY_CHAOS_LOG").unwrap_or_else(|_| "warn,store=info".to_owned());
        self.broker.process = Some(Process::start(broker.env("FOREBAY_LOG", log)));
        self.broker.lives += 1;
    }

    /// Starts a broker and waits until it listens.
    #[track_caller]
    pub(crate) fn start_broker(&mut self) {
        self.start_broker_unawaited();
        self.broker.process.as_ref().expect("it was started").line_with("listening on ", SOON);
    }

    /// Starts a worker.
    pub(crate) fn start_worker(&mut self, number: usize) {
        let worker = &mut self.workers[number];
        worker.lives += 1;
        let log = self.folder.join("logs").join(format!("w{number}.{}", worker.lives));
        let is_far = number >= WORKERS / 2;
        let endpoint = if is_far { self.workers_proxy.endpoint() } else { self.folder.ipc("broker") };
        let mut command = command(self.prefix.program("chaos_worker"));
        command.arg(log).arg(THREADS).env("FOREBAY_BROKER", endpoint);
        self.workers[number].process = Some(Process::start(&mut command));
    }

    /// Starts a client, "busy" or "idle".
    pub(crate) fn start_client(&mut self, number: usize, mode: &str) {
        let is_far = number == 1 || number == 2;
        let endpoint = if is_far { self.clients_proxy.endpoint() } else { self.folder.ipc("broker") };
        let mut command = command(self.prefix.program("chaos_client"));
        command.arg(format!("c{number}"));
        command.arg(if number.is_multiple_of(2) { "library" } else { "application" });
        command.arg(if number < CLIENTS / 2 { "wait" } else { "next" });
        command.arg(self.folder.join("logs")).arg(mode).env("FOREBAY_BROKER", endpoint);
        self.clients[number].process = Some(Process::start(&mut command));
        self.clients[number].lives += 1;
    }

    /// Waits until `done`, reading what everybody writes down meanwhile.
    #[track_caller]
    pub(crate) fn wait_until(&mut self, what: &str, mut done: impl FnMut(&mut Cast) -> bool) {
        let end = Instant::now() + PATIENCE;
        loop {
            self.ledger.read();
            self.check();
            if done(self) {
                return;
            }
            if Instant::now() >= end {
                let status = self.broker.process.is_some().then(|| self.status());
                panic!("not within {PATIENCE:?}: {what}\n{}\nstatus: {status:?}", self.tell());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Lets time pass while a fault lasts.
    pub(crate) fn pass(&mut self, millis: u64) {
        std::thread::sleep(Duration::from_millis(millis));
    }

    /// Fails when something is wrong, or somebody has ended.
    #[track_caller]
    pub(crate) fn check(&mut self) {
        if !self.ledger.wrong.is_empty() {
            let kept = self.keep();
            panic!("{}\nlogs and store are kept in {kept}\n{}", self.ledger.wrong.join("\n"), self.tell());
        }
        let everybody = std::iter::once(&mut self.broker).chain(&mut self.workers).chain(&mut self.clients);
        let mut ended = Vec::new();
        for process in everybody.filter_map(|actor| actor.process.as_mut()) {
            if !process.is_running() {
                ended.push(format!("process {} has ended: {}", process.pid(), process.stderr()));
            }
        }
        assert!(ended.is_empty(), "{}\n{}", ended.join("\n"), self.tell());
    }

    /// Copies logs and store to where they stay, for whoever looks for the reason.
    fn keep(&mut self) -> String {
        self.broker.kill();
        let kept = std::env::temp_dir().join(format!("forebay-chaos-{}", std::process::id()));
        let mut copy = command("cp");
        copy.arg("-a").arg(self.folder.path()).arg(&kept);
        run(&mut copy, SOON).success();
        if let Some(disk) = &self.disk {
            run(command("cp").arg("-a").arg(disk.path()).arg(kept.join("disk")), SOON).success();
        }
        std::fs::write(kept.join("broker.log"), &self.broker.words).expect("a file");
        kept.display().to_string()
    }

    /// How everybody stands, for a failure.
    fn tell(&self) -> String {
        format!(
            "acknowledged {:?}, told {:?}, refused {:?}\nthe broker's last words:\n{}{}",
            self.ledger.acknowledged,
            self.ledger.told,
            self.ledger.refused,
            last_lines(&self.broker.words),
            last_lines(&self.broker.process.as_ref().map_or_else(String::new, Process::stderr))
        )
    }

    /// A command of the binary that talks to the broker.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Command {
        let mut command = command(&self.binary);
        command.args(arguments).env("FOREBAY_BROKER", self.folder.ipc("broker"));
        command
    }

    /// The broker's status.
    #[track_caller]
    pub(crate) fn status(&self) -> Value {
        run(&mut self.cli(&["status", "--json"]), SOON).success().json()
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    lines[lines.len().saturating_sub(20)..].concat()
}
