//! Log.
//!
//! The library speaks of warnings and worse, to stderr. The environment variable FOREBAY_LOG or forebay_log_set choose
//! other levels, for all ("info") or for each part ("warn,broker=debug,client=off"; parts: broker, client, worker, host, net,
//! store, cli; levels: off, error, warn, info, debug, trace). The log belongs to the process, not to a handle.

use std::ffi::{c_char, c_void};

use crate::api::log;
use crate::ffi::arg;
use crate::ffi::status::forebay_status_t;
use crate::model::{Failure, Status};

/// Takes one line of the log. Called by any thread, by one at a time, in order; `part` and `text` live until it returns.
/// It must not call forebay: every call from inside answers FOREBAY_ERR_STATE. It must not throw, nor wait for a thread
/// that is inside forebay.
pub type forebay_log_fn = Option<
    unsafe extern "C" fn(user_data: *mut c_void, level: i32, part: *const c_char, text: *const c_char),
>;

/// The caller's word to the caller's function.
struct UserData(*mut c_void);

// SAFETY: the contract says that the function is called by any thread.
unsafe impl Send for UserData {}

/// Sets the levels and who takes the lines: `sink`, or stderr again when it is NULL. When this returns, the sink that was
/// there before is idle and will not be called any more, so what it used may be freed.
///
/// `levels` may be NULL: they stay as they are. `sink` may be NULL. `user_data` may be NULL; it is handed to every call.
///
/// FOREBAY_ERR_ARGUMENT when a word of `levels` is wrong; nothing has changed then. FOREBAY_ERR_STATE from inside a sink.
/// Any thread, but not one that holds a lock the sink takes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_log_set(
    levels: *const c_char,
    sink: forebay_log_fn,
    user_data: *mut c_void,
) -> forebay_status_t {
    guard!(std::ptr::null_mut(), {
        // SAFETY: NULL or text, as the contract says.
        let levels = unsafe { arg::text_if_any(levels, "levels") }?;
        let user_data = UserData(user_data);
        let sink = sink.map(|sink| -> log::Sink {
            Box::new(move |level, part, text| {
                // The whole of it, so that the closure takes the wrapper along and not the pointer alone.
                let user_data = &user_data;
                let (part, text) = (arg::c_text(part), arg::c_text(text));
                // SAFETY: the contract says what the function has to bear.
                unsafe { sink(user_data.0, level as i32, part.as_ptr(), text.as_ptr()) };
            })
        });
        log::set(levels, sink)
    })
}

/// The next line, for programs that cannot be called back. The first call begins to collect lines instead of writing them
/// to stderr; 1024 wait at most, then the oldest are dropped, and a line says how many.
///
/// Writes "part: text" with a NUL into `buf` of `cap` bytes, its bytes without the NUL to `*needed` and its level to
/// `*level`. A line that does not fit is FOREBAY_ERR_TOO_LARGE: only `*needed` is written, and the line stays the next.
///
/// FOREBAY_TIMED_OUT when none came in time. FOREBAY_ERR_STATE while a sink is set. Any thread. `level` may be NULL.
/// `buf` may be NULL with a `cap` of 0. `needed` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_log_next(
    timeout_ms: i64,
    level: *mut i32,
    buf: *mut c_char,
    cap: usize,
    needed: *mut usize,
) -> forebay_status_t {
    guard!(std::ptr::null_mut(), {
        let taken = log::next(arg::timeout(timeout_ms), |found, text| {
            // SAFETY: `buf` has `cap` bytes, and the places are NULL or may be written, as the contract says.
            unsafe {
                arg::out_if_any(needed).write(text.len());
                let fits = arg::fill_whole(buf, cap, text.as_bytes()).is_ok();
                if fits {
                    arg::out_if_any(level).write(found as i32);
                }
                fits
            }
        })?;
        if taken { Ok(()) } else { Err(Failure::new(Status::TooLarge, "the line is larger than buf")) }
    })
}
