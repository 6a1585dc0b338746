//! The C interface, used from C: the programs of tests/c against the shared library in a prefix.

mod header_text;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use header_text::{functions, root};
use support::{Finished, Folder, SOON};

const FLAGS: [&str; 7] = ["-D_GNU_SOURCE", "-O1", "-g", "-pedantic", "-Wall", "-Wextra", "-Werror"];

/// Compiles a program of tests/c and runs it with the address of a broker of its own.
#[track_caller]
fn run(name: &str, scheme: &str) -> Finished {
    run_with(name, scheme, &[])
}

/// The same with more flags for the compiler.
#[track_caller]
fn run_with(name: &str, scheme: &str, more: &[&str]) -> Finished {
    let prefix = support::prefix!();
    let folder = Folder::new();
    let source = root().join("tests/c").join(name);
    let program = folder.join("program");
    let standard = if name.ends_with(".cpp") { "-std=c++17" } else { "-std=c11" };
    let flags: Vec<&str> = [standard].into_iter().chain(FLAGS).chain(more.iter().copied()).collect();
    if name.ends_with(".cpp") {
        prefix.cxx(&flags, &source, &program);
    } else {
        prefix.cc(&flags, &source, &program);
    }
    let address = match scheme {
        "ipc" => folder.ipc("broker"),
        "tcp" => "tcp://127.0.0.1:0".to_owned(),
        _ => format!("inproc://{name}"),
    };
    let mut command = support::command(&program);
    // A private folder for the default address, which one of the programs binds.
    command.env("XDG_RUNTIME_DIR", folder.path()).env("FOREBAY_BROKER_INSECURE", "true");
    support::run(command.arg(address), SOON * 4)
}

#[test]
fn the_version_macros_match_what_runs() {
    run("version.c", "inproc").success();
}

#[test]
fn options_ids_errors_and_buffers() {
    run("options.c", "inproc").success();
}

#[test]
fn jobs_in_every_way_over_inproc() {
    run("jobs.c", "inproc").success();
}

#[test]
fn jobs_in_every_way_over_ipc() {
    run("jobs.c", "ipc").success();
}

#[test]
fn jobs_in_every_way_over_tcp() {
    run("jobs.c", "tcp").success();
}

#[test]
fn jobs_and_results_outlive_their_handles() {
    run("after_close.c", "ipc").success();
}

#[test]
fn a_forked_child_leaves_the_parent_alone() {
    run("fork.c", "ipc").success();
}

#[test]
fn many_threads_share_one_handle() {
    run("threads.c", "ipc").success();
}

#[test]
fn the_log_goes_where_it_is_sent() {
    run("log.c", "ipc").success();
}

#[test]
fn every_line_about_a_job_names_it() {
    run("log_job.c", "ipc").success();
}

#[test]
fn the_descriptors_are_readable_exactly_while_there_is_something() {
    run("poll.c", "ipc").success();
}

#[test]
fn wrong_addresses_are_refused_with_what_would_be_right() {
    run("endpoints.c", "ipc").success();
}

#[test]
fn the_objects_for_cpp() {
    run_with("objects.cpp", "ipc", &["-Wshadow", "-Wconversion"]).success();
}

/// The programs again under the address and undefined-behaviour sanitizers, leaks included. First the proof that they
/// are on: a program that leaks, and one that reads past the end, must fail.
#[test]
fn under_sanitizers() {
    let sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"];
    if !can_sanitize(&sanitizers) {
        return;
    }
    for (planted, said) in [("planted_leak.c", "LeakSanitizer"), ("planted_overrun.c", "AddressSanitizer")] {
        let finished = run_with(planted, "inproc", &sanitizers);
        assert!(!finished.status.success(), "{planted} went unnoticed");
        assert!(finished.error_text().contains(said), "{planted}: {}", finished.error_text());
    }
    for name in ["options.c", "jobs.c", "after_close.c", "null_sweep.c", "threads.c", "objects.cpp"] {
        run_with(name, "ipc", &sanitizers).success();
    }
}

