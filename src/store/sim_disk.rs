//! A disk in memory that does everything a real one may do at a crash: it forgets what was not synced, tears it at
//! sectors, keeps the second write and loses the first; and that fails when told to. The same seed gives the same.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::store::disk::Disk;

/// What a crash does to what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// Nothing: the process ended, the system goes on.
    Keep,
    /// All of it is lost.
    Drop,
    /// The writes up to some moment survive, the last of them up to one of its sectors of so many bytes.
    Torn {
        /// Bytes of a sector.
        sector: usize,
    },
    /// Any of their sectors of so many bytes survive, whatever the order they were written in.
    Reorder {
        /// Bytes of a sector.
        sector: usize,
    },
}

/// How often what was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SimCounters {
    /// Writes.
    pub writes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Syncs of files.
    pub syncs: u64,
    /// Everything that changes or syncs something.
    pub operations: u64,
}

/// The disk. Clones are the same disk, so that it outlives whoever writes to it.
#[derive(Clone, Debug, Default)]
pub struct SimDisk(Arc<Mutex<State>>);

#[derive(Clone, Debug, Default)]
struct State {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    /// Changes of names since `synced_names`.
    name_changes: Vec<NameChange>,
    capacity: Option<u64>,
    halt_after: Option<u64>,
    fail_syncs: bool,
    fail_writes: bool,
    counters: SimCounters,
}

#[derive(Clone, Debug, Default)]
struct File {
    bytes: Vec<u8>,
    synced: Vec<u8>,
    /// Offset and bytes of each write since the last sync.
    unsynced: Vec<(usize, Vec<u8>)>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Create(String, usize),
    Rename(String, String),
    Remove(String),
}

/// splitmix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0..=most`.
    fn upto(&mut self, most: usize) -> usize {
        (self.next() % (most as u64 + 1)) as usize
    }
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> SimDisk {
        SimDisk::default()
    }

    /// A disk of its own with the same content, in which nothing is set to fail.
    pub fn copy(&self) -> SimDisk {
        let mut state = self.state().clone();
        (state.capacity, state.halt_after) = (None, None);
        (state.fail_syncs, state.fail_writes) = (false, false);
        SimDisk(Arc::new(Mutex::new(state)))
    }

    /// The machine goes down and comes up again. `seed` decides what survives where `crash` leaves a choice.
    pub fn crash(&self, crash: Crash, seed: u64) {
        let mut state = self.state();
        let state = &mut *state;
        let mut random = Random(seed);
        for file in &mut state.files {
            file.crash(crash, &mut random);
        }
        let keep = match crash {
            Crash::Keep => state.name_changes.len(),
            Crash::Drop => 0,
            _ => random.upto(state.name_changes.len()),
        };
        for change in state.name_changes.drain(..).take(keep) {
            change.apply(&mut state.synced_names);
        }
        state.names = state.synced_names.clone();
        (state.halt_after, state.fail_syncs, state.fail_writes) = (None, false, false);
    }

    /// How many bytes all files together may have; `None`: any number.
    pub fn set_capacity(&self, capacity: Option<u64>) {
        self.state().capacity = capacity;
    }

    /// After so many operations from now on every further one fails and does nothing, until `crash`.
    pub fn halt_after(&self, operations: u64) {
        let mut state = self.state();
        state.halt_after = Some(state.counters.operations + operations);
    }

    /// Whether syncs fail, as they do when the medium does. What was written before may or may not be there.
    pub fn fail_syncs(&self, fail: bool) {
        self.state().fail_syncs = fail;
    }

    /// Whether writes fail.
    pub fn fail_writes(&self, fail: bool) {
        self.state().fail_writes = fail;
    }

    /// Turns over one bit of a file, on the medium.
    pub fn flip(&self, name: &str, bit: u64) {
        let mut state = self.state();
        let Some(&file) = state.names.get(name) else { return };
        let file = &mut state.files[file];
        for bytes in [&mut file.bytes, &mut file.synced] {
            if let Some(byte) = bytes.get_mut((bit / 8) as usize) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }

    /// How often what was done.
    pub fn counters(&self) -> SimCounters {
        self.state().counters
    }

    /// Bytes of all files.
    pub fn used_bytes(&self) -> u64 {
        self.state().used_bytes()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn used_bytes(&self) -> u64 {
        self.names.values().map(|file| self.files[*file].bytes.len() as u64).sum()
    }

    fn begin(&mut self) -> io::Result<()> {
        if self.halt_after.is_some_and(|most| self.counters.operations >= most) {
            return Err(io::Error::other("the simulated machine is down"));
        }
        self.counters.operations += 1;
        Ok(())
    }

    fn file(&mut self, name: &str) -> io::Result<&mut File> {
        let file = *self.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(&mut self.files[file])
    }

    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.name_changes.push(change);
    }
}

