//! Copying forward: the live records of the oldest segment are written again at the end of the log, so that its file
//! can be used again.
//!
//! Only the oldest segment is ever released: without it the log begins later, and is still a log. A job moves whole,
//! in one batch: its `Submitted`, the sum of what happened since, and its `Ended`.

use std::io;
use std::sync::Arc;

use crate::core::record::Record;
use crate::model::{Body, JobId, Outcome};
use crate::model::{Planted, planted};
use crate::store::StoreError;
use crate::store::codec::{Decoder, Kind, decode_id};
use crate::store::disk::Disk;
use crate::store::journal::Journal;
use crate::store::journal::frame::{COMMIT, Frame, HEAD_LEN, TAIL_LEN, payload_len};
use crate::store::journal::ledger::Entry;
use crate::store::journal::segment::{BODY_AT, Number, Place, name_of};

/// Bytes of the oldest segment looked through with each append, at least, while there is too much that is dead.
const SCAN_LEN_MIN: u64 = 64 << 10;
/// And so many times what was appended, at least, so that looking through is faster than appending.
const SCAN_FACTOR: u64 = 4;
/// Bytes looked through when there is no room and somebody asks for it.
const SCAN_LEN_FULL: u64 = 8 << 20;
/// Bytes read at once.
const WINDOW_LEN: usize = 256 << 10;
/// This many segments are left alone, however little of them is alive.
const SEGMENTS_LEFT_ALONE: u64 = 3;

/// How far the oldest segment was looked through.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    segment: Option<Number>,
    at: u64,
    /// What precedes `at` is a batch. Its witness may be missing, with its place left between the two batches: it is
    /// never waited for, so a crash may have taken it, and only it.
    behind_batch: bool,
    /// A part of the segment, from `window_at` on.
    window: Vec<u8>,
    window_at: u64,
}

/// How far copying came.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    /// As far as it was allowed to.
    More,
    /// Nothing is left to copy.
    Done,
    /// The active segment has no room for the next job, which takes so many bytes.
    NoRoom(usize),
}

