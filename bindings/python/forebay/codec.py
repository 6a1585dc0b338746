"""Python values as payloads and results.

Bytes travel as they are. Any other value travels as msgpack, which the header `encoding` says: `msgpack`. Dates, times,
timedeltas, UUIDs and numpy arrays are msgpack extensions (README.md lists them); large arrays are frames of their own, so
that their bytes are copied once on each side.

Invariant: `decode(*encode(value))` equals the value, or `encode` says why not.
"""

from __future__ import annotations

import ctypes
import datetime as dt
import sys
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union
from uuid import UUID

import msgpack

HEADER = "encoding"
MSGPACK = b"msgpack"
# In this header the jobs of a run are given its context, and its submission says it.
CONTEXT = "forebay-context"

# The numbers of the extensions are part of what travels: never changed, never used again.
_DATE, _TIME, _DATETIME, _TIMEDELTA, _UUID, _ARRAY = 1, 2, 3, 4, 5, 6

# Arrays from here on are frames of their own, as long as a job may have as many.
_APART_LEN = 4096
_APART_MAX = 1000

Bytes = Union[bytes, bytearray, memoryview]
Headers = Mapping[str, Union[bytes, str]]


class Frames(List[bytes]):
    """Bytes in several parts, which stay apart on their way."""


class Encoded(NamedTuple):
    """A value as it travels."""

    frames: Sequence[Any]
    marks: Dict[str, bytes]
    """The headers that say how to read them."""


def pack(value: Any) -> bytes:
    """A value as msgpack in one piece, as for Job.send."""
    return bytes(_Packer(apart=False).pack(value))


def unpack(data: Bytes) -> Any:
    """The value that `pack` made this of."""
    return _unpack(data, lambda index: b"")


def encode(value: Any) -> Encoded:
    """A value as it travels; what is encoded already is left as it is."""
    if isinstance(value, Encoded):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return Encoded([value], {})
    if isinstance(value, Frames):
        return Encoded(list(value), {})
    packer = _Packer(apart=True)
    head = packer.pack(value)
    return Encoded([head, *packer.apart], {HEADER: MSGPACK})


def decode(frames: int, frame: "Callable[[int], Any]", encoding: Optional[bytes]) -> Any:
    """The value of `frames` frames, of which `frame(i)` is one as bytes."""
    if encoding is None:
        return bytes(frame(0)) if frames == 1 else Frames(bytes(frame(i)) for i in range(frames))
    if encoding != MSGPACK:
        raise ValueError(
            f"the header {HEADER} is {encoding!r}; this package reads {MSGPACK!r} and jobs without it"
        )
    return _unpack(frame(0), frame)


class _Packer:
    def __init__(self, apart: bool) -> None:
        self.apart: List[Any] = []
        self._apart_max = _APART_MAX if apart else 0

    def pack(self, value: Any) -> bytes:
        try:
            # Strict: a subclass of what msgpack knows comes to `_extra` instead of losing what it adds.
            return bytes(msgpack.packb(value, default=self._extra, strict_types=True, use_bin_type=True))
        except OverflowError:
            raise TypeError("a whole number of more than 64 bits cannot be sent; send it as text") from None
        except RecursionError:
            raise TypeError("a value that contains itself cannot be sent") from None
        except ValueError as error:
            if "recursion" in str(error):
                raise TypeError(
                    "a value that contains itself, or is nested too deeply, cannot be sent"
                ) from None
            raise

    def _extra(self, value: Any) -> Any:
        kind = type(value)
        extension = _EXTENSIONS.get(kind)
        if extension is not None:
            code, fields = extension
            return msgpack.ExtType(code, msgpack.packb(fields(value)))
        if isinstance(value, UUID):
            return msgpack.ExtType(_UUID, value.bytes)
        if isinstance(value, (tuple, list)) and not hasattr(value, "_fields"):
            return list(value)
        numpy = sys.modules.get("numpy")
        if numpy is not None and isinstance(value, numpy.ndarray):
            return self._array(numpy, value)
        if numpy is not None and isinstance(value, numpy.generic) and value.dtype.kind in "biufUS":
            return value.item()
        for plain in (bool, int, float, str):
            if isinstance(value, plain):
                return plain(value)
        if isinstance(value, dict):
            return dict(value)
        raise TypeError(
            f"a value of type {kind.__module__}.{kind.__qualname__} cannot be sent: {_short(value)}. What can be: None, "
            "bool, int, float, str, bytes, list, tuple, dict, date, time, datetime, timedelta, UUID and numpy arrays; "
            "or bytes that you made of it"
        )

    def _array(self, numpy: Any, array: Any) -> Any:
        if isinstance(array, numpy.ma.MaskedArray):
            raise TypeError("a masked numpy array cannot be sent; send its data and its mask")
        if array.dtype.hasobject or array.dtype.names is not None:
            raise TypeError(
                f"a numpy array of dtype {array.dtype} cannot be sent: objects and records have no bytes of one kind"
            )
        array = numpy.asarray(array, order="C")
        shape = list(array.shape)
        if array.nbytes >= _APART_LEN and len(self.apart) < self._apart_max:
            self.apart.append(array)
            return msgpack.ExtType(_ARRAY, msgpack.packb([array.dtype.str, shape, len(self.apart)]))
        return msgpack.ExtType(_ARRAY, msgpack.packb([array.dtype.str, shape, array.tobytes()]))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _zone(value: Any) -> "List[Any]":
    """The offset in microseconds and the name of a time's zone; both None where it has none."""
    offset = value.utcoffset()
    key = getattr(value.tzinfo, "key", None)
    if value.tzinfo is not None and offset is None and key is None:
        raise TypeError(f"the zone of {value!r} says neither its offset nor its name")
    return [None if offset is None else offset // dt.timedelta(microseconds=1), key]


def _zone_of(offset_us: Optional[int], key: Optional[str]) -> Optional[dt.tzinfo]:
    if key is not None:
        import zoneinfo

        try:
            return zoneinfo.ZoneInfo(key)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError):
            pass  # A machine without that zone: the offset is still right.
    return None if offset_us is None else dt.timezone(dt.timedelta(microseconds=offset_us))


