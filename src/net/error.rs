//! What can go wrong with an address or a socket.
//!
//! Invariant: the text names the value at fault and what would be right; the kind is what a caller decides by.

use std::fmt;
use std::io;

/// What a caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// An address is malformed or cannot be used that way: correct it.
    Address,
    /// Somebody else listens there.
    InUse,
    /// The operating system refused, for reasons outside this program.
    Io,
    /// This build or system cannot do it.
    Unsupported,
    /// A key, a key file or a folder's permissions forbid it.
    Denied,
}

/// An error of this layer: a kind and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    text: String,
}

/// Results of this layer.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    pub(crate) fn address(text: impl Into<String>) -> Self {
        Self::new(ErrorKind::Address, text)
    }

    pub(crate) fn denied(text: impl Into<String>) -> Self {
        Self::new(ErrorKind::Denied, text)
    }

    /// `doing` completes the sentence "could not ...".
    pub(crate) fn io(doing: impl fmt::Display, error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::PermissionDenied => ErrorKind::Denied,
            io::ErrorKind::AddrInUse => ErrorKind::InUse,
            _ => ErrorKind::Io,
        };
        Self::new(kind, format!("could not {doing}: {}", plain(error)))
    }

    /// As [`Error::io`], with the calling thread's `errno`, which may be one of libzmq's own.
    pub(crate) fn last(doing: impl fmt::Display) -> Self {
        Self::errno(doing, last_errno())
    }

    /// As [`Error::io`], with an `errno`, which may be one of libzmq's own.
    pub(crate) fn errno(doing: impl fmt::Display, errno: i32) -> Self {
        Self::io(doing, &io_error(errno))
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}

/// The system's words for an error, without the number Rust puts behind them.
pub(crate) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_ascii_lowercase(),
        None => text,
    }
}

/// The calling thread's `errno`.
pub(crate) fn last_errno() -> i32 {
    // SAFETY: reads this thread's error number.
    unsafe { zmq_sys::zmq_errno() }
}

fn io_error(errno: i32) -> io::Error {
    if errno < 4096 {
        return io::Error::from_raw_os_error(errno);
    }
    // SAFETY: for any number libzmq answers with a static text.
    let text = unsafe { std::ffi::CStr::from_ptr(zmq_sys::zmq_strerror(errno)) };
    io::Error::other(text.to_string_lossy().into_owned())
}
