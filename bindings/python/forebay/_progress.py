"""How far a run is, as a bar in a terminal or a notebook.

Invariant: without a bar nothing of tqdm is imported.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Dict, Tuple

_FAILED = frozenset({"FAILED", "TIMED_OUT", "CANCELLED", "EXPIRED", "QUARANTINED", "LOST"})


class Bar:
    """Is told how far the run is; without being wanted it draws nothing."""

    def __init__(self, is_wanted: bool) -> None:
        self._make = _tqdm() if is_wanted else None
        self._drawn: Any = None
        self._before: Tuple[int, ...] = ()

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def show(self, shown: Dict[str, Any]) -> None:
        """Draws a run as `run.get` shows it."""
        if self._make is None:
            return
        outcomes = Counter(step["outcome"] for step in shown["step_list"])
        failed = sum(count for outcome, count in outcomes.items() if outcome in _FAILED)
        now = (outcomes["DONE"] + failed, outcomes["RUNNING"], failed)
        if now == self._before:
            return
        self._before = now
        if self._drawn is None:
            self._drawn = self._make(desc=shown["name"], total=len(shown["step_list"]), unit="step")
        self._drawn.set_postfix(running=outcomes["RUNNING"], failed=failed, refresh=False)
        self._drawn.n = now[0]
        self._drawn.refresh()

    def close(self) -> None:
        """Leaves it as it is."""
        if self._drawn is not None:
            self._drawn.close()


def _tqdm() -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        raise ImportError(
            "a progress bar needs tqdm, which is not installed: pip install 'forebay[progress]'"
        ) from None
    return tqdm
