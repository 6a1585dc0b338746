//! One session's two directions, the same on both sides: numbers, what is kept until acknowledged, what is expected
//! next. [`crate::link::Hub`] has one for each session, [`crate::link::Peer`] has one.

use bytes::Bytes;

use crate::link::inbound::Inbound;
use crate::link::outbound::Outbound;
use crate::model::limits;
use crate::model::{Planted, planted};
use crate::wire::codec::{Command, Numbered};
use crate::wire::command::Control;
use crate::wire::{Header, Packet, WireError, control_packet};

/// When a received command counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// When it was received.
    AtOnce,
    /// When [`Lane::done`] says so.
    WhenSaid,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Its commands were executed, but for so many that had been executed before.
    Executed {
        /// How many were executed.
        commands: u64,
        /// How many had been before.
        duplicates: u64,
    },
    /// Something before it was lost. It changed nothing.
    Gap,
}

/// The two directions of a session.
#[derive(Debug)]
pub struct Lane {
    out: Outbound,
    inbound: Inbound,
    resent: u64,
}

impl Lane {
    /// A new session. Both windows have `window_len` bytes; payloads have at most `payload_len_max`.
    pub fn new(window_len: u64, payload_len_max: u64) -> Self {
        let window_len = usize::try_from(window_len).unwrap_or(usize::MAX);
        let window_len = if window_len == 0 { limits::WINDOW_LEN } else { window_len };
        Lane { out: Outbound::new(window_len), inbound: Inbound::new(window_len, payload_len_max), resent: 0 }
    }

    /// Queues a command for the other side and returns its number.
    pub fn push<C: Command>(&mut self, command: &C) -> u64 {
        self.out.push(command)
    }

    /// The next packet of commands, or one that only acknowledges when that is due; `None` when there is nothing to say
    /// or no room in the windows.
    pub fn poll_packet(&mut self, now_us: u64, incarnation: u32) -> Option<Vec<Bytes>> {
        let batch = self.out.batch();
        let sent_upto = self.out.sent_upto() + batch as u64;
        let acknowledged = self.inbound.acknowledgement(sent_upto);
        if batch == 0 && !self.inbound.is_due(now_us, acknowledged) {
            return None;
        }
        self.inbound.said(acknowledged);
        let (frames, again) = self.out.take(batch, Header { incarnation, acknowledged, ..Header::default() });
        self.resent += again;
        Some(frames)
    }

    /// Whether a packet is ready to which nothing can be added.
    pub fn has_full_packet(&self) -> bool {
        self.out.has_full_block()
    }

    /// A packet of one command without a number.
    pub fn control(&mut self, incarnation: u32, control: &Control) -> Vec<Bytes> {
        let sent_upto = self.out.sent_upto();
        let acknowledged = self.inbound.acknowledgement(sent_upto);
        self.inbound.said(acknowledged);
        control_packet(
            Header { incarnation, first: sent_upto + 1, acknowledged, ..Header::default() },
            control,
        )
    }

    /// Executes a packet of numbered commands: each that was not executed before goes to `execute` with its number.
    /// `scratch` is empty before and after.
    ///
    /// # Errors
    /// What cannot be read or cannot be, by name. The packet changed nothing.
    pub fn receive<C: Command>(
        &mut self,
        now_us: u64,
        packet: &Packet<'_>,
        done: Done,
        scratch: &mut Vec<Numbered<C>>,
        mut execute: impl FnMut(u64, C),
    ) -> Result<Heard, WireError> {
        match self.check(packet, scratch) {
            Ok(true) => {}
            Ok(false) => return Ok(Heard::Gap),
            Err(error) => {
                scratch.clear();
                return Err(error);
            }
        }
        let skipped = self.skipped(packet);
        let commands = (scratch.len() - skipped) as u64;
        for numbered in scratch.drain(..).skip(skipped) {
            let at_once = match &numbered {
                Numbered::Chunk(_) => true,
                Numbered::Command { command, .. } => done == Done::AtOnce || command.is_ignored(),
            };
            match numbered {
                Numbered::Chunk(chunk) => {
                    self.open(now_us, at_once, false);
                    self.inbound.transfers.add(&chunk);
                }
                Numbered::Command { mut command, transfers } => {
                    let number = self.open(now_us, at_once, command.is_urgent());
                    self.inbound.transfers.fill(&mut command, &transfers);
                    if !command.is_ignored() {
                        execute(number, command);
                    }
                }
            }
        }
        self.inbound.heard(packet.len());
        if skipped > 0 {
            self.inbound.repeat(now_us);
        }
        self.acknowledge(packet)?;
        Ok(Heard::Executed { commands, duplicates: skipped as u64 })
    }

