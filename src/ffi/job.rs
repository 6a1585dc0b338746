//! Job.
//!
//! A job a worker has received. It is answered once, from any thread; forebay_job_stop, _stop_flag, _hints and _progress
//! may be called by any thread at any time. A job that is freed without an answer has failed this attempt with the code
//! "abandoned".
//!
//! A handler can be tested without a broker: forebay_job_new_test makes a job, the handler answers it, and
//! forebay_job_test_result says what the client would have got.

use std::ffi::{CString, c_char, c_void};
use std::ptr;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;

use crate::api::{self, Job, Retry};
use crate::ffi::arg;
use crate::ffi::buffer::forebay_buffer_t;
use crate::ffi::error::forebay_error_t;
use crate::ffi::id::forebay_id_t;
use crate::ffi::result::forebay_result_t;
use crate::ffi::status::{FOREBAY_RETRY_NEVER, FOREBAY_RETRY_POLICY, forebay_status_t};
use crate::ffi::submit::{self, forebay_frame_t, forebay_submit_t};
use crate::model::limits::CONTEXT_HEADER;
use crate::model::{Failure, Status};

/// From so many bytes on a result that lies in the job's payload shares its memory. Shorter ones may share theirs with many others.
const SHARE_LEN_MIN: usize = 16 << 10;

/// A job a worker has received.
pub struct forebay_job_t {
    job: Job,
    texts: OnceLock<Texts>,
}

/// The texts with a NUL, made when somebody asks.
struct Texts {
    queue: CString,
    header_names: Vec<CString>,
}

impl forebay_job_t {
    /// Hands a job out.
    pub(super) fn give(job: Job) -> *mut forebay_job_t {
        arg::give(forebay_job_t { job, texts: OnceLock::new() })
    }

    fn texts(&self) -> &Texts {
        self.texts.get_or_init(|| Texts {
            queue: arg::c_text(self.job.queue()),
            header_names: self.job.headers().0.iter().map(|(name, _)| arg::c_text(name)).collect(),
        })
    }
}

/// What is known of a job. Grows only at its end.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct forebay_job_view_t {
    /// sizeof(forebay_job_view_t), set by the caller.
    pub struct_size: usize,
    /// Its id.
    pub id: forebay_id_t,
    /// The queue it waited in.
    pub queue: *const c_char,
    /// The first frame of the payload, never NULL. Not aligned.
    pub payload: *const c_void,
    /// Bytes of it.
    pub payload_len: usize,
    /// Frames of the payload.
    pub frames: u32,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// How many there are at most.
    pub attempts_max: u32,
    /// Headers of the job.
    pub headers: u32,
    /// Milliseconds left of its run time or to its deadline, whichever comes first; -1 when there is no end.
    pub time_left_ms: i64,
}

/// What forebay_job_view_t had in the first release.
const FIRST_RELEASE: usize = 72;
const _: () = assert!(size_of::<usize>() != 8 || size_of::<forebay_job_view_t>() == FIRST_RELEASE);

/// Fills `*view`, whose `struct_size` the caller has set. Its pointers live as long as the job.
///
/// FOREBAY_ERR_ARGUMENT for a NULL or a `struct_size` that nobody set; `*view` is as it was then. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_job_view(
    job: *const forebay_job_t,
    view: *mut forebay_job_view_t,
) -> forebay_status_t {
    guard!(ptr::null_mut(), {
        // SAFETY: NULL or a job that lives, as the contract says.
        let object = unsafe { arg::object(job, "job") }?;
        let job = &object.job;
        let left = job.time_left().map(|left| i64::try_from(left.as_millis()).unwrap_or(i64::MAX));
        let seen = forebay_job_view_t {
            struct_size: 0,
            id: job.id().into(),
            queue: object.texts().queue.as_ptr(),
            payload: arg::c_bytes(job.payload()),
            payload_len: job.payload().len(),
            frames: arg::count(job.frames()),
            attempt: job.attempt(),
            attempts_max: job.attempts_max(),
            headers: arg::count(job.headers().0.len()),
            time_left_ms: left.unwrap_or(-1),
        };
        let first_release = if size_of::<usize>() == 8 { FIRST_RELEASE } else { size_of_val(&seen) };
        // SAFETY: NULL or a view that may be written up to its struct_size, as the contract says.
        unsafe { arg::write_sized(view, seen, first_release, "view") }
    })
}

