//! The broker's store in a run: the journal over a simulated disk, whose syncs take virtual time, and which crashes
//! in the middle of what it does.

use forebay::core::broker::Broker;
use forebay::core::jobs::IoDone;
use forebay::core::record::Record;
use forebay::model::{Failure, JobId, Lease, Level, Submission};
use forebay::store::journal::{Journal, JournalConfig, Recovered};
use forebay::store::sim_disk::{Crash, SimDisk};
use forebay::store::{Store, StoreError};

use crate::delayed::SimJobs;
use crate::faults::CRASHES;
use crate::plan::{MS, Plan, SEGMENT_LEN};
use crate::random::Random;
use crate::world::{Event, World};

/// Before what did not fit is tried again.
const FULL_RETRY_US: u64 = 200 * MS;
/// Bytes of a job's record beside what its submitter chose, as the driver counts them.
const RECORD_OVERHEAD_LEN: u64 = 1_024;

/// The disk outlives the broker's process, the journal does not.
#[derive(Default)]
pub(crate) struct SimStore {
    pub(crate) disk: SimDisk,
    pub(crate) journal: Option<Journal<SimDisk>>,
    /// What was handed over and is not on the disk yet; the number of the last of them.
    waiting: Vec<Record>,
    upto: u64,
    /// Something will be written at its time.
    is_busy: bool,
    /// What is to be written has found no room. Nothing behind it is taken.
    is_stuck: bool,
    /// What the core has held back since then was not taken from it.
    stuck_since_us: Option<u64>,
    /// Bytes of jobs let in since the last write.
    unwritten: u64,
    /// What the core was told last.
    said_full: bool,
    /// The disk has no room for another file.
    pub(crate) is_full: bool,
    /// Segments that were used again, in the lives before.
    pub(crate) recycled: u64,
    pub(crate) slow_until_us: u64,
    pub(crate) slow_us_max: u64,
}

impl SimStore {
    /// From now on either writes or syncs fail, until the disk crashes.
    pub(crate) fn fail(&mut self, random: &mut Random) {
        if self.journal.is_none() {
            return;
        }
        match random.below(2) {
            0 => self.disk.fail_syncs(true),
            _ => self.disk.fail_writes(true),
        }
    }

    /// The disk has no room for another file, or has it again.
    pub(crate) fn set_full(&mut self, is_full: bool) {
        self.is_full = is_full;
        self.disk.set_capacity(is_full.then(|| self.disk.used_bytes()));
    }

    /// What the core must hear before it sees this job: whether there is room for it.
    pub(crate) fn look_ahead(&mut self, job: &Submission) -> Option<IoDone> {
        let journal = self.journal.as_mut()?;
        if job.options.level == Some(Level::Volatile) {
            return None;
        }
        let len = (job.body.len() + job.headers.len()) as u64 + RECORD_OVERHEAD_LEN;
        let full = self.is_stuck || !journal.has_room_for(self.unwritten + len);
        self.unwritten += if full { 0 } else { len };
        let is_news = full != std::mem::replace(&mut self.said_full, full);
        is_news.then_some(IoDone::Room { full })
    }

    /// Whether the core is asked for further records.
    pub(crate) fn takes(&self) -> bool {
        !self.is_stuck
    }

