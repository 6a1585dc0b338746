//! The store on disk: a log of records in segments.
//!
//! One append is one batch, one write and one sync. When the active segment is full the spare one takes its place; when
//! more is dead than alive, the live records of the oldest segment are written again at the end, a little with each
//! append, and its file becomes a spare. docs/STORE.md draws the format and says why.
//!
//! Invariants: what `append` has returned for is read back by every later `open`, or `open` refuses and names the
//! place; records come back in the order they were appended; while there is room one spare segment is there, which
//! takes the outcomes of jobs when there is none; after a failed write or sync nothing is written any more.

mod batch;
mod clean;
mod frame;
mod ledger;
mod read;
mod replay;
mod segment;
mod walk;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use crate::core::record::{Kept, Record};
use crate::model::limits::STORE_LEN_MAX;
use crate::model::{Body, Failure, JobId, Outcome, Status, Verdict};
use crate::model::{Planted, planted};
use crate::store::codec::encoded_len_max;
use crate::store::disk::{Disk, is_full};
use crate::store::journal::batch::Batch;
use crate::store::journal::clean::Cursor;
use crate::store::journal::frame::{HEAD_LEN, TAIL_LEN, WITNESS, fill, seed};
use crate::store::journal::ledger::Ledger;
use crate::store::journal::read::{Found, read};
use crate::store::journal::replay::Replay;
use crate::store::journal::segment::{BODY_AT, Header, Number, Place, name_of, spare_in, spare_name};
use crate::store::{Store, StoreError, StoreStats, io_failure};

pub use read::Cut;

/// Bytes of a segment.
pub const SEGMENT_LEN: u64 = 64 << 20;
/// Fewer segments than that leave no room to move records.
const SEGMENTS_MIN: u64 = 4;
/// Kept free at the end of each segment, so that a broker can always start: a share of the segment, at most.
const SLACK_SHARE: u64 = 16;
const SLACK_LEN_MAX: u64 = 64 << 10;
/// Spares kept; further ones are removed.
const SPARES_MAX: usize = 2;

/// How a store is laid out.
#[derive(Clone, Debug)]
pub struct JournalConfig {
    /// Bytes of a new segment. Segments of other lengths are read all the same.
    pub segment_len: u64,
    /// Bytes of all segments together, at least four of them, up to which jobs are taken. Their outcomes may go beyond.
    pub len_max: u64,
    /// What a new store makes its id and its salt of.
    pub random: [u8; 32],
    /// Bytes of payloads that are read back into memory; further ones are left where they are.
    pub bodies_max: u64,
}

impl Default for JournalConfig {
    fn default() -> Self {
        JournalConfig {
            segment_len: SEGMENT_LEN,
            len_max: STORE_LEN_MAX,
            random: [0; 32],
            bodies_max: u64::MAX,
        }
    }
}

/// What `open` found.
#[derive(Clone, Debug, PartialEq)]
pub struct Recovered {
    /// The state every appended record adds up to.
    pub kept: Kept,
    /// For people.
    pub report: Report,
}

impl Recovered {
    /// The state as records, job after job in the order of acceptance: what a job table recovers from.
    pub fn into_records(self) -> impl Iterator<Item = Record> {
        replay::into_records(self.kept)
    }
}

/// What reading back was like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Segments read.
    pub segments: u64,
    /// Records read, of which most may be of jobs that are gone.
    pub records: u64,
    /// Jobs that are there.
    pub jobs: u64,
    /// What was cut off at the end.
    pub cut: Cut,
    /// How long it took, where somebody measured.
    pub millis: u64,
}

/// Reads a store without changing anything. `None`: there is no store yet.
///
/// # Errors
/// As [`Journal::open`].
pub fn inspect<D: Disk>(disk: &mut D) -> Result<Option<Inspected>, Failure> {
    let mut replay = Replay::new(u64::MAX);
    let Ok(found) = read(disk, |record, place| replay.apply(record, place))? else { return Ok(None) };
    let mut ledger = Ledger::default();
    let kept = replay.finish(&mut ledger);
    let segments = found.segments.iter().map(|segment| SegmentInfo {
        name: name_of(segment.number),
        len: segment.len,
        used_bytes: (segment.used_end - BODY_AT) as u64,
        live_bytes: ledger.live_in(segment.number),
    });
    let segments: Vec<SegmentInfo> = segments.collect();
    let report = Report {
        segments: segments.len() as u64,
        records: found.records,
        jobs: kept.jobs.len() as u64,
        cut: found.cut,
        millis: 0,
    };
    let kept = Kept { epoch: u64::from(found.epoch), broker: found.broker, ..kept };
    Ok(Some(Inspected { kept, report, segments, left_over: found.left_over }))
}

