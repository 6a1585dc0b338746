"""A pipeline in execution: its steps as they end, and its result.

The broker is asked how far the run is, and a step's result is fetched when it is asked for: until then it lies with the broker,
so nothing piles up here.

Invariant: each step that ended is handed over once by each who goes through the run, before the run's own failure is raised.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional, Set
from uuid import UUID

from . import _c, _requests
from ._progress import Bar
from .errors import Error, JobError, NotFoundError, Outcome, TimedOut, error_of, job_error
from .future import Seconds, seconds_of
from .result import Result

if TYPE_CHECKING:
    from .client import Client

# The broker is asked again so soon after something changed, and so late after nothing did for long.
_PAUSE_MIN_S, _PAUSE_MAX_S = 0.01, 0.25
# What asking costs in times of what it took: at most a tenth of the time is spent on it, however long the run.
_COST = 9
# The broker's word for a job of which it knows no more than how it ended.
_FORGOTTEN = "result-forgotten"
# How long an answer may take before it is asked for again, at first and at most.
_PATIENCE_MIN_S, _PATIENCE_MAX_S = 1.0, 60.0


class StepResult:
    """A step of a run that has ended, however it did."""

    def __init__(self, shown: Dict[str, Any], result: Optional[Result]) -> None:
        self.name: str = shown["name"]
        """The step."""
        self.outcome = Outcome[shown["outcome"]]
        """How it ended."""
        self.result = result
        """What its job gave, with data, frames, headers; None for a stage, which has many jobs."""
        self.shown = shown
        """What `run.get` of docs/ADMIN.md says of it: its times, attempts, worker; of a stage how many jobs."""

    def __repr__(self) -> str:
        return f"<forebay.StepResult {self.name!r} {self.outcome.name}>"

    def value(self) -> Any:
        """What the handler returned; raises the JobError of a step that did not end DONE."""
        if self.result is None:
            raise error_of(
                _c.ERR_STATE,
                f"the step {self.name!r} is a stage of {self.shown['jobs']} jobs; a collector takes their results",
            )
        return self.result.value()


class Steps:
    """Which steps of a run have ended, each told once, and when to ask again."""

    def __init__(self, run: UUID, timeout: Seconds) -> None:
        self._run, self._timeout = run, timeout
        self._end = until(timeout)
        self._told: Set[str] = set()
        self._pause_s = _PAUSE_MIN_S
        self.shown: Dict[str, Any] = {"stage": "open"}
        self.patience_s = _PATIENCE_MIN_S

    def see(self, shown: Dict[str, Any], asked_s: float) -> List[Dict[str, Any]]:
        """The steps that have ended since it was told last, in the order of their ends."""
        self.shown = shown
        new = [step for step in shown["step_list"] if step["name"] not in self._told and _has_ended(step)]
        self._told.update(step["name"] for step in new)
        self._pause_s = _PAUSE_MIN_S if new else min(self._pause_s * 1.5, _PAUSE_MAX_S)
        self._pause_s = max(self._pause_s, asked_s * _COST)
        return sorted(new, key=lambda step: int(step["ended_ms"] or 0))

    def late(self) -> None:
        """The broker has not answered: it is away, or the answer is long. TimedOut when the time is over."""
        self.patience_s = min(self.patience_s * 2, _PATIENCE_MAX_S)
        self.pause_s()

    @property
    def is_over(self) -> bool:
        """Whether the run has ended."""
        return bool(self.shown["stage"] == "ended")

    def pause_s(self) -> float:
        """How long to wait before the broker is asked again. TimedOut when the time is over."""
        left_s = seconds_to(self._end)
        if left_s is None:
            return self._pause_s
        if left_s <= 0:
            raise late(self._run, self._timeout)
        return min(self._pause_s, left_s)

    def failure(self) -> Optional[JobError]:
        """What the run that has ended raises; None when it is DONE."""
        shown = self.shown
        texts = (shown[key] or "" for key in ("code", "message", "detail"))
        return job_error(Outcome[shown["outcome"]], UUID(shown["id"]), *texts)

    def result(self, step: Dict[str, Any], result: Result) -> StepResult:
        """What the job of a step that has ended gave."""
        if result.code == _FORGOTTEN:
            raise self.gone(step)
        return StepResult(step, result)

    def gone(self, step: Dict[str, Any]) -> Error:
        """Why a step that has ended has no result any more."""
        why = f"the result of the step {step['name']!r} went with that of its run {self._run}, which was taken meanwhile"
        return error_of(_c.ERR_NOT_FOUND, why)


class Run(UUID):
    """A run that was handed in: its id, and how to follow it.

        run = client.run(pipeline)
        for step in run.results():
            print(step.name, step.value())

    `Run(client, id)` follows one that another process has handed in.
    """

    _client: "Client"

    def __init__(self, client: "Client", id: UUID) -> None:
        super().__init__(int=id.int)
        # A UUID lets nothing be set.
        self.__dict__.update(_client=client, _result=[])

    def __repr__(self) -> str:
        return f"<forebay.Run {self}>"

    def __reduce__(self) -> Any:
        # It travels as its id.
        return UUID, (str(self),)

    def __iter__(self) -> Iterator[StepResult]:
        return self.results()

    def results(self, timeout: Seconds = None, progress: bool = False) -> Iterator[StepResult]:
        """The steps that began, as they end, until the run has ended; then raises what a run raises that is not DONE.

        A step's result is fetched when its turn comes, and is the broker's until the run's own result is taken by `wait`.
        TimedOut when all that takes longer than `timeout` seconds. `progress` draws a bar meanwhile, as in `wait`.
        """
        steps = Steps(self, timeout)
        with Bar(progress) as bar:
            while not steps.is_over:
                for step in self._look(steps, bar):
                    yield self._result_of(steps, step)
                if not steps.is_over:
                    time.sleep(steps.pause_s())
        failure = steps.failure()
        if failure is not None:
            raise failure

    def wait(self, timeout: Seconds = None, progress: bool = False) -> Result:
        """How the run ended, whatever its outcome: its data and frames are the results of the steps no other needs.

        That takes the result; this object keeps it. `progress` draws a bar in the terminal or notebook: steps done, running,
        failed; it needs tqdm, which is the extra `progress`: pip install 'forebay[progress]'.
        """
        kept: List[Result] = self.__dict__["_result"]
        end = until(timeout)
        if progress and not kept:
            steps = Steps(self, timeout)
            with Bar(True) as bar:
                while not steps.is_over:
                    self._look(steps, bar)
                    if not steps.is_over:
                        time.sleep(steps.pause_s())
        if not kept:
            result = _requests.wait(self._client._its_desk(), self, seconds_to(end))
            if result is None:
                raise late(self, timeout)
            kept.append(result)
        return kept[0]

    def _look(self, steps: Steps, bar: Bar) -> List[Dict[str, Any]]:
        """Asks how far the run is: the steps that have ended since."""
        asked = time.monotonic()
        try:
            shown = _requests.shown(self._client._its_desk(), self, steps.patience_s)
        except TimedOut:
            steps.late()
            return []
        bar.show(shown)
        return steps.see(shown, time.monotonic() - asked)

    def _result_of(self, steps: Steps, step: Dict[str, Any]) -> StepResult:
        if step["job"] is None:
            return StepResult(step, None)
        while True:
            try:
                job = UUID(step["job"])
                return steps.result(step, _requests.peek(self._client._its_desk(), job, steps.patience_s))
            except TimedOut:
                steps.late()
            except NotFoundError:
                raise steps.gone(step) from None


def until(timeout: Seconds) -> Optional[float]:
    """When a timeout that begins now is over."""
    seconds = seconds_of(timeout)
    return None if seconds is None else time.monotonic() + seconds


def seconds_to(end: Optional[float]) -> Optional[float]:
    """How long it is until then; 0 when it was."""
    return None if end is None else max(0.0, end - time.monotonic())


def late(run: UUID, timeout: Seconds) -> TimedOut:
    """The error of a wait for a run whose time was over; the run goes on."""
    error = TimedOut(f"the run {run} has not ended in {timeout} s")
    error.id = UUID(int=run.int)
    return error


def _has_ended(step: Dict[str, Any]) -> bool:
    """Whether a step began and has ended: those behind one that failed never begin."""
    outcome = Outcome[step["outcome"]]
    if outcome == Outcome.REJECTED:
        return step["job"] is not None
    return outcome not in (Outcome.WAITING, Outcome.RUNNING)
