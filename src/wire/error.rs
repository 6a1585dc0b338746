//! Why bytes are not a packet. A packet that cannot be read is dropped whole; these are the names under which it is
//! counted and logged.

use std::fmt;

/// What is wrong with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// It ends before what it announces.
    Short,
    /// It does not begin with the magic number.
    Magic(u32),
    /// Its major is not spoken here.
    Major(u8),
    /// A value of another type stands where this one belongs.
    Type(&'static str),
    /// A value of the right type that this cannot have.
    Value(&'static str),
    /// More of these than may be.
    TooMany(&'static str),
    /// Bytes follow the last command.
    Trailing,
    /// The commands refer to more frames than there are, or to fewer.
    Frames,
    /// A frame or a transfer has another length than the command that refers to it says.
    Length,
    /// A chunk that does not continue its transfer, or a transfer that is not there.
    Transfer,
    /// A transfer over the limit of payloads.
    TooLarge {
        /// What it would have.
        len: u64,
        /// What it may have.
        len_max: u64,
    },
    /// Numbers that this session cannot have reached.
    Number,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireError::Short => f.write_str("ends before what it announces"),
            WireError::Magic(magic) => write!(f, "begins with {magic:08x}, not with 46424159"),
            WireError::Major(major) => write!(f, "has major {major}; this side speaks 1"),
            WireError::Type(wanted) => write!(f, "has another type where {wanted} belongs"),
            WireError::Value(what) => write!(f, "has a {what} that cannot be"),
            WireError::TooMany(what) => write!(f, "has too many {what}"),
            WireError::Trailing => f.write_str("goes on after its last command"),
            WireError::Frames => f.write_str("has another number of frames than its commands refer to"),
            WireError::Length => f.write_str("has a frame of another length than its command says"),
            WireError::Transfer => f.write_str("has a chunk or a transfer out of its order"),
            WireError::TooLarge { len, len_max } => {
                write!(f, "transfers {len} bytes; a payload has at most {len_max}")
            }
            WireError::Number => f.write_str("has numbers this session cannot have reached"),
        }
    }
}

impl std::error::Error for WireError {}
