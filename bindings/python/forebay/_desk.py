"""Where jobs are handed in and news about them come out: what the blocking and the asyncio client share.

Invariant: a watcher is known by its tag from before its job is handed in until its last news came.
"""

from __future__ import annotations

import ctypes
import itertools
import logging
import threading
from ctypes import byref
from typing import Any, Dict, List, Mapping, Optional, Protocol, Tuple
from uuid import UUID

from . import _c, codec
from ._handle import Handle
from ._library import call, lib
from .errors import ArgumentError, Error, error_of
from .options import Options, family, pointer
from .result import Result
from .stored import PayloadStore

log = logging.getLogger("forebay")

ACCEPTED = 1 << _c.KIND_ACCEPTED
REFUSED = 1 << _c.KIND_REFUSED
PROGRESS = 1 << _c.KIND_PROGRESS
PARTIAL = 1 << _c.KIND_PARTIAL
RESULT = 1 << _c.KIND_RESULT

# Rules that the submission itself has room for; others become an options object, which is kept for the next job.
_FIELDS = ("delay_ms", "queue_ms", "run_ms", "deadline_ms", "attempts", "priority")
_KEPT_RULES_MAX = 256
_NEWS_MAX = 64

_SUBMIT_LEN = ctypes.sizeof(_c.forebay_submit_t)
_News = ctypes.POINTER(_c.forebay_result_t) * _NEWS_MAX


class Watcher(Protocol):
    """Who is told about a job."""

    def news(self, result: Result) -> None:
        """Something came."""

    def gone(self, error: Error) -> None:
        """Nothing will come any more."""

    def forget(self, error: Error) -> None:
        """This is a forked child: nothing will come here."""


class Desk:
    """One handle of the library with the watchers of its jobs."""

    def __init__(
        self, endpoint: Optional[str], options: Mapping[str, Any], store: Optional[PayloadStore] = None
    ) -> None:
        self.store = store
        client = ctypes.POINTER(_c.forebay_client_t)()
        chosen = family("client", options)
        call(
            lib.forebay_client_open,
            None if endpoint is None else endpoint.encode(),
            pointer(chosen),
            byref(client),
        )
        self.handle = Handle("client", client, lib.forebay_client_interrupt)
        self._watchers: Dict[int, Watcher] = {}
        self._tags = itertools.count(1)
        self._rules: Dict[Tuple[Any, ...], Options] = {}
        self._lock = threading.Lock()
        self._over: Optional[Error] = None

    def hand_in(
        self,
        watcher: Watcher,
        queue: str,
        payload: Any,
        want: int,
        headers: Optional[codec.Headers],
        id: Optional[UUID],
        rules: Mapping[str, Any],
    ) -> UUID:
        """Hands a job in without waiting; BusyError when the client's window is full."""
        submission = Submission(queue, payload, headers, id, rules, self._rules_of)
        tag = next(self._tags)
        submission.struct.tag, submission.struct.want = tag, want
        made = _c.forebay_id_t()
        with self._lock:
            if self._over is not None:
                raise self._over
            self._watchers[tag] = watcher
        try:
            with self.handle as client:
                call(lib.forebay_client_enqueue, client, byref(submission.struct), 1, byref(made), None)
        except BaseException:
            self._watchers.pop(tag, None)
            raise
        return UUID(bytes=bytes(made.bytes))

    def take(self, timeout_ms: int) -> int:
        """Takes the news that are there, or waits for the first, and tells the watchers. The library's status."""
        results, got = _News(), ctypes.c_size_t()
        try:
            with self.handle as client:
                status = call(
                    lib.forebay_client_next_many, client, timeout_ms, results, _NEWS_MAX, byref(got)
                )
        except Error as error:
            self.end(error)
            raise
        for i in range(got.value if status == _c.OK else 0):
            result = Result(
                ctypes.POINTER(_c.forebay_result_t).from_buffer_copy(
                    results, i * ctypes.sizeof(ctypes.c_void_p)
                ),
                self.store,
            )
            is_last = result.kind in (_c.KIND_RESULT, _c.KIND_REFUSED)
            watcher = self._watchers.pop(result.tag, None) if is_last else self._watchers.get(result.tag)
            if watcher is not None:
                try:
                    watcher.news(result)
                except Exception:
                    # A callback's own fault; other jobs have nothing to do with it.
                    log.exception("what was to be told about the job %s raised", result.id)
        return status

    def end(self, error: Error) -> None:
        """Tells every watcher that nothing will come any more."""
        with self._lock:
            self._over = self._over or error
            watchers, self._watchers = list(self._watchers.values()), {}
        for watcher in watchers:
            watcher.gone(error)

    def close(self) -> None:
        """Closes the handle, which waits up to client.linger_ms for what is still to be sent."""
        self.handle.close()
        self.end(error_of(_c.ERR_CLOSED, "the client was closed before the job's result came"))

    def forget(self) -> None:
        """Tells every watcher that this is a forked child."""
        error = error_of(_c.ERR_FORKED, "the job was handed in by the parent process, which gets its result")
        self._lock, self._over = threading.Lock(), error
        watchers, self._watchers = list(self._watchers.values()), {}
        for watcher in watchers:
            watcher.forget(error)

    def _rules_of(self, rules: Mapping[str, Any]) -> Options:
        key = tuple(sorted(rules.items(), key=lambda item: item[0]))
        options = self._rules.get(key)
        if options is None:
            if len(self._rules) >= _KEPT_RULES_MAX:
                self._rules.clear()
            options = self._rules[key] = _job_options(rules)
        return options


