//! The one ZeroMQ context of the process, and what becomes of it in a forked child.
//!
//! Invariant: at most one context is in use, so inproc addresses meet; it ends with its last socket, so the library
//! can be unloaded; a forked child never touches its parent's context, it only closes its copies of the connections.

use super::error::{Error, Result, last_errno};
use super::thread::with_signals_blocked;
use super::zap::Zap;
use std::ffi::c_void;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};

/// Sockets open at once in one process. Each client and each worker takes two.
const SOCKETS_MAX: i32 = 16_384;

/// Counts the forks between the first process and this one.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// The context in use, behind a pointer that the child of a fork can drop without taking the lock, which another
/// thread of the parent may have held.
static SHARED: AtomicPtr<Mutex<Weak<Inner>>> = AtomicPtr::new(std::ptr::null_mut());

/// Which process this is, counted in forks since the library was first used. A handle made in another generation
/// was inherited through fork and must not be used.
pub fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Has this descriptor closed in every forked child. For descriptors whose copy in a child would keep something
/// alive: a lock on a file, a connection. Sockets of this layer see to it themselves. Any thread.
pub fn close_in_child(fd: RawFd) {
    watch_forks();
    zmq_sys::forebay_zmq_close_in_child(fd);
}

/// A share of the process's context.
#[derive(Clone)]
pub(crate) struct Context(Arc<Inner>);

pub(crate) struct Inner {
    raw: *mut c_void,
    generation: u32,
    zap: Mutex<Option<Zap>>,
}

// SAFETY: a ZeroMQ context may be used from any thread.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl Context {
    /// The process's context, made now if none is in use.
    pub(crate) fn shared() -> Result<Self> {
        watch_forks();
        let mut shared = slot().lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(inner) = shared.upgrade() {
            return Ok(Self(inner));
        }
        // SAFETY: makes a context or says no.
        let raw = unsafe { zmq_sys::zmq_ctx_new() };
        if raw.is_null() {
            return Err(Error::last("make a ZeroMQ context"));
        }
        // SAFETY: `raw` is a fresh context.
        unsafe { zmq_sys::zmq_ctx_set(raw, zmq_sys::ZMQ_MAX_SOCKETS as i32, SOCKETS_MAX) };
        let inner = Arc::new(Inner { raw, generation: generation(), zap: Mutex::new(None) });
        *shared = Arc::downgrade(&inner);
        Ok(Self(inner))
    }

    /// A raw socket of this context. The first one starts libzmq's threads.
    pub(crate) fn raw_socket(&self, kind: u32) -> Result<*mut c_void> {
        // SAFETY: the context lives as long as `self`.
        let socket = with_signals_blocked(|| unsafe { zmq_sys::zmq_socket(self.0.raw, kind as i32) });
        if socket.is_null() {
            return Err(Error::last(format_args!(
                "open a ZeroMQ socket (at most {SOCKETS_MAX} may be open, and descriptors must be left)"
            )));
        }
        Ok(socket)
    }

    pub(crate) fn generation(&self) -> u32 {
        self.0.generation
    }

    /// The slot of this context's authenticator.
    pub(crate) fn zap(&self) -> &Mutex<Option<Zap>> {
        &self.0.zap
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // In a forked child libzmq's threads do not exist, and ending the context would wait for them for ever.
        if self.generation != generation() {
            return;
        }
        // SAFETY: every socket of the context holds a share of it and is closed before it lets go.
        while unsafe { zmq_sys::zmq_ctx_term(self.raw) } != 0 && last_errno() == libc::EINTR {}
    }
}

fn slot() -> &'static Mutex<Weak<Inner>> {
    let mut current = SHARED.load(Ordering::Acquire);
    if current.is_null() {
        let fresh = Box::into_raw(Box::new(Mutex::new(Weak::new())));
        match SHARED.compare_exchange(std::ptr::null_mut(), fresh, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => current = fresh,
            Err(other) => {
                // SAFETY: nobody else has seen it.
                drop(unsafe { Box::from_raw(fresh) });
                current = other;
            }
        }
    }
    // SAFETY: never freed; a forked child forgets its parent's.
    unsafe { &*current }
}

fn watch_forks() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handler only does what is allowed in the child of a process with threads. An unloaded
        // library takes its handler with it.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

/// Runs in the child between fork and its return there; only async-signal-safe calls.
unsafe extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    SHARED.store(std::ptr::null_mut(), Ordering::Release);
    // SAFETY: this is the child, and from here on its old sockets are of another generation and not used.
    unsafe { zmq_sys::forebay_zmq_close_inherited() };
}
