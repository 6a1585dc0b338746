//! Statuses, outcomes and other numbers.
//!
//! A call answers 0 when it is done, a number above 0 when nothing is wrong but there is nothing to hand over (only from
//! receive, next and the waits), and a number below 0 when it was not carried out. A call's status and a job's outcome
//! are two things: waiting for a job that failed is a successful wait. Numbers never change and are never used again.

use std::ffi::{CString, c_char};
use std::sync::OnceLock;

use crate::ffi::arg;
use crate::model::{Outcome, Status};

/// What a call answers.
pub type forebay_status_t = i32;

/// Done.
pub const FOREBAY_OK: i32 = 0;
/// The time given was over and there was nothing to hand over.
pub const FOREBAY_TIMED_OUT: i32 = 1;
/// The wait was ended by interrupt.
pub const FOREBAY_INTERRUPTED: i32 = 2;
/// There is nothing more to come.
pub const FOREBAY_DRAINED: i32 = 3;
/// An argument is wrong.
pub const FOREBAY_ERR_ARGUMENT: i32 = -1;
/// An option's key or value is wrong.
pub const FOREBAY_ERR_OPTION: i32 = -2;
/// The object or the job is not in a state that allows this.
pub const FOREBAY_ERR_STATE: i32 = -3;
/// The handle is closed.
pub const FOREBAY_ERR_CLOSED: i32 = -4;
/// The handle belongs to the parent process; open another one in the child.
pub const FOREBAY_ERR_FORKED: i32 = -5;
/// The job is no longer this worker's, so the answer does not count.
pub const FOREBAY_ERR_LEASE_LOST: i32 = -6;
/// Larger than the limit allows.
pub const FOREBAY_ERR_TOO_LARGE: i32 = -7;
/// No room now; try again later.
pub const FOREBAY_ERR_BUSY: i32 = -8;
/// Not an address that can be used.
pub const FOREBAY_ERR_ADDRESS: i32 = -9;
/// The address or the store is in use.
pub const FOREBAY_ERR_IN_USE: i32 = -10;
/// The other side does not speak a protocol version this side knows.
pub const FOREBAY_ERR_PROTOCOL: i32 = -11;
/// The broker does not allow this.
pub const FOREBAY_ERR_DENIED: i32 = -12;
/// Input or output failed.
pub const FOREBAY_ERR_IO: i32 = -13;
/// The store failed.
pub const FOREBAY_ERR_STORE: i32 = -14;
/// Not supported here.
pub const FOREBAY_ERR_UNSUPPORTED: i32 = -15;
/// Unknown.
pub const FOREBAY_ERR_NOT_FOUND: i32 = -16;
/// The graph has a cycle.
pub const FOREBAY_ERR_CYCLE: i32 = -17;
/// Out of memory.
pub const FOREBAY_ERR_MEMORY: i32 = -18;
/// A fault inside the library was contained.
pub const FOREBAY_ERR_PANIC: i32 = -19;
/// The id is in use with other content.
pub const FOREBAY_ERR_CONFLICT: i32 = -20;
/// The broker did not answer in time; the job may exist, submit the same id again.
pub const FOREBAY_ERR_UNCONFIRMED: i32 = -21;
/// The id is older than the broker remembers; the job may have run.
pub const FOREBAY_ERR_TOO_OLD: i32 = -22;
/// The store has no room now; try again later.
pub const FOREBAY_ERR_STORE_FULL: i32 = -23;

/// Delayed, held or queued.
pub const FOREBAY_OUTCOME_WAITING: i32 = 0;
/// A worker has begun it.
pub const FOREBAY_OUTCOME_RUNNING: i32 = 1;
/// The worker's result was accepted.
pub const FOREBAY_OUTCOME_DONE: i32 = 2;
/// The worker answered that it failed, and no retry is left.
pub const FOREBAY_OUTCOME_FAILED: i32 = 3;
/// The last attempt was ended by its run timeout or by stalling.
pub const FOREBAY_OUTCOME_TIMED_OUT: i32 = 4;
/// Cancelled; no result will ever count.
pub const FOREBAY_OUTCOME_CANCELLED: i32 = 5;
/// Its queue timeout or its deadline passed.
pub const FOREBAY_OUTCOME_EXPIRED: i32 = 6;
/// It took workers down twice; it waits for a person.
pub const FOREBAY_OUTCOME_QUARANTINED: i32 = 7;
/// Accepted, then refused by a rule.
pub const FOREBAY_OUTCOME_REJECTED: i32 = 8;
/// Its last attempt's worker vanished, or it was volatile and went with its broker.
pub const FOREBAY_OUTCOME_LOST: i32 = 9;

