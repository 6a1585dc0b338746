//! A run as it goes on: a table that is drawn over itself in a terminal, else a line for each step that changes.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::thread::sleep;
use std::time::Duration;

use forebay::api::{Client, JobId};
use serde_json::Value;

use crate::cli::ask::{ask, rows, text};
use crate::cli::exit::{Exit, Failed};
use crate::cli::pipeline::{headline, note, steps, tell};
use crate::cli::show;

/// How often the broker is asked.
const EVERY: Duration = Duration::from_millis(100);
/// A table is drawn over itself as long as it has no more steps than that; of longer runs only the headline is.
const STEPS_DRAWN_MAX: usize = 40;

/// Shows the run until it has ended.
pub(super) fn watch(client: &Client, id: JobId) -> Result<Exit, Failed> {
    let is_drawn = io::stdout().is_terminal();
    let mut known = BTreeMap::new();
    let mut drawn = 0;
    loop {
        let run = ask(client, "run.get", &[("id", id.to_string())])?;
        let has_ended = text(&run, "stage") == "ended";
        if is_drawn {
            if drawn > 0 {
                // To where the last drawing began, and away with it.
                anstream::print!("\x1b[{drawn}A\x1b[J");
            }
            drawn = draw(&run, has_ended)?;
        } else {
            tell_changes(&run, &mut known)?;
        }
        if has_ended {
            if !is_drawn {
                show::line(headline_plain(&run))?;
            }
            return Ok(if text(&run, "outcome") == "DONE" { Exit::Done } else { Exit::NotDone });
        }
        sleep(EVERY);
    }
}

/// Draws the run, and says over how many lines.
fn draw(run: &Value, has_ended: bool) -> Result<usize, Failed> {
    if has_ended {
        tell(run)?;
        return Ok(0);
    }
    let mut text = headline(run);
    if rows(run, "step_list").len() <= STEPS_DRAWN_MAX {
        text = format!("{text}\n{}", steps(run));
    }
    show::coloured_line(&text)?;
    Ok(text.lines().count())
}

/// One line for each step that stands otherwise than it did.
fn tell_changes(run: &Value, known: &mut BTreeMap<String, String>) -> Result<(), Failed> {
    for step in rows(run, "step_list") {
        let stands = format!("{} {}", text(step, "outcome"), note(step));
        let is_new = known.get(text(step, "name")) != Some(&stands);
        if is_new {
            show::line(format_args!("{}: {}", text(step, "name"), stands.trim_end()))?;
            known.insert(text(step, "name").to_owned(), stands);
        }
    }
    Ok(())
}

/// The headline for whoever is no terminal.
fn headline_plain(run: &Value) -> String {
    anstream::adapter::strip_str(&headline(run)).to_string()
}
