//! Dependencies go downward only, and the pure layers stay pure: docs/ARCHITECTURE.md, "Layers". Reads the sources.

use std::fs;
use std::path::{Path, PathBuf};

/// Each layer, and the layers it may name.
const LAYERS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("wire", &["model"]),
    ("core", &["model", "wire"]),
    ("link", &["model", "wire", "core"]),
    ("store", &["model", "core"]),
    ("net", &[]),
    ("run", &["model", "wire", "core", "link", "store", "net"]),
    ("api", &["model", "wire", "core", "link", "store", "net", "run"]),
    ("ffi", &["api", "model"]),
    ("slot", &["ffi"]),
    ("cli", &["api", "slot"]),
];

/// Layers without a clock, thread, socket, file, randomness or order that depends on hashes.
const PURE: &[&str] = &["model", "wire", "core", "link"];

/// What no pure layer may name.
const IMPURE: &[&str] = &[
    "std::time",
    "std::thread",
    "std::net",
    "std::fs",
    "std::io",
    "std::env",
    "std::process",
    "std::sync::Mutex",
    "std::sync::RwLock",
    "std::sync::Condvar",
    "std::sync::mpsc",
    "std::sync::atomic",
    "std::cell::UnsafeCell",
    "SystemTime",
    "Instant",
    "thread_local!",
    "HashMap",
    "HashSet",
    "RandomState",
    "getrandom",
    "rand::",
    "libc::",
    "zmq::",
    "zmq_sys::",
    "once_cell::",
    "println!",
    "eprintln!",
];

/// Where a pure layer may name something impure after all, and why that does no harm.
const EXCEPTIONS: &[(&str, &str)] = &[
    // Wraps the map so that it cannot be iterated, and its random keys so that nothing depends on them.
    ("src/model/index.rs", "HashMap"),
    ("src/model/index.rs", "RandomState"),
    // `rmp` writes into whatever is a writer; this one is a buffer.
    ("src/wire/codec/writer.rs", "std::io"),
];

/// What is wrong with one file, as `path:line: sentence`.
fn faults(path: &str, text: &str) -> Vec<String> {
    let layer = path.trim_start_matches("src/").split(['/', '.']).next().unwrap_or_default();
    let Some((_, below)) = LAYERS.iter().find(|(name, _)| *name == layer) else { return Vec::new() };
    let pure = PURE.contains(&layer);
    let mut faults = Vec::new();
    for (number, code) in statements(text) {
        let code = code.as_str();
        let at = format!("{path}:{number}");
        for named in crate_paths(code) {
            let is_layer = LAYERS.iter().any(|(name, _)| *name == named);
            if is_layer && named != layer && !below.contains(&named) {
                faults.push(format!("{at}: {layer} names {named}, which is not below it"));
            }
        }
        if pure {
            for word in IMPURE {
                let excepted = EXCEPTIONS.contains(&(path, word));
                if names(code, word) && !excepted {
                    faults.push(format!("{at}: {layer} is pure and names {word}"));
                }
            }
            if is_word_at(code, "unsafe") && !code.contains("forbid(unsafe_code)") {
                faults.push(format!("{at}: {layer} is pure and has unsafe code"));
            }
        }
    }
    faults
}

/// The lines without their comments, with their numbers; a `use` that goes over several lines is one.
fn statements(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        match found.last_mut().filter(|_| open) {
            Some((_, before)) => before.push_str(code),
            None => found.push((number + 1, code.to_owned())),
        }
        let begins = code.trim_start().split(' ').any(|word| word == "use");
        open = (open || begins) && !code.contains(';');
    }
    found
}

/// The first segments of every `crate::` path of a line, those in braces too. The binary says `forebay::` for it.
fn crate_paths(code: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let paths = ["crate::", "forebay::"].map(|root| code.match_indices(root));
    for (at, root) in paths.into_iter().flatten() {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[at + root.len()..];
        match rest.strip_prefix('{') {
            Some(list) => {
                found.extend(list.split(['{', '}', ',']).filter_map(|part| first_word(part.trim())))
            }
            None => found.extend(first_word(rest)),
        }
    }
    found
}

