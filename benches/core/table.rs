//! A table with its workers, under a load that neither grows nor shrinks: a worker takes the next job, does it, and its
//! client submits another.
//!
//! Invariant: every job that was submitted is granted once, ends once, and is forgotten.

use std::sync::Arc;

use bytes::Bytes;
use forebay::core::job_table::{JobTable, TableConfig};
use forebay::core::jobs::{Allowance, Answer, Asker, Class, End, Event, Jobs, SessionId, WorkerId};
use forebay::model::{Body, JobId, Lease, Now, Owner, QueueName, Submission};

/// Time between two jobs.
const STEP_US: u64 = 10;

pub(crate) struct Table {
    table: JobTable,
    now: Now,
    asker: Asker,
    queues: Vec<QueueName>,
    /// How much each worker was allowed so far.
    allowed: Vec<u64>,
    submitted: u64,
    tag: u64,
    turn: usize,
}

impl Table {
    /// With so many jobs waiting, spread over the queues; each worker takes its share of them, at least one.
    pub(crate) fn new(waiting: usize, workers: usize, queues: usize) -> Table {
        let owner = Arc::new(Owner { user: "uid:1000".into(), name: "web".into() });
        let name = |number| QueueName::new(&format!("queue-{number}")).expect("it is valid");
        let config = TableConfig { memory_max: u64::MAX, ..TableConfig::default() };
        let queues: Vec<QueueName> = (0..queues).map(name).collect();
        let mut table = Table {
            table: JobTable::new(config),
            now: Now { us: 1, wall_ms: 1_750_000_000_000 },
            asker: Asker { owner, session: SessionId(1) },
            allowed: vec![0; workers],
            queues,
            submitted: 0,
            tag: 0,
            turn: 0,
        };
        table.table.watch(table.now, &table.asker, true);
        for worker in 0..workers {
            let id = WorkerId(worker as u64);
            table.table.arrive(table.now, id, "worker");
            for queue in table.queues.iter().skip(worker % table.queues.len()).step_by(workers) {
                let class = Class { queue: queue.clone(), slots: 0, weight: 1 };
                table.table.take(table.now, id, &class);
            }
        }
        (0..waiting).for_each(|_| table.submit());
        (0..workers).for_each(|worker| table.allow(worker, 0));
        while table.table.poll().is_some() {}
        table
    }

    /// Runs so many jobs.
    pub(crate) fn run(&mut self, jobs: usize) {
        for _ in 0..jobs {
            self.submit();
            self.allow(self.turn % self.allowed.len(), 1);
            self.turn += 1;
            let (lease, id) = self.granted();
            self.table.start(self.now, lease);
            self.tag += 1;
            self.table.finish(self.now, self.tag, lease, End::Done(Arc::new(Body::one(Bytes::new()).into())));
            self.ended(id);
            self.tag += 1;
            self.table.forget(self.now, self.tag, id, &self.asker);
            while self.table.poll().is_some() {}
            self.now.us += STEP_US;
            if self.table.next_timeout().is_some_and(|due_us| due_us <= self.now.us) {
                self.table.tick(self.now);
            }
        }
    }

    fn submit(&mut self) {
        self.submitted += 1;
        self.tag += 1;
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.submitted.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        let job = Submission {
            is_patient: true,
            ..Submission::new(
                JobId::new(self.now.wall_ms + self.submitted / 100, random),
                self.queues[self.submitted as usize % self.queues.len()].clone(),
                Body::one(Bytes::new()),
            )
        };
        self.table.submit(self.now, self.tag, &self.asker, job);
    }

    /// Allows a worker so many jobs more.
    fn allow(&mut self, worker: usize, jobs: u64) {
        self.allowed[worker] += jobs;
        let allowance = Allowance { jobs: self.allowed[worker], bytes: 0 };
        self.table.demand(self.now, WorkerId(worker as u64), allowance);
    }

    fn granted(&mut self) -> (Lease, JobId) {
        loop {
            match self.table.poll().expect("a job waits and a worker has room") {
                Event::Grant { grant, .. } => return (grant.lease, grant.id),
                Event::Reply { answer, .. } => assert_eq!(answer, Answer::Done),
                _ => {}
            }
        }
    }

    fn ended(&mut self, wanted: JobId) {
        loop {
            match self.table.poll().expect("a job that is done has ended") {
                Event::Ended { id, .. } => return assert_eq!(id, wanted),
                Event::Reply { answer, .. } => assert_eq!(answer, Answer::Done),
                _ => {}
            }
        }
    }
}
