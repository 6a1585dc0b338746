//! Jobs to submit.
//!
//! A job as the caller describes it. Everything it points to is read before the call returns and may be freed after it,
//! a buffer included. Only `struct_size` and `queue` must be set; what stays 0 has its default:
//!
//!     forebay_submit_t job = {.struct_size = sizeof job};
//!     job.queue = "resize";
//!     job.payload = image;
//!     job.payload_len = image_len;

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use bytes::Bytes;

use crate::api::{Submit, Want};
use crate::ffi::arg;
use crate::ffi::buffer::forebay_buffer_t;
use crate::ffi::id::{self, forebay_id_t};
use crate::ffi::options::{PreparedJob, forebay_options_t};
use crate::model::{Body, Failure, Headers, JobOptions, Pipeline, Status, limits};

/// One of several parts of a payload or a result. This structure is frozen.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct forebay_frame_t {
    /// Its bytes; may be NULL when `len` is 0.
    pub data: *const c_void,
    /// How many.
    pub len: usize,
}

/// Named bytes that travel beside a payload. This structure is frozen.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct forebay_header_t {
    /// Its name, UTF-8.
    pub name: *const c_char,
    /// Its bytes; may be NULL when `len` is 0.
    pub data: *const c_void,
    /// How many.
    pub len: usize,
}

/// A job to submit. Grows only at its end.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct forebay_submit_t {
    /// sizeof(forebay_submit_t). In an array the first element's counts for all.
    pub struct_size: usize,
    /// Its id, for a job that may be submitted again by another process or after a restart; the broker remembers it for
    /// 24 hours. NULL: made by the library.
    pub id: *const forebay_id_t,
    /// The queue it waits in: 1 to 255 bytes of UTF-8 without control characters.
    pub queue: *const c_char,
    /// What the worker gets, any bytes. Only one of payload, frames and buffer may be set; none is an empty payload.
    pub payload: *const c_void,
    /// Bytes of it.
    pub payload_len: usize,
    /// The same in several parts, which stay apart.
    pub frames: *const forebay_frame_t,
    /// How many.
    pub frames_len: usize,
    /// The same in library memory, which is not copied; see forebay_buffer_new.
    pub buffer: *const forebay_buffer_t,
    /// What travels beside the payload. A header of the options with the same name is replaced.
    pub headers: *const forebay_header_t,
    /// How many.
    pub headers_len: usize,
    /// Its rules and headers, "job." keys; NULL: what the environment says. Read once for each object.
    pub options: *const forebay_options_t,
    /// Over job.delay_ms, unless 0.
    pub delay_ms: i64,
    /// Over job.queue_ms, unless 0.
    pub queue_ms: i64,
    /// Over job.run_ms, unless 0.
    pub run_ms: i64,
    /// Over job.deadline_ms, unless 0.
    pub deadline_ms: i64,
    /// Over job.attempts, unless 0.
    pub attempts: u32,
    /// Over job.priority, unless 0: 1 (lowest) to 8, 4 is normal.
    pub priority: u32,
    /// Comes back with every piece of news about the job.
    pub tag: u64,
    /// Which news forebay_client_next hands over: OR of 1u << FOREBAY_KIND_.... A job that wants its result gets it from
    /// next only; any other only from the waits.
    pub want: u32,
    /// 0.
    pub reserved: u32,
}

/// What forebay_submit_t had in the first release.
const FIRST_RELEASE: usize = 144;
const _: () = assert!(size_of::<usize>() != 8 || size_of::<forebay_submit_t>() == FIRST_RELEASE);

/// The most attempts, as for job.attempts.
const ATTEMPTS_MAX: u32 = 1_000;

/// Reads jobs. `otherwise` are the options of those that name none.
///
/// # Safety
/// `jobs` is NULL or `len` jobs as the structure's text says.
pub(super) unsafe fn read_all(
    jobs: *const forebay_submit_t,
    len: usize,
    otherwise: &PreparedJob,
) -> Result<Vec<Submit>, Failure> {
    // SAFETY: the caller's promise; any bit pattern is a forebay_submit_t.
    let jobs = unsafe { arg::sized_array(jobs, len, first_release(), "job") }?;
    // SAFETY: the caller's promise.
    unsafe { read_each(&jobs, otherwise) }
}

