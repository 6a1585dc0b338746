"""The asyncio client: the library's descriptor in the event loop, and no thread for the jobs.

Invariant: everything that touches a job runs in the loop that the client was first used in.
"""

from __future__ import annotations

import asyncio
import collections
from concurrent.futures import ThreadPoolExecutor
from typing import (
    Any,
    AsyncIterable,
    AsyncIterator,
    Deque,
    Dict,
    Generator,
    Iterable,
    List,
    Optional,
    Set,
    Union,
)
from uuid import UUID

from . import _c, _desk, _requests
from ._desk import Desk
from ._library import lib
from ._requests import id_of
from .aio_run import AsyncCollector, AsyncRun, Waiter
from .caller import GRACE_S, ROOM_S, too_late, unconfirmed
from .client import no_broker, stats_of
from .codec import Bytes, Encoded, Headers
from .collector import Collector
from .errors import BusyError, Error, JobError, Outcome, TimedOut, error_of
from .future import News, Seconds, seconds_of
from .pipeline import Pipeline
from .result import Result
from .run import until
from .stored import PayloadStore, encode_into

# Waits at once, beside the loop.
_THREADS_MAX = 32
# Pieces of news after which other tasks get their turn.
_TURNS_MAX = 8


class AsyncJob:
    """A job that was handed in. `await job` gives what the handler returned, or raises the JobError it ended with."""

    def __init__(self, client: "AsyncClient", queue: str, on_progress: News, on_partial: News) -> None:
        loop = asyncio.get_running_loop()
        self.id: UUID
        self.queue = queue
        self._client = client
        self._accepted: "asyncio.Future[None]" = loop.create_future()
        self._ended: "asyncio.Future[Result]" = loop.create_future()
        # Nobody has to look: no warning for what was not.
        self._accepted.add_done_callback(_looked_at)
        self._ended.add_done_callback(_looked_at)
        self._on = {_c.KIND_PROGRESS: on_progress, _c.KIND_PARTIAL: on_partial}

    def __await__(self) -> Generator[Any, None, Any]:
        return self._value().__await__()

    async def _value(self) -> Any:
        return await self._client._value(await self.wait())

    async def wait(self) -> Result:
        """How the job ended, whatever its outcome."""
        return await asyncio.shield(self._ended)

    def done(self) -> bool:
        """Whether it has ended."""
        return self._ended.done()

    async def cancel(self) -> None:
        """Cancels the job, wherever it is."""
        await self._client.cancel(self.id)

    def news(self, result: Result) -> None:
        if result.kind == _c.KIND_RESULT:
            _fulfil(self._accepted, None)
            _fulfil(self._ended, result)
        elif result.kind == _c.KIND_REFUSED:
            self.gone(result.refusal())
        elif result.kind == _c.KIND_ACCEPTED:
            _fulfil(self._accepted, None)
        else:
            told = self._on.get(result.kind)
            if told is not None:
                told(result)

    def gone(self, error: Error) -> None:
        for future in (self._accepted, self._ended):
            # Nobody waits in a loop that is closed.
            if not future.done() and not future.get_loop().is_closed():
                future.set_exception(error)

    def forget(self, error: Error) -> None:
        """In a forked child the loop is not running: nobody is there to be told."""


def _fulfil(future: "asyncio.Future[Any]", value: Any) -> None:
    if not future.done():
        future.set_result(value)


def _looked_at(future: "asyncio.Future[Any]") -> None:
    if not future.cancelled():
        future.exception()


