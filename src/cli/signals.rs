//! Ctrl-C and SIGTERM.
//!
//! Invariant: handlers are set only here, and only by the binary; the library never touches them.

use std::io;
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
