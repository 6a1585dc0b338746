//! Which lines are spoken: one level for each part.

use std::sync::atomic::{AtomicU8, Ordering};

use log::{Level, LevelFilter};

use crate::model::{Failure, Status};

/// The parts, by the targets they log under.
pub(super) const PARTS: [&str; 7] = ["broker", "client", "worker", "host", "net", "store", "cli"];

/// One level for each part, and the last for any other target.
static LEVELS: [AtomicU8; PARTS.len() + 1] = [const { AtomicU8::new(LevelFilter::Warn as u8) }; 8];

fn index(target: &str) -> usize {
    PARTS.iter().position(|part| *part == target).unwrap_or(PARTS.len())
}

pub(super) fn enabled(level: Level, target: &str) -> bool {
    level as u8 <= LEVELS[index(target)].load(Ordering::Relaxed)
}

/// Reads `FOREBAY_LOG`.
pub(super) fn set_from_environment() -> Result<(), Failure> {
    apply();
    match std::env::var("FOREBAY_LOG") {
        Ok(levels) if !levels.trim().is_empty() => set(&levels).map_err(|failure| {
            Failure::new(failure.status, format!("environment variable FOREBAY_LOG: {failure}"))
        }),
        _ => Ok(()),
    }
}

/// Sets what `levels` names; nothing when a word of it is wrong.
pub(super) fn set(levels: &str) -> Result<(), Failure> {
    for (part, level) in parse(levels)? {
        let range = part.map_or(0..LEVELS.len(), |part| part..part + 1);
        for slot in &LEVELS[range] {
            slot.store(level as u8, Ordering::Relaxed);
        }
    }
    apply();
    Ok(())
}

/// Tells the facade the highest level anybody wants, so that other lines cost one comparison.
fn apply() {
    let highest = LEVELS.iter().map(|slot| slot.load(Ordering::Relaxed)).max().unwrap_or(0);
    let filter = LevelFilter::iter().find(|filter| *filter as u8 == highest).unwrap_or(LevelFilter::Warn);
    log::set_max_level(filter);
}

fn parse(levels: &str) -> Result<Vec<(Option<usize>, LevelFilter)>, Failure> {
    let mut read = Vec::new();
    for word in levels.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let (part, level) = match word.split_once('=') {
            Some((part, level)) => (Some(part.trim()), level.trim()),
            None => (None, word),
        };
        let part = match part {
            None => None,
            Some(part) => match PARTS.iter().position(|known| *known == part) {
                Some(at) => Some(at),
                None => return Err(wrong(word, &format!("the parts are {}", PARTS.join(", ")))),
            },
        };
        let Ok(level) = level.parse() else {
            return Err(wrong(word, "the levels are off, error, warn, info, debug, trace"));
        };
        read.push((part, level));
    }
    Ok(read)
}

fn wrong(word: &str, right: &str) -> Failure {
    let shown: String = word.chars().take(60).flat_map(char::escape_debug).collect();
    Failure::new(
        Status::Argument,
        format!("log levels \"{shown}\": {right}; right would be: warn,broker=debug"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_for_all_or_for_a_part() {
        assert_eq!(
            parse("info, broker=debug,net=off").unwrap(),
            [(None, LevelFilter::Info), (Some(0), LevelFilter::Debug), (Some(4), LevelFilter::Off)]
        );
        assert_eq!(parse("").unwrap(), []);
        for (bad, part) in
            [("loud", "off, error"), ("brokr=info", "broker, client"), ("broker=", "off, error")]
        {
            let failure = parse(bad).unwrap_err();
            assert_eq!(failure.status, Status::Argument);
            assert!(failure.message.contains(part) && failure.message.contains(bad), "{failure}");
        }
    }
}
