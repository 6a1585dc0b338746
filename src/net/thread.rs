//! Threads that leave the host's signals alone.
//!
//! Invariant: a thread of this library never runs a signal handler of the program it lives in, and no disposition
//! of that program is changed.

use super::error::{Error, Result};
use std::mem::MaybeUninit;
use std::thread::{Builder, JoinHandle};

/// Starts a thread with every signal blocked. `name` is cut at 15 bytes by the system when shown.
pub fn spawn_quiet<T, F>(name: &str, body: F) -> Result<JoinHandle<T>>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    with_signals_blocked(|| Builder::new().name(name.to_owned()).spawn(body))
        .map_err(|error| Error::io(format_args!("start the thread `{name}`"), &error))
}

/// Runs `body` with every signal blocked on this thread, so that threads it starts are born that way.
pub(crate) fn with_signals_blocked<T>(body: impl FnOnce() -> T) -> T {
    struct Restore(libc::sigset_t);
    impl Drop for Restore {
        fn drop(&mut self) {
            // SAFETY: the set was filled by pthread_sigmask.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut()) };
        }
    }
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset initialises `all`; pthread_sigmask with valid arguments does not fail and fills `before`.
    let _restore = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        Restore(before.assume_init())
    };
    body()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_blocked(signal: i32) -> bool {
        let mut now = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: a null new set only asks; `now` is filled.
        unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), now.as_mut_ptr());
            libc::sigismember(now.as_ptr(), signal) == 1
        }
    }

    #[test]
    fn a_quiet_thread_blocks_signals_and_its_maker_does_not() {
        let inside =
            spawn_quiet("quiet-test", || (is_blocked(libc::SIGTERM), is_blocked(libc::SIGUSR1))).unwrap();
        assert_eq!(inside.join().unwrap(), (true, true));
        assert!(!is_blocked(libc::SIGTERM));
    }
}
