//! Looking after slot processes: each is started, started again when it ends by itself, and drained at the end.
//!
//! The rules are those of systemd and Circus. A process that ends is started again, the first time at once, then after a time
//! that doubles, until one has handled a job or lived long enough. A process that ends before it is ready has something
//! wrong that a restart does not mend: after a few of those the host ends. One that was sent home is not started again. One
//! that has lived for long enough goes when another is ready in its place.

use std::process::ExitStatus;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::cli::exit::{Exit, Failed};
use crate::cli::worker::escalate::{self, Patience};
use crate::cli::worker::handed::{Params, Taker};
use crate::cli::worker::limits::{
    BACKOFF, BACKOFF_MAX, FIRST_ALONE, HANDED_PATIENCE, READY_ASK, UNREADY_MAX,
};
use crate::cli::worker::process::{Ended, Plan, Process};
use crate::cli::worker::report::{Reporter, Seen, State};
use crate::cli::worker::verdict::{Teller, Verdict};
use crate::cli::{show, signals, time};

/// What the host hears of.
enum News {
    Ended(Ended),
    /// It is to stop; how often it was told.
    Stop(u32),
    /// The broker has answered a report.
    Answered(Value),
}

impl From<Ended> for News {
    fn from(ended: Ended) -> Self {
        News::Ended(ended)
    }
}

/// One process and its successors.
#[derive(Default)]
struct Seat {
    process: Option<Process>,
    is_ready: bool,
    /// Who takes the place of a process that has lived for long enough, as soon as it is ready; and when to start that.
    heir: Option<Process>,
    heir_due: Option<Instant>,
    /// Ends in a row that were no sound life, and those of them before it was ready.
    ends: u32,
    unready: u32,
    /// When to start the next.
    due: Option<Instant>,
}

/// A host at work.
struct Supervisor<'a> {
    plan: &'a Plan,
    teller: &'a Teller,
    patience: Patience,
    reporter: Reporter,
    taker: Taker,
    /// Parameters with which a process has become ready, and those that all are to have.
    proven: Params,
    wanted: Params,
    /// When the jobs in hand are looked at again.
    look_at: Instant,
    seats: Vec<Seat>,
    /// Processes that were replaced, with their places, and finish what they do.
    leaving: Vec<(usize, Process)>,
    tell: Sender<News>,
    news: Receiver<News>,
    /// Since it was told to stop: when it kills.
    kill_at: Option<Instant>,
    has_said_ready: bool,
    failure: Option<Failed>,
}

/// Looks after the processes of `plan` until all have ended: they were drained, or sent home by the broker.
pub(super) fn run(
    plan: &Plan,
    patience: Patience,
    teller: &Teller,
    reporter: Reporter,
    taker: Taker,
) -> Result<Exit, Failed> {
    let (tell, news) = mpsc::channel();
    let told = tell.clone();
    signals::on_stop(move |count| {
        let _ = told.send(News::Stop(count));
    })?;
    let now = Instant::now();
    let due = |place| Some(if place == 0 { now } else { now + FIRST_ALONE });
    let seats = (0..plan.processes).map(|place| Seat { due: due(place), ..Seat::default() }).collect();
    let mut host = Supervisor {
        plan,
        teller,
        patience,
        reporter,
        taker,
        proven: Params::default(),
        wanted: Params::default(),
        look_at: now,
        seats,
        leaving: Vec::new(),
        tell,
        news,
        kill_at: None,
        has_said_ready: false,
        failure: None,
    };
    host.await_handed();
    host.look_after()
}