/// A store as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspected {
    /// The state every record adds up to.
    pub kept: Kept,
    /// For people.
    pub report: Report,
    /// The segments that are needed, oldest first.
    pub segments: Vec<SegmentInfo>,
    /// Files of the store that hold nothing.
    pub left_over: Vec<String>,
}

/// One segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its file.
    pub name: String,
    /// Bytes of the file.
    pub len: u64,
    /// Bytes of its batches.
    pub used_bytes: u64,
    /// Those of them that are still needed.
    pub live_bytes: u64,
}

/// The log. See the module's text.
#[derive(Debug)]
pub struct Journal<D> {
    disk: D,
    segment_len: u64,
    len_max: u64,
    broker: [u8; 16],
    salt: [u8; 16],
    epoch: u32,
    /// Of the next frame.
    lsn: u64,
    /// Oldest first; the last one is being written.
    segments: VecDeque<Segment>,
    /// Files that wait to become segments. Without one there is no room.
    spares: Vec<Spare>,
    next_spare: u32,
    ledger: Ledger,
    batch: Batch,
    cursor: Cursor,
    stats: StoreStats,
    /// Why nothing is written any more.
    failed: Option<String>,
}

#[derive(Debug)]
struct Segment {
    number: Number,
    name: String,
    len: u64,
    seed: u32,
    /// Where the next batch goes.
    at: u64,
}

#[derive(Debug)]
struct Spare {
    name: String,
    len: u64,
}

impl<D: Disk> Journal<D> {
    /// Reads a store back, or makes one, and notes that the broker started once more.
    ///
    /// # Errors
    /// `ERR_STORE` when the store is damaged, with the place; then nothing was changed. `ERR_UNSUPPORTED` for one
    /// written by a later version. `ERR_IO`.
    pub fn open(mut disk: D, config: JournalConfig) -> Result<(Journal<D>, Recovered), Failure> {
        let mut replay = Replay::new(config.bodies_max);
        let found = read(&mut disk, |record, place| replay.apply(record, place))?;
        let mut report = Report::default();
        let mut journal = match found {
            Ok(found) => {
                report.segments = found.segments.len() as u64;
                report.records = found.records;
                report.cut = found.cut.clone();
                Journal::over(disk, &config, found)?
            }
            Err(left_over) => Journal::new(disk, &config, left_over)?,
        };
        let mut kept = replay.finish(&mut journal.ledger);
        journal.boot().map_err(|error| match error {
            StoreError::Full => {
                Failure::new(Status::Store, "there is no room to note that the broker started")
            }
            StoreError::Fatal(why) => Failure::new(Status::Io, why),
        })?;
        journal
            .read_quarantined(&mut kept)
            .map_err(|error| Failure::new(Status::Store, error.to_string()))?;
        report.jobs = kept.jobs.len() as u64;
        let (epoch, broker) = (u64::from(journal.epoch), journal.broker);
        Ok((journal, Recovered { kept: Kept { epoch, broker, ..kept }, report }))
    }

    /// Payloads of quarantined jobs are for people, and in memory whatever the limit.
    fn read_quarantined(&mut self, kept: &mut Kept) -> Result<(), StoreError> {
        for job in kept.jobs.iter_mut().filter(|job| job.stored_len > 0) {
            let is_quarantined = |(verdict, _): &(Arc<Verdict>, u64)| verdict.outcome == Outcome::Quarantined;
            if job.ended.as_ref().is_some_and(is_quarantined) {
                Arc::make_mut(&mut job.job).body = self.read_body(job.job.id)?;
                job.stored_len = 0;
            }
        }
        Ok(())
    }

    /// A store that is not there yet.
    fn new(disk: D, config: &JournalConfig, left_over: Vec<String>) -> Result<Journal<D>, Failure> {
        let (mut broker, mut salt) = ([0; 16], [0; 16]);
        broker.copy_from_slice(&config.random[..16]);
        salt.copy_from_slice(&config.random[16..]);
        let found = Found {
            broker,
            salt,
            epoch: 0,
            lsn: 1,
            segments: Vec::new(),
            left_over,
            cut: Cut::default(),
            records: 0,
        };
        Journal::over(disk, config, found)
    }

