//! What a host tells the broker of itself: what each slot does and for how long, what its processes use, and how its machine is.
//!
//! Invariant: a host that does nothing says so seldom; one that works, each time it is due. What it says changes nothing of any
//! job, and a broker that does not hear it misses nothing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use forebay::api::report::{Doing, Place};
use serde_json::{Value, json};

use crate::cli::worker::limits::{
    QUIET_REPORTS, REPORT_EVERY, REPORT_EVERY_MIN, REPORT_TEXT_LEN_MAX, REPORTED_SLOTS_MAX,
};
use crate::cli::worker::usage::{self, Machine};

/// Makes the reports of a host.
#[derive(Debug)]
pub(super) struct Reporter {
    name: String,
    /// How often; zero: never.
    every: Duration,
    /// The broker may say how often.
    is_usual: bool,
    /// Whose settings for hosts the broker is asked for.
    queues: Vec<String>,
    slots: u32,
    due: Instant,
    /// What was told last, and when.
    told: Vec<Standing>,
    told_at: Option<Instant>,
    /// What was used until the last look, by process and thread.
    spent: BTreeMap<(u32, u32), (Duration, Instant)>,
}

/// A report, ready to be told.
pub(super) struct Report {
    arguments: Vec<(String, String)>,
    /// Hears what the broker answers.
    hear: Option<Box<dyn FnOnce(Value) + Send>>,
}

/// What becomes of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Its process is not ready yet.
    Beginning,
    /// Its process is there: it does what its place says.
    Ready,
    /// Its process finishes what it does and goes.
    Leaving,
    /// There is no process now.
    Down,
}

/// A slot as its host sees it.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) slot: u32,
    pub(super) state: State,
    /// The process it is in, or that does its job.
    pub(super) pid: Option<u32>,
    /// The thread that it is, if others share its process.
    pub(super) thread: Option<u32>,
    pub(super) place: Place,
    pub(super) queue: Option<String>,
}

/// What of a slot is worth telling when it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Standing {
    slot: u32,
    state: State,
    pid: Option<u32>,
    handled: u64,
    doing: Option<Doing>,
}

/// What was used since the last look.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    cpu_percent: Option<f64>,
    rss: Option<u64>,
}

impl Reporter {
    /// Of a host with this name and so many slots, which reports so often, or as often as is usual or as the broker says.
    pub(super) fn new(name: String, slots: u32, every: Option<Duration>) -> Reporter {
        let (is_usual, every) = (every.is_none(), every.unwrap_or(REPORT_EVERY));
        let (due, queues, told, spent) = (Instant::now(), Vec::new(), Vec::new(), BTreeMap::new());
        Reporter { name, every, is_usual, queues, slots, due, told, told_at: None, spent }
    }

    /// Has the broker asked for what it hands to the hosts of these queues.
    pub(super) fn ask_for(&mut self, queues: &[String]) {
        queues.clone_into(&mut self.queues);
    }

    /// The broker says how often, or nothing of it. What the user said counts more.
    pub(super) fn set_every(&mut self, every: Option<Duration>) {
        if self.is_usual {
            self.every = every.map_or(REPORT_EVERY, |every| every.max(REPORT_EVERY_MIN));
        }
    }

    /// How often it reports, if it does.
    pub(super) fn every(&self) -> Option<Duration> {
        Some(self.every).filter(|every| !every.is_zero())
    }

    /// When it looks again, if it does.
    pub(super) fn due(&self) -> Option<Instant> {
        self.every().map(|_| self.due)
    }

    /// What there is to tell now, if it is time and there is something.
    pub(super) fn report(&mut self, now: Instant, see: impl FnOnce() -> Vec<Seen>) -> Option<Report> {
        self.due().filter(|due| *due <= now)?;
        self.due = now + self.every;
        let seen = see();
        let standing: Vec<Standing> = seen.iter().map(Seen::standing).collect();
        let is_quiet = standing == self.told && standing.iter().all(|slot| slot.doing.is_none());
        let again = self.told_at.is_none_or(|told| now.duration_since(told) >= self.every * QUIET_REPORTS);
        if is_quiet && !again {
            return None;
        }
        (self.told, self.told_at) = (standing, Some(now));
        Some(self.write(now, &seen))
    }

