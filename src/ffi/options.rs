//! Options.
//!
//! Text keys such as "client.window_jobs", checked as they are set, read once by the call they are given to. One object
//! may be given to any number of calls, of all kinds: each reads the keys of its own family. docs/OPTIONS.md and
//! forebay_option_at list every key. What is not set comes from the environment (FOREBAY_CLIENT_WINDOW_JOBS), else it is
//! the default.
//!
//! An object may be used by many threads, also while one of them sets a key.

use std::ffi::{CString, c_char, c_void};
use std::path::Path;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use crate::api::Options;
use crate::api::options;
use crate::ffi::arg;
use crate::ffi::error::forebay_error_t;
use crate::ffi::status::forebay_status_t;
use crate::model::{Failure, Headers, JobOptions};

/// A set of options.
pub struct forebay_options_t(RwLock<Options>);

impl forebay_options_t {
    /// An object of these options.
    pub(super) fn of(options: Options) -> Self {
        forebay_options_t(RwLock::new(options))
    }

    fn change(&self, change: impl FnOnce(&mut Options) -> Result<(), Failure>) -> Result<(), Failure> {
        // A change that panicked was refused as a whole.
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads them.
    pub(super) fn read<T>(&self, read: impl FnOnce(&Options) -> Result<T, Failure>) -> Result<T, Failure> {
        read(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reads settings from options, or from none.
///
/// # Safety
/// `options` is NULL or an object that lives.
pub(super) unsafe fn settings<T>(
    options: *const forebay_options_t,
    read: impl FnOnce(&Options) -> Result<T, Failure>,
) -> Result<T, Failure> {
    // SAFETY: the caller's promise.
    match unsafe { options.as_ref() } {
        Some(options) => options.read(read),
        None => read(&Options::new()),
    }
}

/// What a submission's options say of it, read once for each object.
pub(super) type PreparedJob = Arc<(JobOptions, Headers)>;

/// Makes a set of options in which nothing is set. The caller frees it by forebay_options_free.
///
/// Any thread. NULL never.
#[unsafe(no_mangle)]
pub extern "C" fn forebay_options_new() -> *mut forebay_options_t {
    guard!(get std::ptr::null_mut(), { arg::give(forebay_options_t::of(Options::new())) })
}

/// Frees options; the handles they were given to have read them and do not need them. An `options` of NULL is nothing.
///
/// Any thread; nobody else may use the object any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_options_free(options: *mut forebay_options_t) {
    // SAFETY: NULL or options that were handed out and not freed, as the contract says.
    guard!(get(), { unsafe { arg::take_back(options) } })
}

/// Sets every key that a TOML file names; each family is a table. Either all are taken or, on an error, none.
///
/// FOREBAY_ERR_IO when the file cannot be read, FOREBAY_ERR_OPTION when it is not TOML or a key or value is wrong. Any
/// thread. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_options_load(
    options: *mut forebay_options_t,
    toml_path: *const c_char,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (options, path) =
            unsafe { (arg::object(options, "options")?, arg::text(toml_path, "toml_path")?) };
        options.change(|options| options.load(Path::new(path)))
    })
}

/// Sets a key from text: "500", "64Mi" for bytes, "30s" for milliseconds, "true", "a,b" for a list.
///
/// FOREBAY_ERR_OPTION when there is no such key (the error names the nearest) or the value does not fit (the error says
/// what would). Any thread. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_options_set(
    options: *mut forebay_options_t,
    key: *const c_char,
    value: *const c_char,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (options, key, value) =
            unsafe { (arg::object(options, "options")?, arg::text(key, "key")?, arg::text(value, "value")?) };
        options.change(|options| options.set(key, value))
    })
}

/// Sets a key to a whole number: a count, milliseconds, bytes, or 0 and 1 for a switch.
///
/// Errors and threads as for forebay_options_set. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_options_set_int(
    options: *mut forebay_options_t,
    key: *const c_char,
    value: i64,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (options, key) = unsafe { (arg::object(options, "options")?, arg::text(key, "key")?) };
        options.change(|options| options.set_int(key, value))
    })
}

/// Sets a header, "job.header.NAME", to any bytes; any other key to text that needs no NUL.
///
/// Errors and threads as for forebay_options_set. `data` may be NULL when `len` is 0. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_options_set_bytes(
    options: *mut forebay_options_t,
    key: *const c_char,
    data: *const c_void,
    len: usize,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (options, key, value) = unsafe {
            (arg::object(options, "options")?, arg::text(key, "key")?, arg::bytes(data, len, "data")?)
        };
        options.change(|options| options.set_bytes(key, value))
    })
}

/// Takes a key back, so that environment and default count again.
///
/// FOREBAY_ERR_OPTION when there is no such key. Any thread. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_options_unset(
    options: *mut forebay_options_t,
    key: *const c_char,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (options, key) = unsafe { (arg::object(options, "options")?, arg::text(key, "key")?) };
        options.change(|options| options.unset(key))
    })
}

/// Writes the value in effect, what was set, else the environment's, else the default, into `buf` of `cap` bytes, with a
/// NUL; `*needed` becomes its bytes without the NUL. A value that does not fit is FOREBAY_ERR_TOO_LARGE: `buf` is as it
/// was, `*needed` says how much there is. A key without a value has an empty one.
///
/// FOREBAY_ERR_OPTION when there is no such key or the environment's value does not fit it. Any thread. `buf` may be NULL
/// with a `cap` of 0. `needed` may be NULL. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_options_get(
    options: *const forebay_options_t,
    key: *const c_char,
    buf: *mut c_char,
    cap: usize,
    needed: *mut usize,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (options, key) = unsafe { (arg::object(options, "options")?, arg::text(key, "key")?) };
        let value = options.read(|options| options.get_bytes(key))?.unwrap_or_default();
        // SAFETY: `buf` has `cap` bytes and `needed` may be written, as the contract says.
        unsafe {
            arg::out_if_any(needed).write(value.len());
            arg::fill_whole(buf, cap, &value)
        }
    })
}

/// The option with number `i`, from 0: 1 and its texts, or 0 past the last. `type` says values and bounds, such as
/// "milliseconds, 0 to 31536000000"; `dflt` is empty where there is no default.
///
/// Any thread. The texts live for ever. `key`, `type`, `dflt` and `text` each may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_option_at(
    i: usize,
    key: *mut *const c_char,
    r#type: *mut *const c_char,
    dflt: *mut *const c_char,
    text: *mut *const c_char,
) -> i32 {
    static ROWS: OnceLock<Vec<[CString; 4]>> = OnceLock::new();
    guard!(get 0, {
        let rows = ROWS.get_or_init(|| {
            let row = |info: &options::OptionInfo| {
                let texts = [info.key, &info.kind.to_string(), info.default, info.text];
                texts.map(arg::c_text)
            };
            options::options().iter().map(row).collect()
        });
        let Some(row) = rows.get(i) else { return 0 };
        for (place, text) in [key, r#type, dflt, text].into_iter().zip(row) {
            // SAFETY: NULL or may be written, as the contract says.
            unsafe { arg::out_if_any(place).write(text.as_ptr()) };
        }
        1
    })
}
