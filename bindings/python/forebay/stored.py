"""Payloads and results by reference: what is large is put away in a payload store, and its key travels instead.

A key is the SHA-256 of what it stands for, so whoever puts the same away again, as a retry does, changes nothing, and what is
read is checked. What travels is the text `forebay-stored:KEY` in place of the frame.

Invariant: with the same payload store on both sides, what is read equals what was sent; a frame that by itself looks like a
key's is put away too.
"""

from __future__ import annotations

import hashlib
from typing import Any, Optional, Protocol, Sequence

from . import _c
from .codec import Encoded, encode
from .errors import PayloadMissingError, PayloadStoreError, StateError, error_of

# Part of what travels: never changed.
_PREFIX = b"forebay-stored:"
_KEY_LEN = 64
_REFERENCE_LEN = len(_PREFIX) + _KEY_LEN
_DIGITS = frozenset(b"0123456789abcdef")


class PayloadStore(Protocol):
    """Where payloads and results are put away: anything with these methods, which any thread may call."""

    @property
    def above(self) -> int:
        """Frames of more bytes are put away; 0: all that are not empty."""

    def put(self, key: str, data: bytes) -> None:
        """Keeps `data` under `key`, 64 hexadecimal digits; whole or not at all. What is kept under it already is the same."""

    def get(self, key: str) -> bytes:
        """What is kept under `key`; KeyError or FileNotFoundError when there is nothing."""


def encode_into(store: Optional[PayloadStore], value: Any) -> Encoded:
    """A value as it travels, with what is large put away; waits for the store."""
    encoded = encode(value)
    if store is None or isinstance(value, Encoded):
        return encoded
    return Encoded(put_away(store, encoded.frames), encoded.marks)


def put_away(store: PayloadStore, frames: Sequence[Any]) -> Sequence[Any]:
    """The frames, with keys in place of those that were put away."""
    return [_put(store, frame) if _is_apart(store, frame) else frame for frame in frames]


def key_of(frame: Any) -> Optional[str]:
    """The key, of a frame that stands for what a payload store has."""
    if len(frame) != _REFERENCE_LEN:
        return None
    text = bytes(frame)
    if not text.startswith(_PREFIX) or not _DIGITS.issuperset(text[len(_PREFIX) :]):
        return None
    return text[len(_PREFIX) :].decode()


def bring(store: Optional[PayloadStore], key: str) -> bytes:
    """What a key stands for."""
    if store is None:
        raise error_of(
            StateError.status,
            f"what came is the key {key} of a payload store; store= says which, and frames and data give it as it came",
        )
    try:
        data = bytes(store.get(key))
    except (KeyError, FileNotFoundError) as error:
        raise error_of(
            _c.ERR_NOT_FOUND,
            f"{store!r} has nothing under the key {key}: it was deleted, or whoever sent it has another store",
            kind=PayloadMissingError,
        ) from error
    except Exception as error:
        raise _failed(store, f"read {key}", error) from error
    if hashlib.sha256(data).hexdigest() != key:
        raise _failed(store, f"read {key}", f"its {len(data)} bytes are not those that were put away")
    return data


def _is_apart(store: PayloadStore, frame: Any) -> bool:
    length = frame.nbytes if hasattr(frame, "nbytes") else len(frame)
    return length > store.above or (length == _REFERENCE_LEN and key_of(_bytes_of(frame)) is not None)


def _put(store: PayloadStore, frame: Any) -> bytes:
    data = _bytes_of(frame)
    key = hashlib.sha256(data).hexdigest()
    try:
        store.put(key, data)
    except Exception as error:
        raise _failed(store, f"put {len(data)} bytes away under {key}", error) from error
    return _PREFIX + key.encode()


def _bytes_of(frame: Any) -> bytes:
    return bytes(frame) if isinstance(frame, (bytes, bytearray)) else bytes(frame.tobytes())


def _failed(store: PayloadStore, what: str, why: object) -> Exception:
    cause = f"{type(why).__name__}: {why}" if isinstance(why, Exception) else why
    return error_of(
        _c.ERR_STORE, f"{store!r} could not {what}: {cause}", retryable=True, kind=PayloadStoreError
    )
