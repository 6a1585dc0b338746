//! `forebay demo`: C workers digest real files, and every digest is checked.
//!
//! Invariant: everything happens on a private address and in a private folder, which is gone at the end however the
//! demo ends. A user's own broker, store and settings are neither used nor touched.

mod expected;
mod files;
mod report;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use forebay::api::{
    Broker, BrokerSettings, Client, ClientSettings, JobResult, Kind, Known, Outcome, Status, Submit, Want,
};
use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::cli::child::{self, Child};
use crate::cli::compiler;
use crate::cli::exit::{Exit, Failed};
use crate::cli::prefix::Prefix;
use crate::cli::signals;

/// The worker's source: the very example, so that an installed binary can compile it too.
const DIGEST_C: &str = include_str!("../../../examples-c/digest.c");
/// Bytes of files read ahead of the workers, and how many files: less than the client's window, so that it always
/// has room for one more.
const AHEAD_LEN_MAX: usize = 32 << 20;
const AHEAD_FILES_MAX: usize = 5_000;
/// How long anything that takes a moment may take before the demo gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Shows the whole way of a job: C workers digest every file of a folder through a broker.
///
/// Compiles a C worker, starts a broker and one worker process for each core, sends every file as a job, and checks
/// each SHA-256, line, word and byte count against its own computation. It uses addresses and folders of its own and
/// leaves nothing behind.
#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// The folder whose files are sent; default: forebay's own sources, or where you stand if they are not here.
    folder: Option<PathBuf>,
    /// How many worker processes; default: one for each core.
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
}

impl Demo {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        let folder = match self.folder {
            Some(folder) => folder,
            None => files::default_folder()?,
        };
        let files = files::below(&folder)?;
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopped);
        signals::on_stop(move |_| stop.store(true, Ordering::Relaxed))?;

        let scratch = child::scratch()?;
        step("Compiling the digest worker, examples-c/digest.c");
        let worker = build_worker(scratch.path())?;

        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let count = self.workers.map_or(cores, usize::from);
        step(&format!("Starting a broker and {count} worker processes"));
        let endpoint = format!("ipc://{}", scratch.path().join("broker").display());
        let broker = Broker::start(BrokerSettings { listen: vec![endpoint.clone()], ..Default::default() })?;
        let mut workers = start_workers(&worker, &endpoint, count)?;
        let client = Client::open(Some(&endpoint), ClientSettings::default())?;
        wait_for_workers(&client, &mut workers, &stopped)?;

        step(&format!("Sending {} files below {}", files.len(), folder.display()));
        let mut tally = Tally::new(files.len());
        let bar = ProgressBar::new(files.len() as u64).with_style(style());
        let work = send_all(&client, &files, &stopped, &bar, &mut tally);
        bar.finish_and_clear();

        drop(client);
        for worker in &mut workers {
            worker.stop(Duration::from_secs(5));
        }
        broker.stop(Some(Duration::from_secs(2)))?;
        work?;
        report::print(&tally, count)
    }
}

/// Says what happens next.
fn step(text: &str) {
    anstream::eprintln!("{text}");
}

/// The worker program, compiled in the scratch folder.
fn build_worker(scratch: &Path) -> Result<PathBuf, Failed> {
    let prefix = Prefix::find(&scratch.join("prefix"))?;
    let (source, program) = (scratch.join("digest.c"), scratch.join("digest"));
    std::fs::write(&source, DIGEST_C).map_err(|error| Failed::file("write", &source, &error))?;
    compiler::compile(&prefix, &source, &program)?;
    Ok(program)
}

fn start_workers(program: &Path, endpoint: &str, count: usize) -> Result<Vec<Child>, Failed> {
    let start = |i: usize| {
        let mut command = child::private(Command::new(program));
        command.env("FOREBAY_BROKER", endpoint).env("FOREBAY_WORKER_NAME", format!("worker-{i}"));
        // Should the demo be killed, its workers end by themselves.
        command.env("FOREBAY_WORKER_BROKER_GONE_MS", "5000");
        Child::start("the digest worker", &mut command)
    };
    (1..=count).map(start).collect()
}

fn wait_for_workers(client: &Client, workers: &mut [Child], stopped: &AtomicBool) -> Result<(), Failed> {
    let count = u32::try_from(workers.len()).unwrap_or(u32::MAX);
    let end = Instant::now() + PATIENCE;
    loop {
        match client.wait_workers("digest", count, Some(Duration::from_millis(200))) {
            Err(failure) if failure.status == Status::TimedOut && Instant::now() < end => {}
            done => return Ok(done?),
        }
        if stopped.load(Ordering::Relaxed) {
            return Err(Failed::new(Exit::Interrupted, "interrupted"));
        }
        if let Some(status) = workers.iter_mut().find_map(Child::ended) {
            return Err(Failed::new(Exit::System, format!("a worker ended at once with {status}")));
        }
    }
}

