//! The same computation in threads of this process and through forebay: from which length of job on a broker pays.
//!
//! Invariant: both do the same jobs on as many threads, and every result that came through the broker is compared with
//! the one computed here.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use forebay::api::{
    Client, Job, JobOptions, Level, Outcome, RegisterSettings, Retry, Status, Submit, Want, Worker,
    WorkerSettings,
};
use serde_json::json;

use crate::cli::connection::Connection;
use crate::cli::exit::{Exit, Failed};
use crate::cli::{show, signals, time};

/// Results taken at once.
const BATCH: usize = 1_000;
/// Jobs submitted and not answered yet.
const IN_FLIGHT: usize = 1_000;
/// How long nothing may come back before a round fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// The most processor time of a job that is measured.
const CPU_TIME_MAX: Duration = Duration::from_secs(10);

/// A job's work: so many steps from a seed, each of which needs the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Work {
    seed: u64,
    steps: u64,
}

impl Work {
    fn compute(self) -> u64 {
        let mut x = self.seed;
        for _ in 0..self.steps {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
        }
        x
    }

    fn payload(self) -> Bytes {
        [self.seed.to_le_bytes(), self.steps.to_le_bytes()].concat().into()
    }

    fn read(payload: &[u8]) -> Option<Work> {
        let (seed, steps) = payload.split_first_chunk()?;
        let steps = steps.try_into().ok().map(u64::from_le_bytes)?;
        Some(Work { seed: u64::from_le_bytes(*seed), steps })
    }
}

/// A worker whose jobs compute: what `forebay bench --vs-local` measures with.
#[derive(Args, Debug)]
pub(crate) struct ComputeWorker {
    /// The queue.
    queue: String,
    #[command(flatten)]
    connection: Connection,
}

impl ComputeWorker {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        let options = self.connection.options()?;
        let threads = cores();
        let slots = u32::try_from(threads).ok();
        let settings = WorkerSettings { slots, ..options.worker_settings()? };
        let worker = Arc::new(Worker::open(Some(&self.connection.address()?), settings)?);
        signals::on_stop_of(&worker, |worker, _| worker.stop())?;
        worker.register(&self.queue, RegisterSettings::default())?;
        thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(|| serve(&worker))).collect();
            threads.into_iter().try_for_each(|thread| match thread.join() {
                Ok(served) => served,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })?;
        Ok(Exit::Done)
    }
}

fn serve(worker: &Worker) -> Result<(), Failed> {
    loop {
        match worker.receive(None) {
            Ok(job) => answer(&job)?,
            Err(failure) if failure.status == Status::Drained => return Ok(()),
            Err(failure) => return Err(failure.into()),
        }
    }
}

fn answer(job: &Job) -> Result<(), Failed> {
    match Work::read(job.payload()) {
        Some(work) => job.complete(Bytes::copy_from_slice(&work.compute().to_le_bytes()))?,
        None => {
            job.fail(Retry::Never, "not_work", "the payload has to be a seed and a number of steps", "")?
        }
    }
    Ok(())
}

/// Processors of this machine that threads can run on.
fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// How a comparison is done.
pub(super) struct Comparison<'a> {
    pub(super) client: &'a Client,
    pub(super) queue: &'a str,
    pub(super) rounds: u32,
    /// About how long a round takes.
    pub(super) time: Duration,
    pub(super) as_json: bool,
}