impl<D: Disk> Journal<D> {
    /// Bytes of the segments that were written.
    pub(super) fn used_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.at - BODY_AT as u64).sum()
    }

    /// Whether more is dead than alive, or so much that it matters when there is no room.
    fn is_wasteful(&self) -> bool {
        let live = self.ledger.live_bytes();
        let dead = self.used_bytes().saturating_sub(live);
        let enough = 2 * live.div_ceil(self.segment_len) + SEGMENTS_LEFT_ALONE;
        let most = self.len_max / self.segment_len;
        let segments = self.segments.len() as u64;
        segments > enough || (dead > self.segment_len && (self.spares.is_empty() || segments + 2 >= most))
    }

    /// The newest segment but the active one.
    fn last_closed(&self) -> Option<Number> {
        self.segments.iter().nth_back(1).map(|segment| segment.number)
    }

    /// Copies a little, in proportion to what the batch holds already.
    pub(super) fn copy_some(&mut self) -> Result<(), StoreError> {
        if !self.is_wasteful() {
            return Ok(());
        }
        let scan_len = SCAN_LEN_MIN.max(SCAN_FACTOR * self.batch.len() as u64);
        let Some(last) = self.last_closed() else { return Ok(()) };
        if let Progress::NoRoom(len) = self.copy_forward(last, scan_len)? {
            // What is larger than a segment would wait for ever for one with room for it.
            let segment_len = self.len_for(len);
            if segment_len > self.segment_len && self.try_make_spare(segment_len)? {
                self.commit()?;
                self.rotate(len)?;
                self.copy_forward(last, 1)?;
            }
        }
        Ok(())
    }

    /// There is no room: copies more, if that can make some.
    pub(super) fn clean_for_room(&mut self) -> Result<(), StoreError> {
        if !self.spares.is_empty() || !self.is_wasteful() {
            return Ok(());
        }
        let Some(last) = self.last_closed() else { return Ok(()) };
        let first = self.segments.front().map(|segment| segment.number);
        self.copy_forward(last, SCAN_LEN_FULL)?;
        let passed = first < self.ledger.oldest() && self.room() > TAIL_LEN;
        if passed || !self.batch.is_empty() {
            self.commit()?;
        }
        self.restock()
    }

    /// Writes every live record again, and gives back every file that is not needed then.
    ///
    /// # Errors
    /// `Full` when there is no room for that; what was copied until then is kept. `Fatal` as for `append`.
    pub fn compact(&mut self) -> Result<(), StoreError> {
        self.check_failed()?;
        let Some(last) = self.segments.back().map(|active| active.number) else { return Ok(()) };
        self.rotate(0)?;
        while self.segments.front().is_some_and(|first| first.number <= last) {
            let progress = self.copy_forward(last, SCAN_LEN_FULL)?;
            self.commit()?;
            if let Progress::NoRoom(len) = progress {
                self.rotate(len)?;
            }
        }
        while let Some(spare) = self.spares.pop() {
            let name = spare.name;
            if let Err(error) = self.disk.remove(&name) {
                return Err(self.fail(&format!("cannot remove {name}"), &error));
            }
        }
        if let Err(error) = self.disk.sync_names() {
            return Err(self.fail("cannot sync the names", &error));
        }
        self.restock()
    }

    /// Puts live records of the oldest segments up to `last` into the batch, looking through up to `scan_len` bytes.
    fn copy_forward(&mut self, last: Number, scan_len: u64) -> Result<Progress, StoreError> {
        let mut cursor = std::mem::take(&mut self.cursor);
        let mut scanned = 0;
        let progress = loop {
            let Some(oldest) = self.ledger.oldest().filter(|oldest| *oldest <= last) else {
                break Ok(Progress::Done);
            };
            if scanned >= scan_len {
                break Ok(Progress::More);
            }
            cursor.turn_to(oldest);
            let before = cursor.at;
            match self.copy_frame(&mut cursor) {
                Ok(None) => scanned += cursor.at - before,
                Ok(Some(len)) => break Ok(Progress::NoRoom(len)),
                Err(error) => break Err(error),
            }
        };
        self.cursor = cursor;
        progress
    }

    /// Looks at the frame at the cursor. `Some(len)`: it is needed, and there is no room for what belongs to it.
    fn copy_frame(&mut self, cursor: &mut Cursor) -> Result<Option<usize>, StoreError> {
        let frame = self.frame_at(cursor)?;
        let payload = &cursor.window[frame.payload.clone()];
        let place = Place {
            segment: cursor.segment.unwrap_or(Number::MIN),
            offset: cursor.at as u32,
            len: payload.len() as u32,
        };
        let copied = match Kind::from_number(frame.kind) {
            Some(Kind::Submitted) => self.copy_job(place, frame.version, payload)?,
            Some(Kind::Buried) => self.copy_buried(place, frame.version, payload)?,
            Some(Kind::QueueSet) => self.copy_queue(place, frame.version, payload)?,
            _ => None,
        };
        if copied.is_none() {
            cursor.at += place.frame_len();
            cursor.behind_batch = frame.kind == COMMIT;
        }
        Ok(copied)
    }

    /// The frame at the cursor, its bytes in the window. The cursor is past what a lost witness left.
    fn frame_at(&mut self, cursor: &mut Cursor) -> Result<Frame, StoreError> {
        if let Some(frame) = self.find_frame(cursor)? {
            return Ok(frame);
        }
        let at = cursor.at;
        if std::mem::take(&mut cursor.behind_batch) && !planted(Planted::StopAtLostWitness) {
            cursor.at += HEAD_LEN as u64;
            if let Some(frame) = self.find_frame(cursor)? {
                return Ok(frame);
            }
        }
        let name = cursor.segment.map_or_else(String::new, name_of);
        Err(self.fail_damaged(&name, at))
    }

    fn find_frame(&mut self, cursor: &mut Cursor) -> Result<Option<Frame>, StoreError> {
        let Some(segment) = self.segments.iter().find(|segment| Some(segment.number) == cursor.segment)
        else {
            return Err(StoreError::Fatal("the store failed: a segment in use is gone".into()));
        };
        let (name, seed, left) = (segment.name.clone(), segment.seed, segment.at.saturating_sub(cursor.at));
        let mut wanted = HEAD_LEN;
        loop {
            if wanted as u64 > left {
                return Ok(None);
            }
            let from = (cursor.at - cursor.window_at) as usize;
            if cursor.window_at > cursor.at || from + wanted > cursor.window.len() {
                let len = wanted.max(WINDOW_LEN).min(left as usize);
                cursor.window.resize(len, 0);
                cursor.window_at = cursor.at;
                if let Err(error) = self.disk.read(&name, cursor.at, &mut cursor.window) {
                    return Err(self.fail(&format!("cannot read {name}"), &error));
                }
                continue;
            }
            let head = cursor.window[from..].first_chunk().map_or(0, payload_len);
            if wanted < HEAD_LEN + head {
                wanted = HEAD_LEN + head;
                continue;
            }
            return Ok(Frame::parse(&cursor.window, from, seed));
        }
    }

    fn copy_job(&mut self, place: Place, version: u8, payload: &[u8]) -> Result<Option<usize>, StoreError> {
        let id = self.id_in(place, payload)?;
        let Some(Entry::Job { submitted, ended, standing }) = self.ledger.get(id) else { return Ok(None) };
        if *submitted != place {
            return Ok(None);
        }
        let ended_at = ended.filter(|_| !planted(Planted::CopyWithoutEnd));
        let standing = standing.clone().filter(|_| !planted(Planted::CopyWithoutStanding));
        let ended = ended_at.map(|ended| self.read_back(ended, Kind::Ended)).transpose()?;
        let stripped = match &ended {
            Some(ended) => self.strip(place, version, payload, ended)?,
            None => None,
        };
        let start = self.batch.len();
        let submitted = match stripped {
            Some(record) => self.batch.push(&record),
            None => self.batch.push_bytes(Kind::Submitted as u8, version, payload),
        };
        let mut frames = 1;
        if let Some(standing) = standing {
            self.batch.push(&Record::Stands { id, standing });
            frames += 1;
        }
        let ended = ended.map(|ended| {
            frames += 1;
            self.batch.push_bytes(Kind::Ended as u8, ended.version, &ended.payload)
        });
        if self.batch.len() + TAIL_LEN > self.room() {
            let len = self.batch.len() - start;
            for _ in 0..frames {
                self.batch.pop();
            }
            return Ok(Some(len));
        }
        self.stats.copied_bytes += (self.batch.len() - start) as u64;
        let (submitted, ended) = (self.place_of(&submitted), ended.map(|ended| self.place_of(&ended)));
        self.ledger.moved(id, submitted, ended);
        Ok(None)
    }

    /// The `Submitted` of a job that has ended, without what nobody will ask for again. `None`: as it is.
    fn strip(
        &mut self,
        place: Place,
        version: u8,
        payload: &[u8],
        ended: &ReadBack,
    ) -> Result<Option<Record>, StoreError> {
        let mut decoder = Decoder::default();
        let records = (
            decoder.decode(Kind::Submitted, version, payload),
            decoder.decode(Kind::Ended, ended.version, &ended.payload),
        );
        let (
            Ok(Record::Submitted { owner, job, rules, wall_ms, sequence, stored_len }),
            Ok(Record::Ended { verdict, .. }),
        ) = records
        else {
            return Err(self.fail_damaged(&self.name_of(place), u64::from(place.offset)));
        };
        // A person may want to see the payload of a quarantined job, and what a run was made of.
        let is_wanted = verdict.outcome == Outcome::Quarantined || job.is_run;
        if is_wanted || job.body.is_empty() && job.headers.is_empty() {
            return Ok(None);
        }
        let mut job = Arc::unwrap_or_clone(job);
        (job.body, job.headers) = Default::default();
        Ok(Some(Record::Submitted { owner, job: job.into(), rules, wall_ms, sequence, stored_len }))
    }

    fn copy_buried(
        &mut self,
        place: Place,
        version: u8,
        payload: &[u8],
    ) -> Result<Option<usize>, StoreError> {
        let id = self.id_in(place, payload)?;
        if !matches!(self.ledger.get(id), Some(Entry::Buried(at)) if *at == place) {
            return Ok(None);
        }
        if self.ledger.is_too_old(id) {
            self.ledger.forget(id);
            return Ok(None);
        }
        let Some(now) = self.copy_bytes(Kind::Buried, version, payload) else {
            return Ok(Some(place.frame_len() as usize));
        };
        self.ledger.moved(id, now, None);
        Ok(None)
    }

    fn copy_queue(&mut self, place: Place, version: u8, payload: &[u8]) -> Result<Option<usize>, StoreError> {
        let record = Decoder::default().decode(Kind::QueueSet, version, payload);
        let Ok(Record::QueueSet(kept)) = record else {
            return Err(self.fail_damaged(&self.name_of(place), u64::from(place.offset)));
        };
        if self.ledger.queue(&kept.queue) != Some(place) {
            return Ok(None);
        }
        let Some(now) = self.copy_bytes(Kind::QueueSet, version, payload) else {
            return Ok(Some(place.frame_len() as usize));
        };
        self.ledger.queue_moved(&kept.queue, now);
        Ok(None)
    }

    /// Puts one frame into the batch, if there is room.
    fn copy_bytes(&mut self, kind: Kind, version: u8, payload: &[u8]) -> Option<Place> {
        let frame = self.batch.push_bytes(kind as u8, version, payload);
        if self.batch.len() + TAIL_LEN > self.room() {
            self.batch.pop();
            return None;
        }
        self.stats.copied_bytes += frame.len() as u64;
        Some(self.place_of(&frame))
    }

    fn id_in(&mut self, place: Place, payload: &[u8]) -> Result<JobId, StoreError> {
        decode_id(payload).map_err(|_| self.fail_damaged(&self.name_of(place), u64::from(place.offset)))
    }

    /// The payload of a job that is there.
    pub(super) fn read_body(&mut self, id: JobId) -> Result<Body, StoreError> {
        let Some(Entry::Job { submitted, .. }) = self.ledger.get(id) else {
            return Err(StoreError::Fatal(format!("the store failed: job {id} is not in it")));
        };
        let place = *submitted;
        let read = self.read_back(place, Kind::Submitted)?;
        match Decoder::default().decode(Kind::Submitted, read.version, &read.payload) {
            Ok(Record::Submitted { job, .. }) => Ok(Arc::unwrap_or_clone(job).body),
            _ => Err(self.fail_damaged(&self.name_of(place), u64::from(place.offset))),
        }
    }

    /// The bytes of a record that was written before, or stands in the batch.
    fn read_back(&mut self, place: Place, kind: Kind) -> Result<ReadBack, StoreError> {
        let active = self.segments.back();
        if let Some(active) =
            active.filter(|active| active.number == place.segment && u64::from(place.offset) >= active.at)
        {
            let head_at = (u64::from(place.offset) - active.at) as usize;
            let at = head_at + HEAD_LEN;
            let payload = self.batch.bytes()[at..at + place.len as usize].to_vec();
            return Ok(ReadBack { version: self.batch.version_at(head_at), payload });
        }
        let Some(segment) = self.segments.iter().find(|segment| segment.number == place.segment) else {
            return Err(StoreError::Fatal("the store failed: a segment in use is gone".into()));
        };
        let (name, seed) = (segment.name.clone(), segment.seed);
        let mut bytes = vec![0; place.frame_len() as usize];
        if let Err(error) = self.disk.read(&name, u64::from(place.offset), &mut bytes) {
            return Err(self.fail(&format!("cannot read {name}"), &error));
        }
        match Frame::parse(&bytes, 0, seed) {
            Some(frame) if frame.kind == kind as u8 => {
                bytes.drain(..HEAD_LEN);
                Ok(ReadBack { version: frame.version, payload: bytes })
            }
            _ => Err(self.fail_damaged(&name, u64::from(place.offset))),
        }
    }

    fn name_of(&self, place: Place) -> String {
        name_of(place.segment)
    }

    /// Something that was read back whole before is not any more.
    fn fail_damaged(&mut self, name: &str, offset: u64) -> StoreError {
        let error =
            io::Error::new(io::ErrorKind::InvalidData, "the bytes there are not those that were written");
        self.fail(&format!("{name} is damaged at byte {offset}"), &error)
    }
}

/// The payload of a record.
struct ReadBack {
    version: u8,
    payload: Vec<u8>,
}

impl Cursor {
    /// To the beginning of this segment, unless it is there already.
    fn turn_to(&mut self, segment: Number) {
        if self.segment != Some(segment) {
            self.segment = Some(segment);
            self.at = BODY_AT as u64;
            self.behind_batch = false;
            self.window.clear();
            self.window_at = 0;
        }
    }
}
