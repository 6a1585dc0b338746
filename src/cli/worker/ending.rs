//! How processes end, in words.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// How a process ended, for people.
pub(crate) fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with {code}"),
        (None, Some(signal)) => {
            let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
            format!("was killed by {name} ({signal})")
        }
        (None, None) => "ended".to_owned(),
    }
}

/// The last line of what a process said, to stand behind how it ended; empty when it said nothing.
pub(super) fn last_line(said: &str) -> String {
    let last = said.lines().rev().map(str::trim).find(|line| !line.is_empty());
    last.map_or(String::new(), |line| format!(", after saying {line:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_have_words() {
        assert_eq!(how(ExitStatus::from_raw(3 << 8)), "ended with 3");
        assert_eq!(how(ExitStatus::from_raw(11)), "was killed by SIGSEGV (11)");
        assert_eq!(last_line("one\n two \n\n"), ", after saying \"two\"");
        assert_eq!(last_line("\n"), "");
    }
}
