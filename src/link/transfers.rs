//! Puts the chunks of large parts together again. Owns at most one unfinished transfer and the finished ones that no
//! command has used yet, together never more than a payload may have.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::model::limits;
use crate::wire::WireError;
use crate::wire::codec::{Chunk, Command, Numbered};

/// The transfers of one direction of a session.
#[derive(Debug)]
pub(crate) struct Transfers {
    /// Bytes of the whole, and what has come of it.
    unfinished: Option<(u64, Vec<u8>)>,
    finished: VecDeque<Bytes>,
    len_max: u64,
}

impl Transfers {
    /// No transfer; payloads have at most `len_max` bytes.
    pub(crate) fn new(len_max: u64) -> Self {
        Transfers { unfinished: None, finished: VecDeque::new(), len_max }
    }

    /// Checks that these commands can be taken one after the other, without taking any.
    ///
    /// # Errors
    /// `Transfer`, `Length` or `TooLarge`.
    pub(crate) fn check<C: Command>(&self, commands: &[Numbered<C>]) -> Result<(), WireError> {
        let idle = self.unfinished.is_none() && self.finished.is_empty();
        let plain = |command: &Numbered<C>| matches!(command, Numbered::Command { transfers, .. } if transfers.is_empty());
        if idle && commands.iter().all(plain) {
            return Ok(());
        }
        let mut unfinished = self.unfinished.as_ref().map(|(total, bytes)| (*total, bytes.len() as u64));
        let mut finished: VecDeque<u64> = self.finished.iter().map(|bytes| bytes.len() as u64).collect();
        for command in commands {
            match command {
                Numbered::Chunk(chunk) => {
                    let ready: u64 = finished.iter().sum();
                    let (total, at) = unfinished.unwrap_or((chunk.total, 0));
                    let len = chunk.piece.len() as u64;
                    if ready.saturating_add(total) > self.len_max {
                        return Err(WireError::TooLarge {
                            len: ready.saturating_add(total),
                            len_max: self.len_max,
                        });
                    }
                    let fits = len > 0 && len <= limits::CHUNK_LEN_MAX as u64 && len <= total - at;
                    if chunk.total != total || chunk.offset != at || !fits {
                        return Err(WireError::Transfer);
                    }
                    unfinished = Some((total, at + len)).filter(|_| at + len < total);
                    if at + len == total {
                        finished.push_back(total);
                    }
                }
                Numbered::Command { transfers, .. } => {
                    if unfinished.is_some() {
                        return Err(WireError::Transfer);
                    }
                    for (_, len) in transfers {
                        let ready = finished.pop_front().ok_or(WireError::Transfer)?;
                        if ready != *len {
                            return Err(WireError::Length);
                        }
                    }
                    finished.clear();
                }
            }
        }
        Ok(())
    }

    /// Takes a chunk that was checked.
    pub(crate) fn add(&mut self, chunk: &Chunk) {
        let (total, bytes) = self.unfinished.get_or_insert_with(|| (chunk.total, Vec::new()));
        // Doubles, but never beyond the whole: nothing is set aside for bytes that have not come half way.
        let left = usize::try_from(*total).unwrap_or(usize::MAX).saturating_sub(bytes.len());
        if bytes.capacity() - bytes.len() < chunk.piece.len() {
            bytes.reserve_exact(left.min(bytes.len().max(chunk.piece.len())));
        }
        bytes.extend_from_slice(&chunk.piece);
        if bytes.len() as u64 >= *total {
            self.finished.extend(self.unfinished.take().map(|(_, bytes)| Bytes::from(bytes)));
        }
    }

    /// Puts the finished transfers where a command that was checked refers to them.
    pub(crate) fn fill<C: Command>(&mut self, command: &mut C, transfers: &[(usize, u64)]) {
        for (part, _) in transfers {
            let bytes = self.finished.pop_front().unwrap_or_default();
            if let Some(place) = command.body_mut().and_then(|body| body.0.get_mut(*part)) {
                *place = bytes;
            }
        }
        self.finished.clear();
    }
}
