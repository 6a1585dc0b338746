//! The jobs of one broker, in memory: the embedded implementation of [`Jobs`].
//!
//! It owns every job from its acceptance until its result is no longer wanted, the lines of the queues, the leases
//! and the timeouts. Invariants (`check` counts them again): a job has one state; it stands in its queue's line
//! exactly when it is `Queued`; a job in `Leased` or `Running` is in its worker's `held`, and nowhere else; a
//! durable job's events wait until the records behind them are synced.

mod admin;
mod admit;
mod check;
mod check_runs;
mod collect;
mod dispatch;
mod end;
mod entry;
mod keys;
mod lease;
mod past_runs;
mod present;
mod queue;
mod ready;
mod recover;
mod remember;
mod resume;
mod runs;
mod stages;
mod stored;
mod worker;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::core::jobs::{
    Admin, Allowance, Answer, Asker, Caps, Class, End, Event, Io, IoDone, Jobs, SessionId, Tag, Word,
    WorkerId,
};
use crate::core::record::{Record, StoreStats};
use crate::core::timers::Timers;
use crate::model::{Index, JobId, JobRules, Lease, Now, Owner, QueueName, Submission, Token, limits};
use crate::model::{Planted, planted};
use crate::wire::command::Presented;

pub use check::Violation;
use entry::{Job, State};
use keys::Keys;
use present::Orphan;
use queue::Queues;
use remember::{Events, Past, Tombstones};
pub use remember::{Happened, Kept};
use runs::Runs;
use worker::{IdleKey, Worker};

/// What a table is told when it is made.
#[derive(Clone, Debug)]
pub struct TableConfig {
    /// The rules of a job that says nothing, in a queue that says nothing.
    pub rules: JobRules,
    /// How long a lease lasts without a beat.
    pub lease_ms: u64,
    /// How long a job sent again waits for a worker that may present it.
    pub reattach_ms: u64,
    /// Bytes of jobs and results kept at once.
    pub memory_max: u64,
    /// Bytes of jobs and results beyond which payloads of waiting durable jobs are left in the store.
    pub cache_max: u64,
    /// Bytes of one payload or result.
    pub payload_max: u64,
    /// Jobs one queue may hold; 0 = no limit.
    pub queue_jobs_max: u64,
    /// Bytes one queue may hold; 0 = no limit.
    pub queue_bytes_max: u64,
    /// How long a finished job's history is remembered after its result is gone.
    pub retention_ms: u64,
    /// How long a quarantined job waits for a person, unless results are kept for longer.
    pub quarantine_ms: u64,
    /// How long an open stage without jobs waits for its owner; 0 for ever.
    pub stage_idle_ms: u64,
    /// The broker's id.
    pub broker: [u8; 16],
    /// How often it started on its store; the high bits of every token.
    pub epoch: u64,
    /// Whether records go to a store.
    pub durable: bool,
    /// For the jitter of back-off.
    pub seed: u64,
}

impl Default for TableConfig {
    fn default() -> Self {
        TableConfig {
            rules: JobRules::default(),
            lease_ms: limits::LEASE_MS,
            reattach_ms: limits::REATTACH_MS,
            memory_max: limits::MEMORY_LEN_MAX,
            cache_max: limits::CACHE_LEN_MAX,
            payload_max: limits::PAYLOAD_LEN_MAX as u64,
            queue_jobs_max: 0,
            queue_bytes_max: 0,
            retention_ms: limits::RETENTION_MS,
            quarantine_ms: limits::QUARANTINE_MS,
            stage_idle_ms: limits::STAGE_IDLE_MS,
            broker: [0; 16],
            epoch: 1,
            durable: false,
            seed: 0,
        }
    }
}

/// How often what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableCounters {
    /// Jobs accepted.
    pub submitted: u64,
    /// Submissions of a job that was known already.
    pub duplicates: u64,
    /// Submissions refused, for whatever reason.
    pub refused: u64,
    /// Refused for want of room.
    pub busy: u64,
    /// Attempts begun.
    pub started: u64,
    /// Jobs ended DONE.
    pub done: u64,
    /// Jobs ended any other way.
    pub not_done: u64,
    /// Attempts followed by another.
    pub retried: u64,
    /// Running jobs whose worker vanished.
    pub losses: u64,
    /// Leases that lapsed without a beat.
    pub lapses: u64,
    /// Answers that came under a lease that was over, and changed nothing.
    pub stale: u64,
    /// Running jobs taken over from before a restart.
    pub adopted: u64,
    /// Unstarted jobs asked back from busy workers.
    pub recalled: u64,
    /// Results dropped because their time was over.
    pub results_expired: u64,
}

