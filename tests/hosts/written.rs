//! `forebay new-plugin` writes what builds, and `forebay plugin test` runs it without a broker.

use support::{Finished, Folder, Process, SOON, command, run};

use crate::rig::forebay;

/// Gives a plugin a payload.
#[track_caller]
fn test(arguments: &[&str], payload: &[u8]) -> Finished {
    let mut process = Process::start(forebay(&["plugin", "test"]).args(arguments));
    process.write(payload);
    process.close_stdin();
    process.wait(SOON)
}

#[test]
fn what_is_written_builds_and_works_in_c() {
    builds_and_works(&[]);
}

#[test]
fn what_is_written_builds_and_works_in_cpp() {
    builds_and_works(&["--cpp"]);
}

#[track_caller]
fn builds_and_works(flags: &[&str]) {
    let folder = Folder::new();
    let written = folder.join("greet_2");
    run(forebay(&["new-plugin"]).args(flags).arg(&written), SOON).success();
    let mut make = command("make");
    make.env_remove("MAKEFLAGS").env("CFLAGS", "-O1 -Werror").env("CXXFLAGS", "-O1 -Werror");
    run(make.arg("-C").arg(&written), SOON * 2).success();
    let object = written.join("libgreet_2.so").display().to_string();
    assert_eq!(test(&[&object], b"World").success().text(), "Hello, World!");
    assert_eq!(test(&[&object, "--param", "greeting=Hi"], b"Ada").success().text(), "Hi, Ada!");
    let long = format!("greeting={}", "x".repeat(64));
    let said = test(&[&object, "--param", &long], b"Ada").code(6).error_text();
    assert!(said.contains("greeting has more than 63 bytes"), "{said}");
    // What is there is not written over.
    let again = run(forebay(&["new-plugin"]).args(flags).arg(&written), SOON).code(6).error_text();
    assert!(again.contains("greet_2"), "{again}");
}

#[test]
fn what_a_handler_says_of_a_failure_is_shown() {
    let plugins = crate::rig::examples(&["libsquare.so"]);
    let square = plugins.join("libsquare.so").display().to_string();
    let said = test(&[&square], b"twelve").code(1);
    assert_eq!(said.text(), "");
    assert!(
        said.error_text().contains("FAILED not_a_number: the payload has to be"),
        "{}",
        said.error_text()
    );
    assert_eq!(test(&[&square, "--queue", "anything"], b"12").success().text(), "144");
}

#[test]
fn names_that_are_no_files_are_refused() {
    let folder = Folder::new();
    for name in ["a b", "..", "-x", "\u{e9}"] {
        let said = run(forebay(&["new-plugin", "--", name]).current_dir(folder.path()), SOON).code(2);
        assert!(said.error_text().contains("letters, digits"), "{name}: {}", said.error_text());
    }
}
