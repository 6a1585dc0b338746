//! Stages.
//!
//! A step of a pipeline may be an open stage, made by FOREBAY_STEP_OPEN: any number of jobs, which clients add while the run
//! goes on, until one of them closes it. What was added before the stage may begin is held until then. A step that needs the
//! stage begins when it is closed and all of its jobs are done, and may be given their results, in the order in which they
//! were added; so may the result of the run.
//!
//! Whoever knows the run's id may add to its stages, from any process. A stage that has begun, has no job left, and is neither
//! added to nor closed for broker.stage_idle_ms ends its run as FAILED: its owner has vanished.

use std::ffi::c_char;

use crate::ffi::arg;
use crate::ffi::client::{forebay_client_t, hand_over};
use crate::ffi::error::forebay_error_t;
use crate::ffi::id::{self, forebay_id_t};
use crate::ffi::result::forebay_result_t;
use crate::ffi::status::forebay_status_t;
use crate::ffi::submit::{self, forebay_submit_t};

/// Adds `n` jobs to the open stage `step` of a run and waits until the broker holds them, as forebay_client_submit does; waiting
/// for them, cancelling and acknowledging them is as for any job. A job whose queue is NULL waits in the stage's; rules and headers
/// that it does not name are the stage's; its level is the run's. Its result stays at the broker as long as the run.
///
/// `ids`, an array of `n`, and `accepted` are written, whatever the status, as soon as every argument is found valid. `ids` may
/// be NULL. `accepted` may be NULL. `jobs` may be NULL when `n` is 0. `err` may be NULL.
///
/// FOREBAY_ERR_STATE when the stage is closed or the run has ended, FOREBAY_ERR_NOT_FOUND for a run that is not known, or without
/// such a stage, FOREBAY_ERR_TOO_LARGE when the stages of the run would have more than 1,000,000 jobs; else as for
/// forebay_client_submit. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_stage_add(
    client: *mut forebay_client_t,
    run: *const forebay_id_t,
    step: *const c_char,
    jobs: *const forebay_submit_t,
    n: usize,
    timeout_ms: i64,
    ids: *mut forebay_id_t,
    accepted: *mut usize,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (client, run, step, jobs) = unsafe {
            let client = arg::object(client, "client")?;
            let (run, step) = (id::read(run, "run")?, arg::text(step, "step")?);
            (client, run, step, submit::read_added(jobs, n, &client.job)?)
        };
        let submitted = client.client.add(run, step, jobs, arg::timeout(timeout_ms));
        // SAFETY: NULL, or may be written as the contract says.
        unsafe { hand_over(submitted, ids, accepted) }
    })
}

/// Closes an open stage: nothing is added to it any more. `count` is how many jobs were added to it in all, or below 0 when that is
/// not known. Closing it again is nothing.
///
/// FOREBAY_ERR_STATE when it has another number of jobs, and then it stays as it is, or when the run has ended before;
/// FOREBAY_ERR_NOT_FOUND for a run that is not known, or without such a stage; FOREBAY_ERR_UNCONFIRMED when the broker has not
/// answered in time. Any thread. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_stage_close(
    client: *mut forebay_client_t,
    run: *const forebay_id_t,
    step: *const c_char,
    count: i64,
    timeout_ms: i64,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (client, run, step) =
            unsafe { (arg::object(client, "client")?, id::read(run, "run")?, arg::text(step, "step")?) };
        client.client.close_stage(run, step, u64::try_from(count).ok(), arg::timeout(timeout_ms))
    })
}

/// Waits for what the collector of the stage `step` said with its acknowledgement number `after` + 1, counted from 1 in the order of
/// the acknowledgements: the result's data is that, its id the job's whose result it was, and its sequence the number. They are kept
/// as long as the run. The caller frees the result.
///
/// FOREBAY_DRAINED when there will be none: the stage is closed and all is acknowledged, or the run has ended otherwise.
/// FOREBAY_TIMED_OUT, FOREBAY_INTERRUPTED; FOREBAY_ERR_NOT_FOUND for a run that is not known, or without such a stage that is collected.
/// Any thread. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_stage_acked(
    client: *mut forebay_client_t,
    run: *const forebay_id_t,
    step: *const c_char,
    after: u64,
    timeout_ms: i64,
    result: *mut *mut forebay_result_t,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (client, run, step) =
            unsafe { (arg::object(client, "client")?, id::read(run, "run")?, arg::text(step, "step")?) };
        let place = arg::out(result, "result")?;
        let result = client.client.acked(run, step, after, arg::timeout(timeout_ms))?;
        // SAFETY: not NULL, and may be written as the contract says.
        unsafe { place.write(forebay_result_t::give(result)) };
        Ok(())
    })
}
