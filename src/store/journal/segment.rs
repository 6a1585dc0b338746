//! Segments: files of one length, each with a header, then batches.
//!
//! | offset | type | field |
//! |---|---|---|
//! | 0 | 8 bytes | `forebayJ` |
//! | 8 | u32 | version of the format, 1 |
//! | 12 | u32 | epoch in which it was begun |
//! | 16 | u64 | its number |
//! | 24 | u64 | lsn of its first frame |
//! | 32 | u64 | the oldest segment needed when it was begun |
//! | 40 | 16 bytes | the broker's id |
//! | 56 | 16 bytes | the store's salt |
//! | 72 | u32 | CRC-32C of the 72 bytes before |
//!
//! The rest of the first 4,096 bytes is not used. The header is synced before the first batch is written.

use std::num::NonZeroU32;

use crate::store::journal::frame::{u32_at, u64_at};

/// Where the first batch begins.
pub(super) const BODY_AT: usize = 4_096;
/// Bytes of the header.
pub(super) const HEADER_LEN: usize = 76;
const MAGIC: &[u8; 8] = b"forebayJ";
const FORMAT: u32 = 1;

/// A segment's number. They are used up one a rotation, which 32 bits outlast.
pub(super) type Number = NonZeroU32;

/// Where a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: Number,
    /// Of its head.
    pub(super) offset: u32,
    /// Of its payload.
    pub(super) len: u32,
}

impl Place {
    /// Bytes of the frame.
    pub(super) fn frame_len(self) -> u64 {
        super::frame::HEAD_LEN as u64 + u64::from(self.len)
    }
}

/// What a segment says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) number: Number,
    pub(super) epoch: u32,
    pub(super) first_lsn: u64,
    pub(super) oldest: u64,
    pub(super) broker: [u8; 16],
    pub(super) salt: [u8; 16],
}

/// What stands where a header should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    Header(Header),
    /// A whole header of a format this version does not know.
    Later(u32),
    /// None, or one that is not whole.
    Bad,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.epoch.to_be_bytes());
        bytes[16..24].copy_from_slice(&u64::from(self.number.get()).to_be_bytes());
        bytes[24..32].copy_from_slice(&self.first_lsn.to_be_bytes());
        bytes[32..40].copy_from_slice(&self.oldest.to_be_bytes());
        bytes[40..56].copy_from_slice(&self.broker);
        bytes[56..72].copy_from_slice(&self.salt);
        let crc = crc32c::crc32c(&bytes[..72]);
        bytes[72..].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// The header at the beginning of `bytes`.
    pub(super) fn decode(bytes: &[u8]) -> Read {
        let Some(bytes) = bytes.first_chunk::<HEADER_LEN>() else { return Read::Bad };
        if &bytes[..8] != MAGIC || crc32c::crc32c(&bytes[..72]) != u32_at(bytes, 72) {
            return Read::Bad;
        }
        if u32_at(bytes, 8) != FORMAT {
            return Read::Later(u32_at(bytes, 8));
        }
        let Some(number) = u32::try_from(u64_at(bytes, 16)).ok().and_then(Number::new) else {
            return Read::Bad;
        };
        let (mut broker, mut salt) = ([0; 16], [0; 16]);
        broker.copy_from_slice(&bytes[40..56]);
        salt.copy_from_slice(&bytes[56..72]);
        let (first_lsn, oldest) = (u64_at(bytes, 24), u64_at(bytes, 32));
        Read::Header(Header { number, epoch: u32_at(bytes, 12), first_lsn, oldest, broker, salt })
    }
}

/// The name of a segment's file.
pub(super) fn name_of(number: Number) -> String {
    format!("{number:08x}.log")
}

/// The number in the name of a segment's file.
pub(super) fn number_in(name: &str) -> Option<Number> {
    let digits = name.strip_suffix(".log").filter(|digits| digits.len() == 8)?;
    u32::from_str_radix(digits, 16).ok().and_then(Number::new).filter(|number| name_of(*number) == name)
}

/// The name of a file that waits to become a segment.
pub(super) fn spare_name(n: u32) -> String {
    format!("spare-{n:08x}")
}

/// The number in such a name.
pub(super) fn spare_in(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("spare-").filter(|digits| digits.len() == 8)?;
    u32::from_str_radix(digits, 16).ok()
}
