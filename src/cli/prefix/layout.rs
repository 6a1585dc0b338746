//! What a prefix holds, and where: one list, which is laid out and removed.
//!
//! Invariant: each file appears whole under its name. It is written beside it and renamed, so a program that runs from
//! a prefix does not notice that it is made anew; what is the same already is left alone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Command;

use super::{Artefacts, LIBRARY, LIBRARY_FILE, SOURCE, pages};

/// What else a program must name when it links `libforebay.a`: what rustc, libzmq and libsodium need of the system.
const STATIC_LIBS: &str = "-lstdc++ -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc";

/// The folders that are forebay's own, and go with it.
const OWN_FOLDERS: [&str; 2] = ["lib/cmake/forebay", "share/doc/forebay"];

/// One file of a prefix, by its path in it.
struct Item {
    path: String,
    what: What,
}

/// What a file is made of.
enum What {
    Copy(PathBuf),
    Text(Vec<u8>),
    Link(&'static str),
}

/// Everything a prefix holds.
fn items(made: &Artefacts, command: &Command) -> io::Result<Vec<Item>> {
    let source = Path::new(SOURCE);
    let built = |path: &Option<PathBuf>| What::Copy(path.clone().unwrap_or_default());
    let mut items = vec![
        ("bin/forebay".to_owned(), built(&made.binary)),
        ("lib/libforebay.a".to_owned(), built(&made.archive)),
        (format!("lib/{LIBRARY_FILE}"), built(&made.shared)),
        (format!("lib/{LIBRARY}"), What::Link(LIBRARY_FILE)),
        ("lib/libforebay.so".to_owned(), What::Link(LIBRARY)),
    ];
    for header in ["forebay.h", "forebay.hpp"] {
        items.push((format!("include/{header}"), What::Copy(source.join("include").join(header))));
    }
    for text in ["LICENSE-MIT", "LICENSE-APACHE", "THIRD-PARTY.md", "CHANGELOG.md"] {
        items.push((format!("share/doc/forebay/{text}"), What::Copy(source.join(text))));
    }
    for (path, template) in [
        ("lib/pkgconfig/forebay.pc", include_str!("../../../bindings/c/forebay.pc.in")),
        ("lib/cmake/forebay/forebayConfig.cmake", include_str!("../../../bindings/c/forebayConfig.cmake.in")),
        (
            "lib/cmake/forebay/forebayConfigVersion.cmake",
            include_str!("../../../bindings/c/forebayConfigVersion.cmake.in"),
        ),
    ] {
        items.push((path.to_owned(), What::Text(fill(template).into_bytes())));
    }
    for (path, file) in [
        ("lib/systemd/system/forebay.service", "forebay.service"),
        ("lib/systemd/user/forebay.service", "forebay-user.service"),
        ("share/doc/forebay/circus.ini", "circus.ini"),
    ] {
        items.push((path.to_owned(), What::Copy(source.join("bindings/service").join(file))));
    }
    let pages = pages::manual(command)?.into_iter().chain(pages::completions(command));
    items.extend(pages.map(|(path, text)| (path, What::Text(text))));
    Ok(items.into_iter().map(|(path, what)| Item { path, what }).collect())
}

/// Lays everything out in `root`.
pub(super) fn lay_out(root: &Path, made: &Artefacts, command: &Command) -> io::Result<()> {
    for Item { path, what } in items(made, command)? {
        let to = root.join(path);
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        match what {
            What::Copy(from) => place(&from, &to)?,
            What::Text(text) => write(&text, &to)?,
            What::Link(target) => link(target, &to)?,
        }
    }
    Ok(())
}

/// Removes from `root` what `lay_out` puts there, and nothing else. How many files those were.
pub(super) fn remove(root: &Path, command: &Command) -> io::Result<usize> {
    let mut removed = 0;
    for Item { path, .. } in items(&Artefacts::default(), command)? {
        match fs::remove_file(root.join(path)) {
            Ok(()) => removed += 1,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    for folder in OWN_FOLDERS {
        // One that somebody else has put a file into stays.
        let _ = fs::remove_dir(root.join(folder));
    }
    Ok(removed)
}

/// A template with its values.
fn fill(template: &str) -> String {
    template
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
        .replace("@MAJOR@", env!("CARGO_PKG_VERSION_MAJOR"))
        .replace("@MINOR@", env!("CARGO_PKG_VERSION_MINOR"))
        .replace("@STATIC_LIBS@", STATIC_LIBS)
}

/// Copies a file so that `to` is at every moment either what it was or the whole copy.
fn place(from: &Path, to: &Path) -> io::Result<()> {
    if same(from, to)? {
        return Ok(());
    }
    let beside = beside(to);
    fs::copy(from, &beside)?;
    fs::rename(&beside, to)
}

/// The same for what is in memory.
fn write(text: &[u8], to: &Path) -> io::Result<()> {
    if fs::read(to).is_ok_and(|there| there == text) {
        return Ok(());
    }
    let beside = beside(to);
    fs::write(&beside, text)?;
    fs::rename(&beside, to)
}

/// Makes `at` a link to `target`, replacing what was there.
fn link(target: &str, at: &Path) -> io::Result<()> {
    if fs::read_link(at).is_ok_and(|old| old == Path::new(target)) {
        return Ok(());
    }
    let beside = beside(at);
    std::os::unix::fs::symlink(target, &beside)?;
    fs::rename(&beside, at)
}

/// A name beside `path` that no other process takes.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}", std::process::id()))
}

/// Whether `to` is a file with the bytes of `from`.
fn same(from: &Path, to: &Path) -> io::Result<bool> {
    let Ok(there) = fs::metadata(to) else { return Ok(false) };
    if there.len() != fs::metadata(from)?.len() {
        return Ok(false);
    }
    Ok(fs::read(from)? == fs::read(to)?)
}
