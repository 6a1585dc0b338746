"""The worker: takes jobs of its queues and runs their handlers, in threads or in processes.

Invariant: a job that was taken is answered by what its handler did, and an exception never ends more than its job.
"""

from __future__ import annotations

import atexit
import ctypes
import inspect
import logging
import os
import select
import signal
import threading
import time
import traceback
from ctypes import byref
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Set, TypeVar, Union

from . import _c
from ._handle import Handle
from ._library import Forgetful, call, lib, milliseconds
from .client import stats_of
from .codec import Headers
from .errors import (
    BusyError,
    Error,
    Fail,
    PayloadMissingError,
    PayloadStoreError,
    Release,
    Stopped,
    TooLargeError,
    error_of,
)
from .future import Seconds
from .job import Job
from .options import family, pointer
from .stored import PayloadStore

log = logging.getLogger("forebay")

Handler = TypeVar("Handler", bound=Callable[..., Any])

# How often an answer is offered again while too many bytes of answers wait for the broker.
_ROOM_S = 0.01
# Bytes of a traceback that travel; its end says most.
_DETAIL_LEN = 60_000


class Task(NamedTuple):
    """A queue's handler."""

    handler: Callable[..., Any]
    wants_payload: bool
    wants_job: bool
    options: Dict[str, Any]


