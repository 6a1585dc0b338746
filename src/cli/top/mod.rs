//! `forebay top`: what the broker holds and what hosts and workers do, on a terminal, as it changes.
//!
//! Two threads: one asks the broker, the other, this one, draws and reads keys. Invariant: the terminal is as it was found when the
//! command ends, however it ends.

mod draw;
mod look;
mod rates;
mod screen;

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use crate::cli::connection::Connection;
use crate::cli::exit::{Exit, Failed};
use crate::cli::{signals, time};

use look::Looks;
use screen::Screen;

/// How often it is looked whether there is something new to draw.
const TICK: Duration = Duration::from_millis(100);
/// The shortest time between two questions.
const EVERY_MIN: Duration = Duration::from_millis(100);

/// Shows queues, worker hosts with their slots, workers and the last failures on a terminal, as they change.
#[derive(Args, Debug)]
#[command(after_help = "\
Keys: q quits; s sorts by name, age, processor time or memory; p holds the picture still; up and down scroll; h shows all keys.
`forebay status --every 10` writes the same as records, for files.")]
pub(crate) struct Top {
    /// How often the broker is asked, such as 500ms.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time::parse)]
    every: Duration,
    #[command(flatten)]
    connection: Connection,
}

/// The terminal, given back when dropped.
struct Terminal(ratatui::DefaultTerminal);

impl Top {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            return Err(Failed::usage(
                "forebay top draws on a terminal, and this is none; `forebay status --every 2s` writes a record a line",
            ));
        }
        let client = self.connection.open()?;
        let looks = Looks::start(client, self.every.max(EVERY_MIN))?;
        let is_over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_over);
        signals::on_stop(move |_| told.store(true, Ordering::Relaxed))?;
        let screen = Screen::new(self.connection.address()?, self.every.max(EVERY_MIN));
        let terminal = ratatui::try_init().map(Terminal);
        terminal
            .and_then(|terminal| show(terminal, screen, &looks, &is_over))
            .map_err(|error| Failed::new(Exit::System, format!("cannot draw on the terminal: {error}")))?;
        Ok(Exit::Done)
    }
}

/// Draws until it is to end.
fn show(mut terminal: Terminal, mut screen: Screen, looks: &Looks, is_over: &AtomicBool) -> io::Result<()> {
    while !screen.is_over && !is_over.load(Ordering::Relaxed) {
        while let Some(look) = looks.next() {
            screen.take(look);
        }
        terminal.0.draw(|frame| draw::draw(frame, &mut screen))?;
        if !event::poll(TICK)? {
            continue;
        }
        match event::read()? {
            Event::Key(key) if key.kind == KeyEventKind::Press => screen.press(key),
            // A terminal of another size is drawn anew at once.
            _ => {}
        }
    }
    Ok(())
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Nobody is left to hear that it cannot be given back.
        let _ = ratatui::try_restore();
    }
}
