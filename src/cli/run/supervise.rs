//! Looking after a broker and hosts: each is started, started again when it ends by itself, replaced when that is asked for,
//! and sent home in order at the end.
//!
//! Invariant: hosts begin when the broker is there, and at the end it is stopped when they are gone.

use std::ffi::OsString;
use std::process::ExitStatus;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use forebay::api::{Client, Options};
use rustix::process::Signal;

use crate::cli::exit::{Exit, Failed};
use crate::cli::run::change::Waiting;
use crate::cli::run::control::{Asked, Listener};
use crate::cli::run::limits::{
    BACKOFF, BACKOFF_MAX, DRAIN, DRAIN_MORE, ENDS_MAX, ENDS_WITHIN, RULES_PATIENCE, UNREADY_MAX,
};
use crate::cli::run::member::{Process, Word};
use crate::cli::run::seat::{Member, says_ready};
use crate::cli::run::{Plan, notify};
use crate::cli::{show, signals, time};

/// What the run hears of.
pub(super) enum News {
    Process(u64, Word),
    /// It is to stop; how often it was told.
    Stop(u32),
    Asked(Asked),
}

impl From<(u64, Word)> for News {
    fn from((number, word): (u64, Word)) -> Self {
        News::Process(number, word)
    }
}

impl From<Asked> for News {
    fn from(asked: Asked) -> Self {
        News::Asked(asked)
    }
}

/// How far the end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Running,
    /// The hosts drain.
    Hosts,
    /// They are gone, and the broker drains.
    Broker,
}

pub(super) struct Run<'a> {
    pub(super) plan: Plan,
    pub(super) again: &'a dyn Fn() -> Result<Plan, Failed>,
    /// The broker first.
    pub(super) members: Vec<Member>,
    /// Hosts that were replaced, or are to be there no more, and finish what they do.
    pub(super) leaving: Vec<Process>,
    pub(super) waiting: Vec<Waiting>,
    pub(super) endpoint: Option<String>,
    pub(super) started: u64,
    pub(super) stage: Stage,
    pub(super) kill_at: Option<Instant>,
    pub(super) has_said_ready: bool,
    pub(super) failure: Option<Failed>,
    pub(super) tell: Sender<News>,
    pub(super) news: Receiver<News>,
}

/// Runs what `plan` says until it is stopped. `again` reads it anew.
pub(super) fn run(
    plan: Plan,
    again: &dyn Fn() -> Result<Plan, Failed>,
    control: Listener,
) -> Result<Exit, Failed> {
    let (tell, news) = mpsc::channel();
    let told = tell.clone();
    signals::on_stop(move |count| drop(told.send(News::Stop(count))))?;
    control.serve(tell.clone())?;
    let mut members = vec![Member::new("broker", None)];
    members[0].due = Some(Instant::now());
    members.extend(plan.hosts.iter().map(|spec| Member::new(&spec.name, Some(spec))));
    let mut run = Run {
        plan,
        again,
        members,
        leaving: Vec::new(),
        waiting: Vec::new(),
        endpoint: None,
        started: 0,
        stage: Stage::Running,
        kill_at: None,
        has_said_ready: false,
        failure: None,
        tell,
        news,
    };
    run.look_after()
}

