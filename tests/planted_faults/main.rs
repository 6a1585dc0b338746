//! Whether the tests find bugs: each of a list is planted, one in a process, and the first 500 seeds of the simulation and of
//! the storm of runs, the crash points and the bit flips must find it. docs/RELIABILITY.md holds the table this prints.
//!
//! `FOREBAY_PLANTED=Name` plants one alone, in this process.

#[path = "../runs/account.rs"]
mod account;
#[path = "../sim/client.rs"]
mod client;
#[path = "../runs/collect.rs"]
mod collect;
#[path = "../crash_world/mod.rs"]
mod crash_world;
#[path = "../sim/daemon.rs"]
mod daemon;
#[path = "../sim/delayed.rs"]
mod delayed;
#[path = "../sim/ending.rs"]
mod ending;
#[path = "../sim/faults.rs"]
mod faults;
#[path = "../sim/hostile.rs"]
mod hostile;
#[path = "../sim/judge/mod.rs"]
mod judge;
#[path = "../sim/keys.rs"]
mod keys;
#[path = "../sim/known.rs"]
mod known;
#[path = "../sim/network.rs"]
mod network;
#[path = "../sim/peers.rs"]
mod peers;
#[path = "../sim/plan.rs"]
mod plan;
#[path = "../sim/random.rs"]
mod random;
#[path = "../sim/run.rs"]
mod run;
#[path = "../runs/stages.rs"]
mod stages;
#[path = "../sim/store.rs"]
mod store;
#[path = "../runs/storm.rs"]
mod storm;
#[path = "../sim/told.rs"]
mod told;
#[path = "../sim/trace.rs"]
mod trace;
#[path = "../sim/wires.rs"]
mod wires;
#[path = "../sim/work.rs"]
mod work;
#[path = "../sim/worker.rs"]
mod worker;
#[path = "../sim/world.rs"]
mod world;
#[path = "../sim/written.rs"]
mod written;

mod table;

use std::panic::catch_unwind;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use forebay::model::{PLANTED, plant};

use crate::crash_world::cut::{SEGMENT_LEN, cut_everywhere};
use crate::crash_world::flip::{flip, store_of};
// Where the simulation has it.
use crate::crash_world::state;
use crate::plan::Plan;
use crate::table::Found;

/// The ordinary seeds, of which there are more.
const SEEDS: u64 = 500;
/// Histories of the crash points.
const CUTS: u64 = 2;
/// One bit of so many is turned over.
const FLIP_SHARE: u64 = 101;

/// In the place of a bug's name: none.
const NOTHING: &str = "nothing";

/// What found the bug of this process.
fn search() -> Option<Found> {
    for seed in 0..SEEDS {
        if let Err(why) = run::run(Plan::of(seed), false) {
            return Some(Found::new("simulation", &seed.to_string(), &why));
        }
        if let Err(why) = catch_unwind(|| storm::storm(seed)).unwrap_or_else(|why| Err(said(why))) {
            return Some(Found::new("storm of runs", &seed.to_string(), &why));
        }
    }
    for seed in 1..=CUTS {
        if let Err(why) = catch_unwind(|| cut_everywhere(seed, 90)) {
            return Some(Found::new("crash points", "-", &said(why)));
        }
    }
    let flips = catch_unwind(|| {
        let (disk, state, names) = store_of(SEGMENT_LEN, 4, 1);
        for name in names {
            flip(&disk, &state, &name, (0..SEGMENT_LEN * 8).filter(|bit| bit % FLIP_SHARE == 0));
        }
    });
    flips.err().map(|why| Found::new("bit flips", "-", &said(why)))
}

fn said(why: Box<dyn std::any::Any + Send>) -> String {
    let text = why.downcast_ref::<String>().cloned();
    text.or_else(|| why.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// In a process of its own: plants the bug and says what found it.
#[test]
fn one_planted_fault() {
    let Ok(name) = std::env::var("FOREBAY_PLANTED") else { return };
    if name != NOTHING {
        plant(&name);
    }
    std::panic::set_hook(Box::new(|_| {}));
    println!("{}", search().map_or_else(|| "MISSED".to_owned(), |found| found.line()));
}

/// Searches with this bug in another process.
fn search_with(name: &str) -> Option<Found> {
    let out = Command::new(std::env::current_exe().expect("a test is a program"))
        .args(["one_planted_fault", "--exact", "--nocapture"])
        .env("FOREBAY_PLANTED", name)
        .output()
        .expect("the test starts itself");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let found = text.lines().find_map(Found::of_line);
    // Whoever dies of a bug has found it as little as whoever sees nothing.
    assert!(found.is_some() || text.lines().any(|line| line == "MISSED"), "{name}: {text}");
    found
}

#[test]
fn with_nothing_planted_a_seed_takes_the_same_way_twice() {
    if std::env::var("FOREBAY_PLANTED").is_ok() {
        return;
    }
    for seed in 0..4 {
        let run = || run::run(Plan::of(seed), false).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        let (first, second) = (run(), run());
        assert_eq!((first.hash, first.story, first.steps), (second.hash, second.story, second.steps));
        assert_eq!(first.tally, second.tally);
    }
}

#[test]
fn every_planted_fault_is_found_and_nothing_where_nothing_is_planted() {
    if std::env::var("FOREBAY_PLANTED").is_ok() {
        return;
    }
    // What takes longest comes first.
    let names: Vec<&str> = [NOTHING].into_iter().chain(PLANTED.iter().map(|(name, _)| *name)).collect();
    let next = AtomicUsize::new(0);
    let results = Mutex::new(vec![None; names.len()]);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(name) = names.get(at) else { return };
                    let found = search_with(name);
                    println!("{name}: {}", found.as_ref().map_or("not found".to_owned(), Found::to_string));
                    results.lock().expect("nobody panics with it")[at] = found;
                }
            });
        }
    });
    let mut results = results.into_inner().expect("nobody panics with it");
    let unplanted = results.remove(0);
    table::hold(&results);
    let missed = PLANTED.iter().zip(&results).filter(|(_, found)| found.is_none());
    let missed: Vec<&str> = missed.map(|((name, _), _)| *name).collect();
    assert!(missed.is_empty(), "not found: {missed:?}");
    assert!(unplanted.is_none(), "found where nothing is planted: {unplanted:?}");
}
