//! What the jobs are and what comes of them: the same as `tests/c/chaos.h` says, worked out once more.

/// Random numbers from a seed (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// The next one.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// From 0 to `n` - 1.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

fn fnv1a(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

/// The result of a client's job.
pub(crate) fn result(client: usize, seq: u64, len: u64) -> String {
    let mut random = Random(fnv1a(FNV_START, format!("c{client}").as_bytes()) ^ seq);
    let micros = match random.below(1_000) {
        0..990 => random.below(1_500),
        990..998 => 20_000,
        _ => 120_000,
    };
    let mut payload = format!("c{client} {seq} {micros} ").into_bytes();
    while (payload.len() as u64) < len {
        payload.push(random.next().to_le_bytes()[0]);
    }
    format!("c{client} {seq} {:016x}", fnv1a(FNV_START, &payload))
}
