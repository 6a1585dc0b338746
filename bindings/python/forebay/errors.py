"""What goes wrong: calls that were not carried out, waits that took too long, and jobs that did not end DONE.

Invariant: every status below 0 and every outcome that is no success has a class of its own here.
"""

from __future__ import annotations

import concurrent.futures
import enum
from typing import TYPE_CHECKING, Dict, Optional, Type
from uuid import UUID

if TYPE_CHECKING:
    from .result import Result


class Outcome(enum.IntEnum):
    """How a job stands or ended."""

    WAITING = 0
    RUNNING = 1
    DONE = 2
    FAILED = 3
    TIMED_OUT = 4
    CANCELLED = 5
    EXPIRED = 6
    QUARANTINED = 7
    REJECTED = 8
    LOST = 9


class Error(Exception):
    """A call that was not carried out. The message says what was wrong, with which value, and what would be right."""

    status: int = 0
    """The library's number for it."""
    retryable: bool = False
    """Whether the same call may succeed later, unchanged."""
    retry_after: Optional[float] = None
    """After how many seconds trying again makes sense, where the broker has said so."""
    id: Optional[UUID] = None
    """The job, of a submission that was refused or not confirmed: it may be submitted again under this id."""


class ArgumentError(Error, ValueError):
    """An argument is wrong."""

    status = -1


class OptionError(Error, ValueError):
    """An option's key or value is wrong."""

    status = -2


class StateError(Error):
    """The object or the job is not in a state that allows this."""

    status = -3


class ClosedError(Error):
    """The handle is closed."""

    status = -4


class ForkedError(Error):
    """The object belongs to the parent process."""

    status = -5


class LeaseLostError(Error):
    """The job is no longer this worker's, so the answer does not count."""

    status = -6


class TooLargeError(Error, ValueError):
    """Larger than the limit allows."""

    status = -7


class BusyError(Error):
    """No room now; try again later."""

    status = -8


class AddressError(Error, ValueError):
    """Not an address that can be used."""

    status = -9


class InUseError(Error):
    """The address or the store is in use."""

    status = -10


class ProtocolError(Error):
    """The other side does not speak a protocol version this side knows."""

    status = -11


class DeniedError(Error):
    """The broker does not allow this."""

    status = -12


class IoError(Error):
    """Input or output failed; of a connection, the message names the address and the cause."""

    status = -13


class StoreError(Error):
    """The store failed."""

    status = -14


class UnsupportedError(Error):
    """Not supported here."""

    status = -15


class NotFoundError(Error, LookupError):
    """Unknown."""

    status = -16


class CycleError(Error):
    """The graph has a cycle."""

    status = -17


class OutOfMemoryError(Error, MemoryError):
    """Out of memory."""

    status = -18


class PanicError(Error):
    """A fault inside the library was contained."""

    status = -19


class ConflictError(Error):
    """The id is in use with other content."""

    status = -20


class UnconfirmedError(Error, TimeoutError):
    """The broker did not answer in time; the job may exist, submit the same id again."""

    status = -21


class TooOldError(Error):
    """The id is older than the broker remembers; the job may have run."""

    status = -22


class StoreFullError(Error):
    """The store has no room now; try again later."""

    status = -23


class PayloadMissingError(NotFoundError):
    """A payload store has nothing under a key that came."""


class PayloadStoreError(StoreError):
    """A payload store could not be written or read, or what was read is not what was written."""


# One class until Python 3.10, two before.
_TIMEOUTS = (
    (TimeoutError,)
    if concurrent.futures.TimeoutError is TimeoutError
    else (
        TimeoutError,
        concurrent.futures.TimeoutError,
    )
)


class TimedOut(Error, *_TIMEOUTS):  # type: ignore[misc]
    """The time given was over before there was anything to hand over. The job, if there is one, goes on."""

    status = 1
    retryable = True


class Interrupted(Error):
    """The wait was ended because its handle is closing."""

    status = 2
    retryable = True


class RemoteTraceback(Exception):
    """Where a handler failed, in its own words: the cause of a JobError."""

    def __str__(self) -> str:
        return f"\n\n{self.args[0].rstrip()}\n" if self.args else ""


class JobError(Exception):
    """A job that ended, and not DONE."""

    outcome: Outcome = Outcome.FAILED
    """How it ended."""
    result: "Optional[Result]" = None
    """Everything that is known of it."""
    id: Optional[UUID] = None
    """The job."""
    code: str = ""
    """A short word for programs; of a Python handler the class of its exception."""
    detail: str = ""
    """More, such as the handler's traceback."""
    attempt: int = 0
    """How often it had been started."""

    def __reduce__(self) -> "tuple[type, tuple[object, ...], dict[str, object]]":
        # What the library holds does not travel.
        return type(self), self.args, {**self.__dict__, "result": None}


class JobFailed(JobError):
    """The worker answered that it failed, and no retry is left."""


class JobTimedOut(JobError, TimeoutError):
    """Its last attempt was ended by its run timeout or by stalling."""

    outcome = Outcome.TIMED_OUT


class JobCancelled(JobError, concurrent.futures.CancelledError):
    """It was cancelled; no result will ever count."""

    outcome = Outcome.CANCELLED


class JobExpired(JobError, TimeoutError):
    """Its queue timeout or its deadline passed."""

    outcome = Outcome.EXPIRED


class JobQuarantined(JobError):
    """It took workers down twice; it waits for a person."""

    outcome = Outcome.QUARANTINED


class JobRejected(JobError):
    """It was accepted, then refused by a rule."""

    outcome = Outcome.REJECTED


class JobLost(JobError):
    """Its last attempt's worker vanished, or it was volatile and went with its broker."""

    outcome = Outcome.LOST


BY_STATUS: Dict[int, Type[Error]] = {one.status: one for one in Error.__subclasses__()}
BY_OUTCOME: Dict[int, Type[JobError]] = {one.outcome: one for one in JobError.__subclasses__()}


def error_of(
    status: int,
    message: str,
    retryable: bool = False,
    retry_after_ms: int = -1,
    kind: Optional[Type[Error]] = None,
) -> Error:
    """The exception for a status, of the class that has it unless `kind` says more."""
    error = (kind or BY_STATUS.get(status, Error))(message)
    error.status = status
    error.retryable = retryable
    error.retry_after = None if retry_after_ms < 0 else retry_after_ms / 1000
    return error


def job_error(outcome: Outcome, id: UUID, code: str, message: str, detail: str) -> Optional[JobError]:
    """The exception of a job, or a run, that ended, and not DONE."""
    kind = BY_OUTCOME.get(outcome)
    if kind is None:
        return None
    text = ": ".join(part for part in (code, message) if part)
    error = kind(text or f"the job ended {outcome.name}")
    error.id, error.outcome, error.code, error.detail = id, outcome, code, detail
    if detail:
        error.__cause__ = RemoteTraceback(detail)
    return error


class Fail(Exception):
    """Raised by a handler to say itself how the job failed.

    `retry`: None, as the job's rules say; False, never; a number, after so many seconds, if an attempt is left.
    """

    def __init__(
        self, message: str, *, code: str = "failed", retry: "Optional[float]" = None, detail: str = ""
    ) -> None:
        super().__init__(message)
        self.code = code
        self.retry = retry
        self.detail = detail


class Release(Exception):
    """Raised by a handler to give the job back: it may run elsewhere, not before `delay` seconds have passed."""

    def __init__(self, delay: float = 0) -> None:
        super().__init__(delay)
        self.delay = delay


class Stopped(Exception):
    """Raised by Job.check when the job is to stop: whatever the handler answers does not count any more."""
