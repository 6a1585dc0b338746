//! Slots on cores of their own.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// What libraries that compute on many threads read, each as the number of threads that one slot may use.
const THREADS: [&str; 3] = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"];

/// The variables that keep a slot to its cores.
pub(super) fn variables(cores: u32) -> impl Iterator<Item = (&'static str, String)> {
    THREADS.into_iter().map(move |name| (name, cores.to_string()))
}

/// Keeps this thread, and what it starts, to the cores of these slots: `cores` for each, counted from slot 0 over those that
/// this process may use, and from the first again when there are no more. Whether the system let it.
pub(super) fn here(slots: std::ops::Range<u32>, cores: u32) -> bool {
    let Ok(allowed) = sched_getaffinity(None) else { return false };
    let known: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
    let mut set = CpuSet::new();
    for at in slots.start as usize * cores as usize..slots.end as usize * cores as usize {
        let Some(core) = known.get(at % known.len().max(1)) else { return false };
        set.set(*core);
    }
    sched_setaffinity(None, &set).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_kept_to_its_core_and_the_cores_go_round() {
        let count = std::thread::spawn(|| {
            let all = sched_getaffinity(None).expect("a set").count();
            assert!(here(all..all + 1, 1) && sched_getaffinity(None).expect("a set").count() == 1);
            all
        });
        let first = std::thread::spawn(|| {
            assert!(here(0..1, 1));
            sched_getaffinity(None).expect("a set")
        });
        assert!(count.join().expect("a thread") >= 1);
        assert_eq!(first.join().expect("a thread").count(), 1);
    }
}
