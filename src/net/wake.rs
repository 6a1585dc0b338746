//! Descriptors that wake: [`Waker`] for a loop of ours, [`LevelEvent`] for a loop of the application.
//!
//! Invariant: no wake-up is lost and none piles up: between two looks of the sleeper at most one is stored.

use super::error::{Error, Result};
use super::poll::{PollFds, Source};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Wakes a thread that waits in [`super::Poller::wait`]. Clones wake the same thread.
#[derive(Clone)]
pub struct Waker(Arc<Shared>);

struct Shared {
    signal: Signal,
    /// True from the first wake-up until the sleeper looked. Later ones then cost no system call.
    is_set: AtomicBool,
    /// Signals that were announced by `is_set` and not read yet: their raisers are between the flag and the
    /// descriptor. Only the sleeper changes it.
    owed: AtomicU64,
}

impl Waker {
    /// A waker nobody has signalled.
    pub fn new() -> Result<Self> {
        Ok(Self(Arc::new(Shared {
            signal: Signal::new()?,
            is_set: AtomicBool::new(false),
            owed: AtomicU64::new(0),
        })))
    }

    /// Wakes the sleeper, or lets it not fall asleep. Any thread, and a signal handler: async-signal-safe.
    pub fn wake(&self) {
        if !self.0.is_set.swap(true, Ordering::SeqCst) {
            self.0.signal.raise();
        }
    }

    /// The sleeper's part, for one thread: forgets the wake-ups so far. Look at what they stand for (a queue, a
    /// flag) *after* this call, never before. Returns whether there was any.
    pub fn clear(&self) -> bool {
        let was_set = self.0.is_set.swap(false, Ordering::SeqCst);
        let owed = self.0.owed.load(Ordering::Relaxed) + u64::from(was_set);
        if owed > 0 {
            self.0.owed.store(owed.saturating_sub(self.0.signal.lower()), Ordering::Relaxed);
        }
        was_set
    }
}

impl Source for Waker {
    fn has_unread(&self) -> Result<bool> {
        Ok(self.0.is_set.load(Ordering::SeqCst))
    }

    fn add_fds(&self, fds: &mut PollFds) -> Result<()> {
        fds.add(self.0.signal.read_fd());
        Ok(())
    }
}

impl std::fmt::Debug for Waker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Waker({})", self.0.signal.read_fd())
    }
}

/// A descriptor an application may wait for: readable exactly while set. Clones share it.
///
/// Call [`LevelEvent::set`] and [`LevelEvent::clear`] under the lock that guards what the level stands for, so that
/// both change together.
#[derive(Clone)]
pub struct LevelEvent(Arc<Level>);

struct Level {
    signal: Signal,
    is_set: Mutex<bool>,
}

impl LevelEvent {
    /// A level that is not set.
    pub fn new() -> Result<Self> {
        Ok(Self(Arc::new(Level { signal: Signal::new()?, is_set: Mutex::new(false) })))
    }

    /// Makes the descriptor readable. No system call if it is.
    pub fn set(&self) {
        let mut is_set = self.0.is_set.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut *is_set, true) {
            self.0.signal.raise();
        }
    }

    /// Makes the descriptor silent. No system call if it is.
    pub fn clear(&self) {
        let mut is_set = self.0.is_set.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *is_set, false) {
            self.0.signal.lower();
        }
    }

    /// The descriptor, for poll, select or epoll. Never read from it; it is closed with the last clone.
    pub fn fd(&self) -> RawFd {
        self.0.signal.read_fd()
    }
}

impl std::fmt::Debug for LevelEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LevelEvent({})", self.fd())
    }
}

/// A counter in the kernel: an eventfd, or where there is none both ends of a pipe. Closed on exec. A forked child
/// shares it with its parent, and so must not use the handle that owns it.
struct Signal {
    read: OwnedFd,
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    write: OwnedFd,
}

