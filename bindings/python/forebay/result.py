"""One piece of news about a job, as the library hands it over.

Invariant: nothing of it changes once it is there.
"""

from __future__ import annotations

import ctypes
import json
from ctypes import byref
from typing import Any, Dict, List, Optional
from uuid import UUID

from . import _c, codec
from ._carried import Carried
from ._library import lib
from .errors import Error, JobError, Outcome, error_of, job_error
from .stored import PayloadStore

_free = lib.forebay_result_free
_VIEW_LEN = ctypes.sizeof(_c.forebay_result_view_t)


class Result(Carried):
    """How a job ended or stands, or a part of its result."""

    _frame_at, _header_at = lib.forebay_result_frame, lib.forebay_result_header_at

    def __init__(self, pointer: Any, store: Optional[PayloadStore] = None) -> None:
        self._pointer = pointer
        self._use(store)
        self._value: List[Any] = []
        view = self._view = _c.forebay_result_view_t(struct_size=_VIEW_LEN)
        lib.forebay_result_view(pointer, byref(view))
        self.tag: int = view.tag
        self.kind: int = view.kind

    def __del__(self) -> None:
        _free(self._pointer)

    def __repr__(self) -> str:
        return f"<forebay.Result {self.id} {self.outcome.name}, {self._view.data_len} bytes>"

    @property
    def id(self) -> UUID:
        """The job."""
        return UUID(bytes=bytes(self._view.id.bytes))

    @property
    def outcome(self) -> Outcome:
        """How the job ended, or stands as far as this tells."""
        return Outcome(self._view.outcome)

    @property
    def attempt(self) -> int:
        """How often it had been started."""
        return int(self._view.attempt)

    @property
    def code(self) -> str:
        """A short word that says why a job failed."""
        return _text(self._view.code)

    @property
    def message(self) -> str:
        """The same as one sentence; of progress its note."""
        return _text(self._view.message)

    @property
    def detail(self) -> str:
        """More, such as the handler's traceback."""
        return _text(self._view.detail)

    @property
    def progress(self) -> float:
        """How far the job is, 0 to 1."""
        return float(self._view.progress)

    @property
    def sequence(self) -> int:
        """The number of a partial result, from 0 in each attempt."""
        return int(self._view.sequence)

    @property
    def meta(self) -> Dict[str, Any]:
        """What broker and worker know of the job: attempts, worker, host, times."""
        meta: Dict[str, Any] = json.loads(lib.forebay_result_meta(self._pointer))
        return meta

    def value(self) -> Any:
        """What the handler returned; raises the JobError of a job that did not end DONE."""
        error = self.error()
        if error is not None:
            raise error
        if not self._value:
            self._value.append(
                codec.decode(self._view.frames, self._frame_of_value, self.headers.get(codec.HEADER))
            )
        return self._value[0]

    def error(self) -> Optional[JobError]:
        """The exception of a job that ended, and not DONE."""
        message = self.message
        if self.outcome == Outcome.EXPIRED and not self.attempt:
            message += "; no worker began it"
        error = job_error(self.outcome, self.id, self.code, message, self.detail)
        if error is not None:
            error.result, error.attempt = self, self.attempt
        return error

    def refusal(self) -> Error:
        """The exception of a job that the broker did not take."""
        view = self._view
        retryable = view.status in (_c.ERR_BUSY, _c.ERR_STORE_FULL)
        error = error_of(view.status, self.message, retryable, view.retry_after_ms)
        error.id = self.id
        return error


def _text(text: Optional[bytes]) -> str:
    return text.decode() if text else ""
