//! The prefix: what C programs are built against, laid out by one routine.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use support::{Folder, SOON, binary, command, prefix, run};

/// Name and time of every file below a folder; links by their target.
fn listing(folder: &Path) -> BTreeMap<String, (String, SystemTime)> {
    let mut found = BTreeMap::new();
    for sub in ["bin", "include", "lib"] {
        for entry in fs::read_dir(folder.join(sub)).expect("a folder") {
            let entry = entry.expect("an entry");
            let target = fs::read_link(entry.path()).unwrap_or_default().to_string_lossy().into_owned();
            let time = entry.metadata().expect("its metadata").modified().expect("its time");
            found.insert(format!("{sub}/{}", entry.file_name().to_string_lossy()), (target, time));
        }
    }
    found
}

#[test]
fn it_has_the_names_that_programs_look_for() {
    let found = listing(prefix!().root());
    let file = concat!("libforebay.so.", env!("CARGO_PKG_VERSION"));
    let target = |name: &str| found.get(name).unwrap_or_else(|| panic!("no {name} in {found:?}")).0.clone();
    assert_eq!(target("lib/libforebay.so"), "libforebay.so.0");
    assert_eq!(target("lib/libforebay.so.0"), file);
    for name in [
        &format!("lib/{file}"),
        "lib/libforebay.a",
        "include/forebay.h",
        "include/forebay.hpp",
        "bin/forebay",
    ] {
        assert_eq!(target(name), "", "{name} is a file");
    }
}

/// The artefacts are those of this test run: the folder and the profile came from cargo, not from a guess.
#[test]
fn it_is_made_of_what_this_run_built() {
    let same = |one: &Path, two: &Path| fs::read(one).expect("a file") == fs::read(two).expect("a file");
    assert!(same(&prefix!().root().join("bin/forebay"), binary!()));
}

#[test]
fn made_again_it_changes_nothing_and_says_where_it_is() {
    let prefix = prefix!();
    let before = listing(prefix.root());
    let said = run(command(binary!()).arg("prefix").arg(prefix.root()), SOON * 10).success().text();
    assert_eq!(Path::new(said.trim_end()), prefix.root());
    assert_eq!(listing(prefix.root()), before);
}

/// Linked with -L and rpath alone a program finds its library, although the path has a space and a comma.
#[test]
fn programs_find_their_library_wherever_it_is() {
    let folder = Folder::new();
    let root = folder.join("a prefix, moved");
    run(command(binary!()).arg("prefix").arg(&root), SOON * 10).success();
    let source = folder.join("version.c");
    let text =
        "#include <forebay.h>\n#include <stdio.h>\nint main(void) { return puts(forebay_version()) < 0; }\n";
    fs::write(&source, text).expect("a file");
    let program = folder.join("version");
    let mut compile = command("cc");
    compile
        .arg("-I")
        .arg(root.join("include"))
        .arg(&source)
        .arg("-o")
        .arg(&program)
        .arg("-L")
        .arg(root.join("lib"));
    run(compile.args(["-lforebay", "-Xlinker", "-rpath", "-Xlinker"]).arg(root.join("lib")), SOON).success();
    let said = run(&mut command(&program), SOON).success().text();
    assert_eq!(said.trim_end(), env!("CARGO_PKG_VERSION"));
}