    /// Whether everything that was handed over is on the disk.
    pub(crate) fn is_settled(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The process or the machine goes down, perhaps in the middle of a write.
    pub(crate) fn crash(&mut self, crash: Crash, random: &mut Random) {
        let Some(mut journal) = self.journal.take() else { return };
        self.recycled += journal.stats().recycled;
        if !self.waiting.is_empty() && random.chance(800) {
            self.disk.halt_after(random.below(8));
            // How far it came is for the next start to find out.
            let _ = journal.append(&self.waiting);
        }
        self.disk.crash(crash, random.next());
        self.waiting.clear();
        self.stuck_since_us = None;
        (self.is_busy, self.is_stuck, self.said_full, self.unwritten) = (false, false, false, 0);
    }

    fn open(&self, plan: &Plan) -> Result<(Journal<SimDisk>, Recovered), Failure> {
        let config = JournalConfig {
            segment_len: SEGMENT_LEN,
            len_max: plan.store_max,
            bodies_max: plan.cache_max,
            random: Random::of(plan.seed, 4).bytes(),
        };
        Journal::open(self.disk.clone(), config)
    }
}

impl<J: SimJobs> World<J> {
    /// Opens the store; now and then the machine goes down once more while it is being opened.
    pub(crate) fn open_store(&mut self) -> Recovered {
        while self.judge.lives > 0 && self.random.chance(150) {
            self.store.disk.halt_after(self.random.below(10));
            let _ = self.store.open(&self.plan);
            let crash = self.random.pick(&CRASHES);
            self.store.disk.crash(crash, self.random.next());
            self.tally.one("crashes while starting");
        }
        match self.store.open(&self.plan) {
            Ok((journal, recovered)) => {
                self.store.journal = Some(journal);
                self.tally.add("store: cut off at a start", u64::from(recovered.report.cut.records > 0));
                self.tally.add("store: jobs recovered", recovered.report.jobs);
                recovered
            }
            Err(failure) => panic!("broken: after a crash the store is refused: {failure}"),
        }
    }

    /// The core hands over records. They are written later, together with what is handed over until then.
    pub(crate) fn hand_over(&mut self, broker: &mut Broker<J>, upto: u64, records: Vec<Record>) {
        let stuck_us = self.store.stuck_since_us.take();
        let since_us = stuck_us.unwrap_or(self.now_us);
        for id in self.judge.hand_over(since_us, stuck_us.is_none(), &records) {
            self.told.lives_anew(id);
        }
        self.store.waiting.extend(records);
        self.store.upto = upto;
        if self.store.is_busy {
            return;
        }
        let mut most_us = self.plan.sync_us_max;
        if self.now_us < self.store.slow_until_us {
            most_us = self.store.slow_us_max;
        }
        if most_us == 0 {
            return self.write(broker);
        }
        let at_us = self.now_us + self.random.between(100, most_us);
        self.write_at(at_us);
    }

    /// The core wants a payload back that is in the store alone.
    pub(crate) fn read_back(&mut self, broker: &mut Broker<J>, lease: Lease, id: JobId) {
        let Some(journal) = &mut self.store.journal else { return };
        self.tally.one("store: payloads read back");
        match journal.body(id) {
            Ok(body) => broker.io_done(self.now(), IoDone::Read { lease, id, body }),
            Err(error) => {
                self.note(format_args!("{error}"));
                self.store_failed = true;
            }
        }
    }

    fn write_at(&mut self, at_us: u64) {
        self.store.is_busy = true;
        let life = self.judge.lives;
        self.at(at_us, Event::Write { life });
    }

    /// The time of a write has come.
    pub(crate) fn write_now(&mut self, life: u64) {
        if life != self.judge.lives {
            return;
        }
        self.store.is_busy = false;
        if let Some((hub, mut broker)) = self.broker.take() {
            self.write(&mut broker);
            self.broker = Some((hub, broker));
        }
        self.settle_broker();
    }

    fn write(&mut self, broker: &mut Broker<J>) {
        let Some(journal) = &mut self.store.journal else { return };
        self.store.unwritten = 0;
        match journal.append(&self.store.waiting) {
            Ok(()) => {
                let ends = |record: &&Record| matches!(record, Record::Ended { .. });
                let is_tight = self.store.is_full && self.store.said_full;
                let ends = if is_tight { self.store.waiting.iter().filter(ends).count() } else { 0 };
                self.tally.add("store: ends written while it takes no jobs", ends as u64);
                self.store.waiting.clear();
                self.store.is_stuck = false;
                let upto = self.store.upto;
                self.judge.written.synced(upto);
                broker.io_done(self.now(), IoDone::Synced { upto });
            }
            Err(StoreError::Full) => {
                self.tally.one("store: records waited for room");
                self.store.is_stuck = true;
                self.store.stuck_since_us.get_or_insert(self.now_us);
                self.write_at(self.now_us + FULL_RETRY_US);
            }
            // The broker ends. What of it is on the medium only the next start can say.
            Err(StoreError::Fatal(why)) => {
                self.note(format_args!("{why}"));
                self.tally.one("store: failed");
                self.store_failed = true;
            }
        }
    }
}
