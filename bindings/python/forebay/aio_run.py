"""Runs and collectors for asyncio.

Waits of the library are had in slices by threads of the client's own, which nobody interrupts: what a slice brings is kept for
the next one who asks when who asked was cancelled meanwhile.

Invariant: a cancelled wait loses nothing, and no thread outlives its client by more than a slice.
"""

from __future__ import annotations

import asyncio
import collections
import time
from concurrent.futures import Executor
from typing import (
    TYPE_CHECKING,
    Any,
    AsyncIterator,
    Callable,
    Coroutine,
    Deque,
    Dict,
    Generic,
    List,
    Optional,
    Tuple,
    TypeVar,
    Union,
)
from uuid import UUID

from . import _requests, codec
from ._desk import Desk
from ._progress import Bar
from .collector import Collector
from .errors import NotFoundError, TimedOut
from .future import Seconds
from .result import Result
from .run import StepResult, Steps, late, seconds_to, until

if TYPE_CHECKING:
    from .aio import AsyncClient

# How long a thread waits before it looks whether anybody still wants it to.
SLICE_S = 0.25

Answer = TypeVar("Answer")


class Waiter(Generic[Answer]):
    """One wait of the library for whoever awaits it; `ask` waits up to so many seconds, and gives None for nothing yet."""

    def __init__(self, threads: Executor, ask: Callable[[float], Optional[Answer]]) -> None:
        self._threads, self._ask = threads, ask
        self._going: "Optional[asyncio.Future[Optional[Answer]]]" = None

    async def get(self, end: Optional[float]) -> Optional[Answer]:
        """What it brings; None when the time is over."""
        loop = asyncio.get_running_loop()
        while True:
            left_s = seconds_to(end)
            if self._going is None:
                slice_s = SLICE_S if left_s is None else min(SLICE_S, left_s)
                self._going = loop.run_in_executor(self._threads, self._ask, slice_s)
                # Nobody may come for it: no warning for that.
                self._going.add_done_callback(_looked_at)
            going = self._going
            # It ends by itself: who is cancelled here leaves it to the next.
            await asyncio.wait([going])
            if self._going is going:
                self._going = None
                answer = going.result()
                if answer is not None:
                    return answer
            if left_s == 0:
                return None


class AsyncRun(UUID):
    """A run that was handed in: its id, and how to follow it, as `Run` is for threads.

        run = await client.run(pipeline)
        async for step in run.results():
            print(step.name, step.value())

    `AsyncRun(client, id)` follows one that another process has handed in.
    """

    _client: "AsyncClient"

    def __init__(self, client: "AsyncClient", id: UUID) -> None:
        super().__init__(int=id.int)
        plain = UUID(int=id.int)
        kept: List[Result] = []

        def ask(seconds: float) -> Optional[Result]:
            result = kept[0] if kept else _requests.wait(client._desk, plain, seconds)
            if result is not None and not kept:
                result._bring()
                kept.append(result)
            return result

        # A UUID lets nothing be set.
        self.__dict__.update(_client=client, _result=kept, _waiter=Waiter(client._threads, ask))

    def __repr__(self) -> str:
        return f"<forebay.AsyncRun {self}>"

    def __reduce__(self) -> Any:
        # It travels as its id.
        return UUID, (str(self),)

    def __aiter__(self) -> AsyncIterator[StepResult]:
        return self.results()

    def results(self, timeout: Seconds = None, progress: bool = False) -> "AsyncResults":
        """The steps that began, as they end, and then what a run raises that is not DONE, as Run.results does.

        Who is cancelled while he waits for one may go on with the same iterator: nothing is left out.
        """
        return AsyncResults(self, timeout, progress)

    async def wait(self, timeout: Seconds = None, progress: bool = False) -> Result:
        """How the run ended, whatever its outcome, as Run.wait does."""
        waiter: Waiter[Result] = self.__dict__["_waiter"]
        end = until(timeout)
        if progress and not self.__dict__["_result"]:
            steps = Steps(self, timeout)
            with Bar(True) as bar:
                while not steps.is_over:
                    await self._look(steps, bar)
                    if not steps.is_over:
                        await asyncio.sleep(steps.pause_s())
        result = await waiter.get(end)
        if result is None:
            raise late(self, timeout)
        return result

    async def _look(self, steps: Steps, bar: Bar) -> List[Dict[str, Any]]:
        """Asks how far the run is: the steps that have ended since."""
        asked = time.monotonic()
        try:
            shown = await self._apart(_requests.shown, self, steps.patience_s)
        except TimedOut:
            steps.late()
            return []
        bar.show(shown)
        return steps.see(shown, time.monotonic() - asked)

    async def _result_of(self, steps: Steps, step: Dict[str, Any]) -> StepResult:
        if step["job"] is None:
            return StepResult(step, None)
        while True:
            try:
                return steps.result(step, await self._apart(_peek, UUID(step["job"]), steps.patience_s))
            except TimedOut:
                steps.late()
            except NotFoundError:
                raise steps.gone(step) from None

    async def _apart(self, ask: Callable[..., Any], *arguments: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._client._threads, ask, self._client._desk, *arguments)


