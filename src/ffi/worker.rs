//! Worker.
//!
//! A worker takes jobs of the queues it registers. Every function may be called from any thread, by many at once, but for
//! forebay_worker_free; as many threads as call forebay_worker_receive work at once. One thread of the library owns the
//! connection: it beats, keeps the jobs' leases and sends answers again while the program computes, finds the broker
//! again after a restart, and never runs the program's code.

use std::ffi::c_char;

use crate::api::{Job, Worker};
use crate::ffi::arg;
use crate::ffi::error::forebay_error_t;
use crate::ffi::job::forebay_job_t;
use crate::ffi::options::{self, forebay_options_t};
use crate::ffi::result::forebay_result_t;
use crate::ffi::status::forebay_status_t;
use crate::model::Status;

/// A connection that takes jobs.
pub struct forebay_worker_t(Worker);

/// Opens a worker on `endpoint`, as forebay_client_open does. It takes no job before a queue is registered.
///
/// `endpoint` may be NULL: $FOREBAY_BROKER, else the default address. `options` may be NULL; the "worker." keys are read.
/// `err` may be NULL. The caller frees the worker by forebay_worker_free. Errors as for forebay_client_open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_worker_open(
    endpoint: *const c_char,
    options: *const forebay_options_t,
    worker: *mut *mut forebay_worker_t,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        let place = arg::out(worker, "worker")?;
        // SAFETY: NULL, or what the contract says.
        unsafe {
            let endpoint = arg::text_if_any(endpoint, "endpoint")?;
            let settings = options::settings(options, |options| options.worker_settings())?;
            place.write(arg::give(forebay_worker_t(Worker::open(endpoint, settings)?)));
        }
        Ok(())
    })
}

/// Takes jobs of a queue from now on, also after every restart of the broker. Returns at once. Registering a queue again
/// changes its options.
///
/// FOREBAY_ERR_ARGUMENT for a name that is no queue's, FOREBAY_ERR_STATE after forebay_worker_stop. `options` may be NULL;
/// the "register." keys are read. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_worker_register(
    worker: *mut forebay_worker_t,
    queue: *const c_char,
    options: *const forebay_options_t,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (worker, queue, settings) = unsafe {
            (
                arg::object(worker, "worker")?,
                arg::text(queue, "queue")?,
                options::settings(options, |options| options.register_settings())?,
            )
        };
        worker.0.register(queue, settings)
    })
}

/// Takes no more jobs of a queue. Jobs that were handed out are answered as ever. Returns at once.
///
/// FOREBAY_ERR_NOT_FOUND when it was not registered. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_worker_unregister(
    worker: *mut forebay_worker_t,
    queue: *const c_char,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (worker, queue) = unsafe { (arg::object(worker, "worker")?, arg::text(queue, "queue")?) };
        worker.0.unregister(queue)
    })
}

/// Waits for a job and hands it out; its run time begins now. The caller answers it by forebay_job_complete, _fail or
/// _release, and frees it.
///
/// FOREBAY_TIMED_OUT, FOREBAY_INTERRUPTED; FOREBAY_DRAINED after forebay_worker_stop; FOREBAY_ERR_IO when the broker was
/// away longer than worker.broker_gone_ms; FOREBAY_ERR_PROTOCOL or FOREBAY_ERR_DENIED when it does not want this worker.
/// `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_worker_receive(
    worker: *mut forebay_worker_t,
    timeout_ms: i64,
    job: *mut *mut forebay_job_t,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL or a worker that lives, as the contract says.
        let worker = unsafe { arg::object(worker, "worker") }?;
        let place = arg::out(job, "job")?;
        let job = worker.0.receive(arg::timeout(timeout_ms))?;
        // SAFETY: not NULL, and may be written as the contract says.
        unsafe { place.write(forebay_job_t::give(job)) };
        Ok(())
    })
}

/// Like forebay_worker_receive for up to `cap` jobs at once: it waits for the first and takes what is there, up to the
/// worker's free slots. `*got` says how many of `jobs` were written. The run time of each begins now.
///
/// FOREBAY_ERR_ARGUMENT for a `cap` of 0. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_worker_receive_many(
    worker: *mut forebay_worker_t,
    timeout_ms: i64,
    jobs: *mut *mut forebay_job_t,
    cap: usize,
    got: *mut usize,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL or a worker that lives, as the contract says.
        let worker = unsafe { arg::object(worker, "worker") }?;
        let (place, got) = (arg::out(jobs, "jobs")?, arg::out(got, "got")?);
        arg::some_room(cap)?;
        let mut found: Vec<Job> = Vec::new();
        worker.0.receive_many(arg::timeout(timeout_ms), cap, &mut found)?;
        // SAFETY: not NULL, `jobs` has `cap` elements, and no more were found, as the contract says.
        unsafe {
            got.write(found.len());
            for (i, job) in found.into_iter().enumerate() {
                place.write_at(i, forebay_job_t::give(job));
            }
        }
        Ok(())
    })
}

