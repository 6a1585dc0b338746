"""The blocking client: any thread submits jobs, and gets futures.

One thread of Python takes the news from the library and fulfils the futures, so that every wait is a wait of Python, which
Ctrl-C ends.

Invariant: that thread runs from the first job until the connection is closed, and holds no reference to the client.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import threading
import time
import weakref
from typing import Any, Dict, Iterable, List, Optional
from uuid import UUID

from . import _c, _desk, _requests
from ._desk import Desk
from ._library import Forgetful, call, lib
from ._requests import id_of
from .caller import ROOM_S, Caller
from .codec import Bytes, Headers
from .collector import Collector
from .errors import BusyError, Error, TimedOut, error_of
from .future import JobFuture, News, Seconds
from .pipeline import Pipeline
from .result import Result
from .run import Run
from .stored import PayloadStore, encode_into


class Client(Caller, Forgetful):
    """A connection that submits jobs. Any thread may use it; a forked or spawned process gets a connection of its own.

    `endpoint`: None, $FOREBAY_BROKER, else the default one. It opens at once and finds the broker by itself, also after a
    restart. `options` are the keys of the family "client" in docs/OPTIONS.md without its name, such as `name="web-3"`.
    `store` is where payloads are put away that are large, and where workers put such results; give them the same.
    """

    def __init__(
        self, endpoint: Optional[str] = None, *, store: Optional[PayloadStore] = None, **options: Any
    ) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._store = store
        self._options = options
        self._lock = threading.Lock()
        self._taker: Optional[threading.Thread] = None
        self._is_closed = False
        self._desk: Optional[Desk] = Desk(endpoint, options, store)
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
            try:
                threading.Thread(target=desk.close, name="forebay-close").start()
            except RuntimeError:
                pass  # The interpreter ends; so does the connection.

    def __repr__(self) -> str:
        return f"<forebay.Client {self._endpoint or 'at the default broker'}, {self.state}>"

    def __reduce__(self) -> Any:
        return _opened, (type(self), self._endpoint, self._store, self._options)

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
                return ("connecting", "ready", "draining", "refused", "closed")[
                    lib.forebay_client_state(client)
                ]
        except Error:
            return "closed"

    def ready(self, timeout: Seconds = None) -> None:
        """Waits until the broker has welcomed this client. IoError names the address and the cause where there is one."""
        self._its_desk().handle.do(lib.forebay_client_ready, timeout=timeout)

    def wait(self, id: UUID, timeout: Seconds = None) -> Result:
        """The result of a job that this process has no future of, submitted under this client's name before."""
        result = _requests.wait(self._its_desk(), id, timeout)
        if result is None:
            raise TimedOut(f"the job {id} has not ended in {timeout} s")
        return result

    def run(
        self,
        pipeline: Pipeline,
        *,
        timeout: Seconds = 30,
        id: Optional[UUID] = None,
        headers: Optional[Headers] = None,
        context: Optional[Bytes] = None,
        **rules: Any,
    ) -> Run:
        """Hands a pipeline in, waits until the broker holds its run, and gives the run, which is its id too.

        `rules` are for the run as a whole, such as `deadline_ms` and `level`. The run's result has the results of the steps
        that no other needs as its frames. `context`, up to 2,000 bytes, is what each handler finds as `job.context`.
        """
        made = _requests.run(self._its_desk(), pipeline, timeout, id, headers, context, rules)
        return Run(self, made)

    def add(
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
        """Adds a job for each payload to an open stage of a run, waits until the broker holds them, and gives their ids."""
        return _requests.add(self._its_desk(), run, stage, payloads, timeout, queue, headers, rules)

    def close_stage(self, run: UUID, stage: str, count: Optional[int] = None, timeout: Seconds = 30) -> None:
        """Closes an open stage of a run, to which `count` jobs were added in all: StateError when it has another number."""
        _requests.close_stage(self._its_desk(), run, stage, count, timeout)

    def set_context(self, run: UUID, context: Bytes, timeout: Seconds = 30) -> None:
        """Gives a run its context, up to 2,000 bytes, which each handler finds as `job.context`; a held run begins."""
        _requests.set_context(self._its_desk(), run, context, timeout)

    def collect(self, run: UUID, stage: str, name: str, in_order: bool = False) -> Collector:
        """A collector of the results of a collected stage, known by `name`: as the jobs end, or in the order of their adding."""
        return Collector(self, run, stage, name, in_order)

    def acked(self, run: UUID, stage: str, after: int = 0, timeout: Seconds = None) -> Optional[Result]:
        """What the collector of a stage said with its acknowledgement number `after` + 1, as the result's data.

        None when the time is over, and when there will be none.
        """
        told = _requests.acked(self._its_desk(), run, stage, after, timeout)
        return None if told is None else told[0]

    def peek(self, id: UUID, timeout: Seconds = 10) -> Result:
        """How a job stands, without taking its result."""
        return _requests.peek(self._its_desk(), id, timeout)

    def cancel(self, id: UUID, reason: Optional[str] = None, timeout: Seconds = 10) -> None:
        _requests.cancel(self._its_desk(), id, reason, timeout)

    def wait_workers(self, queue: str, n: int = 1, timeout: Seconds = None) -> None:
        """Waits until at least `n` workers have registered a queue."""
        self._its_desk().handle.do(lib.forebay_client_wait_workers, queue.encode(), n, timeout=timeout)

    def admin(self, command: str, timeout: Seconds = 10, **arguments: Any) -> Any:
        """An operator's command of docs/ADMIN.md, such as `admin("queue.list", queue="resize")`: what its JSON says."""
        return _requests.admin(self._its_desk(), command, timeout, arguments)

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
                self._desk = Desk(self._endpoint, self._options, self._store)
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
        payload = encode_into(desk.store, payload)
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
                time.sleep(ROOM_S)

    def _take_news(self, desk: Desk) -> None:
        """Starts the thread that takes the news, once there can be any."""
        if self._taker is None:
            with self._lock:
                if self._taker is None:
                    self._taker = threading.Thread(
                        target=_take, args=(desk,), name="forebay-news", daemon=True
                    )
                    self._taker.start()

    def _leave(self, future: JobFuture) -> None:
        desk = self._desk
        if desk is None or future.done():
            return
        try:
            with desk.handle as client:
                lib.forebay_client_cancel(client, id_of(future.id), b"its caller left", 0, None)
        except Error:
            pass

    def _no_broker(self) -> str:
        return no_broker(self._its_desk())


def _take(desk: Desk) -> None:
    """What the thread does: it holds no reference to the client, which may thus be collected."""
    while True:
        try:
            desk.take(_c.FOREVER)
        except Error:
            return
        if desk.handle.is_closed:
            return


def no_broker(desk: Desk) -> str:
    """Why a client has no connection; empty when it has one. Does not wait."""
    try:
        with desk.handle as client:
            if call(lib.forebay_client_ready, client, 0) == _c.OK:
                return ""
    except Error as error:
        return str(error)
    return "there is no broker yet"


def stats_of(handle: Any) -> Dict[str, Any]:
    """What a client or worker has counted."""
    out = ctypes.POINTER(_c.forebay_result_t)()
    with handle as pointer:
        call(getattr(lib, f"forebay_{handle.kind}_stats"), pointer, ctypes.byref(out))
    counted: Dict[str, Any] = json.loads(Result(out).data)
    return counted


def _opened(
    kind: Any, endpoint: Optional[str], store: Optional[PayloadStore], options: Dict[str, Any]
) -> Any:
    return kind(endpoint, store=store, **options)


_clients: "weakref.WeakSet[Client]" = weakref.WeakSet()


def _close_all() -> None:
    for client in list(_clients):
        client.close()


atexit.register(_close_all)
