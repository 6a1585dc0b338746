//! What a call answers, and the one error value of the pure layers.

use std::fmt;

macro_rules! statuses {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal, $text:literal;)*) => {
        /// A call's status. The numbers are part of the C ABI and of the wire: never changed, never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i32)]
        pub enum Status { $($(#[$doc])* $variant = $number,)* }

        impl Status {
            /// Every status.
            pub const ALL: &'static [Status] = &[$(Status::$variant,)*];

            /// The status with this number.
            pub fn from_number(number: i64) -> Option<Self> {
                match number { $($number => Some(Status::$variant),)* _ => None }
            }

            /// Its name without the prefix, such as "ERR_BUSY".
            pub fn name(self) -> &'static str {
                match self { $(Status::$variant => $name,)* }
            }

            /// One sentence that says what it means.
            pub fn text(self) -> &'static str {
                match self { $(Status::$variant => $text,)* }
            }
        }
    };
}

statuses! {
    /// Done.
    Ok = 0, "OK", "done";
    /// The time given was over before there was anything to hand over.
    TimedOut = 1, "TIMED_OUT", "the time given was over and there was nothing to hand over";
    /// `interrupt` ended the wait.
    Interrupted = 2, "INTERRUPTED", "the wait was ended by interrupt";
    /// Nothing more will come.
    Drained = 3, "DRAINED", "there is nothing more to come";
    /// An argument is wrong.
    Argument = -1, "ERR_ARGUMENT", "an argument is wrong";
    /// An option's key or value is wrong.
    Option = -2, "ERR_OPTION", "an option's key or value is wrong";
    /// Not in this state.
    State = -3, "ERR_STATE", "the object or the job is not in a state that allows this";
    /// The handle, or the one it came from, is closed.
    Closed = -4, "ERR_CLOSED", "the handle is closed";
    /// The handle was made before a fork; this is the child.
    Forked = -5, "ERR_FORKED", "the handle belongs to the parent process; open another one in the child";
    /// Another holds the job now; the answer changed nothing.
    LeaseLost = -6, "ERR_LEASE_LOST", "the job is no longer this worker's, so the answer does not count";
    /// Over a limit of size.
    TooLarge = -7, "ERR_TOO_LARGE", "larger than the limit allows";
    /// Try again later.
    Busy = -8, "ERR_BUSY", "no room now; try again later";
    /// Not an address, or one that cannot be used.
    Address = -9, "ERR_ADDRESS", "not an address that can be used";
    /// Somebody has it already.
    InUse = -10, "ERR_IN_USE", "the address or the store is in use";
    /// The other side does not speak this protocol.
    Protocol = -11, "ERR_PROTOCOL", "the other side does not speak a protocol version this side knows";
    /// Not allowed.
    Denied = -12, "ERR_DENIED", "the broker does not allow this";
    /// The system refused input or output.
    Io = -13, "ERR_IO", "input or output failed";
    /// The store failed.
    Store = -14, "ERR_STORE", "the store failed";
    /// Not in this build, this broker or this version.
    Unsupported = -15, "ERR_UNSUPPORTED", "not supported here";
    /// Unknown.
    NotFound = -16, "ERR_NOT_FOUND", "unknown";
    /// A graph with a cycle.
    Cycle = -17, "ERR_CYCLE", "the graph has a cycle";
    /// Out of memory.
    Memory = -18, "ERR_MEMORY", "out of memory";
    /// A fault inside the library, contained.
    Panic = -19, "ERR_PANIC", "a fault inside the library was contained";
    /// The same id with other content.
    Conflict = -20, "ERR_CONFLICT", "the id is in use with other content";
    /// The broker did not answer in time.
    Unconfirmed = -21, "ERR_UNCONFIRMED", "the broker did not answer in time; the job may exist, submit the same id again";
    /// The id lies before the dedupe window.
    TooOld = -22, "ERR_TOO_OLD", "the id is older than the broker remembers; the job may have run";
    /// No room in the store now.
    StoreFull = -23, "ERR_STORE_FULL", "the store has no room now; try again later";
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why something was not done: a status below 0, what was wrong with which value, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The kind.
    pub status: Status,
    /// One sentence for people.
    pub message: String,
    /// When trying again makes sense, if the broker said so.
    pub retry_after_ms: Option<u64>,
}

impl Failure {
    /// A failure that says `message`.
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        Failure { status, message: message.into(), retry_after_ms: None }
    }

    /// No room now, but perhaps after `retry_after_ms`.
    pub fn busy(message: impl Into<String>, retry_after_ms: u64) -> Self {
        Failure { status: Status::Busy, message: message.into(), retry_after_ms: Some(retry_after_ms) }
    }

    /// No room in the store now, but perhaps after `retry_after_ms`.
    pub fn store_full(message: impl Into<String>, retry_after_ms: u64) -> Self {
        Failure { status: Status::StoreFull, message: message.into(), retry_after_ms: Some(retry_after_ms) }
    }

    /// Whether the same call may succeed later, unchanged.
    pub fn is_retryable(&self) -> bool {
        matches!(self.status, Status::Busy | Status::StoreFull | Status::Unconfirmed | Status::Interrupted)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
