//! A broker in this process.

use std::time::Duration;

use crate::model::Failure;
use crate::run::broker::BrokerThread;
use crate::run::settings::BrokerSettings;

/// A broker that runs in a thread of its own. It never ends the process. Every method may be called from any thread;
/// dropping it stops it.
#[derive(Debug)]
pub struct Broker {
    thread: BrokerThread,
}

impl Broker {
    /// Binds every endpoint of the settings and starts; returns when bound.
    ///
    /// # Errors
    /// `ERR_ADDRESS`, `ERR_IN_USE`, `ERR_DENIED` (TCP without keys, a key file others can read), `ERR_STORE` (the
    /// store is damaged; the message has the place), `ERR_UNSUPPORTED` (a later version's store), `ERR_IO`: nothing is left bound.
    pub fn start(settings: BrokerSettings) -> Result<Broker, Failure> {
        Ok(Broker { thread: BrokerThread::start(&settings)? })
    }

    /// The `i`th address it listens at, the real port filled in; `None` past the last.
    pub fn endpoint(&self, i: usize) -> Option<&str> {
        self.endpoints().get(i).map(String::as_str)
    }

    /// Every address it listens at.
    pub fn endpoints(&self) -> &[String] {
        self.thread.endpoints()
    }

    /// Waits until it has ended; `None` waits for ever. `Ok` when it was stopped as asked.
    ///
    /// # Errors
    /// `TIMED_OUT` while it runs, else why it ended by itself.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<(), Failure> {
        self.thread.wait(timeout)
    }

    /// Takes no more jobs, hands out nothing more, and waits until no worker holds a job.
    ///
    /// # Errors
    /// `TIMED_OUT` while some still do; the drain goes on.
    pub fn drain(&self, timeout: Option<Duration>) -> Result<(), Failure> {
        self.thread.drain(timeout)
    }

    /// Says goodbye to every peer and closes. Running jobs go on in their workers, which look for a broker again.
    ///
    /// # Errors
    /// `TIMED_OUT` when it takes longer; why it had ended before.
    pub fn stop(&self, timeout: Option<Duration>) -> Result<(), Failure> {
        self.thread.stop(timeout)
    }
}
