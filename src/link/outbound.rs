//! What one side has to say in a session. Owns every command from the first that is not acknowledged to the last that
//! was queued, each encoded once; `sent` of them are under way, the rest waits for room in the windows.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use crate::model::limits;
use crate::wire::WireError;
use crate::wire::codec::{Chunk, Command, Place, Placement, Writer};
use crate::wire::header::{HEADER_LEN, Header};

/// An emptied buffer larger than this is given back.
const IDLE_LEN_MAX: usize = 64 << 10;

/// The outgoing direction of a session.
#[derive(Debug)]
pub(crate) struct Outbound {
    /// The encoded commands of `entries`, back to back.
    bytes: BytesMut,
    entries: VecDeque<Entry>,
    /// The number of `entries[0]`; of the next command when there is none.
    first: u64,
    /// How many of `entries` were sent since the last resynchronisation, and their bytes without and with frames.
    sent: usize,
    sent_bytes: usize,
    under_way_len: usize,
    /// Bytes of all of `entries`, with frames.
    kept_len: usize,
    /// The highest number ever sent.
    sent_max: u64,
    /// The highest number acknowledged.
    acked: u64,
    window_len: usize,
}

/// One command: its length in `bytes`, and the frames it refers to.
#[derive(Debug)]
struct Entry {
    len: usize,
    frames: Vec<Bytes>,
}

impl Entry {
    fn total(&self) -> usize {
        self.len + self.frames.iter().map(Bytes::len).sum::<usize>()
    }
}

/// The commands that go into one packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) count: usize,
    bytes: usize,
    frames: usize,
    total: usize,
}

impl Outbound {
    /// Nothing said yet; at most `window_len` bytes may be under way.
    pub(crate) fn new(window_len: usize) -> Self {
        Outbound {
            bytes: BytesMut::new(),
            entries: VecDeque::new(),
            first: 1,
            sent: 0,
            sent_bytes: 0,
            under_way_len: 0,
            kept_len: 0,
            sent_max: 0,
            acked: 0,
            window_len,
        }
    }

    /// Queues a command, and before it the chunks of the parts that need them. Returns the command's number.
    pub(crate) fn push<C: Command>(&mut self, command: &C) -> u64 {
        if let Some(body) = command.body() {
            let mut placement = Placement::default();
            for part in &body.0 {
                if placement.place(part.len()) == Place::Transfer {
                    self.push_chunks(part);
                }
            }
        }
        self.push_entry(|w| command.encode(w))
    }

    fn push_chunks(&mut self, part: &Bytes) {
        let mut offset = 0;
        while offset < part.len() {
            let end = part.len().min(offset + limits::CHUNK_LEN_MAX);
            let chunk =
                Chunk { total: part.len() as u64, offset: offset as u64, piece: part.slice(offset..end) };
            self.push_entry(|w| chunk.encode(w));
            offset = end;
        }
    }