/// The jobs. See the module's text.
#[derive(Debug)]
pub struct JobTable {
    config: TableConfig,
    default_rules: Arc<JobRules>,
    slots: Vec<Option<Job>>,
    free_slots: Vec<u32>,
    /// Slots that are free once the record of that number is synced.
    free_later: VecDeque<(u64, u32)>,
    ids: Index<JobId, u32>,
    queues: Queues,
    workers: BTreeMap<WorkerId, Worker>,
    /// Wide workers that could take a job now, the one that should get it first.
    wide_idle: BTreeSet<(IdleKey, WorkerId)>,
    timers: Timers,
    orphans: BTreeMap<JobId, Orphan>,
    tombstones: Tombstones,
    past: Past,
    events_kept: Events,
    /// Sessions that are there, and their owners.
    sessions: BTreeMap<SessionId, Arc<Owner>>,
    /// Ended jobs whose results wait for a named owner to come, by sequence.
    boxes: BTreeMap<Arc<Owner>, BTreeMap<u64, u32>>,
    /// Quarantined jobs that wait for a person.
    quarantined: BTreeMap<JobId, u32>,
    runs: Runs,
    keys: Keys,
    next_sequence: u64,
    next_token: u64,
    random: u64,
    /// Bytes of jobs and results, and those of them that are in the store alone.
    bytes: u64,
    stored_bytes: u64,
    /// Durable jobs whose payloads may go once the record of that number is synced.
    leavable: VecDeque<(u64, JobId)>,
    /// Payloads to be read for a grant, and how many are being read.
    reads: VecDeque<(Lease, JobId)>,
    reading: usize,
    full: bool,
    /// The store takes no further jobs.
    store_full: bool,
    /// How the store stands, when there is one that says so.
    store: Option<StoreStats>,
    /// Jobs that workers held before a restart, until the broker can be reached.
    held_over: Vec<u32>,
    /// Until then a lease does not lapse: the broker itself was away.
    grace_until_us: u64,
    last_us: u64,
    /// Workers that got room other than by demand, and when.
    refill: Vec<(Now, WorkerId)>,
    /// Workers for which a job may have to be asked back, and when that is looked at.
    recall_looks: VecDeque<(u64, WorkerId)>,
    /// Jobs in the table whose ids applications chose.
    named_ids: usize,
    /// Leases handed out, for `next_timeout` and the status.
    leases: usize,
    counters: TableCounters,
    events: VecDeque<Event>,
    unsynced: VecDeque<(u64, Event)>,
    records: Vec<Record>,
    records_written: u64,
    records_handed: u64,
    records_synced: u64,
}

impl JobTable {
    /// An empty table.
    pub fn new(config: TableConfig) -> Self {
        JobTable {
            default_rules: Arc::new(config.rules.clone()),
            slots: Vec::new(),
            free_slots: Vec::new(),
            free_later: VecDeque::new(),
            ids: Index::default(),
            queues: Queues::default(),
            workers: BTreeMap::new(),
            wide_idle: BTreeSet::new(),
            timers: Timers::default(),
            orphans: BTreeMap::new(),
            tombstones: Tombstones::default(),
            past: Past::default(),
            events_kept: Events::default(),
            sessions: BTreeMap::new(),
            boxes: BTreeMap::new(),
            quarantined: BTreeMap::new(),
            runs: Runs::default(),
            keys: Keys::default(),
            next_sequence: 1,
            next_token: first_token(&config),
            random: config.seed,
            bytes: 0,
            stored_bytes: 0,
            leavable: VecDeque::new(),
            reads: VecDeque::new(),
            reading: 0,
            full: false,
            store_full: false,
            store: None,
            held_over: Vec::new(),
            grace_until_us: 0,
            last_us: 0,
            refill: Vec::new(),
            recall_looks: VecDeque::new(),
            named_ids: 0,
            leases: 0,
            counters: TableCounters::default(),
            events: VecDeque::new(),
            unsynced: VecDeque::new(),
            records: Vec::new(),
            records_written: 0,
            records_handed: 0,
            records_synced: 0,
            config,
        }
    }

    /// How often what happened.
    pub fn counters(&self) -> TableCounters {
        self.counters
    }

    /// Jobs that have been handed out and not ended.
    pub fn leases(&self) -> usize {
        self.leases
    }

    /// The lowest token this start of the broker gives.
    fn first_token(&self) -> Token {
        first_token(&self.config)
    }

    /// The last thing that happened, as `events` numbers it.
    pub fn last_event(&self) -> u64 {
        self.events_kept.last()
    }

    /// What has happened after number `since`, oldest first, as far as it is kept: for the driver's log.
    pub fn happened_after(&self, since: u64) -> impl Iterator<Item = &Kept> {
        self.events_kept.after(since)
    }

