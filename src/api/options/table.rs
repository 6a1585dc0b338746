//! The one table of options. The documentation page, the environment variables, the TOML keys, `forebay options` and
//! `forebay_option_at` are all read from it. A key that was shipped is never renamed or given another meaning.

use std::fmt;

use crate::model::limits;

/// Whom an option is for: the part of its key before the first dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// A client, when it is opened.
    Client,
    /// A worker, when it is opened.
    Worker,
    /// A worker's queue, when it is registered.
    Register,
    /// A host of plugins, when it is run.
    Host,
    /// The parameters of plugins.
    Param,
    /// A job, when it is submitted; for a broker and for a queue, the default of every job.
    Job,
    /// A queue.
    Queue,
    /// A broker, when it is started.
    Broker,
    /// The arguments of an operator's command.
    Admin,
}

impl Family {
    /// Every family, in the table's order.
    pub const ALL: [Family; 9] = [
        Family::Client,
        Family::Worker,
        Family::Register,
        Family::Host,
        Family::Param,
        Family::Job,
        Family::Queue,
        Family::Broker,
        Family::Admin,
    ];

    /// The first part of its keys.
    pub fn name(self) -> &'static str {
        match self {
            Family::Client => "client",
            Family::Worker => "worker",
            Family::Register => "register",
            Family::Host => "host",
            Family::Param => "param",
            Family::Job => "job",
            Family::Queue => "queue",
            Family::Broker => "broker",
            Family::Admin => "admin",
        }
    }

    /// Where its options are given.
    pub fn text(self) -> &'static str {
        match self {
            Family::Client => "Given to `forebay_client_open`.",
            Family::Worker => "Given to `forebay_worker_open`.",
            Family::Register => {
                "Given to `forebay_worker_register`: how a worker takes the jobs of one queue."
            }
            Family::Host => {
                "Given to `forebay_host_run`, with those of worker, register and param. `forebay worker --load` sets them."
            }
            Family::Param => "Given to `forebay_host_run`, and from there to the plugins, each its own.",
            Family::Job => {
                "Given with a submission; they beat the queue's. Given to the command `queue.set`, they are the \
                 queue's and beat the broker's. Given to `forebay_broker_start`, they are the broker's. The default \
                 below is a broker's that was told nothing."
            }
            Family::Queue => "Given to `forebay_broker_start`: what bounds each queue.",
            Family::Broker => "Given to `forebay_broker_start`.",
            Family::Admin => {
                "The arguments of `forebay_client_admin`; which command takes which, `forebay_command_at` says."
            }
        }
    }
}

/// The type of an option's values, with its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number.
    Count {
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// A whole number, or `auto`.
    AutoCount {
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// Milliseconds; text may carry a unit: ms, s, m, h, d.
    Millis {
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// Bytes; text may carry a unit: Ki, Mi, Gi, Ti, or k, M, G, T for powers of ten.
    Bytes {
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// One of these words.
    Word(&'static [&'static str]),
    /// true or false.
    Switch,
    /// Text without NUL or control characters.
    Text {
        /// Bytes of it.
        len_max: usize,
    },
    /// A file or folder.
    Path,
    /// Several texts, separated by commas.
    List,
    /// A job's id, in its text form.
    Id,
    /// Any bytes; the key ends in a name of the caller's choice.
    Header,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Kind::Count { min, max } => write!(f, "count, {min} to {max}"),
            Kind::AutoCount { min, max } => write!(f, "auto, or count, {min} to {max}"),
            Kind::Millis { min, max } => write!(f, "milliseconds, {min} to {max}"),
            Kind::Bytes { min, max } => write!(f, "bytes, {} to {}", Bytes(min), Bytes(max)),
            Kind::Word(words) => f.write_str(&words.join(" | ")),
            Kind::Switch => f.write_str("true | false"),
            Kind::Text { len_max } => write!(f, "text, up to {len_max} bytes"),
            Kind::Path => f.write_str("path"),
            Kind::List => f.write_str("list of texts, separated by commas"),
            Kind::Id => f.write_str("job id"),
            Kind::Header => f.write_str("any bytes"),
        }
    }
}

