//! What happened in a run, as one number: two runs of a seed must agree on it. And how often what happened, over many.

use std::collections::BTreeMap;
use std::fmt::Arguments;

const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// Everything that happened, hashed (as FNV-1a does it, eight bytes at once); printed as well when a seed is replayed.
pub(crate) struct Trace {
    /// Of every event and every byte.
    hash: u64,
    /// Of what jobs, clients and workers saw, without clocks and addresses.
    story: u64,
    printed: bool,
    /// The last lines, for the report of a failure.
    last: std::collections::VecDeque<String>,
}

impl Trace {
    pub(crate) fn new(printed: bool) -> Self {
        Trace { hash: 0xcbf2_9ce4_8422_2325, story: 0xcbf2_9ce4_8422_2325, printed, last: Default::default() }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        mix(&mut self.hash, bytes);
    }

    /// Something of the machinery: a packet, a fault.
    pub(crate) fn note(&mut self, now_us: u64, what: Arguments<'_>) {
        let line = self.line(now_us, what);
        mix(&mut self.hash, line.as_bytes());
    }

    /// Something the application sees.
    pub(crate) fn tell(&mut self, now_us: u64, what: Arguments<'_>) {
        let line = self.line(now_us, what);
        mix(&mut self.hash, line.as_bytes());
        mix(&mut self.story, line.as_bytes());
    }

    pub(crate) fn is_printed(&self) -> bool {
        self.printed
    }

    fn line(&mut self, now_us: u64, what: Arguments<'_>) -> String {
        let line = format!("{:>10}.{:06} {what}", now_us / 1_000_000, now_us % 1_000_000);
        if self.printed {
            println!("{line}");
        }
        if self.last.len() == 40 {
            self.last.pop_front();
        }
        self.last.push_back(line.clone());
        line
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn story(&self) -> u64 {
        self.story
    }

    pub(crate) fn last_lines(&self) -> String {
        self.last.iter().map(|line| format!("{line}\n")).collect()
    }
}

fn mix(hash: &mut u64, bytes: &[u8]) {
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().expect("it has eight bytes"));
        *hash = (*hash ^ word).wrapping_mul(FNV_PRIME).rotate_left(23);
    }
    for byte in words.remainder() {
        *hash = (*hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME);
    }
}

/// How often what happened, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally(pub(crate) BTreeMap<String, u64>);

impl Tally {
    pub(crate) fn add(&mut self, name: &str, count: u64) {
        if count > 0 {
            *self.0.entry(name.to_owned()).or_default() += count;
        }
    }

    pub(crate) fn one(&mut self, name: &str) {
        self.add(name, 1);
    }

    pub(crate) fn merge(&mut self, other: &Tally) {
        for (name, count) in &other.0 {
            self.add(name, *count);
        }
    }
}
