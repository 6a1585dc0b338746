//! Listening on an ipc address without stealing it.
//!
//! Invariant: while an [`IpcListener`] lives it alone holds the lock on PATH.lock, and the socket file is its own.
//! libzmq would unlink whatever is at the path before it binds, and again, from its own thread, some time after it
//! was closed; so the socket is made here and only handed over (`ZMQ_USE_FD`).

use super::context::close_in_child;
use super::error::{Error, ErrorKind, Result, last_errno, plain};
use std::ffi::{CString, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Connections that may wait to be accepted.
pub(crate) const BACKLOG: i32 = 1024;

/// A listening Unix socket with its lock.
pub(crate) struct IpcListener {
    /// Absolute, so that it is found again when the working directory has changed.
    path: PathBuf,
    lock_path: PathBuf,
    _lock: File,
    socket: Listening,
}

enum Listening {
    /// Nothing at the path is ours.
    No,
    Here(OwnedFd),
    /// libzmq has it and closes it.
    HandedOver,
}

impl IpcListener {
    /// Listens at `path` with mode 0600. A file left by a process that is gone is no obstacle.
    pub(crate) fn bind(path: &Path) -> Result<Self> {
        let absolute = std::path::absolute(path)
            .map_err(|error| Error::io(format_args!("find the folder of {}", path.display()), &error))?;
        let mut lock_name = OsString::from(&absolute);
        lock_name.push(".lock");
        let lock_path = PathBuf::from(lock_name);
        let lock = take_lock(path, &lock_path)?;
        let mut listener = Self { path: absolute, lock_path, _lock: lock, socket: Listening::No };
        clear_place(path)?;
        listener.socket = Listening::Here(listen(path)?);
        Ok(listener)
    }

    /// The listening socket, -1 once it was handed over.
    pub(crate) fn fd(&self) -> RawFd {
        match &self.socket {
            Listening::Here(socket) => socket.as_raw_fd(),
            Listening::No | Listening::HandedOver => -1,
        }
    }

    /// From now on libzmq owns the socket.
    pub(crate) fn handed_over(&mut self) {
        if let Listening::Here(socket) = std::mem::replace(&mut self.socket, Listening::HandedOver) {
            let _ = socket.into_raw_fd();
        }
    }

    /// Leaves the files alone: they belong to the parent of this forked child.
    pub(crate) fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for IpcListener {
    fn drop(&mut self) {
        // Under the lock: nobody else can have put a socket of theirs there. The lock itself goes with the file.
        if !matches!(self.socket, Listening::No) {
            let _ = std::fs::remove_file(&self.path);
        }
        let _ = std::fs::remove_file(&self.lock_path);
    }
}

fn in_use(path: &Path) -> Error {
    Error::new(
        ErrorKind::InUse,
        format!("the address ipc://{} is in use: another broker listens there", path.display()),
    )
}

fn take_lock(path: &Path, lock_path: &Path) -> Result<File> {
    loop {
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(lock_path)
            .map_err(|error| Error::io(format_args!("listen at ipc://{}", path.display()), &error))?;
        // SAFETY: an open file.
        if unsafe { libc::flock(lock.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } != 0 {
            return Err(match last_errno() {
                libc::EWOULDBLOCK => in_use(path),
                _ => Error::last(format_args!("lock {}", lock_path.display())),
            });
        }
        // The one that held it may have removed the file between our open and our lock.
        let held = lock.metadata().map(|found| (found.dev(), found.ino()));
        let there = std::fs::metadata(lock_path).map(|found| (found.dev(), found.ino()));
        if matches!((held, there), (Ok(held), Ok(there)) if held == there) {
            // A forked child that outlives us must not hold the address.
            close_in_child(lock.as_raw_fd());
            return Ok(lock);
        }
    }
}

/// Removes a dead socket; refuses everything else that is at `path`.
fn clear_place(path: &Path) -> Result<()> {
    let doing = format!("listen at ipc://{}", path.display());
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io(&doing, &error)),
        Ok(found) if !found.file_type().is_socket() => Err(Error::address(format!(
            "the endpoint `ipc://{}` is the path of a file that is no socket; name another path",
            path.display()
        ))),
        // Somebody who does not know our lock.
        Ok(_) if is_answered(path) => Err(in_use(path)),
        Ok(_) => std::fs::remove_file(path).map_err(|error| Error::io(&doing, &error)),
    }
}

/// Whether somebody accepts connections at `path`.
fn is_answered(path: &Path) -> bool {
    let Ok(socket) = unix_socket() else { return false };
    let Ok((address, len)) = address_of(path) else { return false };
    // SAFETY: an open socket and an address of that length.
    let rc = unsafe { libc::connect(socket.as_raw_fd(), std::ptr::from_ref(&address).cast(), len) };
    // EAGAIN: its backlog is full.
    rc == 0 || matches!(last_errno(), libc::EAGAIN | libc::EINPROGRESS)
}

fn listen(path: &Path) -> Result<OwnedFd> {
    let why = |error: io::Error| Error::io(format_args!("listen at ipc://{}", path.display()), &error);
    let socket = unix_socket().map_err(why)?;
    let (address, len) = address_of(path).map_err(why)?;
    // SAFETY: an open socket and an address of that length.
    if unsafe { libc::bind(socket.as_raw_fd(), std::ptr::from_ref(&address).cast(), len) } != 0 {
        return Err(why(io::Error::last_os_error()));
    }
    // Nobody can connect before listen, so there is no moment in which others could.
    let close = |error| {
        let _ = std::fs::remove_file(path);
        why(error)
    };
    let text = CString::new(path.as_os_str().as_bytes()).map_err(|error| close(error.into()))?;
    // SAFETY: a text with NUL at its end; an open socket.
    let failed =
        unsafe { libc::chmod(text.as_ptr(), 0o600) != 0 || libc::listen(socket.as_raw_fd(), BACKLOG) != 0 };
    if failed {
        return Err(close(io::Error::last_os_error()));
    }
    close_in_child(socket.as_raw_fd());
    Ok(socket)
}

/// Not waiting, closed on exec.
fn unix_socket() -> io::Result<OwnedFd> {
    // SAFETY: makes a socket or says no.
    let fd = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: open and owned by nobody else; flags of an open descriptor.
    unsafe {
        libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
        libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK);
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

fn address_of(path: &Path) -> io::Result<(libc::sockaddr_un, libc::socklen_t)> {
    // SAFETY: all zeros is an empty address.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    let bytes = path.as_os_str().as_bytes();
    if bytes.len() >= address.sun_path.len() || bytes.contains(&0) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    for (to, from) in address.sun_path.iter_mut().zip(bytes) {
        *to = *from as libc::c_char;
    }
    let len = std::mem::offset_of!(libc::sockaddr_un, sun_path) + bytes.len() + 1;
    Ok((address, len as libc::socklen_t))
}

/// Why a TCP address cannot be bound, in words.
pub(crate) fn tcp_error(shown: &str, errno: i32) -> Error {
    match errno {
        libc::EADDRINUSE => Error::new(
            ErrorKind::InUse,
            format!("the address {shown} is in use: another program listens there"),
        ),
        libc::ENODEV | libc::EADDRNOTAVAIL => Error::address(format!(
            "the endpoint `{shown}` is no address of this host; bind an IP address of it, an interface, or `*` for all"
        )),
        libc::EACCES => Error::denied(format!(
            "could not listen at {shown}: {}; ports below 1024 need a privilege",
            plain(&io::Error::from_raw_os_error(errno))
        )),
        _ => Error::errno(format_args!("listen at {shown}"), errno),
    }
}
