//! Collectors.
//!
//! A collector takes the results of a stage that was made with FOREBAY_STEP_COLLECT, one by one, while its run goes on, and acknowledges
//! each. It is known by its name: one that comes back under it, after a crash too, is handed what it has not acknowledged, and nothing
//! that it has; one under another name is refused. So each result is acted on once by a collector that acts and acknowledges at once,
//! and at least once by any other.
//!
//! What it says with an acknowledgement, forebay_stage_acked hands to whoever adds to the stage. The run is not DONE before the last
//! result is acknowledged, and waits for its collector however long that is away; a deadline of the run ends that.

use std::ffi::{c_char, c_void};
use std::ptr;

use crate::api::{Collector, Order};
use crate::ffi::arg;
use crate::ffi::client::forebay_client_t;
use crate::ffi::error::forebay_error_t;
use crate::ffi::id::{self, forebay_id_t};
use crate::ffi::result::forebay_result_t;
use crate::ffi::status::forebay_status_t;
use crate::model::{Failure, Status};

/// Of forebay_collector_open: results come in the order in which their jobs were added or made; else as they end.
pub const FOREBAY_COLLECT_IN_ORDER: u32 = 1;

/// Takes the results of a stage.
pub struct forebay_collector_t {
    collector: Collector,
}

/// Opens a collector of the stage `step` of a run. `name` is what it is known by, 1 to 255 bytes. `flags` is 0 or FOREBAY_COLLECT_IN_ORDER.
/// It asks nobody yet. The caller frees it by forebay_collector_free, before or after its client; when that is gone its calls answer
/// FOREBAY_ERR_CLOSED.
///
/// FOREBAY_ERR_ARGUMENT for other flags. Any thread. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_collector_open(
    client: *mut forebay_client_t,
    run: *const forebay_id_t,
    step: *const c_char,
    name: *const c_char,
    flags: u32,
    collector: *mut *mut forebay_collector_t,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (client, run, step, name) = unsafe {
            let (client, run) = (arg::object(client, "client")?, id::read(run, "run")?);
            (client, run, arg::text(step, "step")?, arg::text(name, "name")?)
        };
        let place = arg::out(collector, "collector")?;
        let order = match flags {
            0 => Order::Completion,
            FOREBAY_COLLECT_IN_ORDER => Order::Submission,
            _ => {
                let message =
                    format!("flags is {flags:#x}; this version knows {FOREBAY_COLLECT_IN_ORDER:#x}");
                return Err(Failure::new(Status::Argument, message));
            }
        };
        let collector = client.client.collector(run, step, name, order);
        // SAFETY: not NULL, and may be written as the contract says.
        unsafe { place.write(arg::give(forebay_collector_t { collector })) };
        Ok(())
    })
}

/// Waits for the next result and hands it over; the job has ended, how, says its outcome. The caller frees the result.
///
/// FOREBAY_DRAINED behind the last one: the stage is closed and everything was handed over, or the run has ended otherwise.
/// FOREBAY_TIMED_OUT, FOREBAY_INTERRUPTED (by forebay_client_interrupt); FOREBAY_ERR_STATE when another collects the stage,
/// FOREBAY_ERR_NOT_FOUND when the run is not known, or has no such stage that is collected. Any thread, one at a time. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_collector_next(
    collector: *mut forebay_collector_t,
    timeout_ms: i64,
    result: *mut *mut forebay_result_t,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL or a collector that lives, as the contract says.
        let object = unsafe { arg::object(collector, "collector") }?;
        let place = arg::out(result, "result")?;
        let result = object.collector.next(arg::timeout(timeout_ms))?;
        // SAFETY: not NULL, and may be written as the contract says.
        unsafe { place.write(forebay_result_t::give(result)) };
        Ok(())
    })
}

/// Acknowledges the result of the job `job`. FOREBAY_OK: nobody is handed it again, whatever happens. `data`, up to 2,000 bytes, is what
/// forebay_stage_acked hands over. Acknowledging it again is nothing, and what was said first counts.
///
/// FOREBAY_ERR_NOT_FOUND for a job that is not of the stage, FOREBAY_ERR_TOO_LARGE, FOREBAY_ERR_STATE; FOREBAY_ERR_UNCONFIRMED when the
/// broker has not answered in time: do it again. `data` may be NULL when `len` is 0. Any thread. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_collector_ack(
    collector: *mut forebay_collector_t,
    job: *const forebay_id_t,
    data: *const c_void,
    len: usize,
    timeout_ms: i64,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (object, job, data) = unsafe {
            let object = arg::object(collector, "collector")?;
            (object, id::read(job, "job")?, arg::bytes(data, len, "data")?)
        };
        object.collector.ack(job, data, arg::timeout(timeout_ms))
    })
}

/// Copies the context of the run (forebay_run_context) into `buf`, as far as its `cap` bytes go, and returns how many bytes it has: as it
/// was when forebay_collector_next last asked the broker; 0 before that, for a run without a context and for a `collector` of NULL.
///
/// Any thread. `buf` may be NULL when `cap` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_collector_context(
    collector: *const forebay_collector_t,
    buf: *mut c_void,
    cap: usize,
) -> usize {
    guard!(get 0, {
        // SAFETY: NULL or a collector that lives, as the contract says.
        let Some(object) = (unsafe { collector.as_ref() }) else { return 0 };
        let context = object.collector.context().unwrap_or_default();
        let len = context.len().min(cap);
        if len > 0 && !buf.is_null() {
            // SAFETY: `buf` has room for `cap` bytes, as the contract says.
            unsafe { ptr::copy_nonoverlapping(context.as_ptr(), buf.cast(), len) };
        }
        context.len()
    })
}

/// Frees a collector. What it has not acknowledged waits for the next one under its name. A `collector` of NULL is nothing.
///
/// No other thread may be inside a call on it, or begin one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_collector_free(collector: *mut forebay_collector_t) {
    // SAFETY: NULL or a collector that was handed out and not freed, as the contract says.
    guard!(get(), { unsafe { arg::take_back(collector) } })
}
