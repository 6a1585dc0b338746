//! What runs inside forebay_host_run: plugins are opened, and a host hands them jobs.
//!
//! Invariants: one host runs at a time in a process; a stop that finds none is kept for the next; no stop touches a host
//! that is gone.

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering::SeqCst};

use crate::api::slots::{Handler, Host};
use crate::api::{Job, JobResult, Options, Submit};
use crate::ffi::loaded;
use crate::model::{Failure, Status};

/// The host that runs.
static HOST: AtomicPtr<Host> = AtomicPtr::new(ptr::null_mut());
/// Callers of `stop` that may hold it.
static STOPPERS: AtomicU32 = AtomicU32::new(0);
static IS_STOPPED: AtomicBool = AtomicBool::new(false);
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// The right to run a host; given back when dropped.
struct Turn;

impl Turn {
    fn take() -> Result<Turn, Failure> {
        if IS_TAKEN.swap(true, SeqCst) {
            return Err(Failure::new(
                Status::State,
                "forebay_host_run is under way already; one process is one host (host.slots says how many threads)",
            ));
        }
        Ok(Turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        IS_STOPPED.store(false, SeqCst);
        IS_TAKEN.store(false, SeqCst);
    }
}

/// A host that `stop` finds, for as long as this lives.
struct Shown<'a>(&'a Host);

impl<'a> Shown<'a> {
    fn new(host: &'a Host) -> Self {
        HOST.store(ptr::from_ref(host).cast_mut(), SeqCst);
        if IS_STOPPED.load(SeqCst) {
            host.stop();
        }
        Shown(host)
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        HOST.store(ptr::null_mut(), SeqCst);
        while STOPPERS.load(SeqCst) > 0 {
            std::hint::spin_loop();
        }
    }
}

/// Runs a host of the plugins that `options` name until it is stopped.
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let settings = options.host_settings()?;
    let _turn = Turn::take()?;
    let plugins = loaded::open_all(&settings.load, settings.slots, options)?;
    let host = Host::open(None, settings)?;
    let shown = Shown::new(&host);
    shown.0.run(&plugins)
}

/// Stops the host that runs, else the next. Async-signal-safe.
pub(super) fn stop() {
    STOPPERS.fetch_add(1, SeqCst);
    IS_STOPPED.store(true, SeqCst);
    // SAFETY: NULL, or a host that is not dropped before the count is 0 again: `Shown` takes it away and then waits.
    if let Some(host) = unsafe { HOST.load(SeqCst).as_ref() } {
        host.stop();
    }
    STOPPERS.fetch_sub(1, SeqCst);
}

/// Has the plugin of the job's queue handle it, and gives its answer.
pub(super) fn test(options: &Options, submit: Submit) -> Result<JobResult, Failure> {
    let settings = options.host_settings()?;
    let plugins = loaded::open_all(&settings.load, settings.slots, options)?;
    let serves = |plugin: &dyn Handler| match &settings.queues[..] {
        [] => plugin.queues().contains(&submit.queue),
        said => said.contains(&submit.queue),
    };
    let Some(plugin) = plugins.iter().find(|plugin| serves(plugin.as_ref())) else {
        let known: Vec<&str> =
            plugins.iter().flat_map(|plugin| plugin.queues()).map(String::as_str).collect();
        return Err(Failure::new(
            Status::NotFound,
            format!("no plugin handles queue \"{}\"; there is: {}", submit.queue, known.join(", ")),
        ));
    };
    let job = Job::new_test(submit)?;
    let answered = job.again();
    plugin.begin(settings.first_slot)?.handle(job);
    answered.test_result()
}
