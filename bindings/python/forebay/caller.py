"""Calls, submissions and maps, over whatever starts a job.

Invariant: a job whose caller left, by an exception or by closing a map, is cancelled.
"""

from __future__ import annotations

import collections
import concurrent.futures
import queue as queues
import time
from typing import Any, Callable, Deque, Dict, Iterable, Iterator, List, Optional, Union
from uuid import UUID

from . import _c, _desk
from .codec import Headers
from .errors import Error, JobError, JobExpired, TimedOut, error_of
from .future import JobFuture, News, Seconds, seconds_of

# How long a call waits beyond its deadline for the broker to say that it has passed.
GRACE_S = 0.25
# How often room in the client's window is looked for.
ROOM_S = 0.005


class Caller:
    """Calls, submissions and maps over whatever `_start` does with a job."""

    def call(
        self,
        queue: str,
        payload: Any = b"",
        *,
        timeout: Seconds = None,
        headers: Optional[Headers] = None,
        on_progress: News = None,
        on_partial: News = None,
        **rules: Any,
    ) -> Any:
        """Runs a job and gives what its handler returned. Raises the JobError of a job that does not end DONE.

        `timeout` in seconds is the job's deadline too. `rules` are the keys of the family "job" in docs/OPTIONS.md
        without its name, such as `priority=8, attempts=1, run_ms="10m"`. `on_progress` and `on_partial` are called with
        a Result by the thread that takes the news.
        """
        rules.setdefault("level", "volatile")
        seconds = seconds_of(timeout)
        if seconds is not None:
            rules.setdefault("deadline_ms", max(1, round(seconds * 1000)))
            seconds += GRACE_S
        future = self._start(queue, payload, 0, headers, None, rules, on_progress, on_partial, seconds)
        try:
            return future.result(seconds)
        except (TimedOut, JobExpired) as error:
            self._leave(future)
            # A client that has no broker sees by itself that the deadline passed, or this thread does: it is all the same.
            is_alone = isinstance(error, TimedOut) or bool(self._no_broker())
            raise self._too_late(future, timeout) if is_alone else error from None
        except JobError:
            raise
        except BaseException:
            # Nothing runs on for a caller who left.
            self._leave(future)
            raise

    def submit(
        self,
        queue: str,
        payload: Any = b"",
        *,
        timeout: Seconds = 30,
        id: Optional[UUID] = None,
        headers: Optional[Headers] = None,
        on_progress: News = None,
        on_partial: News = None,
        **rules: Any,
    ) -> JobFuture:
        """Hands a job in, waits until the broker holds it, and gives its future.

        UnconfirmedError when the broker has not answered in `timeout` seconds: the job may exist; submit it again with
        `id=error.id`. BusyError and the like when the broker refuses it.
        """
        seconds = seconds_of(timeout)
        future = self._start(
            queue, payload, _desk.ACCEPTED, headers, id, rules, on_progress, on_partial, seconds
        )
        try:
            future._accepted.result(seconds)
        except concurrent.futures.TimeoutError:
            raise unconfirmed(future.id, queue, timeout, self._no_broker()) from None
        return future

    def map(
        self,
        queue: str,
        payloads: Iterable[Any],
        *,
        ordered: bool = True,
        window: int = 256,
        timeout: Seconds = None,
        return_exceptions: bool = False,
        headers: Optional[Headers] = None,
        **rules: Any,
    ) -> Iterator[Any]:
        """What the handler returns for each payload, in their order or, with `ordered=False`, as they come.

        At most `window` jobs are under way. They begin at once. The first job that does not end DONE raises its JobError
        and cancels the others, unless `return_exceptions`: then the error is what it gives. `timeout` is for all of it.
        """
        if window < 1:
            raise error_of(_c.ERR_ARGUMENT, f"window is {window}; it has to be at least 1")
        rules.setdefault("level", "volatile")
        seconds = seconds_of(timeout)
        end = None if seconds is None else time.monotonic() + seconds
        start = lambda payload: self._start(queue, payload, 0, headers, None, rules, None, None, _left(end))  # noqa: E731
        run = _Ordered() if ordered else _Unordered()
        source = iter(payloads)
        try:
            _fill(run, source, window, start)
        except BaseException:
            self._leave_all(run)
            raise
        return self._mapped(run, source, window, start, end, timeout, return_exceptions)

    def _mapped(
        self,
        run: "_Run",
        source: Iterator[Any],
        window: int,
        start: Any,
        end: Optional[float],
        timeout: Seconds,
        give: bool,
    ) -> Iterator[Any]:
        try:
            while run.count:
                future = run.take(_left(end))
                if future is None:
                    raise TimedOut(f"{run.count} jobs of the map have not ended in {timeout} s")
                try:
                    value = future.result()
                except (JobError, Error) as error:
                    if not give:
                        raise
                    value = error
                _fill(run, source, window, start)
                yield value
        finally:
            self._leave_all(run)

    def cancel(self, id: UUID, reason: Optional[str] = None, timeout: Seconds = 10) -> None:
        """Cancels a job: it is CANCELLED for ever, and a worker that runs it is told to stop.

        StateError when it has ended otherwise, NotFoundError for an unknown id.
        """
        raise NotImplementedError

    def _start(
        self,
        queue: str,
        payload: Any,
        want: int,
        headers: Optional[Headers],
        id: Optional[UUID],
        rules: Dict[str, Any],
        on_progress: News,
        on_partial: News,
        seconds: Optional[float],
    ) -> JobFuture:
        raise NotImplementedError

    def _leave_all(self, run: "_Run") -> None:
        for future in run.futures():
            self._leave(future)

    def _leave(self, future: JobFuture) -> None:
        """Cancels a job nobody waits for any more, without waiting."""

    def _no_broker(self) -> str:
        """Why there is no connection; empty when there is one."""
        return ""

    def _too_late(self, future: JobFuture, timeout: Seconds) -> TimedOut:
        return too_late(future.id, future.queue, timeout, self._no_broker())


