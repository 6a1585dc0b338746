//! What a slot process does, and what a host has to ask the system for about its processes. A slot process opens the shared library and lets a host of plugins run in it.
//!
//! The binary has the library's code in itself, but a plugin wants the shared one, and one process must have only one of
//! them in use: so a slot process calls nothing but what is looked up here.
//!
//! Invariant: the library is opened by the path that was given, before any plugin, with its names for all; a plugin that
//! is linked to libforebay.so.0 finds this one, and a plugin that is not finds its names.

pub(crate) mod crash;
pub(crate) mod reap;

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use forebay::ffi::error::forebay_error_t;
use forebay::ffi::loaded;
use forebay::ffi::options::forebay_options_t;
use forebay::ffi::result::{forebay_result_t, forebay_result_view_t};
use forebay::ffi::submit::forebay_submit_t;

/// Why the library did not do something.
#[derive(Debug)]
pub(crate) struct Fault {
    /// The status of the call, below 0.
    pub(crate) status: i32,
    /// What it said.
    pub(crate) message: String,
}

/// How a test of a handler ended.
#[derive(Debug)]
pub(crate) struct Tested {
    /// FOREBAY_OUTCOME_....
    pub(crate) outcome: i32,
    /// The result's first frame.
    pub(crate) data: Vec<u8>,
    /// The code, the message and the detail of a failure.
    pub(crate) texts: [String; 3],
}

type Status = c_int;
type Err = *mut *mut forebay_error_t;

/// The functions of an opened library.
#[derive(Clone, Copy)]
pub(crate) struct Library {
    options_new: unsafe extern "C" fn() -> *mut forebay_options_t,
    options_free: unsafe extern "C" fn(*mut forebay_options_t),
    options_load: unsafe extern "C" fn(*mut forebay_options_t, *const c_char, Err) -> Status,
    options_set_bytes:
        unsafe extern "C" fn(*mut forebay_options_t, *const c_char, *const c_void, usize, Err) -> Status,
    error_message: unsafe extern "C" fn(*const forebay_error_t) -> *const c_char,
    error_free: unsafe extern "C" fn(*mut forebay_error_t),
    host_run: unsafe extern "C" fn(*const forebay_options_t, Err) -> Status,
    host_stop: unsafe extern "C" fn(),
    host_test: unsafe extern "C" fn(
        *const forebay_options_t,
        *const forebay_submit_t,
        *mut *mut forebay_result_t,
        Err,
    ) -> Status,
    result_view: unsafe extern "C" fn(*const forebay_result_t, *mut forebay_result_view_t) -> Status,
    result_free: unsafe extern "C" fn(*mut forebay_result_t),
}

/// What a plugin says of itself, read here: that calls nothing of either library. The shared one is opened, since the plugin may
/// be linked to its names.
pub(crate) fn declared(path: &str) -> Result<loaded::Declared, Fault> {
    loaded::declared(path)
        .map_err(|failure| Fault { status: failure.status as i32, message: failure.message })
}

/// Options in the library's hands.
struct Options {
    library: Library,
    raw: *mut forebay_options_t,
}

