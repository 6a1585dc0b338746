//! A double of the jobs side that behaves as a replicated one may: replies come late and in any order, some say that
//! nobody knows, events come late. It uses every freedom the seam's contract gives, and no other: what is said about
//! one lease stays in order, and a call answered `Unknown` was carried out or was not.

use std::collections::{BTreeMap, BTreeSet};

use forebay::core::job_table::{JobTable, TableConfig};
use forebay::core::jobs::{
    Admin, Allowance, Answer, Asker, Caps, Class, End, Event, Io, IoDone, Jobs, Tag, Word, WorkerId,
};
use forebay::model::{JobId, Lease, Now, QueueName, Submission};
use forebay::store::journal::Recovered;
use forebay::wire::command::Presented;

use crate::random::Random;

/// A jobs side the simulation can make and look into.
pub(crate) trait SimJobs: Jobs<Io = Io, Done = IoDone> {
    fn make(config: TableConfig, seed: u64) -> Self;
    /// Takes what a store kept, before anything else.
    fn recover(&mut self, now: Now, recovered: Recovered);
    fn table(&self) -> &JobTable;
    /// Whether nothing is held back.
    fn is_settled(&self) -> bool;
    /// Calls answered `Unknown`.
    fn unknowns(&self) -> u64;
}

impl SimJobs for JobTable {
    fn make(config: TableConfig, _seed: u64) -> Self {
        JobTable::new(config)
    }

    fn recover(&mut self, now: Now, recovered: Recovered) {
        self.recover(now, recovered.into_records());
    }

    fn table(&self) -> &JobTable {
        self
    }

    fn is_settled(&self) -> bool {
        true
    }

    fn unknowns(&self) -> u64 {
        0
    }
}

/// How long a reply or an event is held back at most.
const DELAY_US_MAX: u64 = 40_000;
/// Calls answered `Unknown`, in a thousand.
const UNKNOWN_PER_MILLE: u64 = 60;

/// The double. See the module's text.
#[derive(Debug)]
pub(crate) struct DelayedJobs<J> {
    inner: J,
    random: Random,
    held: BTreeMap<(u64, u64), Event>,
    next: u64,
    /// Events that are no replies leave in order: the last leaves then.
    last_us: u64,
    now_us: u64,
    /// Carried out, but the reply is lost on its way.
    swallowed: BTreeSet<Tag>,
    unknowns: u64,
}

impl<J: SimJobs> DelayedJobs<J> {
    /// Whether to carry the call out. A call that is not, and some that are, are answered `Unknown`.
    fn carries_out(&mut self, now: Now, tag: Tag) -> bool {
        self.now_us = now.us;
        if !self.random.chance(UNKNOWN_PER_MILLE) {
            return true;
        }
        self.unknowns += 1;
        if self.random.chance(500) {
            self.swallowed.insert(tag);
            return true;
        }
        self.hold(Event::Reply { tag, answer: Answer::Unknown });
        false
    }

    fn hold(&mut self, event: Event) {
        let mut due_us = self.now_us + self.random.below(DELAY_US_MAX);
        let is_ordered =
            !matches!(&event, Event::Reply { answer, .. } if !matches!(answer, Answer::Adopted(_)));
        if is_ordered {
            due_us = due_us.max(self.last_us);
            self.last_us = due_us;
        }
        self.held.insert((due_us, self.next), event);
        self.next += 1;
    }

    fn take_in(&mut self) {
        while let Some(event) = self.inner.poll() {
            match event {
                Event::Reply { tag, .. } if self.swallowed.remove(&tag) => {
                    self.hold(Event::Reply { tag, answer: Answer::Unknown });
                }
                event => self.hold(event),
            }
        }
    }
}

impl<J: SimJobs> SimJobs for DelayedJobs<J> {
    fn make(config: TableConfig, seed: u64) -> Self {
        DelayedJobs {
            inner: J::make(config, seed),
            random: Random::of(seed, 77),
            held: BTreeMap::new(),
            next: 0,
            last_us: 0,
            now_us: 0,
            swallowed: BTreeSet::new(),
            unknowns: 0,
        }
    }

    fn recover(&mut self, now: Now, recovered: Recovered) {
        self.inner.recover(now, recovered);
    }