    fn write(&mut self, now: Instant, seen: &[Seen]) -> Report {
        let own = std::process::id();
        let before = std::mem::take(&mut self.spent);
        let mut spent = BTreeMap::new();
        let mut total = use_of(own, None, &before, &mut spent, now);
        let mut counted = vec![own];
        let mut lists = Lists::default();
        for slot in seen {
            let used = slot.pid.map(|pid| use_of(pid, slot.thread, &before, &mut spent, now));
            let used = used.unwrap_or_default();
            if let Some(pid) = slot.pid.filter(|pid| !counted.contains(pid)) {
                counted.push(pid);
                let of_process = match slot.thread {
                    None => used,
                    Some(_) => use_of(pid, None, &before, &mut spent, now),
                };
                total.add(of_process);
            }
            if lists.count < REPORTED_SLOTS_MAX {
                lists.push(&slot.shown(used));
            }
        }
        self.spent = spent;
        Report { arguments: lists.arguments(self.about(total)), hear: None }
    }

    fn about(&self, total: Used) -> Value {
        let Machine { load, memory, memory_free } = usage::machine();
        let cores = std::thread::available_parallelism().ok().map(std::num::NonZero::get);
        json!({
            "name": self.name, "slots": self.slots, "every_ms": millis(self.every),
            "cpu_percent": total.cpu_percent, "rss_bytes": total.rss, "queues": self.queues,
            "machine": { "cores": cores, "load": load, "memory_bytes": memory, "memory_free_bytes": memory_free },
        })
    }
}

impl Report {
    /// The arguments of `host.report`.
    pub(super) fn arguments(&self) -> Vec<(String, String)> {
        self.arguments.clone()
    }

    /// Has somebody hear what the broker answers, if it does.
    pub(super) fn heard_by(self, hear: impl FnOnce(Value) + Send + 'static) -> Report {
        Report { hear: Some(Box::new(hear)), ..self }
    }

    /// The broker has answered.
    pub(super) fn answered(self, answer: &[u8]) {
        if let (Some(hear), Ok(answer)) = (self.hear, serde_json::from_slice(answer)) {
            hear(answer);
        }
    }
}

impl Seen {
    /// A slot without a process.
    pub(super) fn down(slot: u32) -> Seen {
        Seen { slot, state: State::Down, pid: None, thread: None, place: Place::default(), queue: None }
    }

    fn standing(&self) -> Standing {
        let Place { handled, doing, .. } = self.place;
        Standing { slot: self.slot, state: self.state, pid: self.pid, handled, doing }
    }

    fn shown(&self, used: Used) -> String {
        let doing = self.place.doing;
        let state = match (self.state, doing) {
            (State::Beginning, _) => "beginning",
            (State::Ready, None) => "idle",
            (State::Ready, Some(_)) => "working",
            (State::Leaving, _) => "leaving",
            (State::Down, _) => "down",
        };
        let mut shown = json!({ "slot": self.slot, "state": state, "handled": self.place.handled });
        let facts = [
            ("pid", self.pid.map(Value::from)),
            ("cpu_percent", used.cpu_percent.map(Value::from)),
            ("rss_bytes", used.rss.map(Value::from)),
            ("job", doing.map(|doing| doing.id.to_string().into())),
            ("attempt", doing.map(|doing| doing.attempt.into())),
            ("running_ms", doing.map(|doing| doing.age_ms().into())),
            ("queue", doing.and(self.queue.as_deref()).map(Value::from)),
        ];
        for (name, value) in facts {
            if let Some(value) = value {
                shown[name] = value;
            }
        }
        shown.to_string()
    }
}

impl std::fmt::Debug for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Report").field(&self.arguments).finish()
    }
}

impl Used {
    fn add(&mut self, more: Used) {
        self.cpu_percent = match (self.cpu_percent, more.cpu_percent) {
            (Some(one), Some(other)) => Some(tenths(one + other)),
            (one, other) => one.or(other),
        };
        self.rss = match (self.rss, more.rss) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
    }
}