/// A kind of news about a job (1u << kind is its bit in `want`): the broker holds the job at the level asked.
pub const FOREBAY_KIND_ACCEPTED: i32 = 1;
/// The broker did not take the job; code and message say why.
pub const FOREBAY_KIND_REFUSED: i32 = 2;
/// The worker told how far it is. Only the latest is kept.
pub const FOREBAY_KIND_PROGRESS: i32 = 3;
/// A partial result.
pub const FOREBAY_KIND_PARTIAL: i32 = 4;
/// The job has ended.
pub const FOREBAY_KIND_RESULT: i32 = 5;

/// The handle has no broker yet, or none at the moment, and keeps trying.
pub const FOREBAY_STATE_CONNECTING: i32 = 0;
/// The broker has welcomed it.
pub const FOREBAY_STATE_READY: i32 = 1;
/// It was stopped, or the broker is going down.
pub const FOREBAY_STATE_DRAINING: i32 = 2;
/// The broker does not want it, for good; every later call says why.
pub const FOREBAY_STATE_REFUSED: i32 = 3;
/// It is closed.
pub const FOREBAY_STATE_CLOSED: i32 = 4;

/// A stop bit of a job: its client cancelled it.
pub const FOREBAY_STOP_CANCELLED: u32 = 1;
/// A stop bit of a job: another worker holds it now.
pub const FOREBAY_STOP_LEASE_LOST: u32 = 2;
/// A stop bit of a job: its run time is over.
pub const FOREBAY_STOP_RUN_TIME: u32 = 4;

/// A hint to a job, which goes on: the worker or the broker is going down after it.
pub const FOREBAY_HINT_DRAINING: u32 = 1;
/// A hint to a job, which goes on: it is past its soft limit.
pub const FOREBAY_HINT_SOFT_LIMIT: u32 = 2;

/// forebay_job_fail's `retry_ms`: as the job's rules say.
pub const FOREBAY_RETRY_POLICY: i64 = -1;
/// forebay_job_fail's `retry_ms`: no further attempt.
pub const FOREBAY_RETRY_NEVER: i64 = -2;

/// A `timeout_ms` without an end. Any number below 0 means the same.
pub const FOREBAY_FOREVER: i64 = -1;

/// A level of the log: something failed and is not going to mend itself.
pub const FOREBAY_LOG_ERROR: i32 = 1;
/// A level of the log: something is not as it should be.
pub const FOREBAY_LOG_WARN: i32 = 2;
/// A level of the log: what an operator wants to know of a healthy system.
pub const FOREBAY_LOG_INFO: i32 = 3;
/// A level of the log: each job.
pub const FOREBAY_LOG_DEBUG: i32 = 4;
/// A level of the log: each packet.
pub const FOREBAY_LOG_TRACE: i32 = 5;

/// A status's name without its prefix, such as "ERR_BUSY"; "UNKNOWN" for a number that is none.
///
/// Any thread. The text lives for ever.
#[unsafe(no_mangle)]
pub extern "C" fn forebay_status_name(status: forebay_status_t) -> *const c_char {
    guard!(get std::ptr::null(), { texts(status).0.as_ptr() })
}

/// What a status means, as a part of a sentence; "not a status" for a number that is none.
///
/// Any thread. The text lives for ever.
#[unsafe(no_mangle)]
pub extern "C" fn forebay_status_text(status: forebay_status_t) -> *const c_char {
    guard!(get std::ptr::null(), { texts(status).1.as_ptr() })
}

/// An outcome's name without its prefix, such as "CANCELLED"; "UNKNOWN" for a number that is none.
///
/// Any thread. The text lives for ever.
#[unsafe(no_mangle)]
pub extern "C" fn forebay_outcome_name(outcome: i32) -> *const c_char {
    static NAMES: OnceLock<Vec<CString>> = OnceLock::new();
    guard!(get std::ptr::null(), {
        let names = NAMES.get_or_init(|| {
            Outcome::ALL.iter().map(|known| known.name()).chain(["UNKNOWN"]).map(arg::c_text).collect()
        });
        let known = usize::try_from(outcome).ok().and_then(|outcome| names.get(outcome));
        known.unwrap_or(&names[Outcome::ALL.len()]).as_ptr()
    })
}

