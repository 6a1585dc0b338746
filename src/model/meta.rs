//! Facts about an attempt.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Facts about an attempt for people and programs: "worker", "host", "started_ms" ... Each name once: what is said later
/// replaces what was said before.
///
/// Every job has those that [`Known`] names and few are looked at, so they stand here as what they are, and become text
/// for who reads them.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Meta {
    numbers: [Option<u64>; Known::NUMBERS],
    worker: Option<Arc<str>>,
    others: Vec<(String, String)>,
}

/// A fact of every job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Known {
    /// How long the worker had the job, microseconds.
    RunUs = 0,
    /// When the job was accepted, Unix milliseconds.
    AcceptedMs = 1,
    /// When its last attempt began.
    StartedMs = 2,
    /// When it ended.
    EndedMs = 3,
    /// Who had it last. The only one that is no number.
    Worker = 4,
}

impl Known {
    /// Each of them.
    pub const ALL: [Known; 5] =
        [Known::RunUs, Known::AcceptedMs, Known::StartedMs, Known::EndedMs, Known::Worker];
    const NUMBERS: usize = Self::ALL.len() - 1;

    /// The one with this number.
    pub fn from_number(number: u64) -> Option<Known> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// The name people and programs see.
    pub fn name(self) -> &'static str {
        match self {
            Known::RunUs => "run_us",
            Known::AcceptedMs => "accepted_ms",
            Known::StartedMs => "started_ms",
            Known::EndedMs => "ended_ms",
            Known::Worker => "worker",
        }
    }
}

impl Meta {
    /// No facts.
    pub const fn new() -> Meta {
        Meta { numbers: [None; Known::NUMBERS], worker: None, others: Vec::new() }
    }

    /// Adds a fact.
    pub fn push(&mut self, name: &str, value: &str) {
        let known = Known::ALL.into_iter().find(|known| known.name() == name);
        // What was said before under this name, as a number or as a text.
        self.others.retain(|(other, _)| other != name);
        match known {
            Some(Known::Worker) => self.worker = None,
            Some(known) => self.numbers[known as usize] = None,
            None => {}
        }
        // A number that would read otherwise afterwards stays the text it is.
        let number = value.parse().ok().filter(|number| itoa::Buffer::new().format::<u64>(*number) == value);
        match (known, number) {
            (Some(Known::Worker), _) => self.set_worker(value.into()),
            (Some(known), Some(number)) => self.set(known, number),
            _ => self.others.push((name.to_owned(), value.to_owned())),
        }
    }

    /// Adds a fact that is a number.
    pub fn push_number(&mut self, name: &str, value: u64) {
        self.push(name, itoa::Buffer::new().format(value));
    }

    /// Sets a number of every job, which `Worker` is not.
    pub fn set(&mut self, known: Known, value: u64) {
        debug_assert!(known != Known::Worker, "who had the job is no number");
        if let Some(number) = self.numbers.get_mut(known as usize) {
            *number = Some(value);
            self.others.retain(|(other, _)| other != known.name());
        }
    }

    /// Sets who had the job last.
    pub fn set_worker(&mut self, worker: Arc<str>) {
        self.worker = Some(worker);
    }

    /// A number of every job.
    pub fn number(&self, known: Known) -> Option<u64> {
        self.numbers.get(known as usize).copied().flatten()
    }

    /// Who had the job last.
    pub fn worker(&self) -> Option<&str> {
        self.worker.as_deref()
    }

    /// The numbers of every job that are known of this one.
    pub fn numbers(&self) -> impl Iterator<Item = (Known, u64)> {
        Known::ALL.into_iter().filter_map(|known| Some((known, self.number(known)?)))
    }

    /// The facts that not every job has, in the order they were added.
    pub fn others(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.others.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Each fact's name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let numbers = self.numbers().map(|(known, number)| (known.name(), Cow::from(number.to_string())));
        let worker = self.worker().map(|worker| (Known::Worker.name(), Cow::from(worker)));
        numbers.chain(worker).chain(self.others().map(|(name, value)| (name, value.into())))
    }

    /// The value of the fact of this name.
    pub fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// How many facts there are.
    pub fn len(&self) -> usize {
        self.numbers().count() + usize::from(self.worker.is_some()) + self.others().count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Meta {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(facts: I) -> Meta {
        let mut meta = Meta::new();
        facts.into_iter().for_each(|(name, value)| meta.push(name.as_ref(), value.as_ref()));
        meta
    }
}

impl fmt::Debug for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_keep_their_order_and_their_bounds() {
        let mut meta = Meta::from_iter([("a", ""), ("", "b"), ("größe", "ü")]);
        meta.push_number("n", 17);
        let facts: Vec<_> = meta.others().collect();
        assert_eq!(facts, [("a", ""), ("", "b"), ("größe", "ü"), ("n", "17")]);
        assert_eq!(meta.get("n").as_deref(), Some("17"));
        assert_eq!((meta.get("x"), meta.len(), meta.is_empty()), (None, 4, false));
        assert_ne!(Meta::from_iter([("ab", "c")]), Meta::from_iter([("a", "bc")]));
    }

    #[test]
    fn what_every_job_has_reads_like_any_other_fact() {
        let mut meta =
            Meta::from_iter([("started_ms", "5"), ("worker", "w"), ("run_us", "007"), ("host", "h")]);
        meta.set(Known::StartedMs, 6);
        let facts: Vec<_> = meta.iter().map(|(name, value)| (name, value.into_owned())).collect();
        let said = |name, value: &str| (name, value.to_owned());
        assert_eq!(
            facts,
            [said("started_ms", "6"), said("worker", "w"), said("run_us", "007"), said("host", "h")]
        );
        assert_eq!((meta.number(Known::RunUs), meta.worker(), meta.len()), (None, Some("w"), 4));
        assert_eq!(Meta::from_iter(meta.iter()), meta);
        meta.push("ended_ms", "soon");
        meta.set(Known::EndedMs, 7);
        meta.set(Known::RunUs, 8);
        meta.push("started_ms", "then");
        let facts: Vec<_> = meta.iter().map(|(name, value)| (name, value.into_owned())).collect();
        assert_eq!(
            facts,
            [
                said("run_us", "8"),
                said("ended_ms", "7"),
                said("worker", "w"),
                said("host", "h"),
                said("started_ms", "then")
            ],
            "a name said again, as a number or a text, is there once"
        );
        for number in 0..=5 {
            assert_eq!(Known::from_number(number).map(|known| known as u64), (number < 5).then_some(number));
        }
    }
}
