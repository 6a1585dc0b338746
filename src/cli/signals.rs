//! Ctrl-C and SIGTERM.
//!
//! Invariant: handlers are set only here, and only by the binary; the library never touches them.

use std::io;
use std::sync::{Arc, Weak};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::cli::exit::{Exit, Failed};

/// Calls `act` on a thread of its own with 1, 2, ... for the first, second, ... signal that asks the process to end.
pub(crate) fn on_stop(mut act: impl FnMut(u32) + Send + 'static) -> Result<(), Failed> {
    let said = |error: io::Error| Failed::new(Exit::System, format!("cannot take signals: {error}"));
    let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(said)?;
    let body = move || {
        for (count, _) in (1..).zip(signals.forever()) {
            act(count);
        }
    };
    thread::Builder::new().name("signals".into()).spawn(body).map_err(said)?;
    Ok(())
}

/// Has this process told to end, as by SIGTERM, when the one that started it is gone: nobody would look after it, or stop it.
/// Whether that is there still.
pub(crate) fn end_with(parent: i32) -> bool {
    let asked = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM));
    asked.is_ok() && is_child_of(parent)
}

/// Whether the process that started this one is this, and there still.
pub(crate) fn is_child_of(parent: i32) -> bool {
    rustix::process::getppid().map(rustix::process::Pid::as_raw_pid) == Some(parent)
}

/// Calls `act` for what a command works with. It is not kept alive for it: when the command is done with it, it closes,
/// and what it still has to say is said.
pub(crate) fn on_stop_of<T: Send + Sync + 'static>(
    what: &Arc<T>,
    mut act: impl FnMut(&Arc<T>, u32) + Send + 'static,
) -> Result<(), Failed> {
    let what: Weak<T> = Arc::downgrade(what);
    on_stop(move |count| {
        if let Some(what) = what.upgrade() {
            act(&what, count);
        }
    })
}
