//! A terminal of a test's own, and one process on it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::ptr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{SOON, eventually};

/// A process on a terminal; killed when dropped.
pub struct Terminal {
    child: Child,
    /// Our end.
    keys: File,
    /// The process's end, for its settings.
    line: File,
    said: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Starts a command on a new terminal of so many columns and lines.
    #[track_caller]
    pub fn start(command: &mut Command, columns: u16, lines: u16) -> Terminal {
        let size = libc::winsize { ws_col: columns, ws_row: lines, ws_xpixel: 0, ws_ypixel: 0 };
        let (mut ours, mut theirs) = (-1, -1);
        // SAFETY: two places for descriptors, no name and no settings, and a size that lives.
        let opened = unsafe {
            libc::openpty(&raw mut ours, &raw mut theirs, ptr::null_mut(), ptr::null_mut(), &raw const size)
        };
        assert_eq!(opened, 0, "no terminal: {}", std::io::Error::last_os_error());
        // SAFETY: they were just opened and belong to nobody else.
        let (keys, line) = unsafe { (File::from_raw_fd(ours), File::from_raw_fd(theirs)) };
        let end = || OwnedFd::from(line.try_clone().expect("a descriptor"));
        command.stdin(end()).stdout(end()).stderr(end()).env("TERM", "xterm-256color").process_group(0);
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        // It keeps copies of the process's end, which would stay open with it.
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        command.stderr(std::process::Stdio::null());
        let said = Arc::<Mutex<Vec<u8>>>::default();
        let (theirs, mut from) = (Arc::clone(&said), keys.try_clone().expect("a descriptor"));
        std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            // A terminal whose other end is closed gives an error.
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                theirs.lock().expect("a lock").extend(&bytes[..count]);
            }
        });
        Terminal { child, keys, line, said }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it wrote, escape sequences and all.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().expect("a lock")).into_owned()
    }

    /// Forgets what it wrote so far.
    pub fn forget(&self) {
        self.said.lock().expect("a lock").clear();
    }

    /// Waits until it has written this, which is best one word: between words a picture may move the cursor.
    #[track_caller]
    pub fn shows(&self, word: &str) {
        eventually(&format!("{word:?} on the terminal"), SOON, || self.text().contains(word).then_some(()));
    }

    /// Presses keys.
    #[track_caller]
    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    /// Whether lines are edited and keys echoed, as a shell wants it.
    pub fn is_cooked(&self) -> bool {
        use std::os::fd::AsRawFd;
        // SAFETY: zeros are settings, which are then written by the call, over a descriptor that is open.
        let settings = unsafe {
            let mut settings: libc::termios = std::mem::zeroed();
            assert_eq!(libc::tcgetattr(self.line.as_raw_fd(), &raw mut settings), 0);
            settings
        };
        settings.c_lflag & (libc::ICANON | libc::ECHO) == libc::ICANON | libc::ECHO
    }

    /// How it ended, which has to come within `limit`.
    #[track_caller]
    pub fn ended(&mut self, limit: Duration) -> ExitStatus {
        eventually("the process to end", limit, || self.child.try_wait().expect("a child to wait for"))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