    /// Reads what the header of a packet without numbers says: what is acknowledged, and what should have come.
    ///
    /// # Errors
    /// `Number`, as in [`Lane::receive`].
    pub fn observe(&mut self, packet: &Packet<'_>) -> Result<Heard, WireError> {
        if packet.header.first > self.inbound.expected() {
            return Ok(Heard::Gap);
        }
        self.acknowledge(packet)?;
        Ok(Heard::Executed { commands: 0, duplicates: 0 })
    }

    /// Reads the commands into `scratch` and checks everything that could be wrong with them. False for a gap.
    fn check<C: Command>(
        &self,
        packet: &Packet<'_>,
        scratch: &mut Vec<Numbered<C>>,
    ) -> Result<bool, WireError> {
        if packet.header.first > self.inbound.expected() {
            return Ok(false);
        }
        if (packet.header.first == 0 && !packet.is_empty()) || !self.out.was_sent(packet.header.acknowledged)
        {
            return Err(WireError::Number);
        }
        packet.commands(scratch)?;
        self.inbound.transfers.check(&scratch[self.skipped(packet)..])?;
        Ok(true)
    }

    /// How many commands of this packet were executed before.
    fn skipped(&self, packet: &Packet<'_>) -> usize {
        if planted(Planted::ExecuteTwice) {
            return 0;
        }
        let before = self.inbound.expected().saturating_sub(packet.header.first);
        usize::try_from(before).unwrap_or(usize::MAX).min(usize::from(packet.header.count))
    }

    fn open(&mut self, now_us: u64, done: bool, urgent: bool) -> u64 {
        let number = self.inbound.open(urgent);
        if done {
            // Nothing answers it, so nothing has to be sent before its acknowledgement.
            self.done_after(now_us, number, 0);
        }
        number
    }

    fn acknowledge(&mut self, packet: &Packet<'_>) -> Result<(), WireError> {
        self.out.acknowledge(packet.header.acknowledged)?;
        self.inbound.answered(self.out.acked());
        Ok(())
    }

    /// The command with this number is done, and everything that answers it has been queued.
    pub fn done(&mut self, now_us: u64, number: u64) {
        self.done_after(now_us, number, self.out.last());
    }

    fn done_after(&mut self, now_us: u64, number: u64, after: u64) {
        self.inbound.done(now_us, number, after, self.out.acked());
    }

    /// Whether the other side can have executed exactly the commands up to `received`.
    pub fn can_resync(&self, received: u64) -> bool {
        self.out.can_resync(received)
    }

    /// The other side has executed the commands up to `received`, which [`Lane::can_resync`] allowed; the rest is sent
    /// again, and so are acknowledgements.
    pub fn resync(&mut self, now_us: u64, received: u64) {
        self.out.resync(received);
        self.inbound.repeat(now_us);
    }

    /// The number of the last command executed.
    pub fn received(&self) -> u64 {
        self.inbound.expected() - 1
    }

    /// Every own command up to this number has been acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.out.acked()
    }

    /// Own commands that have not been acknowledged, waiting ones included.
    pub fn unacknowledged(&self) -> usize {
        usize::try_from(self.out.last() - self.out.acked()).unwrap_or(usize::MAX)
    }

    /// Own commands that are kept, to be sent or to be sent again.
    pub fn kept(&self) -> usize {
        self.out.kept()
    }

    /// Whether the other side takes what is said to it much more slowly than it is said. `said`: that was so before.
    pub fn is_congested(&self, said: bool) -> bool {
        self.out.is_congested(said)
    }

    /// Whether neither side has said anything that the other may have executed.
    pub fn is_untouched(&self) -> bool {
        self.received() == 0 && !self.out.was_sent(1)
    }

    /// How many commands were sent more than once.
    pub fn resent(&self) -> u64 {
        self.resent
    }

    /// When an acknowledgement leaves by itself.
    pub fn due_us(&self) -> Option<u64> {
        self.inbound.due_us()
    }
}
