//! Client.
//!
//! A client submits jobs and hands their results over. Every function may be called from any thread, by many at once,
//! but for forebay_client_free. One thread of the library owns the connection: it finds the broker, also after a restart
//! of it, and submits again what the broker may have lost.
//!
//! A `timeout_ms` below 0 waits for ever, 0 does not wait. A wait that ends with nothing to hand over answers
//! FOREBAY_TIMED_OUT or FOREBAY_INTERRUPTED, which are above 0, and makes no error.

use std::ffi::{CString, c_char, c_void};
use std::sync::OnceLock;

use crate::api::{self, Client, JobResult};
use crate::ffi::arg;
use crate::ffi::error::forebay_error_t;
use crate::ffi::id::{self, forebay_id_t};
use crate::ffi::options::{self, PreparedJob, forebay_options_t};
use crate::ffi::pipeline::forebay_pipeline_t;
use crate::ffi::result::forebay_result_t;
use crate::ffi::status::forebay_status_t;
use crate::ffi::submit::{self, forebay_submit_t};
use crate::model::{Failure, Status};

/// A connection that submits jobs.
pub struct forebay_client_t {
    pub(super) client: Client,
    /// The options of jobs that name none: what the environment says.
    pub(super) job: PreparedJob,
}

/// Opens a client on `endpoint`, one address or several separated by commas: "ipc:///run/user/1000/forebay/broker.sock",
/// "tcp://10.0.0.5:7711", "tcp://[::1]:7711", "inproc://name". It returns at once and never waits for the network, so the
/// broker may be started later.
///
/// `endpoint` may be NULL: $FOREBAY_BROKER, else the default address. `options` may be NULL; the "client." keys are read.
/// `err` may be NULL. The caller frees the client by forebay_client_free.
///
/// FOREBAY_ERR_ADDRESS when an address is wrong, FOREBAY_ERR_OPTION when an option of the environment is,
/// FOREBAY_ERR_IO when the system gives no thread or descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_client_open(
    endpoint: *const c_char,
    options: *const forebay_options_t,
    client: *mut *mut forebay_client_t,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        let place = arg::out(client, "client")?;
        // SAFETY: NULL, or what the contract says.
        unsafe {
            let endpoint = arg::text_if_any(endpoint, "endpoint")?;
            let settings = options::settings(options, |options| options.client_settings())?;
            let job = api::Options::new().prepared_job()?;
            let client = Client::open(endpoint, settings)?;
            place.write(arg::give(forebay_client_t { client, job }));
        }
        Ok(())
    })
}

/// Waits until the broker has welcomed the client.
///
/// FOREBAY_ERR_IO when it has not in time and there is no connection; the error names the address and the cause, and the
/// library goes on trying. FOREBAY_TIMED_OUT when no cause is known, FOREBAY_INTERRUPTED; a broker that refuses the client,
/// for good, is FOREBAY_ERR_PROTOCOL or FOREBAY_ERR_DENIED. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_client_ready(
    client: *mut forebay_client_t,
    timeout_ms: i64,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL or a client that lives, as the contract says.
        let client = unsafe { arg::object(client, "client") }?;
        client.client.ready(arg::timeout(timeout_ms))
    })
}

/// FOREBAY_STATE_...; 0 for a `client` of NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_client_state(client: *const forebay_client_t) -> i32 {
    // SAFETY: NULL or a client that lives, as the contract says.
    guard!(get 0, { unsafe { client.as_ref() }.map_or(0, |client| client.client.state() as i32) })
}

