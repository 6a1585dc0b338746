//! Packets: one header and its commands in frame 0, bodies in the frames after it.

use bytes::{Bytes, BytesMut};

use crate::model::limits;
use crate::wire::codec::{Command, Numbered, Reader, Writer, read_numbered};
use crate::wire::command::Control;
use crate::wire::error::WireError;
use crate::wire::header::{HEADER_LEN, Header};

/// A packet taken apart: its header is known to be good, its commands have not been looked at.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// The header.
    pub header: Header,
    commands: &'a [u8],
    bodies: &'a [Bytes],
}

impl<'a> Packet<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// `Short`, `Magic`, `Major`, `TooMany`, or `Number` for numbers that lead beyond 64 bits.
    pub fn open(frames: &'a [Bytes]) -> Result<Self, WireError> {
        let (first, bodies) = frames.split_first().ok_or(WireError::Short)?;
        let (header, commands) = Header::decode(first)?;
        if frames.len() > limits::PACKET_FRAMES_MAX {
            return Err(WireError::TooMany("frames"));
        }
        if header.first.checked_add(u64::from(header.count)).is_none() {
            return Err(WireError::Number);
        }
        Ok(Packet { header, commands, bodies })
    }

    /// Reads the commands without numbers. Those this version does not know are left out.
    ///
    /// # Errors
    /// What cannot be read, by name.
    pub fn controls(&self) -> Result<Vec<Control>, WireError> {
        let mut reader = Reader::new(self.commands, self.bodies);
        let mut controls = Vec::new();
        for _ in 0..self.header.count {
            let code = reader.begin()?;
            controls.extend(Control::decode(code, &mut reader)?);
            reader.end()?;
        }
        reader.finish()?;
        Ok(controls)
    }

    /// Appends the numbered commands to `out`. On an error, what was appended is to be dropped.
    ///
    /// # Errors
    /// What cannot be read, by name.
    pub fn commands<C: Command>(&self, out: &mut Vec<Numbered<C>>) -> Result<(), WireError> {
        let mut reader = Reader::new(self.commands, self.bodies);
        for _ in 0..self.header.count {
            out.push(read_numbered(&mut reader)?);
        }
        reader.finish()
    }

    /// Bytes over all frames.
    pub fn len(&self) -> usize {
        HEADER_LEN + self.commands.len() + self.bodies.iter().map(Bytes::len).sum::<usize>()
    }

    /// Whether it carries no command.
    pub fn is_empty(&self) -> bool {
        self.header.count == 0
    }
}

/// A packet of one command without a number; `header` says everything but that.
pub fn control_packet(header: Header, control: &Control) -> Vec<Bytes> {
    let mut bytes = BytesMut::with_capacity(256);
    Header { control: true, count: 1, ..header }.encode(&mut bytes);
    let mut frames = vec![Bytes::new()];
    control.encode(&mut Writer::new(&mut bytes, &mut frames));
    frames[0] = bytes.freeze();
    frames
}
