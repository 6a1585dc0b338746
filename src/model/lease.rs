//! Who holds a job.

/// Boot epoch (24 bits) << 40 | counter. Strictly increasing over the life of one broker id.
pub type Token = u64;

/// The handle of one grant: where the broker keeps the job, and the token that fences it. Workers echo it. Ordered as
/// they were granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lease {
    /// The fence.
    pub token: Token,
    /// The broker's place of the job. Reused; only the token says which grant is meant.
    pub slot: u32,
}

/// Why a worker should stop a job: a set of bits, part of the C ABI and of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Stop(pub u32);

impl Stop {
    /// The job was cancelled.
    pub const CANCELLED: Stop = Stop(1);
    /// Somebody else holds the job now, or nobody.
    pub const LEASE_LOST: Stop = Stop(2);
    /// Its run timeout, stall timeout or deadline passed.
    pub const TIME_OVER: Stop = Stop(4);
}
