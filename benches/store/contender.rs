//! The two stores.

use std::path::Path;

use forebay::core::record::Record;
use forebay::store::codec::{Decoder, Kind, encode, id_of};
use forebay::store::file_disk::FileDisk;
use forebay::store::journal::{Journal, JournalConfig};
use forebay::store::{self, Store};
use heed::types::Bytes;
use heed::{Database, Env, EnvOpenOptions};

pub(crate) trait Contender {
    fn name(&self) -> &'static str;
    /// Keeps these records; returns when they are on the medium.
    fn commit(&mut self, records: &[Record]);
    fn written_bytes(&self) -> Option<u64>;
}

pub(crate) struct Journaled(Journal<FileDisk>);

impl Journaled {
    pub(crate) fn open(path: &Path) -> Journaled {
        Journaled(store::open(path, JournalConfig::default()).expect("a journal").0)
    }
}

impl Contender for Journaled {
    fn name(&self) -> &'static str {
        "journal"
    }

    fn commit(&mut self, records: &[Record]) {
        self.0.append(records).expect("the journal takes it");
    }

    fn written_bytes(&self) -> Option<u64> {
        Some(self.0.stats().written_bytes)
    }
}

/// A table of jobs, one of what happened to them, one of how they ended, by id.
pub(crate) struct Lmdb {
    env: Env,
    tables: [Database<Bytes, Bytes>; 3],
    buffer: Vec<u8>,
}

const MAP_LEN: usize = 16 << 30;

impl Lmdb {
    pub(crate) fn open(path: &Path) -> Lmdb {
        std::fs::create_dir_all(path).expect("a folder");
        // SAFETY: nobody else writes to the folder.
        let env =
            unsafe { EnvOpenOptions::new().map_size(MAP_LEN).max_dbs(3).open(path) }.expect("LMDB opens");
        let mut write = env.write_txn().expect("LMDB begins");
        let tables = ["jobs", "states", "ends"]
            .map(|name| env.create_database(&mut write, Some(name)).expect("LMDB makes a table"));
        write.commit().expect("LMDB commits");
        Lmdb { env, tables, buffer: Vec::new() }
    }
}

impl Contender for Lmdb {
    fn name(&self) -> &'static str {
        "lmdb"
    }

    fn commit(&mut self, records: &[Record]) {
        let mut write = self.env.write_txn().expect("LMDB begins");
        for record in records {
            let id = id_of(record).expect("it is about a job");
            if matches!(record, Record::Forgotten { .. }) {
                for table in self.tables {
                    table.delete(&mut write, &id.0).expect("LMDB deletes");
                }
                continue;
            }
            self.buffer.clear();
            encode(record, &mut self.buffer);
            let table = match record {
                Record::Submitted { .. } => self.tables[0],
                Record::Ended { .. } => self.tables[2],
                _ => self.tables[1],
            };
            table.put(&mut write, &id.0, &self.buffer).expect("LMDB puts");
        }
        write.commit().expect("LMDB commits");
    }

    fn written_bytes(&self) -> Option<u64> {
        None
    }
}

/// Reads the journal back and says how many jobs came.
pub(crate) fn recover_journal(path: &Path) -> u64 {
    let (journal, recovered) = store::open(path, JournalConfig::default()).expect("the journal opens");
    let jobs = recovered.kept.jobs.len() as u64;
    // Both are there while a broker fills its table.
    drop(recovered);
    drop(journal);
    jobs
}

/// Reads the table of jobs and keeps each one, as a broker's memory would.
pub(crate) fn recover_lmdb(path: &Path) -> u64 {
    let lmdb = Lmdb::open(path);
    let read = lmdb.env.read_txn().expect("LMDB begins");
    let mut decoder = Decoder::default();
    let mut jobs = Vec::new();
    for item in lmdb.tables[0].iter(&read).expect("LMDB reads") {
        let (_, bytes) = item.expect("LMDB reads on");
        jobs.push(decoder.decode(Kind::Submitted, 1, bytes).expect("it is a job"));
    }
    jobs.len() as u64
}

/// What the files of a folder take on the disk.
pub(crate) fn disk_bytes(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let files = std::fs::read_dir(path).expect("a folder").filter_map(|entry| entry.ok()?.metadata().ok());
    files.map(|file| file.blocks() * 512).sum()
}