    fn over(disk: D, config: &JournalConfig, found: Found) -> Result<Journal<D>, Failure> {
        let segments = found.segments.iter().map(|segment| Segment {
            number: segment.number,
            name: name_of(segment.number),
            len: segment.len,
            seed: seed(&found.salt, u64::from(segment.number.get())),
            at: segment.used_end as u64,
        });
        let mut journal = Journal {
            disk,
            segment_len: config.segment_len.clamp(2 * BODY_AT as u64, u64::from(u32::MAX)),
            len_max: config.len_max.max(SEGMENTS_MIN * config.segment_len),
            broker: found.broker,
            salt: found.salt,
            epoch: found.epoch,
            lsn: found.lsn,
            segments: segments.collect(),
            spares: Vec::new(),
            next_spare: 1,
            ledger: Ledger::default(),
            batch: Batch::default(),
            cursor: Cursor::default(),
            stats: StoreStats::default(),
            failed: None,
        };
        for name in found.left_over {
            journal.take_left_over(name).map_err(|error| io_failure("cannot tidy up", &error))?;
        }
        Ok(journal)
    }

    /// A file that holds nothing becomes a spare, if it fits.
    fn take_left_over(&mut self, name: String) -> io::Result<()> {
        if let Some(n) = spare_in(&name) {
            self.next_spare = self.next_spare.max(n + 1);
        }
        let len = self.disk.len(&name)?;
        if self.spares.len() >= SPARES_MAX || len != self.segment_len {
            return self.disk.remove(&name);
        }
        let spare = if spare_in(&name).is_some() {
            name
        } else {
            let spare = self.new_spare_name();
            self.disk.rename(&name, &spare)?;
            spare
        };
        self.spares.push(Spare { name: spare, len });
        Ok(())
    }

    fn new_spare_name(&mut self) -> String {
        let name = spare_name(self.next_spare);
        self.next_spare += 1;
        name
    }

    /// Notes the start, synced.
    fn boot(&mut self) -> Result<(), StoreError> {
        self.epoch += u32::from(!planted(Planted::KeepEpoch));
        if let Some(active) = self.segments.back() {
            // What was read may be there in memory only, and is relied on from now on.
            let name = active.name.clone();
            self.sync(&name)?;
        }
        let record = Record::Booted { epoch: u64::from(self.epoch), broker: self.broker };
        self.batch.push(&record);
        let active = self.segments.back();
        if active.is_none_or(|active| self.batch.len() + TAIL_LEN > (active.len - active.at) as usize) {
            self.make_spare(self.segment_len)?;
            self.rotate(self.batch.len())?;
        }
        self.commit()?;
        self.restock()
    }

    /// What is on the disk below.
    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// How often the broker has started on this store.
    pub fn epoch(&self) -> u64 {
        u64::from(self.epoch)
    }

    /// Bytes left in the active segment, but for what is kept for the next start.
    fn room(&self) -> usize {
        let Some(active) = self.segments.back() else { return 0 };
        let slack = (active.len / SLACK_SHARE).min(SLACK_LEN_MAX);
        active.len.saturating_sub(active.at + slack) as usize
    }

    fn capacity(len: u64) -> usize {
        (len - BODY_AT as u64 - (len / SLACK_SHARE).min(SLACK_LEN_MAX)) as usize
    }

    /// How long a segment must be for a frame.
    fn len_for(&self, frame_len: usize) -> u64 {
        if frame_len + TAIL_LEN <= Self::capacity(self.segment_len) {
            return self.segment_len;
        }
        let len = (BODY_AT + frame_len + TAIL_LEN) as u64 + SLACK_LEN_MAX;
        len.next_multiple_of(BODY_AT as u64)
    }

    /// Sees to it that these records fit, or changes nothing.
    fn make_room(&mut self, records: &[Record]) -> Result<(), StoreError> {
        if self.spares.is_empty() {
            self.restock()?;
            let takes_jobs = records.iter().any(|record| matches!(record, Record::Submitted { .. }));
            if takes_jobs && self.spares.is_empty() && planted(Planted::WaitForRoomForEver) {
                return Err(StoreError::Full);
            }
        }
        let mut left = self.room();
        let mut wanted: Vec<u64> = Vec::new();
        for record in records {
            let frame_len = HEAD_LEN + encoded_len_max(record);
            if frame_len + TAIL_LEN > left {
                let len = self.len_for(frame_len);
                wanted.push(len);
                left = Self::capacity(len);
            }
            left -= frame_len;
        }
        for spare in &self.spares {
            if let Some(i) = wanted.iter().position(|len| *len <= spare.len) {
                wanted.swap_remove(i);
            }
        }
        // Jobs were let in by the limit. What becomes of them is written beyond it, for only that makes room again.
        wanted.into_iter().try_for_each(|len| self.make_spare(len))
    }

