//! The journal is cut at every operation on its disk, in every way a disk may forget: what comes back is a prefix of
//! what was appended, and holds everything that was acknowledged. Then it lives on and is cut again. And no bit of a
//! store can be turned over without the store noticing, or without its mattering.

mod crash_world;

use forebay::store::sim_disk::SimDisk;

use crash_world::World;
use crash_world::cut::{SEGMENT_LEN, cut_everywhere};
use crash_world::flip::{flip, store_of};

#[test]
fn whatever_the_moment_a_prefix_with_everything_acknowledged_comes_back() {
    let seeds = std::env::var("FOREBAY_CRASH_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(3);
    for seed in 1..=seeds {
        cut_everywhere(seed, 90);
    }
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
    let flips: u64 =
        std::env::var("FOREBAY_RANDOM_FLIPS").ok().and_then(|value| value.parse().ok()).unwrap_or(20);
    let segment_len = 64 << 20;
    let (disk, state, names) = store_of(segment_len, 1, 200);
    let mut random = World::new(99);
    let bits: Vec<u64> = (0..flips).map(|_| random.next() % (segment_len * 8)).collect();
    let (half, other) = bits.split_at(bits.len() / 2);
    let turn = |disk: SimDisk, bits: &[u64]| flip(&disk, &state, &names[0], bits.iter().copied());
    let (one, two) = std::thread::scope(|scope| {
        let copy = disk.copy();
        let one = scope.spawn(|| turn(copy, half));
        let two = turn(disk, other);
        (one.join().expect("no bit goes unnoticed"), two)
    });
    let (right, refused) = (one.0 + two.0, one.1 + two.1);
    println!("{flips} flips: {right} without effect, {refused} refused with the place");
}