def unconfirmed(id: UUID, queue: str, timeout: Seconds, no_broker: str) -> Error:
    """The error of a submission that the broker did not answer in time."""
    why = f" ({no_broker})" if no_broker else ""
    message = f"the broker has not answered in {timeout} s{why} whether it holds the job {id} in the queue {queue!r}"
    late = error_of(_c.ERR_UNCONFIRMED, f"{message}; submit it again with id=error.id to make sure", True)
    late.id = id
    return late


def too_late(id: UUID, queue: str, timeout: Seconds, no_broker: str) -> TimedOut:
    """The error of a wait for a job whose time was over."""
    why = f": {no_broker}" if no_broker else ""
    late = TimedOut(f"the job {id} in the queue {queue!r} has not ended in {timeout} s{why}")
    late.id = id
    return late


class _Ordered:
    """Jobs of a map in the order of their payloads."""

    def __init__(self) -> None:
        self._line: Deque[JobFuture] = collections.deque()

    @property
    def count(self) -> int:
        return len(self._line)

    def add(self, future: JobFuture) -> None:
        self._line.append(future)

    def take(self, seconds: Optional[float]) -> Optional[JobFuture]:
        concurrent.futures.wait([self._line[0]], seconds)
        return self._line.popleft() if self._line[0].done() else None

    def futures(self) -> List[JobFuture]:
        return list(self._line)


class _Unordered:
    """Jobs of a map as they end."""

    def __init__(self) -> None:
        self._ended: "queues.SimpleQueue[JobFuture]" = queues.SimpleQueue()
        self._running: Dict[int, JobFuture] = {}

    @property
    def count(self) -> int:
        return len(self._running)

    def add(self, future: JobFuture) -> None:
        self._running[id(future)] = future
        future.add_done_callback(self._ended.put)  # type: ignore[arg-type]

    def take(self, seconds: Optional[float]) -> Optional[JobFuture]:
        try:
            future = self._ended.get(timeout=seconds)
        except queues.Empty:
            return None
        return self._running.pop(id(future))

    def futures(self) -> List[JobFuture]:
        return list(self._running.values())


_Run = Union[_Ordered, _Unordered]


def _fill(run: _Run, source: Iterator[Any], window: int, start: "Callable[[Any], JobFuture]") -> None:
    while run.count < window:
        try:
            payload = next(source)
        except StopIteration:
            return
        run.add(start(payload))


def _left(end: Optional[float]) -> Optional[float]:
    return None if end is None else max(0.0, end - time.monotonic())
