//! The static library as it is installed: one object that shows the names of the header and no others, so that it links
//! beside an application's own libzmq, libsodium or Rust library.
//!
//! A shared library hides names by itself, a static one cannot: its objects find each other by them. So the linker puts
//! the objects together into one, in which all names but the header's then become local.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::exit::{Exit, Failed};

/// The archive with hidden names, made beside `archive` unless it is there and newer.
pub(super) fn hide_names(archive: &Path) -> Result<PathBuf, Failed> {
    let hidden = archive.with_file_name("libforebay-hidden.a");
    let failed = |why: String| {
        Failed::new(
            Exit::System,
            format!("cannot hide the names in {}: {why}; GNU binutils are needed", archive.display()),
        )
    };
    if is_newer(&hidden, archive).map_err(|error| failed(error.to_string()))? {
        return Ok(hidden);
    }
    let scratch = tempfile::tempdir_in(archive.parent().unwrap_or(Path::new(".")))
        .map_err(|error| failed(error.to_string()))?;
    let (parts, whole) = (scratch.path().join("parts.a"), scratch.path().join("forebay.o"));
    let made = scratch.path().join("hidden.a");
    // The bitcode that comes with Rust's own objects is none any more once objects are put together.
    run(tool("OBJCOPY", "objcopy").args(["-R", ".llvmbc", "-R", ".llvmcmd"]).arg(archive).arg(&parts))
        .map_err(failed)?;
    // Groups are what linkers keep one of by its name; here each has to stay with the object it belongs to.
    run(tool("LD", "ld")
        .args(["-r", "--force-group-allocation", "--whole-archive"])
        .arg(&parts)
        .arg("-o")
        .arg(&whole))
    .map_err(failed)?;
    run(tool("OBJCOPY", "objcopy")
        .args(["--wildcard", "--keep-global-symbol=!forebay_zmq_*", "--keep-global-symbol=forebay_*"])
        .arg(&whole))
    .map_err(failed)?;
    run(tool("AR", "ar").arg("rcsD").arg(&made).arg(&whole)).map_err(failed)?;
    fs::rename(&made, &hidden).map_err(|error| failed(error.to_string()))?;
    Ok(hidden)
}

/// Whether `made` is there and not older than `from`.
fn is_newer(made: &Path, from: &Path) -> io::Result<bool> {
    let from = fs::metadata(from)?.modified()?;
    Ok(fs::metadata(made).and_then(|made| made.modified()).is_ok_and(|made| made >= from))
}

/// A tool by the name that `make` knows it under.
fn tool(variable: &str, name: &str) -> Command {
    Command::new(std::env::var_os(variable).unwrap_or_else(|| OsString::from(name)))
}

/// Runs a tool; says what it said when it fails.
fn run(tool: &mut Command) -> Result<(), String> {
    let name = tool.get_program().to_string_lossy().into_owned();
    let said = tool.output().map_err(|error| format!("{name}: {error}"))?;
    if said.status.success() {
        return Ok(());
    }
    Err(format!("{name}: {}", String::from_utf8_lossy(&said.stderr).trim_end()))
}