    fn job(&self, slot: u32) -> &Job {
        self.slots[slot as usize].as_ref().expect("a slot in use holds a job")
    }

    fn job_mut(&mut self, slot: u32) -> &mut Job {
        self.slots[slot as usize].as_mut().expect("a slot in use holds a job")
    }

    /// The job a worker means, if its word still counts.
    fn by_lease(&self, lease: Lease) -> Option<&Job> {
        let job = self.slots.get(lease.slot as usize)?.as_ref()?;
        let is_current = job.token == lease.token || planted(Planted::ForgetTokenCheck);
        (is_current && lease.token != 0 && !job.is_ended()).then_some(job)
    }

    /// Sets the job's timeout to what its state needs.
    fn rearm(&mut self, slot: u32) {
        match self.job(slot).due_us() {
            Some(due_us) => self.timers.set(slot, due_us),
            None => self.timers.clear(slot),
        }
    }

    /// Writes a change of a durable job down.
    fn record(&mut self, durable: bool, record: impl FnOnce() -> Record) {
        if durable {
            self.records.push(record());
            self.records_written += 1;
        }
    }

    /// Tells something about a job: at once, or when the records behind it are synced.
    fn tell(&mut self, durable: bool, event: Event) {
        if durable && self.records_written > self.records_synced {
            self.unsynced.push_back((self.records_written, event));
        } else {
            self.events.push_back(event);
        }
    }

    /// Tells the holder of a job something, never before it is told of its grant.
    fn tell_holder(&mut self, slot: u32, event: Event) {
        let number = self.job(slot).granted_at;
        if number > self.records_synced && !planted(Planted::RevokeBeforeGrant) {
            self.unsynced.push_back((number, event));
        } else {
            self.events.push_back(event);
        }
    }

    fn answer(&mut self, durable: bool, tag: Tag, answer: Answer) {
        self.tell(durable, Event::Reply { tag, answer });
    }

    /// The next number of splitmix64 (Steele, Lea, Flood 2014); only jitter uses it.
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Adds to or takes from the memory in use, and says so when the limit is crossed.
    fn account(&mut self, more: u64, less: u64) {
        self.bytes = self.bytes + more - less;
        let full = self.bytes - self.stored_bytes >= self.config.memory_max;
        if full != self.full {
            self.full = full;
            self.events.push_back(Event::Pressure { full });
        }
    }

    /// A loop that came back much later than it was to be woken was itself away: nobody's lease may suffer for it.
    fn notice_pause(&mut self, now: Now) {
        if let Some(due_us) = self.timers.next_us().filter(|_| self.leases > 0) {
            let late_us = now.us.saturating_sub(due_us.max(self.last_us));
            if late_us > limits::LOOP_PAUSE_MS * 1_000 {
                self.grace_until_us = now.us + late_us.min(self.config.lease_ms * 1_000);
            }
        }
        self.last_us = now.us;
    }

    /// Something about this job is due.
    fn expire(&mut self, now: Now, slot: u32) {
        let Some(job) = self.slots[slot as usize].as_ref() else { return };
        if job.due_us().is_none_or(|due_us| due_us > now.us) {
            self.rearm(slot);
            return;
        }
        if let State::Ended { .. } = job.state {
            self.counters.results_expired += 1;
            self.remove(now, slot);
            return;
        }
        if job.deadline_us().is_some_and(|at| at <= now.us) {
            return self.expire_job(now, slot, "its deadline passed");
        }
        let running = matches!(job.state, State::Running { .. } | State::Open { .. });
        if !running && job.queue_deadline_us().is_some_and(|at| at <= now.us) {
            return self.expire_job(now, slot, "it was not started within its queue timeout");
        }
        match job.state.clone() {
            State::Delayed { .. } if self.is_exhausted(slot) => self.lose_last(now, slot),
            State::Delayed { .. } => self.set_going(now, slot),
            State::Open { .. } => self.expire_idle(now, slot),
            State::Leased { until_us, .. } if until_us <= now.us => self.lapse(now, slot),
            State::Running { until_us, started_us, said_us, .. } => {
                self.expire_running(now, slot, until_us, started_us, said_us)
            }
            _ => self.rearm(slot),
        }
    }
}

impl Jobs for JobTable {
    type Io = Io;
    type Done = IoDone;

    fn submit(&mut self, now: Now, tag: Tag, asker: &Asker, job: Submission) {
        self.admit(now, tag, asker, job);
    }

    fn arrive(&mut self, _now: Now, worker: WorkerId, name: &str) {
        self.add_worker(worker, name);
    }