/// The first frame of the payload, its bytes in `*len`; not aligned, never NULL but for a `job` of NULL.
///
/// Any thread. The bytes live as long as the job. `len` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_job_payload(job: *const forebay_job_t, len: *mut usize) -> *const c_void {
    guard!(get ptr::null(), {
        // SAFETY: NULL or a job that lives, as the contract says.
        let Some(object) = (unsafe { job.as_ref() }) else { return ptr::null() };
        let payload = object.job.payload();
        // SAFETY: NULL or may be written, as the contract says.
        unsafe { arg::out_if_any(len).write(payload.len()) };
        arg::c_bytes(payload)
    })
}

/// Frame `i` of the payload, from 0, its bytes in `*len`; NULL past the last and for a `job` of NULL.
///
/// Any thread. The bytes live as long as the job and are not aligned. `len` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_job_frame(
    job: *const forebay_job_t,
    i: u32,
    len: *mut usize,
) -> *const c_void {
    guard!(get ptr::null(), {
        // SAFETY: NULL or a job that lives, as the contract says.
        let Some(object) = (unsafe { job.as_ref() }) else { return ptr::null() };
        let Some(frame) = object.job.frame(i as usize) else { return ptr::null() };
        // SAFETY: NULL or may be written, as the contract says.
        unsafe { arg::out_if_any(len).write(frame.len()) };
        arg::c_bytes(frame)
    })
}

/// The bytes of the first header of this name, how many in `*len`; NULL when there is none, and for a `job` or `name` of
/// NULL.
///
/// Any thread. The bytes live as long as the job and are not aligned. `len` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_job_header(
    job: *const forebay_job_t,
    name: *const c_char,
    len: *mut usize,
) -> *const c_void {
    guard!(get ptr::null(), {
        // SAFETY: NULL, or what the contract says.
        let (Some(object), Ok(name)) = (unsafe { (job.as_ref(), arg::text(name, "name")) }) else {
            return ptr::null();
        };
        let Some(value) = object.job.header(name) else { return ptr::null() };
        // SAFETY: NULL or may be written, as the contract says.
        unsafe { arg::out_if_any(len).write(value.len()) };
        arg::c_bytes(value)
    })
}

/// The context of the run whose job this is, its bytes in `*len`; NULL for a job of no run, or of one without a context.
///
/// Any thread. The bytes live as long as the job and are not aligned. `len` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_job_context(job: *const forebay_job_t, len: *mut usize) -> *const c_void {
    guard!(get ptr::null(), {
        // SAFETY: NULL or a job that lives, as the contract says.
        let Some(object) = (unsafe { job.as_ref() }) else { return ptr::null() };
        let Some(value) = object.job.header(CONTEXT_HEADER) else { return ptr::null() };
        // SAFETY: NULL or may be written, as the contract says.
        unsafe { arg::out_if_any(len).write(value.len()) };
        arg::c_bytes(value)
    })
}

/// Header `i` of the job, from 0: 1 and its name and bytes, or 0 past the last and for a `job` of NULL.
///
/// Any thread. Name and bytes live as long as the job. `name`, `data` and `len` each may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_job_header_at(
    job: *const forebay_job_t,
    i: u32,
    name: *mut *const c_char,
    data: *mut *const c_void,
    len: *mut usize,
) -> i32 {
    guard!(get 0, {
        // SAFETY: NULL or a job that lives, as the contract says.
        let Some(object) = (unsafe { job.as_ref() }) else { return 0 };
        let Some((_, value)) = object.job.headers().0.get(i as usize) else { return 0 };
        // SAFETY: NULL or may be written, as the contract says.
        unsafe {
            arg::out_if_any(name).write(object.texts().header_names[i as usize].as_ptr());
            arg::out_if_any(data).write(arg::c_bytes(value));
            arg::out_if_any(len).write(value.len());
        }
        1
    })
}

/// Whether to stop: 0, or an OR of FOREBAY_STOP_.... Once it is not 0, an answer changes nothing any more; free the job
/// and receive the next. 0 for a `job` of NULL.
///
/// Any thread. Costs one read of memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_job_stop(job: *const forebay_job_t) -> u32 {
    // SAFETY: NULL or a job that lives, as the contract says.
    guard!(get 0, { unsafe { job.as_ref() }.map_or(0, |object| object.job.stop().0) })
}

/// The word that forebay_job_stop reads, for inner loops and for languages where a call costs much. NULL for a `job` of
/// NULL.
///
/// Any thread. It lives as long as the job; only read it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_job_stop_flag(job: *const forebay_job_t) -> *const u32 {
    guard!(get ptr::null(), {
        // SAFETY: NULL or a job that lives, as the contract says.
        unsafe { job.as_ref() }.map_or(ptr::null(), |object| object.job.stop_flag().as_ptr().cast_const())
    })
}