/// Submits `n` jobs and waits until the broker holds them at the level they ask. FOREBAY_OK: it holds all of them. Else it
/// holds the first `*accepted`, and the status and the error speak of the next one.
///
/// `ids`, an array of `n`, and `accepted` are written, whatever the status, as soon as every argument is found valid: a
/// caller whose submit was not confirmed can wait for the ids, cancel them, or submit them again. `ids` may be NULL.
/// `accepted` may be NULL. `jobs` may be NULL when `n` is 0. `err` may be NULL.
///
/// FOREBAY_ERR_UNCONFIRMED when the broker has not answered in time; the jobs may exist. FOREBAY_ERR_BUSY when it has no
/// room. FOREBAY_ERR_CONFLICT when the id is in use with other content, FOREBAY_ERR_TOO_OLD when it is older than the
/// broker remembers, FOREBAY_ERR_TOO_LARGE, FOREBAY_ERR_STORE_FULL when the store has no
/// room for a durable job, FOREBAY_ERR_UNSUPPORTED when there is no store for it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_client_submit(
    client: *mut forebay_client_t,
    jobs: *const forebay_submit_t,
    n: usize,
    timeout_ms: i64,
    ids: *mut forebay_id_t,
    accepted: *mut usize,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (client, jobs) = unsafe {
            let client = arg::object(client, "client")?;
            (&client.client, submit::read_all(jobs, n, &client.job)?)
        };
        let submitted = client.submit_many(jobs, arg::timeout(timeout_ms));
        // SAFETY: NULL, or may be written as the contract says.
        unsafe { hand_over(submitted, ids, accepted) }
    })
}

/// Hands a pipeline to the broker as a run, and waits until the broker holds it. `job` says the run's id, options, delay, deadline,
/// headers, tag and want, as it does for a job; it has no queue and no payload. `job` may be NULL. A run is DONE, FAILED, CANCELLED or EXPIRED
/// as one; deadline and level are those of the whole run.
///
/// `*run` is written, whatever the status, as soon as the arguments are valid. `run` may be NULL. `err` may be NULL.
///
/// FOREBAY_ERR_CYCLE when steps wait for each other in a circle or none can begin, FOREBAY_ERR_ARGUMENT for a pipeline without steps; else
/// as for forebay_client_submit.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_client_run(
    client: *mut forebay_client_t,
    pipeline: *const forebay_pipeline_t,
    job: *const forebay_submit_t,
    timeout_ms: i64,
    run: *mut forebay_id_t,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (client, job) = unsafe {
            let client = arg::object(client, "client")?;
            let pipeline = arg::object(pipeline, "pipeline")?.build()?;
            (&client.client, submit::read_run(job, &pipeline, &client.job)?)
        };
        let submitted = client.submit_many(vec![job], arg::timeout(timeout_ms));
        // SAFETY: NULL, or may be written as the contract says.
        unsafe { hand_over(submitted, run, std::ptr::null_mut()) }
    })
}

/// Gives a run its context: up to 2,000 bytes that each worker gets with a job of the run, see forebay_job_context. A run that is held
/// for it begins. Given again, it counts for jobs that are handed out from then on.
///
/// FOREBAY_ERR_NOT_FOUND for a run that is not known, FOREBAY_ERR_STATE for one that has ended, FOREBAY_ERR_TOO_LARGE,
/// FOREBAY_ERR_UNCONFIRMED. `data` may be NULL when `len` is 0. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_run_context(
    client: *mut forebay_client_t,
    run: *const forebay_id_t,
    data: *const c_void,
    len: usize,
    timeout_ms: i64,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (client, run, data) = unsafe {
            (arg::object(client, "client")?, id::read(run, "run")?, arg::bytes(data, len, "data")?)
        };
        client.client.set_context(run, data, arg::timeout(timeout_ms))
    })
}

/// Takes `n` jobs into the client's window and returns at once; they are sent as fast as the broker takes them. What
/// becomes of them is told by forebay_client_flush, by FOREBAY_KIND_ACCEPTED and FOREBAY_KIND_REFUSED where the job wants
/// them, and by the result.
///
/// FOREBAY_ERR_BUSY when the window has no room for all; the first `*accepted` were taken. Arguments as for
/// forebay_client_submit: `ids` may be NULL. `accepted` may be NULL. `jobs` may be NULL when `n` is 0. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_client_enqueue(
    client: *mut forebay_client_t,
    jobs: *const forebay_submit_t,
    n: usize,
    ids: *mut forebay_id_t,
    accepted: *mut usize,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (client, jobs) = unsafe {
            let client = arg::object(client, "client")?;
            (&client.client, submit::read_all(jobs, n, &client.job)?)
        };
        let submitted = client.enqueue_many(jobs);
        // SAFETY: NULL, or may be written as the contract says.
        unsafe { hand_over(submitted, ids, accepted) }
    })
}

