//! What is changed while it runs: hosts are replaced, begun and ended as somebody asks.
//!
//! Invariant: a host goes when the one in its place is ready, and stays when that does not become so; whoever asked is answered
//! once, when all is settled.

use std::sync::mpsc::Sender;
use std::time::Instant;

use rustix::process::Signal;

use crate::cli::run::control::{Answer, Asked, Request};
use crate::cli::run::host::Spec;
use crate::cli::run::seat::Member;
use crate::cli::run::supervise::{Run, Stage};

/// Somebody who waits for members to be replaced.
pub(super) struct Waiting {
    answer: Sender<Answer>,
    /// Heirs that are not ready.
    heirs: Vec<u64>,
    done: Vec<String>,
    failed: Vec<String>,
}

impl Run<'_> {
    /// The heir of a member is ready: who was there goes.
    pub(super) fn take_over(&mut self, at: usize, line: &str) {
        let member = &mut self.members[at];
        let Some((heir, spec, slots)) = member.heir.take() else { return };
        log::info!(target: "run", "{}: {line}, in the place of those before", member.name);
        let (number, count) =
            (heir.number, |slots: Option<u32>| slots.map_or("all".to_owned(), |n| n.to_string()));
        let done = match member.slots == slots {
            true => format!("{}: replaced", member.name),
            false => {
                format!("{}: {} slots in the place of {}", member.name, count(slots), count(member.slots))
            }
        };
        (member.spec, member.slots, member.ready) = (Some(spec), slots, Some(line.to_owned()));
        (member.ends, member.unready, member.due) = (0, 0, None);
        if let Some(before) = member.process.replace(heir) {
            before.signal(Signal::TERM);
            self.leaving.push(before);
        }
        self.settle(number, Ok(done));
    }

    /// One of those that somebody waits for has come, or will not.
    pub(super) fn settle(&mut self, number: u64, how: Result<String, String>) {
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.heirs.contains(&number)) {
            waiting.heirs.retain(|heir| *heir != number);
            match &how {
                Ok(done) => waiting.done.push(done.clone()),
                Err(why) => waiting.failed.push(why.clone()),
            }
        }
        self.waiting.retain(|waiting| !waiting.tell());
    }

    /// Somebody asks for something.
    pub(super) fn asked(&mut self, Asked { request, answer }: Asked) {
        if self.stage != Stage::Running || !self.has_said_ready {
            let why = if self.stage == Stage::Running { "not all is ready yet" } else { "the run ends" };
            let _ = answer.send(Err(why.to_owned()));
            return;
        }
        let mut waiting = Waiting { answer, heirs: Vec::new(), done: Vec::new(), failed: Vec::new() };
        match request {
            Request::Scale { queue, slots } => self.scale(&queue, slots, &mut waiting),
            Request::Reload => self.reload(&mut waiting),
        }
        if !waiting.tell() {
            self.waiting.push(waiting);
        }
    }

    pub(super) fn scale(&mut self, queue: &str, slots: u32, waiting: &mut Waiting) {
        let found = (1..self.members.len()).find(|at| self.members[*at].serves(queue));
        let Some(at) = found else {
            let known: Vec<&str> = self.members[1..].iter().map(|host| &*host.name).collect();
            waiting.failed.push(format!("no host serves \"{queue}\"; there are {}", known.join(", ")));
            return;
        };
        let Some(spec) = self.members[at].spec.clone() else { return };
        self.replace(at, spec, Some(slots), waiting);
    }

    /// Replaces every host by what the file says now; begins and ends those that came and went.
    pub(super) fn reload(&mut self, waiting: &mut Waiting) {
        let plan = match (self.again)() {
            Ok(plan) => plan,
            Err(failed) => return waiting.failed.push(failed.message),
        };
        if plan.broker != self.plan.broker {
            log::warn!(target: "run", "what is said of the broker has changed; it counts from its next start on");
        }
        let before: Vec<Spec> = std::mem::replace(&mut self.plan, plan).hosts;
        self.set_rules();
        for spec in self.plan.hosts.clone() {
            match self.members.iter().position(|member| member.is_host(&spec.name)) {
                Some(at) => {
                    // What was said by `scale` counts until the file says something else.
                    let said = before.iter().find(|known| known.name == spec.name).map(|known| known.slots);
                    let slots = if said == Some(spec.slots) { self.members[at].slots } else { spec.slots };
                    self.replace(at, spec, slots, waiting);
                }
                None => {
                    let mut member = Member::new(&spec.name, Some(&spec));
                    member.due = Some(Instant::now());
                    waiting.done.push(format!("{}: begins", spec.name));
                    self.members.push(member);
                }
            }
        }
        for member in &mut self.members[1..] {
            if !self.plan.hosts.iter().any(|spec| spec.name == member.name) {
                waiting.done.push(format!("{}: ends", member.name));
                member.is_going = true;
                let heir = member.heir.take().map(|(heir, ..)| heir);
                for process in member.process.take().into_iter().chain(heir) {
                    process.signal(Signal::TERM);
                    self.leaving.push(process);
                }
            }
        }
        self.members.retain(|member| !member.is_going);
    }

    /// Starts a member's heir.
    pub(super) fn replace(&mut self, at: usize, spec: Spec, slots: Option<u32>, waiting: &mut Waiting) {
        let name = self.members[at].name.clone();
        if self.members[at].heir.is_some() {
            return waiting.failed.push(format!("{name} is being replaced already; try again"));
        }
        match self.start(&spec.arguments(slots)) {
            Ok(heir) => {
                waiting.heirs.push(heir.number);
                self.members[at].heir = Some((heir, spec, slots));
            }
            Err(failed) => waiting.failed.push(format!("{name}: {}", failed.message)),
        }
    }
}

impl Waiting {
    /// Answers, if there is nothing more to wait for. Whether it did.
    fn tell(&self) -> bool {
        if !self.heirs.is_empty() {
            return false;
        }
        let answer = if self.failed.is_empty() { Ok(self.done.clone()) } else { Err(self.failed.join("; ")) };
        let _ = self.answer.send(answer);
        true
    }
}
