"""What is asked of the broker over a desk and waited for: what the blocking and the asyncio client share.

Invariant: each waits so that Ctrl-C ends it, and leaves nothing half done in this process.
"""

from __future__ import annotations

import ctypes
import json
from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple
from uuid import UUID

from . import _c
from ._desk import Desk, Submission, run_settings
from ._library import lib
from .codec import CONTEXT, Bytes, Headers, address
from .errors import TimedOut
from .future import Seconds
from .options import Options, pointer
from .pipeline import Pipeline
from .result import Result
from .stored import encode_into


def run(
    desk: Desk,
    pipeline: Pipeline,
    timeout: Seconds,
    id: Optional[UUID],
    headers: Optional[Headers],
    context: Optional[Bytes],
    rules: Mapping[str, Any],
) -> UUID:
    """Hands a pipeline in."""
    if context is not None:
        headers = {**(headers or {}), CONTEXT: bytes(context)}
    made, settings = _c.forebay_id_t(), run_settings(headers, id, rules)
    desk.handle.do(
        lib.forebay_client_run,
        pipeline.pointer,
        ctypes.byref(settings.struct),
        timeout=timeout,
        behind=(ctypes.byref(made),),
    )
    return UUID(bytes=bytes(made.bytes))


def add(
    desk: Desk,
    run: UUID,
    stage: str,
    payloads: Iterable[Any],
    timeout: Seconds,
    queue: Optional[str],
    headers: Optional[Headers],
    rules: Mapping[str, Any],
) -> List[UUID]:
    """Adds jobs to an open stage."""
    encoded = (encode_into(desk.store, payload) for payload in payloads)
    jobs = [Submission(queue or "", payload, headers, None, rules) for payload in encoded]
    structs = (_c.forebay_submit_t * len(jobs))(*(job.struct for job in jobs))
    for struct in structs:
        struct.queue = queue.encode() if queue else None
    ids = (_c.forebay_id_t * len(jobs))()
    desk.handle.do(
        lib.forebay_stage_add,
        id_of(run),
        stage.encode(),
        structs,
        len(jobs),
        timeout=timeout,
        behind=(ids, None),
    )
    return [UUID(bytes=bytes(id.bytes)) for id in ids]


def close_stage(desk: Desk, run: UUID, stage: str, count: Optional[int], timeout: Seconds) -> None:
    """Closes an open stage."""
    number = -1 if count is None else count
    desk.handle.do(lib.forebay_stage_close, id_of(run), stage.encode(), number, timeout=timeout)


def set_context(desk: Desk, run: UUID, context: Bytes, timeout: Seconds) -> None:
    """Gives a run its context."""
    where, length, _kept = address(context)
    desk.handle.do(lib.forebay_run_context, id_of(run), where, length, timeout=timeout)


def acked(
    desk: Desk, run: UUID, stage: str, after: int, timeout: Seconds
) -> Optional[Tuple[Optional[Result]]]:
    """What the collector of a stage said with an acknowledgement, or that there will be none; None when the time is over."""
    function = lib.forebay_stage_acked
    status, out = desk.handle.told(function, id_of(run), stage.encode(), after, timeout=timeout)
    if status == _c.TIMED_OUT:
        return None
    return (None if out is None else Result(out),)


def wait(desk: Desk, id: UUID, timeout: Seconds) -> Optional[Result]:
    """The result of a job, which is taken by that; None when the time is over."""
    out = desk.handle.wait(lib.forebay_client_wait, id_of(id), timeout=timeout)
    return None if out is None else Result(out, desk.store)


def peek(desk: Desk, id: UUID, timeout: Seconds) -> Result:
    """How a job stands, without taking its result."""
    told = desk.handle.wait(lib.forebay_client_peek, id_of(id), timeout=timeout)
    return Result(_answered(told, timeout), desk.store)


def cancel(desk: Desk, id: UUID, reason: Optional[str], timeout: Seconds) -> None:
    """Cancels a job or a run."""
    desk.handle.do(lib.forebay_client_cancel, id_of(id), reason and reason.encode(), timeout=timeout)


def admin(desk: Desk, command: str, timeout: Seconds, arguments: Mapping[str, Any]) -> Any:
    """What an operator's command answers."""
    chosen = Options({f"admin.{key}": value for key, value in arguments.items()})
    told = desk.handle.wait(lib.forebay_client_admin, command.encode(), pointer(chosen), timeout=timeout)
    return json.loads(Result(_answered(told, timeout)).data)


def shown(desk: Desk, run: UUID, timeout: Seconds) -> Dict[str, Any]:
    """A run with its steps, as `run.get` of docs/ADMIN.md shows it."""
    told: Dict[str, Any] = admin(desk, "run.get", timeout, {"id": str(run)})
    return told


def id_of(id: UUID) -> Any:
    """An id as the library takes it."""
    return _c.forebay_id_t((ctypes.c_uint8 * 16)(*id.bytes))


def _answered(told: Any, timeout: Seconds) -> Any:
    if told is None:
        raise TimedOut(f"the broker has not answered in {timeout} s")
    return told
