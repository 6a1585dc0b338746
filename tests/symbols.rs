//! docs/SYMBOLS.md: every name the library exports and every number of the header, each with the version it first came
//! with. What stands there is shipped: it is never taken away and no number ever changes.
//! `FOREBAY_BLESS=1 cargo test --test symbols` adds what is new.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use support::header::{functions, root};
use support::{Folder, SOON, command, has_tool, run};

const HEAD: &str = "# What libforebay shows\n\n\
    Every exported function and every number of `include/forebay.h`, with the version it first came with. Made by `FOREBAY_BLESS=1 cargo test --test symbols`\n\
    from the shared library and the header, which adds what is new and refuses to drop or change what stands here. The library exports these\n\
    functions and no other name. Structures are held by `tests/abi.rs`.\n";

fn header() -> String {
    fs::read_to_string(root().join("include/forebay.h")).expect("the header")
}

fn page() -> PathBuf {
    root().join("docs/SYMBOLS.md")
}

/// The symbols that a library shows, shared or static.
fn exports(library: &Path) -> BTreeSet<String> {
    let which = if library.extension().is_some_and(|extension| extension == "a") { "-g" } else { "-D" };
    let said = run(command("nm").args([which, "--defined-only"]).arg(library), SOON).success().text();
    said.lines().filter_map(|line| line.split_whitespace().nth(2)).map(str::to_owned).collect()
}

/// The functions the header declares.
fn declared(header: &str) -> BTreeSet<String> {
    functions(header).into_iter().map(|function| function.name).collect()
}

/// What is exported and not the header's, or the header's and not exported.
fn disagreements(exported: &BTreeSet<String>, header: &str) -> BTreeSet<String> {
    let declared = declared(header);
    let foreign = exported.iter().filter(|name| !name.starts_with("forebay_"));
    exported.symmetric_difference(&declared).chain(foreign).cloned().collect()
}

/// The numbers of the header by their names, but for the version's own.
fn numbers(header: &str) -> BTreeMap<String, String> {
    let defines = header.lines().filter_map(|line| line.strip_prefix("#define ")?.split_once(' '));
    let lasting = |name: &str| !name.starts_with("FOREBAY_VERSION") && name != "FOREBAY_ABI";
    let numbers = defines.filter(|(name, _)| lasting(name));
    numbers.map(|(name, value)| (name.to_owned(), value.trim_matches(['(', ')']).to_owned())).collect()
}

/// The rows of the page: a name, its number or nothing, and its first version.
fn rows(page: &str) -> BTreeMap<(String, String), String> {
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<_> =
            row.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        match cells[..] {
            [name, since] => ((name.to_owned(), String::new()), since.to_owned()),
            [name, number, since] => ((name.to_owned(), number.to_owned()), since.to_owned()),
            _ => panic!("not a row: {row}"),
        }
    })
    .collect()
}

/// The page as it is to be: what `old` has keeps its version.
fn written(old: &str, exported: &BTreeSet<String>, header: &str) -> String {
    let old = rows(old);
    let since = |name: &str, number: &str| {
        let known = old.get(&(name.to_owned(), number.to_owned()));
        known.map_or(env!("CARGO_PKG_VERSION"), String::as_str).to_owned()
    };
    let mut page = format!("{HEAD}\n## Functions\n| function | since |\n|---|---|\n");
    for name in exported {
        page.push_str(&format!("| `{name}` | {} |\n", since(name, "")));
    }
    page.push_str("\n## Numbers\n| name | number | since |\n|---|---|---|\n");
    for (name, number) in numbers(header) {
        page.push_str(&format!("| `{name}` | {number} | {} |\n", since(&name, &number)));
    }
    page
}

/// What stood on the page and does not any more, or with another number.
fn lost(old: &str, new: &str) -> Vec<String> {
    let new = rows(new);
    rows(old)
        .into_keys()
        .filter(|row| !new.contains_key(row))
        .map(|(name, number)| name + " " + &number)
        .collect()
}

#[test]
fn the_library_exports_its_own_names_and_no_others() {
    if !has_tool("nm", "binutils") {
        return;
    }
    let exported = exports(&support::prefix!().lib().join("libforebay.so.0"));
    for shown in [&exported, &exports(&support::prefix!().lib().join("libforebay.a"))] {
        assert_eq!(disagreements(shown, &header()), BTreeSet::new());
    }
    let old = fs::read_to_string(page()).unwrap_or_default();
    let new = written(&old, &exported, &header());
    assert_eq!(lost(&old, &new), Vec::<String>::new(), "shipped names and numbers stay as they are");
    if std::env::var_os("FOREBAY_BLESS").is_some() {
        fs::write(page(), &new).expect("the page");
    } else {
        assert!(old == new, "docs/SYMBOLS.md is old; FOREBAY_BLESS=1 cargo test --test symbols");
    }
}

/// The planted violations: a name of somebody else in a library, a function that is gone, a number that changed.
#[test]
fn foreign_and_lost_names_are_seen() {
    if !has_tool("nm", "binutils") {
        return;
    }
    let folder = Folder::new();
    let source = folder.join("foreign.c");
    fs::write(&source, "int zmq_errno(void) { return 0; }\nint forebay_planted(void) { return 0; }\n")
        .expect("a file");
    let library = folder.join("foreign.so");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    run(command(compiler).args(["-shared", "-fPIC"]).arg(&source).arg("-o").arg(&library), SOON).success();
    let mut exported = declared(&header());
    exported.extend(exports(&library));
    let seen = disagreements(&exported, &header());
    assert!(seen.contains("zmq_errno") && seen.contains("forebay_planted"), "{seen:?}");

    let old = fs::read_to_string(page()).expect("the page");
    let mut fewer = declared(&header());
    assert!(fewer.remove("forebay_abi"));
    assert_eq!(disagreements(&fewer, &header()), BTreeSet::from(["forebay_abi".to_owned()]));
    assert_eq!(lost(&old, &written(&old, &fewer, &header())), ["forebay_abi "]);
    let changed = header().replace("#define FOREBAY_ERR_BUSY (-8)", "#define FOREBAY_ERR_BUSY (-80)");
    assert_eq!(lost(&old, &written(&old, &declared(&header()), &changed)), ["FOREBAY_ERR_BUSY -8"]);
}
