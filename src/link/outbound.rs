//! What one side has to say in a session. Owns every command from the first that is not acknowledged to the last that
//! was queued.
//!
//! Invariant: each is encoded once, into the block of bytes that becomes the first frame of its packet and is kept, shared
//! with the socket, until all of it is acknowledged.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::model::limits;
use crate::model::{Planted, planted};
use crate::wire::WireError;
use crate::wire::codec::{Chunk, Command, Place, Placement, Writer};
use crate::wire::header::{HEADER_LEN, Header};

/// The outgoing direction of a session.
#[derive(Debug)]
pub(crate) struct Outbound {
    /// Every command kept, in order.
    entries: VecDeque<Entry>,
    /// The number of `entries[0]`; of the next command when there is none.
    first: u64,
    /// The first of them, which were sent since the last resynchronisation.
    sent: VecDeque<Sent>,
    /// The others, which wait for room in the windows: no block is empty.
    waiting: VecDeque<Block>,
    /// How many commands `sent` holds, and their bytes with frames.
    under_way: usize,
    under_way_len: usize,
    /// Bytes of all of `entries`, with frames.
    kept_len: usize,
    /// The highest number ever sent.
    sent_max: u64,
    /// The highest number acknowledged.
    acked: u64,
    window_len: usize,
    spares: Spares,
}

/// One command: its length in its block, and the frames it refers to.
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

/// Commands for one packet.
#[derive(Debug)]
struct Block {
    /// Room for the header, and the commands back to back.
    bytes: BytesMut,
    commands: usize,
    /// Their frames, and their bytes with them.
    frames: usize,
    total: usize,
}

impl Block {
    fn new(len: usize) -> Block {
        Block::within(BytesMut::with_capacity(HEADER_LEN + len))
    }

    fn within(mut bytes: BytesMut) -> Block {
        bytes.resize(HEADER_LEN, 0);
        Block { bytes, commands: 0, frames: 0, total: 0 }
    }

    /// Whether so much more goes into one packet of `len_max` bytes with what is here. The first command always does.
    fn has_room(&self, len_max: usize, commands: usize, frames: usize, total: usize) -> bool {
        self.commands == 0
            || (HEADER_LEN + self.total + total <= len_max
                && 1 + self.frames + frames <= limits::PACKET_FRAMES_MAX
                && self.commands + commands <= limits::PACKET_COMMANDS_MAX)
    }

    fn count(&mut self, commands: usize, frames: usize, total: usize) {
        self.commands += commands;
        self.frames += frames;
        self.total += total;
    }
}

/// The first frame of a packet that was sent.
#[derive(Debug)]
struct Sent {
    bytes: Bytes,
    /// How many of its commands, the last ones, are kept.
    commands: usize,
}

/// Where blocks come from: out of those that are needed no more, as long as anything is kept.
#[derive(Debug, Default)]
struct Spares {
    emptied: Vec<BytesMut>,
    /// What a new block makes room for: as much as the last ones took.
    len: usize,
}

impl Spares {
    /// An empty block, as a rule with room for `len_min` bytes, and for the command more that shows it to be full.
    fn block(&mut self, len_min: usize) -> Block {
        match self.emptied.pop() {
            Some(bytes) => Block::within(bytes),
            None => Block::new((self.len + self.len / 8 + 256).max(len_min)),
        }
    }

    /// A block was filled with so many bytes.
    fn taken(&mut self, len: usize) {
        self.len = len.min(limits::PACKET_LEN_MAX).max(self.len - self.len / 16);
    }

    /// A block is needed no more. Its memory is, if the socket has done with it too.
    fn give_back(&mut self, bytes: Bytes) {
        if self.emptied.len() < limits::PACKETS_UNDER_WAY
            && let Ok(mut bytes) = bytes.try_into_mut()
            && (self.len..=2 * limits::PACKET_LEN_MAX).contains(&bytes.capacity())
        {
            bytes.clear();
            self.emptied.push(bytes);
        }
    }
}

