//! What can be chosen when a handle is opened, as plain values; the table of options fills them from strings.
//!
//! Invariant: `Default` is what the table of options names as default.

use std::fmt;
use std::path::PathBuf;

use crate::model::{JobRules, limits};

/// When a client tells the broker that a result need not be kept any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AckMode {
    /// As soon as the result is handed to the application.
    #[default]
    Auto,
    /// When the application says `ack`.
    Manual,
}

/// The keys of a connection that is encrypted; nothing where the endpoint is private to the user.
#[derive(Clone, Default)]
pub struct Keys {
    /// The broker's public key, 40 characters of Z85.
    pub broker_key: Option<String>,
    /// The file with this side's own key pair.
    pub key_file: Option<PathBuf>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("broker_key", &self.broker_key).finish_non_exhaustive()
    }
}

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// Its name, a reply box: results of jobs submitted under it are handed to any client of that name.
    pub name: String,
    /// Jobs it holds at once, and results that wait for `next`.
    pub window_jobs: u64,
    /// Bytes of their payloads.
    pub window_bytes: u64,
    /// How long closing waits for the broker to take what was enqueued.
    pub linger_ms: u64,
    /// When results are acknowledged.
    pub ack: AckMode,
    /// For endpoints that are encrypted.
    pub keys: Keys,
}

impl Default for ClientSettings {
    fn default() -> Self {
        ClientSettings {
            name: String::new(),
            window_jobs: 10_000,
            window_bytes: 64 << 20,
            linger_ms: 2_000,
            ack: AckMode::Auto,
            keys: Keys::default(),
        }
    }
}

/// How a worker behaves.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// Its name, for people.
    pub name: String,
    /// Jobs it executes at once. `None`: as many as threads were in `receive` or held an unanswered job at once.
    pub slots: Option<u32>,
    /// Jobs it is handed beyond its slots, to wait here. `None`: none, unless its jobs are so short that the way of
    /// the next one would take longer; those go back at once when a longer one holds them up.
    pub prefetch: Option<u32>,
    /// How long closing waits for the broker to take the answers.
    pub linger_ms: u64,
    /// Without a broker for so long it gives up: `receive` answers ERR_IO. 0: never.
    pub broker_gone_ms: u64,
    /// Bytes of answers the broker has not acknowledged; beyond it answers are refused with ERR_BUSY.
    pub unacked_bytes: u64,
    /// For endpoints that are encrypted.
    pub keys: Keys,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        WorkerSettings {
            name: String::new(),
            slots: None,
            prefetch: None,
            linger_ms: 5_000,
            broker_gone_ms: 0,
            unacked_bytes: 256 << 20,
            keys: Keys::default(),
        }
    }
}

/// How a worker takes the jobs of one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterSettings {
    /// At most so many of the queue's jobs at once on this worker; 0: no limit of its own.
    pub slots: u32,
    /// The queue's share when several have jobs; at least 1.
    pub weight: u32,
}

impl Default for RegisterSettings {
    fn default() -> Self {
        RegisterSettings { slots: 0, weight: 1 }
    }
}

/// How a broker behaves.
#[derive(Clone, Debug)]
pub struct BrokerSettings {
    /// Endpoints to bind; none: the default endpoint.
    pub listen: Vec<String>,
    /// The store's folder; `None`: jobs live in memory.
    pub store: Option<PathBuf>,
    /// Bytes of the store's files up to which it takes jobs.
    pub store_max: u64,
    /// Bytes of jobs and results kept in memory.
    pub memory_max: u64,
    /// Bytes of them beyond which payloads of waiting durable jobs are left in the store.
    pub cache_max: u64,
    /// Bytes of one payload or result.
    pub payload_max: u64,
    /// How long ended jobs can be asked about after their results were acknowledged; `None`: not.
    pub retention_ms: Option<u64>,
    /// How long a quarantined job waits for a person.
    pub quarantine_ms: u64,
    /// How long an open stage without jobs waits for its owner; 0 for ever.
    pub stage_idle_ms: u64,
    /// How long a lease lasts without a beat.
    pub lease_ms: u64,
    /// How often peers beat.
    pub beat_ms: u64,
    /// How long leases wait for a dropped connection's session to come back.
    pub reattach_ms: u64,
    /// The file with the broker's key pair; with it, connections over TCP are encrypted.
    pub key_file: Option<PathBuf>,
    /// The file that lists the public keys that may connect, one a line; `None`: any key.
    pub clients_file: Option<PathBuf>,
    /// Allows TCP without encryption.
    pub insecure: bool,
    /// The rules of jobs that say nothing else.
    pub rules: JobRules,
    /// Jobs one queue may hold; 0: no limit of its own.
    pub queue_max_jobs: u64,
    /// Bytes one queue may hold; 0: no limit of its own.
    pub queue_max_bytes: u64,
}

impl Default for BrokerSettings {
    fn default() -> Self {
        BrokerSettings {
            listen: Vec::new(),
            store: None,
            store_max: limits::STORE_LEN_MAX,
            memory_max: limits::MEMORY_LEN_MAX,
            cache_max: limits::CACHE_LEN_MAX,
            payload_max: limits::PAYLOAD_LEN_MAX as u64,
            retention_ms: None,
            quarantine_ms: limits::QUARANTINE_MS,
            stage_idle_ms: limits::STAGE_IDLE_MS,
            lease_ms: limits::LEASE_MS,
            beat_ms: limits::BEAT_MS,
            reattach_ms: limits::REATTACH_MS,
            key_file: None,
            clients_file: None,
            insecure: false,
            rules: JobRules::default(),
            queue_max_jobs: 0,
            queue_max_bytes: 0,
        }
    }
}