    fn table(&self) -> &JobTable {
        self.inner.table()
    }

    fn is_settled(&self) -> bool {
        self.held.is_empty()
    }

    fn unknowns(&self) -> u64 {
        self.unknowns
    }
}

impl<J: SimJobs> Jobs for DelayedJobs<J> {
    type Io = Io;
    type Done = IoDone;

    fn submit(&mut self, now: Now, tag: Tag, asker: &Asker, job: Submission) {
        if self.carries_out(now, tag) {
            self.inner.submit(now, tag, asker, job);
        }
    }

    fn arrive(&mut self, now: Now, worker: WorkerId, name: &str) {
        self.now_us = now.us;
        self.inner.arrive(now, worker, name);
    }

    fn take(&mut self, now: Now, worker: WorkerId, class: &Class) {
        self.now_us = now.us;
        self.inner.take(now, worker, class);
    }

    fn give_up(&mut self, now: Now, worker: WorkerId, queue: &QueueName) {
        self.now_us = now.us;
        self.inner.give_up(now, worker, queue);
    }

    fn demand(&mut self, now: Now, worker: WorkerId, allowance: Allowance) {
        self.now_us = now.us;
        self.inner.demand(now, worker, allowance);
    }

    fn leave(&mut self, now: Now, worker: WorkerId) {
        self.now_us = now.us;
        self.inner.leave(now, worker);
    }

    fn present(&mut self, now: Now, tag: Tag, worker: WorkerId, held: &Presented) {
        if self.carries_out(now, tag) {
            self.inner.present(now, tag, worker, held);
        }
    }

    fn start(&mut self, now: Now, lease: Lease) {
        self.now_us = now.us;
        self.inner.start(now, lease);
    }

    fn extend(&mut self, now: Now, worker: WorkerId, leases: &[Lease]) {
        self.now_us = now.us;
        self.inner.extend(now, worker, leases);
    }

    fn say(&mut self, now: Now, lease: Lease, word: Word) {
        self.now_us = now.us;
        self.inner.say(now, lease, word);
    }

    fn finish(&mut self, now: Now, tag: Tag, lease: Lease, end: End) {
        if self.carries_out(now, tag) {
            self.inner.finish(now, tag, lease, end);
        }
    }

    fn cancel(&mut self, now: Now, tag: Tag, id: JobId, by: &Asker, own: bool, reason: &str) {
        if self.carries_out(now, tag) {
            self.inner.cancel(now, tag, id, by, own, reason);
        }
    }

    fn get(&mut self, now: Now, tag: Tag, id: JobId, by: &Asker) {
        if self.carries_out(now, tag) {
            self.inner.get(now, tag, id, by);
        }
    }

    fn forget(&mut self, now: Now, tag: Tag, id: JobId, by: &Asker) {
        if self.carries_out(now, tag) {
            self.inner.forget(now, tag, id, by);
        }
    }

    fn watch(&mut self, now: Now, who: &Asker, on: bool) {
        self.now_us = now.us;
        self.inner.watch(now, who, on);
    }

    fn admin(&mut self, now: Now, tag: Tag, what: &Admin) {
        if self.carries_out(now, tag) {
            self.inner.admin(now, tag, what);
        }
    }

    fn poll(&mut self) -> Option<Event> {
        self.take_in();
        let due = self.held.first_key_value().is_some_and(|(&(due_us, _), _)| due_us <= self.now_us);
        due.then(|| self.held.pop_first()).flatten().map(|(_, event)| event)
    }

    fn poll_io(&mut self) -> Option<Io> {
        self.inner.poll_io()
    }

    fn io_done(&mut self, now: Now, done: IoDone) {
        self.now_us = now.us;
        self.inner.io_done(now, done);
    }

    fn tick(&mut self, now: Now) {
        self.now_us = now.us;
        self.inner.tick(now);
    }

    fn next_timeout(&self) -> Option<u64> {
        let held_us = self.held.first_key_value().map(|(&(due_us, _), _)| due_us);
        self.inner.next_timeout().into_iter().chain(held_us).min()
    }

    fn caps(&self) -> Caps {
        Caps { unknown: true, ..self.inner.caps() }
    }
}