impl Library {
    /// Opens the library at this absolute path, for good.
    pub(crate) fn open(path: &Path) -> Result<Library, String> {
        let file = CString::new(path.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
        // SAFETY: a text with a NUL. It is this project's own library, which is made to be opened.
        let object = unsafe { libc::dlopen(file.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
        if object.is_null() {
            return Err(loader_said());
        }
        // SAFETY: each is looked up under the name whose signature, in src/ffi, is that of the field.
        let library = unsafe {
            let version: unsafe extern "C" fn() -> *const c_char = function(object, c"forebay_version")?;
            let version = text(version());
            if version != env!("CARGO_PKG_VERSION") {
                return Err(format!("it is version {version}, and this is {}", env!("CARGO_PKG_VERSION")));
            }
            Library {
                options_new: function(object, c"forebay_options_new")?,
                options_free: function(object, c"forebay_options_free")?,
                options_load: function(object, c"forebay_options_load")?,
                options_set_bytes: function(object, c"forebay_options_set_bytes")?,
                error_message: function(object, c"forebay_error_message")?,
                error_free: function(object, c"forebay_error_free")?,
                host_run: function(object, c"forebay_host_run")?,
                host_stop: function(object, c"forebay_host_stop")?,
                host_test: function(object, c"forebay_host_test")?,
                result_view: function(object, c"forebay_result_view")?,
                result_free: function(object, c"forebay_result_free")?,
            }
        };
        Ok(library)
    }

    /// Runs a host until it is stopped.
    pub(crate) fn run(self, config: Option<&Path>, options: &[(String, String)]) -> Result<(), Fault> {
        let options = Options::new(self, config, options)?;
        // SAFETY: options that live.
        self.call(|err| unsafe { (self.host_run)(options.raw, err) })
    }

    /// Ends `run` once the jobs in hand are answered.
    pub(crate) fn stop(self) {
        // SAFETY: it may be called at any time, by any thread.
        unsafe { (self.host_stop)() };
    }

    /// Has a plugin handle one job that no broker knows.
    pub(crate) fn test(
        self,
        config: Option<&Path>,
        options: &[(String, String)],
        queue: &str,
        payload: &[u8],
    ) -> Result<Tested, Fault> {
        let options = Options::new(self, config, options)?;
        let queue = c_text(queue)?;
        let mut result = ptr::null_mut();
        // SAFETY: zeros are a job without anything, as the header says; what it then points to outlives the call.
        self.call(|err| unsafe {
            let mut job: forebay_submit_t = std::mem::zeroed();
            job.struct_size = size_of::<forebay_submit_t>();
            job.queue = queue.as_ptr();
            job.payload = payload.as_ptr().cast();
            job.payload_len = payload.len();
            (self.host_test)(options.raw, &raw const job, &raw mut result, err)
        })?;
        // SAFETY: the result was just made, what its view lends lives as long as it, and it is freed once.
        unsafe {
            let mut view: forebay_result_view_t = std::mem::zeroed();
            view.struct_size = size_of::<forebay_result_view_t>();
            (self.result_view)(result, &raw mut view);
            let data = std::slice::from_raw_parts(view.data.cast::<u8>(), view.data_len).to_vec();
            let texts = [text(view.code), text(view.message), text(view.detail)];
            (self.result_free)(result);
            Ok(Tested { outcome: view.outcome, data, texts })
        }
    }

    fn call(self, call: impl FnOnce(Err) -> Status) -> Result<(), Fault> {
        let mut error = ptr::null_mut();
        let status = call(&raw mut error);
        if status >= 0 {
            return Ok(());
        }
        // SAFETY: NULL or the error of this call, freed once.
        let message = unsafe {
            let message = text((self.error_message)(error));
            (self.error_free)(error);
            message
        };
        Err(Fault { status, message })
    }
}

impl Options {
    fn new(library: Library, config: Option<&Path>, said: &[(String, String)]) -> Result<Self, Fault> {
        // SAFETY: it takes nothing.
        let options = Options { library, raw: unsafe { (library.options_new)() } };
        if let Some(path) = config {
            let path = c_text(&path.to_string_lossy())?;
            // SAFETY: options that live, and a text.
            library.call(|err| unsafe { (library.options_load)(options.raw, path.as_ptr(), err) })?;
        }
        for (key, value) in said {
            let key = c_text(key)?;
            // SAFETY: options that live, a text, and bytes with their length.
            library.call(|err| unsafe {
                let (data, len) = (value.as_ptr().cast(), value.len());
                (library.options_set_bytes)(options.raw, key.as_ptr(), data, len, err)
            })?;
        }
        Ok(options)
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: made by `new`, freed once.
        unsafe { (self.library.options_free)(self.raw) };
    }
}

/// The function of this name.
///
/// # Safety
/// `F` is a pointer to a function of its signature.
unsafe fn function<F: Copy>(object: *mut c_void, name: &CStr) -> Result<F, String> {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    // SAFETY: an object that is open, and a text.
    let found = unsafe { libc::dlsym(object, name.as_ptr()) };
    if found.is_null() {
        return Err(format!("it has no {}", name.to_string_lossy()));
    }
    // SAFETY: the caller's promise; both have the size of a pointer.
    Ok(unsafe { std::mem::transmute_copy(&found) })
}

/// A text of the library's; empty for NULL.
///
/// # Safety
/// `text` is NULL or a text.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

fn c_text(text: &str) -> Result<CString, Fault> {
    // The number of ERR_ARGUMENT.
    CString::new(text).map_err(|error| Fault { status: -1, message: format!("{text:?}: {error}") })
}

/// What the loader says of its last failure.
fn loader_said() -> String {
    // SAFETY: the text is copied before this thread calls the loader again.
    unsafe { text(libc::dlerror()) }
}