    /// Sees to it that a spare is there, if there is room for one.
    fn restock(&mut self) -> Result<(), StoreError> {
        if self.spares.is_empty() {
            self.try_make_spare(self.segment_len)?;
        }
        Ok(())
    }

    /// Makes a spare; false when there is no room for it.
    fn try_make_spare(&mut self, len: u64) -> Result<bool, StoreError> {
        if self.spares.iter().any(|spare| spare.len >= len) {
            return Ok(true);
        }
        let used: u64 = self.segments.iter().map(|segment| segment.len).sum();
        let spare: u64 = self.spares.iter().map(|spare| spare.len).sum();
        if used + spare + len > self.len_max {
            return Ok(false);
        }
        match self.make_spare(len) {
            Ok(()) => Ok(true),
            Err(StoreError::Full) => Ok(false),
            Err(fatal) => Err(fatal),
        }
    }

    fn make_spare(&mut self, len: u64) -> Result<(), StoreError> {
        if self.spares.iter().any(|spare| spare.len >= len) {
            return Ok(());
        }
        let name = self.new_spare_name();
        match self.disk.create(&name, len) {
            Ok(()) => {
                self.spares.push(Spare { name, len });
                Ok(())
            }
            Err(error) if is_full(&error) => Err(StoreError::Full),
            Err(error) => Err(self.fail(&format!("cannot make {name}"), &error)),
        }
    }

    /// Begins a segment in which a frame of this length has room.
    fn rotate(&mut self, frame_len: usize) -> Result<(), StoreError> {
        let len = self.len_for(frame_len);
        self.make_spare(len)?;
        let fitting = |spare: &Spare| spare.len >= len;
        let Some(i) = self.spares.iter().position(fitting) else { return Err(StoreError::Full) };
        let spare = self.spares.remove(i);
        let number = match self.segments.back() {
            Some(active) => active.number.checked_add(1),
            None => Number::new(1),
        };
        let number = number.ok_or_else(|| StoreError::Fatal("the store's segments are used up".into()))?;
        let name = name_of(number);
        let header = Header {
            number,
            epoch: self.epoch,
            first_lsn: self.lsn,
            oldest: u64::from(self.first_needed(number).get()),
            broker: self.broker,
            salt: self.salt,
        };
        let mut begin = || {
            self.disk.rename(&spare.name, &name)?;
            // Before its bytes change: under its former name they might still be needed.
            if !planted(Planted::SkipNameSync) {
                self.disk.sync_names()?;
            }
            self.disk.write(&name, 0, &header.encode())?;
            if planted(Planted::SkipHeaderSync) { Ok(()) } else { self.disk.sync(&name) }
        };
        if let Err(error) = begin() {
            return Err(self.fail(&format!("cannot begin {name}"), &error));
        }
        self.stats.syncs += 2;
        let seed = seed(&self.salt, u64::from(number.get()));
        self.segments.push_back(Segment { number, name, len: spare.len, seed, at: BODY_AT as u64 });
        Ok(())
    }

    /// The oldest segment that is needed, when `active` is being written.
    fn first_needed(&self, active: Number) -> Number {
        self.ledger.oldest().map_or(active, |oldest| oldest.min(active))
    }

    /// Adds a record to the batch; what does not fit any more begins another segment.
    fn stage(&mut self, record: &Record) -> Result<(), StoreError> {
        let mut frame = self.batch.push(record);
        if self.batch.len() + TAIL_LEN > self.room() {
            self.batch.pop();
            if !self.batch.is_empty() {
                self.commit()?;
            }
            // `make_room` has counted; were it wrong, what was staged already could not be taken back.
            self.rotate(frame.len()).map_err(|error| match error {
                StoreError::Full => self.fail("cannot begin a segment", &io::ErrorKind::StorageFull.into()),
                fatal => fatal,
            })?;
            frame = self.batch.push(record);
        }
        let place = self.place_of(&frame);
        self.ledger.apply(record, place);
        Ok(())
    }

    /// Where a frame of the batch will stand.
    fn place_of(&self, frame: &std::ops::Range<usize>) -> Place {
        let active = self.segments.back().expect("an open journal has a segment");
        Place {
            segment: active.number,
            offset: (active.at as usize + frame.start) as u32,
            len: (frame.len() - HEAD_LEN) as u32,
        }
    }

