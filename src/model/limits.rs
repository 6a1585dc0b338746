//! Every limit of the pure layers, in one place. A limit users may want to change is the default of an
//! option; a limit that bites has a counter.

/// Bytes of a queue's name.
pub const QUEUE_NAME_LEN_MAX: usize = 255;
/// Highest priority; it goes first. The lowest is 1.
pub const PRIORITY_MAX: u32 = 8;
/// The priority of a job that names none.
pub const PRIORITY_NORMAL: u32 = 4;
/// A class gains one priority for each such time it was passed over, so that class 1 moves.
pub const AGING_MS: u64 = 1_000;

/// Bytes of a part that travels inside its command; larger ones are frames.
pub const INLINE_LEN_MAX: usize = 4_096;
/// Bytes of all parts of one body that travel inside its command; further ones are frames.
pub const BODY_INLINE_LEN_MAX: usize = 64 << 10;
/// Frames one command takes of a packet; further parts are transfers.
pub const COMMAND_FRAMES_MAX: usize = 2_048;
/// Bytes of a part that travels as one frame; larger ones are transfers.
pub const FRAME_LEN_MAX: usize = 1 << 20;
/// Bytes of one chunk of a transfer.
pub const CHUNK_LEN_MAX: usize = 256 << 10;
/// Bytes a packet is filled up to before the next one begins: so many, or a part of what is kept for the other side if that is
/// more. Packets that leave while the next ones are being made keep both sides at work, and fewer, fuller ones cost
/// less.
pub const PACKET_LEN_MIN: usize = 32 << 10;
/// See [`PACKET_LEN_MIN`]: at least so many packets for everything that is kept.
pub const PACKETS_UNDER_WAY: usize = 4;
/// However much is kept.
pub const PACKET_LEN_MAX: usize = 128 << 10;
/// Commands in one packet: the header counts them in 16 bits.
pub const PACKET_COMMANDS_MAX: usize = u16::MAX as usize;
/// Frames of one packet, the first included.
pub const PACKET_FRAMES_MAX: usize = 4_096;
/// Bytes of one ZeroMQ frame, enforced by the socket.
pub const ZMQ_FRAME_LEN_MAX: usize = 2 << 20;
/// Bytes of unacknowledged bodies under way in one direction of a session.
pub const WINDOW_LEN: usize = 8 << 20;
/// Unacknowledged commands under way in one direction of a session.
pub const WINDOW_COMMANDS: usize = 20_000;

/// Bytes of a payload or result over all frames, unless `broker.payload_max` says otherwise.
pub const PAYLOAD_LEN_MAX: usize = 64 << 20;
/// Frames of one body.
pub const BODY_FRAMES_MAX: usize = 1_024;
/// Bytes of a job's headers with their names.
pub const HEADERS_LEN_MAX: usize = 64 << 10;
/// Headers of a job.
pub const HEADERS_MAX: usize = 1_024;
/// Arguments of an operator's command.
pub const ARGUMENTS_MAX: usize = 64;
/// Features a peer or a broker may name; further ones are dropped.
pub const FEATURES_MAX: usize = 64;
/// Bytes of a peer's name, host or version; the rest is cut.
pub const NAME_LEN_MAX: usize = 255;
/// Bytes of a code, message or note kept from a peer; the rest is cut.
pub const TEXT_LEN_MAX: usize = 4_096;
/// Bytes of a failure's detail kept from a worker; the rest is cut.
pub const DETAIL_LEN_MAX: usize = 64 << 10;
/// Facts of a job's meta kept from a worker.
pub const META_FACTS_MAX: usize = 64;
/// Bytes of a content hash.
pub const CONTENT_LEN_MAX: usize = 32;

