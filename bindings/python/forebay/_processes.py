"""The processes of a worker: forked, watched, and started again when one dies.

Each watches the read end of one pipe, the lifeline, whose write end only the watching process has: when that writes to it or
dies, they stop taking jobs, finish what they have, and end. Nobody reads it, so all of them see it.

Invariant: no process outlives the watching one by more than its jobs at hand.
"""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.connection
import os
import time
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from ._library import Forgetful
from .errors import StateError, error_of

if TYPE_CHECKING:
    from .worker import Worker

log = logging.getLogger("forebay")

# A process that dies sooner than that is started again only after as long.
_SOON_S = 1.0


class Children(Forgetful):
    """The processes of one worker."""

    def __init__(self, worker: "Worker") -> None:
        super().__init__()
        self._worker = worker
        self._fork = multiprocessing.get_context("fork")
        self._lifeline, self._hold = os.pipe()
        self._wake, self._ring = os.pipe()
        self._is_stopping = False
        self._born: Dict[Any, float] = {}
        self._watcher: Any = None

    def _forget(self) -> None:
        # Whoever holds the write end keeps the processes alive.
        self._close(self._hold, self._wake, self._ring)
        self._hold = self._wake = self._ring = -1

    def run(self, above: Optional[int] = None) -> None:
        """Starts them and watches them until all have ended; `above` is the lifeline of this process itself."""
        for _ in range(self._worker.processes):
            self._start()
        failed: Optional[int] = None
        try:
            while self._born:
                watched: List[Any] = [child.sentinel for child in self._born]
                watched += [self._wake] if not self._is_stopping else []
                watched += [above] if above is not None and not self._is_stopping else []
                ready = multiprocessing.connection.wait(watched)
                if self._wake in ready or above in ready:
                    self._let_go()
                for child in [child for child in self._born if child.sentinel in ready]:
                    failed = self._buried(child) or failed
        finally:
            self._let_go()
            self._close(self._lifeline, self._wake, self._ring)
        if failed is not None:
            raise error_of(
                StateError.status,
                f"a worker process ended with exit code {failed}; its traceback stands above",
            )

    def start_apart(self) -> None:
        """Does the same in a process of its own, in the background."""
        self._watcher = self._fork.Process(target=self._run_apart, name="forebay-watch")
        self._watcher.start()
        self._close(self._lifeline)

    def stop_soon(self) -> None:
        """Lets them end after their jobs at hand; a signal's handler may call it."""
        if self._watcher is not None:
            self._let_go()
        else:
            try:
                os.write(self._ring, b"x")
            except OSError:
                pass

    def join(self) -> None:
        """Waits for the end of what start_apart began."""
        if self._watcher is not None:
            self._watcher.join()
            self._close(self._wake, self._ring)
            if self._watcher.exitcode:
                raise error_of(
                    StateError.status, "the worker's processes ended by themselves; a traceback stands above"
                )

    def _run_apart(self) -> None:
        below = Children(self._worker)
        self._worker._children = below
        from .worker import _Signals

        with _Signals(below.stop_soon):
            below.run(self._lifeline)

    def _start(self) -> None:
        child = self._fork.Process(target=self._child, name="forebay-worker")
        child.start()
        self._born[child] = time.monotonic()

    def _child(self) -> None:
        self._worker._run_child(self._lifeline)

    def _buried(self, child: Any) -> Optional[int]:
        """Takes note of a process that has ended; one that a signal killed has a successor."""
        child.join()
        age_s = time.monotonic() - self._born.pop(child)
        code: int = child.exitcode
        if code < 0 and not self._is_stopping:
            log.warning(
                "the worker process %s was killed by signal %s; another one takes its place", child.pid, -code
            )
            if age_s < _SOON_S:
                multiprocessing.connection.wait([self._wake], _SOON_S - age_s)
            self._start()
            return None
        if code > 0:
            self._let_go()
            return code
        return None

    def _let_go(self) -> None:
        self._is_stopping = True
        hold, self._hold = self._hold, -1
        if hold >= 0:
            try:
                os.write(hold, b"x")
            except BrokenPipeError:
                pass  # They have ended already.
            os.close(hold)

    def _close(self, *fds: int) -> None:
        for fd in fds:
            if fd >= 0:
                os.close(fd)
