"""A broker and a worker in the background, for notebooks and tests; or neither, with FOREBAY_EAGER=1.

Invariant: everything it started ends with it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from typing import Any, Dict, Optional
from uuid import UUID

from .broker import Broker
from .caller import Caller
from .client import Client
from .codec import Headers
from .errors import NotFoundError, error_of
from .future import JobFuture, News
from .job import Job
from .worker import Worker


class EagerClient(Caller):
    """A client without a broker: each job runs at once, in the thread that hands it in, once."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def __enter__(self) -> "EagerClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is open."""

    def cancel(self, id: UUID, reason: Optional[str] = None, timeout: Any = 10) -> None:
        raise error_of(
            NotFoundError.status,
            f"there is no job {id}: with FOREBAY_EAGER=1 a job has ended when it was handed in",
        )

    def _start(
        self,
        queue: str,
        payload: Any,
        want: int,
        headers: Optional[Headers],
        id: Optional[UUID],
        rules: Dict[str, Any],
        on_progress: News,
        on_partial: News,
        seconds: Optional[float],
    ) -> JobFuture:
        job = Job.test(queue, payload, headers=headers, id=id, store=self._worker.store, **rules)
        future = JobFuture(self, queue, on_progress, on_partial)
        future.id = job.id
        self._worker.handle(job)
        future.news(job.test_result())
        return future


class Cluster:
    """Starts when it is made. `client` calls the tasks of `worker`, whose threads or processes run in the background.

    `broker` are the keys of the family "broker" in docs/OPTIONS.md without its name, and `options` whole keys. The broker
    listens on a socket in a private folder unless told otherwise. With FOREBAY_EAGER=1 jobs run in the caller's own
    thread, where a debugger and a profiler see them.
    """

    client: Caller
    """Calls the worker's tasks."""

    def __init__(self, worker: Worker, options: Optional[Dict[str, Any]] = None, **broker: Any) -> None:
        self.worker = worker
        self.broker: Optional[Broker] = None
        self.endpoint: Optional[str] = None
        self._folder: Optional[str] = None
        if os.environ.get("FOREBAY_EAGER", "") not in ("", "0"):
            self.client = EagerClient(worker)
            return
        self._folder = tempfile.mkdtemp(prefix="forebay-")
        atexit.register(self.close)
        try:
            listen = broker.pop("listen", f"ipc://{self._folder}/broker")
            if worker.processes:
                # Forked first, while this process has no threads of the library; they find the broker when it is there.
                self._start_worker(listen if isinstance(listen, str) else ",".join(listen))
            self.broker = Broker(options, listen=listen, **broker)
            self.endpoint = self.broker.endpoint
            if not worker.processes:
                self._start_worker(self.endpoint)
            self.client = Client(self.endpoint, store=worker.store)
        except BaseException:
            self.close()
            raise

    def _start_worker(self, endpoint: str) -> None:
        self.worker._endpoint = endpoint
        self.worker.start()

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<forebay.Cluster {self.endpoint or 'eager'}, tasks {', '.join(sorted(self.worker._tasks))}>"

    def close(self) -> None:
        """Ends client, worker and broker, in this order. What is not closed is closed as the interpreter ends."""
        atexit.unregister(self.close)
        client = getattr(self, "client", None)
        if client is not None:
            client.close()
        try:
            if not isinstance(client, EagerClient):
                self.worker.stop()
        finally:
            if self.broker is not None:
                self.broker.close()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
