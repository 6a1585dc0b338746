"""A handle of the library that threads share.

Invariant: it is freed once, when nobody is inside a call on it; a forked child never touches its parent's.
"""

from __future__ import annotations

import ctypes
import threading
from concurrent.futures import Future
from typing import Any, Callable, Optional, Tuple

from . import _c
from ._library import Forgetful, call, lib, milliseconds
from .errors import ClosedError, ForkedError, TimedOut, error_of

# How often a handle that closes ends the waits of those who were about to wait.
_CLOSING_S = 0.02


class Handle(Forgetful):
    """`with handle as pointer:` makes sure that the pointer is good until the end of the block."""

    def __init__(
        self, kind: str, pointer: Any, interrupt: "Optional[Callable[[Any], object]]" = None
    ) -> None:
        super().__init__()
        self.kind = kind
        self._pointer = pointer
        self._interrupt = interrupt
        self._inside = 0
        self._turn = threading.Condition()
        self._is_forked = False

    def __enter__(self) -> Any:
        with self._turn:
            if self._pointer is None:
                raise self._gone()
            self._inside += 1
            return self._pointer

    def __exit__(self, *_: object) -> None:
        with self._turn:
            self._inside -= 1
            if not self._inside:
                self._turn.notify_all()

    def _gone(self) -> Exception:
        if self._is_forked:
            return error_of(
                ForkedError.status,
                f"the {self.kind} belongs to the parent process; open another one in this one",
            )
        return error_of(ClosedError.status, f"the {self.kind} is closed")

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._pointer is None

    def interrupt(self) -> None:
        """Ends the waits of those who are inside."""
        with self._turn:
            if self._pointer is not None and self._interrupt is not None:
                self._interrupt(self._pointer)

    def close(self) -> None:
        """Lets nobody in any more, ends the waits of those who are inside, and frees it when the last has left."""
        with self._turn:
            pointer, self._pointer = self._pointer, None
            if pointer is None:
                return
            while self._inside:
                if self._interrupt is not None:
                    self._interrupt(pointer)
                self._turn.wait(_CLOSING_S)
        getattr(lib, f"forebay_{self.kind}_free")(pointer)

    def _forget(self) -> None:
        pointer, self._pointer = self._pointer, None
        self._inside, self._turn, self._is_forked = 0, threading.Condition(), True
        if pointer is not None:
            getattr(lib, f"forebay_{self.kind}_free")(pointer)

    def wait(self, function: Any, *arguments: Any, timeout: Any) -> Any:
        """Calls a function that waits and hands a result over, so that Ctrl-C ends it. None: the time was over, or there
        will be none."""
        return self.told(function, *arguments, timeout=timeout)[1]

    def told(self, function: Any, *arguments: Any, timeout: Any) -> "Tuple[int, Any]":
        """The same with the status, which says why there is none."""
        out = ctypes.POINTER(_c.forebay_result_t)()

        def inside() -> int:
            with self as pointer:
                return call(function, pointer, *arguments, milliseconds(timeout), ctypes.byref(out))

        status = apart(self, inside)
        return status, out if status == _c.OK else None

    def do(self, function: Any, *arguments: Any, timeout: Any, behind: Any = ()) -> None:
        """Calls a function that waits until something is done, so that Ctrl-C ends it. `behind` stands behind the timeout."""

        def inside() -> int:
            with self as pointer:
                return call(function, pointer, *arguments, milliseconds(timeout), *behind)

        if apart(self, inside) != _c.OK:
            raise TimedOut(f"nothing came within {timeout} s")


def apart(handle: Handle, inside: "Callable[[], int]") -> int:
    """Runs a call that waits. In the main thread another one does it: a signal's handler only runs in the main thread, and
    not while it is inside the library."""
    if threading.current_thread() is not threading.main_thread():
        status = inside()
    else:
        done: "Future[int]" = Future()

        def run() -> None:
            try:
                done.set_result(inside())
            except BaseException as error:  # noqa: B036 (it is raised where the caller waits)
                done.set_exception(error)

        threading.Thread(target=run, name="forebay-wait", daemon=True).start()
        try:
            status = done.result()
        except BaseException:
            if not done.done():
                handle.interrupt()
            raise
    if status == _c.INTERRUPTED:
        raise handle._gone() if handle.is_closed else error_of(status, "the wait was interrupted")
    return status
