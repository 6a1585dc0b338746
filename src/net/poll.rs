//! Waiting for sockets and wakers at once.
//!
//! Invariant: a wait never sleeps over something that is already there. ZeroMQ's descriptors tell of changes only,
//! so each source is asked once before sleeping, unless it was read until empty and not touched since.

use super::error::{Error, Result};
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

/// Something [`Poller::wait`] can wait for: [`super::Router`], [`super::Dealer`], [`super::Waker`].
pub trait Source {
    /// Whether there is something to take now, of which the descriptors may be silent.
    #[doc(hidden)]
    fn has_unread(&self) -> Result<bool>;

    /// Adds the descriptors that tell of changes.
    #[doc(hidden)]
    fn add_fds(&self, fds: &mut PollFds) -> Result<()>;

    /// The longest sleep this source bears, if it has something to do on its own.
    #[doc(hidden)]
    fn sleep_max(&self) -> Option<Duration> {
        None
    }

    /// The sleep is over and its descriptors told of no change: there is still nothing to take.
    #[doc(hidden)]
    fn stayed_silent(&self) {}
}

/// The descriptors of one wait.
#[derive(Debug, Default)]
pub struct PollFds(Vec<libc::pollfd>);

impl PollFds {
    /// Whether none of those `from..to` told of anything.
    fn are_silent(&self, from: usize, to: usize) -> bool {
        self.0[from..to].iter().all(|fd| fd.revents == 0)
    }

    pub(crate) fn add(&mut self, fd: RawFd) {
        self.0.push(libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    }
}

impl std::fmt::Debug for Poller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Poller")
    }
}

/// How long a busy loop watches before it sleeps: about what falling asleep and being woken cost, for both sides.
const WATCH: Duration = Duration::from_micros(50);
/// A loop that was woken this soon after it fell asleep is busy.
const SHORT_SLEEP: Duration = Duration::from_micros(500);
/// Who gives way for longer has given way to somebody with work of their own.
const LONG_TURN: Duration = Duration::from_millis(1);
/// For how long nobody is given way to then: what is lost is a small part of it.
const NO_WATCH: Duration = Duration::from_secs(1);

/// Waits for several sources. Reuses its memory: keep one per loop.
#[derive(Default)]
pub struct Poller {
    fds: PollFds,
    /// Where in `fds` those of each source end.
    ends: Vec<usize>,
    is_busy: bool,
    /// The processor is wanted by others: until then the loop sleeps instead of watching.
    no_watch_until: Option<Instant>,
}

impl Poller {
    /// A poller that waits for nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sleeps until a source has something, `timeout` is over (`None`: never), or a signal comes. Returns whether
    /// something may be there; false after a timeout.
    ///
    /// The loop around it: take from each source until it is empty, do the work, then wait. A true answer is a
    /// hint, not a promise: a source may turn out empty.
    pub fn wait(&mut self, sources: &[&dyn Source], timeout: Option<Duration>) -> Result<bool> {
        self.fds.0.clear();
        self.ends.clear();
        let mut timeout = timeout;
        for source in sources {
            if source.has_unread()? {
                return Ok(true);
            }
            source.add_fds(&mut self.fds)?;
            self.ends.push(self.fds.0.len());
            if let Some(limit) = source.sleep_max() {
                timeout = Some(timeout.map_or(limit, |timeout| timeout.min(limit)));
            }
        }
        let is_watching = self.is_busy && timeout.is_none_or(|timeout| timeout > WATCH);
        let is_there = if is_watching && self.watch()? {
            true
        } else {
            let asleep = Instant::now();
            let is_there = self.sleep(timeout)?;
            self.is_busy = is_there && asleep.elapsed() < SHORT_SLEEP;
            is_there
        };
        let mut from = 0;
        for (source, &to) in sources.iter().zip(&self.ends) {
            if self.fds.are_silent(from, to) {
                source.stayed_silent();
            }
            from = to;
        }
        Ok(is_there)
    }

    /// Looks again and again for a moment, and lets every other thread that is ready go first: where several threads pass
    /// jobs on, each would else be asleep when the next batch comes, and have to be woken. Beside a program that computes
    /// it does not: given way to, that would keep the processor for milliseconds, whatever its priority; a thread that
    /// wakes up takes it back at once.
    fn watch(&mut self) -> Result<bool> {
        let begin = Instant::now();
        if self.no_watch_until.is_some_and(|until| begin < until) {
            return Ok(false);
        }
        let mut now = begin;
        while now < begin + WATCH {
            let gave_way = now;
            std::thread::yield_now();
            now = Instant::now();
            self.no_watch_until = (now > gave_way + LONG_TURN).then(|| now + NO_WATCH);
            if self.sleep(Some(Duration::ZERO))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn sleep(&mut self, timeout: Option<Duration>) -> Result<bool> {
        let limit = timeout.map(|timeout| libc::timespec {
            tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the items are ours for the call, the limit is null or valid, a null mask changes no mask.
        let ready = unsafe {
            libc::ppoll(self.fds.0.as_mut_ptr(), self.fds.0.len() as libc::nfds_t, limit, std::ptr::null())
        };
        self.judge(ready)
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn sleep(&mut self, timeout: Option<Duration>) -> Result<bool> {
        // Rounded up: a timer that is not yet due would only make the loop turn once more.
        let limit = timeout
            .map_or(-1, |timeout| i32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX));
        // SAFETY: the items are ours for the call.
        let ready = unsafe { libc::poll(self.fds.0.as_mut_ptr(), self.fds.0.len() as libc::nfds_t, limit) };
        self.judge(ready)
    }

    fn judge(&self, ready: i32) -> Result<bool> {
        match ready {
            0 => Ok(false),
            ready if ready > 0 => Ok(true),
            _ if super::error::last_errno() == libc::EINTR => Ok(true),
            _ => Err(Error::last("wait for sockets")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::Write;
    use std::os::fd::AsRawFd;

    use super::*;

    struct Pipe {
        end: std::io::PipeReader,
        was_silent: Cell<bool>,
    }

    impl Source for Pipe {
        fn has_unread(&self) -> Result<bool> {
            Ok(false)
        }

        fn add_fds(&self, fds: &mut PollFds) -> Result<()> {
            fds.add(self.end.as_raw_fd());
            Ok(())
        }

        fn stayed_silent(&self) {
            self.was_silent.set(true);
        }
    }

    #[test]
    fn a_source_hears_that_it_told_of_nothing() {
        let pipe = || {
            let (end, other) = std::io::pipe().unwrap();
            (Pipe { end, was_silent: Cell::new(false) }, other)
        };
        let ((silent, _open), (told, mut writer)) = (pipe(), pipe());
        writer.write_all(b"x").unwrap();
        assert!(Poller::new().wait(&[&silent, &told], None).unwrap());
        assert_eq!((silent.was_silent.get(), told.was_silent.get()), (true, false));
    }

    #[test]
    fn a_timeout_is_kept_to_fractions_of_a_millisecond() {
        let mut poller = Poller::new();
        let began = Instant::now();
        for _ in 0..10 {
            assert!(!poller.wait(&[], Some(Duration::from_micros(200))).unwrap());
        }
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(2), "{took:?}");
    }
}