impl Run<'_> {
    fn look_after(&mut self) -> Result<Exit, Failed> {
        loop {
            let now = Instant::now();
            self.start_due(now);
            if self.kill_at.is_some_and(|at| at <= now) {
                self.kill(now);
            }
            self.go_on_ending(now);
            if self.stage == Stage::Broker && self.members[0].process.is_none() {
                return self.failure.take().map_or(Ok(Exit::Done), Err);
            }
            let due = self.members.iter().filter_map(|member| member.due).chain(self.kill_at).min();
            let news = match due {
                None => self.news.recv().ok(),
                Some(due) => self.news.recv_timeout(due.saturating_duration_since(now)).ok(),
            };
            match news {
                Some(News::Process(number, Word::Said(line))) => self.said(number, &line)?,
                Some(News::Process(number, Word::Ended(status))) => self.ended(number, status),
                Some(News::Stop(1)) => self.stop(),
                Some(News::Stop(_)) => self.hurry(),
                Some(News::Asked(asked)) => self.asked(asked),
                None => {}
            }
        }
    }

    /// Starts what is to be started. It is the main thread that starts: a process ends with the thread that started it.
    fn start_due(&mut self, now: Instant) {
        for at in 0..self.members.len() {
            if self.members[at].due.is_none_or(|due| due > now) {
                continue;
            }
            self.members[at].due = None;
            let arguments = self.arguments(at);
            match self.start(&arguments) {
                Ok(process) => {
                    let member = &mut self.members[at];
                    log::debug!(target: "run", "{}: process {} begins", member.name, process.id);
                    (member.process, member.ready) = (Some(process), None);
                }
                Err(failed) => self.again_later(at, now, &failed.message),
            }
        }
    }

    fn arguments(&self, at: usize) -> Vec<OsString> {
        let member = &self.members[at];
        match &member.spec {
            Some(spec) => spec.arguments(member.slots),
            None => std::iter::once("broker".into()).chain(self.plan.broker.iter().cloned()).collect(),
        }
    }

    pub(super) fn start(&mut self, arguments: &[OsString]) -> Result<Process, Failed> {
        self.started += 1;
        Process::start(self.started, arguments, self.endpoint.as_deref(), self.tell.clone())
    }

    /// A process has written a line: that it is ready, or something of a plugin's, which is passed on.
    fn said(&mut self, number: u64, line: &str) -> Result<(), Failed> {
        if !says_ready(line) {
            return show::line(line);
        }
        if let Some(at) = self.members.iter().position(|member| member.is(number)) {
            if self.members[at].ready.is_none() {
                self.is_ready(at, line);
            }
        } else if let Some(at) = self.members.iter().position(|member| member.has_heir(number)) {
            self.take_over(at, line);
        }
        let is_ready = self.members.iter().all(|member| member.ready.is_some());
        if is_ready && !self.has_said_ready {
            self.has_said_ready = true;
            let hosts: Vec<&str> =
                self.members[1..].iter().filter_map(|host| host.ready.as_deref()).collect();
            let text =
                format!("ready at {}: {}", self.endpoint.as_deref().unwrap_or_default(), hosts.join("; "));
            notify::ready(&text);
            show::line(text)?;
        }
        Ok(())
    }

    /// The process of a member is ready.
    fn is_ready(&mut self, at: usize, line: &str) {
        let member = &mut self.members[at];
        (member.ready, member.unready) = (Some(line.to_owned()), 0);
        log::info!(target: "run", "{}: {line}", member.name);
        if at > 0 {
            return;
        }
        self.endpoint = line.strip_prefix("listening on ").map(str::to_owned);
        self.set_rules();
        let now = Instant::now();
        for host in &mut self.members[1..] {
            if host.process.is_none() && host.due.is_none() && self.stage == Stage::Running {
                host.due = Some(now);
            }
        }
    }

    /// Tells the broker the rules of queues.
    pub(super) fn set_rules(&self) {
        if self.plan.queues.is_empty() {
            return;
        }
        let settings = || {
            let mut options = Options::new();
            self.plan.client.iter().try_for_each(|(key, value)| options.set(key, value))?;
            options.client_settings()
        };
        let open = settings().and_then(|settings| Client::open(self.endpoint.as_deref(), settings));
        let client = match open {
            Ok(client) => client,
            Err(failure) => return log::error!(target: "run", "the rules of queues are not set: {failure}"),
        };
        for (queue, rules) in &self.plan.queues {
            let mut said = vec![("queue".to_owned(), queue.clone())];
            said.extend(rules.iter().cloned());
            if let Err(failure) = client.admin("queue.set", &said, Some(RULES_PATIENCE)) {
                log::error!(target: "run", "the rules of queue {queue} are not set: {failure}");
            }
        }
    }

    /// A process has ended.
    fn ended(&mut self, number: u64, status: ExitStatus) {
        let now = Instant::now();
        if let Some(at) = self.leaving.iter().position(|process| process.number == number) {
            let process = self.leaving.swap_remove(at);
            if !status.success() {
                log::warn!(target: "run", "process {} was to end and {}", process.id, how(status));
            }
            return;
        }
        if let Some(at) = self.members.iter().position(|member| member.has_heir(number)) {
            let member = &mut self.members[at];
            member.heir = None;
            let why = format!(
                "{}: the new host {} before it was ready; the old one goes on",
                member.name,
                how(status)
            );
            log::error!(target: "run", "{why}");
            return self.settle(number, Err(why));
        }
        let Some(at) = self.members.iter().position(|member| member.is(number)) else { return };
        let member = &mut self.members[at];
        let Some(process) = member.process.take() else { return };
        let was_ready = member.ready.take().is_some();
        if self.stage != Stage::Running {
            if !status.success() {
                log::warn!(target: "run", "{} {}", member.name, how(status));
            }
            return;
        }
        if process.begun.elapsed() >= BACKOFF_MAX {
            member.ends = 0;
        }
        member.unready = if was_ready { 0 } else { member.unready + 1 };
        member.lately.push_back(now);
        member.lately.retain(|at| now.duration_since(*at) < ENDS_WITHIN);
        let why = format!("it {}", how(status));
        let final_exit = [Exit::Usage, Exit::InUse, Exit::Refused].into_iter();
        let exit = final_exit.into_iter().find(|exit| !was_ready && status.code() == Some(*exit as i32));
        let too_often = if exit.is_some() {
            String::new()
        } else if member.unready >= UNREADY_MAX {
            format!(", {UNREADY_MAX} times in a row before it was ready")
        } else if member.lately.len() >= ENDS_MAX {
            format!(", {ENDS_MAX} times within {}", time::show(ENDS_WITHIN))
        } else {
            return self.again_later(at, now, &why);
        };
        let message = format!("{}: {why}{too_often}", member.name);
        log::error!(target: "run", "{message}; everything ends");
        self.failure = Some(Failed::new(exit.unwrap_or(Exit::System), message));
        self.stop();
    }

    /// Starts a member's next process, later each time.
    fn again_later(&mut self, at: usize, now: Instant, why: &str) {
        let member = &mut self.members[at];
        let wait = match member.ends {
            0 => Duration::ZERO,
            ends => BACKOFF.saturating_mul(1 << (ends - 1).min(16)).min(BACKOFF_MAX),
        };
        member.ends += 1;
        member.due = Some(now + wait);
        let when = if wait.is_zero() { "now".to_owned() } else { format!("in {}", time::show(wait)) };
        log::warn!(target: "run", "{}: {why}; started again {when}", member.name);
    }

    /// Sends everybody home, hosts first.
    fn stop(&mut self) {
        if self.stage != Stage::Running {
            return;
        }
        notify::stopping();
        let limit = self.plan.drain.unwrap_or(DRAIN);
        log::info!(target: "run", "draining: what runs has {}", time::show(limit));
        self.stage = Stage::Hosts;
        self.kill_at = Some(Instant::now() + limit + DRAIN_MORE);
        self.members.iter_mut().for_each(|member| member.due = None);
        self.waiting.clear();
        self.hosts().for_each(|process| process.signal(Signal::TERM));
    }

    /// The broker follows when the hosts are gone.
    fn go_on_ending(&mut self, now: Instant) {
        if self.stage != Stage::Hosts || self.hosts().next().is_some() {
            return;
        }
        self.stage = Stage::Broker;
        self.kill_at = Some(now + self.plan.drain.unwrap_or(DRAIN) + DRAIN_MORE);
        if let Some(broker) = &self.members[0].process {
            broker.signal(Signal::TERM);
        }
    }

    /// It was told to stop once more: nobody waits for what runs.
    fn hurry(&mut self) {
        self.stop();
        // A first signal that is still on its way and a second one may be one.
        let broker = self.members[0].process.as_ref().filter(|_| self.stage == Stage::Broker);
        self.hosts().chain(broker).for_each(|process| process.signal(Signal::TERM));
    }

    fn kill(&mut self, now: Instant) {
        let broker = self.members[0].process.as_ref().filter(|_| self.stage == Stage::Broker);
        for process in self.hosts().chain(broker) {
            log::warn!(target: "run", "process {} did not end in time and is killed", process.id);
            process.signal(Signal::KILL);
        }
        self.kill_at = Some(now + DRAIN_MORE);
    }

    /// Every process of a host.
    fn hosts(&self) -> impl Iterator<Item = &Process> {
        let seated = self.members[1..].iter();
        let seated =
            seated.flat_map(|host| host.process.iter().chain(host.heir.as_ref().map(|(heir, ..)| heir)));
        seated.chain(&self.leaving)
    }
}

/// How a process ended, for people.
fn how(status: ExitStatus) -> String {
    crate::cli::worker::how(status)
}