    fn push_entry(&mut self, encode: impl FnOnce(&mut Writer<'_>)) -> u64 {
        let before = self.bytes.len();
        let mut frames = Vec::new();
        encode(&mut Writer::new(&mut self.bytes, &mut frames));
        let entry = Entry { len: self.bytes.len() - before, frames };
        self.kept_len += entry.total();
        self.entries.push_back(entry);
        self.last()
    }

    /// The number of the last command queued; 0 before the first.
    pub(crate) fn last(&self) -> u64 {
        self.first + self.entries.len() as u64 - 1
    }

    /// The number of the last command sent since the last resynchronisation.
    pub(crate) fn sent_upto(&self) -> u64 {
        self.first + self.sent as u64 - 1
    }

    /// The highest number acknowledged.
    pub(crate) fn acked(&self) -> u64 {
        self.acked
    }

    /// Commands kept: sent and not acknowledged, or waiting.
    pub(crate) fn kept(&self) -> usize {
        self.entries.len()
    }

    /// Whether more than two windows wait, or, once that was said, still more than half a window.
    pub(crate) fn is_congested(&self, said: bool) -> bool {
        if said {
            return self.kept_len > self.window_len / 2 || self.entries.len() > limits::WINDOW_COMMANDS / 2;
        }
        self.kept_len > self.window_len * 2 || self.entries.len() > limits::WINDOW_COMMANDS * 2
    }

    /// The waiting commands that the next packet takes: at least one if the windows allow any, and then as many as fit.
    pub(crate) fn batch(&self) -> Batch {
        let mut batch = Batch { count: 0, bytes: HEADER_LEN, frames: 1, total: HEADER_LEN };
        for entry in self.entries.range(self.sent..) {
            let total = entry.total();
            let under_way = self.sent + batch.count;
            let len = self.under_way_len + batch.total - HEADER_LEN + total;
            if under_way > 0 && (under_way >= limits::WINDOW_COMMANDS || len > self.window_len) {
                break;
            }
            if batch.count > 0
                && (batch.total + total > limits::PACKET_LEN_TARGET
                    || batch.frames + entry.frames.len() > limits::PACKET_FRAMES_MAX
                    || batch.count == limits::PACKET_COMMANDS_MAX)
            {
                break;
            }
            batch.count += 1;
            batch.bytes += entry.len;
            batch.frames += entry.frames.len();
            batch.total += total;
        }
        batch
    }

    /// Makes a packet of `batch` and counts it as sent. `header` says incarnation and acknowledgement.
    /// Returns how many of its commands had been sent before.
    pub(crate) fn take(&mut self, batch: Batch, header: Header) -> (Vec<Bytes>, u64) {
        let mut bytes = BytesMut::with_capacity(batch.bytes);
        let first = self.sent_upto() + 1;
        // The batch was cut where the count would not fit.
        let count = batch.count as u16;
        Header { control: false, count, first, ..header }.encode(&mut bytes);
        let len = batch.bytes - HEADER_LEN;
        bytes.extend_from_slice(&self.bytes[self.sent_bytes..self.sent_bytes + len]);
        let mut frames = Vec::with_capacity(batch.frames);
        frames.push(bytes.freeze());
        for entry in self.entries.range(self.sent..self.sent + batch.count) {
            frames.extend_from_slice(&entry.frames);
        }
        self.sent += batch.count;
        self.sent_bytes += len;
        self.under_way_len += batch.total - HEADER_LEN;
        let again = (self.sent_max + 1).saturating_sub(first).min(batch.count as u64);
        self.sent_max = self.sent_max.max(self.sent_upto());
        (frames, again)
    }

    /// Whether a command with this number has been sent; 0 counts as sent.
    pub(crate) fn was_sent(&self, number: u64) -> bool {
        number <= self.sent_max
    }

    /// Whether the other side can have received exactly this much.
    pub(crate) fn can_resync(&self, received: u64) -> bool {
        (self.first - 1..=self.sent_max).contains(&received)
    }

    /// Drops what the other side received and counts the rest as never sent.
    pub(crate) fn resync(&mut self, received: u64) {
        self.drop_upto(received);
        self.sent = 0;
        self.sent_bytes = 0;
        self.under_way_len = 0;
    }

    /// The other side acknowledges everything up to `number`.
    ///
    /// # Errors
    /// `Number` when that was never sent.
    pub(crate) fn acknowledge(&mut self, number: u64) -> Result<(), WireError> {
        if number > self.sent_max {
            return Err(WireError::Number);
        }
        self.acked = self.acked.max(number);
        self.drop_upto(number);
        Ok(())
    }

    fn drop_upto(&mut self, number: u64) {
        while self.first <= number {
            let Some(entry) = self.entries.pop_front() else { break };
            self.first += 1;
            self.kept_len -= entry.total();
            self.bytes.advance(entry.len);
            if self.sent > 0 {
                self.sent -= 1;
                self.sent_bytes -= entry.len;
                self.under_way_len -= entry.total();
            }
        }
        if self.entries.is_empty() && self.bytes.capacity() > IDLE_LEN_MAX {
            self.bytes = BytesMut::new();
        }
    }
}