class AsyncClient:
    """A connection that submits jobs, for asyncio. Arguments as for Client."""

    def __init__(
        self, endpoint: Optional[str] = None, *, store: Optional[PayloadStore] = None, **options: Any
    ) -> None:
        self._desk = Desk(endpoint, options, store)
        # For what the library waits for and for the payload store; jobs need none of them.
        self._threads = ThreadPoolExecutor(_THREADS_MAX, "forebay-wait")
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._fd = -1

    async def __aenter__(self) -> "AsyncClient":
        self._watch()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            with self._desk.handle as client:
                self._fd = lib.forebay_client_fd(client)
            loop.add_reader(self._fd, self._readable)
            self._loop = loop
        elif self._loop is not loop:
            raise error_of(
                _c.ERR_STATE,
                "an AsyncClient belongs to the event loop it was first used in; open one in each",
            )

    def _readable(self) -> None:
        try:
            for _ in range(_TURNS_MAX):
                if self._desk.take(0) != _c.OK:
                    return
        except Error:
            self._unwatch()

    def _unwatch(self) -> None:
        if self._loop is not None and self._fd >= 0:
            self._loop.remove_reader(self._fd)
            self._fd = -1

    async def close(self) -> None:
        """Closes the connection, as Client.close does."""
        self._unwatch()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._desk.handle.close)
        self._desk.close()

    async def call(
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
        """Runs a job and gives what its handler returned, as Client.call does. A call that is cancelled cancels its job."""
        rules.setdefault("level", "volatile")
        seconds = seconds_of(timeout)
        if seconds is not None:
            rules.setdefault("deadline_ms", max(1, round(seconds * 1000)))
            seconds += GRACE_S
        job = await self._start(queue, payload, 0, headers, None, rules, on_progress, on_partial)
        try:
            result = await asyncio.wait_for(job.wait(), seconds)
        except asyncio.TimeoutError:
            self._leave(job)
            raise too_late(job.id, queue, timeout, no_broker(self._desk)) from None
        except asyncio.CancelledError:
            self._leave(job)
            raise
        if result.outcome == Outcome.EXPIRED and timeout is not None and no_broker(self._desk):
            # A client that has no broker sees by itself that the deadline passed, or the loop does: it is all the same.
            raise too_late(job.id, queue, timeout, no_broker(self._desk))
        return await self._value(result)

    async def submit(
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
    ) -> AsyncJob:
        """Hands a job in, waits until the broker holds it, and gives it, as Client.submit does."""
        job = await self._start(queue, payload, _desk.ACCEPTED, headers, id, rules, on_progress, on_partial)
        try:
            await asyncio.wait_for(asyncio.shield(job._accepted), seconds_of(timeout))
        except asyncio.TimeoutError:
            raise unconfirmed(job.id, queue, timeout, no_broker(self._desk)) from None
        return job

    async def map(
        self,
        queue: str,
        payloads: Union[Iterable[Any], AsyncIterable[Any]],
        *,
        ordered: bool = True,
        window: int = 256,
        return_exceptions: bool = False,
        headers: Optional[Headers] = None,
        **rules: Any,
    ) -> AsyncIterator[Any]:
        """What the handler returns for each payload, as Client.map does."""
        rules.setdefault("level", "volatile")
        source = _source(payloads)
        line: Deque[AsyncJob] = collections.deque()
        waits: Dict["asyncio.Future[Result]", AsyncJob] = {}
        try:
            is_over = False
            while True:
                while not is_over and len(line) < window:
                    try:
                        payload = await source.__anext__()
                    except StopAsyncIteration:
                        is_over = True
                        break
                    job = await self._start(queue, payload, 0, headers, None, rules, None, None)
                    line.append(job)
                    waits[job._ended] = job
                if not line:
                    return
                job = await _first(line, waits, ordered)
                try:
                    value = await self._value(await job.wait())
                except (JobError, Error) as error:
                    if not return_exceptions:
                        raise
                    value = error
                yield value
        finally:
            for job in line:
                self._leave(job)

    async def ready(self, timeout: Seconds = None) -> None:
        """Waits until the broker has welcomed this client."""
        await self._done(timeout, lib.forebay_client_ready)

    async def wait_workers(self, queue: str, n: int = 1, timeout: Seconds = None) -> None:
        """Waits until at least `n` workers have registered a queue."""
        await self._done(timeout, lib.forebay_client_wait_workers, queue.encode(), n)

    async def cancel(self, id: UUID, reason: Optional[str] = None, timeout: Seconds = 10) -> None:
        """Cancels a job, as Client.cancel does."""
        await self._apart(_requests.cancel, self._desk, id, reason, timeout)

    async def peek(self, id: UUID, timeout: Seconds = 10) -> Result:
        """How a job stands, without taking its result."""
        result: Result = await self._apart(_requests.peek, self._desk, id, timeout)
        return result

    async def admin(self, command: str, timeout: Seconds = 10, **arguments: Any) -> Any:
        """An operator's command, as Client.admin does."""
        return await self._apart(_requests.admin, self._desk, command, timeout, arguments)

    def stats(self) -> Dict[str, Any]:
        """What this client has counted."""
        return stats_of(self._desk.handle)

    async def run(
        self,
        pipeline: Pipeline,
        *,
        timeout: Seconds = 30,
        id: Optional[UUID] = None,
        headers: Optional[Headers] = None,
        context: Optional[Bytes] = None,
        **rules: Any,
    ) -> AsyncRun:
        """Hands a pipeline in, waits until the broker holds its run, and gives the run, as Client.run does."""
        arguments = (timeout, id, headers, context, rules)
        return AsyncRun(self, await self._apart(_requests.run, self._desk, pipeline, *arguments))

    async def add(
        self,
        run: UUID,
        stage: str,
        payloads: Iterable[Any],
        *,
        queue: Optional[str] = None,
        timeout: Seconds = 30,
        headers: Optional[Headers] = None,
        **rules: Any,
    ) -> List[UUID]:
        """Adds a job for each payload to an open stage of a run, as Client.add does."""
        jobs, arguments = list(payloads), (timeout, queue, headers, rules)
        ids: List[UUID] = await self._apart(_requests.add, self._desk, run, stage, jobs, *arguments)
        return ids

    async def close_stage(
        self, run: UUID, stage: str, count: Optional[int] = None, timeout: Seconds = 30
    ) -> None:
        """Closes an open stage of a run, as Client.close_stage does."""
        await self._apart(_requests.close_stage, self._desk, run, stage, count, timeout)

    async def set_context(self, run: UUID, context: Bytes, timeout: Seconds = 30) -> None:
        """Gives a run its context, as Client.set_context does."""
        await self._apart(_requests.set_context, self._desk, run, context, timeout)

    def collect(self, run: UUID, stage: str, name: str, in_order: bool = False) -> AsyncCollector:
        """A collector of the results of a collected stage, as Client.collect makes; `async for` goes through them."""
        return AsyncCollector(self, Collector(self, run, stage, name, in_order))

    async def acked(self, run: UUID, stage: str, after: int = 0, timeout: Seconds = None) -> Optional[Result]:
        """What the collector of a stage said with its acknowledgement number `after` + 1, as Client.acked tells."""
        ask = lambda seconds: _requests.acked(self._desk, run, stage, after, seconds)  # noqa: E731
        told = await Waiter(self._threads, ask).get(until(timeout))
        return None if told is None else told[0]

    async def _done(self, timeout: Seconds, function: Any, *arguments: Any) -> None:
        """Waits until something is the case."""

        def ask(seconds: float) -> Optional[bool]:
            try:
                self._desk.handle.do(function, *arguments, timeout=seconds)
            except TimedOut:
                return None
            return True

        if await Waiter(self._threads, ask).get(until(timeout)) is None:
            raise TimedOut(f"nothing came within {timeout} s")

    async def _apart(self, function: Any, *arguments: Any) -> Any:
        """Runs a call that waits beside the loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    async def _value(self, result: Result) -> Any:
        """What the handler returned; the loop does not wait for the payload store."""
        if self._desk.store is not None:
            await self._apart(result._bring)
        return result.value()

    def _its_desk(self) -> Desk:
        return self._desk

    async def _start(
        self,
        queue: str,
        payload: Any,
        want: int,
        headers: Optional[Headers],
        id: Optional[UUID],
        rules: Dict[str, Any],
        on_progress: News,
        on_partial: News,
    ) -> AsyncJob:
        self._watch()
        if self._desk.store is not None and not isinstance(payload, Encoded):
            payload = await self._apart(encode_into, self._desk.store, payload)
        job = AsyncJob(self, queue, on_progress, on_partial)
        want |= _desk.RESULT | _desk.REFUSED
        want |= _desk.PROGRESS if on_progress else 0
        want |= _desk.PARTIAL if on_partial else 0
        while True:
            try:
                job.id = self._desk.hand_in(job, queue, payload, want, headers, id, rules)
                return job
            except BusyError:
                # The window has room again as the broker takes jobs or they end.
                await asyncio.sleep(ROOM_S)

    def _leave(self, job: AsyncJob) -> None:
        """Cancels a job nobody waits for any more, without waiting."""
        if job.done():
            return
        try:
            with self._desk.handle as client:
                lib.forebay_client_cancel(client, id_of(job.id), b"its caller left", 0, None)
        except Error:
            pass


async def _first(
    line: Deque[AsyncJob], waits: "Dict[asyncio.Future[Result], AsyncJob]", ordered: bool
) -> AsyncJob:
    """The job of a map whose turn it is, taken out."""
    if ordered:
        job = line[0]
    else:
        done: "Set[asyncio.Future[Result]]"
        done, _ = await asyncio.wait(list(waits), return_when=asyncio.FIRST_COMPLETED)
        job = waits[next(iter(done))]
    if not job.done():
        await asyncio.wait([job._ended])
    line.remove(job)
    del waits[job._ended]
    return job


async def _source(payloads: Any) -> AsyncIterator[Any]:
    if hasattr(payloads, "__aiter__"):
        async for payload in payloads:
            yield payload
    else:
        for payload in payloads:
            yield payload