fn first_word(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    Some(&text[..end]).filter(|word| !word.is_empty())
}

/// Whether a line names `word`, alone or as the last part of a use list such as `std::{fs, io}`.
fn names(code: &str, word: &str) -> bool {
    if is_word_at(code, word) {
        return true;
    }
    let Some((parent, last)) = word.rsplit_once("::").filter(|(_, last)| !last.is_empty()) else {
        return false;
    };
    let list = format!("{parent}::{{");
    code.split_once(&list).is_some_and(|(_, rest)| is_word_at(rest, last))
}

/// Whether `word` stands in `code` and is not part of a longer name.
fn is_word_at(code: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        let open = word.ends_with(part_of_name);
        !(before.is_some_and(part_of_name) || open && after.is_some_and(part_of_name))
    })
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn dependencies_go_downward_and_pure_layers_are_pure() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    sources(&root.join("src"), &mut paths);
    let mut seen = 0;
    let mut all = Vec::new();
    for path in paths {
        let name = path.strip_prefix(root).expect("within the package").to_string_lossy().replace('\\', "/");
        if name.starts_with("src/net/zmq-sys/") {
            continue;
        }
        seen += 1;
        all.extend(faults(&name, &fs::read_to_string(&path).expect("a source file")));
    }
    assert!(seen > 20, "only {seen} files were read");
    assert!(all.is_empty(), "\n{}", all.join("\n"));
}

#[test]
fn pure_layers_forbid_unsafe_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for layer in PURE {
        let text = fs::read_to_string(root.join("src").join(layer).join("mod.rs")).expect("a layer's mod.rs");
        assert!(text.contains("#![forbid(unsafe_code)]"), "src/{layer}/mod.rs");
    }
}

#[test]
fn planted_faults_are_caught() {
    let bad: &[(&str, &str)] = &[
        ("src/model/job.rs", "use crate::wire::Header;"),
        ("src/wire/mod.rs", "    crate::core::jobs::SessionId(1)"),
        ("src/core/x.rs", "pub(crate) use crate::{link::Hub, model::Now};"),
        ("src/core/x.rs", "use crate::{model::Now, net};"),
        ("src/link/hub.rs", "use crate::run::Driver;"),
        ("src/store/mod.rs", "use crate::link::Hub;"),
        ("src/net/mod.rs", "use crate::model::Now;"),
        ("src/ffi/x.rs", "use crate::core::client::ClientCore;"),
        ("src/cli/x.rs", "use crate::run::x;"),
        ("src/cli/x.rs", "    forebay::core::broker::x();"),
        ("src/core/x.rs", "pub(crate) use crate::{\n    model::Now,\n    run::Driver,\n};"),
        ("src/core/x.rs", "let t = std::time::Instant::now();"),
        ("src/core/x.rs", "use std::collections::{BTreeMap, HashMap};"),
        ("src/core/x.rs", "use std::collections::HashSet;"),
        ("src/link/x.rs", "use std::{fmt, thread};"),
        ("src/link/x.rs", "use std::sync::{Arc, Mutex};"),
        ("src/wire/x.rs", "unsafe { *p }"),
        ("src/model/x.rs", "use libc::c_int;"),
    ];
    for (path, line) in bad {
        assert!(!faults(path, line).is_empty(), "{path}: {line}");
    }
    let good: &[(&str, &str)] = &[
        ("src/link/hub.rs", "use crate::core::jobs::SessionId; // as crate::run does"),
        ("src/core/x.rs", "/// Unlike a HashMap, this has an order; std::time is not asked."),
        ("src/core/x.rs", "use std::sync::Arc; struct Instantly; operand::x();"),
        ("src/core/x.rs", "my_crate::net::x();"),
        ("src/net/x.rs", "use std::{thread, time::Instant};"),
        ("src/model/index.rs", "use std::collections::HashMap;"),
        ("src/lib.rs", "pub mod net;"),
    ];
    for (path, line) in good {
        assert_eq!(faults(path, line), Vec::<String>::new());
    }
}
