//! The frame around each record, which says what it is and proves that it is whole and where it belongs.
//!
//! | offset | type | field |
//! |---|---|---|
//! | 0 | u32 | CRC-32C of everything after it, begun from the segment's seed |
//! | 4 | u32 | length of the payload |
//! | 8 | u64 | lsn: the number of this frame in the store's life |
//! | 16 | u32 | epoch: which start of the broker wrote it |
//! | 20 | u8 | kind |
//! | 21 | u8 | version of the payload's bytes |
//! | 22 | u16 | 0 |
//!
//! The seed is the CRC of the store's salt and the segment's number. Begun from another seed the same bytes have
//! another CRC, always, so a frame left in a recycled segment by its former life is never taken for one of this.

use std::ops::Range;

use crate::model::{Planted, planted};

/// Bytes of a frame before its payload.
pub(super) const HEAD_LEN: usize = 24;

/// Where in the head the kind is.
pub(super) const KIND_AT: usize = 20;

/// The end of a batch: the lsn of its first frame and the oldest segment that is still needed.
pub(super) const COMMIT: u8 = 1;
/// Says that the batch before it was synced. Written after that, and never waited for.
pub(super) const WITNESS: u8 = 2;

/// Bytes of a commit's payload.
pub(super) const COMMIT_LEN: usize = 16;

/// What every batch takes besides its records: its commit, and the witness behind it.
pub(super) const TAIL_LEN: usize = HEAD_LEN + COMMIT_LEN + HEAD_LEN;

/// The seed of a segment's frames.
pub(super) fn seed(salt: &[u8; 16], segment: u64) -> u32 {
    if planted(Planted::ForgetSegmentInSeed) {
        return crc32c::crc32c(salt);
    }
    crc32c::crc32c_append(crc32c::crc32c(salt), &segment.to_be_bytes())
}

/// A frame that was read, its payload still in the buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Where it begins.
    pub(super) at: usize,
    pub(super) payload: Range<usize>,
    pub(super) lsn: u64,
    pub(super) epoch: u32,
    pub(super) kind: u8,
    pub(super) version: u8,
}

impl Frame {
    /// The frame at `at`, if there is a whole one.
    pub(super) fn parse(buffer: &[u8], at: usize, seed: u32) -> Option<Frame> {
        let bytes = buffer.get(at..)?;
        let head = bytes.first_chunk::<HEAD_LEN>()?;
        let len = u32_at(head, 4) as usize;
        if head[22..] != [0, 0] || head[KIND_AT] == 0 || len > bytes.len() - HEAD_LEN {
            return None;
        }
        let end = HEAD_LEN + len;
        let is_whole = crc32c::crc32c_append(seed, &bytes[4..end]) == u32_at(head, 0);
        if !is_whole && !planted(Planted::SkipCrc) {
            return None;
        }
        Some(Frame {
            at,
            payload: at + HEAD_LEN..at + end,
            lsn: u64_at(head, 8),
            epoch: u32_at(head, 16),
            kind: head[KIND_AT],
            version: head[21],
        })
    }

    /// Where the next one begins.
    pub(super) fn end(&self) -> usize {
        self.payload.end
    }

    /// First lsn of the batch and oldest segment needed, if this is a commit.
    pub(super) fn commit(&self, buffer: &[u8]) -> Option<(u64, u64)> {
        if self.kind != COMMIT || self.payload.len() != COMMIT_LEN {
            return None;
        }
        let payload = &buffer[self.payload.clone()];
        Some((u64_at(payload, 0), u64_at(payload, 8)))
    }
}

/// How long the payload of the frame with this head says it is. Not checked.
pub(super) fn payload_len(head: &[u8; HEAD_LEN]) -> usize {
    u32_at(head, 4) as usize
}

/// Fills the head of a frame whose payload stands behind it already.
pub(super) fn fill(frame: &mut [u8], seed: u32, lsn: u64, epoch: u32, kind: u8, version: u8) {
    let len = (frame.len() - HEAD_LEN) as u32;
    frame[4..8].copy_from_slice(&len.to_be_bytes());
    frame[8..16].copy_from_slice(&lsn.to_be_bytes());
    frame[16..20].copy_from_slice(&epoch.to_be_bytes());
    (frame[KIND_AT], frame[21], frame[22], frame[23]) = (kind, version, 0, 0);
    let crc = crc32c::crc32c_append(seed, &frame[4..]);
    frame[..4].copy_from_slice(&crc.to_be_bytes());
}

/// A big-endian number in `bytes`, which are long enough.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut wide = [0; 4];
    wide.copy_from_slice(&bytes[at..at + 4]);
    u32::from_be_bytes(wide)
}

/// As [`u32_at`].
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut wide = [0; 8];
    wide.copy_from_slice(&bytes[at..at + 8]);
    u64::from_be_bytes(wide)
}