class Worker(Forgetful):
    """A process that takes jobs. Decorate handlers with `task`, then `run`.

    `threads` jobs are run at once, each in a thread; with `processes`, in each of so many processes. `options` are the keys
    of the family "worker" in docs/OPTIONS.md without its name. `store` is where clients put away what is large, and where
    results go that are.
    """

    def __init__(
        self,
        endpoint: Optional[str] = None,
        *,
        threads: int = 1,
        processes: int = 0,
        store: Optional[PayloadStore] = None,
        **options: Any,
    ) -> None:
        if threads < 1 or processes < 0:
            raise error_of(
                _c.ERR_ARGUMENT, f"threads={threads}, processes={processes}; at least 1 and 0 are needed"
            )
        super().__init__()
        self.threads = threads
        self.processes = processes
        self.store = store
        self._endpoint = endpoint
        self._options = options
        self._tasks: Dict[str, Task] = {}
        self._init: Optional[Callable[[], Any]] = None
        self._tested: List[Any] = []
        self._clear()

    def _clear(self) -> None:
        self._lock = threading.Lock()
        self._handle: Optional[Handle] = None
        self._pool: List[threading.Thread] = []
        self._working = 0
        self._at_hand: Set[_Attempt] = set()
        self._children: Any = None
        self._failure: Optional[BaseException] = None
        self._ended = threading.Event()

    def _forget(self) -> None:
        self._clear()

    def __enter__(self) -> "Worker":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def task(self, queue: str, **options: Any) -> Callable[[Handler], Handler]:
        """Makes a function the handler of a queue: `handler(payload)` or `handler(payload, job)`.

        What it returns is the result. The function itself stays as it is, so that tests call it. `options` are the keys
        of the family "register" in docs/OPTIONS.md without its name, such as `slots=1`.
        """

        def decorate(handler: Handler) -> Handler:
            wants = _parameters(handler)
            if queue in self._tasks and self._tasks[queue].handler is not handler:
                log.warning("the queue %r has a new handler: %r", queue, handler)
            self._tasks[queue] = task = Task(handler, wants >= 1, wants >= 2, options)
            with self._lock:
                if self._handle is not None:
                    self._register(self._handle, queue, task)
            return handler

        return decorate

    def init(self, hook: Handler) -> Handler:
        """Makes a function the hook that every thread calls before its first job; what it returns is `job.local` there."""
        self._init = hook
        return hook

    def test(self, queue: str, payload: Any = b"", *, headers: Optional[Headers] = None, **rules: Any) -> Any:
        """Runs one job without a broker, encoded and decoded as on its way: what a client's `call` would give or raise."""
        job = Job.test(queue, payload, headers=headers, store=self.store, **rules)
        self.handle(job)
        return job.test_result().value()

    def handle(self, job: Job) -> None:
        """Runs the handler of one job and answers it."""
        if job.local is None and self._init is not None:
            if not self._tested:
                self._tested.append(self._init())
            job.local = self._tested[0]
        _Attempt(self._tasks, job).run()

    def run(self) -> None:
        """Works until it is stopped: by `stop`, SIGTERM or Ctrl-C, after the jobs at hand. A second Ctrl-C does not wait for
        them. Raises what the init hook raised, and Error when the broker does not want this worker."""
        with _Signals(self.stop_soon):
            if self.processes:
                self._run_processes()
            elif self.threads == 1:
                self._run_here(None)
            else:
                self._run_threads()
        self._raise()

    def start(self) -> "Worker":
        """Works in the background until `stop`, in threads of this process or in processes below it."""
        if self.processes:
            from ._processes import Children

            with self._lock:
                if self._children is None:
                    self._children = Children(self)
                    self._children.start_apart()
        elif not self._pool:
            self._start_threads()
        atexit.register(self.stop)
        return self

    def stop(self, timeout: Seconds = 10) -> None:
        """Takes no more jobs, waits for those at hand, and closes. Raises what ended the worker before."""
        atexit.unregister(self.stop)
        self.stop_soon()
        with self._lock:
            children, self._children = self._children, None
        if children is not None:
            children.join()
            return
        end = None if timeout is None else time.monotonic() + milliseconds(timeout) / 1000
        for thread in self._pool:
            thread.join(None if end is None else max(0.0, end - time.monotonic()))
        self._finish()
        self._raise()

    def stop_soon(self) -> None:
        """Takes no more jobs; does not wait. May be called by a signal's handler."""
        handle, children = self._handle, self._children
        if handle is not None:
            try:
                with handle as opened:
                    lib.forebay_worker_stop(opened)
            except Error:
                pass  # It is closed, and so stopped.
        if children is not None:
            children.stop_soon()

    def ready(self, timeout: Seconds = None) -> None:
        """Waits until the broker has welcomed this worker; not with `processes`, where Client.wait_workers tells."""
        handle = self._handle
        if handle is None:
            raise error_of(_c.ERR_STATE, "the worker is not started in this process")
        handle.do(lib.forebay_worker_ready, timeout=timeout)

    def stats(self) -> Dict[str, Any]:
        """What this worker has counted in this process."""
        if self._handle is None:
            raise error_of(_c.ERR_STATE, "the worker is not started in this process")
        return stats_of(self._handle)

    def _open(self) -> Handle:
        if not self._tasks:
            raise error_of(
                _c.ERR_STATE, 'the worker has no task; decorate a function with @worker.task("queue")'
            )
        options = family("worker", {"slots": self.threads, **self._options})
        opened = ctypes.POINTER(_c.forebay_worker_t)()
        endpoint = None if self._endpoint is None else self._endpoint.encode()
        call(lib.forebay_worker_open, endpoint, pointer(options), byref(opened))
        handle = Handle("worker", opened, lib.forebay_worker_interrupt)
        with self._lock:
            self._failure = None
            self._ended.clear()
            self._handle = handle
            for queue, task in self._tasks.items():
                self._register(handle, queue, task)
        return handle

    def _register(self, handle: Handle, queue: str, task: Task) -> None:
        with handle as opened:
            call(
                lib.forebay_worker_register, opened, queue.encode(), pointer(family("register", task.options))
            )

    def _start_threads(self) -> None:
        handle = self._open()
        self._working = self.threads
        self._pool = [
            threading.Thread(target=self._work, args=(handle,), name=f"forebay-{i}", daemon=True)
            for i in range(self.threads)
        ]
        for thread in self._pool:
            thread.start()

    def _run_threads(self) -> None:
        """Starts the threads and waits for their end, so that signals come through."""
        self._start_threads()
        try:
            self._ended.wait()
        except KeyboardInterrupt:
            # The handlers go on for as long as the process lives, but the jobs are somebody else's.
            for attempt in list(self._at_hand):
                attempt.give_back()
            raise
        finally:
            self._finish()

    def _work(self, handle: Handle) -> None:
        """What each thread does."""
        try:
            self._serve(lambda: _receive(handle, _c.FOREVER, self.store))
        except BaseException as error:
            self._failure = self._failure or error
            self.stop_soon()
        finally:
            with self._lock:
                self._working -= 1
                if not self._working:
                    self._ended.set()

    def _run_here(self, lifeline: Optional[int]) -> None:
        """The same in this thread, which may be the main one: it waits so that signals come through."""
        handle = self._open()
        try:
            with handle as opened:
                fd = lib.forebay_worker_fd(opened)
            ready = select.poll()
            ready.register(fd, select.POLLIN)
            if lifeline is not None:
                ready.register(lifeline, select.POLLIN)

            def receive() -> Received:
                got = _receive(handle, 0, self.store)
                if isinstance(got, _Nothing) and any(which == lifeline for which, _ in ready.poll()):
                    self.stop_soon()
                    # It stays readable; from now on only the library has something to say.
                    ready.modify(lifeline or 0, 0)
                return got

            self._serve(receive)
        finally:
            self._finish()

    def _serve(self, receive: "Callable[[], Received]") -> None:
        local = self._init() if self._init is not None else None
        while True:
            got = receive()
            if got is None:
                return
            if isinstance(got, Job):
                got.local = local
                attempt = _Attempt(self._tasks, got)
                self._at_hand.add(attempt)
                try:
                    attempt.run()
                finally:
                    self._at_hand.discard(attempt)

    def _run_processes(self) -> None:
        from ._processes import Children

        self._children = children = Children(self)
        try:
            children.run()
        finally:
            self._children = None

    def _run_child(self, lifeline: int) -> None:
        """What each of several processes does, in its main thread: until the lifeline breaks or a signal comes."""
        with _Signals(self.stop_soon):
            if self.threads == 1:
                self._run_here(lifeline)
            else:
                threading.Thread(target=self._watch, args=(lifeline,), daemon=True).start()
                self._run_threads()
        self._raise()

    def _watch(self, lifeline: int) -> None:
        select.select([lifeline], [], [])
        self.stop_soon()

    def _finish(self) -> None:
        """Closes the handle: what was answered is sent."""
        with self._lock:
            handle, self._handle = self._handle, None
            self._pool = []
        if handle is not None:
            handle.close()

    def _raise(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure


class _Nothing:
    """No job came in time."""


_NOTHING = _Nothing()

# A job; None when there will be none any more; _NOTHING when none came in time.
Received = Union[Job, _Nothing, None]


def _receive(handle: Handle, timeout_ms: int, store: Optional[PayloadStore]) -> Received:
    got = ctypes.POINTER(_c.forebay_job_t)()
    while True:
        with handle as opened:
            status = call(lib.forebay_worker_receive, opened, timeout_ms, byref(got))
        if status == _c.OK:
            return Job(got, store)
        if status == _c.DRAINED:
            return None
        if status == _c.TIMED_OUT:
            return _NOTHING


class _Attempt:
    """One run of a handler, and its answer."""

    def __init__(self, tasks: Dict[str, Task], job: Job) -> None:
        self._tasks = tasks
        self._job = job

    def run(self) -> None:
        job = self._job
        try:
            self._answer()
        except KeyboardInterrupt:
            # A second Ctrl-C.
            self.give_back()
            raise
        except Stopped:
            log.debug("the job %s of %r was stopped", job.id, job.queue)
        except Release as release:
            self._try(job._release, release.delay)
        except Fail as failure:
            retry_ms = _c.RETRY_POLICY if failure.retry is None else _c.RETRY_NEVER
            if failure.retry is not None and failure.retry is not False:
                retry_ms = milliseconds(failure.retry)
            self._try(job._fail, retry_ms, failure.code, str(failure), failure.detail)
        except BaseException as error:
            self._try(job._fail, _c.RETRY_POLICY, type(error).__qualname__, str(error), _told(error))

    def give_back(self) -> None:
        """The job goes to somebody else, and this attempt does not count. Any thread."""
        self._try(self._job._release, 0)

    def _answer(self) -> None:
        job = self._job
        task = self._tasks.get(job.queue)
        if task is None:
            raise Fail(
                f"this worker has no handler for the queue {job.queue!r}", code="no_handler", retry=False
            )
        arguments: List[Any] = []
        if task.wants_payload:
            try:
                arguments.append(job.payload)
            except (PayloadStoreError, PayloadMissingError) as error:
                raise Fail(str(error), code="retrieve_failed", detail=_told(error)) from error
            except Exception as error:
                message = f"the payload cannot be read: {error}"
                raise Fail(message, code="undecodable", retry=False, detail=_told(error)) from error
        if task.wants_job:
            arguments.append(job)
        value = task.handler(*arguments)
        try:
            self._try(job._complete, job._encode(value))
        except (PayloadStoreError, PayloadMissingError) as error:
            raise Fail(str(error), code="save_failed", detail=_told(error)) from error
        except (TypeError, ValueError, TooLargeError) as error:
            # Another attempt would return the same.
            message = f"the result cannot be sent: {error}"
            raise Fail(message, code="unsendable", retry=False, detail=_told(error)) from error

    def _try(self, answer: Callable[..., None], *arguments: Any) -> None:
        """Answers; waits while the library has no room; says what became of an answer that does not count any more."""
        while True:
            try:
                return answer(*arguments)
            except BusyError:
                time.sleep(_ROOM_S)
            except TooLargeError:
                raise
            except Error as error:
                log.info(
                    "the answer to the job %s of %r does not count: %s", self._job.id, self._job.queue, error
                )
                return None


def _told(error: BaseException) -> str:
    """The traceback from the handler on."""
    own = error.__traceback__
    while own is not None and os.path.dirname(own.tb_frame.f_code.co_filename) == os.path.dirname(__file__):
        own = own.tb_next
    text = "".join(traceback.format_exception(type(error), error, own))
    return text if len(text) <= _DETAIL_LEN else "...\n" + text[-_DETAIL_LEN:]


def _parameters(handler: Callable[..., Any]) -> int:
    """How many of payload and job a handler takes."""
    if inspect.iscoroutinefunction(handler):
        raise TypeError(
            f"{handler!r} is a coroutine function; a handler runs in a thread: let it call asyncio.run"
        )
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(handler).parameters.values()
    required = [one for one in parameters if one.default is one.empty and one.kind in positional]
    if (
        any(one.kind is one.KEYWORD_ONLY and one.default is one.empty for one in parameters)
        or len(required) > 2
    ):
        raise TypeError(
            f"{handler!r} takes {len(required)} arguments; a handler takes the payload, and the job if it wants it"
        )
    takes_any = any(one.kind in (*positional, inspect.Parameter.VAR_POSITIONAL) for one in parameters)
    return len(required) or int(takes_any)


class _Signals:
    """SIGTERM and the first Ctrl-C stop the worker gently while this is on; the handlers of before come back after it."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._before: Dict[int, Any] = {}
        self._is_stopping = False

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._come)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _come(self, number: int, frame: object) -> None:
        if number == signal.SIGINT and self._is_stopping:
            raise KeyboardInterrupt
        self._is_stopping = True
        self._stop()
