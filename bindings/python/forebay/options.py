"""Options of the library from Python values.

Invariant: the library alone knows which keys there are and what their values may be; its errors come through.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any, Mapping, Optional

from ._library import call, lib, milliseconds

_free = lib.forebay_options_free


class Options:
    """A set of options: whole numbers, texts, paths, switches, lists, and timedeltas where a key counts milliseconds."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.pointer = lib.forebay_options_new()
        for key, value in values.items():
            self._set(key.encode(), value)

    def __del__(self) -> None:
        _free(self.pointer)

    def _set(self, key: bytes, value: Any) -> None:
        if isinstance(value, bool):
            call(lib.forebay_options_set, self.pointer, key, b"true" if value else b"false")
        elif isinstance(value, int):
            call(lib.forebay_options_set_int, self.pointer, key, value)
        elif isinstance(value, bytes):
            call(lib.forebay_options_set_bytes, self.pointer, key, value, len(value))
        else:
            call(lib.forebay_options_set, self.pointer, key, _text(value).encode())


def _text(value: Any) -> str:
    if isinstance(value, dt.timedelta):
        return f"{milliseconds(value)}ms"
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    return str(value) if not isinstance(value, Path) else str(value.absolute())


def family(name: str, values: Mapping[str, Any]) -> "Optional[Options]":
    """The options of one family, whose keys come without its name; None when nothing is set."""
    chosen = {f"{name}.{key}": value for key, value in values.items() if value is not None}
    return Options(chosen) if chosen else None


def pointer(options: Optional[Options]) -> Any:
    """What the library takes."""
    return None if options is None else options.pointer
