//! A map for what comes in order and mostly leaves in the same order.

use std::collections::{BTreeMap, VecDeque};

/// Values by keys that are mostly given out in rising order, iterated in that order.
///
/// Adding at the end and taking the first cost the same however many there are, and touch one place in memory. Finding
/// another takes a binary search, and what comes late into the midst of the others is in a tree beside them.
#[derive(Clone, Debug)]
pub struct Sequence<K, V> {
    /// What was taken out of the middle leaves a gap. Invariant: the keys rise, neither the first nor the last is a gap, and
    /// gaps are never more than values.
    entries: VecDeque<(K, Option<V>)>,
    /// How many of them have a value.
    len: usize,
    /// What came after a greater key. Invariant: no key has a value in both.
    late: BTreeMap<K, V>,
}

impl<K, V> Default for Sequence<K, V> {
    fn default() -> Self {
        Sequence { entries: VecDeque::new(), len: 0, late: BTreeMap::new() }
    }
}

impl<K: Copy + Ord, V> Sequence<K, V> {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.len + self.late.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts `value` under `key` and returns what stood there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        if let Some(known) = self.late.get_mut(&key) {
            return Some(std::mem::replace(known, value));
        }
        if self.entries.back().is_none_or(|(last, _)| *last < key) {
            self.entries.push_back((key, Some(value)));
            self.len += 1;
            return None;
        }
        let Some(at) = self.find(key) else { return self.late.insert(key, value) };
        let before = self.entries[at].1.replace(value);
        self.len += usize::from(before.is_none());
        before
    }

    /// Takes out what stands under `key`.
    pub fn remove(&mut self, key: K) -> Option<V> {
        let Some(value) = self.find(key).and_then(|at| self.entries[at].1.take()) else {
            return self.late.remove(&key);
        };
        self.len -= 1;
        while let Some((_, None)) = self.entries.front() {
            self.entries.pop_front();
        }
        while let Some((_, None)) = self.entries.back() {
            self.entries.pop_back();
        }
        if self.entries.len() > 2 * self.len {
            self.entries.retain(|(_, value)| value.is_some());
        }
        Some(value)
    }

    /// The value under `key`.
    pub fn get(&self, key: K) -> Option<&V> {
        self.find(key).and_then(|at| self.entries[at].1.as_ref()).or_else(|| self.late.get(&key))
    }

    /// The value under `key`, to change in place.
    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        match self.find(key).filter(|&at| self.entries[at].1.is_some()) {
            Some(at) => self.entries[at].1.as_mut(),
            None => self.late.get_mut(&key),
        }
    }

    /// Whether something stands under `key`.
    pub fn contains(&self, key: K) -> bool {
        self.get(key).is_some()
    }

    /// The lowest key and its value.
    pub fn first(&self) -> Option<(K, &V)> {
        self.iter().next()
    }

    /// Keys and values, the lowest key first.
    pub fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        let mut entries =
            self.entries.iter().filter_map(|(key, value)| Some((*key, value.as_ref()?))).peekable();
        let mut late = self.late.iter().map(|(key, value)| (*key, value)).peekable();
        std::iter::from_fn(move || match (entries.peek(), late.peek()) {
            (Some((key, _)), Some((late_key, _))) if key < late_key => entries.next(),
            (_, Some(_)) => late.next(),
            (_, None) => entries.next(),
        })
    }

    /// The keys, the lowest first.
    pub fn keys(&self) -> impl Iterator<Item = K> {
        self.iter().map(|(key, _)| key)
    }

    /// The values, that of the lowest key first.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// Where `key` stands in `entries`, or the gap it left.
    fn find(&self, key: K) -> Option<usize> {
        if self.entries.front()?.0 == key {
            return Some(0);
        }
        self.entries.binary_search_by_key(&key, |(key, _)| *key).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn check(sequence: &Sequence<u32, u64>, expected: &BTreeMap<u32, u64>) {
        assert!(sequence.iter().eq(expected.iter().map(|(key, value)| (*key, value))));
        assert_eq!(sequence.len(), expected.len());
        assert_eq!(sequence.is_empty(), expected.is_empty());
        assert_eq!(sequence.first(), expected.first_key_value().map(|(key, value)| (*key, value)));
        assert!(sequence.entries.len() <= 2 * sequence.len, "gaps are never more than what is there");
    }

    #[test]
    fn whatever_comes_and_goes_it_is_a_map_in_order() {
        let (mut sequence, mut expected) = (Sequence::new(), BTreeMap::new());
        let mut random = 1u64;
        let mut highest = 0u32;
        for step in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (what, near) = (random >> 60, (random >> 40) as u32 % 64);
            let key = match what {
                0..6 => {
                    highest += 1;
                    highest
                }
                6..12 => expected.keys().next().copied().unwrap_or(0),
                _ => highest.saturating_sub(near),
            };
            if what < 6 || what == 13 {
                assert_eq!(sequence.insert(key, step), expected.insert(key, step));
            } else if what == 14 {
                assert_eq!(sequence.get(key), expected.get(&key));
                assert_eq!(sequence.contains(key), expected.contains_key(&key));
                assert_eq!(sequence.get_mut(key), expected.get_mut(&key));
            } else {
                assert_eq!(sequence.remove(key), expected.remove(&key));
            }
            check(&sequence, &expected);
        }
        assert!(sequence.keys().eq(expected.keys().copied()) && sequence.values().eq(expected.values()));
    }

    #[test]
    fn what_was_taken_out_may_come_back_to_its_place() {
        let mut sequence = Sequence::new();
        (1..=5).for_each(|key| assert_eq!(sequence.insert(key, key), None));
        assert_eq!(sequence.remove(3), Some(3));
        assert_eq!((sequence.get(3), sequence.len()), (None, 4));
        assert_eq!(sequence.remove(3), None);
        assert_eq!(sequence.insert(3, 30), None);
        assert!(sequence.values().eq(&[1, 2, 30, 4, 5]));
        (1..=5).for_each(|key| assert!(sequence.remove(key).is_some()));
        assert!(sequence.is_empty() && sequence.first().is_none());
    }

    #[test]
    fn what_comes_late_moves_nothing_else() {
        let mut sequence = Sequence::new();
        (0..1_000).for_each(|key| assert_eq!(sequence.insert(key * 2, key), None));
        (0..999).rev().for_each(|key| assert_eq!(sequence.insert(key * 2 + 1, key), None));
        assert_eq!((sequence.entries.len(), sequence.late.len(), sequence.len()), (1_000, 999, 1_999));
        assert!(sequence.keys().eq(0..1_999));
        assert_eq!(
            (sequence.insert(1, 7), sequence.remove(1), sequence.first()),
            (Some(0), Some(7), Some((0, &0)))
        );
    }
}
