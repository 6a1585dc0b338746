//! include/forebay.h is what src/ffi says, reads like a manual, and compiles wherever a program may include it.
//! `FOREBAY_BLESS=1 cargo test --test header` writes it anew.

mod made;
mod page;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::header::{Function, functions, root, without_comments};

fn committed() -> String {
    if std::env::var_os("FOREBAY_BLESS").is_some() {
        return made::header();
    }
    fs::read_to_string(root().join("include/forebay.h")).unwrap_or_default()
}

#[test]
fn the_committed_header_is_what_the_sources_say() {
    let made = made::header();
    if std::env::var_os("FOREBAY_BLESS").is_some() {
        fs::write(root().join("include/forebay.h"), &made).unwrap();
    }
    if committed() != made {
        let first = made
            .lines()
            .zip(committed().lines().map(str::to_owned).chain(std::iter::repeat(String::new())))
            .position(|(made, old)| made != old);
        panic!(
            "include/forebay.h differs from src/ffi, first in line {:?}; FOREBAY_BLESS=1 cargo test --test header",
            first.map(|line| line + 1)
        );
    }
}

#[test]
fn the_page_has_the_headers_texts() {
    let path = root().join("docs/C-API.md");
    let page = fs::read_to_string(&path).unwrap();
    let made = page::with_reference(&page, &committed());
    if std::env::var_os("FOREBAY_BLESS").is_some() {
        fs::write(&path, &made).unwrap();
    } else {
        assert!(made == page, "docs/C-API.md is not the header's; FOREBAY_BLESS=1 cargo test --test header");
    }
    let documented =
        functions(&committed()).into_iter().filter(|f| made.contains(&format!("\n### `{}`\n", f.name)));
    assert_eq!(documented.count(), functions(&committed()).len());
}

#[test]
fn every_function_is_documented_and_exported_under_its_own_name() {
    let header = committed();
    let listed = functions(&header);
    assert!(listed.len() > 25, "only {} functions were found", listed.len());
    for function in &listed {
        assert!(function.name.starts_with("forebay_"), "{}", function.name);
        assert!(function.declaration.starts_with("FOREBAY_API "), "{}", function.declaration);
    }
    assert_eq!(undocumented(&header), Vec::<String>::new());
    let planted = "\nFOREBAY_API int32_t forebay_bare(void);\n\n/** Says nothing of an error that it may make. */\n\
                   FOREBAY_API int32_t forebay_mute(forebay_error_t **err);\n";
    assert_eq!(undocumented(planted), ["forebay_bare", "forebay_mute"], "the check itself sees nothing");
    let in_sources: BTreeSet<String> = source_exports();
    let in_header: BTreeSet<String> = listed.into_iter().map(|function| function.name).collect();
    assert_eq!(in_header, in_sources);
}

/// The functions without a text, and those that do not say that `err` may be NULL.
fn undocumented(header: &str) -> Vec<String> {
    let is_mute = |function: &Function| {
        let mut errors = function.pointers().filter(|parameter| parameter.name == "err");
        function.text.len() <= 20 || errors.any(|pointer| !function.may_be_null(&pointer.name))
    };
    functions(header).into_iter().filter(is_mute).map(|function| function.name).collect()
}

/// The exported functions by the text of the sources.
fn source_exports() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(root().join("src/ffi")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for part in text.split("extern \"C\" fn forebay_").skip(1) {
            let name: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            names.insert(format!("forebay_{name}"));
        }
    }
    names
}

/// Rule: every exported body goes through the guard. Constant answers need none.
#[test]
fn every_exported_body_goes_through_the_guard() {
    let unguarded = |text: &str| -> Vec<String> {
        let mut found = Vec::new();
        for part in text.split("#[unsafe(no_mangle)]").skip(1) {
            let body = part.split("\n}\n").next().unwrap();
            let name: String = body.split(" fn ").nth(1).unwrap().chars().take_while(|c| *c != '(').collect();
            if !body.contains("guard!(") {
                found.push(name);
            }
        }
        found
    };
    let planted = "#[unsafe(no_mangle)]\npub extern \"C\" fn forebay_bad() -> i32 {\n    7\n}\n";
    assert_eq!(unguarded(planted), ["forebay_bad"], "the check itself sees nothing");
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join("src/ffi")).unwrap() {
        found.extend(unguarded(&fs::read_to_string(entry.unwrap().path()).unwrap()));
    }
    found.sort();
    assert_eq!(found, ["forebay_abi", "forebay_version", "forebay_version_number"]);
}

#[test]
fn the_header_keeps_the_rules_of_the_abi() {
    let header = committed();
    let code = without_comments(&header);
    for forbidden in
        ["enum ", " bool ", "bool*", "pid_t", "ssize_t", "long ", "inline ", "...", "extern forebay"]
    {
        assert!(!code.contains(forbidden), "the header has \"{forbidden}\"");
    }
    for line in code.lines().filter(|line| line.starts_with("#define ")) {
        assert!(line.starts_with("#define FOREBAY_"), "{line}");
    }
    let by_value: Vec<Function> =
        functions(&header).into_iter().filter(|function| function.takes_struct_by_value()).collect();
    assert!(by_value.is_empty(), "a struct by value in {}", by_value[0].name);
}

