"""What jobs and results carry: frames and headers.

Invariant: what is lent by the library lives as long as the object that has it, which frees it.
"""

from __future__ import annotations

import ctypes
from ctypes import byref
from typing import Any, Dict, List, Optional

from .errors import Error
from .stored import PayloadStore, bring, key_of


class Carried:
    """The pieces of a job's payload or of a result. Whoever inherits says by which functions they are read."""

    _frame_at: Any
    _header_at: Any
    _pointer: Any
    _view: Any
    _store: Optional[PayloadStore]
    _brought: Dict[int, bytes]

    def _use(self, store: Optional[PayloadStore]) -> None:
        self._store, self._brought = store, {}

    @property
    def data(self) -> bytes:
        """The first frame, as it came or as the payload store has it."""
        return bytes(self._frame(0))

    @property
    def frames(self) -> List[bytes]:
        """All frames, as they came or as the payload store has them."""
        return [bytes(self._frame(i)) for i in range(self._view.frames)]

    def _bring(self) -> None:
        """Fetches what the payload store has of it; whoever reads what could not be fetched is told why."""
        if self._store is not None:
            try:
                for i in range(self._view.frames):
                    self._frame(i)
            except Error:
                pass

    @property
    def headers(self) -> Dict[str, bytes]:
        """What travelled beside them."""
        name, data, length = ctypes.c_char_p(), ctypes.c_void_p(), ctypes.c_size_t()
        found: Dict[str, bytes] = {}
        for i in range(self._view.headers):
            self._header_at(self._pointer, i, byref(name), byref(data), byref(length))
            value = ctypes.string_at(data.value or 0, length.value) if length.value else b""
            found[(name.value or b"").decode()] = value
        return found

    def _frame(self, i: int, is_for_value: bool = False) -> Any:
        """A frame without a copy; it lives as long as this object. For a value no key will do."""
        brought = self._brought.get(i)
        if brought is not None:
            return brought
        length = ctypes.c_size_t()
        data = self._frame_at(self._pointer, i, byref(length))
        frame = _lent(data, length.value)
        key = key_of(frame) if self._store is not None or is_for_value else None
        if key is None:
            return frame
        brought = self._brought[i] = bring(self._store, key)
        return brought

    def _frame_of_value(self, i: int) -> Any:
        return self._frame(i, is_for_value=True)


def _lent(data: Optional[int], length: int) -> Any:
    """Memory of the library as something with a length and bytes; small pieces are copied, which costs less."""
    if not data or not length:
        return b""
    if length <= 65536:
        return ctypes.string_at(data, length)
    return memoryview((ctypes.c_char * length).from_address(data)).cast("B")
