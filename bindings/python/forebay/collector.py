"""Collectors: the results of a stage, one by one, each acknowledged for good.

Invariant: the library keeps the order and the acknowledgements; a result that was not acknowledged comes again.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Iterator, Optional, Union
from uuid import UUID

from . import _c, codec
from ._handle import Handle, apart
from ._library import call, lib, milliseconds
from .errors import TimedOut
from .future import Seconds
from .result import Result

if TYPE_CHECKING:
    from .aio import AsyncClient
    from .client import Client


class Collector:
    """Takes the results of a collected stage; `Client.collect` makes it.

        with client.collect(run, "pages", "indexer") as collector:
            for result in collector:
                index(result.value())
                collector.ack(result)

    Going through it ends behind the last result. One that comes back under its name is handed what it did not acknowledge.
    """

    def __init__(
        self, client: "Union[Client, AsyncClient]", run: UUID, stage: str, name: str, in_order: bool
    ) -> None:
        # The client's connection has to outlive what is asked over it.
        self._client = client
        pointer = ctypes.POINTER(_c.forebay_collector_t)()
        id = _c.forebay_id_t((ctypes.c_uint8 * 16)(*run.bytes))
        flags = _c.COLLECT_IN_ORDER if in_order else 0
        desk = client._its_desk()
        self._store = desk.store
        with desk.handle as opened:
            call(
                lib.forebay_collector_open,
                opened,
                id,
                stage.encode(),
                name.encode(),
                flags,
                ctypes.byref(pointer),
            )
        self._handle = Handle("collector", pointer)

    def __enter__(self) -> "Collector":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Result]:
        while True:
            result = self.next()
            if result is None:
                return
            yield result

    def next(self, timeout: Seconds = None) -> Optional[Result]:
        """The next result; None behind the last. TimedOut when none came in `timeout` seconds."""
        out = ctypes.POINTER(_c.forebay_result_t)()
        status = _c.OK

        def inside() -> int:
            nonlocal status
            with self._handle as pointer:
                status = call(lib.forebay_collector_next, pointer, milliseconds(timeout), ctypes.byref(out))
            return status

        if apart(self._handle, inside) == _c.OK:
            return Result(out, self._store)
        if status == _c.DRAINED:
            return None
        raise TimedOut(f"no result came within {timeout} s")

    @property
    def context(self) -> bytes:
        """The run's context, as it was when `next` last asked for results; empty before, and without one."""
        with self._handle as pointer:
            length = lib.forebay_collector_context(pointer, None, 0)
            buffer = ctypes.create_string_buffer(length)
            return buffer.raw[: lib.forebay_collector_context(pointer, buffer, length)]

    def ack(self, result: Result, data: codec.Bytes = b"", timeout: Seconds = 30) -> None:
        """Acknowledges a result for good. `data`, up to 2,000 bytes, is what `Client.acked` hands over."""
        where, length, _kept = codec.address(data)
        id = _c.forebay_id_t((ctypes.c_uint8 * 16)(*result.id.bytes))
        self._handle.do(lib.forebay_collector_ack, id, where, length, timeout=timeout)

    def close(self) -> None:
        """Frees it. What it has not acknowledged waits for the next one under its name."""
        self._handle.close()
