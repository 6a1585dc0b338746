//! The one way into the library: contains panics, refuses calls from inside the log sink, hands errors out.
//!
//! What a forked child may not do is refused by `api`, whose handles know their process.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use crate::api::log;
use crate::ffi::error::forebay_error_t;
use crate::ffi::status::forebay_status_t;
use crate::model::{Failure, Status};

/// Wraps an exported body.
///
/// `guard!(err, { ... Ok(()) })` answers a status and fills `*err` below 0.
/// `guard!(get DEFAULT, { ... })` answers a value, and `DEFAULT` after a panic.
/// `guard!(signal DEFAULT, { ... })` is `get` for functions that signal handlers may call: no lock, no allocation.
macro_rules! guard {
    (get $default:expr, $body:block) => {
        $crate::ffi::guard::value($default, || $body)
    };
    (signal $default:expr, $body:block) => {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| $body)).unwrap_or($default)
    };
    ($err:expr, $body:block) => {{
        let body = || -> Result<(), $crate::model::Failure> { $body };
        // SAFETY: each function's text asks for an `err` that is NULL or may be written.
        unsafe { $crate::ffi::guard::status($err, body) }
    }};
}

thread_local! {
    /// Whether this thread is inside an exported body, so that the panic hook knows whose panic it is.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Runs `body`; answers its status and hands its failure to `err`.
///
/// # Safety
/// `err` is NULL or may be written.
pub(super) unsafe fn status(
    err: *mut *mut forebay_error_t,
    body: impl FnOnce() -> Result<(), Failure>,
) -> forebay_status_t {
    let result = contained(|| {
        if log::in_sink() {
            return Err(Failure::new(
                Status::State,
                "called from inside the log sink; a sink only takes the line, and calls nothing of forebay",
            ));
        }
        prepare();
        body()
    });
    let failure = match result {
        Ok(Ok(())) => return Status::Ok as forebay_status_t,
        Ok(Err(failure)) => failure,
        Err(panic) => Failure::new(Status::Panic, said(&*panic)),
    };
    let status = failure.status as forebay_status_t;
    if status < 0 && !err.is_null() {
        let error = Box::into_raw(Box::new(forebay_error_t::new(failure)));
        // SAFETY: the caller promises that a non-NULL err may be written.
        unsafe { err.write(error) };
    }
    status
}

/// Runs `body`; answers `default` when it panics.
pub(super) fn value<T>(default: T, body: impl FnOnce() -> T) -> T {
    contained(body).unwrap_or(default)
}

fn contained<T>(body: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    let outer = INSIDE.replace(true);
    // What a panic leaves half done stays inside `api`, whose locks treat it as a state like any other.
    let result = panic::catch_unwind(AssertUnwindSafe(body));
    INSIDE.set(outer);
    result
}

/// What must stand before the first call does anything: the log, and a panic hook that speaks through it instead of
/// printing. Panics outside the library go to the hook that was there before.
fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::install();
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let ours =
                INSIDE.get() || std::thread::current().name().is_some_and(|name| name.starts_with("forebay"));
            if ours {
                ::log::error!(target: "net", "a fault inside the library: {info}");
            } else {
                before(info);
            }
        }));
    });
}

fn said(panic: &(dyn Any + Send)) -> String {
    let what = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text.as_str(),
        _ => "no text",
    };
    format!("a fault inside the library was contained: {what}; the handle should be freed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ffi::error::{forebay_error_free, forebay_error_message, forebay_error_status};

    #[test]
    fn a_panic_becomes_a_status_and_an_error() {
        let mut err = std::ptr::null_mut();
        let status = guard!(&mut err, { panic!("planted") });
        assert_eq!(status, Status::Panic as i32);
        // SAFETY: the guard filled `err` because the status is below 0.
        unsafe {
            assert_eq!(forebay_error_status(err), Status::Panic as i32);
            let message = std::ffi::CStr::from_ptr(forebay_error_message(err));
            assert!(message.to_str().unwrap().contains("planted"));
            forebay_error_free(err);
        }
        assert_eq!(guard!(get 7, { panic!("planted") }), 7);
        assert_eq!(guard!(signal 7, { panic!("planted") }), 7);
        let nobody = std::ptr::null_mut();
        assert_eq!(guard!(nobody, { panic!("planted") }), Status::Panic as i32);
    }

    #[test]
    fn a_status_above_zero_makes_no_error() {
        let mut err = std::ptr::null_mut();
        let status = guard!(&mut err, { Err(Failure::new(Status::TimedOut, "")) });
        assert_eq!(status, 1);
        assert!(err.is_null());
    }
}