def _job_options(rules: Mapping[str, Any]) -> Options:
    return Options({f"job.{key}": value for key, value in rules.items()})


class Submission:
    """A job as the library takes it, with everything that has to live until it was read."""

    def __init__(
        self,
        queue: str,
        payload: Any,
        headers: Optional[codec.Headers],
        id: Optional[UUID],
        rules: Mapping[str, Any],
        rules_of: Any = _job_options,
    ) -> None:
        struct = self.struct = _c.forebay_submit_t(
            struct_size=_SUBMIT_LEN, queue=_bytes_of("a queue's name", queue)
        )
        frames, marks = codec.encode(payload)
        addresses = [codec.address(frame) for frame in frames]
        self._kept: List[Any] = [frames, addresses]
        if len(addresses) == 1:
            struct.payload, struct.payload_len = addresses[0][:2]
        else:
            listed = frame_array(addresses)
            struct.frames, struct.frames_len = listed, len(addresses)
            self._kept.append(listed)
        if headers or marks:
            self._set_headers({**(headers or {}), **marks})
        if id is not None:
            own = _c.forebay_id_t((ctypes.c_uint8 * 16)(*id.bytes))
            struct.id = ctypes.pointer(own)
        others: Dict[str, Any] = {}
        for key, value in rules.items():
            if key in _FIELDS and type(value) is int and 0 < value < 1 << 31:
                setattr(struct, key, value)
            elif value is not None:
                others[key] = value
        if others:
            options = rules_of(others)
            struct.options = options.pointer
            self._kept.append(options)

    def _set_headers(self, headers: codec.Headers) -> None:
        array = (_c.forebay_header_t * len(headers))()
        for one, (name, value) in zip(array, headers.items()):
            data = value.encode() if isinstance(value, str) else bytes(value)
            self._kept.append(data)
            one.name = _bytes_of("a header's name", name)
            one.data, one.len, _ = codec.address(data)
        self.struct.headers, self.struct.headers_len = array, len(headers)
        self._kept.append(array)


def run_settings(
    headers: Optional[codec.Headers], id: Optional[UUID], rules: Mapping[str, Any]
) -> Submission:
    """What is said of a run: its pipeline says where its steps go and what they carry."""
    settings = Submission("run", b"", headers, id, rules)
    settings.struct.queue, settings.struct.payload, settings.struct.payload_len = None, None, 0
    return settings


def frame_array(addresses: "List[Tuple[Optional[int], int, Any]]") -> Any:
    """The frames as the library takes them."""
    array = (_c.forebay_frame_t * len(addresses))()
    for one, (data, length, _) in zip(array, addresses):
        one.data, one.len = data, length
    return array


def _bytes_of(what: str, text: str) -> bytes:
    if not isinstance(text, str) or "\0" in text:
        raise error_of(ArgumentError.status, f"{what} is {text!r}; it has to be text without NUL")
    return text.encode()
