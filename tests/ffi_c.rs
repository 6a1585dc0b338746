//! The C interface, used from C: the programs of tests/c against the shared library in a prefix.

use std::collections::BTreeSet;
use std::process::Command;

use support::header::{functions, root};
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
    run_in(&[], name, scheme, more)
}

/// The same inside another program, whose command line is `around`.
#[track_caller]
fn run_in(around: &[&str], name: &str, scheme: &str, more: &[&str]) -> Finished {
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
    let mut command = match around {
        [] => support::command(&program),
        [tool, arguments @ ..] => {
            let mut command = support::command(tool);
            command.args(arguments).arg(&program);
            command
        }
    };
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

/// The library loaded, used and unloaded 100 times. A client that is not freed each time must be noticed.
#[test]
fn unloaded_it_leaves_nothing_behind() {
    let program = support::prefix!().program("reload");
    let library = support::prefix!().lib().join("libforebay.so.0");
    let reload = |arguments: &[&str]| {
        let mut command = support::command(&program);
        support::run(command.arg(&library).args(arguments), SOON * 4)
    };
    let said = reload(&["100"]).success().text();
    assert!(said.starts_with("100 rounds: 1 thread, "), "{said}");
    eprint!("{said}");
    assert!(!reload(&["3", "plant"]).status.success(), "a handle left open went unnoticed");
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

/// The programs once more under valgrind, which also sees what the library itself does, libzmq and libsodium included. The
/// planted faults first.
#[test]
fn under_valgrind() {
    if !support::has_tool("valgrind", "valgrind") {
        return;
    }
    let known = format!("--suppressions={}", root().join("tests/c/valgrind.supp").display());
    let valgrind = [
        "valgrind",
        "-q",
        "--error-exitcode=99",
        "--leak-check=full",
        "--errors-for-leak-kinds=definite,possible",
        "--num-callers=30",
        "--fair-sched=yes",
        &known,
    ];
    for (planted, said) in [("planted_leak.c", "definitely lost"), ("planted_overrun.c", "Invalid read")] {
        let finished = run_in(&valgrind, planted, "inproc", &[]).code(99);
        assert!(finished.error_text().contains(said), "{planted}: {}", finished.error_text());
    }
    for name in ["options.c", "jobs.c", "after_close.c", "null_sweep.c", "threads.c", "objects.cpp"] {
        run_in(&valgrind, name, "ipc", &[]).success();
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
    support::skip("the C compiler has no sanitizers; install them (Debian: libasan, libubsan of its gcc)");
    false
}

/// Every pointer of every function once NULL, every text once not UTF-8: the program does it, and its list is held
/// against the header, so that no parameter is left out.
#[test]
fn null_and_bad_text_are_refused_everywhere() {
    let swept = run("null_sweep.c", "ipc").success().text();
    let swept: BTreeSet<&str> = swept.lines().collect();
    let header = std::fs::read_to_string(root().join("include/forebay.h")).unwrap();
    assert_eq!(not_swept(&header, &swept), Vec::<String>::new());
    let pointers: usize = functions(&header).iter().map(|function| function.pointers().count()).sum();
    // One may be tried in two ways: refused with a length, allowed without.
    let tried =
        swept.iter().filter(|line| !line.starts_with("utf8 ")).filter_map(|line| line.split_once(' '));
    let tried = tried.map(|(_, place)| place).collect::<BTreeSet<_>>().len();
    eprintln!("{tried} pointers tried with NULL, {pointers} in the header");
    assert_eq!(tried, pointers);
    let planted = header + "\nFOREBAY_API int32_t forebay_planted(const char *name);\n";
    assert_eq!(
        not_swept(&planted, &swept),
        ["forebay_planted name: NULL is not tried", "forebay_planted name: bad UTF-8 is not tried"]
    );
}

/// What the header has and the sweep has not tried, or tried with another outcome than the header says.
fn not_swept(header: &str, swept: &BTreeSet<&str>) -> Vec<String> {
    let mut missing = Vec::new();
    for function in functions(header) {
        for parameter in function.pointers() {
            let place = format!("{} {}", function.name, parameter.name);
            let did = |what: &str| swept.contains(format!("{what} {place}").as_str());
            let may = function.may_be_null(&parameter.name);
            if !did("refused") && !did("nothing") && !did("allowed") {
                missing.push(format!("{place}: NULL is not tried"));
            } else if may != did("allowed") {
                missing.push(format!("{place}: the header says may be NULL: {may}"));
            }
            if parameter.kind == "const char *" && !did("utf8") {
                missing.push(format!("{place}: bad UTF-8 is not tried"));
            }
        }
    }
    missing
}
