//! Facts about an attempt.

use std::fmt;

/// Facts about an attempt for people and programs: "worker", "host", "started_ms" ... in the order they were added. Every
/// job has some and few are looked at, so all stand in one text.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Meta {
    text: String,
    /// Where each name and each value ends.
    ends: Vec<(u32, u32)>,
}

impl Meta {
    /// No facts.
    pub const fn new() -> Meta {
        Meta { text: String::new(), ends: Vec::new() }
    }

    /// Adds a fact.
    pub fn push(&mut self, name: &str, value: &str) {
        if self.ends.is_empty() {
            // What a job ends up with as a rule, so that nothing grows step by step.
            self.text.reserve(128);
            self.ends.reserve(6);
        }
        self.text.push_str(name);
        let name_end = self.text.len() as u32;
        self.text.push_str(value);
        self.ends.push((name_end, self.text.len() as u32));
    }

    /// Adds a fact that is a number.
    pub fn push_number(&mut self, name: &str, value: u64) {
        self.push(name, itoa::Buffer::new().format(value));
    }

    /// Each fact's name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut begin = 0;
        self.ends.iter().map(move |&(name_end, end)| {
            let (name_end, end) = (name_end as usize, end as usize);
            let fact = (&self.text[begin..name_end], &self.text[name_end..end]);
            begin = end;
            fact
        })
    }

    /// The value of the first fact of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// How many facts there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
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
        let facts: Vec<_> = meta.iter().collect();
        assert_eq!(facts, [("a", ""), ("", "b"), ("größe", "ü"), ("n", "17")]);
        assert_eq!((meta.get("n"), meta.get("x"), meta.len(), meta.is_empty()), (Some("17"), None, 4, false));
        assert_ne!(Meta::from_iter([("ab", "c")]), Meta::from_iter([("a", "bc")]));
    }
}
