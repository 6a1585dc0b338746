//! A made-up broker that writes records as a real one would.

pub(crate) mod cut;
pub(crate) mod flip;
pub(crate) mod state;

use bytes::Bytes;
use forebay::core::record::{AttemptError, Buried, Collected, Handed, QueueKept, Record};
use forebay::model::{
    Body, Headers, InStage, JobId, JobOptions, JobRules, Meta, Outcome, Owner, QueueName, Submission, Verdict,
};

pub(crate) use state::State;

/// The broker.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) random: u64,
    pub(crate) sequence: u64,
    /// Fewer jobs end, so that more is kept.
    pub(crate) keeps_more: bool,
    /// How much longer payloads are than usual.
    pub(crate) scale: u64,
}

const WALL_MS: u64 = 1_750_000_000_000;

impl World {
    pub(crate) fn new(seed: u64) -> World {
        World { state: State::default(), random: seed, sequence: 1, keeps_more: false, scale: 1 }
    }

    /// splitmix64 (Steele, Lea, Flood 2014).
    pub(crate) fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Some things happen; their records, in order.
    pub(crate) fn batch(&mut self) -> Vec<Record> {
        (0..1 + self.below(6)).map(|_| self.record()).collect()
    }

    fn record(&mut self) -> Record {
        let record = match self.below(if self.keeps_more { 4 } else { 8 }) {
            0 | 1 => self.submit(),
            2 if self.below(8) == 0 => self.set_queue(),
            _ => self.go_on(),
        };
        self.state.apply(&record);
        record
    }

    fn submit(&mut self) -> Record {
        let sequence = self.sequence;
        self.sequence += 1;
        let n = self.next();
        let mut random = [0; 10];
        random[..8].copy_from_slice(&n.to_be_bytes());
        let long = self.below(12) == 0;
        let len = (self.scale * self.below(if long { 6_000 } else { 900 })) as usize;
        let job = Submission {
            headers: Headers(vec![("trace".into(), Bytes::from(sequence.to_string()))]),
            content: (n & 6 == 0).then(|| n.to_be_bytes().to_vec()),
            wants_progress: n & 8 == 0,
            is_patient: true,
            stage: n.is_multiple_of(5).then(|| Box::new(in_stage(n))),
            ..Submission::new(
                JobId::new(WALL_MS + sequence, random),
                QueueName::new(if n & 1 == 0 { "a" } else { "b" }).expect("it is valid"),
                Body::from(vec![Bytes::from(n.to_be_bytes().repeat(len / 8)), Bytes::from_static(b"tail")]),
            )
        };
        let owner = Owner { user: format!("uid:{}", n % 3), name: String::new() };
        let rules = JobRules { priority: 1 + (n % 8) as u32, ..JobRules::default() };
        let wall_ms = WALL_MS + sequence;
        Record::Submitted {
            owner: owner.into(),
            job: job.into(),
            rules: rules.into(),
            wall_ms,
            sequence,
            stored_len: 0,
        }
    }

    fn set_queue(&mut self) -> Record {
        let options = JobOptions { attempts: Some(self.below(9) as u32), ..JobOptions::default() };
        let queue = QueueName::new("a").expect("it is valid");
        let (paused, draining) = (self.below(2) == 0, self.below(2) == 0);
        // Both versions of the record.
        let handed = Handed { report_ms: draining.then_some(5_000), ..Handed::default() };
        Record::QueueSet(QueueKept { queue, options, paused, draining, handed }.into())
    }

    /// One of the jobs takes its next step. Old ones are taken more often, but not always: some stay for ever.
    fn go_on(&mut self) -> Record {
        let jobs: Vec<JobId> = self.state.jobs.keys().copied().collect();
        if jobs.is_empty() {
            return self.submit();
        }
        let pick = self.below(jobs.len() as u64).min(self.below(jobs.len() as u64)) as usize;
        let job = self.state.jobs[&jobs[pick]].clone();
        let (id, wall_ms, token) = (jobs[pick], WALL_MS + self.sequence, 1 << 40 | self.sequence);
        if job.sequence.is_multiple_of(17) && job.ended.is_none() {
            return Record::Leased { id, token };
        }
        let standing = &job.standing;
        if let Some((verdict, _)) = &job.ended
            && verdict.outcome == Outcome::Quarantined
            && verdict.meta.len() == 1
            && self.below(2) == 0
        {
            // An operator requeued it.
            let mut verdict = Verdict::clone(verdict);
            verdict.meta.push(Verdict::REQUEUED_AS, &id.to_string());
            return Record::Ended { id, verdict: verdict.into(), wall_ms };
        }
        if job.ended.is_none() && job.sequence.is_multiple_of(7) && standing.parent.is_none() {
            return Record::Child { id, parent: JobId::new(WALL_MS, [7; 10]) };
        }
        if job.job.stage.is_some() && job.ended.is_none() && standing.closed.is_empty() {
            // Of a run it would be; to the store a job is a job.
            return Record::StageClosed { id, step: self.below(300) as u32 };
        }
        if job.job.stage.is_some() && job.ended.is_none() && standing.context.is_none() {
            return Record::Context { id, context: vec![3; self.below(90) as usize].into() };
        }
        if job.job.stage.is_some()
            && job.ended.is_some()
            && standing.collected.is_none()
            && self.below(2) == 0
        {
            let data = vec![7; self.below(90) as usize];
            return Record::Collected {
                id,
                collected: Collected { name: "c".into(), number: 1, data }.into(),
            };
        }
        if let Some((verdict, _)) = job.ended {
            return match &job.job.content {
                Some(content) => Record::Buried(
                    Buried {
                        id,
                        owner: job.owner,
                        content: content.clone(),
                        outcome: verdict.outcome,
                        attempt: verdict.attempt,
                    }
                    .into(),
                ),
                None => Record::Forgotten { id },
            };
        }
        if !standing.held {
            return Record::Leased { id, token };
        }
        if !standing.begun {
            let attempt = standing.attempts + 1;
            return Record::Started { id, token: standing.token, attempt, worker: "w-1".into(), wall_ms };
        }
        if self.below(4) == 0 {
            return Record::Requeued {
                id,
                token: 0,
                attempts: standing.attempts,
                losses: standing.losses,
                releases: standing.releases + 1,
                suspect: false,
                not_before_wall_ms: wall_ms + 5,
                wall_ms,
                how: "released".into(),
                error: AttemptError::new("bad", "it went wrong"),
            };
        }
        let outcomes = [Outcome::Done, Outcome::Done, Outcome::Failed, Outcome::Quarantined];
        let outcome = outcomes[self.below(4) as usize];
        let result_len = self.below(400) as usize;
        let verdict = Verdict {
            outcome,
            attempt: standing.attempts,
            body: Body::one(vec![wall_ms as u8; result_len]),
            headers: Headers::default(),
            code: String::new(),
            message: "so it is".into(),
            detail: String::new(),
            meta: Meta::from_iter([("worker", "w-1")]),
        };
        Record::Ended { id, verdict: verdict.into(), wall_ms }
    }
}

fn in_stage(n: u64) -> InStage {
    InStage { run: JobId::new(WALL_MS, [5; 10]), step: "many".into(), place: n >> 8, in_its_queue: false }
}
