//! A small disk for the store: a tmpfs in a mount namespace of its own, which ends with the process that holds it, so
//! nothing stays mounted whatever becomes of the test.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use support::{Folder, Process, SOON, command};

/// What it holds: half as much again as the store may have.
const DISK_MIB: u64 = 48;

/// A small disk.
pub(crate) struct SmallDisk {
    root: PathBuf,
    /// Its end unmounts the disk.
    _holder: Process,
    _folder: Folder,
}

impl SmallDisk {
    /// Mounts one; why not, where that is not permitted.
    pub(crate) fn mount() -> Result<SmallDisk, String> {
        let folder = Folder::new();
        let mut why = String::new();
        // Who is root needs no user namespace, and may be forbidden to make one.
        for flags in ["-m", "-Urm"] {
            let mut holder = command("sh");
            let script = format!(
                "unshare {flags} sh -c 'mount -t tmpfs -o size={DISK_MIB}m forebay-chaos {} && echo mounted && exec cat' || echo refused",
                folder.path().display()
            );
            let holder = Process::start(holder.arg("-c").arg(script).env("LC_ALL", "C"));
            let line =
                holder.line_where("mounted or refused", SOON, |line| line == "mounted" || line == "refused");
            if line == "mounted" {
                let pid = holder_pid(holder.pid()).ok_or("the process that holds the disk is gone")?;
                let root = PathBuf::from(format!("/proc/{pid}/root{}", folder.path().display()));
                return Ok(SmallDisk { root, _holder: holder, _folder: folder });
            }
            why = holder.stderr().trim().to_owned();
        }
        Err(why)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.root
    }

    /// Takes all the room that is left.
    pub(crate) fn fill(&self) {
        let mut ballast = fs::File::create(self.ballast()).expect("a file on the small disk");
        for len in [1 << 20, 4 << 10] {
            let zeros = vec![0; len];
            while ballast.write_all(&zeros).is_ok() {}
        }
    }

    /// Gives it back.
    pub(crate) fn clear(&self) {
        fs::remove_file(self.ballast()).expect("the ballast");
    }

    fn ballast(&self) -> PathBuf {
        self.root.join("ballast")
    }
}

/// The process inside the namespace: the shell's child, or the shell itself where it became it.
fn holder_pid(shell: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).ok()?;
    let inner = children.split_whitespace().next().and_then(|pid| pid.parse().ok());
    Some(inner.unwrap_or(shell))
}
