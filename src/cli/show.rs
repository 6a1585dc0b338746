//! How a job's end is shown: its result on standard output, byte for byte or as JSON, and why there is none on
//! standard error.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::builder::styling::{AnsiColor, Style};
use comfy_table::{CellAlignment, Table, presets};
use forebay::api::{JobResult, Outcome};
use serde_json::{Map, Value, json};

use crate::cli::exit::{Exit, Failed};

/// What is well, on a terminal.
pub(crate) const WELL: Style = AnsiColor::Green.on_default();
/// What wants attention.
pub(crate) const NOTED: Style = AnsiColor::Yellow.on_default();
/// What is wrong.
pub(crate) const WRONG: Style = AnsiColor::Red.on_default().bold();

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The result's bytes as they are.
    Bytes,
    /// The result's bytes and a line end.
    Line,
    /// One JSON object a line.
    Json,
}

/// Writes how a job ended. Says the rest of it, if it did not end DONE, on standard error.
pub(crate) fn write(out: &mut impl Write, result: &JobResult, form: Form) -> Result<Exit, Failed> {
    let written = match form {
        Form::Json => writeln!(out, "{}", as_json(result)),
        Form::Bytes => write_frames(out, result),
        Form::Line => write_frames(out, result).and_then(|()| out.write_all(b"\n")),
    };
    written.and_then(|()| out.flush()).map_err(unwritable)?;
    // It went well, but what it gave is gone: an empty result would be a lie.
    let is_gone = result.code() == "result-forgotten";
    if result.outcome() == Outcome::Done && !is_gone {
        return Ok(Exit::Done);
    }
    if form != Form::Json {
        anstream::eprintln!("forebay: {}", describe(result));
    }
    Ok(if is_gone { Exit::Refused } else { Exit::NotDone })
}

fn write_frames(out: &mut impl Write, result: &JobResult) -> io::Result<()> {
    result.body().0.iter().try_for_each(|frame| out.write_all(frame))
}

/// One sentence on a job that did not end DONE.
fn describe(result: &JobResult) -> String {
    let mut text = format!("job {} ended {}", result.id(), result.outcome().name());
    if result.attempt() > 1 {
        text += &format!(" after {} attempts", result.attempt());
    }
    for part in [result.code(), result.message(), result.detail()] {
        if !part.is_empty() {
            text += ": ";
            text += part.trim_end();
        }
    }
    text
}

/// Everything that is known of a job.
pub(crate) fn as_json(result: &JobResult) -> Value {
    let mut object = Map::new();
    object.insert("id".into(), result.id().to_string().into());
    object.insert("outcome".into(), result.outcome().name().into());
    object.insert("attempt".into(), result.attempt().into());
    for (name, text) in [("code", result.code()), ("message", result.message()), ("detail", result.detail())]
    {
        if !text.is_empty() {
            object.insert(name.into(), text.into());
        }
    }
    match result.body().0.as_slice() {
        [] => {}
        [frame] => insert_bytes(&mut object, "data", frame),
        frames => {
            let frames = frames.iter().map(|frame| {
                let mut object = Map::new();
                insert_bytes(&mut object, "data", frame);
                Value::Object(object)
            });
            object.insert("frames".into(), frames.collect());
        }
    }
    if !result.headers().is_empty() {
        let headers = result.headers().0.iter().map(|(name, value)| {
            let mut object = Map::new();
            object.insert("name".into(), name.as_str().into());
            insert_bytes(&mut object, "value", value);
            Value::Object(object)
        });
        object.insert("headers".into(), headers.collect());
    }
    let meta = result.meta().iter().map(|(name, value)| (name.to_owned(), value.into()));
    object.insert("meta".into(), Value::Object(meta.collect()));
    Value::Object(object)
}

/// Bytes under `name` as text, or under `name_base64` when they are none.
fn insert_bytes(object: &mut Map<String, Value>, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => object.insert(name.into(), text.into()),
        Err(_) => object.insert(format!("{name}_base64"), json!(STANDARD.encode(bytes))),
    };
}

/// Writes one line to standard output, at once.
pub(crate) fn line(text: impl std::fmt::Display) -> Result<(), Failed> {
    line_to(&mut io::stdout().lock(), text)
}

/// Writes one line with colours, which are left out where standard output is no terminal.
pub(crate) fn coloured_line(text: impl std::fmt::Display) -> Result<(), Failed> {
    line_to(&mut anstream::stdout().lock(), text)
}

/// Writes one line, at once.
pub(crate) fn line_to(out: &mut impl Write, text: impl std::fmt::Display) -> Result<(), Failed> {
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(unwritable)
}

/// What is said when standard output takes no more. That its reader went away is not worth a word.
fn unwritable(error: io::Error) -> Failed {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failed::new(Exit::System, ""),
        _ => Failed::new(Exit::System, format!("cannot write to standard output: {error}")),
    }
}

/// A number of bytes for people.
pub(crate) fn bytes(n: u64) -> String {
    indicatif::BinaryBytes(n).to_string()
}

/// An empty table as all tables of the command look: columns, no lines, nothing cut.
pub(crate) fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

/// Puts the numbers of a table, all columns from `first` on, in line.
pub(crate) fn align_right(table: &mut Table, first: usize) {
    for column in table.column_iter_mut().skip(first) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}