/// Writes what a submission has come to.
///
/// # Safety
/// `ids` is NULL or as many as were submitted, `accepted` is NULL or one.
pub(super) unsafe fn hand_over(
    submitted: api::Submitted,
    ids: *mut forebay_id_t,
    accepted: *mut usize,
) -> Result<(), Failure> {
    let argument_was_wrong = submitted.ids.is_empty() && submitted.failure.is_some();
    if !argument_was_wrong {
        // SAFETY: the caller's promise.
        unsafe {
            for (i, id) in submitted.ids.iter().enumerate() {
                arg::out_if_any(ids).write_at(i, (*id).into());
            }
            arg::out_if_any(accepted).write(submitted.accepted);
        }
    }
    submitted.failure.map_or(Ok(()), Err)
}

/// Waits until the broker has answered everything that was enqueued before.
///
/// FOREBAY_ERR_UNCONFIRMED when it has not in time, FOREBAY_ERR_BUSY and the like when it has refused a job since the last
/// flush; the error speaks of the first. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_client_flush(
    client: *mut forebay_client_t,
    timeout_ms: i64,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL or a client that lives, as the contract says.
        let client = unsafe { arg::object(client, "client") }?;
        client.client.flush(arg::timeout(timeout_ms))
    })
}

/// Submits one job and waits for its result. The timeout is also the job's deadline unless one is set, so that nothing
/// runs on for a caller who left. FOREBAY_OK: the job has ended; how, says the result's outcome.
///
/// `*id` is written, whatever the status, as soon as the arguments are valid. `id` may be NULL. `err` may be NULL. The
/// caller frees the result.
///
/// FOREBAY_ERR_UNCONFIRMED when there was no result in time; else as for forebay_client_submit.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_client_call(
    client: *mut forebay_client_t,
    job: *const forebay_submit_t,
    timeout_ms: i64,
    id: *mut forebay_id_t,
    result: *mut *mut forebay_result_t,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (client, job) = unsafe {
            let client = arg::object(client, "client")?;
            (&client.client, submit::read_one(job, &client.job)?)
        };
        let place = arg::out(result, "result")?;
        let mut made = None;
        let result = client.call_with_id(job, arg::timeout(timeout_ms), &mut made);
        // SAFETY: NULL, or may be written as the contract says.
        unsafe {
            if let Some(made) = made {
                arg::out_if_any(id).write(made.into());
            }
            place.write(forebay_result_t::give(result?));
        }
        Ok(())
    })
}

/// Waits for the result of a job, of this client or of another one with its name. The caller frees the result.
///
/// FOREBAY_TIMED_OUT, FOREBAY_INTERRUPTED; FOREBAY_ERR_NOT_FOUND for an unknown id, which another client's is too;
/// FOREBAY_ERR_STATE for a job that wants its result delivered by forebay_client_next. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_client_wait(
    client: *mut forebay_client_t,
    id: *const forebay_id_t,
    timeout_ms: i64,
    result: *mut *mut forebay_result_t,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (client, id) = unsafe { (arg::object(client, "client")?, id::read(id, "id")?) };
        let place = arg::out(result, "result")?;
        let result = client.client.wait(id, arg::timeout(timeout_ms))?;
        // SAFETY: not NULL, and may be written as the contract says.
        unsafe { place.write(forebay_result_t::give(result)) };
        Ok(())
    })
}

/// Waits until at least `at_least` of `n` jobs have ended. `results[i]` belongs to `ids[i]` and becomes NULL where that job
/// has not ended; `*ended` says how many have. Both are written, whatever the status, as soon as the arguments are valid,
/// so that no result is lost when the wait ends early. The caller frees the results.
///
/// Statuses as for forebay_client_wait. `ids` may be NULL when `n` is 0. `ended` may be NULL. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_client_wait_many(
    client: *mut forebay_client_t,
    ids: *const forebay_id_t,
    n: usize,
    at_least: usize,
    timeout_ms: i64,
    results: *mut *mut forebay_result_t,
    ended: *mut usize,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (client, ids) = unsafe { (arg::object(client, "client")?, id::read_all(ids, n, "ids")?) };
        let place = arg::out(results, "results")?;
        let mut found = vec![None; ids.len()];
        let waited = client.client.wait_many(&ids, at_least, arg::timeout(timeout_ms), &mut found);
        // SAFETY: `results` has `n` elements, as the contract says.
        unsafe {
            arg::out_if_any(ended).write(found.iter().flatten().count());
            for (i, result) in found.into_iter().enumerate() {
                place.write_at(i, result.map_or(std::ptr::null_mut(), forebay_result_t::give));
            }
        }
        waited.map(|_| ())
    })
}

