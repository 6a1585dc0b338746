//! What `make install` lays out: exactly what docs/INSTALL.md says, found by pkg-config and CMake wherever it stands, and
//! taken away again without anything else.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use support::{Folder, SOON, binary, command, has_tool, prefix, run};

const INSTALL: &str = include_str!("../docs/INSTALL.md");

const PROGRAM: &str =
    "#include <forebay.h>\n#include <stdio.h>\nint main(void) { return puts(forebay_version()) < 0; }\n";

/// Every file below a folder, links included, by its path in it.
fn files(root: &Path) -> BTreeSet<String> {
    let (mut found, mut left) = (BTreeSet::new(), vec![root.to_owned()]);
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.is_symlink() {
                left.push(path);
            } else {
                found.insert(path.strip_prefix(root).expect("below it").display().to_string());
            }
        }
    }
    found
}

/// A prefix in a folder of its own, whose name has a space.
fn installed(folder: &Folder) -> PathBuf {
    let root = folder.join("a prefix");
    run(command(binary!()).arg("prefix").arg(&root), SOON * 10).success();
    root
}

/// The names of commands as `--help` lists them, those below `store` and the like included.
fn pages(found: &BTreeSet<String>) -> BTreeSet<&str> {
    found.iter().filter_map(|path| path.strip_prefix("share/man/man1/")).collect()
}

#[test]
fn it_is_what_the_page_says() {
    let found = files(prefix!().root());
    let table = INSTALL.lines().filter(|line| line.starts_with("| `"));
    let said: BTreeSet<&str> = table
        .flat_map(|line| line.split('|').nth(1).expect("a cell").split('`').skip(1).step_by(2))
        .collect();
    let is_page = |path: &str| path.starts_with("share/man/man1/forebay-");
    let listed = |path: &&str| !path.contains("COMMAND");
    let found_but_pages: BTreeSet<&str> =
        found.iter().map(String::as_str).filter(|path| !is_page(path)).collect();
    assert_eq!(found_but_pages, said.into_iter().filter(listed).collect());
    let help = run(command(binary!()).arg("--help"), SOON).success().text();
    for page in ["broker", "submit", "store-check"] {
        assert!(pages(&found).contains(format!("forebay-{page}.1").as_str()), "no page of {page}");
        assert!(help.contains(page.split('-').next().expect("a name")), "{help}");
    }
    let hidden = ["bare-proxy", "bare-echo", "prefix"];
    for path in found.iter().filter(|path| path.starts_with("share/") && !path.contains("/doc/")) {
        let text = fs::read_to_string(prefix!().root().join(path)).expect("a text");
        let shows = hidden.iter().find(|name| text.contains(*name) || path.contains(*name));
        assert_eq!(shows, None, "{path} shows what the help does not");
    }
}

#[test]
fn what_was_installed_is_removed_and_nothing_else() {
    let folder = Folder::new();
    let root = installed(&folder);
    for path in ["bin/mine", "lib/cmake/forebay/mine"] {
        fs::write(root.join(path), "mine").expect("a file");
    }
    run(command(binary!()).args(["prefix", "--remove"]).arg(&root), SOON).success();
    assert_eq!(files(&root), BTreeSet::from(["bin/mine".to_owned(), "lib/cmake/forebay/mine".to_owned()]));
    assert!(!root.join("share/doc/forebay").exists());
}

#[test]
fn pkg_config_finds_it_shared_and_static() {
    if !has_tool("pkg-config", "pkg-config") {
        return;
    }
    let folder = Folder::new();
    let root = installed(&folder);
    let source = folder.join("version.c");
    fs::write(&source, PROGRAM).expect("a file");
    let asked = |arguments: &[&str]| -> Vec<String> {
        let mut tool = command("pkg-config");
        tool.args(arguments).arg("forebay").env("PKG_CONFIG_PATH", root.join("lib/pkgconfig"));
        let said = run(&mut tool, SOON).success().text();
        // Spaces within a flag are escaped.
        let said = said.trim().replace("\\ ", "\u{0}");
        said.split_whitespace().map(|flag| flag.replace('\u{0}', " ")).collect()
    };
    assert_eq!(asked(&["--modversion"]), [env!("CARGO_PKG_VERSION")]);
    let program = folder.join("shared");
    let mut cc = command("cc");
    cc.arg(&source).arg("-o").arg(&program).args(asked(&["--cflags", "--libs"]));
    run(cc.args(["-Xlinker", "-rpath", "-Xlinker"]).arg(root.join("lib")), SOON).success();
    assert_eq!(run(&mut command(&program), SOON).success().text().trim(), env!("CARGO_PKG_VERSION"));

    let program = folder.join("static");
    let mut cc = command("cc");
    cc.arg(&source).arg("-o").arg(&program).arg(root.join("lib/libforebay.a"));
    cc.args(asked(&["--cflags"])).args(asked(&["--variable=static_libs"]));
    run(&mut cc, SOON).success();
    fs::remove_dir_all(root.join("lib")).expect("removed");
    assert_eq!(run(&mut command(&program), SOON).success().text().trim(), env!("CARGO_PKG_VERSION"));
}

