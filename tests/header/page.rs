//! The reference in docs/C-API.md: the header's texts, item by item, under the page's hand-written chapters.

use std::fmt::Write;

/// What is above this line of the page is written by hand.
const MARK: &str = "<!-- From here on made from include/forebay.h; `FOREBAY_BLESS=1 cargo test --test header` writes it anew. -->\n";

/// What ends the header's last section.
const END: &str = "\n#ifdef __cplusplus\n}";

/// The page with the header's reference in the place of the one it has.
pub(crate) fn with_reference(page: &str, header: &str) -> String {
    let by_hand = page.split(MARK).next().unwrap_or_default().trim_end();
    let mut text = format!("{by_hand}\n\n{MARK}");
    let body = header.rsplit_once(END).map_or(header, |(body, _)| body);
    for section in body.split("\n/* ---- ").skip(1) {
        let (title, rest) = section.split_once(" -").expect("a title and a line");
        let (comment, items) = rest.split_once("*/").expect("the end of its text");
        let comment = comment.trim_start_matches('-');
        write!(text, "\n## {title}\n{}", prose(comment)).expect("a string");
        text += &items_of(items);
    }
    text
}

/// Numbers stand together; each type and function has a heading of its own.
fn items_of(items: &str) -> String {
    let (mut text, mut numbers) = (String::new(), Vec::new());
    for item in items.split("\n\n").map(str::trim).filter(|item| !item.is_empty()) {
        let (comment, code) = match item.split_once("*/\n") {
            Some((comment, code)) if comment.starts_with("/**") && !code.starts_with('#') => {
                (comment.trim_start_matches("/**"), code)
            }
            _ => ("", item),
        };
        let Some(name) = name_of(code) else {
            numbers.push(item);
            continue;
        };
        text += &code_of(&std::mem::take(&mut numbers));
        let code = code.trim_start_matches("FOREBAY_API").trim_start();
        write!(text, "\n### `{name}`\n{}{}", prose(comment), code_of(&[code])).expect("a string");
    }
    text + &code_of(&numbers)
}

/// What a declaration declares; `None` for numbers and for what only the preprocessor reads.
fn name_of(code: &str) -> Option<&str> {
    let name = match code.strip_prefix("FOREBAY_API") {
        Some(function) => function.split('(').next()?,
        None if code.starts_with("typedef") && code.contains("(*") => {
            code.split_once("(*")?.1.split(')').next()?
        }
        None if code.starts_with("typedef") => code.trim_end().strip_suffix(';')?,
        None if code.starts_with("const") => code.split('(').next()?,
        None => return None,
    };
    name.rsplit([' ', '*', '}']).find(|word| !word.is_empty())
}

fn code_of(items: &[&str]) -> String {
    if items.is_empty() { String::new() } else { format!("\n```c\n{}\n```\n", items.join("\n")) }
}

/// The paragraphs of a comment.
fn prose(comment: &str) -> String {
    let lines = comment.lines().map(|line| line.trim().trim_start_matches('*').trim());
    let mut text = String::new();
    let mut is_open = false;
    for line in lines {
        if line.is_empty() {
            is_open = false;
            continue;
        }
        text += match (is_open, text.is_empty()) {
            (true, _) => "\n",
            (false, true) => "",
            (false, false) => "\n\n",
        };
        text += line;
        is_open = true;
    }
    if text.is_empty() { text } else { format!("{text}\n") }
}
