//! `forebay call`: submits, waits and prints the result; with `--lines` many at once, in order.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use forebay::api::{Body, Client, JobId, JobResult, Kind, Status, Submit, Want};

use crate::cli::connection::Connection;
use crate::cli::exit::{Exit, Failed};
use crate::cli::payload::{Payload, next_line};
use crate::cli::show::{self, Form};
use crate::cli::{signals, time};

/// Sends a job, waits for it and prints its result, byte for byte.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  forebay call hello --data World
  forebay call digest report.pdf --timeout 1m
  seq 1000 | forebay call square --lines
A job that did not end DONE says why on standard error; the exit code is 1. Ctrl-C cancels it.")]
pub(crate) struct Call {
    #[command(flatten)]
    payload: Payload,
    /// How long the job may take from its submission, such as 10s; default: as long as it needs. Past it the job is
    /// ended, so that nothing runs on for nobody.
    #[arg(short, long, value_name = "TIME", value_parser = time::parse)]
    timeout: Option<Duration>,
    /// With --lines: at most so many jobs are under way at once.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    in_flight: u64,
    /// One JSON object for each job: id, outcome, data, message, meta.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Call {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        let template = self.payload.template(self.connection.options()?)?;
        if self.payload.source.lines {
            return self.call_lines(template);
        }
        let mut job = template;
        job.body = Body::one(self.payload.source.read()?);
        let client = Arc::new(self.connection.open()?);
        let interrupted = Arc::new(AtomicBool::new(false));
        let signalled = Arc::clone(&interrupted);
        signals::on_stop_of(&client, move |client, _| {
            signalled.store(true, Ordering::Relaxed);
            client.interrupt();
        })?;
        let mut id = None;
        let called = client.call_with_id(job, self.timeout, &mut id);
        if let (Err(_), Some(id)) = (&called, id) {
            // The caller leaves: nothing goes on for nobody. It may have ended or never arrived; both are fine.
            let _ = client.cancel(id, "its caller left", Some(Duration::from_secs(1)));
            if interrupted.load(Ordering::Relaxed) {
                return Err(Failed::new(Exit::Interrupted, format!("interrupted; job {id} is cancelled")));
            }
        }
        let form = if self.json { Form::Json } else { Form::Bytes };
        show::write(&mut io::stdout().lock(), &called?, form)
    }

    /// One thread reads lines and enqueues them, this one takes results and writes them in order.
    fn call_lines(&self, mut template: Submit) -> Result<Exit, Failed> {
        if let Some(timeout) = self.timeout {
            template.options.deadline_ms = Some(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        }
        let template = template.want(Want::RESULT | Want::REFUSED);
        let client = Arc::new(self.connection.open()?);
        let progress = Arc::new(Progress::default());
        let (reader_client, reader_progress) = (Arc::clone(&client), Arc::clone(&progress));
        let (payload, in_flight) = (self.payload.clone(), self.in_flight);
        let stopped = Arc::clone(&progress);
        signals::on_stop_of(&client, move |client, _| {
            stopped.change(|state| state.interrupted = true);
            client.interrupt();
        })?;
        // Not joined: it may hang in a read of standard input, which ends with the process.
        let reader = move || {
            let read = read_lines(&reader_client, &reader_progress, &payload, template, in_flight);
            reader_progress.change(|state| state.read = Some(read));
            reader_client.interrupt();
        };
        std::thread::Builder::new()
            .name("lines".into())
            .spawn(reader)
            .map_err(|error| Failed::new(Exit::System, format!("cannot start a thread: {error}")))?;
        let exit = self.write_results(&client, &progress);
        if !matches!(exit, Ok(Exit::Done | Exit::NotDone)) {
            leave(&client, &progress);
        }
        exit
    }

    fn write_results(&self, client: &Client, progress: &Progress) -> Result<Exit, Failed> {
        let form = if self.json { Form::Json } else { Form::Line };
        let mut out = io::stdout().lock();
        // Results that came before their turn; `in_flight` bounds them.
        let mut early = BTreeMap::<u64, JobResult>::new();
        let mut exit = Exit::Done;
        let mut turn = 0;
        loop {
            while let Some(result) = early.remove(&turn) {
                exit = exit.max(show_line(&mut out, &result, form, turn)?);
                turn += 1;
                progress.change(|state| {
                    state.written = turn;
                    state.open = state.open.split_off(&turn);
                });
            }
            {
                let mut state = progress.state();
                if state.interrupted {
                    return Ok(Exit::Interrupted);
                }
                match state.read.take() {
                    Some(Err(failed)) => return Err(failed),
                    Some(Ok(lines)) if lines == turn => return Ok(exit),
                    read => state.read = read,
                }
            }
            match client.next(None) {
                Ok(result) => drop(early.insert(result.tag(), result)),
                // The reader or a signal has news.
                Err(failure) if failure.status == Status::Interrupted => {}
                Err(failure) => return Err(failure.into()),
            }
        }
    }
}

