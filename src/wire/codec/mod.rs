//! Commands to msgpack and back, exactly as docs/PROTOCOL.md says.

mod body;
mod control;
mod from_broker;
pub mod pipeline;
mod reader;
mod to_broker;
mod writer;

#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::model::Body;
use crate::wire::error::WireError;

pub use body::{Place, Placement};
pub use reader::Reader;
pub use writer::Writer;

/// The code of CHUNK, which travels in both directions.
const CHUNK: u64 = 8;

/// The numbered commands of one direction.
pub trait Command: Sized {
    /// Writes the command. Parts of its body that are transfers must have been sent before.
    fn encode(&self, w: &mut Writer<'_>);
    /// Reads the elements after `code`.
    ///
    /// # Errors
    /// What cannot be read, by name.
    fn decode(code: u64, r: &mut Reader<'_>) -> Result<Self, WireError>;
    /// The body it carries.
    fn body(&self) -> Option<&Body>;
    /// The body it carries, to put transfers into.
    fn body_mut(&mut self) -> Option<&mut Body>;
    /// Whether the receiver lets it pass as if it had not come.
    fn is_ignored(&self) -> bool;
    /// Whether somebody waits for its acknowledgement.
    fn is_urgent(&self) -> bool;
}

/// A piece of a part that is too large for one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Bytes of the whole.
    pub total: u64,
    /// Where in it this piece begins.
    pub offset: u64,
    /// The piece.
    pub piece: Bytes,
}

impl Chunk {
    /// Writes the command.
    pub fn encode(&self, w: &mut Writer<'_>) {
        w.begin(CHUNK, 3);
        w.uint(self.total);
        w.uint(self.offset);
        w.body(&Body::one(self.piece.clone()));
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, WireError> {
        let total = r.uint()?;
        let offset = r.uint()?;
        let mut body = r.body()?;
        match (body.0.pop(), body.0.is_empty()) {
            (Some(piece), true) => Ok(Chunk { total, offset, piece }),
            _ => Err(WireError::Type("a chunk's one part")),
        }
    }
}

/// A numbered command as it stands in a packet.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbered<C> {
    /// A piece of a transfer.
    Chunk(Chunk),
    /// A command, and which parts of its body are transfers of which length.
    Command {
        /// The command; those parts are empty.
        command: C,
        /// Part and length.
        transfers: Vec<(usize, u64)>,
    },
}

/// Reads the next numbered command.
pub(crate) fn read_numbered<C: Command>(r: &mut Reader<'_>) -> Result<Numbered<C>, WireError> {
    let code = r.begin()?;
    if code == CHUNK {
        let chunk = Chunk::decode(r)?;
        return if r.end()?.is_empty() { Ok(Numbered::Chunk(chunk)) } else { Err(WireError::Transfer) };
    }
    let command = C::decode(code, r)?;
    Ok(Numbered::Command { command, transfers: r.end()? })
}
