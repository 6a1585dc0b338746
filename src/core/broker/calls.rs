//! The calls that the jobs side has not answered yet.

use std::collections::VecDeque;

use crate::core::broker::What;
use crate::core::jobs::{SessionId, Tag};
use crate::wire::command::ToBroker;

/// A call, and what its answer is for.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) session: SessionId,
    /// The command it came with; 0 for none.
    pub(super) number: u64,
    pub(super) what: What,
    /// Kept only for a jobs side that may answer `Unknown`.
    pub(super) again: Option<Box<ToBroker>>,
}

/// Every call has a tag, one more than the one before. Most are answered in the order they were made.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    /// The tag of the first in `open`.
    first: Tag,
    /// Invariant: the first is not answered yet.
    open: VecDeque<Option<Call>>,
}

impl Calls {
    pub(super) fn new() -> Self {
        Calls { first: 1, open: VecDeque::new() }
    }

    /// Notes a call and gives the tag it is to be made with.
    pub(super) fn open(&mut self, call: Call) -> Tag {
        self.open.push_back(Some(call));
        self.first + self.open.len() as u64 - 1
    }

    /// The call is answered.
    pub(super) fn close(&mut self, tag: Tag) -> Option<Call> {
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

    #[test]
    fn each_is_answered_once_in_whatever_order() {
        let mut calls = Calls::new();
        let call = |number| Call { session: SessionId(1), number, what: What::Forget, again: None };
        let tags: Vec<Tag> = (0..5).map(|number| calls.open(call(number))).collect();
        let closed: Vec<_> =
            [3, 0, 1, 4, 3, 2].map(|at| calls.close(tags[at]).map(|call| call.number)).into_iter().collect();
        assert_eq!(closed, [Some(3), Some(0), Some(1), Some(4), None, Some(2)]);
        assert!(calls.open.is_empty() && calls.close(0).is_none() && calls.close(99).is_none());
        assert_eq!(calls.open(call(9)), tags[4] + 1, "no tag comes twice");
    }
}