/// The next piece of news that a job's `want` asked for, in order of arrival. The caller frees the result.
///
/// FOREBAY_TIMED_OUT, FOREBAY_INTERRUPTED. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_client_next(
    client: *mut forebay_client_t,
    timeout_ms: i64,
    result: *mut *mut forebay_result_t,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL or a client that lives, as the contract says.
        let client = unsafe { arg::object(client, "client") }?;
        let place = arg::out(result, "result")?;
        let result = client.client.next(arg::timeout(timeout_ms))?;
        // SAFETY: not NULL, and may be written as the contract says.
        unsafe { place.write(forebay_result_t::give(result)) };
        Ok(())
    })
}

/// Like forebay_client_next for up to `cap` pieces of news at once: it waits for the first and takes what is there.
/// `*got` says how many of `results` were written.
///
/// FOREBAY_ERR_ARGUMENT for a `cap` of 0. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_client_next_many(
    client: *mut forebay_client_t,
    timeout_ms: i64,
    results: *mut *mut forebay_result_t,
    cap: usize,
    got: *mut usize,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL or a client that lives, as the contract says.
        let client = unsafe { arg::object(client, "client") }?;
        let (place, got) = (arg::out(results, "results")?, arg::out(got, "got")?);
        arg::some_room(cap)?;
        let mut found: Vec<JobResult> = Vec::new();
        client.client.next_many(arg::timeout(timeout_ms), cap, &mut found)?;
        // SAFETY: not NULL, `results` has `cap` elements, and no more were found, as the contract says.
        unsafe {
            got.write(found.len());
            for (i, result) in found.into_iter().enumerate() {
                place.write_at(i, forebay_result_t::give(result));
            }
        }
        Ok(())
    })
}

/// How a job stands, without taking its result: outcome, attempt, progress, and the result where it has ended. The caller
/// frees the result.
///
/// FOREBAY_TIMED_OUT, FOREBAY_INTERRUPTED; FOREBAY_ERR_NOT_FOUND for an unknown id. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_client_peek(
    client: *mut forebay_client_t,
    id: *const forebay_id_t,
    timeout_ms: i64,
    result: *mut *mut forebay_result_t,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (client, id) = unsafe { (arg::object(client, "client")?, id::read(id, "id")?) };
        let place = arg::out(result, "result")?;
        let result = client.client.peek(id, arg::timeout(timeout_ms))?;
        // SAFETY: not NULL, and may be written as the contract says.
        unsafe { place.write(forebay_result_t::give(result)) };
        Ok(())
    })
}

/// Says that a result was received and need not be kept. Only with client.ack = manual; otherwise it was said as the
/// result was handed over. Never waits.
///
/// `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_client_ack(
    client: *mut forebay_client_t,
    id: *const forebay_id_t,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (client, id) = unsafe { (arg::object(client, "client")?, id::read(id, "id")?) };
        client.client.ack(id)
    })
}

/// Cancels a job. FOREBAY_OK: it is CANCELLED for ever and no result of it will count; a worker that runs it is told to
/// stop.
///
/// FOREBAY_ERR_STATE when it has ended otherwise, FOREBAY_ERR_UNCONFIRMED when the broker has not answered in time,
/// FOREBAY_ERR_NOT_FOUND for an unknown id. `reason` may be NULL. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_client_cancel(
    client: *mut forebay_client_t,
    id: *const forebay_id_t,
    reason: *const c_char,
    timeout_ms: i64,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (client, id, reason) = unsafe {
            (arg::object(client, "client")?, id::read(id, "id")?, arg::text_if_any(reason, "reason")?)
        };
        client.client.cancel(id, reason.unwrap_or_default(), arg::timeout(timeout_ms))
    })
}

/// Waits until at least `n` workers have registered a queue: for tests and for programs that start both.
///
/// FOREBAY_TIMED_OUT, FOREBAY_INTERRUPTED. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_client_wait_workers(
    client: *mut forebay_client_t,
    queue: *const c_char,
    n: u32,
    timeout_ms: i64,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (client, queue) = unsafe { (arg::object(client, "client")?, arg::text(queue, "queue")?) };
        client.client.wait_workers(queue, n, arg::timeout(timeout_ms))
    })
}