impl Signal {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn new() -> Result<Self> {
        // SAFETY: makes a descriptor or says no.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(Error::last("make an event descriptor"));
        }
        // SAFETY: open and owned by nobody else.
        Ok(Self { read: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn new() -> Result<Self> {
        let mut fds = [0; 2];
        // SAFETY: room for two descriptors.
        if unsafe { libc::pipe(fds.as_mut_ptr()) } != 0 {
            return Err(Error::last("make a pipe"));
        }
        // SAFETY: open and owned by nobody else.
        let (read, write) = unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) };
        for fd in fds {
            // SAFETY: flags of an open descriptor.
            unsafe {
                libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
                libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK);
            }
        }
        Ok(Self { read, write })
    }

    fn read_fd(&self) -> RawFd {
        self.read.as_raw_fd()
    }

    fn write_fd(&self) -> RawFd {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        return self.read.as_raw_fd();
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        return self.write.as_raw_fd();
    }

    /// Async-signal-safe, so it leaves `errno` alone.
    fn raise(&self) {
        let one = 1u64.to_ne_bytes();
        keeping_errno(|| {
            // SAFETY: writes eight bytes to an open descriptor. It can only fail when it is already readable.
            unsafe { libc::write(self.write_fd(), one.as_ptr().cast(), one.len()) };
        });
    }

    /// Makes it silent. Returns how often it had been raised since the last time, counting to 8 where it is a pipe.
    fn lower(&self) -> u64 {
        let mut counts = [0u64; 8];
        // SAFETY: reads at most that many bytes into the array, without waiting.
        let read =
            unsafe { libc::read(self.read_fd(), counts.as_mut_ptr().cast(), std::mem::size_of_val(&counts)) };
        // An eventfd gives one sum, a pipe a one for each.
        if read > 0 { counts.iter().sum() } else { 0 }
    }
}

fn keeping_errno(body: impl FnOnce()) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        // SAFETY: this thread's error number.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: as above.
        let kept = unsafe { *errno };
        body();
        // SAFETY: as above.
        unsafe { *errno = kept };
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        // SAFETY: this thread's error number.
        let errno = unsafe { libc::__error() };
        // SAFETY: as above.
        let kept = unsafe { *errno };
        body();
        // SAFETY: as above.
        unsafe { *errno = kept };
    }
}

#[cfg(test)]
mod tests {
    use super::super::poll::Poller;
    use super::*;
    use std::time::{Duration, Instant};

    fn is_readable(fd: RawFd) -> bool {
        let mut item = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // SAFETY: one item, no waiting.
        unsafe { libc::poll(&mut item, 1, 0) == 1 }
    }

    #[test]
    fn a_level_is_readable_exactly_while_set() {
        let level = LevelEvent::new().unwrap();
        assert!(!is_readable(level.fd()));
        level.set();
        level.clone().set();
        assert!(is_readable(level.fd()));
        level.clear();
        assert!(!is_readable(level.fd()));
        level.clear();
        level.set();
        assert!(is_readable(level.fd()));
    }

    #[test]
    fn a_waker_wakes_from_another_thread_and_is_cleared() {
        let waker = Waker::new().unwrap();
        let other = waker.clone();
        let thread = std::thread::spawn(move || other.wake());
        let mut poller = Poller::new();
        let began = Instant::now();
        while !waker.clear() {
            poller.wait(&[&waker], Some(Duration::from_secs(10))).unwrap();
        }
        assert!(began.elapsed() < Duration::from_secs(9));
        thread.join().unwrap();
        assert!(!waker.clear());
        assert!(!is_readable(waker.0.signal.read_fd()));
    }

    /// Every item pushed before a wake-up is seen by a sleeper that clears first and looks then.
    #[test]
    fn no_wake_up_is_lost() {
        const ITEMS: usize = 20_000;
        let waker = Waker::new().unwrap();
        let queue = Arc::new(Mutex::new(0usize));
        let producers: Vec<_> = (0..2)
            .map(|_| {
                let (waker, queue) = (waker.clone(), queue.clone());
                std::thread::spawn(move || {
                    for _ in 0..ITEMS {
                        *queue.lock().unwrap() += 1;
                        waker.wake();
                    }
                })
            })
            .collect();
        let mut poller = Poller::new();
        let mut seen = 0;
        let (mut turns, deadline) = (0, Instant::now() + Duration::from_secs(60));
        while seen < 2 * ITEMS {
            assert!(Instant::now() < deadline, "{seen} items seen in {turns} turns");
            turns += 1;
            poller.wait(&[&waker], Some(Duration::from_secs(20))).unwrap();
            waker.clear();
            seen += std::mem::take(&mut *queue.lock().unwrap());
        }
        for producer in producers {
            producer.join().unwrap();
        }
        // A signal raised late was once taken for none and never read: the sleeper then turned for ever.
        assert!(turns <= 4 * ITEMS + 1, "{turns} turns for {seen} items");
        waker.clear();
        assert!(!is_readable(waker.0.signal.read_fd()));
    }
}
