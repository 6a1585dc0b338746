//! Telling a service manager how it stands, as sd_notify(3) says: one datagram to the socket that NOTIFY_SOCKET names.
//!
//! Invariant: nobody who listens is no error, and nothing waits for anybody.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// All is ready.
pub(super) fn ready(status: &str) {
    tell(&format!("READY=1\nSTATUS={status}\nMAINPID={}", std::process::id()));
}

/// It ends.
pub(super) fn stopping() {
    tell("STOPPING=1");
}

fn tell(text: &str) {
    let Ok(name) = std::env::var("NOTIFY_SOCKET") else { return };
    // One that begins with @ has no file.
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&name),
    };
    let told = address.and_then(|to| {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.send_to_addr(text.as_bytes(), &to)
    });
    if let Err(error) = told {
        log::debug!(target: "run", "NOTIFY_SOCKET = {name}: {error}");
    }
}