impl Comparison<'_> {
    /// Compares jobs of each of these lengths, and shows how.
    pub(super) fn run(&self, cpu_times: &[Duration]) -> Result<Exit, Failed> {
        let step_ns = step_ns();
        let threads = cores();
        let mut table = show::table();
        table.set_header(["CPU/JOB", "ROUND", "JOBS", "LOCAL/S", "FOREBAY/S", "EFFICIENCY"]);
        for cpu_time in cpu_times {
            let steps = (cpu_time.as_nanos() as f64 / step_ns).max(1.0) as u64;
            let of_a_thread = (self.time.as_secs_f64() / cpu_time.as_secs_f64()).max(1.0) as usize;
            let work: Vec<Work> =
                (1..=(of_a_thread * threads) as u64).map(|seed| Work { seed, steps }).collect();
            let warm = work.len().min(10 * threads);
            self.through(&work[..warm], &locally(&work[..warm], threads).1)?;
            for round in 1..=self.rounds {
                let (local, forebay) = self.round(&work, threads, round)?;
                let per_s = |took: Duration| work.len() as f64 / took.as_secs_f64().max(1e-9);
                let (local, forebay) = (per_s(local), per_s(forebay));
                if self.as_json {
                    show::line(json!({
                        "cpu_us": cpu_time.as_micros(), "threads": threads, "round": round, "jobs": work.len(),
                        "local_per_s": local, "jobs_per_s": forebay, "efficiency": forebay / local,
                    }))?;
                }
                table.add_row([
                    time::show(*cpu_time),
                    round.to_string(),
                    work.len().to_string(),
                    format!("{local:.0}"),
                    format!("{forebay:.0}"),
                    format!("{:.2}", forebay / local),
                ]);
            }
        }
        if !self.as_json {
            show::align_right(&mut table, 0);
            show::line(format_args!("the same computation in {threads} threads, here and through forebay"))?;
            show::line(table)?;
        }
        Ok(Exit::Done)
    }

    /// The times of both. Each is first every other time: what changes on the machine meanwhile favours neither.
    fn round(&self, work: &[Work], threads: usize, round: u32) -> Result<(Duration, Duration), Failed> {
        if round.is_multiple_of(2) {
            let right: Vec<u64> = locally(work, threads).1;
            let forebay = self.through(work, &right)?;
            let (local, _) = locally(work, threads);
            return Ok((local, forebay));
        }
        let (local, right) = locally(work, threads);
        Ok((local, self.through(work, &right)?))
    }

    /// Has these jobs done through the broker; how long that took.
    fn through(&self, work: &[Work], right: &[u64]) -> Result<Duration, Failed> {
        let begin = Instant::now();
        let mut results = Vec::new();
        let (mut sent, mut done) = (0, 0);
        while done < work.len() {
            let end = work.len().min(done + IN_FLIGHT);
            // Half of them at once: one packet for many jobs, and never none under way.
            if sent < end && (sent - done <= IN_FLIGHT / 2 || end == work.len()) {
                self.submit(work, sent..end)?;
                sent = end;
            }
            match self.client.next_many(Some(PATIENCE), BATCH, &mut results) {
                Ok(_) => {}
                Err(failure) if failure.status == Status::TimedOut => {
                    let message = format!("nothing came back within {} s", PATIENCE.as_secs());
                    return Err(Failed::new(Exit::NotDone, message));
                }
                Err(failure) => return Err(failure.into()),
            }
            done += results.len();
            for result in results.drain(..) {
                if result.outcome() != Outcome::Done {
                    let message = format!("a job ended {}: {}", result.outcome().name(), result.message());
                    return Err(Failed::new(Exit::NotDone, message));
                }
                let of = usize::try_from(result.tag()).ok().and_then(|tag| right.get(tag));
                if of.map(|right| right.to_le_bytes()) != result.data().try_into().ok() {
                    let message = format!("job {} has another result than here", result.tag());
                    return Err(Failed::new(Exit::NotDone, message));
                }
            }
        }
        Ok(begin.elapsed())
    }

    fn submit(&self, work: &[Work], which: std::ops::Range<usize>) -> Result<(), Failed> {
        let options = JobOptions { level: Some(Level::Volatile), ..JobOptions::default() };
        let job = |tag: usize| {
            let job = Submit::new(self.queue, work[tag].payload()).want(Want::RESULT | Want::REFUSED);
            job.options(options.clone()).tag(tag as u64)
        };
        match self.client.enqueue_many(which.map(job).collect()).failure {
            None => Ok(()),
            Some(failure) => Err(failure.into()),
        }
    }
}

/// Does the work in threads of this process: how long that took, and the results.
fn locally(work: &[Work], threads: usize) -> (Duration, Vec<u64>) {
    let next = AtomicUsize::new(0);
    let compute = || {
        let mut results = Vec::new();
        while let at = next.fetch_add(1, Ordering::Relaxed)
            && let Some(work) = work.get(at)
        {
            results.push((at, work.compute()));
        }
        results
    };
    let begin = Instant::now();
    let parts: Vec<Vec<(usize, u64)>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(compute)).collect();
        let part = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(part).collect()
    });
    let took = begin.elapsed();
    let mut results = vec![0; work.len()];
    for (at, result) in parts.into_iter().flatten() {
        results[at] = result;
    }
    (took, results)
}

/// How long a step takes on a processor that does nothing else: the least of some tries.
fn step_ns() -> f64 {
    const STEPS: u64 = 2_000_000;
    let once = |seed| {
        let begin = Instant::now();
        std::hint::black_box(Work { seed, steps: STEPS }.compute());
        begin.elapsed().as_nanos() as f64 / STEPS as f64
    };
    (1..=5).map(once).fold(f64::INFINITY, f64::min).max(0.01)
}

/// Reads the processor time of a job.
pub(super) fn cpu_time(text: &str) -> Result<Duration, String> {
    let cpu_time = time::parse(text)?;
    match cpu_time >= Duration::from_micros(1) && cpu_time <= CPU_TIME_MAX {
        true => Ok(cpu_time),
        false => Err(format!("a time from 0.001ms to {}s", CPU_TIME_MAX.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_do_each_job_once() {
        let work: Vec<Work> = (1..100).map(|seed| Work { seed, steps: seed % 7 }).collect();
        let (_, results) = locally(&work, 3);
        assert_eq!(results, work.iter().map(|work| work.compute()).collect::<Vec<_>>());
    }

    #[test]
    fn work_is_read_as_it_was_written() {
        let work = Work { seed: 7, steps: u64::MAX };
        assert_eq!(Work::read(&work.payload()), Some(work));
        assert_eq!(Work::read(b"short"), None);
        assert_eq!(Work::read(&[0; 17]), None);
    }
}
