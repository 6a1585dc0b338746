"""A job that was handed in, as Python's futures are.

Invariant: it is fulfilled once, whatever becomes of job, client and process.
"""

from __future__ import annotations

import concurrent.futures
import datetime as dt
import threading
from typing import TYPE_CHECKING, Any, Callable, List, Optional, Union
from uuid import UUID

from . import _c
from .errors import Error, JobCancelled, JobError, NotFoundError, StateError
from .result import Result

if TYPE_CHECKING:
    from .caller import Caller

Seconds = Union[None, float, dt.timedelta]
News = Optional[Callable[[Result], object]]


def seconds_of(timeout: Seconds) -> Optional[float]:
    """A timeout as Python's waits take it."""
    return timeout.total_seconds() if isinstance(timeout, dt.timedelta) else timeout


class JobFuture(concurrent.futures.Future):  # type: ignore[type-arg]
    """A job that was handed in. `result` gives what the handler returned, or raises the JobError it ended with."""

    id: UUID
    """The job's id."""
    queue: str
    """Where it was submitted."""

    def __init__(self, caller: "Caller", queue: str, on_progress: News, on_partial: News) -> None:
        super().__init__()
        self.queue = queue
        self._caller = caller
        self._accepted: "concurrent.futures.Future[None]" = concurrent.futures.Future()
        self._on = {_c.KIND_PROGRESS: on_progress, _c.KIND_PARTIAL: on_partial}

    def __repr__(self) -> str:
        return f"<forebay.JobFuture {getattr(self, 'id', None)} in {self.queue!r}, {'ended' if self.done() else 'under way'}>"

    def result(self, timeout: Seconds = None) -> Any:
        """What the handler returned. TimedOut when the job has not ended in time; it goes on."""
        return self.wait(timeout).value()

    def wait(self, timeout: Seconds = None) -> Result:
        """How the job ended, whatever its outcome."""
        concurrent.futures.wait([self], seconds_of(timeout))
        if not self.done():
            raise self._caller._too_late(self, timeout)
        error = super().exception()
        if isinstance(error, JobError) and error.result is not None:
            return error.result
        result: Result = super().result()
        return result

    def cancel(self) -> bool:
        """Cancels the job, wherever it is. True: it is cancelled for ever. False: it had ended."""
        if self.done():
            return self.cancelled()
        try:
            self._caller.cancel(self.id)
        except (StateError, NotFoundError):
            return self.cancelled()
        return True

    def cancelled(self) -> bool:
        """Whether it ended cancelled, by whomever."""
        return self.done() and isinstance(super().exception(), JobCancelled)

    def running(self) -> bool:
        """Whether it is under way; what the broker knows of it, `client.peek` tells."""
        return not self.done()

    def news(self, result: Result) -> None:
        if result.kind == _c.KIND_RESULT:
            error = result.error()
            if error is None:
                self.set_result(result)
            else:
                self.set_exception(error)
            self._accept(None)
        elif result.kind == _c.KIND_REFUSED:
            self.gone(result.refusal())
        elif result.kind == _c.KIND_ACCEPTED:
            self._accept(None)
        else:
            told = self._on.get(result.kind)
            if told is not None:
                told(result)

    def gone(self, error: Error) -> None:
        self._accept(error)
        if not self.done():
            self.set_exception(error)

    def forget(self, error: Error) -> None:
        """In a forked child: whoever held its locks or waited for it is not there."""
        self._condition = threading.Condition()
        self._done_callbacks: List[Any] = []
        self._accepted = concurrent.futures.Future()
        self.gone(error)

    def _accept(self, error: Optional[Error]) -> None:
        if self._accepted.done():
            return
        if error is None:
            self._accepted.set_result(None)
        else:
            self._accepted.set_exception(error)