/// Bytes as people write them.
struct Bytes(i64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")] {
            if self.0 >= 1 << shift && self.0 % (1 << shift) == 0 {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}", self.0)
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionInfo {
    /// "client.window_jobs". A header's row has the key "job.header.NAME", a parameter's "param.NAME".
    pub key: &'static str,
    /// Whom it is for.
    pub family: Family,
    /// The type and bounds of its values.
    pub kind: Kind,
    /// The default as text; empty for none.
    pub default: &'static str,
    /// What it does, in one or two sentences.
    pub text: &'static str,
}

impl OptionInfo {
    /// The environment variable that gives its value, such as FOREBAY_CLIENT_WINDOW_JOBS; `None` for a header, a
    /// parameter and a command's arguments.
    pub fn variable(&self) -> Option<String> {
        if self.kind == Kind::Header || self.family == Family::Admin {
            return None;
        }
        Some(format!("FOREBAY_{}", self.key.replace('.', "_").to_ascii_uppercase()))
    }
}

/// The key every header's key begins with.
pub(crate) const HEADER_PREFIX: &str = "job.header.";
/// The key every parameter's key begins with.
pub(crate) const PARAM_PREFIX: &str = "param.";

const INTERVAL: i64 = limits::INTERVAL_MS_MAX as i64;
const MILLIS: Kind = Kind::Millis { min: 0, max: INTERVAL };
const NAME: Kind = Kind::Text { len_max: 255 };
const KEY: Kind = Kind::Text { len_max: 40 };
/// The most of anything counted in bytes.
const BYTES_MAX: i64 = 1 << 50;

const fn row(
    family: Family,
    key: &'static str,
    kind: Kind,
    default: &'static str,
    text: &'static str,
) -> OptionInfo {
    OptionInfo { key, family, kind, default, text }
}

use Family::{Admin, Broker, Client, Host, Job, Param, Queue, Register, Worker};

/// Every option, by family. A row is a line: the table is read as one.
#[rustfmt::skip]
pub(crate) const TABLE: &[OptionInfo] = &[
    row(Client, "client.name", NAME, "", "A durable reply box: results of jobs submitted under a name wait for any client of that name."),
    row(Client, "client.window_jobs", Kind::Count { min: 1, max: 1_000_000 }, "10000", "Jobs the broker has not confirmed yet, and of those it keeps in memory only also the ones that have not ended. Submit waits for room, enqueue answers ERR_BUSY."),
    row(Client, "client.window_bytes", Kind::Bytes { min: 1 << 16, max: BYTES_MAX }, "64Mi", "Bytes of such jobs. One job always passes, however large."),
    row(Client, "client.linger_ms", MILLIS, "2000", "How long closing waits for jobs and acknowledgements that are still to be sent."),
    row(Client, "client.ack", Kind::Word(&["auto", "manual"]), "auto", "When a result counts as received, so that the broker forgets it: auto, as it is handed over; manual, by forebay_client_ack."),
    row(Client, "client.broker_key", KEY, "", "The broker's public key, 40 characters of Z85, as `forebay keygen` prints it. With it the connection is encrypted and only that broker is spoken to."),
    row(Client, "client.key_file", Kind::Path, "", "The file with this client's own pair of keys, for a broker that admits only known keys. Without it a fresh pair is made."),
    row(Worker, "worker.name", NAME, "", "The name people see in lists and in a result's meta. Empty: the host's name and the process id."),
    row(Worker, "worker.slots", Kind::AutoCount { min: 1, max: 10_000 }, "auto", "Jobs held at once. auto: the most threads that were in receive or held an unanswered job at once, 1 until a second thread calls."),
    row(Worker, "worker.prefetch", Kind::AutoCount { min: 0, max: 10_000 }, "auto", "Jobs fetched ahead of free slots, so that short jobs follow each other without a round trip. auto: none behind a job that may be long."),
    row(Worker, "worker.linger_ms", MILLIS, "5000", "How long closing waits for answers the broker has not acknowledged."),
    row(Worker, "worker.broker_gone_ms", MILLIS, "0", "Without a broker for so long, every receive answers ERR_IO, so that the process can exit. 0: it tries for ever."),
    row(Worker, "worker.unacked_bytes", Kind::Bytes { min: 1 << 16, max: BYTES_MAX }, "256Mi", "Bytes of answers kept until the broker acknowledges them; over it complete answers ERR_BUSY until there is room."),
    row(Worker, "worker.broker_key", KEY, "", "The broker's public key, as for client.broker_key."),
    row(Worker, "worker.key_file", Kind::Path, "", "The file with this worker's own pair of keys, as for client.key_file."),
    row(Register, "register.slots", Kind::Count { min: 0, max: 10_000 }, "0", "At most so many jobs of this queue at once on this worker; 0: no limit of its own."),
    row(Register, "register.weight", Kind::Count { min: 1, max: 1_000 }, "1", "This queue's share of the worker when several of its queues have jobs."),
    row(Host, "host.load", Kind::List, "", "The plugins: shared objects by their absolute paths, which are opened and never searched for."),
    row(Host, "host.queues", Kind::List, "", "The queues of a plugin, if there is one only. Empty: those that each plugin names."),
    row(Host, "host.slots", Kind::Count { min: 1, max: 10_000 }, "1", "Threads of this process that handle jobs."),
    row(Host, "host.slot", Kind::Count { min: 0, max: 1_000_000 }, "0", "The number of the first of them, for plugins that share something out by it."),
    row(Host, "host.max_jobs", Kind::Count { min: 0, max: i64::MAX }, "0", "The host ends after so many jobs, those in hand included. 0: never."),
    row(Host, "host.retrieve", Kind::Text { len_max: 4096 }, "", "A command of the shell that is given a job's payload in FOREBAY_KEY and writes what the handler gets instead. Empty: the payload itself."),
    row(Host, "host.save", Kind::Text { len_max: 4096 }, "", "A command of the shell that is given a job's payload in FOREBAY_KEY and its result as standard input, and writes what is the result instead. Empty: the result itself."),
    row(Host, "host.report", Kind::Path, "", "A file the host writes what it does into, for whoever looks after the process. `forebay worker` sets it."),
    row(Param, "param.NAME", Kind::Header, "", "A parameter under the name that stands in NAME's place. One that no plugin declares is refused."),
    row(Job, "job.priority", Kind::Count { min: 1, max: limits::PRIORITY_MAX as i64 }, "4", "8 goes first. A lower class gains one for each second it is passed over, so that it moves too."),
    row(Job, "job.delay_ms", MILLIS, "0", "Not started before this has passed."),
    row(Job, "job.queue_ms", MILLIS, "0", "EXPIRED when not started within this time; 0: it waits for ever."),
    row(Job, "job.run_ms", MILLIS, "1800000", "An attempt that runs longer is over: the worker is told to stop, and the job is tried again or TIMED_OUT. 0: no limit."),
    row(Job, "job.soft_ms", MILLIS, "0", "An attempt that runs longer is given the hint to hurry; 0: never."),
    row(Job, "job.stall_ms", MILLIS, "0", "Like job.run_ms, counted from the attempt's last progress; 0: never."),
    row(Job, "job.deadline_ms", MILLIS, "0", "EXPIRED when not ended within this time from its submission, running or not; 0: never."),
    row(Job, "job.attempts", Kind::Count { min: 1, max: 1_000 }, "3", "How often it is started at most."),
    row(Job, "job.backoff_ms", MILLIS, "1000", "The wait before a second attempt after a failure; it doubles each time and is drawn at random below that."),
    row(Job, "job.backoff_ms_max", MILLIS, "300000", "The longest such wait."),
    row(Job, "job.releases", Kind::Count { min: 0, max: 1_000_000 }, "100", "How often workers may give it back before it has FAILED."),
    row(Job, "job.level", Kind::Word(&["auto", "volatile", "durable"]), "auto", "volatile: it survives workers and connections, and its client re-sends it to a restarted broker. durable: on disk before it is accepted, ERR_UNSUPPORTED without a store. auto: durable for submit when there is a store, volatile for call."),
    row(Job, "job.result_ttl_ms", MILLIS, "86400000", "How long a result that nobody acknowledged is kept; 0: nobody wants it."),
    row(Job, "job.partial_bytes", Kind::Bytes { min: 0, max: BYTES_MAX }, "16Mi", "Bytes of partial results that may wait for the client; a worker that sends more waits."),
    row(Job, "job.unknown_queue", Kind::Word(&["wait", "refuse"]), "wait", "What becomes of a job whose queue no worker has ever registered: it waits, visibly, or is refused with ERR_NOT_FOUND."),
    row(Job, "job.serial_key", NAME, "", "Of the jobs of a queue that name the same key one is under way at a time, in the order in which they were accepted. Empty: the job names none."),
    row(Job, "job.serial_jobs", Kind::Count { min: 1, max: limits::SERIAL_JOBS_MAX as i64 }, "1", "How many jobs of its serial key may be under way at once: it waits for earlier ones until it would be one of so many."),
    row(Job, "job.header.NAME", Kind::Header, "", "A header of every such job, under the name that stands in NAME's place."),
    row(Queue, "queue.max_jobs", Kind::Count { min: 0, max: i64::MAX }, "0", "Jobs waiting in one queue; over it submissions are refused with ERR_BUSY. 0: no limit of its own."),
    row(Queue, "queue.max_bytes", Kind::Bytes { min: 0, max: BYTES_MAX }, "0", "Bytes of jobs waiting in one queue; over it submissions are refused with ERR_BUSY. 0: no limit of its own."),
    row(Broker, "broker.listen", Kind::List, "", "The addresses to bind: ipc://PATH, tcp://HOST:PORT (port 0: any free one), inproc://NAME. Empty: ipc in the user's private runtime folder."),
    row(Broker, "broker.insecure", Kind::Switch, "false", "Allows TCP without keys. Whoever reaches the port may then run jobs."),
    row(Broker, "broker.key_file", Kind::Path, "", "The file with the broker's pair of keys, made by `forebay keygen`. With it every TCP connection is encrypted."),
    row(Broker, "broker.clients_file", Kind::Path, "", "The file with the public keys that may connect, one a line. Without it any key may that knows the broker's."),
    row(Broker, "broker.store", Kind::Path, "", "The folder of the store, made if it is not there; one broker's at a time. Empty: jobs live in memory only (`forebay broker` then takes a folder of its own in the user's state folder, unless it is told --memory)."),
    row(Broker, "broker.store_max", Kind::Bytes { min: 16 << 20, max: BYTES_MAX }, "16Gi", "Bytes of the store's files up to which it takes durable jobs; over it they are refused with ERR_STORE_FULL until there is room. Outcomes of jobs it has may go beyond."),
    row(Broker, "broker.memory_max", Kind::Bytes { min: 1 << 20, max: BYTES_MAX }, "4Gi", "Bytes of jobs and results kept in memory; over it submissions are refused with ERR_BUSY."),
    row(Broker, "broker.cache_max", Kind::Bytes { min: 0, max: BYTES_MAX }, "1Gi", "Bytes of jobs and results in memory beyond which the payloads of waiting durable jobs are left in the store, and read back when a worker takes them."),
    row(Broker, "broker.payload_max", Kind::Bytes { min: 1 << 10, max: 1 << 31 }, "64Mi", "Bytes of one payload or result over all its frames; larger ones are ERR_TOO_LARGE."),
    row(Broker, "broker.retention_ms", MILLIS, "3600000", "How long job.get still tells the history of a job whose result was acknowledged; of the last 20,000 such jobs."),
    row(Broker, "broker.quarantine_ms", MILLIS, "2592000000", "How long a quarantined job waits with its payload for somebody to decide about it; longer if its results are kept for longer."),
    row(Broker, "broker.stage_idle_ms", MILLIS, "600000", "How long an open stage of a run that has no job left waits for another one or to be closed; then the run fails. 0: for ever."),
    row(Broker, "broker.lease_ms", Kind::Millis { min: 100, max: INTERVAL }, "30000", "How long a worker holds its jobs without a beat."),
    row(Broker, "broker.beat_ms", Kind::Millis { min: 10, max: INTERVAL }, "5000", "How often clients and workers beat; less than a third of broker.lease_ms is sound."),
    row(Broker, "broker.reattach_ms", Kind::Millis { min: 0, max: 60_000 }, "500", "How long a worker's jobs wait for its dropped connection to come back before they go to others."),
    row(Broker, "broker.log_file", Kind::Path, "", "The file the log is appended to. Empty: stderr."),
    row(Broker, "broker.log_format", Kind::Word(&["text", "json"]), "text", "How a line of the log looks on stderr and in the file."),
    row(Admin, "admin.id", Kind::Id, "", "A job."),
    row(Admin, "admin.queue", NAME, "", "A queue."),
    row(Admin, "admin.name", NAME, "", "A worker or a client by its name."),
    row(Admin, "admin.state", NAME, "", "Jobs that stand so only, such as RUNNING or FAILED; OPEN: all that have not ended, ENDED: all that have."),
    row(Admin, "admin.since", NAME, "", "What comes after this: the number of an event, the id of a job."),
    row(Admin, "admin.step", NAME, "", "A step of a run."),
    row(Admin, "admin.job", Kind::Id, "", "A job of a stage."),
    row(Admin, "admin.order", Kind::Word(&["completion", "submission"]), "completion", "Whether results come as their jobs ended or as they were added."),
    row(Admin, "admin.data", Kind::Text { len_max: 2 * limits::ACKED_LEN_MAX }, "", "Bytes, two hexadecimal digits for each."),
    row(Admin, "admin.count", Kind::Count { min: 0, max: i64::MAX }, "", "How many jobs there are."),
    row(Admin, "admin.limit", Kind::Count { min: 1, max: limits::LIST_MAX as i64 }, "", "At most so many."),
    row(Admin, "admin.before", Kind::Count { min: 0, max: i64::MAX }, "", "Jobs accepted before this number only, which the first answer of queue.purge names."),
    row(Admin, "admin.bytes", Kind::Bytes { min: 0, max: 1 << 31 }, "", "Bytes of a payload to show, over all its frames."),
    row(Admin, "admin.unset", Kind::List, "", "Rules of jobs that are to be the broker's again, by their names without `job.`."),
    row(Admin, "admin.n", Kind::Count { min: 0, max: 1_000_000 }, "", "A number of workers."),
    row(Admin, "admin.pid", Kind::Count { min: 1, max: u32::MAX as i64 }, "", "A process, on the host of whoever asks."),
    row(Admin, "admin.attempt", Kind::Count { min: 1, max: u32::MAX as i64 }, "", "Which attempt at a job."),
    row(Admin, "admin.text", Kind::Text { len_max: limits::EVIDENCE_LEN_MAX }, "", "What was seen, for people."),
    row(Admin, "admin.code", NAME, "", "A short word for programs."),
    row(Admin, "admin.message", Kind::Text { len_max: 4096 }, "", "One sentence for people."),
    row(Admin, "admin.detail", Kind::Text { len_max: 32 << 10 }, "", "More, for whoever repairs it."),
    row(Admin, "admin.wait_ms", MILLIS, "", "How long the broker waits for something to tell."),
    row(Admin, "admin.timeout_ms", MILLIS, "", "How long the broker waits before it answers TIMED_OUT."),
];
