//! What one seed is a run of: how many of whom, which jobs side, which faults and how often. Everything follows from
//! the seed, and a test may change it afterwards.

use crate::random::Random;

pub(crate) const MS: u64 = 1_000;
pub(crate) const SECOND: u64 = 1_000_000;

/// The wall clock when a run starts: the middle of 2026.
pub(crate) const WALL_MS: u64 = 1_780_000_000_000;

pub(crate) const REATTACH_MS: u64 = 500;
pub(crate) const RESULT_TTL_MS: u64 = 45_000;
/// How long a run goes on before everything is put right.
pub(crate) const ACTIVE_US: u64 = 600 * SECOND;
/// How long the disk takes at most when it is slow.
pub(crate) const SLOW_US_MAX: u64 = 3 * SECOND;
/// How long the broker's loop stands still at most.
pub(crate) const PAUSE_US_MAX: u64 = 6 * SECOND;
/// Jobs larger than this are refused; transfers begin above 1 MiB.
pub(crate) const PAYLOAD_MAX: u64 = 3 << 20;
/// Bytes of the store's segments: small, so that they are used again and again.
pub(crate) const SEGMENT_LEN: u64 = 64 << 10;

/// Which jobs side the broker has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The table as it is.
    Plain,
    /// Behind [`crate::delayed::DelayedJobs`].
    Delayed,
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
    /// The broker's process ends; everything it knew is gone, but for what it wrote.
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
    /// The broker's machine goes down, and its disk forgets, tears or reorders what was not synced.
    PowerLoss,
    /// Syncs take long for a while.
    SlowDisk,
    /// The medium fails: a write or a sync says so. The broker ends; what was written may be there or not.
    DiskError,
    /// There is no room on the disk for another file for a while.
    DiskFull,
}

/// Those that can strike any broker.
const FAULTS: [Fault; 13] = [
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

/// Those that strike a store.
const DISK_FAULTS: [Fault; 4] = [Fault::PowerLoss, Fault::SlowDisk, Fault::DiskError, Fault::DiskFull];

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
    /// The broker has a store.
    pub(crate) durable: bool,
    pub(crate) clients: usize,
    pub(crate) workers: usize,
    pub(crate) slots_max: u64,
    pub(crate) queues: u64,
    pub(crate) jobs: u64,
    /// When things happen, counted from the start: most jobs and faults fall into these times.
    pub(crate) waves_us: Vec<u64>,
    /// How long each of them is.
    pub(crate) wave_us: u64,
    /// What goes wrong, each time.
    pub(crate) faults: Vec<Fault>,
    pub(crate) noise: Noise,
    /// How long a job's attempt takes at most.
    pub(crate) work_us_max: u64,
    /// How long a broker is away when it was killed, at most.
    pub(crate) down_us_max: u64,
    /// Before a peer notices that its connection is gone and has another, at most.
    pub(crate) reconnect_us_max: u64,
    /// How long a lease lasts without a beat.
    pub(crate) lease_ms: u64,
    /// How long a sync takes at most; 0 = the broker waits for it, as its driver does.
    pub(crate) sync_us_max: u64,
    /// Bytes of jobs and results beyond which payloads are left in the store.
    pub(crate) cache_max: u64,
    /// Bytes of the store up to which jobs are taken.
    pub(crate) store_max: u64,
    /// The wall clock jumps so far at most.
    pub(crate) jump_ms_max: u64,
    /// The wall clock says something else every second, and nothing else is different.
    pub(crate) wild_clock: bool,
    /// Jobs one queue takes; 0 = no limit.
    pub(crate) queue_jobs_max: u64,
    /// Some jobs have ids the application chose.
    pub(crate) named_ids: bool,
    /// Serial keys of each queue that some jobs name; of the second, two may be under way.
    pub(crate) keys: u64,
    /// A packet's worth of a large payload now and then.
    pub(crate) large: bool,
}

impl Plan {
    pub(crate) fn of(seed: u64) -> Plan {
        let mut random = Random::of(seed, 1);
        let side = if matches!(seed % 8, 3 | 6) { Side::Delayed } else { Side::Plain };
        let durable = !matches!(seed % 8, 1 | 5) && seed % 16 != 3;
        let waves = random.between(5, 12);
        let noisy = random.chance(350);
        let noise = Noise {
            loss: if noisy { random.below(40) } else { 0 },
            twice: if noisy { random.below(40) } else { 0 },
            reorder: if noisy { random.below(40) } else { 0 },
            delay_us_max: random.pick(&[300, 2 * MS, 30 * MS]),
        };
        let named_ids = random.chance(500);
        let minute_ms = 60_000;
        Plan {
            seed,
            side,
            durable,
            clients: random.between(3, 4) as usize,
            workers: random.between(4, 6) as usize,
            slots_max: random.between(1, 4),
            queues: random.between(1, 3),
            jobs: random.between(300, 340),
            waves_us: (0..waves).map(|_| random.below(ACTIVE_US - 30 * SECOND)).collect(),
            wave_us: random.between(4, 25) * SECOND,
            faults: faults(&mut random, durable),
            noise,
            work_us_max: random.pick(&[20 * MS, 400 * MS, 3 * SECOND]),
            down_us_max: random.pick(&[100 * MS, SECOND, 5 * SECOND]),
            reconnect_us_max: random.pick(&[20 * MS, 400 * MS, 3 * SECOND]),
            lease_ms: random.pick(&[3_000, 10_000, 10_000, 30_000, 30_000, 30_000]),
            sync_us_max: random.pick(&[0, 2 * MS, 30 * MS]),
            cache_max: random.pick(&[0, 20_000, u64::MAX]),
            store_max: if random.chance(100) { random.between(4, 8) * SEGMENT_LEN } else { u64::MAX },
            // Records carry the wall clock over a restart, and ids are remembered by it.
            jump_ms_max: if named_ids || durable { 8 * minute_ms } else { 3 * 24 * 60 * minute_ms },
            wild_clock: false,
            queue_jobs_max: if random.chance(160) { random.between(3, 8) } else { 0 },
            named_ids,
            keys: Random::of(seed, 2).below(8).saturating_sub(5),
            large: random.chance(30),
        }
    }

    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    pub(crate) fn beat_ms(&self) -> u64 {
        self.lease_ms / 4
    }

    /// How long a session without a connection is remembered.
    pub(crate) fn session_ttl_ms(&self) -> u64 {
        2 * self.lease_ms + 4_000
    }
}

/// Some kinds of faults, and each time one of them strikes: some faults are only found by others of their kind.
fn faults(random: &mut Random, durable: bool) -> Vec<Fault> {
    let mut kinds: Vec<Fault> = FAULTS.into_iter().filter(|_| random.chance(300)).collect();
    if durable {
        kinds.extend(DISK_FAULTS.into_iter().filter(|_| random.chance(400)));
    }
    if kinds.is_empty() {
        kinds.push(random.pick(&FAULTS));
    }
    (0..random.between(20, 36)).map(|_| random.pick(&kinds)).collect()
}
