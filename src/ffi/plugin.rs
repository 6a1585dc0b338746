//! Plugins.
//!
//! A plugin is a function in a shared object, without a main and a loop: `forebay worker --load ./libresize.so` opens it in
//! processes of their own, hands it one job after the other, and starts a process again that crashed. The shared object
//! shows one symbol, forebay_plugin_v1, which describes it; its functions may call everything of this header, and it needs
//! not be linked to the library, which is there before it. `forebay new-plugin NAME` writes one that builds.
//!
//! In each process: process_init once, thread_init once for each thread, handle for each job, then thread_fini and
//! process_fini. A process has one thread unless `forebay worker --isolate thread` says otherwise.

use std::ffi::{c_char, c_void};

use crate::api;
use crate::ffi::arg;
use crate::ffi::buffer::forebay_buffer_t;
use crate::ffi::error::forebay_error_t;
use crate::ffi::hosting;
use crate::ffi::job::forebay_job_t;
use crate::ffi::options::{self, forebay_options_t};
use crate::ffi::result::forebay_result_t;
use crate::ffi::status::forebay_status_t;
use crate::ffi::submit::{self, forebay_frame_t, forebay_submit_t};

/// The plugin interface of this header. A host refuses a plugin of another one, naming both.
pub const FOREBAY_PLUGIN_ABI: u32 = 1;

/// What a plugin is. Everything it points to lives as long as the shared object is open. Grows only at its end.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct forebay_plugin_t {
    /// sizeof(forebay_plugin_t).
    pub struct_size: u32,
    /// FOREBAY_PLUGIN_ABI.
    pub abi: u32,
    /// Its name, for people.
    pub name: *const c_char,
    /// Its version, for people; may be NULL.
    pub version: *const c_char,
    /// The queues whose jobs it handles, ended by a NULL; may be NULL when the host is told by --queue.
    pub queues: *const *const c_char,
    /// Its parameters, each as three texts, name, default and what it is for, ended by a NULL; may be NULL. A default of
    /// NULL: it has to be given.
    pub params: *const *const c_char,
    /// Called first in each process. `params` holds every parameter it declares, as "param.NAME", for
    /// forebay_options_get, until process_fini. `*process` is handed to all other functions. 0, or anything else with the
    /// reason in `why`, at most `why_cap` bytes with the NUL: the process ends. May be NULL.
    pub process_init: Option<
        unsafe extern "C" fn(
            params: *const forebay_options_t,
            process: *mut *mut c_void,
            why: *mut c_char,
            why_cap: usize,
        ) -> i32,
    >,
    /// Called last, unless the process crashed. May be NULL.
    pub process_fini: Option<unsafe extern "C" fn(process: *mut c_void)>,
    /// Called on each thread before its first job. `slot` numbers the threads of all processes of one host from 0. Else as
    /// process_init. May be NULL.
    pub thread_init: Option<
        unsafe extern "C" fn(
            process: *mut c_void,
            slot: u32,
            thread: *mut *mut c_void,
            why: *mut c_char,
            why_cap: usize,
        ) -> i32,
    >,
    /// Called on each thread after its last job. May be NULL.
    pub thread_fini: Option<unsafe extern "C" fn(process: *mut c_void, thread: *mut c_void)>,
    /// Handles a job: answers it by forebay_job_complete, _fail or _release, and returns 0. The job is freed by the host.
    /// Returning without an answer fails the attempt with the code "abandoned"; another number than 0 is named there. Called
    /// by as many threads at once as there are. No C++ exception may leave it.
    pub handle: Option<
        unsafe extern "C" fn(job: *mut forebay_job_t, process: *mut c_void, thread: *mut c_void) -> i32,
    >,
    /// Fetches what the job's payload, a key, stands for: `handle` is given that as the payload instead. It leaves the bytes
    /// in `*value`, a buffer of forebay_buffer_new that the host frees, and returns 0; or anything else with the reason in
    /// `why`, at most `why_cap` bytes with the NUL: the attempt fails with the code "retrieve_failed". It does not answer the
    /// job. Not called when the host has a --retrieve of its own. May be NULL.
    pub retrieve: Option<
        unsafe extern "C" fn(
            job: *mut forebay_job_t,
            process: *mut c_void,
            thread: *mut c_void,
            value: *mut *mut forebay_buffer_t,
            why: *mut c_char,
            why_cap: usize,
        ) -> i32,
    >,
    /// Puts the result of a job that went well away, of which `key` is the payload as it was submitted. What it leaves in
    /// `*instead`, as in retrieve, is the result instead; NULL: an empty one. Else as retrieve, with "save_failed". Called
    /// by the thread that answers the job; `thread` is NULL when that is none of the host's. Not called when the host has a
    /// --save of its own. May be NULL.
    pub save: Option<
        unsafe extern "C" fn(
            key: *const forebay_frame_t,
            frames: *const forebay_frame_t,
            frames_len: usize,
            process: *mut c_void,
            thread: *mut c_void,
            instead: *mut *mut forebay_buffer_t,
            why: *mut c_char,
            why_cap: usize,
        ) -> i32,
    >,
}

/// Loads plugins and handles their jobs until forebay_host_stop, or until the broker sends the worker home. What is in hand
/// is answered before it returns. The calling thread handles jobs too; host.slots says how many threads there are in all.
///
/// The "host.", "worker.", "register." and "param." keys are read; the broker is $FOREBAY_BROKER, else the default one.
/// FOREBAY_ERR_OPTION for a plugin that cannot be opened, a parameter nobody declares and the like, FOREBAY_ERR_UNSUPPORTED
/// for a plugin of another ABI, FOREBAY_ERR_STATE when a plugin does not begin and while another call of it is under way;
/// else as forebay_worker_receive. Plugins stay open until the process ends. `options` may be NULL. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_host_run(
    options: *const forebay_options_t,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL or options that live, as the contract says.
        let options = unsafe { options::settings(options, |options| Ok(options.clone())) }?;
        hosting::run(&options)
    })
}

/// Ends forebay_host_run once the jobs in hand are answered; if none runs, the next one at once.
///
/// Async-signal-safe.
#[unsafe(no_mangle)]
pub extern "C" fn forebay_host_stop() {
    guard!(signal(), { hosting::stop() })
}

/// Loads plugins and has them handle one job that no broker knows: process_init, thread_init, handle, thread_fini and
/// process_fini, all on the calling thread. The caller frees the result, which says what the job's client would have got.
///
/// FOREBAY_ERR_NOT_FOUND when no plugin handles the job's queue; FOREBAY_ERR_ARGUMENT as for forebay_client_submit; else as
/// for forebay_host_run. `options` may be NULL. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_host_test(
    options: *const forebay_options_t,
    submit: *const forebay_submit_t,
    result: *mut *mut forebay_result_t,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        let place = arg::out(result, "result")?;
        let otherwise = api::Options::new().prepared_job()?;
        // SAFETY: NULL, or what the contract says.
        let (options, job) = unsafe {
            (
                options::settings(options, |options| Ok(options.clone()))?,
                submit::read_one(submit, &otherwise)?,
            )
        };
        let made = hosting::test(&options, job)?;
        // SAFETY: not NULL, and may be written as the contract says.
        unsafe { place.write(forebay_result_t::give(made)) };
        Ok(())
    })
}
