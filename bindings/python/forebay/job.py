"""A job as its handler sees it.

Invariant: it is answered at most once.
"""

from __future__ import annotations

import ctypes
from ctypes import byref
from typing import Any, List, Optional
from uuid import UUID

from . import _c, codec
from ._carried import Carried
from ._desk import Submission, frame_array
from ._library import call, lib, milliseconds
from .errors import Stopped
from .result import Result
from .stored import PayloadStore, encode_into

_free = lib.forebay_job_free
_VIEW_LEN = ctypes.sizeof(_c.forebay_job_view_t)


class Job(Carried):
    """What a handler gets as its second argument. `stop`, `hints`, `progress` may be used by any thread."""

    _frame_at, _header_at = lib.forebay_job_frame, lib.forebay_job_header_at

    local: Any = None
    """What the worker's init hook returned in this thread."""

    def __init__(self, pointer: Any, store: Optional[PayloadStore] = None) -> None:
        if isinstance(pointer, str):
            raise TypeError(f"a Job is what a handler gets; a step of a pipeline is Step({pointer!r})")
        self._pointer = pointer
        self._use(store)
        self._view = _c.forebay_job_view_t(struct_size=_VIEW_LEN)
        lib.forebay_job_view(pointer, byref(self._view))
        self._payload: List[Any] = []

    def __del__(self) -> None:
        if getattr(self, "_pointer", None) is not None:
            _free(self._pointer)

    def __repr__(self) -> str:
        return f"<forebay.Job {self.id} of {self.queue!r}, attempt {self.attempt} of {self.attempts_max}>"

    @classmethod
    def test(
        cls,
        queue: str,
        payload: Any = b"",
        *,
        headers: Optional[codec.Headers] = None,
        id: Optional[UUID] = None,
        store: Optional[PayloadStore] = None,
        **rules: Any,
    ) -> "Job":
        """A job that no broker knows, to test a handler with."""
        submission = Submission(queue, encode_into(store, payload), headers, id, rules)
        pointer = ctypes.POINTER(_c.forebay_job_t)()
        call(lib.forebay_job_new_test, byref(submission.struct), byref(pointer))
        return cls(pointer, store)

    def test_result(self) -> Result:
        """What the client of a test job would have got by its answer."""
        pointer = ctypes.POINTER(_c.forebay_result_t)()
        call(lib.forebay_job_test_result, self._pointer, byref(pointer))
        return Result(pointer, self._store)

    @property
    def id(self) -> UUID:
        """Its id."""
        return UUID(bytes=bytes(self._view.id.bytes))

    @property
    def queue(self) -> str:
        """The queue it waited in."""
        return str(self._view.queue.decode())

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return int(self._view.attempt)

    @property
    def attempts_max(self) -> int:
        """How many there are at most."""
        return int(self._view.attempts_max)

    @property
    def payload(self) -> Any:
        """What the client sent, as the handler gets it."""
        if not self._payload:
            self._payload.append(
                codec.decode(self._view.frames, self._frame_of_value, self.headers.get(codec.HEADER))
            )
        return self._payload[0]

    @property
    def context(self) -> Optional[bytes]:
        """The context of the run whose job this is; None without one."""
        length = ctypes.c_size_t()
        data = lib.forebay_job_context(self._pointer, byref(length))
        return None if data is None else ctypes.string_at(data, length.value)

    @property
    def time_left(self) -> Optional[float]:
        """Seconds left of its run time or to its deadline; None when there is no end."""
        view = _c.forebay_job_view_t(struct_size=_VIEW_LEN)
        lib.forebay_job_view(self._pointer, byref(view))
        return None if view.time_left_ms < 0 else view.time_left_ms / 1000

    @property
    def stop(self) -> int:
        """Whether to stop: 0, or an OR of STOP_CANCELLED, STOP_LEASE_LOST and STOP_RUN_TIME. No answer counts then."""
        return int(lib.forebay_job_stop(self._pointer))

    @property
    def hints(self) -> int:
        """What to know while it goes on: 0, or an OR of HINT_DRAINING and HINT_SOFT_LIMIT."""
        return int(lib.forebay_job_hints(self._pointer))

    def check(self) -> None:
        """Raises Stopped when the job is to stop: for loops that compute."""
        stop = self.stop
        if stop:
            bits = {1: "it was cancelled", 2: "another worker holds it", 4: "its run time is over"}
            raise Stopped(" and ".join(text for bit, text in bits.items() if stop & bit))

    def progress(self, fraction: float, note: str = "") -> int:
        """Tells how far the job is, 0 to 1; the stall timeout begins anew. Never waits. The same as `stop`."""
        return int(lib.forebay_job_progress(self._pointer, fraction, note.encode()))

    def send(self, data: codec.Bytes, timeout: Any = None) -> None:
        """Sends a partial result, bytes, to the client's `on_partial`; `forebay.pack` makes bytes of other values.

        Waits while as many bytes as job.partial_bytes are on their way.
        """
        where, length, _kept = codec.address(data)
        call(lib.forebay_job_send, self._pointer, where, length, milliseconds(timeout))

    def set_header(self, name: str, value: "bytes | str") -> None:
        """Sets a header of the result."""
        data = value.encode() if isinstance(value, str) else value
        call(lib.forebay_job_set_header, self._pointer, name.encode(), data, len(data))

    def _encode(self, value: Any) -> codec.Encoded:
        return encode_into(self._store, value)

    def _complete(self, value: codec.Encoded) -> None:
        for name, mark in value.marks.items():
            self.set_header(name, mark)
        addresses = [codec.address(frame) for frame in value.frames]
        if len(addresses) == 1:
            where, length, _kept = addresses[0]
            call(lib.forebay_job_complete, self._pointer, where, length)
        else:
            call(lib.forebay_job_complete_frames, self._pointer, frame_array(addresses), len(addresses))

    def _fail(self, retry_ms: int, code: str, message: str, detail: str) -> None:
        texts = (text.encode("utf-8", "replace").replace(b"\0", b"?") for text in (code, message, detail))
        call(lib.forebay_job_fail, self._pointer, retry_ms, *texts)

    def _release(self, delay: Any) -> None:
        call(lib.forebay_job_release, self._pointer, milliseconds(delay))
