//! A panic stays inside: in a call it becomes FOREBAY_ERR_PANIC, in a library thread it ends the handle, whose calls then
//! say so. The panic is planted where the program has a say: in its own logger.

use std::ffi::{CStr, CString};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use forebay::ffi::broker::{forebay_broker_start, forebay_broker_t};
use forebay::ffi::client::{
    forebay_client_ack, forebay_client_free, forebay_client_open, forebay_client_ready, forebay_client_t,
};
use forebay::ffi::error::{forebay_error_free, forebay_error_message, forebay_error_t};
use forebay::ffi::options::{forebay_options_free, forebay_options_new, forebay_options_set};
use forebay::ffi::status::{FOREBAY_ERR_PANIC, FOREBAY_ERR_STATE, FOREBAY_OK};

/// Panics once for each time it is armed.
struct Planted;

static ARMED: AtomicBool = AtomicBool::new(false);

impl log::Log for Planted {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if ARMED.swap(false, Ordering::SeqCst) {
            panic!("planted, at: {}", record.args());
        }
    }

    fn flush(&self) {}
}

unsafe fn text(err: *mut forebay_error_t) -> String {
    // SAFETY: an error that a call has just made.
    let text = unsafe { CStr::from_ptr(forebay_error_message(err)) }.to_str().unwrap().to_owned();
    // SAFETY: as above; it is not used again.
    unsafe { forebay_error_free(err) };
    text
}

/// Starts a broker on an address; answers the status and the error.
unsafe fn start(listen: &str, broker: &mut *mut forebay_broker_t, err: &mut *mut forebay_error_t) -> i32 {
    let listen = CString::new(listen).unwrap();
    // SAFETY: every pointer is what the header asks for.
    unsafe {
        let options = forebay_options_new();
        let set = |key: &CStr, value: &CStr| {
            forebay_options_set(options, key.as_ptr(), value.as_ptr(), ptr::null_mut())
        };
        assert_eq!(set(c"broker.listen", &listen), FOREBAY_OK);
        assert_eq!(set(c"broker.insecure", c"true"), FOREBAY_OK);
        let status = forebay_broker_start(options, broker, err);
        forebay_options_free(options);
        status
    }
}

#[test]
fn a_panic_in_a_call_and_in_a_library_thread_stays_inside() {
    log::set_logger(&Planted).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let folder = support::Folder::new();
    let mut err = ptr::null_mut();
    let mut broker = ptr::null_mut();
    let mut client: *mut forebay_client_t = ptr::null_mut();
    // SAFETY: every pointer is what the header asks for.
    unsafe {
        // In the call: a broker without keys warns as it starts.
        ARMED.store(true, Ordering::SeqCst);
        assert_eq!(start("tcp://127.0.0.1:0", &mut broker, &mut err), FOREBAY_ERR_PANIC);
        assert!(text(err).contains("planted"));
        assert!(broker.is_null());

        // In a client's thread: it warns when there is no broker for a while.
        let endpoint = CString::new(folder.ipc("nobody")).unwrap();
        ARMED.store(true, Ordering::SeqCst);
        assert_eq!(forebay_client_open(endpoint.as_ptr(), ptr::null(), &mut client, &mut err), FOREBAY_OK);
        assert_eq!(forebay_client_ready(client, 30_000, &mut err), FOREBAY_ERR_PANIC);
        forebay_error_free(err);
        let id = forebay::ffi::id::forebay_id_t { bytes: [0; 16] };
        assert_eq!(forebay_client_ack(client, &id, ptr::null_mut()), FOREBAY_ERR_PANIC);
        forebay_client_free(client);

        // The log is the program's own: there is nothing here to set.
        let set = forebay::ffi::log::forebay_log_set(c"info".as_ptr(), None, ptr::null_mut());
        assert_eq!(set, FOREBAY_ERR_STATE);
    }
}
