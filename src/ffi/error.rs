//! Errors.
//!
//! A call that answers below 0 makes an error that says what was wrong, with which value, and what would be right. It
//! belongs to the caller, who frees it. A caller who passes NULL for `err` has the status alone. Nothing is kept per
//! thread.

use std::ffi::{CString, c_char};

use crate::ffi::arg;
use crate::ffi::status::forebay_status_t;
use crate::model::{Failure, Status};

/// Why a call was not carried out. Never changes; any number of threads may read it at once.
pub struct forebay_error_t {
    failure: Failure,
    message: CString,
}

impl forebay_error_t {
    pub(super) fn new(failure: Failure) -> Self {
        let message = if failure.message.is_empty() { failure.status.text() } else { &failure.message };
        let message = arg::c_text(message);
        forebay_error_t { failure, message }
    }
}

/// Makes an error, for layers above this library that report in the same way. `message` may be NULL: then it is the
/// status's text. A `status` that is not one below 0 counts as FOREBAY_ERR_ARGUMENT.
///
/// Any thread. The caller frees it by forebay_error_free. NULL when `message` is not UTF-8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_error_new(
    status: forebay_status_t,
    message: *const c_char,
) -> *mut forebay_error_t {
    guard!(get std::ptr::null_mut(), {
        // SAFETY: NULL or text, as the contract says.
        let Ok(message) = (unsafe { arg::text_if_any(message, "message") }) else {
            return std::ptr::null_mut();
        };
        let known = Status::from_number(status.into()).filter(|known| *known < Status::Ok);
        let status = known.unwrap_or(Status::Argument);
        arg::give(forebay_error_t::new(Failure::new(status, message.unwrap_or(status.text()))))
    })
}

/// The status, the same as the call answered. 0 for an `error` of NULL.
///
/// Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_error_status(error: *const forebay_error_t) -> forebay_status_t {
    // SAFETY: NULL or an error that lives, as the contract says.
    guard!(get 0, { unsafe { error.as_ref() }.map_or(0, |error| error.failure.status as forebay_status_t) })
}

/// One sentence for people, UTF-8. NULL for an `error` of NULL.
///
/// Any thread. The text lives as long as the error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_error_message(error: *const forebay_error_t) -> *const c_char {
    guard!(get std::ptr::null(), {
        // SAFETY: NULL or an error that lives, as the contract says.
        unsafe { error.as_ref() }.map_or(std::ptr::null(), |error| error.message.as_ptr())
    })
}

/// Whether the same call may succeed later, unchanged: 1 or 0. 0 for an `error` of NULL.
///
/// Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_error_retryable(error: *const forebay_error_t) -> i32 {
    guard!(get 0, {
        // SAFETY: NULL or an error that lives, as the contract says.
        unsafe { error.as_ref() }.map_or(0, |error| i32::from(error.failure.is_retryable()))
    })
}

/// After how many milliseconds trying again makes sense, where the broker has said so; -1 where it has not, and for
/// an `error` of NULL.
///
/// Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_error_retry_after_ms(error: *const forebay_error_t) -> i64 {
    guard!(get - 1, {
        // SAFETY: NULL or an error that lives, as the contract says.
        let error = unsafe { error.as_ref() };
        error
            .and_then(|error| error.failure.retry_after_ms)
            .and_then(|ms| i64::try_from(ms).ok())
            .unwrap_or(-1)
    })
}

/// Frees an error. An `error` of NULL is nothing.
///
/// Any thread; nobody else may use the error any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_error_free(error: *mut forebay_error_t) {
    // SAFETY: NULL or an error that was handed out and not freed, as the contract says.
    guard!(get(), { unsafe { arg::take_back(error) } })
}
