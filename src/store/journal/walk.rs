//! From batch to batch through one segment.
//!
//! A batch counts when each of its frames is whole, its lsns follow on, all are of one epoch, and its commit names
//! its first lsn. The epoch rises only with a batch that begins with `Booted`: what a batch that was cut off left
//! behind is of an epoch before, and never counts again.

use memchr::memchr2_iter;

use crate::model::{Planted, planted};
use crate::store::codec::Kind;
use crate::store::journal::frame::{COMMIT, COMMIT_LEN, Frame, HEAD_LEN, KIND_AT, WITNESS};
use crate::store::journal::segment::{BODY_AT, Header};

/// A walk through a segment's bytes.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    buffer: &'a [u8],
    seed: u32,
    /// Where the next batch, or the witness of the last one, should be.
    at: usize,
    /// The lsn that comes next.
    lsn: u64,
    epoch: u32,
    oldest: u64,
    /// What precedes `at` is a batch, so a witness may follow.
    behind_batch: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(buffer: &'a [u8], header: &Header, seed: u32) -> Walk<'a> {
        let Header { first_lsn, epoch, oldest, .. } = *header;
        Walk { buffer, seed, at: BODY_AT, lsn: first_lsn, epoch, oldest, behind_batch: false }
    }

    /// The frames of the next batch, its commit left out. False at the end of what counts.
    pub(super) fn next_batch(&mut self, frames: &mut Vec<Frame>) -> bool {
        if std::mem::take(&mut self.behind_batch) {
            if self.take_witness() {
                return self.take_batch(self.at, frames);
            }
            // The witness is never waited for, so a crash may have taken it, and only it.
            return self.take_batch(self.at, frames) || self.take_batch(self.at + HEAD_LEN, frames);
        }
        self.take_batch(self.at, frames)
    }

    fn take_witness(&mut self) -> bool {
        let witness = Frame::parse(self.buffer, self.at, self.seed).filter(|frame| {
            frame.kind == WITNESS
                && frame.payload.is_empty()
                && frame.lsn + 1 == self.lsn
                && frame.epoch == self.epoch
        });
        if let Some(frame) = &witness {
            self.at = frame.end();
        }
        witness.is_some()
    }

    fn take_batch(&mut self, at: usize, frames: &mut Vec<Frame>) -> bool {
        frames.clear();
        let mut next = at;
        let mut epoch = self.epoch;
        while let Some(frame) = Frame::parse(self.buffer, next, self.seed) {
            if frames.is_empty() && frame.kind == Kind::Booted as u8 && frame.epoch > epoch {
                epoch = frame.epoch;
            }
            if frame.lsn != self.lsn + frames.len() as u64 || frame.epoch != epoch {
                return false;
            }
            next = frame.end();
            if frame.kind == COMMIT {
                let Some((first, oldest)) = frame.commit(self.buffer) else { return false };
                if first != self.lsn {
                    return false;
                }
                if planted(Planted::CutTooMuch) && Frame::parse(self.buffer, next, self.seed).is_none() {
                    return false;
                }
                (self.at, self.lsn, self.epoch, self.oldest) = (next, frame.lsn + 1, epoch, oldest);
                self.behind_batch = true;
                return true;
            }
            frames.push(frame);
        }
        false
    }

    /// Where what counts ends. Behind the last batch's witness, if it is there.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The lsn that comes next.
    pub(super) fn lsn(&self) -> u64 {
        self.lsn
    }

    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The oldest segment that is still needed.
    pub(super) fn oldest(&self) -> u64 {
        self.oldest
    }

    /// Looks at what is behind the end of what counts.
    pub(super) fn tail(&self) -> Tail {
        let end = written_end(self.buffer).min(self.buffer.len());
        let mut torn_end = self.at;
        let mut torn_records = 0;
        let mut next = self.at;
        // The frames of the batch that was being written, as far as they are whole.
        for start in [self.at, self.at + HEAD_LEN] {
            let mut lsn = self.lsn;
            while let Some(frame) = Frame::parse(self.buffer, next.max(start), self.seed) {
                if frame.lsn != lsn || frame.epoch < self.epoch {
                    break;
                }
                (next, lsn) = (frame.end(), lsn + 1);
                torn_records += u64::from(frame.kind != COMMIT);
                torn_end = next;
            }
            if torn_records > 0 {
                break;
            }
        }
        let mut at = self.at;
        while let Some(frame) = self.next_proof(at, end) {
            let later = match frame.commit(self.buffer) {
                // A batch is begun only when the one before it was synced.
                Some((first, _)) => first > self.lsn,
                None => true,
            };
            if later && !planted(Planted::CallDamageTorn) {
                return Tail::Damaged { proof_at: frame.at };
            }
            at = frame.end();
            torn_end = torn_end.max(at);
        }
        Tail::Cut { bytes: (torn_end - self.at) as u64, records: torn_records }
    }

    /// The first commit or witness of what was to come that begins at `at` or later, and whose head ends before `end`.
    fn next_proof(&self, at: usize, end: usize) -> Option<Frame> {
        let last = end.checked_sub(HEAD_LEN)?;
        let kinds = self.buffer.get(at + KIND_AT..=last + KIND_AT)?;
        memchr2_iter(COMMIT, WITNESS, kinds).find_map(|found| self.proof_at(at + found))
    }

    fn proof_at(&self, at: usize) -> Option<Frame> {
        let head = self.buffer.get(at..at + HEAD_LEN)?;
        let fits = match head[KIND_AT] {
            COMMIT => head[4..8] == (COMMIT_LEN as u32).to_be_bytes(),
            _ => head[4..8] == [0; 4],
        };
        if !fits {
            return None;
        }
        let frame = Frame::parse(self.buffer, at, self.seed)?;
        (frame.epoch >= self.epoch && frame.lsn >= self.lsn).then_some(frame)
    }
}

/// What is behind the end of what counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing, or what is left of one batch that was never synced.
    Cut { bytes: u64, records: u64 },
    /// Something that was written only after what is missing had been synced.
    Damaged { proof_at: usize },
}

/// Whether there is a commit or witness anywhere of this segment's own life.
pub(super) fn has_batches(buffer: &[u8], seed: u32) -> bool {
    let kinds = buffer.get(BODY_AT + KIND_AT..written_end(buffer)).unwrap_or_default();
    memchr2_iter(COMMIT, WITNESS, kinds).any(|at| Frame::parse(buffer, BODY_AT + at, seed).is_some())
}

/// Where nothing but zeros begins.
fn written_end(buffer: &[u8]) -> usize {
    let mut end = buffer.len();
    for chunk in buffer.rchunks(4_096) {
        if chunk.iter().any(|byte| *byte != 0) {
            break;
        }
        end -= chunk.len();
    }
    // A frame may end with zeros of its own.
    (end + HEAD_LEN + COMMIT_LEN).min(buffer.len())
}
