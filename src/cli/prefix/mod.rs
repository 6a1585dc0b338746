//! The prefix: a folder laid out as C programs expect it, `bin`, `include`, `lib` and `share`.
//!
//! One routine makes it, for the demo, for every test over real C programs and for `make install`. The library
//! comes from cargo and is found by what cargo says it made, never by a guess at a path below `target`.

mod archive;
mod layout;
mod pages;

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cli::exit::{Exit, Failed};

/// The folder this binary was built from.
const SOURCE: &str = env!("CARGO_MANIFEST_DIR");
/// The shared library under the name that programs look for at run time.
pub(crate) const LIBRARY: &str = "libforebay.so.0";
/// The shared library's file, which the other names are links to.
const LIBRARY_FILE: &str = concat!("libforebay.so.", env!("CARGO_PKG_VERSION"));

/// A folder with `include/forebay.h` and `lib/libforebay.so.0` in it.
pub(crate) struct Prefix {
    root: PathBuf,
}

/// What cargo says it made.
#[derive(Default)]
struct Artefacts {
    shared: Option<PathBuf>,
    archive: Option<PathBuf>,
    binary: Option<PathBuf>,
}

impl Prefix {
    /// The prefix to compile against. An installed binary uses the one it stands in (`bin/..`). A binary in its
    /// build folder lays one out in `scratch` from its source folder. Otherwise there is none.
    pub(crate) fn find(scratch: &Path) -> Result<Prefix, Failed> {
        if let Some(root) = installed() {
            return Ok(Prefix { root });
        }
        if source().is_some() {
            return Prefix::build(scratch);
        }
        let around = std::env::current_exe().unwrap_or_default();
        Err(Failed::new(
            Exit::System,
            format!(
                "no forebay library to compile against: {} does not stand in a prefix (lib/{LIBRARY} and \
                 include/forebay.h beside bin), and its source folder is gone; install the whole of it with \
                 `make install PREFIX=...`",
                around.display()
            ),
        ))
    }

    /// Builds the library in the profile this binary was built in and lays it out in `root`.
    pub(crate) fn build(root: &Path) -> Result<Prefix, Failed> {
        let source = Path::new(SOURCE);
        let mut made = cargo_build(source)?;
        let missing = |what: &str| Failed::new(Exit::System, format!("cargo did not say where {what} is"));
        for (file, what) in [
            (&made.shared, "the shared library"),
            (&made.archive, "the static library"),
            (&made.binary, "the binary"),
        ] {
            file.as_ref().ok_or_else(|| missing(what))?;
        }
        made.archive = made.archive.as_deref().map(archive::hide_names).transpose()?;
        let said = |error: io::Error| {
            Failed::new(Exit::System, format!("cannot lay out a prefix in {}: {error}", root.display()))
        };
        fs::create_dir_all(root).map_err(said)?;
        let root = fs::canonicalize(root).map_err(said)?;
        layout::lay_out(&root, &made, &crate::cli::command()).map_err(said)?;
        Ok(Prefix { root })
    }

    /// Takes away from `root` what `build` puts there, and nothing else. How many files those were.
    pub(crate) fn remove(root: &Path) -> Result<usize, Failed> {
        layout::remove(root, &crate::cli::command())
            .map_err(|error| Failed::new(Exit::System, format!("cannot clear {}: {error}", root.display())))
    }

    /// The folder itself, absolute.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where the headers are.
    pub(crate) fn include(&self) -> PathBuf {
        self.root.join("include")
    }

    /// Where the libraries are.
    pub(crate) fn lib(&self) -> PathBuf {
        self.root.join("lib")
    }
}

/// The prefix the running binary is installed in, if it is.
pub(crate) fn installed() -> Option<PathBuf> {
    let binary = fs::canonicalize(std::env::current_exe().ok()?).ok()?;
    let root = binary.parent()?.parent()?;
    let complete = root.join("lib").join(LIBRARY).is_file() && root.join("include/forebay.h").is_file();
    complete.then(|| root.to_owned())
}

/// The folder of this binary's sources, if it is still there.
pub(crate) fn source() -> Option<&'static Path> {
    let folder = Path::new(SOURCE);
    let complete = folder.join("Cargo.toml").is_file() && folder.join("include/forebay.h").is_file();
    complete.then_some(folder)
}

/// Builds library and binary and reads from cargo's messages where they are. Cargo's own words and the
/// compiler's go to stderr.
fn cargo_build(source: &Path) -> Result<Artefacts, Failed> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = source.join("Cargo.toml");
    let mut command = Command::new(&cargo);
    command.args(["build", "--lib", "--bins", "--message-format=json-render-diagnostics", "--quiet"]);
    command.arg("--manifest-path").arg(&manifest);
    // The profile of this very binary, so that nothing is built a second time.
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    // Relative paths in the environment and the configuration hold for where the user stands, as for cargo itself.
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().map_err(|error| {
        Failed::new(
            Exit::System,
            format!(
                "cannot run {}: {error}; install Rust with its cargo, see https://rustup.rs",
                cargo.display()
            ),
        )
    })?;
    if !output.status.success() {
        return Err(Failed::new(Exit::System, format!("cargo build failed with {}", output.status)));
    }
    let mut made = Artefacts::default();
    for line in output.stdout.split(|byte| *byte == b'\n') {
        let Ok(message) = serde_json::from_slice::<serde_json::Value>(line) else { continue };
        made.note(&message, &manifest);
    }
    Ok(made)
}

impl Artefacts {
    /// Takes what one of cargo's messages says about this package.
    fn note(&mut self, message: &serde_json::Value, manifest: &Path) {
        let ours = message["manifest_path"].as_str().is_some_and(|path| Path::new(path) == manifest);
        if message["reason"] != "compiler-artifact" || !ours {
            return;
        }
        if let Some(path) = message["executable"].as_str() {
            self.binary = Some(path.into());
            return;
        }
        for file in message["filenames"].as_array().into_iter().flatten().filter_map(|name| name.as_str()) {
            match Path::new(file).extension().and_then(OsStr::to_str) {
                Some("so" | "dylib") => self.shared = Some(file.into()),
                Some("a") => self.archive = Some(file.into()),
                _ => {}
            }
        }
    }
}
