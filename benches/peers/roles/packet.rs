//! The packets of the coalescing broker and its peers: any number of jobs behind each other in one frame, each as its
//! length and its payload. The frame before it is the head: whose jobs they are, and how many.

use std::io::{Error, Result};

/// Bytes of a head: the client's number and the count of jobs.
pub(crate) const HEAD_LEN: usize = 8;
/// A packet as long as this leaves; measured, see docs/BENCHMARKS.md.
pub(crate) const PACKET_LEN: usize = 64 * 1024;

pub(crate) fn head(client: u32, jobs: u32) -> [u8; HEAD_LEN] {
    (u64::from(client) << 32 | u64::from(jobs)).to_be_bytes()
}

/// The client's number and the count of jobs.
pub(crate) fn read_head(head: &[u8]) -> Result<(u32, u32)> {
    let bytes = head.try_into().map_err(|_| Error::other("a packet without a head"))?;
    let number = u64::from_be_bytes(bytes);
    Ok(((number >> 32) as u32, number as u32))
}

/// Adds a job whose payload comes in two parts.
pub(crate) fn add(packet: &mut Vec<u8>, [head, rest]: [&[u8]; 2]) {
    packet.extend_from_slice(&((head.len() + rest.len()) as u32).to_le_bytes());
    packet.extend_from_slice(head);
    packet.extend_from_slice(rest);
}

/// The payloads of a packet's jobs.
pub(crate) struct Jobs<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Jobs<'a> {
    type Item = Result<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let (len, rest) = self.0.split_first_chunk()?;
        let Some((payload, rest)) = rest.split_at_checked(u32::from_le_bytes(*len) as usize) else {
            self.0 = &[];
            return Some(Err(Error::other("a packet ends inside a job")));
        };
        self.0 = rest;
        Some(Ok(payload))
    }
}
