//! The end of what a process says on standard error, which is also passed on.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use crate::cli::worker::limits::TAIL_LEN;

/// The last bytes of a stream.
#[derive(Default)]
pub(super) struct Tail(VecDeque<u8>);

impl Tail {
    /// Takes what there is now of a stream that is read without waiting, and passes it on to standard error. Whether
    /// there may be more later.
    pub(super) fn read(&mut self, from: &mut impl Read) -> bool {
        read_now(from, |bytes| {
            let _ = io::stderr().write_all(bytes);
            self.0.extend(bytes);
            let over = self.0.len().saturating_sub(TAIL_LEN);
            self.0.drain(..over);
        })
    }

    /// What is kept.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.iter().copied().collect::<Vec<_>>()).into_owned()
    }
}

/// Hands on what there is now of a stream that is read without waiting. Whether there may be more later.
pub(super) fn read_now(from: &mut impl Read, mut take: impl FnMut(&[u8])) -> bool {
    let mut bytes = [0; 32 << 10];
    loop {
        match from.read(&mut bytes) {
            Ok(0) => return false,
            Ok(len) => take(&bytes[..len]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept() {
        let mut tail = Tail::default();
        let text = "x".repeat(TAIL_LEN) + "\nthe last line\n \n";
        assert!(!tail.read(&mut text.as_bytes()));
        assert_eq!(tail.text().len(), TAIL_LEN);
        assert!(tail.text().ends_with("\nthe last line\n \n"));
    }
}
