"""The shape of a bank of rings: which there are for a period, and which windows are wanted of them.

The finest ring has a slot for each pane and holds 10 minutes; then slots of 1 minute hold 6 hours, of 15 minutes 3
days, of 1 hour the period. A period of 30 days takes 1,491 slots.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

SECOND_NS = 1_000_000_000
PANE_NS = 5 * SECOND_NS

_MINUTE_NS = 60 * SECOND_NS
_HOUR_NS = 60 * _MINUTE_NS
_STEPS = (
    (0, 10 * _MINUTE_NS),  # a pane
    (_MINUTE_NS, 6 * _HOUR_NS),
    (15 * _MINUTE_NS, 72 * _HOUR_NS),
    (_HOUR_NS, 0),  # the period
)
"""Step and length of each ring, the finest first."""


class Ring(NamedTuple):
    """The shape of one ring, in panes."""

    step: int
    length: int
    slots: int
    """One more than the length takes: a start that is aligned down lies in a slot of its own."""


@dataclass(frozen=True, slots=True)
class RingRules:
    """Which rings there are, and which windows are wanted of them.

    Args:
        period_ns: Of the budget; the longest window.
        windows_ns: Wanted, in any order; the period is added.
        pane_ns: The step of the finest ring; a divisor of a minute.

    Raises:
        ValueError: A window is no multiple of the pane, or longer than the period; the pane divides no minute.

    >>> [ring.slots for ring in RingRules(30 * 24 * _HOUR_NS).rings]
    [121, 361, 289, 721]
    """

    period_ns: int
    windows_ns: tuple[int, ...] = ()
    pane_ns: int = PANE_NS

    def __post_init__(self) -> None:
        if self.pane_ns <= 0 or _MINUTE_NS % self.pane_ns:
            raise ValueError(f"a pane of {self.pane_ns} ns does not divide a minute; write one that does, such as 5 s")
        for window in (self.period_ns, *self.windows_ns):
            if not 0 < window <= self.period_ns or window % self.pane_ns:
                raise ValueError(
                    f"a window of {window} ns must be a multiple of the pane ({self.pane_ns} ns) and at most the "
                    f"period ({self.period_ns} ns)"
                )
        object.__setattr__(self, "windows_ns", tuple(sorted({*self.windows_ns, self.period_ns})))

    @property
    def rings(self) -> tuple[Ring, ...]:
        """The rings, the finest first; the last one holds the period."""
        found: list[Ring] = []
        for step_ns, length_ns in _STEPS:
            step, length = (step_ns or self.pane_ns), min(length_ns or self.period_ns, self.period_ns)
            found.append(Ring(step // self.pane_ns, length // self.pane_ns, -(-length // step) + 1))
            if length == self.period_ns:
                break
        return tuple(found)

    def serving(self, window_ns: int) -> int:
        """Which of the rings serves a window: the finest that holds it.

        >>> rules = RingRules(30 * 24 * _HOUR_NS)
        >>> [rules.serving(hours * _HOUR_NS) for hours in (1, 7, 73)]
        [1, 2, 3]
        """
        return next(i for i, ring in enumerate(self.rings) if window_ns <= ring.length * self.pane_ns)