impl Outbound {
    /// Nothing said yet; at most `window_len` bytes may be under way.
    pub(crate) fn new(window_len: usize) -> Self {
        Outbound {
            entries: VecDeque::new(),
            first: 1,
            sent: VecDeque::new(),
            waiting: VecDeque::new(),
            under_way: 0,
            under_way_len: 0,
            kept_len: 0,
            sent_max: 0,
            acked: 0,
            window_len,
            spares: Spares::default(),
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
        if self.waiting.is_empty() {
            self.waiting.push_back(self.spares.block(0));
        }
        let block = self.waiting.back_mut().expect("there is one");
        let before = block.bytes.len();
        let mut frames = Vec::new();
        encode(&mut Writer::new(&mut block.bytes, &mut frames));
        let entry = Entry { len: block.bytes.len() - before, frames };
        let (frames, total) = (entry.frames.len(), entry.total());
        let part = self.kept_len / limits::PACKETS_UNDER_WAY;
        let len_max = part.clamp(limits::PACKET_LEN_MIN, limits::PACKET_LEN_MAX);
        if block.has_room(len_max, 1, frames, total) {
            block.count(1, frames, total);
        } else {
            let mut next = self.spares.block(entry.len);
            next.bytes.extend_from_slice(&block.bytes[before..]);
            block.bytes.truncate(before);
            next.count(1, frames, total);
            self.waiting.push_back(next);
        }
        self.kept_len += total;
        self.entries.push_back(entry);
        self.last()
    }

    /// The number of the last command queued; 0 before the first.
    pub(crate) fn last(&self) -> u64 {
        self.first + self.entries.len() as u64 - 1
    }

    /// The number of the last command sent since the last resynchronisation.
    pub(crate) fn sent_upto(&self) -> u64 {
        self.first + self.under_way as u64 - 1
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

    /// Whether there is a packet to which nothing can be added.
    pub(crate) fn has_full_block(&self) -> bool {
        self.waiting.len() > 1
    }

    /// How many of the waiting commands the next packet takes: at least one if the windows allow any, and then as many as
    /// fit.
    pub(crate) fn batch(&self) -> usize {
        let Some(block) = self.waiting.front() else { return 0 };
        let commands = limits::WINDOW_COMMANDS.saturating_sub(self.under_way);
        let len = self.window_len.saturating_sub(self.under_way_len);
        if block.commands <= commands && block.total <= len {
            return block.commands;
        }
        let mut total = 0;
        let entries = self.entries.range(self.under_way..self.under_way + block.commands);
        let fits = |entry: &Entry| {
            total += entry.total();
            total <= len
        };
        let fitting = entries.take(commands).map(fits).take_while(|fits| *fits).count();
        if self.under_way == 0 { fitting.max(1) } else { fitting }
    }

    /// Makes a packet of the next `batch` commands and counts it as sent. `header` says incarnation and acknowledgement.
    /// Returns how many of its commands had been sent before.
    pub(crate) fn take(&mut self, batch: usize, header: Header) -> (Vec<Bytes>, u64) {
        let first = self.sent_upto() + 1;
        let mut block = match self.waiting.pop_front() {
            Some(block) if batch == 0 => {
                self.waiting.push_front(block);
                Block::new(0)
            }
            Some(block) => self.cut(block, batch),
            None => Block::new(0),
        };
        // The block was cut where the count would not fit.
        let count = block.commands as u16;
        Header { control: false, count, first, ..header }.encode(&mut &mut block.bytes[..HEADER_LEN]);
        let bytes = block.bytes.freeze();
        let mut frames = Vec::with_capacity(1 + block.frames);
        frames.push(bytes.clone());
        if block.frames > 0 {
            for entry in self.entries.range(self.under_way..self.under_way + block.commands) {
                frames.extend_from_slice(&entry.frames);
            }
        }
        if block.commands > 0 {
            self.spares.taken(bytes.len());
            self.sent.push_back(Sent { bytes, commands: block.commands });
        }
        self.under_way += block.commands;
        self.under_way_len += block.total;
        let again = (self.sent_max + 1).saturating_sub(first).min(block.commands as u64);
        self.sent_max = self.sent_max.max(self.sent_upto());
        (frames, again)
    }

    /// Leaves the first `commands` of the block, the first that waits, and lets the others wait on.
    fn cut(&mut self, mut block: Block, commands: usize) -> Block {
        if commands == block.commands {
            return block;
        }
        let mut rest = Block::new(block.bytes.len());
        let mut len = HEADER_LEN;
        for (i, entry) in self.entries.range(self.under_way..self.under_way + block.commands).enumerate() {
            if i < commands {
                len += entry.len;
            } else {
                rest.count(1, entry.frames.len(), entry.total());
            }
        }
        rest.bytes.extend_from_slice(&block.bytes[len..]);
        block.bytes.truncate(len);
        block.commands -= rest.commands;
        block.frames -= rest.frames;
        block.total -= rest.total;
        self.waiting.push_front(rest);
        block
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
        self.drop_upto(if planted(Planted::LoseUnacknowledged) { self.sent_max } else { received });
        let mut again: VecDeque<Block> = VecDeque::new();
        let mut entries = self.entries.iter();
        for sent in std::mem::take(&mut self.sent) {
            let (mut len, mut frames, mut total) = (0, 0, 0);
            for entry in entries.by_ref().take(sent.commands) {
                len += entry.len;
                frames += entry.frames.len();
                total += entry.total();
            }
            if !again
                .back()
                .is_some_and(|block| block.has_room(limits::PACKET_LEN_MAX, sent.commands, frames, total))
            {
                again.push_back(Block::new(len));
            }
            let block = again.back_mut().expect("there is one");
            block.bytes.extend_from_slice(&sent.bytes[sent.bytes.len() - len..]);
            block.count(sent.commands, frames, total);
        }
        again.append(&mut self.waiting);
        self.waiting = again;
        self.under_way = 0;
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
        // What was sent before a resynchronisation may be acknowledged before it is sent again.
        while let (Some(block), Some(late @ 1..)) =
            (self.waiting.front(), number.checked_sub(self.sent_upto()))
        {
            let batch = usize::try_from(late).unwrap_or(usize::MAX).min(block.commands);
            self.take(batch, Header::default());
        }
        while self.first <= number {
            let Some(entry) = self.entries.pop_front() else { break };
            let total = entry.total();
            self.first += 1;
            self.kept_len -= total;
            self.under_way -= 1;
            self.under_way_len -= total;
            if let Some(sent) = self.sent.front_mut() {
                sent.commands -= 1;
                if sent.commands == 0 {
                    let emptied = self.sent.pop_front();
                    emptied.into_iter().for_each(|sent| self.spares.give_back(sent.bytes));
                }
            }
        }
        if self.entries.is_empty() {
            self.spares.emptied.clear();
        }
    }
}
