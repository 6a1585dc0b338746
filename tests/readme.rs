//! The README and the tutorial say what is so: their programs are the examples or build, their links lead somewhere, and
//! their commands run.

use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Finished, Folder, Process, SOON, binary, command, eventually, prefix, run};

const README: &str = include_str!("../README.md");
const TUTORIAL: &str = include_str!("../docs/FIRST-WORKER.md");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The fenced blocks of one language.
fn blocks(page: &'static str, language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    page.split(fence.as_str()).skip(1).map(|rest| rest.split("```").next().expect("its end")).collect()
}

#[test]
fn the_programs_are_the_examples() {
    let read = |name| std::fs::read_to_string(root().join("examples-c").join(name)).expect("an example");
    assert_eq!(blocks(README, "c"), [read("hello_worker.c"), read("hello_client.c")]);
}

#[test]
fn the_links_lead_somewhere() {
    let pages =
        std::fs::read_dir(root().join("docs")).expect("the folder").map(|page| page.expect("a page").path());
    let pages = pages.filter(|page| page.extension().is_some_and(|extension| extension == "md"));
    for page in pages.chain([root().join("README.md"), root().join("bindings/python/README.md")]) {
        let text = std::fs::read_to_string(&page).expect("a page");
        let targets = text.split("](").skip(1).map(|rest| rest.split([')', '#']).next().expect("its end"));
        let folder = page.parent().expect("its folder");
        let missing: Vec<_> = targets
            .filter(|target| !target.is_empty() && !target.contains("://") && !folder.join(target).exists())
            .collect();
        assert!(missing.is_empty(), "{} links to {missing:?}", page.display());
    }
}

/// Copies what the commands work on, so that nothing is built in the source folder.
fn copy_of_the_sources(to: &Path) {
    for folder in ["examples-c", "examples-cpp"] {
        std::fs::create_dir(to.join(folder)).expect("a folder");
        let entries = std::fs::read_dir(root().join(folder)).expect("a folder");
        for entry in entries.map(|entry| entry.expect("an entry")).filter(|entry| entry.path().is_file()) {
            std::fs::copy(entry.path(), to.join(folder).join(entry.file_name())).expect("a copy");
        }
    }
    std::fs::copy(root().join("Makefile"), to.join("Makefile")).expect("a copy");
}

/// A `cargo` that runs the binary of this test run instead of building one in the copy.
fn cargo_stand_in(to: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let folder = to.join("stand-in");
    std::fs::create_dir(&folder).expect("a folder");
    let cargo = std::env::var("CARGO").expect("cargo test names it");
    let script = format!(
        "#!/bin/sh\n[ \"$1\" != build ] || exec '{cargo}' \"$@\"\n[ \"$1\" = run ] || exit 0\n\
         while [ \"$1\" != -- ]; do shift; done\nshift\nexec '{}' \"$@\"\n",
        binary!().display()
    );
    let file = folder.join("cargo");
    std::fs::write(&file, script).expect("a file");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    folder
}

/// Every command of the README in one shell, in order. What stands behind `#` has to appear in what they print.
#[test]
fn the_commands_run() {
    // Builds what `make install` asks for; the commands then find it done.
    prefix!();
    let folder = Folder::new();
    let sources = folder.join("forebay");
    std::fs::create_dir(&sources).expect("a folder");
    std::fs::create_dir(folder.join("run")).expect("a folder");
    copy_of_the_sources(&sources);
    let path = std::env::join_paths(
        std::iter::once(cargo_stand_in(folder.path()))
            .chain(std::env::split_paths(&std::env::var_os("PATH").expect("a PATH"))),
    );
    let script: String =
        blocks(README, "sh").into_iter().filter(|block| !block.contains("PREFIX/include")).collect();
    // The broker listens at its default address, which the folder makes private to this test.
    let mut shell = command("bash");
    shell.args(["-eu", "-c", &format!("{script}\nkill %1 %2 %3 %4; wait")]).current_dir(&sources);
    shell
        .env("PATH", path.expect("a PATH"))
        .env("XDG_RUNTIME_DIR", folder.join("run"))
        .env_remove("XDG_STATE_HOME");
    shell.env("TMPDIR", folder.path()).env_remove("MAKEFLAGS").env_remove("CARGO");
    // HOME as the README's reader has it, for the installation; cargo's own settings stay where they are.
    shell.env("HOME", folder.path()).env("CARGO_HOME", cargo_home()).env("RUSTUP_HOME", rustup_home());
    let finished = run(&mut shell, SOON * 10).success();
    assert!(says(&finished, &script) >= 5);
    assert!(finished.text().contains("digests right"), "{}", finished.text());
}

