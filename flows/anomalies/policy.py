"""What of all that is strange is worth an alert: how many a day, for how long, and how large it must be."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from detectors.tiers import DAY_NS, MINUTE_NS
from flows.errors import ConfigError
from flows.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping


class Floor(NamedTuple):
    """How far a value must be from what was expected."""

    absolute: float  # in the signal's unit: seconds, calls per second, a ratio
    relative: float  # share of what was expected
    calls: float = 0.0  # of a ratio: as many calls as the difference is of
    falls: bool = False  # whether less than what was expected matters, too

    def is_passed(self, value: float, expected: float, calls: float = 0.0) -> bool:
        """Whether the difference is worth an alert: 2 ms more on 5 ms wakes nobody.

        >>> Floor(0.005, 0.2).is_passed(0.007, 0.005), Floor(0.005, 0.2).is_passed(0.110, 0.100)
        (False, False)
        >>> Floor(0.005, 0.2).is_passed(0.130, 0.100)
        True

        One failure of twelve calls is a large ratio, and one failure:

        >>> [Floor(0.01, 0.0, calls=3.0).is_passed(ratio, 0.0, calls=12.0) for ratio in (1 / 12, 4 / 12)]
        [False, True]
        """
        gap = abs(value - expected) if self.falls else value - expected
        return gap >= max(self.absolute, self.relative * abs(expected)) and gap * calls >= self.calls


FLOORS = {
    "p50": Floor(0.005, 0.2),
    "p95": Floor(0.005, 0.2),
    "rate": Floor(1.0, 0.2, falls=True),
    "error_ratio": Floor(0.01, 0.0, calls=3.0),
}
"""By signal."""

NO_FLOOR = Floor(0.0, 0.0, falls=True)


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """When the scores of one rule become alerts.

    Attributes:
        alerts_per_day: The budget of all its series together, in ordinary times.
        for_ns: How long it must be strange before the alert fires.
        keep_firing_for_ns: How long it goes on firing after.
        refractory_ns: Alerts that are less than this apart are one. No part of the score: it forgets nothing.
        least_calls: Quantiles and error ratios of fewer calls in a step raise no alert.
        floors: By signal, how large the difference must be.

    Raises:
        ConfigError: the budget is no positive number, or the refractory time is shorter than alerts are kept.
    """

    alerts_per_day: float = 5.0
    for_ns: int = 0
    keep_firing_for_ns: int = 10 * MINUTE_NS
    refractory_ns: int = 30 * MINUTE_NS
    least_calls: float = 10.0
    floors: Mapping[str, Floor] = field(default_factory=lambda: FLOORS)

    def __post_init__(self) -> None:
        if not 0 < self.alerts_per_day < math.inf:
            raise ConfigError("per_day", f"{self.alerts_per_day:g}", "it must be a positive number", "Write 5, or 0.5.")
        if self.refractory_ns < self.keep_firing_for_ns:
            raise ConfigError(
                "refractory",
                format_duration(self.refractory_ns),
                f"it must be at least as long as alerts are kept, {format_duration(self.keep_firing_for_ns)}",
                "Make it longer, or keep_firing_for shorter.",
            )

    def matters(self, signal: str, value: float, expected: float, calls: float) -> bool:
        """Whether a difference is large enough, in the unit of its signal, and of enough calls."""
        is_busy = signal == "rate" or calls >= self.least_calls
        return is_busy and self.floors.get(signal, NO_FLOOR).is_passed(value, expected, calls)


@dataclass(frozen=True, slots=True)
class AlertRule:
    """The policy of a rule, and how often its series are scored."""

    name: str
    step_ns: int
    policy: AlertPolicy = field(default_factory=AlertPolicy)

    @property
    def steps_per_day(self) -> int:
        """How many steps a day has."""
        return max(DAY_NS // self.step_ns, 1)