/// A program with a libzmq of its own, shared or static, and libforebay.a, which carries another: each uses its own.
#[test]
fn the_static_library_links_beside_an_applications_own_libzmq() {
    if !has_tool("pkg-config", "pkg-config") {
        return;
    }
    let packages = |arguments: &[&str]| {
        let mut tool = command("pkg-config");
        tool.args(arguments).env("PKG_CONFIG_PATH", prefix!().lib().join("pkgconfig"));
        run(&mut tool, SOON)
    };
    if !packages(&["--exists", "libzmq"]).status.success() {
        return support::skip("no libzmq to link beside; install it (Debian: libzmq3-dev)");
    }
    let flags = |arguments: &[&str]| -> Vec<String> {
        packages(arguments).success().text().split_whitespace().map(str::to_owned).collect()
    };
    let folder = Folder::new();
    let libzmq_shared = flags(&["--libs", "libzmq"]);
    let mut libzmq_static = flags(&["--static", "--libs", "libzmq"]);
    // Debian's file names an archive of its own build in passing.
    libzmq_static.retain(|flag| flag.starts_with('-'));
    libzmq_static
        .iter_mut()
        .filter(|flag| *flag == "-lzmq")
        .for_each(|flag| *flag = "-l:libzmq.a".to_owned());
    for libzmq in [libzmq_shared, libzmq_static] {
        let program = folder.join("program");
        let mut cc = command("cc");
        cc.args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-I"]).arg(prefix!().include());
        cc.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c/beside_libzmq.c")).arg("-o").arg(&program);
        cc.arg(prefix!().lib().join("libforebay.a")).args(&libzmq);
        run(cc.args(flags(&["--variable=static_libs", "forebay"])), SOON * 2).success();
        let said = run(&mut command(&program), SOON).success().text();
        let (libzmq, forebay) = said.trim().split_once(" beside ").expect("both versions");
        assert!(libzmq.starts_with("libzmq 4."), "{said}");
        assert_eq!(forebay, concat!("forebay ", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn cmake_finds_it_and_refuses_a_version_that_does_not_fit() {
    if !has_tool("cmake", "cmake") {
        return;
    }
    let folder = Folder::new();
    let root = installed(&folder);
    fs::write(folder.join("version.c"), PROGRAM).expect("a file");
    let configure = |wanted: &str| {
        let text = format!(
            "cmake_minimum_required(VERSION 3.13)\nproject(version C CXX)\nfind_package(forebay {wanted} REQUIRED)\n\
             add_executable(shared version.c)\ntarget_link_libraries(shared PRIVATE forebay::forebay)\n\
             add_executable(static version.c)\ntarget_link_libraries(static PRIVATE forebay::static)\n"
        );
        fs::write(folder.join("CMakeLists.txt"), text).expect("a file");
        let build = folder.join(wanted);
        let mut cmake = command("cmake");
        cmake.arg("-S").arg(folder.path()).arg("-B").arg(&build);
        (build, run(cmake.arg(format!("-DCMAKE_PREFIX_PATH={}", root.display())), SOON * 2))
    };
    let (build, configured) = configure("0.1");
    configured.success();
    run(command("cmake").arg("--build").arg(&build), SOON * 4).success();
    for program in ["shared", "static"] {
        let said = run(&mut command(build.join(program)), SOON).success().text();
        assert_eq!(said.trim(), env!("CARGO_PKG_VERSION"));
    }
    for wanted in ["0.2", "1.0", "0.1.99"] {
        assert!(!configure(wanted).1.status.success(), "{wanted} does not fit");
    }
}