unsafe fn read_each(jobs: &[forebay_submit_t], otherwise: &PreparedJob) -> Result<Vec<Submit>, Failure> {
    let len = jobs.len();
    let read = |(i, job): (usize, &forebay_submit_t)| {
        // SAFETY: the caller's promise.
        unsafe { read(job, otherwise) }.map_err(|failure| match len {
            1 => failure,
            _ => Failure { message: format!("job {i} of {len}: {}", failure.message), ..failure },
        })
    };
    jobs.iter().enumerate().map(read).collect()
}

/// The least a caller's structure may have.
fn first_release() -> usize {
    if size_of::<usize>() == 8 { FIRST_RELEASE } else { size_of::<forebay_submit_t>() }
}

/// Reads jobs that are added to a stage: one may name no queue, and then has the stage's.
///
/// # Safety
/// `jobs` is NULL or `len` jobs as the structure's text says.
pub(super) unsafe fn read_added(
    jobs: *const forebay_submit_t,
    len: usize,
    otherwise: &PreparedJob,
) -> Result<Vec<Submit>, Failure> {
    // SAFETY: the caller's promise; any bit pattern is a forebay_submit_t.
    let mut jobs = unsafe { arg::sized_array(jobs, len, first_release(), "job") }?;
    for job in jobs.iter_mut().filter(|job| job.queue.is_null()) {
        job.queue = c"".as_ptr();
    }
    // SAFETY: the caller's promise, and queues that are texts.
    unsafe { read_each(&jobs, otherwise) }
}

/// Reads one job.
///
/// # Safety
/// `job` is NULL or a job as the structure's text says.
pub(super) unsafe fn read_one(
    job: *const forebay_submit_t,
    otherwise: &PreparedJob,
) -> Result<Submit, Failure> {
    // SAFETY: the caller's promise.
    let mut jobs = unsafe { read_all(job, 1, otherwise) }?;
    jobs.pop().ok_or_else(|| Failure::new(Status::Argument, "job is NULL"))
}

/// Reads what is said of a run: all that can be said of a job but where it goes and what it carries, which its pipeline says.
///
/// # Safety
/// `job` is NULL or a job as the structure's text says.
pub(super) unsafe fn read_run(
    job: *const forebay_submit_t,
    pipeline: &Pipeline,
    otherwise: &PreparedJob,
) -> Result<Submit, Failure> {
    let run = Submit::run(pipeline);
    if job.is_null() {
        let (options, headers) = (**otherwise).clone();
        return Ok(Submit { options, headers, ..run });
    }
    // SAFETY: the caller's promise; any bit pattern is a forebay_submit_t.
    let mut jobs = unsafe { arg::sized_array(job, 1, first_release(), "job") }?;
    let Some(job) = jobs.first_mut() else { return Ok(run) };
    let carries =
        job.payload_len > 0 || job.frames_len > 0 || !job.payload.is_null() || !job.buffer.is_null();
    if !job.queue.is_null() || carries {
        let message = "job has a queue or a payload; a run's are its pipeline's, and right would be none";
        return Err(Failure::new(Status::Argument, message));
    }
    job.queue = c"run".as_ptr();
    // SAFETY: the caller's promise, and a queue that is text.
    let said = unsafe { read(job, otherwise) }?;
    Ok(Submit { queue: run.queue, body: run.body, is_run: true, ..said })
}

unsafe fn read(job: &forebay_submit_t, otherwise: &PreparedJob) -> Result<Submit, Failure> {
    if job.reserved != 0 {
        return Err(Failure::new(
            Status::Unsupported,
            "job.reserved is not 0; this version knows no use of it",
        ));
    }
    let id = if job.id.is_null() {
        None
    } else {
        // SAFETY: the caller's promise.
        Some(unsafe { id::read(job.id, "job.id") }?)
    };
    // SAFETY: the caller's promise.
    let prepared = match unsafe { job.options.as_ref() } {
        Some(options) => options.read(|options| options.prepared_job())?,
        None => Arc::clone(otherwise),
    };
    // SAFETY: the caller's promise.
    unsafe {
        Ok(Submit {
            id,
            queue: arg::text(job.queue, "job.queue")?.to_owned(),
            body: body(job)?,
            headers: headers(job, &prepared.1)?,
            options: rules(job, &prepared.0)?,
            tag: job.tag,
            want: want(job.want)?,
            is_run: false,
            stage: None,
        })
    }
}

