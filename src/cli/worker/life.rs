//! How long a slot process lives, and how much one job may use.
//!
//! Invariant: a process is replaced between jobs, never in one; what a job uses too much ends its process like a job that does
//! not stop, and its history says so.

use std::time::{Duration, Instant};

use clap::Args;
use forebay::api::options::parse_bytes;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::cli::exit::Failed;
use crate::cli::worker::usage::{cpu, rss};
use crate::cli::{show, time};

/// What users say of it.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Life {
    /// Replaces a slot process, between jobs, when it is so old, such as 1h.
    #[arg(long, value_name = "TIME", value_parser = time::parse, conflicts_with = "command", help_heading = "Limits")]
    max_age: Option<Duration>,
    /// Up to so much later, by chance, so that not all are replaced at once.
    #[arg(long, value_name = "TIME", value_parser = time::parse, requires = "max_age", help_heading = "Limits")]
    max_age_delta: Option<Duration>,
    /// Replaces a slot process after so many jobs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "command", help_heading = "Limits")]
    max_jobs: Option<u64>,
    /// Replaces a slot process, between jobs, when it has so much memory, such as 2Gi.
    #[arg(long, value_name = "BYTES", value_parser = bytes, conflicts_with = "command", help_heading = "Limits")]
    max_rss: Option<u64>,
    /// The processor time of one job, such as 30s; more ends its process.
    #[arg(long, value_name = "TIME", value_parser = time::parse, help_heading = "Limits")]
    job_cpu_limit: Option<Duration>,
    /// The memory of a process while it does a job, such as 2Gi; more ends it, or is refused to a command.
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = "Limits")]
    job_memory_limit: Option<u64>,
}

/// The limits of one process, from its beginning.
#[derive(Clone, Debug)]
pub(super) struct Lifetime {
    rules: Life,
    begun: Instant,
    /// When it is too old.
    until: Option<Instant>,
    /// The processor time it had used when its job was seen first, and which that was.
    job: Option<(u64, Duration)>,
}

/// A number of bytes, as options have them.
fn bytes(text: &str) -> Result<u64, String> {
    parse_bytes(text)
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "right would be 500Mi, 2Gi or a number".to_owned())
}

impl Life {
    /// Of one process that begins now.
    pub(super) fn begin(&self, now: Instant) -> Lifetime {
        let delta = self.max_age_delta.unwrap_or_default();
        let by_chance = delta.mul_f64(f64::from(getrandom::u32().unwrap_or(0)) / f64::from(u32::MAX));
        Lifetime {
            rules: self.clone(),
            begun: now,
            until: self.max_age.map(|age| now + age + by_chance),
            job: None,
        }
    }

    /// Jobs that one process does, at most.
    pub(super) fn max_jobs(&self) -> Option<u64> {
        self.max_jobs
    }

    /// What is wrong with it for slots that share a process.
    pub(super) fn check_shared(&self) -> Result<(), Failed> {
        if self.job_cpu_limit.is_some() || self.job_memory_limit.is_some() {
            return Err(Failed::usage(
                "--job-cpu-limit and --job-memory-limit need --isolate process: what one thread uses is not known",
            ));
        }
        Ok(())
    }

    /// Sets the limits of a command's process, and so of all that it starts.
    pub(super) fn limit(&self, id: Pid) {
        let limits = [
            // SIGXCPU, and SIGKILL for one that goes on.
            self.job_cpu_limit.map(|cpu| {
                let seconds = cpu.as_secs() + u64::from(cpu.subsec_nanos() > 0);
                (Resource::Cpu, seconds, seconds + 2)
            }),
            self.job_memory_limit.map(|bytes| (Resource::As, bytes, bytes)),
        ];
        for (resource, current, maximum) in limits.into_iter().flatten() {
            // One that has ended already needs none.
            let _ = prlimit(Some(id), resource, Rlimit { current: Some(current), maximum: Some(maximum) });
        }
    }
}

impl Lifetime {
    /// Jobs that the process does, at most.
    pub(super) fn max_jobs(&self) -> Option<u64> {
        self.rules.max_jobs
    }

    /// Why the process has lived for long enough, if it has.
    pub(super) fn over(&self, now: Instant, id: u32) -> Option<String> {
        if self.until.is_some_and(|until| until <= now) {
            return Some(format!("is {} old", time::show(now.duration_since(self.begun))));
        }
        let max = self.rules.max_rss?;
        let has = rss(id)?;
        (has > max).then(|| format!("has {} of memory; --max-rss is {}", show::bytes(has), show::bytes(max)))
    }

    /// What the job in hand, which `number` names, has used too much of.
    pub(super) fn excess(&mut self, number: u64, id: u32) -> Option<String> {
        if let Some(max) = self.rules.job_cpu_limit {
            let now = cpu(id)?;
            let begun = match self.job {
                Some((known, begun)) if known == number => begun,
                _ => now,
            };
            self.job = Some((number, begun));
            let used = now.saturating_sub(begun);
            if used > max {
                let (used, max) = (time::show(used), time::show(max));
                return Some(format!("used {used} of processor time; --job-cpu-limit is {max}"));
            }
        }
        let max = self.rules.job_memory_limit?;
        let has = rss(id)?;
        (has > max).then(|| {
            format!("has {} of memory; --job-memory-limit is {}", show::bytes(has), show::bytes(max))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_is_over_by_chance_and_memory_is_seen() {
        let (now, s) = (Instant::now(), Duration::from_secs);
        let rules = Life { max_age: Some(s(10)), max_age_delta: Some(s(5)), ..Life::default() };
        let lives: Vec<Lifetime> = (0..50).map(|_| rules.begin(now)).collect();
        let over = |at| lives.iter().filter(|life| life.over(now + s(at), 1).is_some()).count();
        assert_eq!((over(9), over(16)), (0, 50));
        assert!((1..50).contains(&over(12)), "{} of 50 after 12 s", over(12));
        let own = std::process::id();
        let small = Life { max_rss: Some(1), job_memory_limit: Some(1), ..Life::default() };
        assert!(small.begin(now).over(now, own).expect("too much").contains("--max-rss"));
        assert!(small.begin(now).excess(1, own).expect("too much").contains("--job-memory-limit"));
    }

    #[test]
    fn processor_time_is_counted_from_the_jobs_beginning() {
        let own = std::process::id();
        let rules = Life { job_cpu_limit: Some(Duration::from_millis(50)), ..Life::default() };
        let mut life = rules.begin(Instant::now());
        assert_eq!(life.excess(1, own), None);
        while life.excess(1, own).is_none() {
            let _ = std::hint::black_box((0..1_000_000_u64).fold(0, |sum, i| std::hint::black_box(sum ^ i)));
        }
        assert_eq!(life.excess(2, own), None);
    }
}
