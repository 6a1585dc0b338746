//! Bytes to packets and commands, and back. Total: any input is a packet or a named error, and nothing is
//! allocated on a peer's word before it is checked. docs/PROTOCOL.md is the specification.
#![forbid(unsafe_code)]

pub mod codec;
pub mod command;
pub mod error;
pub mod header;
pub mod packet;

pub use error::WireError;
pub use header::Header;
pub use packet::{Packet, control_packet};
