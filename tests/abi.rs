//! The binary interface against that of each release: bindings/c/abi holds one description for each, written by libabigail
//! from the header compiled with debug information. What a program compiled then relies on must still be so.
//!
//! The library is what the header says (tests/header, tests/symbols.rs), so the header stands for it here: its
//! functions with empty bodies. `FOREBAY_BLESS=1 cargo test --test abi` describes this version if nothing does yet.

use std::fs;
use std::path::{Path, PathBuf};

use support::header::{functions, root};
use support::{Folder, SOON, command, has_tool, run};

/// The structures that may grow at their ends: they say how long they are.
const GROWING: [&str; 4] =
    ["forebay_submit_t", "forebay_job_view_t", "forebay_result_view_t", "forebay_plugin_t"];

fn committed() -> String {
    fs::read_to_string(root().join("include/forebay.h")).expect("the header")
}

/// A shared library with every function of `header`, none of which does anything.
fn library_of(header: &str, folder: &Folder) -> PathBuf {
    fs::write(folder.join("forebay.h"), header).expect("a file");
    let mut source = "#include \"forebay.h\"\n".to_owned();
    for function in functions(header) {
        let declaration = function.declaration.trim_start_matches("FOREBAY_API ");
        let body = if declaration.starts_with("void ") && !declaration.starts_with("void *") {
            "{}"
        } else {
            "{ return 0; }"
        };
        source.push_str(&format!("{declaration} {body}\n"));
    }
    fs::write(folder.join("functions.c"), source).expect("a file");
    let library = folder.join("libforebay.so");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let mut compile = command(compiler);
    compile.current_dir(folder.path()).args(["-std=c11", "-g", "-shared", "-fPIC", "functions.c", "-o"]);
    run(compile.arg(&library), SOON).success();
    library
}

/// The descriptions of all releases.
fn references() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("bindings/c/abi")).into_iter().flatten();
    let mut found: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    found.sort();
    found
}

/// What a program compiled against `reference` would trip over with `header`; abidiff's report where it is not empty.
fn breaks(reference: &Path, header: &str) -> Option<String> {
    let folder = Folder::new();
    let library = library_of(header, &folder);
    let mut abidiff = command("abidiff");
    abidiff.args(["--no-architecture", "--no-show-locs"]).arg(reference).arg(library);
    let finished = run(&mut abidiff, SOON);
    // Bits: 1 and 2 it could not compare, 4 something changed, 8 in a way nothing survives.
    let code = finished.status.code().expect("an exit code");
    assert_eq!(code & 3, 0, "abidiff failed: {}{}", finished.text(), finished.error_text());
    let report = finished.text();
    (code & 8 != 0 || code & 4 != 0 && !only_adds(&report)).then_some(report)
}

/// Whether a report tells of new functions and of structures that grew at their ends, and of nothing else.
fn only_adds(report: &str) -> bool {
    // How a change is reached: any of these may stand above one that is allowed.
    let leads =
        ["[C]", "[A]", "in pointed to", "in unqualified", "parameter ", "underlying type '", "Variables"];
    let mut grown = None;
    report.lines().map(str::trim).filter(|line| !line.is_empty()).all(|line| {
        if let Some((_, name)) = line.split_once("underlying type 'struct ") {
            grown = name.split('\'').next().filter(|name| GROWING.contains(name)).map(|_| 0);
            return grown.is_some();
        }
        if let Some(sizes) = line.strip_prefix("type size changed from ") {
            let old = sizes.split(' ').next().and_then(|bits| bits.parse::<u64>().ok());
            return grown.is_some() && {
                grown = old;
                old.is_some()
            };
        }
        if let Some((_, offset)) = line.split_once(", at offset ") {
            let at = offset.split(' ').next().and_then(|bits| bits.parse::<u64>().ok());
            return grown.is_some_and(|size| size > 0 && at.is_some_and(|at| at >= size));
        }
        leads.iter().any(|lead| line.starts_with(lead))
            || line.ends_with("data member insertion:")
            || line.ends_with("data member insertions:")
            || line.starts_with("Functions changes summary: 0 Removed")
            || line.contains("with some indirect sub-type change:")
            || line.ends_with("Added function:")
            || line.ends_with("Added functions:")
    })
}

#[test]
fn programs_of_every_release_go_on_working() {
    if !has_tool("abidiff", "abigail-tools") {
        return;
    }
    let this = root().join(format!("bindings/c/abi/forebay-{}.abi", env!("CARGO_PKG_VERSION")));
    if std::env::var_os("FOREBAY_BLESS").is_some() && !this.exists() {
        let folder = Folder::new();
        let library = library_of(&committed(), &folder);
        let mut abidw = command("abidw");
        abidw.args([
            "--exported-interfaces-only",
            "--no-show-locs",
            "--no-corpus-path",
            "--no-comp-dir-path",
        ]);
        fs::create_dir_all(this.parent().expect("a folder")).expect("a folder");
        run(abidw.arg("--out-file").arg(&this).arg(library), SOON).success();
    }
    let references = references();
    assert!(
        references.contains(&this),
        "nothing describes this version; FOREBAY_BLESS=1 cargo test --test abi"
    );
    for reference in references {
        let report = breaks(&reference, &committed());
        assert_eq!(report, None, "programs compiled with {} break", reference.display());
    }
}

/// The planted violations, and what is no violation.
#[test]
fn what_breaks_programs_is_seen_and_growth_is_allowed() {
    if !has_tool("abidiff", "abigail-tools") {
        return;
    }
    let header = committed();
    let reference = references().pop().expect("a description");
    let planted = |from: &str, to: &str| {
        assert_eq!(header.matches(from).count(), 1, "{from:?} in the header");
        breaks(&reference, &header.replace(from, to))
    };
    let red = [
        ("a removed function", "FOREBAY_API uint32_t forebay_abi(void);", ""),
        (
            "another result",
            "FOREBAY_API uint32_t forebay_abi(void);",
            "FOREBAY_API uint64_t forebay_abi(void);",
        ),
        (
            "another parameter",
            "forebay_status_text(forebay_status_t status);",
            "forebay_status_text(int64_t status);",
        ),
        (
            "an inserted field",
            "    const char *queue;\n    /**\n",
            "    int64_t planted;\n    const char *queue;\n    /**\n",
        ),
        ("a removed field", "    uint32_t reserved;\n", ""),
        ("another field's type", "    uint32_t reserved;\n", "    int32_t reserved;\n"),
        (
            "growth of a frozen structure",
            "    uint8_t bytes[16];\n",
            "    uint8_t bytes[16];\n    uint64_t planted;\n",
        ),
    ];
    for (what, from, to) in red {
        assert!(planted(from, to).is_some(), "{what} went unnoticed");
    }
    let green = [
        (
            "a new function",
            "FOREBAY_API uint32_t forebay_abi(void);",
            "FOREBAY_API uint32_t forebay_abi(void);\n\nFOREBAY_API void forebay_new(void);",
        ),
        ("a field at the end", "    uint32_t reserved;\n", "    uint32_t reserved;\n    uint64_t added;\n"),
        (
            "a field at the end",
            "    int64_t retry_after_ms;\n",
            "    int64_t retry_after_ms;\n    const char *added;\n    uint64_t too;\n",
        ),
    ];
    for (what, from, to) in green {
        assert_eq!(planted(from, to), None, "{what} is no violation");
    }
}