def _clock(value: Any) -> "List[Any]":
    return [value.hour, value.minute, value.second, value.microsecond, value.fold, *_zone(value)]


_EXTENSIONS: "Dict[type, Tuple[int, Callable[[Any], List[Any]]]]" = {
    dt.date: (_DATE, lambda value: [value.year, value.month, value.day]),
    dt.time: (_TIME, _clock),
    dt.datetime: (_DATETIME, lambda value: [value.year, value.month, value.day, *_clock(value)]),
    dt.timedelta: (_TIMEDELTA, lambda value: [value.days, value.seconds, value.microseconds]),
}


def _time(
    hour: int, minute: int, second: int, us: int, fold: int, offset_us: Optional[int], key: Optional[str]
) -> dt.time:
    return dt.time(hour, minute, second, us, _zone_of(offset_us, key), fold=fold)


def _unpack(data: Any, frame: "Callable[[int], Any]") -> Any:
    def extra(code: int, data: bytes) -> Any:
        if code == _UUID:
            return UUID(bytes=data)
        if code not in (_DATE, _TIME, _DATETIME, _TIMEDELTA, _ARRAY):
            return msgpack.ExtType(code, data)
        fields = msgpack.unpackb(data)
        if code == _DATE:
            return dt.date(*fields)
        if code == _TIMEDELTA:
            return dt.timedelta(*fields)
        if code == _TIME:
            return _time(*fields)
        if code == _DATETIME:
            return dt.datetime.combine(dt.date(*fields[:3]), _time(*fields[3:]))
        dtype, shape, where = fields
        return _array_of(dtype, shape, where, frame)

    return msgpack.unpackb(data, ext_hook=extra, raw=False, strict_map_key=False, timestamp=3)


def _array_of(
    dtype: str, shape: "List[int]", where: "Union[int, bytes]", frame: "Callable[[int], Any]"
) -> Any:
    try:
        import numpy
    except ImportError:
        raise ValueError("it contains a numpy array, and numpy is not installed here") from None
    array = numpy.empty(shape, numpy.dtype(dtype))
    data = frame(where) if isinstance(where, int) else where
    if len(data) != array.nbytes:
        raise ValueError(f"a numpy array of {array.nbytes} bytes came with {len(data)}")
    if array.nbytes:
        # One copy, out of the library's memory into the array's.
        flat = array.reshape(-1).view(numpy.uint8)
        flat[:] = numpy.frombuffer(data, numpy.uint8)
    return array


def address(data: Any) -> "Tuple[Optional[int], int, Any]":
    """Where the bytes of a frame are, how many, and what has to live until they were read."""
    if isinstance(data, bytes):
        return ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value, len(data), data
    interface = getattr(data, "__array_interface__", None)
    if interface is not None:
        return interface["data"][0], data.nbytes, data
    view = memoryview(data)
    if not view.contiguous or view.readonly:
        return address(bytes(view))
    if not view.nbytes:
        return None, 0, data
    # What is exported cannot be resized by another thread.
    exported = ctypes.c_char.from_buffer(view.cast("B"))
    return ctypes.addressof(exported), view.nbytes, exported