/// What the job should know while it goes on: 0, or an OR of FOREBAY_HINT_.... 0 for a `job` of NULL.
///
/// Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_job_hints(job: *const forebay_job_t) -> u32 {
    // SAFETY: NULL or a job that lives, as the contract says.
    guard!(get 0, { unsafe { job.as_ref() }.map_or(0, |object| object.job.hints().0) })
}

/// Tells how far the job is, 0 to 1, and a note for people; the stall timeout begins anew. Never waits; the latest wins.
/// Answers the stop bits, as forebay_job_stop does. 0 for a `job` of NULL.
///
/// Any thread. `note` may be NULL; one that is not UTF-8 is left out.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_job_progress(
    job: *mut forebay_job_t,
    fraction: f64,
    note: *const c_char,
) -> u32 {
    guard!(get 0, {
        // SAFETY: NULL, or what the contract says.
        let (object, note) = unsafe { (job.as_ref(), arg::text_if_any(note, "note")) };
        let Some(object) = object else { return 0 };
        object.job.progress(fraction, note.ok().flatten().unwrap_or_default()).0
    })
}

/// Sends a partial result, numbered from 0 in each attempt, to the client that wants FOREBAY_KIND_PARTIAL. Waits while as
/// many bytes as job.partial_bytes are on their way.
///
/// FOREBAY_ERR_UNCONFIRMED when there was no room in time, FOREBAY_ERR_LEASE_LOST when the job is another's,
/// FOREBAY_ERR_STATE when it is answered, FOREBAY_ERR_TOO_LARGE, FOREBAY_ERR_CLOSED. `data` may be NULL when `len` is 0.
/// `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_job_send(
    job: *mut forebay_job_t,
    data: *const c_void,
    len: usize,
    timeout_ms: i64,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (object, part) = unsafe { (arg::object(job, "job")?, arg::bytes(data, len, "data")?) };
        object.job.send(Bytes::copy_from_slice(part), arg::timeout(timeout_ms))
    })
}

/// Sets a header of the result; the same name again replaces it.
///
/// FOREBAY_ERR_STATE when the job is answered, FOREBAY_ERR_TOO_LARGE. `data` may be NULL when `len` is 0. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_job_set_header(
    job: *mut forebay_job_t,
    name: *const c_char,
    data: *const c_void,
    len: usize,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (object, name, value) =
            unsafe { (arg::object(job, "job")?, arg::text(name, "name")?, arg::bytes(data, len, "data")?) };
        object.job.set_header(name, Bytes::copy_from_slice(value))
    })
}

/// Answers the job with its result. FOREBAY_OK: the library holds a copy and sends it until the broker has it, also to a
/// restarted broker. What lies in the job's own payload is not copied when it is long.
///
/// FOREBAY_ERR_LEASE_LOST when the job is another's by now, FOREBAY_ERR_STATE when it is answered, FOREBAY_ERR_BUSY when
/// more than worker.unacked_bytes wait to be acknowledged, FOREBAY_ERR_TOO_LARGE, FOREBAY_ERR_CLOSED. After BUSY and
/// TOO_LARGE it is not answered yet. `data` may be NULL when `len` is 0. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_job_complete(
    job: *mut forebay_job_t,
    data: *const c_void,
    len: usize,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (object, data) = unsafe { (arg::object(job, "job")?, arg::bytes(data, len, "data")?) };
        object.job.complete(result_of(&object.job, data))
    })
}

/// The bytes of a result, which the caller may change or free after the call.
fn result_of(job: &Job, data: &[u8]) -> Bytes {
    let is_in = |frame: &&Bytes| {
        let (frame, data) = (frame.as_ptr_range(), data.as_ptr_range());
        frame.start <= data.start && data.end <= frame.end
    };
    let frame = if data.len() < SHARE_LEN_MIN { None } else { job.body().0.iter().find(is_in) };
    frame.map_or_else(|| Bytes::copy_from_slice(data), |frame| frame.slice_ref(data))
}

/// Like forebay_job_complete with a result of several frames, which stay apart. `frames` may be NULL when `frames_len` is
/// 0. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_job_complete_frames(
    job: *mut forebay_job_t,
    frames: *const forebay_frame_t,
    frames_len: usize,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (object, body) =
            unsafe { (arg::object(job, "job")?, submit::frames(frames, frames_len, "frames")?) };
        object.job.complete_frames(body)
    })
}