class AsyncResults:
    """Goes through the steps of a run as they end; `AsyncRun.results` makes it."""

    # No generator: one that is cancelled is over, and its next step would look like the end of the run.
    def __init__(self, run: AsyncRun, timeout: Seconds, progress: bool) -> None:
        self._run = run
        self._steps, self._bar = Steps(run, timeout), Bar(progress)
        self._line: Deque[Dict[str, Any]] = collections.deque()
        # What is under way for whoever comes next; it ends soon and by itself.
        self._going: "Optional[asyncio.Future[Any]]" = None
        self._ask_at = 0.0

    def __aiter__(self) -> "AsyncResults":
        return self

    async def __anext__(self) -> StepResult:
        while True:
            if self._going is None and not await self._begin():
                continue
            going = self._going
            assert going is not None
            await asyncio.wait([going])
            if self._going is not going:
                continue
            self._going = None
            got: Union[StepResult, List[Dict[str, Any]]] = going.result()
            if isinstance(got, StepResult):
                self._line.popleft()
                return got
            self._line.extend(got)
            if not self._steps.is_over:
                self._ask_at = time.monotonic() + self._steps.pause_s()

    async def _begin(self) -> bool:
        """Begins to fetch the next result, or to ask for steps that have ended; False: another task has, meanwhile."""
        what: "Coroutine[Any, Any, Any]"
        if self._line:
            what = self._run._result_of(self._steps, self._line[0])
        elif self._steps.is_over:
            self._bar.close()
            raise self._steps.failure() or StopAsyncIteration
        else:
            await asyncio.sleep(max(0.0, self._ask_at - time.monotonic()))
            if self._going is not None or self._line or self._steps.is_over:
                return False
            what = self._run._look(self._steps, self._bar)
        self._going = asyncio.ensure_future(what)
        self._going.add_done_callback(_looked_at)
        return True


class AsyncCollector:
    """Takes the results of a collected stage; `AsyncClient.collect` makes it, and `Collector` says what it does.

    async with client.collect(run, "pages", "indexer") as collector:
        async for result in collector:
            await index(result.value())
            await collector.ack(result)
    """

    def __init__(self, client: "AsyncClient", collector: Collector) -> None:
        self._threads, self._collector = client._threads, collector
        self._waiter: "Waiter[Tuple[Optional[Result]]]" = Waiter(client._threads, self._ask)

    async def __aenter__(self) -> "AsyncCollector":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __aiter__(self) -> "AsyncCollector":
        return self

    async def __anext__(self) -> Result:
        result = await self.next()
        if result is None:
            raise StopAsyncIteration
        return result

    async def next(self, timeout: Seconds = None) -> Optional[Result]:
        """The next result; None behind the last. TimedOut when none came in `timeout` seconds. Cancelled, it loses none."""
        got = await self._waiter.get(until(timeout))
        if got is None:
            raise TimedOut(f"no result came within {timeout} s")
        return got[0]

    @property
    def context(self) -> bytes:
        """The run's context, as Collector.context tells it."""
        return self._collector.context

    async def ack(self, result: Result, data: codec.Bytes = b"", timeout: Seconds = 30) -> None:
        """Acknowledges a result for good, as Collector.ack does."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, self._collector.ack, result, data, timeout)

    async def close(self) -> None:
        """Frees it. What it has not acknowledged waits for the next one under its name."""
        await asyncio.get_running_loop().run_in_executor(None, self._collector.close)

    def _ask(self, seconds: float) -> "Optional[Tuple[Optional[Result]]]":
        try:
            result = self._collector.next(seconds)
        except TimedOut:
            return None
        if result is not None:
            result._bring()
        return (result,)


def _peek(desk: Desk, id: UUID, timeout: Seconds) -> Result:
    """How a job stands, with what the payload store has of it."""
    result = _requests.peek(desk, id, timeout)
    result._bring()
    return result


def _looked_at(future: "asyncio.Future[Any]") -> None:
    if not future.cancelled():
        future.exception()