/// Sessions a broker knows at once, attached or not.
pub const SESSIONS_MAX: usize = 20_000;
/// How long a session without a connection is remembered.
pub const SESSION_TTL_MS: u64 = 60_000;
/// Queues one worker may register.
pub const WORKER_QUEUES_MAX: usize = 20_000;
/// Leases one worker may hold.
pub const WORKER_LEASES_MAX: usize = 10_000;
/// Hosts that report to one broker.
pub const HOSTS_MAX: usize = 1_000;
/// Slots of a host whose state is kept.
pub const HOST_SLOTS_MAX: usize = 500;
/// Queues of a host whose settings for hosts it is told.
pub const HOST_QUEUES_MAX: usize = 64;
/// Parameters that are handed to the hosts of one queue.
pub const QUEUE_PARAMS_MAX: usize = 64;
/// Bytes of the name, and of the value, of one of them.
pub const PARAM_LEN_MAX: usize = 2_000;
/// SUBMITs a client may send ahead of what the broker has taken.
pub const SUBMIT_CREDIT_JOBS: u64 = 10_000;

/// How long a lease lasts without a beat.
pub const LEASE_MS: u64 = 30_000;
/// How often a peer beats.
pub const BEAT_MS: u64 = 5_000;
/// How long leases wait for a dropped connection's session to come back.
pub const REATTACH_MS: u64 = 500;
/// What a session's peer has not acknowledged and what waits to be sent to it, in commands; over it the session ends.
pub const SESSION_QUEUE_COMMANDS_MAX: usize = 200_000;
/// Connections a broker keeps in mind at once, with a session or not.
pub const CONNECTIONS_MAX: usize = 40_000;
/// How long a connection without a session is kept in mind.
pub const CONNECTION_TTL_MS: u64 = 60_000;
/// The longest an acknowledgement nobody waits for is held back, so that another packet may carry it.
pub const ACK_DELAY_MS: u64 = 20;
/// So many commands are acknowledged at once all the same.
pub const ACK_COMMANDS: u64 = 64;
/// The shortest time between two HELLOs of one connection.
pub const HELLO_INTERVAL_MS: u64 = 100;
/// How long a peer waits for WELCOME before it says HELLO again.
pub const HELLO_RETRY_MS: u64 = 2_000;
/// A connection is told WHO at most this often.
pub const WHO_INTERVAL_MS: u64 = 1_000;
/// The longest loop pause that is taken for the broker's own: leases are prolonged by it, up to one period.
pub const LOOP_PAUSE_MS: u64 = 1_000;

