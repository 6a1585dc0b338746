//! One timeout for each key, kept in a hierarchical timing wheel: setting, moving and clearing cost O(1).
//!
//! Invariant: a key is linked in at most one list, the list of the wheel slot its due tick falls into as seen from
//! `elapsed`. The scheme is that of Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (1987).

/// Bits of a tick that one level decides.
const LEVEL_BITS: u32 = 6;
/// Slots of one level.
const SLOTS: usize = 1 << LEVEL_BITS;
/// Levels: 2^36 ticks of a millisecond are more than two years.
const LEVELS: usize = 6;
/// Microseconds of a tick.
const TICK_US: u64 = 1_000;
/// The furthest a tick may lie ahead.
const TICKS_MAX: u64 = (1 << (LEVEL_BITS * LEVELS as u32)) - 1;
/// No key.
const NONE: u32 = u32::MAX;
/// The due tick of a key whose timeout was taken away.
const CLEARED: u64 = u64::MAX;

#[derive(Clone, Copy, Debug)]
struct Node {
    due: u64,
    prev: u32,
    next: u32,
    /// level * SLOTS + slot, or `NONE` when not set.
    place: u32,
}

const UNSET: Node = Node { due: 0, prev: NONE, next: NONE, place: NONE };

/// Timeouts by key; keys are small dense numbers.
#[derive(Clone, Debug)]
pub struct Timers {
    elapsed: u64,
    heads: Vec<u32>,
    occupied: [u64; LEVELS],
    nodes: Vec<Node>,
    expired: Vec<u32>,
}

impl Default for Timers {
    fn default() -> Self {
        Timers {
            elapsed: 0,
            heads: vec![NONE; SLOTS * LEVELS],
            occupied: [0; LEVELS],
            nodes: Vec::new(),
            expired: Vec::new(),
        }
    }
}

impl Timers {
    /// Sets the timeout of `key` to `due_us`, wherever it was. A due time in the past expires with the next tick.
    pub fn set(&mut self, key: u32, due_us: u64) {
        if self.nodes.len() <= key as usize {
            self.nodes.resize(key as usize + 1, UNSET);
        }
        let due = due_us.div_ceil(TICK_US).max(self.elapsed + 1).min(self.elapsed + TICKS_MAX);
        let node = self.nodes[key as usize];
        if node.place != NONE && node.due == due {
            return;
        }
        self.unlink(key);
        self.link(key, due);
    }

    /// Takes the timeout of `key` away.
    pub fn clear(&mut self, key: u32) {
        if (key as usize) < self.nodes.len() {
            self.unlink(key);
            self.nodes[key as usize].due = CLEARED;
        }
    }

    /// The next key whose timeout has passed at `now_us`, until there is none. Its timeout is gone.
    pub fn pop(&mut self, now_us: u64) -> Option<u32> {
        let now = now_us / TICK_US;
        loop {
            while let Some(key) = self.expired.pop() {
                // A key set again or cleared since it was collected is not meant any more.
                let node = self.nodes[key as usize];
                if node.place == NONE && node.due != CLEARED {
                    return Some(key);
                }
            }
            let Some((level, slot, start)) = self.first() else {
                self.elapsed = self.elapsed.max(now);
                return None;
            };
            if start > now {
                self.elapsed = self.elapsed.max(now);
                return None;
            }
            self.elapsed = self.elapsed.max(start);
            self.empty(level, slot, now);
        }
    }

    /// When `pop` may have something next, in microseconds; never later than the first timeout.
    pub fn next_us(&self) -> Option<u64> {
        self.first().map(|(_, _, start)| start * TICK_US)
    }

    /// The occupied slot that begins first: level, slot, and the tick it begins at.
    fn first(&self) -> Option<(usize, usize, u64)> {
        (0..LEVELS)
            .filter(|&level| self.occupied[level] != 0)
            .map(|level| self.first_of(level))
            .min_by_key(|&(level, _, start)| (start, std::cmp::Reverse(level)))
    }

