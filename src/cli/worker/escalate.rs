//! What is done about a job that was told to stop and goes on: its process gets SIGTERM, and then SIGKILL. A job that is past
//! its soft limit goes on, and where it stood then is kept.
//!
//! Invariant: each step is taken once for each attempt, in this order, and is in the job's history before it is taken, as far
//! as the broker can be told.

use std::time::{Duration, Instant};

use forebay::api::report::{Doing, Told};
use forebay::api::{Hints, JobId, Stop};
use rustix::process::Signal;

use crate::cli::time;
use crate::cli::worker::backtrace::{Frame, culprit, lines};
use crate::cli::worker::limits::{LOOK_MAX, LOOK_MIN, STAND_FRAMES_MAX, TELL_FIRST};
use crate::cli::worker::process::Process;
use crate::cli::worker::verdict::{Seen, Teller};

/// How long a job may go on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Between the word that it is to stop and SIGTERM.
    pub(super) grace: Duration,
    /// Between SIGTERM and SIGKILL.
    pub(super) kill_grace: Duration,
}

impl Patience {
    /// How often jobs are looked at.
    pub(super) fn look(&self) -> Duration {
        (self.grace.min(self.kill_grace) / 4).clamp(LOOK_MIN, LOOK_MAX)
    }
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It is past its soft limit: where it stands is kept.
    Soft,
    Term,
    Kill,
}

/// How far it has come with the job in one slot.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watched {
    job: Option<(JobId, u32)>,
    is_past_soft: bool,
    told_at: Option<Instant>,
    term_at: Option<Instant>,
    is_killed: bool,
}

impl Watched {
    /// The next step with this job, if it is time for one.
    fn step(&mut self, now: Instant, doing: &Doing, told: Told, patience: Patience) -> Option<Step> {
        let job = Some((doing.id, doing.attempt));
        if self.job != job {
            *self = Watched { job, ..Watched::default() };
        }
        if told.hints & Hints::SOFT_LIMIT.0 != 0 && !self.is_past_soft {
            self.is_past_soft = true;
            return Some(Step::Soft);
        }
        if told.stop.0 == 0 || self.is_killed {
            return None;
        }
        let told_at = *self.told_at.get_or_insert(now);
        match self.term_at {
            None if now.duration_since(told_at) >= patience.grace => {
                self.term_at = Some(now);
                Some(Step::Term)
            }
            Some(term_at) if now.duration_since(term_at) >= patience.kill_grace => {
                self.is_killed = true;
                Some(Step::Kill)
            }
            _ => None,
        }
    }
}

/// Looks at the jobs of a process, and does what is due. Whether it has any.
pub(super) fn look(process: &mut Process, now: Instant, patience: Patience, teller: &Teller) -> bool {
    let mut has_jobs = false;
    for index in 0..process.threads() {
        let Some((doing, told, thread)) = process.job(index) else { continue };
        has_jobs = true;
        if end_excess(process, &doing, thread, teller) {
            break;
        }
        let Some(step) = process.watched(index).step(now, &doing, told, patience) else { continue };
        let frames = if step == Step::Kill { Vec::new() } else { process.stands(thread) };
        let (said, seen) = words(step, told.stop, patience, &frames);
        log::warn!(target: "host", "slot {}: job={} {said}", process.slot + index, doing.id);
        let seen = Seen { pid: process.id, id: doing.id, attempt: doing.attempt, text: seen };
        match step {
            Step::Soft => teller.tell_seen(seen),
            Step::Term | Step::Kill => {
                teller.tell_seen_first(seen, TELL_FIRST);
                process.condemn(if step == Step::Term { Signal::TERM } else { Signal::KILL });
            }
        }
    }
    has_jobs
}

/// Ends a process whose job has used too much.
fn end_excess(process: &mut Process, doing: &Doing, thread: u32, teller: &Teller) -> bool {
    let number = process.handled();
    let Some(why) = process.life.excess(number, process.id).filter(|_| !process.is_condemned) else {
        return false;
    };
    let frames = process.stands(thread);
    let place = culprit(&frames).map_or(String::new(), |name| format!("; it stands in {name}"));
    log::warn!(target: "host", "slot {}: job={} {why}: SIGKILL{place}", process.slot, doing.id);
    let few = &frames[..frames.len().min(STAND_FRAMES_MAX)];
    let text = format!("{why}: SIGKILL; where it stood:{}", lines(few));
    let seen = Seen { pid: process.id, id: doing.id, attempt: doing.attempt, text };
    teller.tell_seen_first(seen, TELL_FIRST);
    process.condemn(Signal::KILL);
    true
}

/// What is said of a step in the log, and in the job's history.
fn words(step: Step, stop: Stop, patience: Patience, frames: &[Frame]) -> (String, String) {
    let sentence = match step {
        Step::Soft => "is past its soft limit".to_owned(),
        Step::Term => format!(
            "was told to stop ({}) and goes on after {}: SIGTERM",
            why(stop),
            time::show(patience.grace)
        ),
        Step::Kill => format!("goes on {} after SIGTERM: SIGKILL", time::show(patience.kill_grace)),
    };
    let place = culprit(frames).map_or(String::new(), |name| format!("; it stands in {name}"));
    let few = &frames[..frames.len().min(STAND_FRAMES_MAX)];
    let whole = if few.is_empty() { String::new() } else { format!("; where it stood:{}", lines(few)) };
    (format!("{sentence}{place}"), format!("{sentence}{whole}"))
}

/// Why a job is to stop, for people.
pub(super) fn why(stop: Stop) -> &'static str {
    let has = |bit: Stop| stop.0 & bit.0 != 0;
    match stop {
        _ if has(Stop::CANCELLED) => "cancelled",
        _ if has(Stop::TIME_OVER) => "out of time",
        _ => "its lease is lost",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_is_taken_once_and_in_order() {
        let patience = Patience { grace: Duration::from_secs(2), kill_grace: Duration::from_secs(3) };
        let begun = Instant::now();
        let at = |s| begun + Duration::from_secs(s);
        let doing = Doing { id: JobId([1; 16]), attempt: 1, since_ms: 0, queue: 0 };
        let mut watched = Watched::default();
        let mut step =
            |s, doing: &Doing, stop, hints| watched.step(at(s), doing, Told { stop, hints }, patience);
        let (none, over, soft) = (Stop(0), Stop::TIME_OVER, Hints::SOFT_LIMIT.0);
        assert_eq!(step(0, &doing, none, 0), None);
        assert_eq!(step(1, &doing, none, soft), Some(Step::Soft));
        assert_eq!(step(2, &doing, none, soft), None);
        assert_eq!(step(10, &doing, over, soft), None);
        assert_eq!(step(11, &doing, over, soft), None);
        assert_eq!(step(12, &doing, over, soft), Some(Step::Term));
        assert_eq!(step(14, &doing, over, soft), None);
        assert_eq!(step(15, &doing, over, soft), Some(Step::Kill));
        assert_eq!(step(30, &doing, over, soft), None);
        // The next attempt begins anew.
        let next = Doing { attempt: 2, ..doing };
        assert_eq!(step(31, &next, over, 0), None);
        assert_eq!(step(33, &next, over, 0), Some(Step::Term));
    }
}