unsafe fn body(job: &forebay_submit_t) -> Result<Body, Failure> {
    let given = [!job.payload.is_null() || job.payload_len > 0, job.frames_len > 0, !job.buffer.is_null()];
    if given.iter().filter(|given| **given).count() > 1 {
        return Err(Failure::new(
            Status::Argument,
            "job has more than one of payload, frames and buffer; right would be one of them",
        ));
    }
    // SAFETY: the caller's promise.
    unsafe {
        if let Some(buffer) = job.buffer.as_ref() {
            Ok(Body::one(buffer.bytes()))
        } else if job.frames_len > 0 {
            frames(job.frames, job.frames_len, "job.frames")
        } else {
            let payload = arg::bytes(job.payload, job.payload_len, "job.payload")?;
            Ok(Body::one(Bytes::copy_from_slice(payload)))
        }
    }
}

/// Reads and copies frames.
///
/// # Safety
/// `first` is NULL or `len` frames.
pub(super) unsafe fn frames(first: *const forebay_frame_t, len: usize, name: &str) -> Result<Body, Failure> {
    // SAFETY: the caller's promise.
    let frames = unsafe { arg::array(first, len, name) }?;
    let copy = |frame: &forebay_frame_t| {
        // SAFETY: the caller's promise.
        unsafe { arg::bytes(frame.data, frame.len, name) }.map(Bytes::copy_from_slice)
    };
    frames.iter().map(copy).collect::<Result<_, _>>().map(Body)
}

unsafe fn headers(job: &forebay_submit_t, prepared: &Headers) -> Result<Headers, Failure> {
    // SAFETY: the caller's promise.
    let given = unsafe { arg::array(job.headers, job.headers_len, "job.headers") }?;
    let mut own = Vec::with_capacity(given.len());
    for header in given {
        // SAFETY: the caller's promise.
        let (name, value) = unsafe {
            (
                arg::text(header.name, "job.headers.name")?,
                arg::bytes(header.data, header.len, "job.headers.data")?,
            )
        };
        own.push((name.to_owned(), Bytes::copy_from_slice(value)));
    }
    let mut all = prepared.clone();
    all.0.retain(|(name, _)| !own.iter().any(|(replaced, _)| replaced == name));
    all.0.append(&mut own);
    Ok(all)
}

fn rules(job: &forebay_submit_t, prepared: &JobOptions) -> Result<JobOptions, Failure> {
    let over = |ms: i64, name: &str, prepared: Option<u64>| -> Result<Option<u64>, Failure> {
        let ms = arg::duration_ms(ms, name)?;
        Ok(if ms == 0 { prepared } else { Some(ms) })
    };
    arg::at_most(job.attempts, ATTEMPTS_MAX, "job.attempts")?;
    arg::at_most(job.priority, limits::PRIORITY_MAX, "job.priority")?;
    let mut rules = prepared.clone();
    rules.delay_ms = over(job.delay_ms, "job.delay_ms", rules.delay_ms)?;
    rules.queue_ms = over(job.queue_ms, "job.queue_ms", rules.queue_ms)?;
    rules.run_ms = over(job.run_ms, "job.run_ms", rules.run_ms)?;
    rules.deadline_ms = over(job.deadline_ms, "job.deadline_ms", rules.deadline_ms)?;
    if job.attempts != 0 {
        rules.attempts = Some(job.attempts);
    }
    if job.priority != 0 {
        rules.priority = Some(job.priority);
    }
    Ok(rules)
}

fn want(bits: u32) -> Result<Want, Failure> {
    const KNOWN: u32 = 0b11_1110;
    if bits & !KNOWN != 0 {
        return Err(Failure::new(
            Status::Argument,
            format!(
                "job.want is {bits:#x}; right would be an OR of 1u << FOREBAY_KIND_..., within {KNOWN:#x}"
            ),
        ));
    }
    Ok(Want(bits))
}
