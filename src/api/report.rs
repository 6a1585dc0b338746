//! What a host tells whoever looks after its process: a file with a fixed place for each slot, which is still there when
//! the process is not.
//!
//! Invariant: each place is written whole by one call, and only by its own slot; so is what its job was told, by the thread that
//! serves the connection. That the host is ready is written last.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::api::job::Job;
use crate::model::{Failure, JobId, Status, Stop};
use crate::run::clock;

/// Bytes of the head: the length of a text, then the text, the queues it serves as JSON.
const HEAD_LEN: usize = 16 << 10;
/// Bytes of a slot's place.
const PLACE_LEN: usize = 64;
/// Where stands what the job of each slot was told, and bytes of that.
const TOLD_AT: u64 = 672 << 10;
const TOLD_LEN: usize = 32;
/// The first byte that the report has no use for: whoever looks after the process may use the rest of the file.
pub const END: u64 = 1 << 20;
const _: () = assert!(HEAD_LEN + 10_000 * PLACE_LEN <= TOLD_AT as usize);
const _: () = assert!(TOLD_AT as usize + 10_000 * TOLD_LEN <= END as usize);

/// The writing side, in the host.
#[derive(Debug)]
pub(crate) struct Report(File);

/// A job in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doing {
    /// The job.
    pub id: JobId,
    /// Which attempt at it.
    pub attempt: u32,
    /// Since when, by the wall clock.
    pub since_ms: u64,
    /// Which of the host's queues it is of, counted from 0.
    pub queue: u32,
}

/// What one slot has done and does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Jobs that were handled to their end.
    pub handled: u64,
    /// The job in hand.
    pub doing: Option<Doing>,
    /// The slot's thread, as the kernel numbers it; 0 before it has begun.
    pub thread: u32,
}

/// What a job was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Why to stop; no bit: go on.
    pub stop: Stop,
    /// What to know while going on.
    pub hints: u32,
}

impl Report {
    /// Opens a file that is there.
    pub(crate) fn open(path: &Path) -> Result<Report, Failure> {
        let opened = OpenOptions::new().write(true).open(path);
        opened.map(Report).map_err(|error| {
            Failure::new(Status::Io, format!("host.report = {}: cannot open it: {error}", path.display()))
        })
    }

    /// The host takes jobs of these queues from now on.
    pub(crate) fn ready(&self, queues: &[String]) {
        let mut text = serde_json::json!(queues).to_string();
        text.truncate(HEAD_LEN - 4);
        let len = u32::try_from(text.len()).unwrap_or(0).to_le_bytes();
        // Whoever reads it finds out how the process fares in other ways too: nothing depends on a write that fails.
        let _ = self.0.write_all_at(text.as_bytes(), 4).and_then(|()| self.0.write_all_at(&len, 0));
    }

    /// What slot `index`, counted from 0 in this process, does now.
    pub(crate) fn write(&self, index: u32, place: &Place) {
        let _ = self.0.write_all_at(&place.bytes(), offset(index));
    }

    /// What the job that slot `index` does, or did a moment ago, was told.
    pub(crate) fn tell(&self, index: u32, id: JobId, attempt: u32, told: Told) {
        let mut bytes = [0; TOLD_LEN];
        bytes[..16].copy_from_slice(&id.0);
        bytes[16..20].copy_from_slice(&attempt.to_le_bytes());
        bytes[20..24].copy_from_slice(&told.stop.0.to_le_bytes());
        bytes[24..28].copy_from_slice(&told.hints.to_le_bytes());
        let _ = self.0.write_all_at(&bytes, TOLD_AT + u64::from(index) * TOLD_LEN as u64);
    }
}

fn offset(index: u32) -> u64 {
    HEAD_LEN as u64 + u64::from(index) * PLACE_LEN as u64
}

impl Doing {
    /// A job of the host's queue with this number, which begins now.
    pub(crate) fn of(job: &Job, queue: usize) -> Doing {
        let queue = u32::try_from(queue).unwrap_or(u32::MAX);
        Doing { id: job.id(), attempt: job.attempt(), since_ms: clock::wall_ms(), queue }
    }

    /// Milliseconds since it was begun.
    pub fn age_ms(&self) -> u64 {
        clock::wall_ms().saturating_sub(self.since_ms)
    }
}

