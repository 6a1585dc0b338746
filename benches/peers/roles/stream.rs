//! A connection of a text protocol: what is to be written is gathered and leaves at once, what was read is taken line
//! by line and count by count.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

/// Room that is read into at once.
const READ_LEN: usize = 256 * 1024;
/// A payload from this length on is written from where it is.
const COPY_LEN_MAX: usize = 16 * 1024;

trait Wire: Read + Write {}
impl Wire for TcpStream {}
impl Wire for UnixStream {}

pub(crate) struct Stream {
    wire: Box<dyn Wire>,
    read: Vec<u8>,
    /// What of `read` is filled and not taken.
    unread: std::ops::Range<usize>,
    written: Vec<u8>,
}

impl Stream {
    /// Connects to `HOST:PORT`, or to the socket file at a path.
    pub(crate) fn connect(address: &str) -> Result<Stream> {
        let wire: Box<dyn Wire> = match address.starts_with('/') {
            true => Box::new(UnixStream::connect(address)?),
            false => {
                let wire = TcpStream::connect(address)?;
                wire.set_nodelay(true)?;
                Box::new(wire)
            }
        };
        Ok(Stream { wire, read: vec![0; READ_LEN], unread: 0..0, written: Vec::new() })
    }

    /// Gathers bytes to be written.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.len() < COPY_LEN_MAX {
            self.written.extend_from_slice(bytes);
            return Ok(());
        }
        self.flush()?;
        self.wire.write_all(bytes)
    }

    /// Gathers a number to be written.
    pub(crate) fn push_number(&mut self, number: usize) -> Result<()> {
        let mut digits = [0; 20];
        let (mut at, mut rest) = (digits.len(), number);
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                return self.push(&digits[at..]);
            }
        }
    }

    /// Writes what was gathered.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.wire.write_all(&self.written)?;
        self.written.clear();
        Ok(())
    }

    /// The next line without its end; waits for it.
    pub(crate) fn line(&mut self) -> Result<&[u8]> {
        let mut searched = 0;
        let len = loop {
            let unread = &self.read[self.unread.clone()];
            match unread[searched..].iter().position(|byte| *byte == b'\n') {
                Some(at) => break searched + at + 1,
                None => searched = unread.len(),
            }
            self.fill()?;
        };
        let line = self.taken(len);
        Ok(line.strip_suffix(b"\r\n").unwrap_or(line))
    }

    /// The next `len` bytes and the end of line behind them, without it; waits for them.
    pub(crate) fn block(&mut self, len: usize) -> Result<&[u8]> {
        while self.unread.len() < len + 2 {
            self.fill()?;
        }
        Ok(&self.taken(len + 2)[..len])
    }

    /// Whether a line and a block of `len` bytes behind it are there, so that taking them does not wait.
    pub(crate) fn has_line_and(&self, len: usize) -> bool {
        self.unread.len() > len && {
            let unread = &self.read[self.unread.clone()];
            let head = unread.iter().take(256).position(|byte| *byte == b'\n');
            head.is_some_and(|at| unread.len() >= at + 1 + len + 2)
        }
    }

    fn taken(&mut self, len: usize) -> &[u8] {
        let start = self.unread.start;
        self.unread.start += len;
        &self.read[start..start + len]
    }

    /// Reads once more, at the front of the room if nothing is left of what was there.
    fn fill(&mut self) -> Result<()> {
        if self.read.len() - self.unread.end < READ_LEN / 2 {
            let kept = self.unread.len();
            self.read.copy_within(self.unread.clone(), 0);
            self.unread = 0..kept;
            if self.read.len() - kept < READ_LEN / 2 {
                self.read.resize(self.read.len() * 2, 0);
            }
        }
        match self.wire.read(&mut self.read[self.unread.end..])? {
            0 => Err(Error::new(ErrorKind::UnexpectedEof, "the server closed the connection")),
            len => {
                self.unread.end += len;
                Ok(())
            }
        }
    }
}

/// The number a word is.
pub(crate) fn number(word: &[u8]) -> Result<usize> {
    let digits = word.iter().all(u8::is_ascii_digit) && !word.is_empty();
    match digits {
        true => Ok(word.iter().fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))),
        false => Err(unexpected(word)),
    }
}

/// What the server said and should not have.
pub(crate) fn unexpected(line: &[u8]) -> Error {
    Error::other(format!("the server said {:?}", String::from_utf8_lossy(line)))
}
