"""A payload store in files or in an object store, through fsspec.

Invariant: what is there under a key is whole, also when a writer dies; nothing is deleted but by `sweep`.
"""

from __future__ import annotations

import datetime as dt
import os
import posixpath
import re
import uuid
from typing import Any, Callable, Optional, Tuple

from . import _c
from .errors import error_of
from .future import Seconds, seconds_of

# Where one write is whole or nothing. Elsewhere what is written is renamed when it is whole.
_WHOLE = {"memory", "s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci"}
_OWN = re.compile(r"[0-9a-f]{64}(\.[0-9a-f]{32}\.part)?")


class FsspecStore:
    """Keeps payloads and results below an address that fsspec knows: "file:///var/spool/jobs", "s3://bucket/jobs",
    "memory://jobs"; each key is one file or object there.

    Frames of more than `above` bytes are put away. `options` are the file system's, such as `key` and `secret`. It needs
    fsspec, which is the extra `store`: pip install 'forebay[store]'; object stores need a package of their own, s3fs for "s3".
    """

    def __init__(self, url: str, *, above: int = 65536, **options: Any) -> None:
        if above < 0:
            raise error_of(_c.ERR_ARGUMENT, f"above is {above}; it has to be at least 0")
        self._url, self._above, self._options = url, above, options
        self._opened: Optional[Tuple[int, Any, str]] = None
        self._its_system()

    def __repr__(self) -> str:
        return f"<forebay.FsspecStore {self._url}>"

    def __reduce__(self) -> Any:
        return _opened, (self._url, self._above, self._options)

    @property
    def above(self) -> int:
        """Frames of more bytes are put away."""
        return self._above

    def put(self, key: str, data: bytes) -> None:
        """Keeps `data` under `key`. It is written also where it is kept already: its age counts anew."""
        system, folder = self._its_system()
        path = posixpath.join(folder, key)
        beside = f"{path}.{uuid.uuid4().hex}.part"
        if _is_local(system):
            _within(lambda: os.makedirs(folder, exist_ok=True), lambda: _write(path, beside, data))
            return
        make = lambda: system.makedirs(folder, exist_ok=True)  # noqa: E731
        if _protocols(system) & _WHOLE:
            _within(make, lambda: system.pipe_file(path, data))
            return
        try:
            _within(make, lambda: system.pipe_file(beside, data))
            system.mv(beside, path)
        except BaseException:
            if system.exists(beside):
                system.rm_file(beside)
            raise

    def get(self, key: str) -> bytes:
        """What is kept under `key`; FileNotFoundError when there is nothing."""
        system, folder = self._its_system()
        return bytes(system.cat_file(posixpath.join(folder, key)))

    def sweep(self, older_than: Seconds) -> int:
        """Deletes what was last put away longer ago than `older_than` seconds, and says how many that were."""
        seconds = seconds_of(older_than)
        if seconds is None or seconds < 0:
            raise error_of(
                _c.ERR_ARGUMENT, f"older_than is {older_than}; it has to be a time of at least 0 s"
            )
        system, folder = self._its_system()
        system.invalidate_cache()
        limit = dt.datetime.now(dt.timezone.utc) - dt.timedelta(seconds=seconds)
        swept = 0
        for path in system.find(folder, maxdepth=1):
            try:
                if _OWN.fullmatch(posixpath.basename(path)) and _in_utc(system.modified(path)) <= limit:
                    system.rm_file(path)
                    swept += 1
            except FileNotFoundError:
                pass  # Another one sweeps too.
        return swept

    def _its_system(self) -> Tuple[Any, str]:
        """The file system of this process; a forked child opens its own."""
        if self._opened is None or self._opened[0] != os.getpid():
            try:
                import fsspec
            except ImportError:
                raise ImportError(
                    "a FsspecStore needs fsspec, which is not installed: pip install 'forebay[store]'"
                ) from None
            system, folder = fsspec.core.url_to_fs(self._url, **self._options)
            self._opened = os.getpid(), system, folder
        return self._opened[1], self._opened[2]


def _opened(url: str, above: int, options: Any) -> FsspecStore:
    return FsspecStore(url, above=above, **options)


def _protocols(system: Any) -> "set[str]":
    return {system.protocol} if isinstance(system.protocol, str) else set(system.protocol)


def _is_local(system: Any) -> bool:
    return "file" in _protocols(system)


def _within(make: Callable[[], object], write: Callable[[], object]) -> None:
    """Writes, and makes the folder first where it is not there."""
    try:
        write()
    except FileNotFoundError:
        make()
        write()


def _write(path: str, beside: str, data: bytes) -> None:
    """Writes a file so that it is on disk and whole under its name, or not there."""
    try:
        with open(beside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        try:
            os.unlink(beside)
        except FileNotFoundError:
            pass
        raise
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _in_utc(time: dt.datetime) -> dt.datetime:
    return time if time.tzinfo is not None else time.replace(tzinfo=dt.timezone.utc)