/// What a process, or one of its threads, uses now and has used since the last look.
fn use_of(
    pid: u32,
    thread: Option<u32>,
    before: &BTreeMap<(u32, u32), (Duration, Instant)>,
    spent: &mut BTreeMap<(u32, u32), (Duration, Instant)>,
    now: Instant,
) -> Used {
    let key = (pid, thread.unwrap_or(0));
    let cpu = match thread {
        Some(thread) => usage::cpu_of_thread(pid, thread),
        None => usage::cpu(pid),
    };
    let cpu_percent = cpu.and_then(|cpu| {
        spent.insert(key, (cpu, now));
        let (cpu_before, then) = before.get(&key)?;
        let passed = now.duration_since(*then).as_secs_f64();
        Some(tenths(cpu.saturating_sub(*cpu_before).as_secs_f64() / passed.max(0.001) * 100.0))
    });
    Used { cpu_percent, rss: usage::rss(pid) }
}

/// Slots in lists, each short enough for one argument.
#[derive(Default)]
struct Lists {
    full: Vec<String>,
    open: String,
    count: usize,
}

impl Lists {
    fn push(&mut self, slot: &str) {
        if !self.open.is_empty() && self.open.len() + slot.len() + 2 > REPORT_TEXT_LEN_MAX {
            self.full.push(std::mem::take(&mut self.open));
        }
        self.open.push(if self.open.is_empty() { '[' } else { ',' });
        self.open.push_str(slot);
        self.count += 1;
    }

    fn arguments(self, about: Value) -> Vec<(String, String)> {
        let lists = self.full.into_iter().chain(Some(self.open).filter(|open| !open.is_empty()));
        let slots = lists.enumerate().map(|(at, list)| (format!("slots.{}", at + 1), list + "]"));
        std::iter::once(("host".to_owned(), about.to_string())).chain(slots).collect()
    }
}

/// Processor time is counted in ticks: one figure behind the point is more than is known.
fn tenths(percent: f64) -> f64 {
    (percent * 10.0).round() / 10.0
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay::api::JobId;

    fn seen(slot: u32, doing: Option<Doing>) -> Seen {
        let place = Place { handled: 3, doing, thread: 0 };
        let queue = Some("resize".to_owned());
        Seen { slot, state: State::Ready, pid: Some(std::process::id()), thread: None, place, queue }
    }

    fn reporter() -> (Reporter, Instant) {
        let reporter = Reporter::new("host".to_owned(), 2, None);
        let begun = reporter.due;
        (reporter, begun)
    }

    #[test]
    fn a_host_that_does_nothing_says_so_seldom() {
        let (mut reporter, begun) = reporter();
        let mut told = Vec::new();
        for s in 0..12 {
            let report = reporter.report(begun + Duration::from_secs(s), || vec![seen(0, None)]);
            told.extend(report.map(|_| s));
        }
        assert_eq!(told, [0, 5, 10]);
        let doing = Doing { id: JobId([1; 16]), attempt: 1, since_ms: 0, queue: 0 };
        for s in 12..15 {
            let now = begun + Duration::from_secs(s);
            assert!(reporter.report(now, || vec![seen(0, Some(doing))]).is_some());
            assert!(reporter.report(now, || panic!("it is not due")).is_none());
        }
    }

    #[test]
    fn no_argument_is_longer_than_what_travels_and_all_slots_are_told() {
        let (mut reporter, begun) = reporter();
        let doing = Doing { id: JobId([1; 16]), attempt: 1, since_ms: 0, queue: 0 };
        let all = || (0..REPORTED_SLOTS_MAX as u32 + 7).map(|slot| seen(slot, Some(doing))).collect();
        let arguments = reporter.report(begun, all).expect("a report").arguments();
        assert!(arguments.len() <= 64, "{} arguments", arguments.len());
        assert!(arguments.iter().all(|(_, text)| text.len() <= REPORT_TEXT_LEN_MAX));
        let slots: Vec<Value> = arguments[1..]
            .iter()
            .flat_map(|(_, text)| serde_json::from_str::<Vec<Value>>(text).expect("a list"))
            .collect();
        assert_eq!(slots.len(), REPORTED_SLOTS_MAX);
        assert_eq!((&slots[5]["slot"], &slots[5]["state"]), (&5.into(), &"working".into()));
    }
}
