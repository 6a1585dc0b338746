//! Turns over bits of a store: each is noticed, or does not matter.

use forebay::store::Store;
use forebay::store::journal::{Journal, JournalConfig, inspect};
use forebay::store::sim_disk::SimDisk;

use super::cut::config;
use super::{State, World};

/// A store of a few segments, closed as by a kill.
pub(crate) fn store_of(segment_len: u64, segments: u64, scale: u64) -> (SimDisk, State, Vec<String>) {
    let disk = SimDisk::new();
    let config = JournalConfig { segment_len, ..config() };
    let (mut journal, _) = Journal::open(disk.clone(), config).expect("a new store");
    let mut world = World::new(3);
    (world.keeps_more, world.scale) = (true, scale);
    while journal.stats().segments < segments || journal.stats().used_bytes < segments * segment_len / 2 {
        if journal.append(&world.batch()).is_err() || journal.stats().segments > segments {
            panic!("the store became larger than wanted");
        }
    }
    let names = inspect(&mut disk.clone()).expect("whole").expect("there").segments;
    (disk, world.state, names.into_iter().map(|segment| segment.name).collect())
}

/// Turns bits over, one at a time, and reads the store; gives how often it was refused.
pub(crate) fn flip(disk: &SimDisk, state: &State, name: &str, bits: impl Iterator<Item = u64>) -> (u64, u64) {
    let (mut right, mut refused) = (0, 0);
    for bit in bits {
        disk.flip(name, bit);
        match inspect(&mut disk.clone()) {
            Ok(Some(found)) => {
                assert_eq!(State::of(&found.kept), *state, "bit {bit} of {name} changed what came back");
                right += 1;
            }
            Ok(None) => panic!("bit {bit} of {name}: the store was taken for none"),
            Err(failure) => {
                let says_where = failure.message.contains(".log is damaged at byte");
                assert!(says_where, "bit {bit} of {name}: {failure}");
                refused += 1;
            }
        }
        disk.flip(name, bit);
    }
    (right, refused)
}
