"""Jobs for workers, over the forebay library.

    import forebay

    worker = forebay.Worker()

    @worker.task("hello")
    def hello(name):
        return f"Hello, {name}!"

    worker.run()

and elsewhere

    with forebay.Client() as client:
        print(client.call("hello", "World", timeout=10))
"""

from ._c import HINT_DRAINING, HINT_SOFT_LIMIT, STOP_CANCELLED, STOP_LEASE_LOST, STOP_RUN_TIME
from ._library import version as library_version
from .aio import AsyncClient, AsyncJob
from .aio_run import AsyncCollector, AsyncResults, AsyncRun
from .broker import Broker
from .client import Client
from .cluster import Cluster, EagerClient
from .codec import Frames, pack, unpack
from .collector import Collector
from .errors import (
    AddressError,
    ArgumentError,
    BusyError,
    ClosedError,
    ConflictError,
    CycleError,
    DeniedError,
    Error,
    Fail,
    ForkedError,
    Interrupted,
    InUseError,
    IoError,
    JobCancelled,
    JobError,
    JobExpired,
    JobFailed,
    JobLost,
    JobQuarantined,
    JobRejected,
    JobTimedOut,
    LeaseLostError,
    NotFoundError,
    OptionError,
    Outcome,
    OutOfMemoryError,
    PanicError,
    PayloadMissingError,
    PayloadStoreError,
    ProtocolError,
    Release,
    RemoteTraceback,
    StateError,
    Stopped,
    StoreError,
    StoreFullError,
    TimedOut,
    TooLargeError,
    TooOldError,
    UnconfirmedError,
    UnsupportedError,
)
from .fsspec_store import FsspecStore
from .future import JobFuture
from .graph import Step
from .job import Job
from .pipeline import Pipeline
from .result import Result
from .run import Run, StepResult
from .stored import PayloadStore
from .worker import Worker

__version__ = library_version()

__all__ = [
    "AddressError",
    "ArgumentError",
    "AsyncClient",
    "AsyncCollector",
    "AsyncJob",
    "AsyncResults",
    "AsyncRun",
    "Broker",
    "BusyError",
    "Client",
    "ClosedError",
    "Cluster",
    "ConflictError",
    "CycleError",
    "DeniedError",
    "EagerClient",
    "Error",
    "Fail",
    "ForkedError",
    "Collector",
    "Frames",
    "FsspecStore",
    "HINT_DRAINING",
    "HINT_SOFT_LIMIT",
    "InUseError",
    "Interrupted",
    "IoError",
    "Job",
    "JobCancelled",
    "JobError",
    "JobExpired",
    "JobFailed",
    "JobFuture",
    "JobLost",
    "JobQuarantined",
    "JobRejected",
    "JobTimedOut",
    "LeaseLostError",
    "NotFoundError",
    "OptionError",
    "OutOfMemoryError",
    "Outcome",
    "PanicError",
    "PayloadMissingError",
    "PayloadStore",
    "PayloadStoreError",
    "Pipeline",
    "ProtocolError",
    "Release",
    "RemoteTraceback",
    "Result",
    "Run",
    "STOP_CANCELLED",
    "STOP_LEASE_LOST",
    "STOP_RUN_TIME",
    "StateError",
    "Step",
    "StepResult",
    "Stopped",
    "StoreError",
    "StoreFullError",
    "TimedOut",
    "TooLargeError",
    "TooOldError",
    "UnconfirmedError",
    "UnsupportedError",
    "Worker",
    "library_version",
    "pack",
    "unpack",
]