/// A file under way.
struct Sent {
    path: PathBuf,
    len: usize,
    expected: String,
}

/// What came of the files so far.
struct Tally {
    /// Files to send.
    files: usize,
    /// Files and bytes by worker.
    by_worker: BTreeMap<String, (u64, u64)>,
    /// The longest run, and whose it was.
    slowest: Option<(Duration, PathBuf, usize)>,
    /// One sentence for each digest that is not right.
    wrong: Vec<String>,
    /// One sentence for each file that could not be sent.
    skipped: Vec<String>,
    /// From the first file sent to the last digest checked.
    took: Duration,
}

impl Tally {
    fn new(files: usize) -> Tally {
        let (by_worker, slowest, wrong, skipped) = Default::default();
        Tally { files, by_worker, slowest, wrong, skipped, took: Duration::ZERO }
    }

    /// Checks one answer against what it has to be.
    fn take(&mut self, sent: Sent, result: &JobResult) {
        if result.kind() == Kind::Refused {
            return self.skipped.push(format!("{}: {}", sent.path.display(), result.message()));
        }
        if result.outcome() != Outcome::Done || result.data() != sent.expected.as_bytes() {
            let (name, said) = (result.outcome().name(), result.text());
            let (path, expected) = (sent.path.display(), &sent.expected);
            self.wrong.push(format!("{path}: {name} {said} {}, not {expected}", result.message()));
        }
        let worker = result.meta().worker().unwrap_or_default().to_owned();
        let (files, bytes) = self.by_worker.entry(worker).or_default();
        *files += 1;
        *bytes += sent.len as u64;
        if let Some(us) = result.meta().number(Known::RunUs) {
            let took = Duration::from_micros(us);
            if self.slowest.as_ref().is_none_or(|(most, ..)| took > *most) {
                self.slowest = Some((took, sent.path, sent.len));
            }
        }
    }
}

/// Sends every file and checks every answer, with a bounded number of bytes under way.
fn send_all(
    client: &Client,
    files: &[PathBuf],
    stopped: &AtomicBool,
    bar: &ProgressBar,
    tally: &mut Tally,
) -> Result<(), Failed> {
    let begin = Instant::now();
    let mut under_way = BTreeMap::<u64, Sent>::new();
    let mut ahead_len = 0;
    let mut to_send = files.iter().zip(0..).peekable();
    let mut last_news = Instant::now();
    while to_send.peek().is_some() || !under_way.is_empty() {
        if stopped.load(Ordering::Relaxed) {
            return Err(Failed::new(Exit::Interrupted, "interrupted"));
        }
        let room = ahead_len < AHEAD_LEN_MAX && under_way.len() < AHEAD_FILES_MAX;
        if let Some((path, tag)) = to_send.next_if(|_| room) {
            match send(client, path, tag) {
                Ok(sent) => {
                    ahead_len += sent.len;
                    under_way.insert(tag, sent);
                }
                Err(failed) => {
                    tally.skipped.push(failed.message);
                    bar.inc(1);
                }
            }
        }
        // While there is more to send, only what is there already is taken.
        let idle = !room || to_send.peek().is_none();
        let wait = if idle { Duration::from_millis(100) } else { Duration::ZERO };
        match client.next(Some(wait)) {
            Ok(result) => {
                if let Some(sent) = under_way.remove(&result.tag()) {
                    ahead_len -= sent.len;
                    tally.take(sent, &result);
                }
                last_news = Instant::now();
                bar.inc(1);
            }
            Err(failure) if failure.status == Status::TimedOut => {
                if idle && !under_way.is_empty() && last_news.elapsed() > PATIENCE {
                    let message =
                        format!("no digest for {} s; {} files are open", PATIENCE.as_secs(), under_way.len());
                    return Err(Failed::new(Exit::NotDone, message));
                }
            }
            Err(failure) => return Err(failure.into()),
        }
    }
    tally.took = begin.elapsed();
    Ok(())
}

/// Reads one file, computes what the answer has to be, and sends it.
fn send(client: &Client, path: &Path, tag: u64) -> Result<Sent, Failed> {
    let bytes = std::fs::read(path).map_err(|error| Failed::file("read", path, &error))?;
    let sent = Sent { path: path.to_owned(), len: bytes.len(), expected: expected::digest(&bytes) };
    let job = Submit::new("digest", bytes).tag(tag).want(Want::RESULT | Want::REFUSED);
    client.enqueue(job).map_err(|failure| {
        let failed = Failed::from(failure);
        Failed::new(failed.exit, format!("{}: {failed}", path.display()))
    })?;
    Ok(sent)
}

fn style() -> ProgressStyle {
    let template = "{bar:40} {pos}/{len} files  {rate}  {eta}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.with_key("rate", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        // The bar has no way to say that it could not be drawn.
        let _ = write!(out, "{:.0}/s", state.per_sec());
    })
}
