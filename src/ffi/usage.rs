//! What work costs the machine, as getrusage(2) counts it.

use std::mem;

use libc::{c_int, rusage, timeval};

/// Counts from the beginning of a process or a thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    cpu_us: u64,
    max_rss_bytes: u64,
    faults: u64,
    faults_disk: u64,
    switches: u64,
    switches_forced: u64,
}

impl Usage {
    /// Of this process with all its threads.
    pub fn of_process() -> Usage {
        Usage::of(libc::RUSAGE_SELF)
    }

    /// Of the calling thread; its memory is its process's.
    pub fn of_thread() -> Usage {
        Usage::of(libc::RUSAGE_THREAD)
    }

    fn of(who: c_int) -> Usage {
        // SAFETY: zeros are counts, and the call fills what it is given or leaves it.
        unsafe {
            let mut counted: rusage = mem::zeroed();
            libc::getrusage(who, &raw mut counted);
            Usage::from(counted)
        }
    }

    /// What came since; memory is the most there ever was.
    pub fn since(self, before: Usage) -> Usage {
        Usage {
            cpu_us: self.cpu_us.saturating_sub(before.cpu_us),
            max_rss_bytes: self.max_rss_bytes,
            faults: self.faults.saturating_sub(before.faults),
            faults_disk: self.faults_disk.saturating_sub(before.faults_disk),
            switches: self.switches.saturating_sub(before.switches),
            switches_forced: self.switches_forced.saturating_sub(before.switches_forced),
        }
    }

    /// As facts of a result's meta.
    pub fn facts(self) -> Vec<(&'static str, u64)> {
        vec![
            ("cpu_us", self.cpu_us),
            ("max_rss_bytes", self.max_rss_bytes),
            ("page_faults", self.faults),
            ("page_faults_disk", self.faults_disk),
            ("switches", self.switches),
            ("switches_forced", self.switches_forced),
        ]
    }
}

impl From<rusage> for Usage {
    fn from(counted: rusage) -> Usage {
        let us = |time: timeval| time.tv_sec.unsigned_abs() * 1_000_000 + time.tv_usec.unsigned_abs();
        Usage {
            cpu_us: us(counted.ru_utime) + us(counted.ru_stime),
            max_rss_bytes: counted.ru_maxrss.unsigned_abs() * 1_024,
            faults: counted.ru_minflt.unsigned_abs(),
            faults_disk: counted.ru_majflt.unsigned_abs(),
            switches: counted.ru_nvcsw.unsigned_abs(),
            switches_forced: counted.ru_nivcsw.unsigned_abs(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_counted() {
        // With other threads beside, the system may count a process's time a little later than a thread's.
        let long = std::time::Duration::from_secs(10);
        let (began, before) = (std::time::Instant::now(), (Usage::of_thread(), Usage::of_process()));
        let used = || (Usage::of_thread().since(before.0), Usage::of_process().since(before.1));
        let mut sum = 0_u64;
        while (used().0.cpu_us == 0 || used().1.cpu_us == 0) && began.elapsed() < long {
            (0..100_000).for_each(|i| sum = std::hint::black_box(sum + i));
        }
        let (of_thread, of_process) = used();
        assert!(of_thread.cpu_us > 0 && of_process.cpu_us > 0, "{of_thread:?} {of_process:?}");
        assert!(of_process.max_rss_bytes > 1 << 20, "{of_process:?}");
    }
}
