//! A folder as a [`Disk`].
//!
//! Invariant: while a [`FileDisk`] lives it alone holds the lock on the folder's file `lock`. The folder is private
//! to its user.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock};
use rustix::io::Errno;

use crate::model::{Failure, Status};
use crate::store::disk::Disk;
use crate::store::io_failure;

/// The file that is locked. It stays when the broker ends.
const LOCK: &str = "lock";

/// A fresh file is filled with zeros ahead of what is written, in steps of so many bytes: a sync is then a write of
/// data alone, and not a change of the file's map as well, which takes twice as long.
const FILL_LEN: usize = 1 << 20;

/// Files of one folder.
#[derive(Debug)]
pub struct FileDisk {
    dir: PathBuf,
    dir_file: File,
    lock: File,
    open: BTreeMap<String, Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// From here on the file was never written.
    filled: u64,
    len: u64,
}

impl FileDisk {
    /// Takes the folder, which is made if it is not there.
    ///
    /// # Errors
    /// `ERR_IN_USE` when another broker has it; `ERR_IO`.
    pub fn open(dir: &Path) -> Result<FileDisk, Failure> {
        let refused = |what: &str, error: &io::Error| {
            io_failure(format_args!("cannot {what} the store {}", dir.display()), error)
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|error| refused("make the folder of", &error))?;
        let dir_file = File::open(dir).map_err(|error| refused("open", &error))?;
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            // The folder's own name must survive too. Where its parent cannot be read it was not made here.
            if let Ok(parent) = File::open(parent) {
                let _ = parent.sync_all();
            }
        }
        let lock = take_lock(dir)?;
        Ok(FileDisk { dir: dir.to_owned(), dir_file, lock, open: BTreeMap::new() })
    }

    /// The descriptor that holds the lock: a forked child that keeps its copy keeps the lock.
    pub fn lock_fd(&self) -> RawFd {
        self.lock.as_raw_fd()
    }

    fn opened(&mut self, name: &str) -> io::Result<&mut Open> {
        if !self.open.contains_key(name) {
            let file = OpenOptions::new().read(true).write(true).open(self.dir.join(name))?;
            let len = file.metadata()?.len();
            self.open.insert(name.to_owned(), Open { file, filled: len, len });
        }
        self.open.get_mut(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn take_lock(dir: &Path) -> Result<File, Failure> {
    let path = dir.join(LOCK);
    let refused = |error: io::Error| io_failure(format_args!("cannot lock {}", path.display()), &error);
    let mut lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(refused)?;
    match flock(lock.as_fd(), FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let mut holder = String::new();
            let _ = lock.read_to_string(&mut holder);
            let who = match holder.trim() {
                "" => "another broker".to_owned(),
                pid => format!("another broker (process {pid})"),
            };
            let message = format!(
                "the store {} is in use by {who}; give this one a store of its own (--store DIR), or none (--memory)",
                dir.display()
            );
            return Err(Failure::new(Status::InUse, message));
        }
        Err(error) => return Err(refused(error.into())),
    }
    // For the message above only, so a failure does no harm.
    let _ = lock.set_len(0).and_then(|()| lock.write_all(std::process::id().to_string().as_bytes()));
    Ok(lock)
}

impl Disk for FileDisk {
    fn names(&mut self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            names.extend(entry?.file_name().into_string().ok().filter(|name| name != LOCK));
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create(&mut self, name: &str, len: u64) -> io::Result<()> {
        let path = self.dir.join(name);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        let reserved = match fallocate(&file, FallocateFlags::empty(), 0, len) {
            // Not every file system can: there a full disk is found out by a write, which is fatal.
            Err(Errno::OPNOTSUPP) => file.set_len(len),
            other => other.map_err(io::Error::from),
        };
        if let Err(error) = reserved {
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        self.open.insert(name.to_owned(), Open { file, filled: 0, len });
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.dir.join(from), self.dir.join(to))?;
        if let Some(open) = self.open.remove(from) {
            self.open.insert(to.to_owned(), open);
        }
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.open.remove(name);
        std::fs::remove_file(self.dir.join(name))
    }

    fn len(&mut self, name: &str) -> io::Result<u64> {
        Ok(self.opened(name)?.len)
    }

    fn read(&mut self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.opened(name)?.file.read_exact_at(buffer, offset)
    }

    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let open = self.opened(name)?;
        let end = offset + bytes.len() as u64;
        if end > open.filled {
            let fill_end = (end + FILL_LEN as u64).min(open.len);
            if fill_end > end {
                let zeros = vec![0; (fill_end - end) as usize];
                open.file.write_all_at(&zeros, end)?;
            }
            open.filled = fill_end.max(end);
        }
        open.file.write_all_at(bytes, offset)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.opened(name)?.file.sync_data()
    }

    fn sync_names(&mut self) -> io::Result<()> {
        self.dir_file.sync_all()
    }
}
