//! How fast counters rise, from one look to the next.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;

use crate::cli::ask::{count, rows, text};

/// Counters as they were, and what they have risen by a second since.
#[derive(Debug, Default)]
pub(super) struct Rates {
    before: Option<(Instant, Counts)>,
    a_second: BTreeMap<String, f64>,
}

type Counts = BTreeMap<String, u64>;

impl Rates {
    /// Takes the counters of another look.
    pub(super) fn take(&mut self, at: Instant, status: &Value) {
        let counts = counts(status);
        if let Some((then, before)) = &self.before {
            let passed = at.duration_since(*then).as_secs_f64().max(0.001);
            // A broker that was started anew counts from 0: its first look tells nothing.
            let risen = |(name, now): (&String, &u64)| {
                let by = now.checked_sub(before.get(name).copied().unwrap_or(0)).unwrap_or(0);
                (name.clone(), by as f64 / passed)
            };
            self.a_second = counts.iter().map(risen).collect();
        }
        self.before = Some((at, counts));
    }

    /// What the broker's counter of this name rises by in a second.
    pub(super) fn of(&self, counter: &str) -> f64 {
        self.a_second.get(counter).copied().unwrap_or(0.0)
    }

    /// Jobs of a queue that end DONE in a second, and otherwise.
    pub(super) fn of_queue(&self, queue: &str) -> (f64, f64) {
        (self.of(&format!("{queue}/done")), self.of(&format!("{queue}/not_done")))
    }
}

/// The counters of a status by name; those of queues behind the queue's and a slash, which no other has.
fn counts(status: &Value) -> Counts {
    let of_broker = ["submitted", "started", "done", "not_done"];
    let of_broker = of_broker.map(|name| (name.to_owned(), count(&status["counters"], name)));
    let of_queues = rows(status, "queues").iter().flat_map(|queue| {
        ["done", "not_done"].map(|name| (format!("{}/{name}", text(queue, "name")), count(queue, name)))
    });
    of_broker.into_iter().chain(of_queues).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    #[test]
    fn counters_rise_by_so_much_a_second_and_begin_anew_with_the_broker() {
        let status =
            |done: u64| json!({ "counters": { "done": done }, "queues": [{ "name": "q", "done": done }] });
        let (mut rates, now) = (Rates::default(), Instant::now());
        rates.take(now, &status(100));
        assert_eq!(rates.of("done"), 0.0);
        rates.take(now + Duration::from_secs(2), &status(150));
        assert_eq!((rates.of("done"), rates.of_queue("q").0, rates.of_queue("r").0), (25.0, 25.0, 0.0));
        rates.take(now + Duration::from_secs(3), &status(3));
        assert_eq!(rates.of("done"), 0.0);
    }
}
