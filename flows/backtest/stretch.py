"""Which time of a recording counts: its gaps, its faults and their aftermath, the ordinary rest, and its two parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from detectors.spells import joined, total_ns, within, without
from flows.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flows.backtest.labels import Fault

GAP_NS = 300 * 10**9
"""A longer time without a span is a gap: nothing can be seen there, and nothing there is an alert."""


class Terms(NamedTuple):
    """How time is judged."""

    warm_up_ns: int  # of the recording's beginning, which rules learn from
    aftermath_ns: int  # after a fault: an alert may be its, and ordinary is otherwise
    split: float  # share of the recording that is the first part


class Part(NamedTuple):
    """A part of a recording."""

    name: str
    begin_ns: int
    end_ns: int


class Stretch(NamedTuple):
    """A recording's time."""

    first_ns: int
    last_ns: int
    warm_ns: int  # until when what happens does not count
    gaps: np.ndarray  # (n, 2) int64 spells
    faults: tuple[Fault, ...]
    excluded: tuple[str, ...]  # of each fault: why it does not count; empty where it does
    ordinary: np.ndarray  # (n, 2) int64 spells
    parts: tuple[Part, ...]

    def recorded_ns(self) -> int:
        """How long something was recorded."""
        return self.last_ns - self.first_ns - total_ns(self.gaps)

    def ordinary_in(self, part: Part) -> np.ndarray:
        """(n, 2) int64 spells."""
        return within(self.ordinary, part.begin_ns, part.end_ns)

    def counted_in(self, part: Part) -> np.ndarray:
        """(n_faults,) bool: those that begin in a part and are not excluded."""
        begins = (part.begin_ns <= fault.at_ns < part.end_ns for fault in self.faults)
        return np.array([not why and here for why, here in zip(self.excluded, begins, strict=True)], np.bool_)


def stretch(panes: Iterable[int], pane_ns: int, faults: tuple[Fault, ...], terms: Terms) -> Stretch:
    """Which time counts.

    Args:
        panes: in which a span ended, at least one.
        pane_ns: how long they are.
        faults: in the order of time.
        terms: how time is judged.
    """
    numbers = np.array(sorted(panes), np.int64)
    recorded = joined(np.column_stack((numbers, numbers + 1)) * pane_ns, GAP_NS + 1)
    first_ns, last_ns = int(recorded[0, 0]), int(recorded[-1, 1])
    warm_ns = min(first_ns + terms.warm_up_ns, last_ns)
    spoilt = [(fault.at_ns, fault.until_ns + terms.aftermath_ns) for fault in faults]
    spoilt.append((first_ns, warm_ns))
    split_ns = first_ns + round(terms.split * (last_ns - first_ns))
    return Stretch(
        first_ns,
        last_ns,
        warm_ns,
        without(np.array([[first_ns, last_ns]]), recorded),
        faults,
        tuple(_excluded(fault, recorded, warm_ns, terms) for fault in faults),
        without(recorded, joined(np.array(spoilt, np.int64))),
        tuple(_parts(terms.split, first_ns, split_ns, last_ns)),
    )


def _excluded(fault: Fault, recorded: np.ndarray, warm_ns: int, terms: Terms) -> str:
    if fault.until_ns <= recorded[0, 0] or fault.at_ns >= recorded[-1, 1]:
        return "outside of the recording"
    if not len(within(recorded, fault.at_ns, fault.until_ns)):
        return "nothing was recorded then"
    if fault.at_ns < warm_ns:
        return f"before the end of the warm-up ({format_duration(terms.warm_up_ns)})"
    return ""


def _parts(split: float, first_ns: int, split_ns: int, last_ns: int) -> Sequence[Part]:
    if split >= 1:
        return [Part("the whole", first_ns, last_ns)]
    return [Part(f"first {split * 100:.3g} %", first_ns, split_ns), Part("held out", split_ns, last_ns)]