impl Supervisor<'_> {
    fn look_after(&mut self) -> Result<Exit, Failed> {
        loop {
            let now = Instant::now();
            self.start_due(now);
            self.ask_ready()?;
            self.look(now);
            self.hand_on(now);
            self.start_due(now);
            self.report(now);
            if self.kill_at.is_some_and(|at| at <= now) {
                self.kill();
            }
            if self.leaving.is_empty() && self.seats.iter().all(Seat::is_over) {
                return self.failure.take().map_or(Ok(Exit::Done), Err);
            }
            match self.next_news(now) {
                Some(News::Ended(ended)) => self.ended(ended),
                Some(News::Stop(1)) => self.stop(),
                Some(News::Stop(_)) => self.kill(),
                Some(News::Answered(answer)) => self.hear(&answer),
                None => {}
            }
        }
    }

    /// Asks for what the broker hands out before the first process begins, and waits for it, though not for long.
    fn await_handed(&mut self) {
        self.reporter.ask_for(self.taker.queues());
        if !self.taker.wants_params() {
            return;
        }
        let until = Instant::now() + HANDED_PATIENCE;
        self.report(Instant::now());
        match self.news.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(News::Answered(answer)) => self.hear(&answer),
            Ok(News::Stop(count)) => drop(self.tell.send(News::Stop(count))),
            _ => log::info!(target: "host", "no broker says what it hands to hosts; they begin without"),
        }
        // Nobody has begun with the first set: all begin with this one.
        (self.wanted.number, self.proven) = (0, Params { number: 0, ..self.wanted.clone() });
    }

    /// Takes what the broker hands to the hosts of the queues here. What no plugin declares changes nothing.
    fn hear(&mut self, answer: &Value) {
        match self.taker.take(answer) {
            None => {}
            Some(Err(wrong)) => {
                log::error!(target: "host", "{wrong}; the host goes on with the parameters it has");
            }
            Some(Ok(handed)) => {
                self.reporter.set_every(handed.report);
                if handed.params != self.wanted.all {
                    let names: Vec<&str> = handed.params.keys().map(String::as_str).collect();
                    log::info!(target: "host", "the broker hands out {} parameters: {}", names.len(), names.join(", "));
                    self.wanted = Params { number: self.wanted.number + 1, all: handed.params };
                }
            }
        }
    }

    /// Has one process replaced after the other when there are other parameters than they have.
    fn hand_on(&mut self, now: Instant) {
        let is_changing = |seat: &Seat| seat.heir.is_some() || seat.heir_due.is_some();
        if self.kill_at.is_some() || self.seats.iter().any(is_changing) {
            return;
        }
        let wanted = self.wanted.number;
        let is_stale = |seat: &Seat| {
            seat.is_ready && seat.process.as_ref().is_some_and(|process| process.handed != wanted)
        };
        if let Some(place) = self.seats.iter().position(is_stale) {
            log::info!(target: "host", "slot {place}: the parameters have changed, and its process is replaced");
            self.seats[place].heir_due = Some(now);
        }
    }

    /// Looks at the processes and the jobs in hand: ends those that are to stop and do not, and has those replaced that have
    /// lived for long enough.
    fn look(&mut self, now: Instant) {
        if now < self.look_at {
            return;
        }
        let leaving = self.leaving.iter_mut().map(|(_, process)| process);
        let mut has_jobs = false;
        for process in self.seats.iter_mut().filter_map(|seat| seat.process.as_mut()).chain(leaving) {
            has_jobs |= escalate::look(process, now, self.patience, self.teller);
        }
        // Without jobs it is looked half as often: who idles wakes up seldom.
        self.look_at = now + self.patience.look() * if has_jobs { 1 } else { 2 };
        if self.kill_at.is_some() {
            return;
        }
        for (place, seat) in self.seats.iter_mut().enumerate() {
            let is_settled = seat.is_ready && seat.heir.is_none() && seat.heir_due.is_none();
            let Some(process) = seat.process.as_ref().filter(|_| is_settled) else { continue };
            if let Some(why) = process.life.over(now, process.id) {
                log::info!(target: "host", "slot {place}: process {} {why}, and is replaced", process.id);
                seat.heir_due = Some(now);
            }
        }
    }

    /// Tells what the slots do, when it is time.
    fn report(&mut self, now: Instant) {
        let (seats, leaving) = (&self.seats, &self.leaving);
        let see = || {
            let mut seen = Vec::new();
            for (place, seat) in seats.iter().enumerate() {
                let slot = self.plan.first_slot(place);
                match (&seat.process, &seat.heir) {
                    (None, None) => seen.extend((0..self.plan.threads).map(|i| Seen::down(slot + i))),
                    (process, heir) => {
                        let state = if seat.is_ready { State::Ready } else { State::Beginning };
                        seen.extend(process.iter().flat_map(|process| process.seen(state)));
                        seen.extend(heir.iter().flat_map(|heir| heir.seen(State::Beginning)));
                    }
                }
            }
            seen.extend(leaving.iter().flat_map(|(_, process)| process.seen(State::Leaving)));
            seen
        };
        if let Some(report) = self.reporter.report(now, see) {
            let tell = self.tell.clone();
            // Nobody listens any more when the host has ended.
            let heard = report.heard_by(move |answer| drop(tell.send(News::Answered(answer))));
            self.teller.tell_report(heard);
        }
    }

    /// Waits for news, at most until there is something to do.
    fn next_news(&self, now: Instant) -> Option<News> {
        let begins = |seat: &Seat| seat.process.is_some() && !seat.is_ready || seat.heir.is_some();
        let is_beginning = self.seats.iter().any(begins);
        let is_at_work = !self.leaving.is_empty() || self.seats.iter().any(|seat| seat.is_ready);
        let look = is_at_work.then_some(self.look_at);
        // A report is told at the next look, if that is not later than another report would be.
        let is_rare = self.reporter.every().is_some_and(|every| every >= self.patience.look());
        let report = self.reporter.due().filter(|_| !is_at_work || !is_rare);
        let ask = is_beginning.then(|| now + READY_ASK);
        let due = self
            .seats
            .iter()
            .filter_map(|seat| seat.due.into_iter().chain(seat.heir_due).min())
            .chain(self.kill_at)
            .chain(ask)
            .chain(look)
            .chain(report)
            .min();
        match due {
            None => self.news.recv().ok(),
            Some(due) => self.news.recv_timeout(due.saturating_duration_since(now)).ok(),
        }
    }

    /// Starts what is to be started. It is this thread that starts: a slot ends with the thread that started it.
    fn start_due(&mut self, now: Instant) {
        for place in 0..self.seats.len() {
            self.start_heir(place, now);
            if self.seats[place].due.is_none_or(|due| due > now) {
                continue;
            }
            self.seats[place].due = None;
            match Process::start(self.plan, place, &self.proven, self.tell.clone()) {
                Ok(process) => {
                    log::debug!(target: "host", "slot {place}: process {} begins", process.id);
                    self.seats[place].process = Some(process);
                    self.seats[place].is_ready = false;
                }
                Err(failed) => self.again(place, now, &failed.message),
            }
        }
    }

    fn start_heir(&mut self, place: usize, now: Instant) {
        if self.seats[place].heir_due.is_none_or(|due| due > now) {
            return;
        }
        self.seats[place].heir_due = None;
        match Process::start(self.plan, place, &self.wanted, self.tell.clone()) {
            Ok(process) => self.seats[place].heir = Some(process),
            Err(failed) => self.heir_again(place, now, &failed.message),
        }
    }

    /// One whose heir is ready goes.
    fn take_over(&mut self) {
        for (place, seat) in self.seats.iter_mut().enumerate() {
            if seat.heir.as_ref().and_then(Process::queues).is_none() {
                continue;
            }
            (seat.ends, seat.unready, seat.is_ready) = (0, 0, true);
            if seat.heir.as_ref().is_some_and(|heir| heir.handed == self.wanted.number) {
                self.proven = self.wanted.clone();
            }
            if let Some(before) = std::mem::replace(&mut seat.process, seat.heir.take()) {
                before.signal(Signal::TERM);
                self.leaving.push((place, before));
            }
        }
    }

    /// Notes which processes are ready, and says so once all are.
    fn ask_ready(&mut self) -> Result<(), Failed> {
        self.take_over();
        let mut queues = Vec::new();
        let was_first = self.seats[0].is_ready;
        for seat in self.seats.iter_mut().filter(|seat| !seat.is_ready) {
            if let Some(found) = seat.process.as_ref().and_then(Process::queues) {
                seat.is_ready = true;
                seat.unready = 0;
                queues = found;
            }
        }
        if !was_first && self.seats[0].is_ready && !self.has_said_ready {
            let now = Instant::now();
            self.seats.iter_mut().for_each(|seat| seat.due = seat.due.map(|due| due.min(now)));
        }
        if !self.has_said_ready && self.seats.iter().all(|seat| seat.is_ready) {
            self.has_said_ready = true;
            let slots = u64::from(self.plan.processes) * u64::from(self.plan.threads);
            let plural = if slots == 1 { "slot serves" } else { "slots serve" };
            show::line(format_args!("{slots} {plural} {}", queues.join(", ")))?;
        }
        Ok(())
    }

    /// A process has ended.
    fn ended(&mut self, ended: Ended) {
        let (now, place) = (Instant::now(), ended.place);
        if let Some(at) = self.leaving.iter().position(|(_, process)| process.id == ended.id) {
            let (_, process) = self.leaving.swap_remove(at);
            self.tell_end(&process, &ended, true);
            return;
        }
        let seat = &mut self.seats[place];
        if seat.heir.as_ref().is_some_and(|heir| heir.id == ended.id) {
            if let Some(heir) = seat.heir.take().filter(|_| self.kill_at.is_none()) {
                let why = self.tell_end(&heir, &ended, false);
                self.heir_again(place, now, &why);
            }
            return;
        }
        let Some(process) = seat.process.take() else { return };
        // It may have become ready since it was asked last.
        let was_ready = seat.is_ready || process.queues().is_some();
        let why = self.tell_end(&process, &ended, was_ready);
        if self.kill_at.is_none() {
            self.succeed(place, now, &process, ended.status, was_ready, &why);
        }
    }

    /// Tells the broker of an end that was none of its own. What there is to say of it.
    fn tell_end(&self, process: &Process, ended: &Ended, was_ready: bool) -> String {
        let verdict = Verdict::of(process, ended.status, &ended.used, &ended.said);
        let why = verdict.message.clone();
        if was_ready && !ended.status.success() {
            self.teller.tell(verdict);
        }
        why
    }

    /// A process of a seat has ended by itself: another follows, unless that is no use.
    fn succeed(
        &mut self,
        place: usize,
        now: Instant,
        process: &Process,
        status: ExitStatus,
        was_ready: bool,
        why: &str,
    ) {
        let seat = &mut self.seats[place];
        if let Some(heir) = seat.heir.take() {
            // It is there already, and perhaps not ready.
            (seat.process, seat.is_ready) = (Some(heir), false);
            return;
        }
        seat.heir_due = None;
        if status.success() && was_ready && process.is_spent() {
            log::info!(target: "host", "slot {place}: process {} has done its jobs, and is replaced", process.id);
            (seat.ends, seat.due) = (0, Some(now));
            return;
        }
        if status.success() && was_ready && !process.is_condemned {
            log::info!(target: "host", "slot {place}: process {} was sent home", process.id);
            return;
        }
        let is_sound =
            process.is_condemned || process.handled() > 0 || process.begun.elapsed() >= BACKOFF_MAX;
        if is_sound {
            seat.ends = 0;
        }
        let code = status.code();
        let exit = [Exit::Usage, Exit::Refused].into_iter().find(|exit| code == Some(*exit as i32));
        seat.unready = if was_ready { 0 } else { seat.unready + 1 };
        if exit.is_some() || seat.unready >= UNREADY_MAX {
            let times = match exit {
                Some(_) => String::new(),
                None => format!(", {UNREADY_MAX} times in a row before it was ready"),
            };
            let exit = exit.unwrap_or(Exit::System);
            self.failure = Some(Failed::new(exit, format!("slot {place}: {why}{times}")));
            self.stop();
            return;
        }
        self.again(place, now, why);
    }

    /// Starts a seat's heir again, later each time. The process it is to follow goes on meanwhile.
    fn heir_again(&mut self, place: usize, now: Instant, why: &str) {
        let seat = &mut self.seats[place];
        seat.ends += 1;
        let wait = backoff(seat.ends);
        seat.heir_due = Some(now + wait);
        let when = time::show(wait);
        log::warn!(target: "host", "slot {place}: {why}, before it could follow; again in {when}");
    }

    /// Starts a seat's next process, later each time.
    fn again(&mut self, place: usize, now: Instant, why: &str) {
        let seat = &mut self.seats[place];
        let wait = backoff(seat.ends);
        seat.ends += 1;
        seat.due = Some(now + wait);
        let when = if wait.is_zero() { "now".to_owned() } else { format!("in {}", time::show(wait)) };
        log::warn!(target: "host", "slot {place}: {why}; started again {when}");
    }

    /// Every process there is.
    fn processes(&self) -> impl Iterator<Item = &Process> {
        let seated = self.seats.iter().flat_map(|seat| seat.process.iter().chain(&seat.heir));
        seated.chain(self.leaving.iter().map(|(_, process)| process))
    }

    /// Lets every process finish what it does; for so long.
    fn stop(&mut self) {
        let running = self.processes().count();
        if running > 0 {
            let limit = time::show(self.plan.drain);
            log::info!(target: "host", "draining {running} processes; what runs has {limit}");
        }
        self.kill_at = Some(Instant::now() + self.plan.drain);
        self.seats.iter_mut().for_each(|seat| (seat.due, seat.heir_due) = (None, None));
        self.processes().for_each(|process| process.signal(Signal::TERM));
    }

    fn kill(&mut self) {
        for process in self.processes() {
            log::warn!(target: "host", "process {} did not end in time and is killed", process.id);
            process.signal(Signal::KILL);
        }
        // What is left are their ends.
        self.kill_at = Some(Instant::now() + BACKOFF_MAX);
    }
}

impl Seat {
    /// Nobody is here, and nobody will come.
    fn is_over(&self) -> bool {
        self.process.is_none() && self.heir.is_none() && self.due.is_none() && self.heir_due.is_none()
    }
}

/// How long the next process waits after so many ends in a row.
fn backoff(ends: u32) -> Duration {
    match ends {
        0 => Duration::ZERO,
        ends => BACKOFF.saturating_mul(1 << (ends - 1).min(16)).min(BACKOFF_MAX),
    }
}