/// Compiles `source` with each standard; a missing compiler is said aloud, and is a failure in CI.
fn compile_everywhere(name: &str, source: &str) {
    let folder = support::Folder::new();
    for (variable, fallback, suffix, standards) in [
        ("CC", "cc", "c", &["c99", "c11", "c17"][..]),
        ("CXX", "c++", "cpp", &["c++11", "c++14", "c++17", "c++20"]),
    ] {
        let Some(compiler) = compiler(variable, fallback) else { continue };
        let file = folder.join(&format!("{name}.{suffix}"));
        fs::write(&file, source).unwrap();
        for standard in standards {
            let mut command = Command::new(&compiler);
            command.arg(format!("-std={standard}")).args(FLAGS).arg("-I").arg(root().join("include"));
            let object = folder.join(&format!("{name}-{standard}.o"));
            support::run(command.arg("-c").arg(&file).arg("-o").arg(object), support::SOON).success();
        }
    }
}

const FLAGS: [&str; 5] = ["-pedantic", "-Wall", "-Wextra", "-Werror", "-Wundef"];

fn compiler(variable: &str, fallback: &str) -> Option<String> {
    let compiler = std::env::var(variable).unwrap_or_else(|_| fallback.to_owned());
    if Command::new(&compiler).arg("--version").output().is_ok_and(|output| output.status.success()) {
        return Some(compiler);
    }
    let loud = format!("SKIPPED: no compiler `{compiler}`; install one (Debian: build-essential)");
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{loud}");
    eprintln!("{loud}");
    None
}

#[test]
fn the_header_compiles_alone_in_every_standard() {
    compile_everywhere("alone", "#include <forebay.h>\n#include <forebay.h>\ntypedef int not_empty;\n");
}

/// forebay.hpp has everything. Its errors are made from the calls' own, so the two calls for others' are not needed.
#[test]
fn the_objects_for_cpp_cover_every_function() {
    let objects = fs::read_to_string(root().join("include/forebay.hpp")).unwrap();
    let words: BTreeSet<&str> =
        objects.split(|letter: char| !letter.is_alphanumeric() && letter != '_').collect();
    let mut missing: Vec<_> = functions(&committed()).into_iter().map(|function| function.name).collect();
    missing.retain(|name| !words.contains(name.as_str()));
    assert_eq!(missing, ["forebay_error_new", "forebay_error_status"]);
}

/// forebay.hpp in the standards it is for, with the warnings that people turn on for headers of others.
#[test]
fn the_objects_for_cpp_compile_in_every_standard() {
    let Some(compiler) = compiler("CXX", "c++") else { return };
    let folder = support::Folder::new();
    let file = folder.join("alone.cpp");
    fs::write(&file, "#include <forebay.hpp>\n#include <forebay.hpp>\n").unwrap();
    for standard in ["c++17", "c++20"] {
        let mut command = Command::new(&compiler);
        command.arg(format!("-std={standard}")).args(FLAGS).args([
            "-Wshadow",
            "-Wconversion",
            "-Wold-style-cast",
        ]);
        command.arg("-I").arg(root().join("include")).arg("-c").arg(&file);
        support::run(command.arg("-o").arg(folder.join("alone.o")), support::SOON).success();
    }
}

/// The planted violation: what a header must not have is seen by the same flags.
#[test]
fn the_flags_see_what_a_header_must_not_have() {
    let Some(compiler) = compiler("CC", "cc") else { return };
    let folder = support::Folder::new();
    let file = folder.join("bad.c");
    fs::write(
        &file,
        "#include <forebay.h>\nenum { BIG = 0x7fffffffffffffff };\nint f(void) { int unused; return 0; }\n",
    )
    .unwrap();
    let mut command = Command::new(compiler);
    command.arg("-std=c99").args(FLAGS).arg("-I").arg(root().join("include")).arg("-c").arg(&file);
    let done = support::run(command.arg("-o").arg(folder.join("bad.o")), support::SOON);
    assert!(!done.status.success(), "the flags let a violation pass");
}

#[test]
fn two_files_that_include_it_link_together() {
    let Some(cc) = compiler("CC", "cc") else { return };
    let Some(cxx) = compiler("CXX", "c++") else { return };
    let folder = support::Folder::new();
    let write = |name: &str, text: &str| -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let one = write("one.c", "#include <forebay.h>\nint one(void) { return FOREBAY_OK; }\n");
    let two = write(
        "two.cpp",
        "#include <forebay.h>\nextern \"C\" int one(void);\nint main() { return one() + FOREBAY_OK; }\n",
    );
    let compile = |compiler: &str, standard: &str, source: &Path, object: &Path| {
        let mut command = Command::new(compiler);
        command.arg(standard).args(FLAGS).arg("-I").arg(root().join("include")).arg("-c").arg(source);
        support::run(command.arg("-o").arg(object), support::SOON).success();
    };
    let (object_one, object_two) = (folder.join("one.o"), folder.join("two.o"));
    compile(&cc, "-std=c99", &one, &object_one);
    compile(&cxx, "-std=c++11", &two, &object_two);
    let program = folder.join("both");
    let mut link = Command::new(&cxx);
    support::run(link.arg(&object_one).arg(&object_two).arg("-o").arg(&program), support::SOON).success();
    support::run(&mut Command::new(program), support::SOON).success();
}
