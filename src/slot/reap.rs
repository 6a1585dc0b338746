//! Waiting for a process and learning what it used.

use std::io;
use std::mem;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};

use forebay::ffi::usage::Usage;

/// Waits for a process, which must not have been waited for, and gives how it ended and what it and its own children used.
pub(crate) fn wait(child: &Child) -> io::Result<(ExitStatus, Usage)> {
    let mut status = 0;
    // SAFETY: zeros are counts; the call fills both or neither.
    let mut used: libc::rusage = unsafe { mem::zeroed() };
    loop {
        // SAFETY: as above.
        let found = unsafe { libc::wait4(child.id().cast_signed(), &raw mut status, 0, &raw mut used) };
        if found >= 0 {
            return Ok((ExitStatus::from_raw(status), Usage::from(used)));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
