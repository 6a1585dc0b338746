//! A worker of a run: the real link and core, and benches at which attempts take virtual time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use forebay::core::session::PeerEvent;
use forebay::core::worker::{Answer, JobKey, WorkerConfig, WorkerCore, WorkerEvent};
use forebay::link::Peer;
use forebay::model::{Completion, Headers, JobId, Meta, Stop};
use forebay::wire::command::Grant;

use crate::client::Around;
use crate::judge::{Judge, rule};
use crate::plan::{MS, Plan, SECOND};
use crate::random::Random;
use crate::work::{Act, Ending, Word, body, numbers};

/// An attempt at a bench.
#[derive(Debug)]
struct Exec {
    id: JobId,
    key: JobKey,
    number: u64,
    act: Act,
    began_us: u64,
    ends_us: u64,
    said: usize,
    stop: Option<Stop>,
}

/// A worker's process.
pub(crate) struct Worker {
    pub(crate) core: WorkerCore,
    slots: u32,
    queues: Vec<u64>,
    ready: VecDeque<(JobKey, Box<Grant>, [u8; 16])>,
    benches: BTreeMap<u64, Exec>,
    /// Nobody receives before then.
    idle_until_us: u64,
    pub(crate) is_leaving: bool,
}

impl Worker {
    pub(crate) fn new(now: forebay::model::Now, plan: &Plan, random: &mut Random) -> Self {
        let config = WorkerConfig {
            prefetch: random.pick(&[None, Some(0), Some(1), Some(3)]),
            unacked_bytes: random.pick(&[10_000, 64 << 20]),
            broker_gone_ms: 0,
        };
        let slots = random.between(1, plan.slots_max) as u32;
        let mut core = WorkerCore::new(now, config);
        let mut queues: Vec<u64> = (0..plan.queues).filter(|_| random.chance(700)).collect();
        if queues.is_empty() {
            queues.push(random.below(plan.queues));
        }
        for queue in &queues {
            let limit = if random.chance(200) { random.between(1, u64::from(slots)) as u32 } else { 0 };
            core.register(&queue_text(*queue), limit, random.between(1, 3) as u32);
        }
        core.receiving(slots);
        Worker {
            core,
            slots,
            queues,
            ready: VecDeque::new(),
            benches: BTreeMap::new(),
            idle_until_us: 0,
            is_leaving: false,
        }
    }

    /// Every queue, so that in the end every job is served.
    pub(crate) fn register_all(&mut self, plan: &Plan) {
        for queue in 0..plan.queues {
            self.core.register(&queue_text(queue), 0, 1);
        }
        self.idle_until_us = 0;
    }

    pub(crate) fn change_queues(&mut self, random: &mut Random) {
        let queue = random.pick(&self.queues);
        if random.chance(500) {
            self.core.unregister(&queue_text(queue));
        } else {
            self.core.register(&queue_text(queue), 0, 1);
        }
    }

    /// The application does something else for a while and does not receive.
    pub(crate) fn look_away(&mut self, until_us: u64) {
        self.idle_until_us = until_us;
    }

    pub(crate) fn leave(&mut self) {
        self.is_leaving = true;
        self.core.drain();
    }

    /// Everything that is ready passes between link, core and application.
    pub(crate) fn settle(
        &mut self,
        around: &mut Around<'_>,
        link: &mut Peer,
        judge: &mut Judge,
        plan: &Plan,
        execs: &mut u64,
    ) {
        loop {
            let mut is_quiet = true;
            while let Some(event) = link.poll_event() {
                is_quiet = false;
                match event {
                    PeerEvent::BeatDue => link.beat(around.now, &self.core.leases()),
                    event => self.core.handle(around.now, event),
                }
            }
            while let Some(event) = self.core.poll_event() {
                is_quiet = false;
                self.hear(around, event);
            }
            while self.receives(around, judge, plan, execs) {
                is_quiet = false;
            }
            while let Some(command) = self.core.poll_command() {
                is_quiet = false;
                let number = link.send(command);
                self.core.sent(number);
            }
            if is_quiet {
                return;
            }
        }
    }

    fn hear(&mut self, around: &mut Around<'_>, event: WorkerEvent) {
        match event {
            WorkerEvent::Granted { key, grant } => {
                let broker =
                    self.core.terms().map(|terms| terms.broker).expect("who grants has said who it is");
                self.ready.push_back((key, grant, broker));
            }
            WorkerEvent::Withdraw(key) => {
                if let Some(at) = self.ready.iter().position(|(ready, ..)| *ready == key) {
                    self.ready.remove(at);
                    self.core.withdrawn(key);
                    around.tally.one("worker: withdrawn");
                }
            }
            WorkerEvent::Stop { key, why } => {
                around.tally.one(&format!("worker: stop {}", why.0));
                let Some(exec) = self.benches.values_mut().find(|exec| exec.key == key) else { return };
                exec.stop = Some(Stop(exec.stop.unwrap_or_default().0 | why.0));
                if exec.act.obeys {
                    exec.ends_us = exec.ends_us.min(around.now.us + 5 * MS);
                }
            }
            WorkerEvent::Hint { hint, .. } => around.tally.one(&format!("worker: hint {}", hint.0)),
            WorkerEvent::Freed { .. } | WorkerEvent::PartialTaken { .. } => {}
            WorkerEvent::RegisterRefused { queue, failure } => {
                panic!("broken: queue {queue} was refused to a worker: {failure}")
            }
            WorkerEvent::Draining => around.tally.one("worker: draining"),
            WorkerEvent::BrokerGone => {}
            WorkerEvent::Refused(failure) => panic!("broken: a worker was refused: {failure}"),
        }
    }

