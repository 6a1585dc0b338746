//! The broker's store as its loop sees it: read back before anything is bound, asked for room before a job is let in,
//! appended to once a turn.
//!
//! Invariant: records are appended in the order the core gave them. While some have found no room they are tried
//! again, and none behind them is taken.

use std::os::fd::RawFd;
use std::path::Path;

use crate::core::jobs::IoDone;
use crate::core::record::Record;
use crate::model::{Failure, JobId, Lease, Level, Now, Status, Submission};
use crate::run::ids;
use crate::run::settings::BrokerSettings;
use crate::store::journal::{JournalConfig, Report, SEGMENT_LEN};
use crate::store::memory::MemoryStore;
use crate::store::{self, Store, StoreError};

/// Bytes of jobs let in after which the loop appends before it takes more.
const APPEND_LEN_TARGET: u64 = 8 << 20;
/// Bytes of a job's record beside what its submitter chose.
const RECORD_OVERHEAD_LEN: u64 = 1_024;
/// A store is laid out in at least so many segments, as long as they are not tiny.
const SEGMENTS_TARGET: u64 = 16;
const SEGMENT_LEN_MIN: u64 = 1 << 20;
/// How long records that found no room wait before they are tried again.
const RETRY_MS: u64 = 200;

/// Which life of the broker this is.
pub(super) struct Life {
    /// The broker's id.
    pub(super) broker: [u8; 16],
    /// How often it has started on its store.
    pub(super) epoch: u64,
    /// What was kept of the lives before; `None` without a store on disk.
    pub(super) records: Option<Box<dyn Iterator<Item = Record>>>,
}

/// The store. See the module's text.
pub(super) struct Keeper {
    store: Box<dyn Store + Send>,
    durable: bool,
    /// Records that found no room, and the number of the last of them.
    waiting: Option<(u64, Vec<Record>)>,
    retry_us: u64,
    /// Bytes of jobs let in since the last append.
    unwritten: u64,
    /// What the core was told last.
    full: bool,
    /// The core does not know how the store stands now.
    stats_stale: bool,
}

impl Keeper {
    /// Opens what the settings name, and says in one line what came back.
    ///
    /// # Errors
    /// `ERR_IN_USE`, `ERR_STORE` with the place of the damage, `ERR_UNSUPPORTED` for a later version's, `ERR_IO`.
    pub(super) fn open(settings: &BrokerSettings) -> Result<(Keeper, Life), Failure> {
        let Some(dir) = &settings.store else {
            let life = Life { broker: ids::random()?, epoch: 1, records: None };
            return Ok((Keeper::over(Box::new(MemoryStore::default()), false), life));
        };
        let config = JournalConfig {
            segment_len: (settings.store_max / SEGMENTS_TARGET).clamp(SEGMENT_LEN_MIN, SEGMENT_LEN),
            len_max: settings.store_max,
            random: ids::random()?,
            bodies_max: settings.cache_max,
        };
        let (journal, recovered) = store::open(dir, config)?;
        forget_in_child(journal.disk().lock_fd());
        tell(dir, recovered.kept.epoch, &recovered.report);
        let life = Life {
            broker: recovered.kept.broker,
            epoch: recovered.kept.epoch,
            records: Some(Box::new(recovered.into_records())),
        };
        Ok((Keeper::over(Box::new(journal), true), life))
    }

    fn over(store: Box<dyn Store + Send>, durable: bool) -> Keeper {
        Keeper {
            store,
            durable,
            waiting: None,
            retry_us: u64::MAX,
            unwritten: 0,
            full: false,
            stats_stale: durable,
        }
    }

    /// Looks whether this job would find room. What the core must hear of it before it sees the job, if anything.
    pub(super) fn look_ahead(&mut self, job: &Submission) -> Option<IoDone> {
        if !self.durable || job.options.level == Some(Level::Volatile) {
            return None;
        }
        self.look_ahead_len((job.body.len() + job.headers.len()) as u64)
    }