/// What stands behind `#` in the script was printed; gives how often something stands there.
fn says(finished: &Finished, script: &str) -> usize {
    let said = finished.text() + &finished.error_text();
    let expected = script.lines().filter_map(|line| line.split_once("# ")).map(|(_, text)| text.trim());
    expected.inspect(|text| assert!(said.contains(text), "no {text:?} in\n{said}")).count()
}

/// The tutorial's pieces, one after the other, are a program; its commands build it, test it and run it.
#[test]
fn the_tutorial_works() {
    let folder = Folder::new();
    std::fs::create_dir(folder.join("run")).expect("a folder");
    std::fs::write(folder.join("primes.c"), blocks(TUTORIAL, "c").join("\n")).expect("a file");
    let script = blocks(TUTORIAL, "sh").concat();
    let binaries = binary!().parent().expect("its folder").to_owned();
    let path = std::env::split_paths(&std::env::var_os("PATH").expect("a PATH")).collect::<Vec<_>>();
    let mut shell = command("bash");
    shell.args(["-eu", "-c", &format!("{script}\nkill %1 %3; wait")]).current_dir(folder.path());
    shell
        .env("PATH", std::env::join_paths(std::iter::once(binaries).chain(path)).expect("a PATH"))
        .env("PREFIX", prefix!().root())
        .env("XDG_RUNTIME_DIR", folder.join("run"))
        .env("XDG_STATE_HOME", folder.join("state"));
    let finished = run(&mut shell, SOON * 3).success();
    assert_eq!(says(&finished, &script), 5);
}

/// The one command that names places of the reader's choice.
#[test]
fn the_compiler_line_builds_a_worker() {
    let line =
        blocks(README, "sh").into_iter().find(|block| block.contains("PREFIX/include")).expect("the line");
    let folder = Folder::new();
    std::fs::copy(root().join("examples-c/hello_worker.c"), folder.join("hello_worker.c")).expect("a copy");
    let line = line.replace("PREFIX", &prefix!().root().display().to_string().replace(' ', "\\ "));
    run(Command::new("sh").args(["-euc", &line]).current_dir(folder.path()), SOON * 2).success();
    let mut worker = command(folder.join("hello_worker"));
    worker.env("FOREBAY_BROKER", folder.ipc("nobody"));
    let worker = Process::start(&mut worker);
    // It starts without a broker, waits for one, and ends when asked.
    eventually("it takes SIGTERM", SOON, || takes_sigterm(worker.pid()).then_some(()));
    worker.stop(SOON).success();
}

/// Whether the process has a handler for SIGTERM, as Linux tells.
fn takes_sigterm(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0");
    u64::from_str_radix(caught.trim(), 16).is_ok_and(|signals| signals & 1 << (libc::SIGTERM - 1) != 0)
}

fn home(variable: &str, name: &str) -> PathBuf {
    match std::env::var_os(variable) {
        Some(path) => path.into(),
        None => Path::new(&std::env::var_os("HOME").unwrap_or_default()).join(name),
    }
}

fn cargo_home() -> PathBuf {
    home("CARGO_HOME", ".cargo")
}

fn rustup_home() -> PathBuf {
    home("RUSTUP_HOME", ".rustup")
}