/// Name and text of a status.
fn texts(status: forebay_status_t) -> &'static (CString, CString) {
    static TEXTS: OnceLock<Vec<(CString, CString)>> = OnceLock::new();
    let texts = TEXTS.get_or_init(|| {
        let known = Status::ALL.iter().map(|status| (status.name(), status.text()));
        known.chain([("UNKNOWN", "not a status")]).map(|(n, t)| (arg::c_text(n), arg::c_text(t))).collect()
    });
    let at = Status::ALL.iter().position(|known| *known as i32 == status);
    &texts[at.unwrap_or(Status::ALL.len())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::submit::Kind;

    #[test]
    fn the_numbers_are_those_of_the_model() {
        let statuses = [
            (FOREBAY_OK, Status::Ok),
            (FOREBAY_TIMED_OUT, Status::TimedOut),
            (FOREBAY_INTERRUPTED, Status::Interrupted),
            (FOREBAY_DRAINED, Status::Drained),
            (FOREBAY_ERR_ARGUMENT, Status::Argument),
            (FOREBAY_ERR_OPTION, Status::Option),
            (FOREBAY_ERR_STATE, Status::State),
            (FOREBAY_ERR_CLOSED, Status::Closed),
            (FOREBAY_ERR_FORKED, Status::Forked),
            (FOREBAY_ERR_LEASE_LOST, Status::LeaseLost),
            (FOREBAY_ERR_TOO_LARGE, Status::TooLarge),
            (FOREBAY_ERR_BUSY, Status::Busy),
            (FOREBAY_ERR_ADDRESS, Status::Address),
            (FOREBAY_ERR_IN_USE, Status::InUse),
            (FOREBAY_ERR_PROTOCOL, Status::Protocol),
            (FOREBAY_ERR_DENIED, Status::Denied),
            (FOREBAY_ERR_IO, Status::Io),
            (FOREBAY_ERR_STORE, Status::Store),
            (FOREBAY_ERR_UNSUPPORTED, Status::Unsupported),
            (FOREBAY_ERR_NOT_FOUND, Status::NotFound),
            (FOREBAY_ERR_CYCLE, Status::Cycle),
            (FOREBAY_ERR_MEMORY, Status::Memory),
            (FOREBAY_ERR_PANIC, Status::Panic),
            (FOREBAY_ERR_CONFLICT, Status::Conflict),
            (FOREBAY_ERR_UNCONFIRMED, Status::Unconfirmed),
            (FOREBAY_ERR_TOO_OLD, Status::TooOld),
            (FOREBAY_ERR_STORE_FULL, Status::StoreFull),
        ];
        assert_eq!(statuses.len(), Status::ALL.len());
        for (number, status) in statuses {
            assert_eq!(number, status as i32, "{status}");
        }
        let outcomes = [
            FOREBAY_OUTCOME_WAITING,
            FOREBAY_OUTCOME_RUNNING,
            FOREBAY_OUTCOME_DONE,
            FOREBAY_OUTCOME_FAILED,
            FOREBAY_OUTCOME_TIMED_OUT,
            FOREBAY_OUTCOME_CANCELLED,
            FOREBAY_OUTCOME_EXPIRED,
            FOREBAY_OUTCOME_QUARANTINED,
            FOREBAY_OUTCOME_REJECTED,
            FOREBAY_OUTCOME_LOST,
        ];
        for (number, outcome) in outcomes.into_iter().zip(Outcome::ALL) {
            assert_eq!(number, outcome as i32);
        }
        let kinds = [
            (FOREBAY_KIND_ACCEPTED, Kind::Accepted),
            (FOREBAY_KIND_REFUSED, Kind::Refused),
            (FOREBAY_KIND_PROGRESS, Kind::Progress),
            (FOREBAY_KIND_PARTIAL, Kind::Partial),
            (FOREBAY_KIND_RESULT, Kind::Result),
        ];
        for (number, kind) in kinds {
            assert_eq!(number, kind as i32);
        }
    }

    #[test]
    fn every_number_has_a_name() {
        let name = |text: *const c_char| {
            // SAFETY: the functions hand out text that lives for ever.
            unsafe { std::ffi::CStr::from_ptr(text) }.to_str().unwrap()
        };
        assert_eq!(name(forebay_status_name(-8)), "ERR_BUSY");
        assert_eq!(name(forebay_status_name(99)), "UNKNOWN");
        assert_eq!(name(forebay_status_text(-4)), "the handle is closed");
        assert_eq!(name(forebay_outcome_name(9)), "LOST");
        assert_eq!(name(forebay_outcome_name(-1)), "UNKNOWN");
    }
}
