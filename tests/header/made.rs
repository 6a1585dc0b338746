//! How include/forebay.h is made from src/ffi.

use std::fs;

use support::header::root;

/// The files of src/ffi in the order of the manual. A file may only name types of those before it.
const SECTIONS: [&str; 17] = [
    "version",
    "status",
    "error",
    "id",
    "options",
    "buffer",
    "submit",
    "pipeline",
    "result",
    "client",
    "stage",
    "collector",
    "job",
    "worker",
    "plugin",
    "broker",
    "log",
];

const HEAD: &str = r#"/* forebay: a job broker over ZeroMQ. This is the C interface of its clients, workers and embedded brokers.
 *
 * Made from src/ffi by cbindgen; `FOREBAY_BLESS=1 cargo test --test header` writes it anew. SPDX-License-Identifier:
 * MIT OR Apache-2.0
 *
 * How to read it
 *
 *   Handles. Every object is opaque, made by _open, _new or _start, and given back by its _free, for which NULL is
 *   nothing. No function consumes an argument. Objects that came from a handle stay valid memory when the handle is
 *   gone, and calls on them answer FOREBAY_ERR_CLOSED; the order of freeing does not matter.
 *
 *   Statuses. 0 is done; above 0 nothing is wrong and there is nothing to hand over; below 0 the call was not carried
 *   out. A function that fails writes a new error to `*err`, unless `err` is NULL; the caller frees it. Nothing is
 *   written to `*err` otherwise.
 *
 *   Arguments. Text is UTF-8 and ends with a NUL; other bytes come with a length and are copied, unless a text says
 *   otherwise. A pointer may be NULL only where its function says so; any other NULL, text that is not UTF-8, and a
 *   number that means nothing are FOREBAY_ERR_ARGUMENT. Outputs are written only with FOREBAY_OK, unless a text says
 *   otherwise. Getters answer NULL or 0 for an object of NULL.
 *
 *   Threads. Where a text does not say otherwise, a function may be called by any thread, by many at once, on the same
 *   handle. Library threads block all signals, and no handler of the program is touched.
 *
 *   Structures. forebay_id_t, forebay_frame_t and forebay_header_t never change. The others begin with `struct_size` and
 *   grow only at their ends: set everything to 0, then struct_size.
 *
 *   Fork. In a child, handles of the parent answer FOREBAY_ERR_FORKED, _free forgets them, and new ones may be opened.
 *
 *   Faults inside the library are contained: the call answers FOREBAY_ERR_PANIC. Only the end of memory, and what
 *   libzmq itself finds broken, end the process.
 *
 * A worker in full is examples-c/hello_worker.c, a client examples-c/hello_client.c. */

#ifndef FOREBAY_H
#define FOREBAY_H

#include <stddef.h>
#include <stdint.h>

/** Defined by a program that wants other linkage of the functions, such as __declspec(dllimport). */
#ifndef FOREBAY_API
#define FOREBAY_API
#endif

#ifdef __cplusplus
extern "C" {
#endif
"#;

const TAIL: &str = r"
#ifdef __cplusplus
}
#endif

#endif /* FOREBAY_H */
";

/// What a plugin shows and the library looks for: no function of the library, so no source has it.
const PLUGIN_ENTRY: &str = "
/** The one symbol of a plugin, which the plugin defines: its descriptor, the same at each call. */
#if defined(__GNUC__)
__attribute__((visibility(\"default\")))
#endif
const forebay_plugin_t *forebay_plugin_v1(void);
";

/// The header, made from the sources.
pub(crate) fn header() -> String {
    let config = cbindgen::Config::from_file(root().join("cbindgen.toml")).unwrap();
    let mut header = HEAD.to_owned();
    for name in SECTIONS {
        let path = root().join("src/ffi").join(name).with_extension("rs");
        header.push_str(&heading(&fs::read_to_string(&path).unwrap()));
        if name == "version" {
            header.push_str(&version_macros());
        }
        let mut fragment = Vec::new();
        let bindings = cbindgen::Builder::new().with_src(&path).with_config(config.clone()).generate();
        bindings.unwrap().write(&mut fragment);
        header.push_str(&polish(&String::from_utf8(fragment).unwrap()));
        if name == "plugin" {
            header.push_str(PLUGIN_ENTRY);
        }
    }
    header + TAIL
}

/// The section's text: the text of the source's module.
fn heading(source: &str) -> String {
    let text: Vec<&str> = source
        .lines()
        .take_while(|line| line.starts_with("//!"))
        .map(|line| line.trim_start_matches("//!").strip_prefix(' ').unwrap_or(""))
        .collect();
    let title = text[0].trim_end_matches('.');
    let mut heading = format!("\n\n/* ---- {title} {}\n", "-".repeat(104 - title.len()));
    for line in &text[1..] {
        heading.push_str(format!(" * {line}").trim_end());
        heading.push('\n');
    }
    heading.truncate(heading.trim_end().len());
    heading + " */\n\n"
}

fn version_macros() -> String {
    let (major, minor, patch) =
        (env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"), env!("CARGO_PKG_VERSION_PATCH"));
    let number = [major, minor, patch]
        .iter()
        .fold(0_u64, |number, part| number * 1_000 + part.parse::<u64>().unwrap());
    format!(
        "/** The version this program is compiled with. */\n#define FOREBAY_VERSION \"{}\"\n\
         #define FOREBAY_VERSION_MAJOR {major}\n#define FOREBAY_VERSION_MINOR {minor}\n\
         #define FOREBAY_VERSION_PATCH {patch}\n/** The same as forebay_version_number says it. */\n\
         #define FOREBAY_VERSION_NUMBER {number}\n/** The binary interface; see forebay_abi. */\n#define FOREBAY_ABI 0\n\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// What cbindgen cannot say: negative numbers in brackets, and memory that another thread changes. Comments of one line
/// become one line, and constants of one kind stand together.
fn polish(fragment: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in fragment.trim().lines() {
        let line = match line.rsplit_once(' ') {
            Some((define, number)) if define.starts_with("#define ") && number.starts_with('-') => {
                format!("{define} ({number})")
            }
            _ => line.replace(
                "const uint32_t *forebay_job_stop_flag",
                "const volatile uint32_t *forebay_job_stop_flag",
            ),
        };
        lines.push(line);
        if let [.., open, text, close] = &lines[..]
            && open.trim() == "/**"
            && close.trim() == "*/"
            && text.trim_start().starts_with("* ")
            && text.len() < 110
        {
            let short = format!("{} {} */", open, text.trim_start().trim_start_matches("* "));
            lines.truncate(lines.len() - 3);
            lines.push(short);
        }
        let define = lines.iter().rposition(|line| line.starts_with("#define "));
        if let Some(at) = define
            && at + 1 == lines.len()
            && let Some(before) = lines[..at].iter().rposition(|line| line.is_empty())
            && before > 0
            && kind_of(&lines[before - 1]) == kind_of(&lines[at])
        {
            lines.remove(before);
        }
    }
    lines.join("\n") + "\n"
}

/// What kind of constant a line defines; `None` when it defines none.
fn kind_of(line: &str) -> Option<&str> {
    let name = line.strip_prefix("#define FOREBAY_")?;
    let word = name.split(['_', ' ']).next()?;
    Some(if ["OUTCOME", "KIND", "STATE", "STOP", "HINT", "RETRY", "LOG", "FOREVER"].contains(&word) {
        word
    } else {
        ""
    })
}