/// Takes no new jobs from now on, for good: every receive answers FOREBAY_DRAINED. Jobs that were handed out are answered
/// as ever.
///
/// Async-signal-safe. A `worker` of NULL is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_worker_stop(worker: *mut forebay_worker_t) {
    guard!(signal(), {
        // SAFETY: NULL or a worker that lives, as the contract says.
        if let Some(worker) = unsafe { worker.as_ref() } {
            worker.0.stop();
        }
    })
}

/// Stops, and waits until every job that was handed out is answered and the broker has every answer.
///
/// FOREBAY_ERR_UNCONFIRMED when that was not so in time. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_worker_drain(
    worker: *mut forebay_worker_t,
    timeout_ms: i64,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL or a worker that lives, as the contract says.
        let worker = unsafe { arg::object(worker, "worker") }?;
        arg::done_in_time(
            worker.0.drain(arg::timeout(timeout_ms)),
            "jobs or answers are still under way; the worker stays stopped",
        )
    })
}

/// Waits until the broker has welcomed the worker; see forebay_client_ready. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_worker_ready(
    worker: *mut forebay_worker_t,
    timeout_ms: i64,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL or a worker that lives, as the contract says.
        let worker = unsafe { arg::object(worker, "worker") }?;
        worker.0.ready(arg::timeout(timeout_ms))
    })
}

/// FOREBAY_STATE_...; 0 for a `worker` of NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_worker_state(worker: *const forebay_worker_t) -> i32 {
    // SAFETY: NULL or a worker that lives, as the contract says.
    guard!(get 0, { unsafe { worker.as_ref() }.map_or(0, |worker| worker.0.state() as i32) })
}

/// What this worker has counted, as JSON in the result's data. The caller frees the result. Never waits.
///
/// `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_worker_stats(
    worker: *mut forebay_worker_t,
    json: *mut *mut forebay_result_t,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL or a worker that lives, as the contract says.
        let worker = unsafe { arg::object(worker, "worker") }?;
        let place = arg::out(json, "json")?;
        // SAFETY: not NULL, and may be written as the contract says.
        unsafe { place.write(forebay_result_t::give(worker.0.stats())) };
        Ok(())
    })
}

/// A descriptor that is readable exactly while forebay_worker_receive has a job to hand out, and for good once it answers
/// FOREBAY_DRAINED; see forebay_client_fd. -1 when there
/// is none, and for a `worker` of NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_worker_fd(worker: *const forebay_worker_t) -> i64 {
    // SAFETY: NULL or a worker that lives, as the contract says.
    guard!(get - 1, { unsafe { worker.as_ref() }.map_or(-1, |worker| worker.0.fd()) })
}

/// Ends all waits on this worker now, each with FOREBAY_INTERRUPTED; if none waits, the next one.
///
/// Async-signal-safe. FOREBAY_ERR_ARGUMENT for a `worker` of NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_worker_interrupt(worker: *mut forebay_worker_t) -> forebay_status_t {
    guard!(signal Status::Panic as i32, {
        // SAFETY: NULL or a worker that lives, as the contract says.
        let Some(worker) = (unsafe { worker.as_ref() }) else { return Status::Argument as i32 };
        worker.0.interrupt();
        Status::Ok as i32
    })
}

/// Closes a worker and frees it: jobs that were not handed out go back to the broker, and it waits up to worker.linger_ms
/// for answers the broker has not acknowledged. Jobs that were handed out stay valid memory; answering them is
/// FOREBAY_ERR_CLOSED, and others will run them. A `worker` of NULL is nothing.
///
/// No other thread may be inside a call on it, or begin one. In a forked child it forgets the handle without closing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_worker_free(worker: *mut forebay_worker_t) {
    // SAFETY: NULL or a worker that was handed out and not freed, as the contract says.
    guard!(get(), { unsafe { arg::take_back(worker) } })
}
