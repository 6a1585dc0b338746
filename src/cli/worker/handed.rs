//! What the broker hands to the hosts of a queue: parameters for their plugins, and how often they report.
//!
//! Invariants: a parameter that the host was given itself is never another's; of an answer with a parameter that nobody declares
//! nothing is taken, so that a slip of the pen changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::cli::ask::{rows, text};
use crate::cli::worker::describe::Declared;

/// Parameters as the processes of a host get them beside those it was given itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Params {
    /// Which set it is, counted from 0; it rises when they change.
    pub(super) number: u32,
    pub(super) all: BTreeMap<String, String>,
}

/// What an answer asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Handed {
    pub(super) params: BTreeMap<String, String>,
    /// How often the host is to report.
    pub(super) report: Option<Duration>,
}

/// What a host takes of what it is handed.
#[derive(Clone, Debug, Default)]
pub(super) struct Taker {
    declared: Declared,
    /// Parameters it was given itself.
    own: Vec<String>,
    /// The last answer.
    last: Value,
}

impl Taker {
    /// For plugins that declare this, of a host that was given these parameters itself.
    pub(super) fn new(declared: Declared, own: Vec<String>) -> Taker {
        Taker { declared, own, last: Value::Null }
    }

    /// The queues whose settings it wants to be told.
    pub(super) fn queues(&self) -> &[String] {
        &self.declared.queues
    }

    /// Whether there is a parameter it could be handed.
    pub(super) fn wants_params(&self) -> bool {
        !self.queues().is_empty() && self.declared.params.iter().any(|name| !self.own.contains(name))
    }

    /// What another answer asks for, or what is wrong with it. Nothing when it is the same as before.
    pub(super) fn take(&mut self, answer: &Value) -> Option<Result<Handed, String>> {
        let handed = &answer["handed"];
        if *handed == self.last {
            return None;
        }
        self.last = handed.clone();
        Some(self.read(rows(answer, "handed")))
    }

    fn read(&self, queues: &[Value]) -> Result<Handed, String> {
        let mut handed = Handed::default();
        for queue in queues {
            let report = queue["report_ms"].as_u64().map(Duration::from_millis);
            handed.report = [handed.report, report].into_iter().flatten().min();
            for (name, value) in queue["params"].as_object().into_iter().flatten() {
                if !self.declared.params.contains(name) {
                    let known = match &self.declared.params[..] {
                        [] => "there is none".to_owned(),
                        known => known.join(", "),
                    };
                    return Err(format!(
                        "queue {} hands out param.{name}, which no plugin here declares; right would be: {known}",
                        text(queue, "queue"),
                    ));
                }
                // Of several queues that hand out the same one the first counts.
                if !self.own.contains(name) {
                    let value = value.as_str().unwrap_or_default().to_owned();
                    handed.params.entry(name.clone()).or_insert(value);
                }
            }
        }
        Ok(handed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn taker() -> Taker {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Taker::new(Declared { queues: texts(&["q"]), params: texts(&["a", "b"]) }, texts(&["b"]))
    }

    #[test]
    fn own_parameters_win_and_the_same_answer_asks_for_nothing() {
        let mut taker = taker();
        let answer =
            json!({ "handed": [{ "queue": "q", "params": { "a": "1", "b": "2" }, "report_ms": 500 }] });
        let handed = taker.take(&answer).expect("something new").expect("nothing wrong");
        assert_eq!(handed.params, [("a".to_owned(), "1".to_owned())].into());
        assert_eq!(handed.report, Some(Duration::from_millis(500)));
        assert_eq!(taker.take(&answer), None);
        assert_eq!(taker.take(&json!({ "handed": [] })), Some(Ok(Handed::default())));
    }

    #[test]
    fn of_an_answer_with_an_unknown_parameter_nothing_is_taken() {
        let answer = json!({ "handed": [{ "queue": "q", "params": { "a": "1", "c": "2" } }] });
        let wrong = taker().take(&answer).expect("something new").expect_err("c is declared by nobody");
        assert_eq!(wrong, "queue q hands out param.c, which no plugin here declares; right would be: a, b");
    }
}