    /// A free bench receives a job.
    fn receives(&mut self, around: &mut Around<'_>, judge: &mut Judge, plan: &Plan, execs: &mut u64) -> bool {
        if self.benches.len() >= self.slots as usize || around.now.us < self.idle_until_us {
            return false;
        }
        self.core.receiving(self.slots);
        let Some((key, grant, broker)) = self.ready.pop_front() else { return false };
        *execs += 1;
        let exec = *execs;
        let (number, _) = numbers(&grant.body).unwrap_or_default();
        let mut random = Random::of(plan.seed ^ number.rotate_left(32), exec);
        let act = Act::draw(plan, &mut random);
        around.tally.one("attempts begun");
        around.trace.tell(
            around.now.us,
            format_args!("worker {} begins job {number}, attempt {} here {exec}", around.who, grant.attempt),
        );
        let now_us = around.now.us;
        // Time on the way is not the broker's to count.
        let late = grant.time_left_ms.is_some_and(|ms| ms == 0);
        around.tally.add("worker: no time left at the grant", u64::from(late));
        judge.begins(exec, broker, grant.lease);
        self.core.started(around.now, key);
        self.benches.insert(
            exec,
            Exec {
                id: grant.id,
                key,
                number,
                ends_us: now_us + act.takes_us,
                act,
                began_us: now_us,
                said: 0,
                stop: None,
            },
        );
        true
    }

    /// What is due at the benches.
    pub(crate) fn work(&mut self, around: &mut Around<'_>) {
        let numbers: Vec<u64> = self.benches.keys().copied().collect();
        for number in numbers {
            self.speak(around, number);
            let Some(exec) = self.benches.get(&number) else { continue };
            if exec.ends_us <= around.now.us {
                self.end(around, number);
            }
        }
    }

    fn speak(&mut self, around: &mut Around<'_>, number: u64) {
        while let Some(exec) = self.benches.get_mut(&number) {
            let Some((at_us, word)) = exec.act.words.get(exec.said).cloned() else { return };
            if exec.began_us + at_us > around.now.us {
                return;
            }
            exec.said += 1;
            let (key, job) = (exec.key, exec.number);
            match word {
                Word::Progress(fraction) => self.core.progress(key, fraction, "on the way".to_owned()),
                Word::Partial => self.core.partial(key, body(job, number, 100)),
            }
        }
    }

    fn end(&mut self, around: &mut Around<'_>, number: u64) {
        let Some(exec) = self.benches.remove(&number) else { return };
        around.trace.tell(
            around.now.us,
            format_args!("worker {} ends job {} here {number}: {:?}", around.who, exec.number, exec.stop),
        );
        let (answer, len) = match exec.act.ending {
            Ending::Done { len } => {
                around.tally.one("worker: done");
                let headers = Headers(vec![("by".into(), bytes::Bytes::from_static(b"bench"))]);
                (
                    Answer::Done(Arc::new(Completion {
                        body: body(exec.number, number, len),
                        headers,
                        meta: Meta::default(),
                    })),
                    len,
                )
            }
            Ending::Failed(fault) => {
                around.tally.one("worker: failed");
                (Answer::Failed(Arc::new(fault)), 0)
            }
            Ending::Released { delay_ms } => {
                around.tally.one("worker: released");
                (Answer::Released { delay_ms }, 0)
            }
        };
        let run_us = around.now.us - exec.began_us;
        self.core.answer(around.now, exec.key, answer, len as u64, run_us);
    }

    /// When something is due at a bench.
    pub(crate) fn next_us(&self, now_us: u64) -> Option<u64> {
        let receive_us = (self.idle_until_us > now_us).then_some(self.idle_until_us);
        let of_exec = |exec: &Exec| {
            let word_us = exec.act.words.get(exec.said).map(|(at_us, _)| exec.began_us + at_us);
            word_us.into_iter().chain([exec.ends_us]).min()
        };
        self.benches.values().filter_map(of_exec).chain(receive_us).min()
    }

    /// It has left: nothing is at a bench and nothing is owed.
    pub(crate) fn may_go(&self) -> bool {
        self.is_leaving && self.benches.is_empty() && self.ready.is_empty() && self.core.is_idle()
    }

    /// What it still has to do.
    pub(crate) fn is_busy(&self) -> Option<String> {
        let exec =
            self.benches.iter().next().map(|(number, exec)| format!("attempt {number} of {}", exec.id));
        let ready = (!self.ready.is_empty()).then(|| format!("{} jobs not received", self.ready.len()));
        let owed = (!self.core.is_idle()).then(|| "its core is not idle".to_owned());
        exec.or(ready).or(owed)
    }

    /// Between two steps.
    pub(crate) fn check(&self) {
        rule!(self.benches.len() <= self.slots as usize, "more jobs than slots");
        let longest_us = self.benches.values().map(|exec| exec.act.takes_us).max().unwrap_or(0);
        rule!(longest_us < 20 * SECOND, "an attempt that never ends");
    }
}

fn queue_text(queue: u64) -> String {
    format!("queue-{queue}")
}