/// Like forebay_job_complete with a result in library memory, which is not copied; see forebay_buffer_new. `err` may be
/// NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_job_complete_buffer(
    job: *mut forebay_job_t,
    buffer: *const forebay_buffer_t,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (object, buffer) = unsafe { (arg::object(job, "job")?, arg::object(buffer, "buffer")?) };
        object.job.complete(buffer.bytes())
    })
}

/// Answers that this attempt failed. `retry_ms`: FOREBAY_RETRY_POLICY, another attempt as the job's rules say;
/// FOREBAY_RETRY_NEVER; 0 or more, another attempt after that time, if one is left. `code` is a short word for programs,
/// `message` one sentence for people, `detail` more, such as a stack trace; the client gets those of the last attempt.
///
/// Errors as for forebay_job_complete. `code`, `message` and `detail` each may be NULL. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_job_fail(
    job: *mut forebay_job_t,
    retry_ms: i64,
    code: *const c_char,
    message: *const c_char,
    detail: *const c_char,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (object, code, message, detail) = unsafe {
            (
                arg::object(job, "job")?,
                arg::text_if_any(code, "code")?.unwrap_or_default(),
                arg::text_if_any(message, "message")?.unwrap_or_default(),
                arg::text_if_any(detail, "detail")?.unwrap_or_default(),
            )
        };
        object.job.fail(retry(retry_ms)?, code, message, detail)
    })
}

fn retry(retry_ms: i64) -> Result<Retry, Failure> {
    match (retry_ms, u64::try_from(retry_ms)) {
        (FOREBAY_RETRY_POLICY, _) => Ok(Retry::Policy),
        (FOREBAY_RETRY_NEVER, _) => Ok(Retry::Never),
        (_, Ok(after_ms)) => Ok(Retry::AfterMs(after_ms)),
        _ => Err(Failure::new(
            Status::Argument,
            format!(
                "retry_ms is {retry_ms}; right would be FOREBAY_RETRY_POLICY (-1), FOREBAY_RETRY_NEVER (-2), or 0 or \
                 more milliseconds"
            ),
        )),
    }
}

/// Gives the job back: it may run elsewhere, not before `delay_ms` have passed. It does not count as an attempt; a job may
/// be given back job.releases times.
///
/// FOREBAY_ERR_ARGUMENT for a `delay_ms` below 0; else as for forebay_job_complete. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_job_release(
    job: *mut forebay_job_t,
    delay_ms: i64,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL or a job that lives, as the contract says.
        let object = unsafe { arg::object(job, "job") }?;
        let delay = Duration::from_millis(arg::duration_ms(delay_ms, "delay_ms")?);
        object.job.release(delay)
    })
}

/// Frees a job. Without an answer the attempt has failed with the code "abandoned". A `job` of NULL is nothing.
///
/// Any thread; nobody else may use the job, or what it lent, any more. It may be freed after its worker.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_job_free(job: *mut forebay_job_t) {
    // SAFETY: NULL or a job that was handed out and not freed, as the contract says.
    guard!(get(), { unsafe { arg::take_back(job) } })
}

/// Makes a job that no broker knows, to test a handler with: it is answered like any other, and nothing is sent. The caller
/// frees it by forebay_job_free.
///
/// FOREBAY_ERR_ARGUMENT as for forebay_client_submit. Any thread. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_job_new_test(
    submit: *const forebay_submit_t,
    job: *mut *mut forebay_job_t,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        let place = arg::out(job, "job")?;
        let otherwise = api::Options::new().prepared_job()?;
        // SAFETY: NULL, or what the contract says.
        unsafe {
            let submit = submit::read_one(submit, &otherwise)?;
            place.write(forebay_job_t::give(Job::new_test(submit)?));
        }
        Ok(())
    })
}

/// What the client of a test job would have got by its answer. The caller frees the result.
///
/// FOREBAY_ERR_STATE when the job is not answered, or not a test job. Any thread. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_job_test_result(
    job: *const forebay_job_t,
    result: *mut *mut forebay_result_t,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL or a job that lives, as the contract says.
        let object = unsafe { arg::object(job, "job") }?;
        let place = arg::out(result, "result")?;
        let result = object.job.test_result()?;
        // SAFETY: not NULL, and may be written as the contract says.
        unsafe { place.write(forebay_result_t::give(result)) };
        Ok(())
    })
}
