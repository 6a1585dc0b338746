"""Pipelines: graphs of steps, each a job, which a broker executes as one run.

Invariant: the library holds the graph, and its errors come through.
"""

from __future__ import annotations

import ctypes
from ctypes import byref
from typing import Any, Dict, Iterable, Mapping, Optional, Union

from . import _c
from ._desk import Submission
from ._library import call, lib
from .codec import Headers
from .graph import Steps, steps_of
from .stored import PayloadStore, encode_into

_free = lib.forebay_pipeline_free

Graph = Mapping[Steps, Optional[Steps]]


class Pipeline:
    """A graph of steps; `Client.run` has it executed, any number of times.

    Each step is a job. It begins when the steps it needs are done, and is given their results as frames behind its own
    payload:

        page = Pipeline("page")
        page.step("text", "fetch", b"http://localhost/")
        page.step("words", "count-words", needs=["text"])

    `graph` says the same as a dictionary, from each `Step`, or each tuple of them, to those that are given its result:

        Pipeline("page", {Step("fetch", b"http://localhost/"): Step("count-words")})

    Without a name its name is "pipeline". `store` is where payloads of steps are put away that are large.
    """

    def __init__(
        self,
        name: Union[str, Graph] = "pipeline",
        graph: Optional[Graph] = None,
        *,
        store: Optional[PayloadStore] = None,
    ) -> None:
        self.store = store
        if isinstance(name, str):
            self.name = name
        else:
            self.name, graph = "pipeline", name
        self.pointer = ctypes.POINTER(_c.forebay_pipeline_t)()
        call(lib.forebay_pipeline_new, self.name.encode(), byref(self.pointer))
        every = steps_of(graph or {})
        for step, _ in every.values():
            self.step(
                step.name,
                step.queue,
                step.payload,
                may_fail=step.may_fail,
                headers=step.headers,
                **step.rules,
            )
        for step_name, (_, needs) in every.items():
            self._behind(step_name, needs, ())

    def __del__(self) -> None:
        pointer = getattr(self, "pointer", None)
        if pointer:
            _free(pointer)

    def step(
        self,
        name: str,
        queue: str,
        payload: Any = b"",
        *,
        needs: Iterable[str] = (),
        after: Iterable[str] = (),
        may_fail: bool = False,
        headers: Optional[Headers] = None,
        **rules: Any,
    ) -> "Pipeline":
        """Adds a step behind those it `needs`, whose results it is given in that order, and those it is only to come `after`.

        With `may_fail` the run goes on without its result when it does not end DONE. `rules` are the keys of the family
        "job" in docs/OPTIONS.md without its name.
        """
        submission = self._submission(queue, payload, headers, rules)
        return self._add(name, submission, 0, may_fail, needs, after)

    def each(
        self,
        name: str,
        queue: str,
        payload: Any = b"",
        *,
        needs: Iterable[str],
        after: Iterable[str] = (),
        may_fail: bool = False,
        collected: bool = False,
        headers: Optional[Headers] = None,
        **rules: Any,
    ) -> "Pipeline":
        """Adds a step that is one job for each frame of the results it takes, and is given that frame behind its payload.

        What needs it begins when all of them are done, and is given their results in order.
        """
        submission = self._submission(queue, payload, headers, rules)
        flags = _c.STEP_EACH | (_c.STEP_COLLECT if collected else 0)
        return self._add(name, submission, flags, may_fail, needs, after)

    def stage(
        self,
        name: str,
        queue: str,
        *,
        after: Iterable[str] = (),
        may_fail: bool = False,
        collected: bool = False,
        headers: Optional[Headers] = None,
        **rules: Any,
    ) -> "Pipeline":
        """Adds an open stage: `Client.add` adds jobs to it while the run goes on, until `Client.close_stage`.

        They have the queue, headers and rules said here where they say nothing themselves. A `collected` stage hands its
        results to `Client.collect`.
        """
        submission = self._submission(queue, b"", headers, rules)
        flags = _c.STEP_OPEN | (_c.STEP_COLLECT if collected else 0)
        return self._add(name, submission, flags, may_fail, (), after)

    def _submission(
        self, queue: str, payload: Any, headers: Optional[Headers], rules: Dict[str, Any]
    ) -> Submission:
        return Submission(queue, encode_into(self.store, payload), headers, None, rules)

    def _add(
        self,
        name: str,
        submission: Submission,
        flags: int,
        may_fail: bool,
        needs: Iterable[str],
        after: Iterable[str],
    ) -> "Pipeline":
        flags |= _c.STEP_CONTINUE if may_fail else 0
        call(lib.forebay_pipeline_step, self.pointer, name.encode(), byref(submission.struct), flags)
        return self._behind(name, needs, after)

    def _behind(self, name: str, needs: Iterable[str], after: Iterable[str]) -> "Pipeline":
        for needed in needs:
            call(lib.forebay_pipeline_after, self.pointer, name.encode(), needed.encode(), _c.NEED_RESULT)
        for before in after:
            call(lib.forebay_pipeline_after, self.pointer, name.encode(), before.encode(), 0)
        return self

    def hold(self) -> "Pipeline":
        """Has each run wait for its context, `Client.set_context`, before any step begins."""
        call(lib.forebay_pipeline_hold, self.pointer)
        return self

    def dot(self) -> str:
        """The graph in the language of Graphviz."""
        length = lib.forebay_pipeline_dot(self.pointer, None, 0)
        text = ctypes.create_string_buffer(length + 1)
        lib.forebay_pipeline_dot(self.pointer, text, length + 1)
        return text.value.decode()