    fn take(&mut self, now: Now, worker: WorkerId, class: &Class) {
        self.take_queue(now, worker, class);
    }

    fn give_up(&mut self, now: Now, worker: WorkerId, queue: &QueueName) {
        self.give_up_queue(now, worker, queue);
    }

    fn demand(&mut self, now: Now, worker: WorkerId, allowed: Allowance) {
        self.set_demand(now, worker, allowed);
    }

    fn leave(&mut self, now: Now, worker: WorkerId) {
        self.remove_worker(now, worker);
    }

    fn present(&mut self, now: Now, tag: Tag, worker: WorkerId, held: &Presented) {
        self.adopt_or_keep(now, tag, worker, held);
    }

    fn start(&mut self, now: Now, lease: Lease) {
        self.begin(now, lease);
    }

    fn extend(&mut self, now: Now, worker: WorkerId, leases: &[Lease]) {
        self.extend_leases(now, worker, leases);
    }

    fn say(&mut self, now: Now, lease: Lease, word: Word) {
        self.hear(now, lease, word);
    }

    fn finish(&mut self, now: Now, tag: Tag, lease: Lease, end: End) {
        self.finish_lease(now, tag, lease, end);
    }

    fn cancel(&mut self, now: Now, tag: Tag, id: JobId, by: &Asker, own: bool, reason: &str) {
        self.cancel_job(now, tag, id, by, own, reason);
    }

    fn get(&mut self, _now: Now, tag: Tag, id: JobId, by: &Asker) {
        self.get_job(tag, id, by);
    }

    fn forget(&mut self, now: Now, tag: Tag, id: JobId, by: &Asker) {
        self.forget_result(now, tag, id, by);
    }

    fn watch(&mut self, _now: Now, who: &Asker, on: bool) {
        self.watch_session(who, on);
    }

    fn admin(&mut self, now: Now, tag: Tag, what: &Admin) {
        self.administer(now, tag, what);
    }

    fn poll(&mut self) -> Option<Event> {
        self.refill_workers();
        while self.runs.has_news() || self.keys.has_moved() {
            self.advance_runs();
            self.settle_keys();
            self.refill_workers();
        }
        self.events.pop_front()
    }

    fn poll_io(&mut self) -> Option<Io> {
        if let Some(read) = self.next_read() {
            return Some(read);
        }
        if self.records.is_empty() || self.reading > 0 {
            return None;
        }
        self.records_handed = self.records_written;
        Some(Io::Append { upto: self.records_handed, records: std::mem::take(&mut self.records) })
    }

    fn io_done(&mut self, now: Now, done: IoDone) {
        let upto = match done {
            IoDone::Synced { upto } => upto,
            IoDone::Read { lease, id, body } => return self.body_read(lease, id, body),
            IoDone::Room { full } => return self.store_full = full,
            IoDone::Store(stats) => return self.store = Some(stats),
        };
        self.records_synced = self.records_synced.max(upto);
        while self.unsynced.front().is_some_and(|(number, _)| *number <= self.records_synced) {
            let Some((_, event)) = self.unsynced.pop_front() else { break };
            if let Event::Grant { grant, .. } = &event {
                self.begin_lease(now, grant.lease);
            }
            self.events.push_back(event);
        }
        while self.free_later.front().is_some_and(|(number, _)| *number <= self.records_synced) {
            self.free_slots.extend(self.free_later.pop_front().map(|(_, slot)| slot));
        }
        self.leave_bodies();
    }

    fn tick(&mut self, now: Now) {
        self.notice_pause(now);
        self.await_holders(now);
        while let Some(slot) = self.timers.pop(now.us) {
            self.expire(now, slot);
        }
        self.expire_orphans(now);
        self.recall_late(now);
        self.past.expire(now, self.config.retention_ms);
        self.runs.past.expire(now, self.config.retention_ms);
        self.tombstones.expire(now.wall_ms);
    }

    fn next_timeout(&self) -> Option<u64> {
        let orphans = self.orphans.values().map(|orphan| orphan.until_us).min();
        let looks = self.recall_looks.front().map(|(due_us, _)| *due_us);
        self.timers.next_us().into_iter().chain(orphans).chain(looks).min()
    }

    fn caps(&self) -> Caps {
        Caps { durable: self.config.durable, unknown: false }
    }
}

/// The boot epoch above a counter from 1.
fn first_token(config: &TableConfig) -> Token {
    (config.epoch & 0xff_ffff) << 40 | 1
}

/// Every slot in use, in order.
fn live(slots: &[Option<Job>]) -> impl Iterator<Item = (u32, &Job)> {
    slots.iter().enumerate().filter_map(|(slot, job)| Some((slot as u32, job.as_ref()?)))
}