    /// The same, of a job with so many bytes of payload and headers.
    pub(super) fn look_ahead_len(&mut self, len: u64) -> Option<IoDone> {
        if !self.durable {
            return None;
        }
        let len = len + RECORD_OVERHEAD_LEN;
        let full = self.waiting.is_some() || !self.store.has_room_for(self.unwritten + len);
        self.unwritten += if full { 0 } else { len };
        if full == self.full {
            return None;
        }
        self.full = full;
        self.stats_stale = true;
        if full {
            log::warn!(target: "store", "no room: durable jobs are refused with {} until there is", Status::StoreFull);
        } else {
            log::info!(target: "store", "there is room again: durable jobs are taken");
        }
        Some(IoDone::Room { full })
    }

    /// Whether enough was let in for one append.
    pub(super) fn is_replete(&self) -> bool {
        self.unwritten >= APPEND_LEN_TARGET
    }

    /// Whether records wait for room. While they do no others may be brought.
    pub(super) fn is_stuck(&self) -> bool {
        self.waiting.is_some()
    }

    /// Appends these records. What the core must hear; nothing yet when they wait for room.
    ///
    /// # Errors
    /// `ERR_STORE`: what was kept is unknown, and the broker must end.
    pub(super) fn append(
        &mut self,
        now: Now,
        upto: u64,
        records: Vec<Record>,
    ) -> Result<Option<IoDone>, Failure> {
        self.unwritten = 0;
        self.stats_stale = self.durable;
        match self.store.append(&records) {
            Ok(()) => Ok(Some(IoDone::Synced { upto })),
            Err(StoreError::Full) => {
                log::debug!(target: "store", "{} records wait for room", records.len());
                self.waiting = Some((upto, records));
                self.retry_us = now.after_ms(RETRY_MS);
                Ok(None)
            }
            Err(StoreError::Fatal(why)) => Err(Failure::new(Status::Store, why)),
        }
    }

    /// Reads back the payload of a job.
    ///
    /// # Errors
    /// `ERR_STORE`: it is not what was written, and the broker must end.
    pub(super) fn read(&mut self, lease: Lease, id: JobId) -> Result<IoDone, Failure> {
        let body = self.store.body(id).map_err(|error| Failure::new(Status::Store, error.to_string()))?;
        Ok(IoDone::Read { lease, id, body })
    }

    /// Tries once more what found no room, when it is time.
    ///
    /// # Errors
    /// As [`Keeper::append`].
    pub(super) fn retry(&mut self, now: Now) -> Result<Option<IoDone>, Failure> {
        if now.us < self.retry_us {
            return Ok(None);
        }
        self.retry_us = u64::MAX;
        match self.waiting.take() {
            Some((upto, records)) => self.append(now, upto, records),
            None => Ok(None),
        }
    }

    /// How the store stands, for the core's status, when that has changed.
    pub(super) fn news(&mut self) -> Option<IoDone> {
        std::mem::take(&mut self.stats_stale).then(|| IoDone::Store(self.store.stats()))
    }

    /// When records are tried again, in microseconds of the clock that never jumps.
    pub(super) fn next_timeout(&self) -> Option<u64> {
        self.waiting.is_some().then_some(self.retry_us)
    }
}

/// A forked child that kept the lock's descriptor would keep the store from the next broker.
fn forget_in_child(lock: RawFd) {
    crate::net::close_in_child(lock);
}

/// The one line about what came back.
fn tell(dir: &Path, epoch: u64, report: &Report) {
    let Report { jobs, records, segments, cut, millis } = report;
    let cut = match cut.bytes {
        0 => "nothing was cut off".to_owned(),
        bytes => format!("{bytes} bytes of an unfinished write were cut off {} at {}", cut.file, cut.offset),
    };
    log::info!(
        target: "store",
        "{}: start {epoch}, {jobs} jobs from {records} records in {segments} segments, {millis} ms; {cut}", dir.display()
    );
}