/// Whether the compiler has the sanitizers; a lack is said aloud, and is a failure in CI.
fn can_sanitize(flags: &[&str]) -> bool {
    let folder = Folder::new();
    let source = folder.join("empty.c");
    std::fs::write(&source, "int main(void) { return 0; }\n").unwrap();
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let program = folder.join("empty");
    let mut command = Command::new(compiler);
    let built = command.args(flags).arg(&source).arg("-o").arg(&program).output();
    if built.is_ok_and(|output| output.status.success()) {
        return true;
    }
    let loud =
        "SKIPPED: the C compiler has no sanitizers; install them (Debian: libasan, libubsan of its gcc)";
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{loud}");
    eprintln!("{loud}");
    false
}

/// Every pointer of every function once NULL, every text once not UTF-8: the program does it, and its list is held
/// against the header, so that no parameter is left out.
#[test]
fn null_and_bad_text_are_refused_everywhere() {
    let finished = run("null_sweep.c", "ipc");
    let finished = finished.success();
    let said: BTreeSet<(String, String, String)> = finished
        .text()
        .lines()
        .map(|line| {
            let mut words = line.split(' ').map(str::to_owned);
            let mut word = || words.next().unwrap_or_default();
            (word(), word(), word())
        })
        .collect();
    let did = |what: &str, function: &str, parameter: &str| {
        said.contains(&(what.to_owned(), function.to_owned(), parameter.to_owned()))
    };
    let header = std::fs::read_to_string(root().join("include/forebay.h")).unwrap();
    let mut missing = Vec::new();
    let mut pointers = 0;
    for function in functions(&header) {
        for parameter in function.pointers() {
            pointers += 1;
            let (name, parameter_name) = (function.name.as_str(), parameter.name.as_str());
            let swept = did("refused", name, parameter_name)
                || did("nothing", name, parameter_name)
                || did("allowed", name, parameter_name);
            let may = function.may_be_null(parameter_name);
            if !swept {
                missing.push(format!("{name} {parameter_name}: NULL is not tried"));
            } else if may != did("allowed", name, parameter_name) {
                missing.push(format!("{name} {parameter_name}: the header says may be NULL: {may}"));
            }
            if parameter.kind == "const char *" && !did("utf8", name, parameter_name) {
                missing.push(format!("{name} {parameter_name}: bad UTF-8 is not tried"));
            }
        }
    }
    assert!(missing.is_empty(), "{} of {pointers} pointers:\n{}", missing.len(), missing.join("\n"));
}

/// The dynamic symbols the shared library defines.
fn symbols() -> Option<Vec<String>> {
    let library = support::prefix!().lib().join("libforebay.so.0");
    let Ok(output) = Command::new("nm").args(["-D", "--defined-only"]).arg(&library).output() else {
        let loud = "SKIPPED: no `nm`; install it (Debian: binutils)";
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{loud}");
        eprintln!("{loud}");
        return None;
    };
    assert!(output.status.success(), "nm failed on {}", library.display());
    let text = String::from_utf8(output.stdout).unwrap();
    let names = text.lines().filter_map(|line| line.split_whitespace().nth(2)).map(str::to_owned);
    Some(names.collect())
}

/// tests/c/symbols.txt: each exported name and the version it first came with. Names are only ever added.
#[test]
fn the_library_exports_its_own_names_and_no_others() {
    let Some(mut exported) = symbols() else { return };
    exported.sort();
    let path: PathBuf = root().join("tests/c/symbols.txt");
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let since = |name: &str| {
        let known = committed.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        known.unwrap_or(env!("CARGO_PKG_VERSION")).to_owned()
    };
    let now: String = exported.iter().map(|name| format!("{name} {}\n", since(name))).collect();
    if std::env::var_os("FOREBAY_BLESS").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let foreign: Vec<_> = exported.iter().filter(|name| !name.starts_with("forebay_")).collect();
    assert!(foreign.is_empty(), "not forebay's: {foreign:?}");
    let header = std::fs::read_to_string(root().join("include/forebay.h")).unwrap();
    let declared: BTreeSet<String> = functions(&header).into_iter().map(|function| function.name).collect();
    assert_eq!(exported.iter().cloned().collect::<BTreeSet<_>>(), declared);
    assert!(
        std::env::var_os("FOREBAY_BLESS").is_some() || committed == now,
        "tests/c/symbols.txt differs; FOREBAY_BLESS=1 cargo test --test ffi_c the_library_exports"
    );
}
