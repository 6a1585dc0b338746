//! Operators' commands: asked of the broker, read from its JSON, and agreed to before they do harm.

use std::io::{self, BufRead, IsTerminal, Write};
use std::time::Duration;

use forebay::api::{Client, JobId};
use serde_json::Value;

use crate::cli::exit::{Exit, Failed};

/// How long the broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the broker answers to a command.
pub(crate) fn ask(client: &Client, command: &str, arguments: &[(&str, String)]) -> Result<Value, Failed> {
    let arguments: Vec<(String, String)> =
        arguments.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let answer = client.admin(command, &arguments, Some(PATIENCE))?;
    serde_json::from_slice(answer.data()).map_err(|error| {
        Failed::new(Exit::Refused, format!("the broker's answer to {command} is not JSON: {error}"))
    })
}

/// The list under `field`.
pub(crate) fn rows<'a>(answer: &'a Value, field: &str) -> &'a [Value] {
    answer[field].as_array().map_or(&[], Vec::as_slice)
}

/// The text under `field`, empty when there is none.
pub(crate) fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap_or_default()
}

/// The number under `field`, 0 when there is none.
pub(crate) fn count(row: &Value, field: &str) -> u64 {
    row[field].as_u64().unwrap_or(0)
}

/// So many jobs, in words.
pub(crate) fn jobs(count: u64) -> String {
    match count {
        1 => "1 job".to_owned(),
        _ => format!("{count} jobs"),
    }
}

/// Asks whether to go on. Where nobody can be asked, `yes` must have been said.
pub(crate) fn agree(question: &str, yes: bool) -> Result<bool, Failed> {
    if yes {
        return Ok(true);
    }
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Err(Failed::usage(format!(
            "{question}: there is no terminal to ask on; say --yes if that is what you want"
        )));
    }
    anstream::eprint!("{question}? [y/N] ");
    // Whether the question could be shown is seen by the answer.
    let _ = io::stderr().flush();
    let mut answer = String::new();
    let said = stdin.lock().read_line(&mut answer);
    said.map_err(|error| Failed::new(Exit::System, format!("cannot read the answer: {error}")))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Does something about each job; one that fails does not keep the others from it.
pub(crate) fn each(ids: &[JobId], mut act: impl FnMut(JobId) -> Result<(), Failed>) -> Exit {
    let mut exit = Exit::Done;
    for &id in ids {
        if let Err(failed) = act(id) {
            anstream::eprintln!("forebay: {failed}");
            exit = failed.exit;
        }
    }
    exit
}
