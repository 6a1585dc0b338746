"""A broker inside the process, on threads of its own.

Invariant: it ends with the object, and a forked child has nothing of it.
"""

from __future__ import annotations

import ctypes
from ctypes import byref
from typing import Any, List, Mapping, Optional

from . import _c
from ._handle import Handle, apart
from ._library import call, lib, milliseconds
from .future import Seconds
from .options import Options, pointer


class Broker:
    """Starts when it is made: the same as `forebay broker`.

    Keyword arguments are the keys of the family "broker" in docs/OPTIONS.md without its name, such as
    `listen="tcp://127.0.0.1:0"` or `store="jobs"`; `options` are whole keys of "broker.", "queue." and "job.". Without
    `store` jobs live in memory; without `listen` it is the user's default broker.
    """

    def __init__(self, options: Optional[Mapping[str, Any]] = None, **broker: Any) -> None:
        chosen = Options({**(options or {}), **{f"broker.{key}": value for key, value in broker.items()}})
        started = ctypes.POINTER(_c.forebay_broker_t)()
        call(lib.forebay_broker_start, pointer(chosen), byref(started))
        # The library has no way to interrupt a broker's waits; `wait` makes them short instead.
        self._handle = Handle("broker", started)
        self.endpoints = _endpoints(started)

    def __enter__(self) -> "Broker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<forebay.Broker {', '.join(self.endpoints)}{', closed' if self._handle.is_closed else ''}>"

    @property
    def endpoint(self) -> str:
        """Its first address, with the real port where 0 was asked for."""
        return self.endpoints[0]

    def wait(self, timeout: Seconds = None) -> bool:
        """Waits until it has ended: True when it was stopped, False when it runs. Raises why it ended by itself."""
        left_ms = milliseconds(timeout)
        while True:
            piece_ms = 100 if left_ms < 0 else min(100, left_ms)
            with self._handle as broker:
                if call(lib.forebay_broker_wait, broker, piece_ms) == _c.OK:
                    return True
            left_ms -= piece_ms if left_ms > 0 else 0
            if left_ms == 0:
                return False

    def drain(self, timeout: Seconds = None) -> None:
        """Hands out no more jobs, refuses new ones, and waits until none runs."""
        self._do(lib.forebay_broker_drain, timeout)

    def stop(self, timeout: Seconds = 10) -> None:
        """Says goodbye to clients and workers, who keep trying, and unbinds."""
        self._do(lib.forebay_broker_stop, timeout)

    def close(self) -> None:
        """Stops it if it runs, and frees it."""
        self._handle.close()

    def _do(self, function: Any, timeout: Seconds) -> None:
        def inside() -> int:
            with self._handle as broker:
                return call(function, broker, milliseconds(timeout))

        apart(self._handle, inside)


def _endpoints(broker: Any) -> List[str]:
    found: List[str] = []
    while True:
        text = lib.forebay_broker_endpoint(broker, len(found))
        if text is None:
            return found
        found.append(text.decode())
