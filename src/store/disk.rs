//! What the journal asks of a disk.
//!
//! The contract every implementation keeps, and nothing more is relied upon: a write is visible to reads at once; it
//! survives a crash only once a `sync` of its file that began after it has returned. Until then any of its sectors
//! may survive alone, in any order. A sector of 512 bytes is written whole or not at all, and writing one leaves its
//! neighbours as they are. A name is made, changed or removed for good once `sync_names` has returned; until then a
//! crash may undo the last of such changes, in their order.

use std::io;

/// Files of fixed lengths under names.
pub trait Disk {
    /// Every name, in order.
    ///
    /// # Errors
    /// What the system says.
    fn names(&mut self) -> io::Result<Vec<String>>;

    /// Makes a file of `len` bytes, all zero, whose space is there for certain where the system can promise that.
    ///
    /// # Errors
    /// [`is_full`] says whether there was no room; nothing is left of the file then.
    fn create(&mut self, name: &str, len: u64) -> io::Result<()>;

    /// Another name for a file. Nothing has the new name.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&mut self, name: &str) -> io::Result<()>;

    /// How long a file is.
    ///
    /// # Errors
    /// What the system says.
    fn len(&mut self, name: &str) -> io::Result<u64>;

    /// Fills `buffer` from `offset` on. The file is long enough.
    ///
    /// # Errors
    /// What the system says.
    fn read(&mut self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes at `offset`, within the file's length.
    ///
    /// # Errors
    /// What the system says.
    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Returns when everything written to the file is on the medium.
    ///
    /// # Errors
    /// What the system says. It is then unknown what is on the medium, and asking again would not tell.
    fn sync(&mut self, name: &str) -> io::Result<()>;

    /// Returns when the names are as they are for good.
    ///
    /// # Errors
    /// As `sync`.
    fn sync_names(&mut self) -> io::Result<()>;
}

/// Whether an error says that there is no room.
pub fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}