impl Place {
    fn bytes(&self) -> [u8; PLACE_LEN] {
        let mut bytes = [0; PLACE_LEN];
        bytes[..8].copy_from_slice(&self.handled.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.thread.to_le_bytes());
        if let Some(Doing { id, attempt, since_ms, queue }) = self.doing {
            bytes[8..24].copy_from_slice(&id.0);
            bytes[24..28].copy_from_slice(&attempt.to_le_bytes());
            bytes[32..40].copy_from_slice(&since_ms.to_le_bytes());
            bytes[44..48].copy_from_slice(&queue.to_le_bytes());
        }
        bytes
    }

    fn parse(bytes: &[u8; PLACE_LEN]) -> Place {
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let attempt = word(24) as u32;
        // An attempt counts from 1: 0 is an empty place.
        let doing = (attempt > 0).then(|| Doing {
            id: JobId(std::array::from_fn(|i| bytes[8 + i])),
            attempt,
            since_ms: word(32),
            queue: (word(40) >> 32) as u32,
        });
        Place { handled: word(0), doing, thread: word(40) as u32 }
    }
}

/// The queues that the host serves, once it is ready.
///
/// # Errors
/// The file cannot be read.
pub fn queues(file: &File) -> io::Result<Option<Vec<String>>> {
    let mut len = [0; 4];
    if file.read_at(&mut len, 0)? < len.len() {
        return Ok(None);
    }
    let len = u32::from_le_bytes(len) as usize;
    if len == 0 {
        return Ok(None);
    }
    let mut text = vec![0; len.min(HEAD_LEN)];
    file.read_exact_at(&mut text, 4)?;
    Ok(Some(serde_json::from_slice(&text).unwrap_or_default()))
}

/// What a slot, counted from 0 in its process, has done and does.
///
/// # Errors
/// The file cannot be read.
pub fn place(file: &File, index: u32) -> io::Result<Place> {
    let mut bytes = [0; PLACE_LEN];
    match file.read_exact_at(&mut bytes, offset(index)) {
        Ok(()) => Ok(Place::parse(&bytes)),
        // Not written yet.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Place::default()),
        Err(error) => Err(error),
    }
}

/// What the job was told that a slot, counted from 0 in its process, has in hand.
///
/// # Errors
/// The file cannot be read.
pub fn told(file: &File, index: u32, doing: &Doing) -> io::Result<Told> {
    let mut bytes = [0; TOLD_LEN];
    match file.read_exact_at(&mut bytes, TOLD_AT + u64::from(index) * TOLD_LEN as u64) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Told::default()),
        read => read?,
    }
    let number = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
    let is_about_it = bytes[..16] == doing.id.0 && number(16) == doing.attempt;
    let told = Told { stop: Stop(number(20)), hints: number(24) };
    Ok(if is_about_it { told } else { Told::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let kept = tempfile::NamedTempFile::new().unwrap();
        let report = Report::open(kept.path()).unwrap();
        assert_eq!(queues(kept.as_file()).unwrap(), None);
        assert_eq!(place(kept.as_file(), 3).unwrap(), Place::default());
        let doing = Doing { id: JobId([7; 16]), attempt: 2, since_ms: 99, queue: 3 };
        assert_eq!(told(kept.as_file(), 3, &doing).unwrap(), Told::default());
        let place3 = Place { handled: 5, doing: Some(doing), thread: 17 };
        report.write(3, &place3);
        let word = Told { stop: Stop::CANCELLED, hints: 2 };
        report.tell(3, doing.id, 2, word);
        assert_eq!(told(kept.as_file(), 3, &doing).unwrap(), word);
        let next = Doing { attempt: 3, ..doing };
        assert_eq!(told(kept.as_file(), 3, &next).unwrap(), Told::default(), "told of the attempt before");
        report.ready(&["a".to_owned(), "b \"c\"".to_owned()]);
        assert_eq!(place(kept.as_file(), 3).unwrap(), place3);
        assert_eq!(place(kept.as_file(), 0).unwrap(), Place::default());
        assert_eq!(queues(kept.as_file()).unwrap().unwrap(), ["a", "b \"c\""]);
    }
}
