//! The journal is cut at every operation on its disk, in every way a disk may forget: what comes back is a prefix of
//! what was appended, and holds everything that was acknowledged. Then it lives on and is cut again. And no bit of a
//! store can be turned over without the store noticing, or without its mattering.

mod crash_world;

use forebay::store::Store;
use forebay::store::journal::{Journal, JournalConfig, inspect};
use forebay::store::sim_disk::{Crash, SimDisk};

use crash_world::{State, World};

const SEGMENT_LEN: u64 = 16 << 10;

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

fn config() -> JournalConfig {
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

fn cut_everywhere(seed: u64, batches: usize) {
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

#[test]
fn whatever_the_moment_a_prefix_with_everything_acknowledged_comes_back() {
    let seeds = std::env::var("FOREBAY_CRASH_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(3);
    for seed in 1..=seeds {
        cut_everywhere(seed, 90);
    }
}

/// A store of a few segments, closed as by a kill.
fn store_of(segment_len: u64, segments: u64, scale: u64) -> (SimDisk, State, Vec<String>) {
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
fn flip(disk: &SimDisk, state: &State, name: &str, bits: impl Iterator<Item = u64>) -> (u64, u64) {
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

#[test]
fn no_single_bit_of_a_small_store_can_be_turned_over_unnoticed() {
    // Every bit of 64 KiB with FOREBAY_FLIPS=all; else those of the headers and a share of the others.
    let every = std::env::var("FOREBAY_FLIPS").is_ok_and(|value| value == "all");
    let (disk, state, names) = store_of(SEGMENT_LEN, 4, 1);
    assert_eq!(names.len(), 4);
    let flips = std::thread::scope(|scope| {
        let one = |name: &String| {
            let (disk, state, name) = (disk.copy(), &state, name.clone());
            scope.spawn(move || {
                let bits = 0..SEGMENT_LEN * 8;
                flip(&disk, state, &name, bits.filter(|bit| every || *bit < 800 || bit % 29 == 0))
            })
        };
        let threads: Vec<_> = names.iter().map(one).collect();
        threads.into_iter().map(|thread| thread.join().expect("no bit goes unnoticed")).collect::<Vec<_>>()
    });
    let (right, refused) = flips.iter().fold((0, 0), |sum, flip| (sum.0 + flip.0, sum.1 + flip.1));
    assert!(right > 0 && refused > 0);
    println!("{} flips: {right} without effect, {refused} refused with the place", right + refused);
}

#[test]
fn random_bits_of_a_large_store() {
    let flips = std::env::var("FOREBAY_RANDOM_FLIPS").ok().and_then(|value| value.parse().ok()).unwrap_or(20);
    let segment_len = 64 << 20;
    let (disk, state, names) = store_of(segment_len, 1, 200);
    let mut random = World::new(99);
    let bits = (0..flips).map(|_| random.next() % (segment_len * 8));
    let (right, refused) = flip(&disk, &state, &names[0], bits);
    println!("{flips} flips: {right} without effect, {refused} refused with the place");
}
