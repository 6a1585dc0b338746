//! `bindings/python/forebay/_c.py`: the header's numbers, structures and functions as Python's ctypes wants them.
//!
//! Invariant: every constant, structure and function of the header is in it, and nothing else.

use std::fmt::Write as _;

use support::header::{functions, without_comments};

const HEAD: &str = r#""""The numbers, structures and functions of forebay.h as ctypes wants them.

Made from include/forebay.h; `FOREBAY_BLESS=1 cargo test --test python_binding` writes it anew.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char, c_char_p, c_double, c_int32, c_int64, c_size_t, c_uint8, c_uint32, c_uint64, c_void_p
from typing import Any, Dict, Tuple

"#;

/// The module, made from the header.
pub(crate) fn generate(header: &str) -> String {
    let code = without_comments(header);
    let mut text = HEAD.to_owned();
    constants(&code, &mut text);
    structures(&code, &mut text);
    text.push_str("\n\n# Each function with what it answers and what it takes.\n");
    text.push_str("FUNCTIONS: Dict[str, Tuple[Any, Tuple[Any, ...]]] = {\n");
    for function in functions(header) {
        let before = function.declaration.split(&format!("{}(", function.name)).next().expect("its type");
        let answer = before.trim_start_matches("FOREBAY_API").trim();
        let takes: Vec<_> = function.parameters.iter().map(|one| ctype(&one.kind)).collect();
        let comma = if takes.len() == 1 { "," } else { "" };
        let line = format!("    \"{}\": ({}, ({}{comma})),", function.name, ctype(answer), takes.join(", "));
        if line.len() <= 120 {
            writeln!(text, "{line}").expect("a string");
        } else {
            let takes = takes.join(",\n            ");
            let answer = ctype(answer);
            let name = &function.name;
            writeln!(
                text,
                "    \"{name}\": (\n        {answer},\n        (\n            {takes},\n        ),\n    ),"
            )
            .expect("a string");
        }
    }
    text.push_str("}\n");
    text
}

fn constants(code: &str, text: &mut String) {
    for line in code.lines() {
        let Some((name, value)) = line.strip_prefix("#define FOREBAY_").and_then(|rest| rest.split_once(' '))
        else {
            continue;
        };
        if !value.is_empty() && name != "API" {
            writeln!(text, "{name} = {}", value.trim_matches(['(', ')'])).expect("a string");
        }
    }
}

/// Opaque types, structures with fields, and the sink's type, in the order of the header.
fn structures(code: &str, text: &mut String) {
    for piece in code.split("typedef ").skip(1) {
        let piece = piece.trim_start_matches("struct ");
        if let Some(fields) = piece.strip_prefix('{') {
            let (fields, rest) = fields.split_once('}').expect("its end");
            let name = rest.split(';').next().expect("its name").trim();
            write!(text, "\n\nclass {name}(ctypes.Structure):\n    _fields_ = [\n").expect("a string");
            for field in fields.split(';').map(str::trim).filter(|field| !field.is_empty()) {
                if let Some((_, function)) = field.split_once("(*") {
                    let (name, _) = function.split_once(')').expect("its end");
                    writeln!(text, "        (\"{name}\", c_void_p),").expect("a string");
                    continue;
                }
                let at = field.rfind([' ', '*']).expect("a type and a name") + 1;
                let (kind, name) = (field[..at].trim(), &field[at..]);
                let (name, kind) = match name.split_once('[') {
                    Some((name, count)) => {
                        (name, format!("{} * {}", ctype(kind), count.trim_end_matches(']')))
                    }
                    None => (name, ctype(kind)),
                };
                writeln!(text, "        (\"{name}\", {kind}),").expect("a string");
            }
            text.push_str("    ]\n");
        } else if piece.contains("(*forebay_log_fn)") {
            text.push_str(
                "\n\nforebay_log_fn = ctypes.CFUNCTYPE(None, c_void_p, c_int32, c_char_p, c_char_p)\n",
            );
        } else if let Some((name, _)) = piece.split_once(' ').filter(|(name, rest)| rest.starts_with(name)) {
            write!(text, "\n\nclass {name}(ctypes.Structure):\n    pass\n").expect("a string");
        }
    }
}

/// A type of C as ctypes names it.
fn ctype(kind: &str) -> String {
    let plain = kind.replace("const ", "").replace("volatile ", "");
    let bare = plain.trim_end_matches('*').trim_end();
    let stars = plain.matches('*').count();
    let (base, left) = match (bare, stars) {
        ("void", 0) => return "None".to_owned(),
        ("void", _) => ("c_void_p".to_owned(), stars - 1),
        ("char", 1) if kind.starts_with("const ") => ("c_char_p".to_owned(), 0),
        ("char", 2) => ("c_char_p".to_owned(), 1),
        ("char", _) => ("c_char".to_owned(), stars),
        ("forebay_status_t", _) => ("c_int32".to_owned(), stars),
        ("double" | "size_t", _) => (format!("c_{bare}"), stars),
        (number, _) if number.starts_with("int") || number.starts_with("uint") => {
            (format!("c_{}", number.trim_end_matches("_t")), stars)
        }
        (name, _) => {
            assert!(name.starts_with("forebay_"), "a type this table does not know: {kind}");
            (name.to_owned(), stars)
        }
    };
    (0..left).fold(base, |inner, _| format!("POINTER({inner})"))
}
