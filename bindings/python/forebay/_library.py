"""Loads libforebay and turns its statuses into exceptions.

Invariant: every function has its types before anybody calls it, and no error object is left unfreed.
"""

from __future__ import annotations

import ctypes
import datetime as dt
import os
import weakref
from ctypes import byref
from pathlib import Path
from typing import Any, Callable, Union

from . import _c
from .errors import Error, error_of


def path() -> str:
    """The library's file: what $FOREBAY_LIBRARY names, else the one beside this file, else the loader's."""
    named = os.environ.get("FOREBAY_LIBRARY")
    if named:
        return named
    beside = Path(__file__).with_name("libforebay.so.0")
    return str(beside) if beside.exists() else "libforebay.so.0"


def _load() -> Any:
    where = path()
    try:
        library = ctypes.CDLL(where)
    except OSError as error:
        raise ImportError(
            f"cannot load forebay's library: {error}. The wheel carries it; a source tree needs `make install`, or "
            "FOREBAY_LIBRARY=/path/to/libforebay.so"
        ) from None
    for name, (answer, takes) in _c.FUNCTIONS.items():
        try:
            function = getattr(library, name)
        except AttributeError:
            raise ImportError(f"{where} is too old for this package: it has no {name}") from None
        function.restype = answer
        function.argtypes = takes
    if library.forebay_abi() != _c.ABI:
        raise ImportError(f"{where} speaks ABI {library.forebay_abi()}, this package ABI {_c.ABI}")
    return library


lib: Any = _load()


def call(function: Callable[..., int], *arguments: Any) -> int:
    """Calls a function whose last parameter is an error, and raises what it says."""
    error = ctypes.POINTER(_c.forebay_error_t)()
    status = function(*arguments, byref(error))
    if status < 0:
        raise take_error(error, status)
    return status


def take_error(error: Any, status: int) -> Error:
    """The exception for an error of the library, which is freed."""
    message = lib.forebay_error_message(error)
    retry_after_ms = lib.forebay_error_retry_after_ms(error)
    retryable = bool(lib.forebay_error_retryable(error))
    lib.forebay_error_free(error)
    text = message.decode() if message else status_text(status)
    return error_of(status, text, retryable, retry_after_ms)


def status_name(status: int) -> str:
    """A status's name, such as "ERR_BUSY"."""
    return str(lib.forebay_status_name(status).decode())


def status_text(status: int) -> str:
    """What a status means."""
    return str(lib.forebay_status_text(status).decode())


def version() -> str:
    """The library's version."""
    return str(lib.forebay_version().decode())


class Forgetful:
    """Something that holds handles or locks, which a forked child must not use."""

    _all: "weakref.WeakSet[Forgetful]" = weakref.WeakSet()

    def __init__(self) -> None:
        Forgetful._all.add(self)

    def _forget(self) -> None:
        """Called in a forked child, which has one thread then."""
        raise NotImplementedError


def _after_fork() -> None:
    for one in list(Forgetful._all):
        one._forget()


os.register_at_fork(after_in_child=_after_fork)


def milliseconds(timeout: Union[None, float, dt.timedelta]) -> int:
    """A timeout in seconds, a timedelta or None as the library counts it."""
    if timeout is None:
        return _c.FOREVER
    seconds = timeout.total_seconds() if isinstance(timeout, dt.timedelta) else timeout
    return max(0, -int(-seconds * 1000 // 1))
