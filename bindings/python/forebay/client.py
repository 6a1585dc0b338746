"""The blocking client: submits jobs from any thread and hands their results over as futures.

One thread of Python takes the news from the library and fulfils the futures, so that every wait is a wait of Python, which
Ctrl-C ends.

Invariant: a future is fulfilled once, whatever becomes of job, client and process.
"""

from __future__ import annotations

import atexit
import collections
import concurrent.futures
import ctypes
import datetime as dt
import json
import queue as queues
import threading
import time
import weakref
from typing import Any, Callable, Deque, Dict, Iterable, Iterator, List, Optional, Union
from uuid import UUID

from . import _c, _desk
from ._desk import Desk
from ._library import Forgetful, call, lib
from .codec import Headers
from .errors import BusyError, Error, JobCancelled, JobError, NotFoundError, StateError, TimedOut, error_of
from .options import Options, pointer
from .result import Result

Seconds = Union[None, float, dt.timedelta]
News = Optional[Callable[[Result], object]]

# How long a call waits beyond its deadline for the broker to say that it has passed.
_GRACE_S = 0.25
# How often room in the client's window is looked for.
_ROOM_S = 0.005


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
        concurrent.futures.wait([self], _seconds(timeout))
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
        seconds = _seconds(timeout)
        if seconds is not None:
            rules.setdefault("deadline_ms", max(1, round(seconds * 1000)))
            seconds += _GRACE_S
        future = self._start(queue, payload, 0, headers, None, rules, on_progress, on_partial, seconds)
        try:
            return future.result(seconds)
        except JobError:
            raise
        except TimedOut:
            self._leave(future)
            raise self._too_late(future, timeout) from None
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
        seconds = _seconds(timeout)
        future = self._start(queue, payload, _desk.ACCEPTED, headers, id, rules, on_progress, on_partial, seconds)
        try:
            future._accepted.result(seconds)
        except concurrent.futures.TimeoutError:
            late = error_of(_c.ERR_UNCONFIRMED, f"{self._too_late(future, timeout)}; submit the same id again to make sure", True)
            late.id = future.id
            raise late from None
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
        seconds = _seconds(timeout)
        end = None if seconds is None else time.monotonic() + seconds
        start = lambda payload: self._start(queue, payload, 0, headers, None, rules, None, None, _left(end))  # noqa: E731
        run = _Ordered() if ordered else _Unordered()
        source = iter(payloads)
        _fill(run, source, window, start)
        return self._mapped(run, source, window, start, end, timeout, return_exceptions)

    def _mapped(
        self, run: "_Run", source: Iterator[Any], window: int, start: Any, end: Optional[float], timeout: Seconds, give: bool
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
            for future in run.futures():
                self._leave(future)

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

    def _leave(self, future: JobFuture) -> None:
        """Cancels a job nobody waits for any more, without waiting."""

    def _too_late(self, future: JobFuture, timeout: Seconds) -> TimedOut:
        return TimedOut(f"the job {future.id} in the queue {future.queue!r} has not ended in {timeout} s")


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


class Client(Caller, Forgetful):
    """A connection that submits jobs. Any thread may use it; a forked or spawned process gets a connection of its own.

    `endpoint`: None, $FOREBAY_BROKER, else the default one. It opens at once and finds the broker by itself, also after a
    restart. `options` are the keys of the family "client" in docs/OPTIONS.md without its name, such as `name="web-3"`.
    """

    def __init__(self, endpoint: Optional[str] = None, **options: Any) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._options = options
        self._lock = threading.Lock()
        self._taker: Optional[threading.Thread] = None
        self._is_closed = False
        self._desk: Optional[Desk] = Desk(endpoint, options)
        _clients.add(self)

    def _forget(self) -> None:
        # The child opens its own connection when it first needs one; what was under way is the parent's.
        desk = self._desk
        self._lock, self._desk, self._taker = threading.Lock(), None, None
        if desk is not None:
            desk.forget()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # Elsewhere: this may run in any thread, also in one that the closing would wait for.
        desk = getattr(self, "_desk", None)
        if desk is not None:
            threading.Thread(target=desk.close, name="forebay-close").start()

    def __repr__(self) -> str:
        return f"<forebay.Client {self._endpoint or 'at the default broker'}, {self.state}>"

    def __reduce__(self) -> Any:
        return _opened, (type(self), self._endpoint, self._options)

    def close(self) -> None:
        """Closes the connection: waits up to client.linger_ms for what is still to be sent. Jobs the broker holds run on;
        futures that are not fulfilled raise ClosedError."""
        with self._lock:
            self._is_closed = True
            desk, self._desk = self._desk, None
        if desk is not None:
            desk.close()

    @property
    def state(self) -> str:
        """How it stands with its broker: connecting, ready, draining, refused or closed."""
        desk = self._desk
        if desk is None:
            return "closed" if self._is_closed else "connecting"
        try:
            with desk.handle as client:
                return ("connecting", "ready", "draining", "refused", "closed")[lib.forebay_client_state(client)]
        except Error:
            return "closed"

    def ready(self, timeout: Seconds = None) -> None:
        """Waits until the broker has welcomed this client. IoError names the address and the cause where there is one."""
        self._its_desk().handle.do(lib.forebay_client_ready, timeout=timeout)

    def wait(self, id: UUID, timeout: Seconds = None) -> Result:
        """The result of a job that this process has no future of, submitted under this client's name before."""
        handle = self._its_desk().handle
        return _result(handle.wait(lib.forebay_client_wait, _id(id), timeout=timeout), f"the job {id} has not ended", timeout)

    def peek(self, id: UUID, timeout: Seconds = 10) -> Result:
        """How a job stands, without taking its result."""
        handle = self._its_desk().handle
        return _result(handle.wait(lib.forebay_client_peek, _id(id), timeout=timeout), "the broker has not answered", timeout)

    def cancel(self, id: UUID, reason: Optional[str] = None, timeout: Seconds = 10) -> None:
        self._its_desk().handle.do(lib.forebay_client_cancel, _id(id), reason and reason.encode(), timeout=timeout)

    def wait_workers(self, queue: str, n: int = 1, timeout: Seconds = None) -> None:
        """Waits until at least `n` workers have registered a queue."""
        self._its_desk().handle.do(lib.forebay_client_wait_workers, queue.encode(), n, timeout=timeout)

    def admin(self, command: str, timeout: Seconds = 10, **arguments: Any) -> Any:
        """An operator's command of docs/ADMIN.md, such as `admin("queue.list", queue="resize")`: what its JSON says."""
        chosen = Options({f"admin.{key}": value for key, value in arguments.items()})
        handle = self._its_desk().handle
        told = handle.wait(lib.forebay_client_admin, command.encode(), pointer(chosen), timeout=timeout)
        return json.loads(_result(told, "the broker has not answered", timeout).data)

    def stats(self) -> Dict[str, Any]:
        """What this client has counted."""
        return stats_of(self._its_desk().handle)

    def _its_desk(self) -> Desk:
        desk = self._desk
        if desk is not None:
            return desk
        with self._lock:
            if self._is_closed:
                raise error_of(_c.ERR_CLOSED, "the client is closed")
            if self._desk is None:
                self._desk = Desk(self._endpoint, self._options)
            return self._desk

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
        desk = self._its_desk()
        self._take_news(desk)
        future = JobFuture(self, queue, on_progress, on_partial)
        want |= _desk.RESULT | _desk.REFUSED
        want |= _desk.PROGRESS if on_progress else 0
        want |= _desk.PARTIAL if on_partial else 0
        end = None if seconds is None else time.monotonic() + seconds
        while True:
            try:
                future.id = desk.hand_in(future, queue, payload, want, headers, id, rules)
                return future
            except BusyError:
                # The window has room again as the broker takes jobs or they end.
                if end is not None and time.monotonic() > end:
                    raise
                time.sleep(_ROOM_S)

    def _take_news(self, desk: Desk) -> None:
        """Starts the thread that takes the news, once there can be any."""
        if self._taker is None:
            with self._lock:
                if self._taker is None:
                    self._taker = threading.Thread(target=_take, args=(desk,), name="forebay-news", daemon=True)
                    self._taker.start()

    def _leave(self, future: JobFuture) -> None:
        desk = self._desk
        if desk is None or future.done():
            return
        try:
            with desk.handle as client:
                lib.forebay_client_cancel(client, _id(future.id), b"its caller left", 0, None)
        except Error:
            pass

    def _too_late(self, future: JobFuture, timeout: Seconds) -> TimedOut:
        late = super()._too_late(future, timeout)
        try:
            self._its_desk().handle.do(lib.forebay_client_ready, timeout=0)
        except Error as error:
            late = TimedOut(f"{late}: {'there is no broker yet' if isinstance(error, TimedOut) else error}")
        late.id = future.id
        return late


def _take(desk: Desk) -> None:
    """What the thread does: it holds no reference to the client, which may thus be collected."""
    while True:
        try:
            desk.take(_c.FOREVER)
        except Error:
            return
        if desk.handle.is_closed:
            return


def stats_of(handle: Any) -> Dict[str, Any]:
    """What a client or worker has counted."""
    out = ctypes.POINTER(_c.forebay_result_t)()
    with handle as pointer:
        call(getattr(lib, f"forebay_{handle.kind}_stats"), pointer, ctypes.byref(out))
    counted: Dict[str, Any] = json.loads(Result(out).data)
    return counted


def _result(pointer: Any, what: str, timeout: Seconds) -> Result:
    if pointer is None:
        raise TimedOut(f"{what} in {timeout} s")
    return Result(pointer)


def _id(id: UUID) -> Any:
    return _c.forebay_id_t((ctypes.c_uint8 * 16)(*id.bytes))


def _seconds(timeout: Seconds) -> Optional[float]:
    return timeout.total_seconds() if isinstance(timeout, dt.timedelta) else timeout


def _left(end: Optional[float]) -> Optional[float]:
    return None if end is None else max(0.0, end - time.monotonic())


def _opened(kind: Any, endpoint: Optional[str], options: Dict[str, Any]) -> Any:
    return kind(endpoint, **options)


_clients: "weakref.WeakSet[Client]" = weakref.WeakSet()


def _close_all() -> None:
    for client in list(_clients):
        client.close()


atexit.register(_close_all)
