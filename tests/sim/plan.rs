//! What one seed is a run of: how many of whom, which jobs side, which faults and how often. Everything follows from
//! the seed, and a test may change it afterwards.

use crate::random::Random;

pub(crate) const MS: u64 = 1_000;
pub(crate) const SECOND: u64 = 1_000_000;

/// The wall clock when a run starts: the middle of 2026.
pub(crate) const WALL_MS: u64 = 1_780_000_000_000;

pub(crate) const LEASE_MS: u64 = 3_000;
pub(crate) const BEAT_MS: u64 = 800;
pub(crate) const REATTACH_MS: u64 = 500;
pub(crate) const SESSION_TTL_MS: u64 = 10_000;
pub(crate) const RESULT_TTL_MS: u64 = 45_000;
/// How long the disk takes at most.
pub(crate) const SYNC_US_MAX: u64 = 30 * MS;
/// How long the broker's loop stands still at most.
pub(crate) const PAUSE_US_MAX: u64 = 6 * SECOND;
/// Jobs larger than this are refused; transfers begin above 1 MiB.
pub(crate) const PAYLOAD_MAX: u64 = 3 << 20;

/// Which jobs side the broker has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The table as it is.
    Plain,
    /// Behind [`crate::delayed::DelayedJobs`].
    Delayed,
    /// The table with durable jobs; its records are synced late.
    Durable,
}

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// A connection drops, and both sides hear of it.
    ConnDrop,
    /// A connection is dead and the broker is not told.
    ConnVanish,
    /// Packets of one peer wait until it is over.
    Partition,
    /// The same, and they are lost.
    BlackHole,
    /// The broker's process ends; everything it knew is gone.
    BrokerKill,
    /// The broker's process stands still for a while.
    BrokerPause,
    /// A worker's process ends in the middle of its jobs.
    WorkerKill,
    /// A worker's whole host is gone: nobody closes its connection.
    WorkerVanish,
    /// A worker finishes what it runs and leaves; another comes.
    WorkerDrain,
    /// A client's or worker's process stands still, perhaps longer than its lease.
    Stall,
    /// A client's process ends; it comes again under the same name.
    ClientKill,
    /// The wall clock jumps.
    ClockJump,
    /// Random and spoiled packets reach the broker over a connection of their own.
    BadFrames,
}

pub(crate) const FAULTS: [Fault; 13] = [
    Fault::ConnDrop,
    Fault::ConnVanish,
    Fault::Partition,
    Fault::BlackHole,
    Fault::BrokerKill,
    Fault::BrokerPause,
    Fault::WorkerKill,
    Fault::WorkerVanish,
    Fault::WorkerDrain,
    Fault::Stall,
    Fault::ClientKill,
    Fault::ClockJump,
    Fault::BadFrames,
];

/// What the network does to single packets, in a thousand.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Noise {
    pub(crate) loss: u64,
    pub(crate) twice: u64,
    pub(crate) reorder: u64,
    pub(crate) delay_us_max: u64,
}

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) side: Side,
    pub(crate) clients: usize,
    pub(crate) workers: usize,
    pub(crate) slots_max: u64,
    pub(crate) queues: u64,
    pub(crate) jobs: u64,
    /// Faults happen and jobs are submitted until then.
    pub(crate) active_us: u64,
    /// Each with the mean time from one to the next.
    pub(crate) faults: Vec<(Fault, u64)>,
    pub(crate) noise: Noise,
    /// How long a job's attempt takes at most.
    pub(crate) work_us_max: u64,
    /// How long a broker is away when it was killed, at most.
    pub(crate) down_us_max: u64,
    /// Before a peer notices that its connection is gone and has another, at most.
    pub(crate) reconnect_us_max: u64,
    /// The wall clock jumps so far at most.
    pub(crate) jump_ms_max: u64,
    /// The wall clock says something else every second, and nothing else is different.
    pub(crate) wild_clock: bool,
    /// Jobs one queue takes; 0 = no limit.
    pub(crate) queue_jobs_max: u64,
    /// Some jobs have ids the application chose.
    pub(crate) named_ids: bool,
    /// A packet's worth of a large payload now and then.
    pub(crate) large: bool,
}

impl Plan {
    pub(crate) fn of(seed: u64) -> Plan {
        let mut random = Random::of(seed, 1);
        let side = match seed % 8 {
            3 | 6 => Side::Delayed,
            5 => Side::Durable,
            _ => Side::Plain,
        };
        let active_us = random.between(6, 25) * SECOND;
        let mut faults = Vec::new();
        // Every eleventh seed has a quiet network and no faults: what fails there is nobody's fault but ours.
        if !seed.is_multiple_of(11) {
            for fault in FAULTS {
                // There is no recovery of durable jobs to simulate yet.
                let fits = fault != Fault::BrokerKill || side != Side::Durable;
                if random.chance(300) && fits {
                    faults.push((fault, active_us / random.between(1, 8)));
                }
            }
        }
        let noisy = !seed.is_multiple_of(11) && random.chance(350);
        let noise = Noise {
            loss: if noisy { random.below(40) } else { 0 },
            twice: if noisy { random.below(40) } else { 0 },
            reorder: if noisy { random.below(40) } else { 0 },
            delay_us_max: random.pick(&[300, 2 * MS, 30 * MS]),
        };
        let named_ids = random.chance(500);
        let day_ms = 24 * 3_600_000;
        Plan {
            seed,
            side,
            clients: random.between(1, 4) as usize,
            workers: random.between(1, 5) as usize,
            slots_max: random.between(1, 4),
            queues: random.between(1, 3),
            jobs: random.between(10, 60),
            active_us,
            faults,
            noise,
            work_us_max: random.pick(&[20 * MS, 400 * MS, 3 * SECOND]),
            down_us_max: random.pick(&[100 * MS, SECOND, 5 * SECOND]),
            reconnect_us_max: random.pick(&[20 * MS, 400 * MS, 3 * SECOND]),
            jump_ms_max: if named_ids { 8 * 60_000 } else { 3 * day_ms },
            wild_clock: false,
            queue_jobs_max: if random.chance(80) { random.between(3, 8) } else { 0 },
            named_ids,
            large: random.chance(80),
        }
    }

    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.faults.iter().any(|(one, _)| *one == fault)
    }
}
