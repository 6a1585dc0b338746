"""A pipeline's graph written as a dictionary: from each step, or each tuple of steps, to those that are given its results.

Invariant: it only says which steps there are and what each needs; whether that is a graph is the library's to say.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Tuple, Union

from .codec import Headers


class Step:
    """A step of a pipeline: a job for a queue, named as the queue unless told otherwise. Equal ones are the same step.

    `rules` are the keys of the family "job" in docs/OPTIONS.md without its name. With `may_fail` the run goes on without its
    result when it does not end DONE.
    """

    def __init__(
        self,
        queue: str,
        payload: Any = b"",
        *,
        name: Optional[str] = None,
        may_fail: bool = False,
        headers: Optional[Headers] = None,
        **rules: Any,
    ) -> None:
        self.queue, self.payload, self.may_fail, self.headers = queue, payload, may_fail, headers
        self.name, self.rules = queue if name is None else name, rules

    def __repr__(self) -> str:
        return f"<forebay.Step {self.name!r} of {self.queue!r}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Step):
            return NotImplemented
        return self is other or (self._said() == other._said() and _is_same(self.payload, other.payload))

    def __hash__(self) -> int:
        return hash(self.name)

    def _said(self) -> Tuple[Any, ...]:
        return self.name, self.queue, self.may_fail, self.headers, self.rules


Steps = Union[Step, Tuple[Step, ...]]


def steps_of(graph: Mapping[Steps, Optional[Steps]]) -> Dict[str, Tuple[Step, List[str]]]:
    """Every step of a graph by its name, with the names of those it needs in the order in which they were said."""
    needs: Dict[Step, List[str]] = {}
    for before, behind in graph.items():
        for step in _each(before):
            needs.setdefault(step, [])
        for step in _each(behind):
            named = needs.setdefault(step, [])
            named.extend(one.name for one in _each(before) if one.name not in named)
    steps: Dict[str, Tuple[Step, List[str]]] = {}
    for step, names in needs.items():
        if step.name in steps:
            raise ValueError(
                f"two steps that differ are both named {step.name!r}; name= gives one another name"
            )
        steps[step.name] = (step, names)
    return steps


def _is_same(one: Any, other: Any) -> bool:
    # Arrays and the like have no single answer to ==; the same object always is.
    return one is other or (isinstance(one, (bytes, str)) and type(one) is type(other) and one == other)


def _each(steps: Optional[Steps]) -> Tuple[Step, ...]:
    if steps is None:
        return ()
    every = (steps,) if isinstance(steps, Step) else tuple(steps)
    for step in every:
        if not isinstance(step, Step):
            raise TypeError(f"a graph is made of Steps and tuples of them, and {step!r} is neither")
    return every
