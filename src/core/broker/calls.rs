//! The calls that the jobs side has not answered yet.

use std::collections::VecDeque;

use crate::core::broker::Pending;
use crate::core::jobs::Tag;

/// Every call has a tag, one more than the one before. Most are answered in the order they were made.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    /// The tag of the first in `open`.
    first: Tag,
    /// Invariant: the first is not answered yet.
    open: VecDeque<Option<Pending>>,
}

impl Calls {
    pub(super) fn new() -> Self {
        Calls { first: 1, open: VecDeque::new() }
    }

    /// Notes a call and gives the tag it is to be made with.
    pub(super) fn open(&mut self, call: Pending) -> Tag {
        self.open.push_back(Some(call));
        self.first + self.open.len() as u64 - 1
    }

    /// The call is answered.
    pub(super) fn close(&mut self, tag: Tag) -> Option<Pending> {
        let at = usize::try_from(tag.checked_sub(self.first)?).ok()?;
        let call = self.open.get_mut(at)?.take();
        while let Some(None) = self.open.front() {
            self.open.pop_front();
            self.first += 1;
        }
        call
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::broker::What;
    use crate::core::jobs::SessionId;

    #[test]
    fn each_is_answered_once_in_whatever_order() {
        let mut calls = Calls::new();
        let call = |number| Pending { session: SessionId(1), number, what: What::Forget, again: None };
        let tags: Vec<Tag> = (0..5).map(|number| calls.open(call(number))).collect();
        let closed: Vec<_> =
            [3, 0, 1, 4, 3, 2].map(|at| calls.close(tags[at]).map(|call| call.number)).into_iter().collect();
        assert_eq!(closed, [Some(3), Some(0), Some(1), Some(4), None, Some(2)]);
        assert!(calls.open.is_empty() && calls.close(0).is_none() && calls.close(99).is_none());
        assert_eq!(calls.open(call(9)), tags[4] + 1, "no tag comes twice");
    }
}
