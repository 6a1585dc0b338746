//! Embedded broker.
//!
//! A broker inside the program: the same as `forebay broker`, on threads of its own. It never exits the process and
//! touches no signal. Clients and workers of the same process reach it by its endpoints too.

use std::ffi::{CString, c_char};
use std::ptr;

use crate::api::{Broker, log};
use crate::ffi::arg;
use crate::ffi::error::forebay_error_t;
use crate::ffi::options::{self, forebay_options_t};
use crate::ffi::status::forebay_status_t;

/// A broker inside the program.
pub struct forebay_broker_t {
    broker: Broker,
    endpoints: Vec<CString>,
}

/// Starts a broker and returns when it is bound. Without a broker.store jobs live in memory; with one, the jobs it kept are
/// there again.
///
/// `options` may be NULL; the "broker.", "queue." and "job." keys are read, the last as the rules of jobs that say nothing
/// else. `err` may be NULL. The caller frees the broker by forebay_broker_free.
///
/// FOREBAY_ERR_IN_USE when another broker has the address or the store; it is undisturbed. FOREBAY_ERR_ADDRESS when an address is wrong
/// or not this machine's, FOREBAY_ERR_DENIED for TCP with neither keys nor broker.insecure, FOREBAY_ERR_IO,
/// FOREBAY_ERR_STORE when the store is damaged, FOREBAY_ERR_UNSUPPORTED when a later version wrote it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_broker_start(
    options: *const forebay_options_t,
    broker: *mut *mut forebay_broker_t,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        let place = arg::out(broker, "broker")?;
        // SAFETY: NULL, or what the contract says.
        let (settings, output) = unsafe {
            (
                options::settings(options, |options| options.broker_settings())?,
                options::settings(options, |options| options.log_settings())?,
            )
        };
        log::set_output_if_said(&output)?;
        let broker = Broker::start(settings)?;
        let endpoints = broker.endpoints().iter().map(|endpoint| arg::c_text(endpoint)).collect();
        // SAFETY: not NULL, and may be written as the contract says.
        unsafe { place.write(arg::give(forebay_broker_t { broker, endpoints })) };
        Ok(())
    })
}

/// The address with number `i`, from 0, as clients use it: with the real port where 0 was asked for. NULL past the last and
/// for a `broker` of NULL.
///
/// Any thread. The text lives as long as the broker.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_broker_endpoint(broker: *const forebay_broker_t, i: u32) -> *const c_char {
    guard!(get ptr::null(), {
        // SAFETY: NULL or a broker that lives, as the contract says.
        let broker = unsafe { broker.as_ref() };
        broker.and_then(|broker| broker.endpoints.get(i as usize)).map_or(ptr::null(), |text| text.as_ptr())
    })
}

/// Waits until the broker has ended. FOREBAY_OK: it was stopped. FOREBAY_TIMED_OUT: it runs. Below 0: it ended by itself,
/// and the error says why.
///
/// Any thread. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_broker_wait(
    broker: *mut forebay_broker_t,
    timeout_ms: i64,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL or a broker that lives, as the contract says.
        let broker = unsafe { arg::object(broker, "broker") }?;
        broker.broker.wait(arg::timeout(timeout_ms))
    })
}

/// Hands out no more jobs, refuses new ones with FOREBAY_ERR_BUSY, and waits until none runs.
///
/// FOREBAY_ERR_UNCONFIRMED when some still run at the end of the time. Any thread. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_broker_drain(
    broker: *mut forebay_broker_t,
    timeout_ms: i64,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL or a broker that lives, as the contract says.
        let broker = unsafe { arg::object(broker, "broker") }?;
        arg::done_in_time(broker.broker.drain(arg::timeout(timeout_ms)), "jobs still run; the drain goes on")
    })
}

/// Stops the broker: it says goodbye to clients and workers, who keep trying, and unbinds.
///
/// FOREBAY_ERR_UNCONFIRMED when it has not ended in time. Any thread. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_broker_stop(
    broker: *mut forebay_broker_t,
    timeout_ms: i64,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL or a broker that lives, as the contract says.
        let broker = unsafe { arg::object(broker, "broker") }?;
        arg::done_in_time(broker.broker.stop(arg::timeout(timeout_ms)), "the broker has not ended yet")
    })
}

/// Stops a broker that runs, and frees it. A `broker` of NULL is nothing.
///
/// No other thread may be inside a call on it, or begin one. In a forked child it forgets the handle without closing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_broker_free(broker: *mut forebay_broker_t) {
    // SAFETY: NULL or a broker that was handed out and not freed, as the contract says.
    guard!(get(), { unsafe { arg::take_back(broker) } })
}
