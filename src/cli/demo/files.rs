//! Which files the demo sends.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use crate::cli::exit::{Exit, Failed};
use crate::cli::prefix;

/// Folders of build products and of other programs' notes: they are not what a user wants to see digested.
const SKIPPED: [&str; 3] = ["target", "node_modules", "__pycache__"];

/// forebay's own sources where they are at hand, else where the user stands.
pub(super) fn default_folder() -> Result<PathBuf, Failed> {
    match prefix::source() {
        Some(source) => Ok(source.to_owned()),
        None => std::env::current_dir()
            .map_err(|error| Failed::new(Exit::System, format!("cannot tell where you stand: {error}"))),
    }
}

/// Every plain file below a folder, in order. Hidden ones, build products and symbolic links are left out.
pub(super) fn below(folder: &Path) -> Result<Vec<PathBuf>, Failed> {
    let mut files = Vec::new();
    let mut folders = VecDeque::from([folder.to_owned()]);
    while let Some(next) = folders.pop_front() {
        let entries = match std::fs::read_dir(&next) {
            Ok(entries) => entries,
            // One that is closed to us below is no reason to stop; the one we were told to read is.
            Err(error) if next == folder => return Err(Failed::file("read", folder, &error)),
            Err(_) => continue,
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let Ok(kind) = entry.file_type() else { continue };
            if name.starts_with('.') {
                continue;
            } else if kind.is_file() {
                files.push(entry.path());
            } else if kind.is_dir() && !SKIPPED.contains(&name.as_ref()) {
                folders.push_back(entry.path());
            }
        }
    }
    if files.is_empty() {
        return Err(Failed::usage(format!("there is no file below {}", folder.display())));
    }
    files.sort();
    Ok(files)
}