impl File {
    fn crash(&mut self, crash: Crash, random: &mut Random) {
        let unsynced = std::mem::take(&mut self.unsynced);
        if unsynced.is_empty() && self.synced.len() == self.bytes.len() {
            return;
        }
        if self.synced.len() < self.bytes.len() && crash != Crash::Drop && random.upto(1) == 1 {
            self.synced.resize(self.bytes.len(), 0);
        }
        match crash {
            Crash::Keep => self.synced.clone_from(&self.bytes),
            Crash::Drop => {}
            Crash::Torn { sector } => {
                let whole = random.upto(unsynced.len());
                for (i, (at, bytes)) in unsynced.iter().enumerate().take(whole + 1) {
                    let sectors = sectors_of(*at, bytes.len(), sector).count();
                    let keep = if i < whole { sectors } else { random.upto(sectors) };
                    for (from, to) in sectors_of(*at, bytes.len(), sector).take(keep) {
                        self.survive(*at, bytes, from, to);
                    }
                }
            }
            Crash::Reorder { sector } => {
                for (at, bytes) in &unsynced {
                    for (from, to) in sectors_of(*at, bytes.len(), sector) {
                        if random.upto(1) == 1 {
                            self.survive(*at, bytes, from, to);
                        }
                    }
                }
            }
        }
        self.bytes.clone_from(&self.synced);
    }

    fn survive(&mut self, at: usize, bytes: &[u8], from: usize, to: usize) {
        let to = to.min(self.synced.len());
        if from < to {
            self.synced[from..to].copy_from_slice(&bytes[from - at..to - at]);
        }
    }
}

/// Where the sectors of a write begin and end in the file.
fn sectors_of(at: usize, len: usize, sector: usize) -> impl Iterator<Item = (usize, usize)> {
    let end = at + len;
    let first = at / sector;
    (first..end.div_ceil(sector)).map(move |n| ((n * sector).max(at), ((n + 1) * sector).min(end)))
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            NameChange::Create(name, file) => {
                names.insert(name.clone(), *file);
            }
            NameChange::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            NameChange::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

impl Disk for SimDisk {
    fn names(&mut self) -> io::Result<Vec<String>> {
        Ok(self.state().names.keys().cloned().collect())
    }

    fn create(&mut self, name: &str, len: u64) -> io::Result<()> {
        let mut state = self.state();
        state.begin()?;
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if state.capacity.is_some_and(|capacity| state.used_bytes() + len > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let file = state.files.len();
        state.files.push(File { bytes: vec![0; len as usize], ..File::default() });
        state.change(NameChange::Create(name.to_owned(), file));
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.begin()?;
        state.file(from)?;
        state.change(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.begin()?;
        state.file(name)?;
        state.change(NameChange::Remove(name.to_owned()));
        Ok(())
    }

    fn len(&mut self, name: &str) -> io::Result<u64> {
        Ok(self.state().file(name)?.bytes.len() as u64)
    }

    fn read(&mut self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut state = self.state();
        let offset = offset as usize;
        let bytes = state.file(name)?.bytes.get(offset..offset + buffer.len());
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        state.begin()?;
        if state.fail_writes {
            return Err(io::Error::other("the simulated medium fails"));
        }
        state.counters.writes += 1;
        state.counters.written_bytes += bytes.len() as u64;
        let file = state.file(name)?;
        let at = offset as usize;
        let place = file.bytes.get_mut(at..at + bytes.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        place.copy_from_slice(bytes);
        file.unsynced.push((at, bytes.to_vec()));
        Ok(())
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.begin()?;
        if state.fail_syncs {
            return Err(io::Error::other("the simulated medium fails"));
        }
        state.counters.syncs += 1;
        let file = state.file(name)?;
        file.synced.resize(file.bytes.len(), 0);
        for (at, bytes) in file.unsynced.drain(..) {
            file.synced[at..at + bytes.len()].copy_from_slice(&bytes);
        }
        Ok(())
    }

    fn sync_names(&mut self) -> io::Result<()> {
        let mut state = self.state();
        state.begin()?;
        if state.fail_syncs {
            return Err(io::Error::other("the simulated medium fails"));
        }
        state.synced_names = state.names.clone();
        state.name_changes.clear();
        // Nothing brings back what was removed.
        let State { files, names, .. } = &mut *state;
        for (_, gone) in
            files.iter_mut().enumerate().filter(|(file, _)| !names.values().any(|used| used == file))
        {
            *gone = File::default();
        }
        Ok(())
    }
}