/// Counted losses on different sessions after which a job is quarantined.
pub const LOSSES_MAX: u32 = 2;
/// Releases of one job before it fails, unless its options say otherwise.
pub const RELEASES_MAX: u32 = 100;
/// Ids chosen by applications that are remembered after their jobs are gone.
pub const DEDUPE_MAX: usize = 1_000_000;
/// How long an application's id is remembered, by the time it carries.
pub const DEDUPE_WINDOW_MS: u64 = 24 * 3_600_000;
/// How far ahead of the broker's clock an id may lie.
pub const ID_AHEAD_MS_MAX: u64 = 10 * 60_000;
/// Bytes of jobs and results a broker keeps in memory, unless `broker.memory_max` says otherwise.
pub const MEMORY_LEN_MAX: u64 = 4 << 30;
/// Bytes of jobs and results beyond which payloads of waiting durable jobs are left in the store, unless
/// `broker.cache_max` says otherwise.
pub const CACHE_LEN_MAX: u64 = 1 << 30;
/// Payloads smaller than that are never left in the store: nothing would be won.
pub const STORED_LEN_MIN: u64 = 128;
/// Bytes counted for a job besides its payload, name and headers.
pub const JOB_OVERHEAD_LEN: u64 = 512;
/// Bytes of a store's files up to which it takes jobs, unless `broker.store_max` says otherwise.
pub const STORE_LEN_MAX: u64 = 16 << 30;
/// Queues a broker knows at once.
pub const QUEUES_MAX: usize = 100_000;
/// Events kept for `events`.
pub const EVENTS_MAX: usize = 100_000;
/// What a refused client is told to wait when the broker is full.
pub const BUSY_RETRY_MS: u64 = 100;
/// What a refused client is told to wait when the store is full.
pub const STORE_RETRY_MS: u64 = 1_000;
/// A job that waits at a worker of short jobs is asked back for a free one only when nothing has begun or ended there for so
/// long: until then it would begin there before it came to the other.
pub const RECALL_AFTER_US: u64 = 2_000;
/// Milliseconds of any interval or timeout a peer may ask for: 365 days.
pub const INTERVAL_MS_MAX: u64 = 365 * 24 * 3_600_000;
/// How long a finished job's history is remembered, unless `broker.retention_ms` says otherwise.
pub const RETENTION_MS: u64 = 3_600_000;
/// Finished jobs whose history is remembered.
pub const HISTORIES_MAX: usize = 20_000;
/// Attempts remembered of one job; of more the first are forgotten.
pub const ATTEMPTS_KEPT_MAX: usize = 32;
/// Bytes of the code, and of the message, remembered of one attempt's failure; the rest is cut.
pub const ATTEMPT_TEXT_LEN_MAX: usize = 240;
/// Bytes remembered of what was seen of one attempt from outside, as where it stood; the rest is cut.
pub const EVIDENCE_LEN_MAX: usize = 4_096;
/// Bytes of a key that a host's commands get as a variable.
pub const HOOK_KEY_LEN_MAX: usize = 4_096;
/// Bytes that are kept of what such a command says on standard error.
pub const HOOK_SAID_LEN_MAX: usize = 8 << 10;
/// Bytes of each text that is kept of a worker's crash.
pub const CRASH_TEXT_LEN_MAX: usize = 32 << 10;
/// How long a quarantined job waits for a person, unless `broker.quarantine_ms` says otherwise: 30 days.
pub const QUARANTINE_MS: u64 = 30 * 24 * 3_600_000;
/// Bytes of a quarantined job's payload that `quarantine.show` gives unless it is asked for more.
pub const SHOWN_LEN: u64 = 1_024;
/// How long a worker's presented job waits for the client that submits it again.
pub const ORPHAN_MS: u64 = 30_000;
/// Jobs one answer of `jobs.list` names, or one `queue.purge` ends, and events one answer of `events` tells.
pub const LIST_MAX: usize = 10_000;
/// Jobs of one answer that was not asked for more or fewer.
pub const LIST_LEN: usize = 100;
/// Steps of one run.
pub const RUN_STEPS_MAX: usize = 100_000;
/// What the steps of one run need, counted over all of them.
pub const RUN_NEEDS_MAX: usize = 1_000_000;
/// Jobs of the stages of one run, over all of them.
pub const RUN_JOBS_MAX: usize = 1_000_000;
/// Bytes a collector may say with an acknowledgement: they travel as text, two digits for each.
pub const ACKED_LEN_MAX: usize = 2_000;
/// Bytes of a run's context: they travel as text, two digits for each.
pub const CONTEXT_LEN_MAX: usize = 2_000;
/// The header in which the jobs of a run are given its context.
pub const CONTEXT_HEADER: &str = "forebay-context";
/// Bytes of a serial key.
pub const SERIAL_KEY_LEN_MAX: usize = 255;
/// Jobs of one serial key that may be under way at once.
pub const SERIAL_JOBS_MAX: u32 = 100_000;
/// Bytes of a collector's name.
pub const COLLECTOR_NAME_LEN_MAX: usize = 255;
/// How long an open stage waits for another job or to be closed, when none of its jobs is left, unless `broker.stage_idle_ms`
/// says otherwise.
pub const STAGE_IDLE_MS: u64 = 600_000;
/// Bytes of a step's name.
pub const STEP_NAME_LEN_MAX: usize = 255;
/// Runs a broker holds at once, those included that have ended and whose results are kept.
pub const RUNS_MAX: usize = 100_000;
/// Runs whose graph and times are remembered after their results are gone, and the steps of them in all.
pub const PAST_RUNS_MAX: usize = 10_000;
/// See [`PAST_RUNS_MAX`].
pub const PAST_STEPS_MAX: usize = 100_000;
