//! The packets of the coalescing broker and its peers: any number of jobs behind each other in one frame, each as the
//! number of its client, its length and its payload.

use std::io::{Error, Result};

/// Bytes before a payload.
const HEAD_LEN: usize = 8;
/// A packet as long as this leaves; measured, see docs/BENCHMARKS.md.
pub(crate) const PACKET_LEN: usize = 64 * 1024;

/// Adds a job whose payload comes in two parts.
pub(crate) fn add(packet: &mut Vec<u8>, client: u32, [head, rest]: [&[u8]; 2]) {
    packet.extend_from_slice(&client.to_le_bytes());
    packet.extend_from_slice(&((head.len() + rest.len()) as u32).to_le_bytes());
    packet.extend_from_slice(head);
    packet.extend_from_slice(rest);
}

/// The jobs of a packet.
pub(crate) struct Jobs<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Jobs<'a> {
    /// The client's number and the payload.
    type Item = Result<(u32, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = self.0.split_first_chunk::<HEAD_LEN>()?;
        let [c0, c1, c2, c3, l0, l1, l2, l3] = *head;
        let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let Some((payload, rest)) = rest.split_at_checked(len) else {
            self.0 = &[];
            return Some(Err(Error::other("a packet ends inside a job")));
        };
        self.0 = rest;
        Some(Ok((u32::from_le_bytes([c0, c1, c2, c3]), payload)))
    }
}