/// Writes the result of one line. A refused job has its place too.
fn show_line(out: &mut impl io::Write, result: &JobResult, form: Form, line: u64) -> Result<Exit, Failed> {
    if result.kind() == Kind::Refused && form != Form::Json {
        anstream::eprintln!("forebay: line {}: refused: {}", line + 1, result.message());
        show::line_to(out, "")?;
        return Ok(Exit::NotDone);
    }
    show::write(out, result, form)
}

/// Enqueues each line; returns how many there were.
fn read_lines(
    client: &Client,
    progress: &Progress,
    payload: &Payload,
    template: Submit,
    in_flight: u64,
) -> Result<u64, Failed> {
    let mut from = payload.source.open()?;
    let mut lines = 0;
    while let Some(line) = next_line(&mut *from).map_err(|error| payload.source.unreadable(&error))? {
        progress.wait_until(|state| lines - state.written < in_flight || state.interrupted);
        let mut job = template.clone().tag(lines);
        job.body = Body::one(line);
        let id = enqueue(client, job)?;
        progress.change(|state| {
            // Its result may have been faster.
            if lines >= state.written {
                state.open.insert(lines, id);
            }
        });
        lines += 1;
    }
    Ok(lines)
}

/// Enqueues one job, waiting while the client's window is full.
fn enqueue(client: &Client, job: Submit) -> Result<JobId, Failed> {
    const PATIENCE: Duration = Duration::from_secs(60);
    let end = Instant::now() + PATIENCE;
    loop {
        match client.enqueue(job.clone()) {
            Ok(id) => return Ok(id),
            Err(failure) if failure.status == Status::Busy && Instant::now() < end => {
                // Room comes when the broker confirms, which flush waits for.
                match client.flush(Some(Duration::from_secs(1))) {
                    Err(failure) if failure.status < Status::Ok && !failure.is_retryable() => {
                        return Err(failure.into());
                    }
                    _ => {}
                }
            }
            Err(failure) => return Err(failure.into()),
        }
    }
}

/// Cancels what is under way, so that nothing goes on for a caller who left.
fn leave(client: &Client, progress: &Progress) {
    const PATIENCE: Duration = Duration::from_secs(5);
    let end = Instant::now() + PATIENCE;
    let open = std::mem::take(&mut progress.state().open);
    for id in open.into_values() {
        // It may have ended; that is as good.
        let _ = client.cancel(id, "its caller left", Some(end.saturating_duration_since(Instant::now())));
    }
}

/// What the reading and the writing side tell each other.
#[derive(Default)]
struct Progress {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Results written so far.
    written: u64,
    /// The jobs under way, by line.
    open: BTreeMap<u64, JobId>,
    /// How reading ended, and after how many lines.
    read: Option<Result<u64, Failed>>,
    /// A signal came.
    interrupted: bool,
}

impl Progress {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    fn wait_until(&self, mut good: impl FnMut(&State) -> bool) {
        let state = self.state();
        drop(self.changed.wait_while(state, |state| !good(state)).unwrap_or_else(PoisonError::into_inner));
    }
}
