//! Where things are that a slot process is told of by absolute paths: plugins, and the shared library.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::exit::{Exit, Failed};
use crate::cli::prefix;

/// A plugin's file by its absolute path.
pub(crate) fn absolute(path: &Path) -> Result<String, Failed> {
    let found = fs::canonicalize(path).map_err(|error| Failed::file("load", path, &error))?;
    match found.to_str() {
        // Options are text, and a list of paths has commas between them.
        Some(text) if !text.contains(',') => Ok(text.to_owned()),
        _ => Err(Failed::usage(format!(
            "a plugin's path has to be UTF-8 without a comma, and {} is not; a link to it may have another name",
            found.display()
        ))),
    }
}

/// The shared library that goes with this binary: in the prefix it is installed in, else beside it where cargo put it.
pub(crate) fn library() -> Result<PathBuf, Failed> {
    let binary = std::env::current_exe()
        .and_then(fs::canonicalize)
        .map_err(|error| Failed::new(Exit::System, format!("cannot find this program's file: {error}")))?;
    let installed = prefix::installed().map(|root| root.join("lib").join(prefix::LIBRARY));
    let built = binary.with_file_name("libforebay.so");
    installed.or_else(|| built.is_file().then_some(built)).ok_or_else(|| {
        Failed::new(
            Exit::System,
            format!(
                "no {} for {}: it is neither in ../lib nor beside it; install the whole of forebay with \
                 `make install PREFIX=...`",
                prefix::LIBRARY,
                binary.display()
            ),
        )
    })
}
