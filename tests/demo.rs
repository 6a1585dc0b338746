//! `forebay demo`: the whole way of a job, on real files, with nothing left behind.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use support::{Finished, Folder, Process, SOON, binary, command, prefix, run};

/// Compiling and building included.
const LONG: Duration = Duration::from_secs(300);

/// A demo whose every temporary file goes to `scratch`, with nothing of the user's around it.
fn demo(binary: &Path, scratch: &Folder) -> Command {
    let mut demo = command(binary);
    demo.arg("demo").env("TMPDIR", scratch.path()).env_remove("XDG_RUNTIME_DIR").env_remove("HOME");
    // cargo and rustc are found through HOME otherwise.
    if let (Some(home), Ok(cargo)) = (std::env::var_os("HOME"), std::env::var("CARGO_HOME")) {
        demo.env("CARGO_HOME", cargo).env("RUSTUP_HOME", Path::new(&home).join(".rustup"));
    }
    demo
}

/// What lies in a folder, hidden names too.
fn leftovers(folder: &Folder) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path()).expect("the folder");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

fn all_right(finished: &Finished, files: usize) {
    let text = finished.text();
    assert!(text.contains(&format!("{files} of {files} digests right")), "{text}{}", finished.error_text());
    for part in ["WORKER", "JOBS/S", "slowest: ", "worker-1"] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    // A progress bar is for a terminal.
    assert!(!finished.error_text().contains('\x1b'), "{}", finished.error_text());
}

/// Files of all kinds, in a folder whose name has a space.
fn samples(folder: &Folder) -> (std::path::PathBuf, usize) {
    let root = folder.join("some files");
    std::fs::create_dir_all(root.join("below")).expect("a folder");
    let mut count = 0;
    for len in [0, 1, 33, 34, 55, 56, 63, 64, 65, 119, 120, 1_000, 100_000, 3 << 20] {
        let bytes: Vec<u8> = (0..len).map(|i: u64| (i * i % 253) as u8).collect();
        std::fs::write(root.join(format!("{len} bytes")), bytes).expect("a file");
        count += 1;
    }
    std::fs::write(root.join("below/words.txt"), "one two\nthree\n").expect("a file");
    std::fs::write(root.join(".hidden"), "not sent").expect("a file");
    (root, count + 1)
}

/// From its build folder the demo lays out its own prefix; from an installed prefix it uses that.
#[test]
fn built_and_installed_it_digests_every_file_and_leaves_nothing() {
    let folder = Folder::new();
    let (root, files) = samples(&folder);
    let installed = prefix!().root().join("bin/forebay");
    for binary in [binary!(), &installed] {
        let scratch = Folder::new();
        let finished = run(demo(binary, &scratch).arg(&root).args(["-n", "2"]), LONG).success();
        all_right(&finished, files);
        assert_eq!(leftovers(&scratch), Vec::<String>::new());
    }
}

#[test]
fn without_a_compiler_it_says_what_to_install() {
    let folder = Folder::new();
    let scratch = Folder::new();
    let (root, _) = samples(&folder);
    let installed = prefix!().root().join("bin/forebay");
    let mut demo = demo(&installed, &scratch);
    demo.arg(&root).env("PATH", "/nowhere").env_remove("CC");
    let said = run(&mut demo, SOON).code(6).error_text();
    assert!(said.contains("no C compiler") && said.contains("apt install gcc"), "{said}");
    assert_eq!(leftovers(&scratch), Vec::<String>::new());
}

#[test]
fn a_folder_without_files_is_a_usage_error() {
    let empty = Folder::new();
    for path in [empty.path().to_owned(), empty.join("nowhere")] {
        let finished = run(command(binary!()).arg("demo").arg(&path), SOON);
        assert!(matches!(finished.status.code(), Some(2 | 6)), "{}", finished.error_text());
        assert!(finished.error_text().contains(&path.display().to_string()), "{}", finished.error_text());
    }
}

#[test]
fn interrupted_it_cleans_up_too() {
    let folder = Folder::new();
    let scratch = Folder::new();
    let root = folder.join("many");
    std::fs::create_dir_all(&root).expect("a folder");
    for i in 0..200 {
        std::fs::write(root.join(format!("{i}")), vec![b'x'; 1 << 20]).expect("a file");
    }
    let installed = prefix!().root().join("bin/forebay");
    let running = Process::start(demo(&installed, &scratch).arg(&root).args(["-n", "1"]));
    running.line_with("Sending 200 files", SOON);
    let finished = running.stop(SOON);
    // It may have been faster than the signal.
    assert!(matches!(finished.status.code(), Some(0 | 130)), "{:?}", finished.status);
    assert_eq!(leftovers(&scratch), Vec::<String>::new());
}
