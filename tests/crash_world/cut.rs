//! Cuts a journal's disk at every operation, in every way a disk may forget: what comes back is a prefix of what was
//! appended, and holds everything that was acknowledged.

use forebay::store::Store;
use forebay::store::journal::{Journal, JournalConfig};
use forebay::store::sim_disk::{Crash, SimDisk};

use super::{State, World};

pub(crate) const SEGMENT_LEN: u64 = 16 << 10;

/// One of so many crashed stores lives on for long.
const SHARE_LIVED_ON: u64 = 9;

const CRASHES: [Crash; 6] = [
    Crash::Keep,
    Crash::Drop,
    Crash::Torn { sector: 512 },
    Crash::Torn { sector: 4_096 },
    Crash::Reorder { sector: 512 },
    Crash::Reorder { sector: 4_096 },
];

pub(crate) fn config() -> JournalConfig {
    JournalConfig {
        segment_len: SEGMENT_LEN,
        len_max: 64 * SEGMENT_LEN,
        random: [7; 32],
        bodies_max: u64::MAX,
    }
}

/// What a life left behind.
struct Life {
    /// The state after each record that was handed to the journal, the one it was opened with first.
    states: Vec<State>,
    /// How many of the records were acknowledged.
    acknowledged: usize,
    /// The world as it stood after each record.
    worlds: Vec<World>,
}

/// Opens the store and appends `batches` batches, until the disk halts.
fn live(disk: &SimDisk, mut world: World, batches: usize) -> (Life, Option<Journal<SimDisk>>) {
    let mut life = Life { states: vec![world.state.clone()], acknowledged: 0, worlds: vec![world.clone()] };
    let Ok((mut journal, recovered)) = Journal::open(disk.clone(), config()) else { return (life, None) };
    assert_eq!(State::of(&recovered.kept), world.state);
    for _ in 0..batches {
        let records = world.batch();
        for record in &records {
            let mut after = life.states.last().expect("the first state is there").clone();
            after.apply(record);
            life.states.push(after.clone());
            life.worlds.push(World { state: after, ..world.clone() });
        }
        if journal.append(&records).is_err() {
            return (life, None);
        }
        life.acknowledged += records.len();
    }
    (life, Some(journal))
}

/// Which of the states came back.
fn came_back(disk: &SimDisk, life: &Life, what: &str) -> World {
    let (_, recovered) = Journal::open(disk.clone(), config())
        .unwrap_or_else(|failure| panic!("{what}: the store was refused: {failure}"));
    let found = State::of(&recovered.kept);
    let last = life.states.len() - 1;
    let at = (life.acknowledged..=last).rev().find(|n| life.states[*n] == found);
    let Some(at) = at else {
        let earlier = life.states.iter().position(|state| *state == found);
        panic!(
            "{what}: {} records were acknowledged and {last} appended; what came back is the state after {earlier:?}: {}",
            life.acknowledged,
            life.states[last].difference(&found)
        );
    };
    life.worlds[at].clone()
}

pub(crate) fn cut_everywhere(seed: u64, batches: usize) {
    let whole = SimDisk::new();
    let (_, journal) = live(&whole, World::new(seed), batches);
    let stats = journal.expect("nothing halts this disk").stats();
    assert!(stats.recycled > 0, "the workload must recycle segments: {stats:?}");
    assert!(stats.copied_bytes > 0, "the workload must copy jobs forward: {stats:?}");
    let operations = whole.counters().operations;
    for operation in 0..operations {
        let before = SimDisk::new();
        before.halt_after(operation);
        let (life, _) = live(&before, World::new(seed), batches);
        for (n, crash) in CRASHES.into_iter().enumerate() {
            let what = format!("seed {seed}, cut after operation {operation}, {crash:?}");
            let disk = before.copy();
            disk.crash(crash, seed ^ operation << 8 ^ n as u64);
            let world = came_back(&disk, &life, &what);
            let mut world = World { random: seed ^ operation ^ 0x5eed, ..world };
            world.sequence += 1_000_000;
            if (operation + n as u64).is_multiple_of(SHARE_LIVED_ON) {
                // It goes on for long, until what the crash left behind is copied forward.
                let disk = disk.copy();
                let (_, journal) = live(&disk, world.clone(), batches);
                assert!(journal.is_some(), "{what}: the store failed long after");
            }
            // It goes on, and is cut once more: what the first crash left behind must not come to life.
            let again = operation % 23 + 3;
            disk.halt_after(again);
            let (life, _) = live(&disk, world, 6);
            disk.crash(CRASHES[(n + operation as usize) % CRASHES.len()], operation ^ 0xfeed);
            came_back(&disk, &life, &format!("{what}, and again after {again}"));
        }
    }
    println!("seed {seed}: {operations} operations, each x {} crashes, twice; {stats:?}", CRASHES.len());
}