    /// Writes the batch, syncs it, and says behind it that it was synced.
    fn commit(&mut self) -> Result<(), StoreError> {
        let active = self.segments.back_mut().expect("an open journal has a segment");
        let oldest = self.ledger.oldest().map_or(active.number, |oldest| oldest.min(active.number));
        let next_lsn = self.batch.seal(active.seed, self.lsn, self.epoch, u64::from(oldest.get()));
        let mut witness = [0; HEAD_LEN];
        fill(&mut witness, active.seed, next_lsn - 1, self.epoch, WITNESS, 1);
        let len = self.batch.len() as u64;
        let disk = &mut self.disk;
        let mut write = || {
            disk.write(&active.name, active.at, self.batch.bytes())?;
            if !planted(Planted::SkipSync) {
                disk.sync(&active.name)?;
            }
            disk.write(&active.name, active.at + len, &witness)
        };
        if let Err(error) = write() {
            let what = format!("cannot write {}", active.name);
            return Err(self.fail(&what, &error));
        }
        active.at += len + HEAD_LEN as u64;
        self.lsn = next_lsn;
        self.stats.commits += 1;
        self.stats.syncs += 1;
        self.stats.written_bytes += len + HEAD_LEN as u64;
        self.batch.clear();
        self.release(oldest)
    }

    /// Uses again the files of the segments before `oldest`, which is on the medium by now.
    fn release(&mut self, oldest: Number) -> Result<(), StoreError> {
        let active = self.segments.back().map_or(oldest, |active| active.number);
        let oldest =
            if planted(Planted::RecycleLiveSegment) { active.min(oldest.saturating_add(1)) } else { oldest };
        while let Some(first) = self.segments.front().filter(|first| first.number < oldest) {
            let (name, len) = (first.name.clone(), first.len);
            self.segments.pop_front();
            self.stats.recycled += 1;
            let keep = self.spares.len() < SPARES_MAX && len == self.segment_len;
            let done = if keep {
                let spare = self.new_spare_name();
                let renamed = self.disk.rename(&name, &spare);
                self.spares.push(Spare { name: spare, len });
                renamed
            } else {
                self.disk.remove(&name)
            };
            if let Err(error) = done {
                return Err(self.fail(&format!("cannot release {name}"), &error));
            }
        }
        Ok(())
    }

    fn sync(&mut self, name: &str) -> Result<(), StoreError> {
        self.stats.syncs += 1;
        self.disk.sync(name).map_err(|error| self.fail(&format!("cannot sync {name}"), &error))
    }

    /// From now on nothing is written: what is on the medium is unknown.
    fn fail(&mut self, what: &str, error: &io::Error) -> StoreError {
        let why = format!("the store failed: {what}: {error}");
        self.failed = Some(why.clone());
        StoreError::Fatal(why)
    }

    fn check_failed(&self) -> Result<(), StoreError> {
        self.failed.clone().map_or(Ok(()), |why| Err(StoreError::Fatal(why)))
    }
}

impl<D: Disk> Store for Journal<D> {
    fn append(&mut self, records: &[Record]) -> Result<(), StoreError> {
        self.check_failed()?;
        if records.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.make_room(records) {
            self.stats.refused += u64::from(error == StoreError::Full);
            return Err(error);
        }
        for record in records {
            self.stage(record)?;
        }
        self.copy_some()?;
        self.commit()?;
        self.stats.records += records.len() as u64;
        self.restock()
    }

    fn has_room_for(&mut self, len: u64) -> bool {
        if self.failed.is_some() {
            return false;
        }
        if self.spares.is_empty() {
            let looked = self.restock().and_then(|()| self.clean_for_room());
            if looked.is_err() || self.spares.is_empty() {
                return false;
            }
        }
        // They go into the active segment, or into a spare that keeps as much again for outcomes.
        len <= self.room() as u64 || self.try_make_spare(self.len_for(2 * len as usize)) == Ok(true)
    }

    fn body(&mut self, id: JobId) -> Result<Body, StoreError> {
        self.check_failed()?;
        self.read_body(id)
    }

    fn stats(&self) -> StoreStats {
        StoreStats {
            segments: self.segments.len() as u64,
            used_bytes: self.used_bytes(),
            live_bytes: self.ledger.live_bytes(),
            ..self.stats
        }
    }
}

#[cfg(test)]
mod tests;
