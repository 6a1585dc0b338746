//! `claims_worker` and `claims_client` of `tests/c` as tests see them: line by line.

use std::process::Command;
use std::time::Duration;

use crate::{Process, SOON, eventually};

/// CLOCK_MONOTONIC in microseconds: the clock whose times the C programs print.
pub fn now_us() -> i64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a plain system call that writes one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}

/// Milliseconds between two times of the C programs.
pub fn ms_between(from_us: i64, to_us: i64) -> f64 {
    (to_us - from_us) as f64 / 1_000.0
}

/// A job that a worker began, as its line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// When, by `now_us`.
    pub at_us: i64,
    /// The job's id.
    pub id: String,
    /// Which attempt it is, from 1.
    pub attempt: u32,
}

/// A `claims_worker` process.
pub struct Worker(pub Process);

impl Worker {
    pub(crate) fn new(process: Process) -> Worker {
        Worker(process)
    }

    /// What it began, oldest first.
    pub fn starts(&self) -> Vec<Started> {
        let text = self.0.stdout();
        let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        lines.filter_map(|line| started(line.trim_end())).collect()
    }

    /// Waits until it has begun so many jobs, and gives all it has begun. A job's result can be there before the line
    /// about its start was read.
    #[track_caller]
    pub fn wait_starts(&self, count: usize) -> Vec<Started> {
        eventually(&format!("{count} starts by worker {}", self.0.pid()), SOON, || {
            Some(self.starts()).filter(|starts| starts.len() >= count)
        })
    }

    /// Waits until it has begun this job, and says when and as which attempt.
    #[track_caller]
    pub fn wait_start(&self, id: &str) -> Started {
        eventually(&format!("start of {id} by worker {}", self.0.pid()), SOON, || {
            self.starts().into_iter().find(|start| start.id == id)
        })
    }

    /// Lets the job it holds go on.
    #[track_caller]
    pub fn let_go(&mut self) {
        self.0.write(b"\n");
    }

    /// How the "worker" header of its results names it.
    pub fn name(&self) -> String {
        self.0.pid().to_string()
    }
}

fn started(line: &str) -> Option<Started> {
    let mut words = line.strip_prefix("start ")?.split(' ');
    let (at_us, id, attempt) = (words.next()?, words.next()?, words.next()?);
    Some(Started { at_us: at_us.parse().ok()?, id: id.to_owned(), attempt: attempt.parse().ok()? })
}

/// How one job ended, as the client's line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The outcome's name.
    pub outcome: String,
    /// Which attempt it was.
    pub attempt: u32,
    /// The process id of the worker, `-` if no worker answered.
    pub worker: String,
    /// The worker's code for a failure, `-` for none.
    pub code: String,
    /// The result, `-` for none.
    pub data: String,
}

/// A `claims_client` process.
pub struct Client {
    /// The process.
    pub process: Process,
    submitted: usize,
}

impl Client {
    /// Starts one, whether there is a broker or not.
    #[track_caller]
    pub fn start(command: &mut Command) -> Client {
        Client { process: Process::start(command), submitted: 0 }
    }

    /// What it hears when it waits so long to be welcomed, -1 for ever: a status and its message.
    #[track_caller]
    pub fn ready(&mut self, timeout_ms: i64) -> String {
        self.process.write(format!("ready {timeout_ms}\n").as_bytes());
        let line = self.process.line_where("ready", SOON, |line| line.starts_with("ready "));
        line["ready ".len()..].to_owned()
    }

    /// How many jobs it was given.
    pub fn submitted(&self) -> usize {
        self.submitted
    }

    /// How many results it has printed.
    pub fn results(&self) -> usize {
        self.process.stdout().matches("\nresult ").count()
    }

    /// Enqueues a job and gives its number.
    #[track_caller]
    pub fn enqueue(&mut self, queue: &str, payload: &str) -> usize {
        self.process.write(format!("submit {queue} {payload}\n").as_bytes());
        self.submitted += 1;
        self.submitted - 1
    }

    /// Enqueues a job, waits until the broker has accepted it, and gives its number and id.
    #[track_caller]
    pub fn submit(&mut self, queue: &str, payload: &str) -> (usize, String) {
        let number = self.enqueue(queue, payload);
        (number, self.wait_accepted(number))
    }

    /// Waits until the broker has accepted a job, and gives its id.
    #[track_caller]
    pub fn wait_accepted(&self, number: usize) -> String {
        let prefix = format!("accepted {number} ");
        let line = self.process.line_where(&prefix, SOON, |line| line.starts_with(&prefix));
        line[prefix.len()..].to_owned()
    }

    /// Cancels a job and waits for the broker's word; gives the time just before the call.
    #[track_caller]
    pub fn cancel(&mut self, number: usize) -> i64 {
        self.process.write(format!("cancel {number}\n").as_bytes());
        let prefix = format!("cancelled {number} ");
        let line = self.process.line_where(&prefix, SOON, |line| line.starts_with(&prefix));
        let (at_us, status) = line[prefix.len()..].split_once(' ').expect("time and status");
        assert_eq!(status, "OK", "{line}");
        at_us.parse().expect("a time")
    }

    /// Waits for a job's result.
    #[track_caller]
    pub fn result(&self, number: usize) -> Ended {
        self.result_within(number, SOON)
    }

    /// Waits for the result of a job that takes its time.
    #[track_caller]
    pub fn result_within(&self, number: usize, limit: Duration) -> Ended {
        let prefix = format!("result {number} ");
        let line = self.process.line_where(&prefix, limit, |line| line.starts_with(&prefix));
        let mut words = line[prefix.len()..].splitn(5, ' ');
        let mut word = || words.next().expect("five words").to_owned();
        let (outcome, attempt) = (word(), word().parse().expect("a number"));
        Ended { outcome, attempt, worker: word(), code: word(), data: word() }
    }

    /// Ends its input, waits for its end, and asserts that each of its jobs got exactly one result.
    #[track_caller]
    pub fn finish(mut self) {
        self.process.close_stdin();
        let text = self.process.wait(SOON).success().text();
        let mut results: Vec<usize> = text
            .lines()
            .filter_map(|line| line.strip_prefix("result ")?.split(' ').next()?.parse().ok())
            .collect();
        results.sort_unstable();
        assert_eq!(results, (0..self.submitted).collect::<Vec<_>>(), "one result for each job\n{text}");
    }
}