/// Carries out an operator's command; forebay_command_at lists them. The result's data is JSON, to which fields are only
/// ever added. `arguments` are "admin." keys, and "job." and "param." keys for "queue.set". The caller frees the result.
///
/// FOREBAY_ERR_NOT_FOUND for a command the broker does not know and for an unknown job, queue or worker,
/// FOREBAY_ERR_ARGUMENT when one of its arguments is missing or wrong, FOREBAY_ERR_UNCONFIRMED when it has not answered in
/// time. `arguments` may be NULL. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_client_admin(
    client: *mut forebay_client_t,
    command: *const c_char,
    arguments: *const forebay_options_t,
    timeout_ms: i64,
    json: *mut *mut forebay_result_t,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (client, command, arguments) = unsafe {
            (
                arg::object(client, "client")?,
                arg::text(command, "command")?,
                options::settings(arguments, |options| Ok(options.admin_arguments()))?,
            )
        };
        let place = arg::out(json, "json")?;
        let result = client.client.admin(command, &arguments, arg::timeout(timeout_ms))?;
        // SAFETY: not NULL, and may be written as the contract says.
        unsafe { place.write(forebay_result_t::give(result)) };
        Ok(())
    })
}

/// The operator's command with number `i`, from 0: 1 and its texts, or 0 past the last.
///
/// The texts live for ever. `name`, `arguments` and `text` each may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_command_at(
    i: usize,
    name: *mut *const c_char,
    arguments: *mut *const c_char,
    text: *mut *const c_char,
) -> i32 {
    static ROWS: OnceLock<Vec<[CString; 3]>> = OnceLock::new();
    guard!(get 0, {
        let rows = ROWS.get_or_init(|| {
            let row = |row: &api::Command| [row.name, row.arguments, row.text].map(arg::c_text);
            api::commands().iter().map(row).collect()
        });
        let Some(row) = rows.get(i) else { return 0 };
        for (place, text) in [name, arguments, text].into_iter().zip(row) {
            // SAFETY: NULL or may be written, as the contract says.
            unsafe { arg::out_if_any(place).write(text.as_ptr()) };
        }
        1
    })
}

/// What this client has counted, as JSON in the result's data: sent, acknowledged, sent again, reconnections, refused,
/// round trip ... The caller frees the result. Never waits.
///
/// `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_client_stats(
    client: *mut forebay_client_t,
    json: *mut *mut forebay_result_t,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL or a client that lives, as the contract says.
        let client = unsafe { arg::object(client, "client") }?;
        let place = arg::out(json, "json")?;
        // SAFETY: not NULL, and may be written as the contract says.
        unsafe { place.write(forebay_result_t::give(client.client.stats())) };
        Ok(())
    })
}

/// A descriptor that is readable exactly while forebay_client_next has something to hand over, for poll, epoll and event
/// loops (an interrupt, which ends waits, does not show on it). It is the library's: only watch it. It lives as long as the client. -1 when there is
/// none, and for a `client` of NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_client_fd(client: *const forebay_client_t) -> i64 {
    // SAFETY: NULL or a client that lives, as the contract says.
    guard!(get - 1, { unsafe { client.as_ref() }.map_or(-1, |client| client.client.fd()) })
}

/// Ends all waits on this client now, each with FOREBAY_INTERRUPTED; if none waits, the next one.
///
/// Async-signal-safe. FOREBAY_ERR_ARGUMENT for a `client` of NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_client_interrupt(client: *mut forebay_client_t) -> forebay_status_t {
    guard!(signal Status::Panic as i32, {
        // SAFETY: NULL or a client that lives, as the contract says.
        let Some(client) = (unsafe { client.as_ref() }) else { return Status::Argument as i32 };
        client.client.interrupt();
        Status::Ok as i32
    })
}

/// Closes a client and frees it: waits up to client.linger_ms for what is still to be sent. Jobs the broker holds run on.
/// Its results stay valid. A `client` of NULL is nothing.
///
/// No other thread may be inside a call on it, or begin one. In a forked child it forgets the handle without closing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_client_free(client: *mut forebay_client_t) {
    // SAFETY: NULL or a client that was handed out and not freed, as the contract says.
    guard!(get(), { unsafe { arg::take_back(client) } })
}
