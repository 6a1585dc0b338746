//! docs/ERRORS.md says of every status what it means and what to do. `FOREBAY_BLESS=1 cargo test --test errors_page`
//! writes it anew.

use std::fmt::Write;
use std::path::Path;

use forebay::model::{Failure, Outcome, Status};

const HEAD: &str = "\
# Statuses, by name

Made from `src/model/status.rs`, `src/model/outcome.rs` and the advice in `tests/errors_page.rs`;
`FOREBAY_BLESS=1 cargo test --test errors_page` writes this page.

A call answers 0 when it is done, above 0 when nothing is wrong but there is nothing to hand over, and below 0 when it
was not carried out; then the error (`forebay_error_message`) says what was wrong, with which value, and what would be
right. *Again* says whether the same call may succeed later, unchanged (`forebay_error_retryable`). How a **job** ended is
another matter: its outcome stands at the end of this page.

In C the names begin with `FOREBAY_`; `forebay_status_name` and the command line leave that out. Numbers never change.
";

/// When it comes, and what to do.
fn advice(status: Status) -> &'static str {
    match status {
        Status::Ok => "The call was carried out.",
        Status::TimedOut => "From receive, next and the waits: go on waiting, or do something else first.",
        Status::Interrupted => {
            "Somebody called interrupt, perhaps a signal handler. Look whether to end, then wait again."
        }
        Status::Drained => {
            "From receive after stop: leave the loop. From a collector: the last result was handed over."
        }
        Status::Argument => {
            "A NULL, text that is not UTF-8, a struct_size nobody set, a number out of bounds. Mend the program."
        }
        Status::Option => {
            "The error names the nearest key, or what value would be right; docs/OPTIONS.md lists all. Environment \
             variables are checked in the same way, and named."
        }
        Status::State => {
            "The job is answered already, ended otherwise, or delivers its result elsewhere; its queue is draining and \
             takes no jobs until it is resumed; the call came from inside the log sink; the worker was stopped."
        }
        Status::Closed => "The handle this object came from is freed or has given up. Free the object.",
        Status::Forked => {
            "The process forked after the handle was opened. In the child free it (it is only forgotten) and open \
             another one."
        }
        Status::LeaseLost => {
            "The worker was away too long, or the job was cancelled or timed out: it is another's or ended. Drop the \
             answer, free the job and receive the next. If it comes often, `job.run_ms` is too short for the work."
        }
        Status::TooLarge => {
            "A payload or result over `broker.payload_max`, headers over 64 KiB, a buffer too small for a text. Send \
             a reference, or raise the limit at the broker."
        }
        Status::Busy => {
            "The client's window, the queue, the broker's memory or the worker's unacknowledged answers are full, or \
             the broker drains. Wait as long as forebay_error_retry_after_ms says, else a moment, and call again."
        }
        Status::StoreFull => {
            "The disk is full, or the store has reached `broker.store_max`. Nothing is lost and what runs may end; the              broker takes durable jobs again when there is room. Make room, wait and call again, or submit volatile."
        }
        Status::Address => {
            "Right are ipc://PATH, tcp://HOST:PORT, tcp://[::1]:PORT, inproc://NAME; an ipc path has up to 107 bytes."
        }
        Status::InUse => {
            "Another broker has the address or the store; it is undisturbed. Stop it, or take another one."
        }
        Status::Protocol => {
            "The other side is no forebay, or much older or newer. The error names both versions."
        }
        Status::Denied => {
            "The broker does not know this key, or a file of keys can be read by others, or TCP was asked for with \
             neither keys nor `broker.insecure`."
        }
        Status::Io => {
            "The system refused a file, socket or thread, or the broker was away for longer than allowed. The error has the system's words."
        }
        Status::Store => {
            "The store failed and the broker has stopped taking jobs. What was acknowledged is on disk; see the broker's log."
        }
        Status::Unsupported => {
            "This build, version or broker cannot do it: a durable job without a store, a field of a newer version."
        }
        Status::NotFound => {
            "The job is unknown, or another user's, or its result was acknowledged and forgotten; or the queue or \
             worker is unknown."
        }
        Status::Cycle => "Steps of a run need each other. The error names one of them.",
        Status::Memory => "There is no memory for a buffer of this size.",
        Status::Panic => {
            "A bug in forebay: it was contained, and the log has the place. Free the handle, open another one, and \
             please report it."
        }
        Status::Conflict => {
            "The id stands for a job with other content. Make another id, or submit the same content."
        }
        Status::Unconfirmed => {
            "The job may exist. Submit the same id again, or wait for it: there will be one job, whatever happened."
        }
        Status::TooOld => {
            "The id was made more than 24 hours ago, so the broker cannot tell whether the job ran. Look at what it would have done; make a new id to run it (again)."
        }
    }
}

fn outcome_advice(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Waiting => "Wait. If no worker has registered the queue, it waits for one.",
        Outcome::Running => "Wait, or cancel it.",
        Outcome::Done => "Take the result.",
        Outcome::Failed => {
            "code, message and detail are the last attempt's. `abandoned`: the worker freed the job unanswered."
        }
        Outcome::TimedOut => "Raise `job.run_ms` or `job.stall_ms`, or let the worker report progress.",
        Outcome::Cancelled => "Nothing: a result of it will never count.",
        Outcome::Expired => {
            "Nobody took it in time, or the caller's time was over. More workers, or a longer `job.queue_ms` or deadline."
        }
        Outcome::Quarantined => {
            "It took two workers down. Look at it (`forebay quarantine show`) and at the worker's crash, then requeue or drop it."
        }
        Outcome::Rejected => "A rule refused it after it was accepted; the message names the rule.",
        Outcome::Lost => {
            "The last attempt's worker vanished, or a volatile job went with its broker and nobody submitted it again. Submit it again if it may run twice."
        }
    }
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n## What a call answers\n\n| status | number | meaning | again | when, and what to do |\n|---|---|---|---|---|\n");
    for &status in Status::ALL {
        let again = if Failure::new(status, "").is_retryable() { "yes" } else { "" };
        let advice = advice(status);
        writeln!(page, "| `{status}` | {} | {} | {again} | {advice} |", status as i32, status.text())
            .unwrap();
    }
    page.push_str("\n## How a job stands or ended\n\n| outcome | number | what to do |\n|---|---|---|\n");
    for outcome in Outcome::ALL {
        writeln!(page, "| `{}` | {} | {} |", outcome.name(), outcome as i32, outcome_advice(outcome))
            .unwrap();
    }
    page
}

#[test]
fn the_errors_page_is_what_the_tables_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ERRORS.md");
    let page = page();
    if std::env::var_os("FOREBAY_BLESS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/ERRORS.md differs; FOREBAY_BLESS=1 cargo test --test errors_page");
}
