//! Results.
//!
//! One piece of news about a job: its result, progress, a partial result, or the answer to an operator's command. It
//! belongs to the caller, never changes, and may be read by many threads at once; what its getters lend lives as long as
//! it does, also after its client is gone.

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;
use std::sync::OnceLock;

use crate::api::JobResult;
use crate::ffi::arg::{self, SomeText};
use crate::ffi::id::forebay_id_t;
use crate::ffi::status::forebay_status_t;

/// One piece of news about a job.
pub struct forebay_result_t {
    result: JobResult,
    texts: OnceLock<Texts>,
    meta: OnceLock<CString>,
}

/// The texts with a NUL, made when somebody asks.
struct Texts {
    code: SomeText,
    message: SomeText,
    detail: SomeText,
    header_names: Vec<CString>,
}

impl forebay_result_t {
    /// Hands a result out.
    pub(super) fn give(result: JobResult) -> *mut forebay_result_t {
        arg::give(forebay_result_t { result, texts: OnceLock::new(), meta: OnceLock::new() })
    }

    /// Text of its own: made for every job it would be the dearest of all.
    fn meta(&self) -> &CStr {
        self.meta.get_or_init(|| arg::c_text(&self.result.meta_json()))
    }

    fn texts(&self) -> &Texts {
        self.texts.get_or_init(|| Texts {
            code: SomeText::of(self.result.code()),
            message: SomeText::of(self.result.message()),
            detail: SomeText::of(self.result.detail()),
            header_names: self.result.headers().0.iter().map(|(name, _)| arg::c_text(name)).collect(),
        })
    }
}

/// What is known by one piece of news. Grows only at its end.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct forebay_result_view_t {
    /// sizeof(forebay_result_view_t), set by the caller.
    pub struct_size: usize,
    /// The job; all zero in answers that are not about one.
    pub id: forebay_id_t,
    /// FOREBAY_OUTCOME_...: how the job ended, or stands as far as this tells.
    pub outcome: i32,
    /// How often it had been started.
    pub attempt: u32,
    /// The first frame of the result, never NULL. Not aligned.
    pub data: *const c_void,
    /// Bytes of it.
    pub data_len: usize,
    /// A short word for programs that says why a job failed, such as "abandoned"; of REFUSED the status's name; else empty.
    pub code: *const c_char,
    /// The same as one sentence for people; of PROGRESS its note; else empty.
    pub message: *const c_char,
    /// More, such as a traceback; else empty.
    pub detail: *const c_char,
    /// How far the job is, 0 to 1.
    pub progress: f64,
    /// Frames of the result.
    pub frames: u32,
    /// FOREBAY_KIND_...: what the news is.
    pub kind: i32,
    /// What the job was submitted with.
    pub tag: u64,
    /// The number of a partial result, from 0 in each attempt.
    pub sequence: u64,
    /// Headers of the result.
    pub headers: u32,
    /// Of REFUSED the status that a submit would have answered; else 0.
    pub status: forebay_status_t,
    /// Of REFUSED, after how many milliseconds trying again makes sense; -1 where the broker has not said.
    pub retry_after_ms: i64,
}

/// What forebay_result_view_t had in the first release.
const FIRST_RELEASE: usize = 120;
const _: () = assert!(size_of::<usize>() != 8 || size_of::<forebay_result_view_t>() == FIRST_RELEASE);

/// Fills `*view`, whose `struct_size` the caller has set. Its pointers live as long as the result.
///
/// FOREBAY_ERR_ARGUMENT for a NULL or a `struct_size` that nobody set; `*view` is as it was then. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_result_view(
    result: *const forebay_result_t,
    view: *mut forebay_result_view_t,
) -> forebay_status_t {
    guard!(ptr::null_mut(), {
        // SAFETY: NULL or a result that lives, as the contract says.
        let object = unsafe { arg::object(result, "result") }?;
        let (result, texts) = (&object.result, object.texts());
        let refused = result.failure();
        let seen = forebay_result_view_t {
            struct_size: 0,
            id: result.id().into(),
            outcome: result.outcome() as i32,
            attempt: result.attempt(),
            data: arg::c_bytes(result.data()),
            data_len: result.data().len(),
            code: texts.code.as_ptr(),
            message: texts.message.as_ptr(),
            detail: texts.detail.as_ptr(),
            progress: result.progress(),
            frames: arg::count(result.frames()),
            kind: result.kind() as i32,
            tag: result.tag(),
            sequence: result.sequence(),
            headers: arg::count(result.headers().0.len()),
            status: refused.as_ref().map_or(0, |failure| failure.status as i32),
            retry_after_ms: refused
                .and_then(|failure| failure.retry_after_ms)
                .and_then(|ms| i64::try_from(ms).ok())
                .unwrap_or(-1),
        };
        let first_release = if size_of::<usize>() == 8 { FIRST_RELEASE } else { size_of_val(&seen) };
        // SAFETY: NULL or a view that may be written up to its struct_size, as the contract says.
        unsafe { arg::write_sized(view, seen, first_release, "view") }
    })
}

/// Frame `i` of the result, from 0, its bytes in `*len`; NULL past the last and for a `result` of NULL.
///
/// Any thread. The bytes live as long as the result and are not aligned. `len` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_result_frame(
    result: *const forebay_result_t,
    i: u32,
    len: *mut usize,
) -> *const c_void {
    guard!(get ptr::null(), {
        // SAFETY: NULL or a result that lives, as the contract says.
        let Some(object) = (unsafe { result.as_ref() }) else { return ptr::null() };
        let Some(frame) = object.result.frame(i as usize) else { return ptr::null() };
        // SAFETY: NULL or may be written, as the contract says.
        unsafe { arg::out_if_any(len).write(frame.len()) };
        arg::c_bytes(frame)
    })
}

/// Header `i` of the result, from 0: 1 and its name and bytes, or 0 past the last and for a `result` of NULL.
///
/// Any thread. Name and bytes live as long as the result. `name`, `data` and `len` each may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_result_header_at(
    result: *const forebay_result_t,
    i: u32,
    name: *mut *const c_char,
    data: *mut *const c_void,
    len: *mut usize,
) -> i32 {
    guard!(get 0, {
        // SAFETY: NULL or a result that lives, as the contract says.
        let Some(object) = (unsafe { result.as_ref() }) else { return 0 };
        let Some((_, value)) = object.result.headers().0.get(i as usize) else { return 0 };
        // SAFETY: NULL or may be written, as the contract says.
        unsafe {
            arg::out_if_any(name).write(object.texts().header_names[i as usize].as_ptr());
            arg::out_if_any(data).write(arg::c_bytes(value));
            arg::out_if_any(len).write(value.len());
        }
        1
    })
}

/// What broker and worker know of the job, as a JSON object of strings: attempts, worker, host, times ... Fields are only
/// ever added. NULL for a `result` of NULL.
///
/// Any thread. The text lives as long as the result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_result_meta(result: *const forebay_result_t) -> *const c_char {
    guard!(get ptr::null(), {
        // SAFETY: NULL or a result that lives, as the contract says.
        unsafe { result.as_ref() }.map_or(ptr::null(), |object| object.meta().as_ptr())
    })
}

/// Frees a result. A `result` of NULL is nothing.
///
/// Any thread; nobody else may use the result, or what it lent, any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_result_free(result: *mut forebay_result_t) {
    // SAFETY: NULL or a result that was handed out and not freed, as the contract says.
    guard!(get(), { unsafe { arg::take_back(result) } })
}
