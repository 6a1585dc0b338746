//! A batch before it is written: frames one behind the other, their heads still empty.

use std::ops::Range;

use crate::core::record::Record;
use crate::store::codec::{Kind, encode, version_of};
use crate::store::journal::frame::{COMMIT, COMMIT_LEN, HEAD_LEN, fill};

/// A larger buffer is given back after use.
const KEPT_LEN_MAX: usize = 4 << 20;

/// Frames to be written together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    frames: Vec<Head>,
}

#[derive(Debug)]
struct Head {
    at: usize,
    kind: u8,
    version: u8,
}

impl Batch {
    /// Adds a record and says where its frame is.
    pub(super) fn push(&mut self, record: &Record) -> Range<usize> {
        let kind = Kind::of(record);
        let at = self.begin(kind as u8, version_of(record));
        encode(record, &mut self.bytes);
        at..self.bytes.len()
    }

    /// Adds a frame with bytes that were a frame's payload before.
    pub(super) fn push_bytes(&mut self, kind: u8, version: u8, payload: &[u8]) -> Range<usize> {
        let at = self.begin(kind, version);
        self.bytes.extend_from_slice(payload);
        at..self.bytes.len()
    }

    fn begin(&mut self, kind: u8, version: u8) -> usize {
        let at = self.bytes.len();
        self.frames.push(Head { at, kind, version });
        self.bytes.resize(at + HEAD_LEN, 0);
        at
    }

    /// Takes the last frame out again.
    pub(super) fn pop(&mut self) {
        if let Some(head) = self.frames.pop() {
            self.bytes.truncate(head.at);
        }
    }

    /// Ends the batch: adds its commit and fills every head. Returns the lsn that comes next.
    pub(super) fn seal(&mut self, seed: u32, first_lsn: u64, epoch: u32, oldest: u64) -> u64 {
        let mut payload = [0; COMMIT_LEN];
        payload[..8].copy_from_slice(&first_lsn.to_be_bytes());
        payload[8..].copy_from_slice(&oldest.to_be_bytes());
        self.push_bytes(COMMIT, 1, &payload);
        let next_lsn = first_lsn + self.frames.len() as u64;
        let (mut lsn, mut end) = (next_lsn, self.bytes.len());
        for head in self.frames.iter().rev() {
            lsn -= 1;
            fill(&mut self.bytes[head.at..end], seed, lsn, epoch, head.kind, head.version);
            end = head.at;
        }
        next_lsn
    }

    /// The version of the frame at `at`.
    pub(super) fn version_at(&self, at: usize) -> u8 {
        self.frames.binary_search_by_key(&at, |head| head.at).map_or(0, |found| self.frames[found].version)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.frames.clear();
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_LEN_MAX);
    }
}
