//! A hub and a peer until everything that was said has been heard, exactly once and in order.

use super::world::{Weather, World};

#[test]
fn a_good_network_needs_no_second_packet() {
    let mut world = World::new(1, Weather::default(), 1_000, false);
    world.run(10);
    assert_eq!(world.fresh, 1);
    assert_eq!(world.hub.counters().duplicates, 0);
    assert_eq!(world.hub.counters().gaps + world.hub.counters().bad_packets, 0);
    let counters = world.peer.counters();
    assert_eq!((counters.hellos, counters.welcomes, counters.commands_resent), (1, 1, 0));
    assert!(world.packets < 60, "{} packets for 1,000 words: they travel together", world.packets);
}

#[test]
fn bad_networks_lose_nothing_and_repeat_nothing() {
    for seed in 0..60 {
        let weather = Weather { loss: 20, twice: 10, delay_us: 3_000, broken: 0 };
        let mut world = World::new(seed, weather, 300, false);
        world.run(3_600);
        assert_eq!(world.hub.counters().bad_packets, 0, "seed {seed}");
    }
}

#[test]
fn broken_connections_lose_nothing() {
    for seed in 0..60 {
        let weather = Weather { loss: 0, twice: 0, delay_us: 0, broken: 10 };
        let mut world = World::new(seed, weather, 500, false);
        world.run(600);
        assert!(world.fresh <= 2, "seed {seed}: the session goes on");
    }
}

#[test]
fn large_parts_survive_bad_networks() {
    for seed in 0..4 {
        let weather = Weather { loss: 10, twice: 10, delay_us: 2_000, broken: 2 };
        let mut world = World::new(seed, weather, 120, true);
        world.run(3_600);
    }
}

#[test]
fn same_seed_same_packets() {
    let run = |seed| {
        let weather = Weather { loss: 20, twice: 10, delay_us: 3_000, broken: 1 };
        let mut world = World::new(seed, weather, 200, false);
        world.run(3_600);
        (world.now_us, world.packets, world.peer.counters(), world.hub.counters().clone())
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5).1, run(6).1);
}
