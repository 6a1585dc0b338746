//! The jobs of a run: what a client submits, and what a worker makes of each attempt. Both follow from the seed.

use bytes::Bytes;
use forebay::model::{Body, Headers, JobId, JobOptions, Level, QueueName, ReplyMode, Submission};
use forebay::wire::command::{Fault, Retry};

use crate::plan::{MS, PAYLOAD_MAX, Plan, RESULT_TTL_MS, SECOND};
use crate::random::Random;

/// A job as its client will submit it.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) number: u64,
    pub(crate) id: JobId,
    pub(crate) queue: u64,
    pub(crate) options: JobOptions,
    pub(crate) reply: ReplyMode,
    /// Its id is the application's.
    pub(crate) named: bool,
    pub(crate) len: usize,
    pub(crate) wants_words: bool,
}

impl Job {
    /// Draws one. `wall_ms` goes into its id.
    pub(crate) fn draw(plan: &Plan, number: u64, wall_ms: u64, random: &mut Random) -> Job {
        let mut options = JobOptions { result_ttl_ms: Some(RESULT_TTL_MS), ..JobOptions::default() };
        let mut may = |per_mille: u64, low: u64, high: u64| {
            let value = random.between(low, high);
            random.chance(per_mille).then_some(value)
        };
        options.priority = may(300, 1, 8).map(|priority| priority as u32);
        options.delay_ms = may(150, 1, 3_000);
        options.queue_ms = may(150, 50, 10_000);
        options.run_ms = may(250, 100, 4_000).or(Some(20_000));
        options.soft_ms = may(100, 50, 1_000);
        options.stall_ms = may(100, 200, 3_000);
        options.deadline_ms = may(150, 100, 15_000);
        options.attempts = may(500, 1, 4).map(|attempts| attempts as u32);
        options.backoff_ms = may(700, 10, 800).or(Some(500));
        options.backoff_ms_max = Some(2_000);
        options.releases = may(200, 0, 3).map(|releases| releases as u32);
        options.level = match may(350, 0, 1) {
            Some(1) if plan.durable => Some(Level::Durable),
            Some(_) => Some(Level::Volatile),
            None => None,
        };
        if plan.keys > 0 {
            // Drawn apart, so that the others of the seed stay what they are.
            let mut random = Random::of(plan.seed, 1_000 + number);
            let key = random.chance(250).then(|| random.below(plan.keys));
            options.serial_key = key.map(|key| format!("key-{key}").into());
            options.serial_jobs = key.filter(|key| *key == 1).map(|_| 2);
        }
        let large = plan.large && random.chance(20);
        Job {
            number,
            id: JobId::new(wall_ms, random.bytes()),
            queue: random.below(plan.queues),
            options,
            reply: random.pick(&[
                ReplyMode::Push,
                ReplyMode::Push,
                ReplyMode::Push,
                ReplyMode::Keep,
                ReplyMode::None,
            ]),
            named: plan.named_ids && random.chance(400),
            len: if large {
                random.between(1 << 20, PAYLOAD_MAX) as usize
            } else {
                random.pick(&[16, 16, 40, 900, 5_000])
            },
            wants_words: random.chance(400),
        }
    }

    /// As it goes to the broker, the first time. `other`: with other content under the same id.
    pub(crate) fn submission(&self, other: bool) -> Submission {
        Submission {
            headers: Headers(vec![("n".into(), Bytes::copy_from_slice(&self.number.to_le_bytes()))]),
            options: self.options.clone(),
            reply: self.reply,
            content: self.named.then(|| vec![1, u8::from(other)]),
            wants_progress: self.wants_words,
            wants_partial: self.wants_words,
            ..Submission::new(self.id, queue_name(self.queue), body(self.number, u64::from(other), self.len))
        }
    }
}

pub(crate) fn queue_name(queue: u64) -> QueueName {
    QueueName::new(&format!("queue-{queue}")).expect("a valid name")
}

/// Bytes that begin with two numbers.
pub(crate) fn body(first: u64, second: u64, len: usize) -> Body {
    let mut bytes = Vec::with_capacity(len.max(16));
    bytes.extend_from_slice(&first.to_le_bytes());
    bytes.extend_from_slice(&second.to_le_bytes());
    bytes.resize(len.max(16), 0xab);
    Body::one(bytes)
}

/// The two numbers a body begins with; `None` for a body nobody here has made.
pub(crate) fn numbers(body: &Body) -> Option<(u64, u64)> {
    let frame = body.0.first()?;
    let number = |at: usize| Some(u64::from_le_bytes(frame.get(at..at + 8)?.try_into().ok()?));
    Some((number(0)?, number(8)?))
}

/// What a worker does in the middle of an attempt.
#[derive(Clone, Debug)]
pub(crate) enum Word {
    Progress(f64),
    Partial,
}

/// How an attempt ends, if nobody stops it.
#[derive(Clone, Debug)]
pub(crate) enum Ending {
    Done { len: usize },
    Failed(Fault),
    Released { delay_ms: u64 },
}

/// One attempt, from the worker's side.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    pub(crate) takes_us: u64,
    /// When it speaks, counted from its start.
    pub(crate) words: Vec<(u64, Word)>,
    pub(crate) ending: Ending,
    /// It stops when it is told to.
    pub(crate) obeys: bool,
}

impl Act {
    pub(crate) fn draw(plan: &Plan, random: &mut Random) -> Act {
        let takes_us = match random.below(20) {
            0 => random.between(SECOND, 9 * SECOND),
            1..=4 => random.below(2 * MS),
            _ => random.below(plan.work_us_max),
        };
        let mut words = Vec::new();
        for _ in 0..random.pick(&[0, 0, 0, 2, 6]) {
            let word = if random.chance(500) {
                Word::Progress(random.below(100) as f64 / 100.0)
            } else {
                Word::Partial
            };
            words.push((random.below(takes_us.max(1)), word));
        }
        words.sort_by_key(|(at_us, _)| *at_us);
        let retry =
            random.pick(&[Retry::Policy, Retry::Policy, Retry::Never, Retry::AfterMs(40), Retry::AfterMs(0)]);
        let fault =
            Fault { retry, code: "whim".into(), message: "it felt like failing".into(), ..Fault::default() };
        let large = plan.large && random.chance(15);
        let ending = match random.below(100) {
            0..=13 => Ending::Failed(fault),
            14..=21 => Ending::Released { delay_ms: random.pick(&[0, 0, 200, 1_500]) },
            _ if large => Ending::Done { len: random.between(1 << 20, PAYLOAD_MAX) as usize },
            _ => Ending::Done { len: random.pick(&[16, 20, 4_200, 20_000]) },
        };
        Act { takes_us, words, ending, obeys: random.chance(700) }
    }
}