    fn first_of(&self, level: usize) -> (usize, usize, u64) {
        let shift = LEVEL_BITS * level as u32;
        let here = (self.elapsed >> shift) as usize % SLOTS;
        let ahead = self.occupied[level].rotate_right(here as u32).trailing_zeros() as usize;
        let slot = (here + ahead) % SLOTS;
        let start = ((self.elapsed >> shift) + ahead as u64) << shift;
        (level, slot, start)
    }

    /// Takes every key out of a slot: those due by `now` have expired, the others find their finer place.
    fn empty(&mut self, level: usize, slot: usize, now: u64) {
        let mut key = self.heads[level * SLOTS + slot];
        let mut rest = Vec::new();
        while key != NONE {
            rest.push(key);
            key = self.nodes[key as usize].next;
        }
        for &key in &rest {
            self.unlink(key);
        }
        for key in rest {
            let due = self.nodes[key as usize].due;
            if due <= now { self.expired.push(key) } else { self.link(key, due) }
        }
    }

    fn link(&mut self, key: u32, due: u64) {
        let differing = (due ^ self.elapsed) | 1;
        let level = ((63 - differing.leading_zeros()) / LEVEL_BITS).min(LEVELS as u32 - 1) as usize;
        let slot = (due >> (LEVEL_BITS * level as u32)) as usize % SLOTS;
        let place = level * SLOTS + slot;
        let head = self.heads[place];
        self.nodes[key as usize] = Node { due, prev: NONE, next: head, place: place as u32 };
        if head != NONE {
            self.nodes[head as usize].prev = key;
        }
        self.heads[place] = key;
        self.occupied[level] |= 1 << slot;
    }

    fn unlink(&mut self, key: u32) {
        let node = self.nodes[key as usize];
        if node.place == NONE {
            return;
        }
        match node.prev {
            NONE => self.heads[node.place as usize] = node.next,
            prev => self.nodes[prev as usize].next = node.next,
        }
        if node.next != NONE {
            self.nodes[node.next as usize].prev = node.prev;
        }
        if self.heads[node.place as usize] == NONE {
            self.occupied[node.place as usize / SLOTS] &= !(1 << (node.place as usize % SLOTS));
        }
        self.nodes[key as usize].place = NONE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *state >> 11
    }

    #[test]
    fn agrees_with_a_sorted_map_over_random_sets_clears_and_steps() {
        for seed in 0..20 {
            let mut state = seed;
            let (mut timers, mut model) = (Timers::default(), BTreeMap::new());
            let mut now_us = 0;
            for _ in 0..3_000 {
                let key = (random(&mut state) % 50) as u32;
                match random(&mut state) % 4 {
                    0 | 1 => {
                        let far = 1 << (random(&mut state) % 36);
                        let due_us = now_us + random(&mut state) % (far * 100 + 1);
                        timers.set(key, due_us);
                        model.insert(key, due_us.div_ceil(TICK_US).max(now_us / TICK_US + 1));
                    }
                    2 => {
                        timers.clear(key);
                        model.remove(&key);
                    }
                    _ => {
                        let earliest = model.values().min().copied();
                        match (timers.next_us(), earliest) {
                            (Some(next), Some(due)) => assert!(next <= due * TICK_US, "seed {seed}"),
                            (next, due) => assert_eq!(next.is_none(), due.is_none(), "seed {seed}"),
                        }
                        now_us += random(&mut state) % (1 << (random(&mut state) % 36));
                        let mut popped = Vec::new();
                        while let Some(key) = timers.pop(now_us) {
                            popped.push(key);
                        }
                        popped.sort_unstable();
                        let due: Vec<u32> = model
                            .iter()
                            .filter(|&(_, &due)| due <= now_us / TICK_US)
                            .map(|(&key, _)| key)
                            .collect();
                        model.retain(|_, due| *due > now_us / TICK_US);
                        assert_eq!(popped, due, "seed {seed}");
                    }
                }
            }
        }
    }
}
