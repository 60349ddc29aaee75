"""What a replay is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from flows.config.sections import MINUTE_NS
from flows.recording import Recording

if TYPE_CHECKING:
    from pathlib import Path

    from flows.anomalies.past import Pasts
    from flows.config import Config
    from flows.slo.promise import Promise
    from flows.slo.seed import Seed

LOCKSTEP = timedelta(0)
"""An epoch for each read: lanes of several processes then advance together, and none piles up ahead of the others."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a replay is asked for; plain values, the same for all its workers."""

    recordings: tuple[str, ...]
    config: Config
    spool: Path  # a folder for what workers write
    signal: str | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    step_ns: int = MINUTE_NS
    openmetrics: bool = False
    samples: bool = False
    dead_letters: bool = False
    promises: tuple[Promise, ...] = ()
    seed: Seed | None = None
    scores: bool = False  # whether what is strange is found, too
    pasts: Pasts | None = None  # by rule of anomalies

    def open(self) -> Recording:
        """The recording, told by its bytes."""
        return Recording([*self.recordings], signal=self.signal)
