"""Which promises are judged by the counts of a bank, and as arrays what is looked at of each for every pane."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from detectors.burn_rate import seconds_to_fire
from detectors.guard import MIN_EVENTS
from flows.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.slo.promise import Promise, UserTier

NEVER_ABSENT = np.iinfo(np.int64).max
"""How long the events of a promise that does not alert on absence may be missing."""

_UNSETTLED = -1
_ABSENT_SECONDS = 60.0  # where no tier says how fast an outage is noticed


@dataclass(slots=True, eq=False)
class Line:
    """One promise for one group: a row of counts, tiers, alerts."""

    promise: Promise
    group: str
    row: int
    tiers: tuple[UserTier, ...]
    machines: dict[str, Machine] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What its alerts are stored under: a changed objective's name is another alert."""
        return line_key(self.promise, self.group)


def line_key(promise: Promise, group: str) -> str:
    """The key of a promise for a group."""
    return "\x1f".join((promise.name, promise.service, promise.objective_name, group))


class Watch(NamedTuple):
    """All tiers that have one pair of windows and one place among their line's; n of them."""

    place: int
    long_ns: int
    short_ns: int
    line: np.ndarray  # (n,) int64: whose they are
    row: np.ndarray  # (n,) int64: the line's
    threshold: np.ndarray  # (n,) float64
    guarded: np.ndarray  # (n,) bool
    min_events: np.ndarray  # (n,) int64: bad ones that it takes to start


class Objectives(tuple["tuple[Promise, str]", ...]):
    """Promise and group of each line. Hashed once: pages look up by it, at every pane, what does not change of them."""

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return super().__hash__()


class Arrays:
    """What does not change of lines, as arrays.

    Args:
        lines: all of a bank.
    """

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines
        self.of = Objectives((line.promise, line.group) for line in lines)
        self.row = np.array([line.row for line in lines], np.int64)
        self.objective = np.array([line.promise.objective for line in lines])
        self.absent_ns = np.array([_absent_ns(line) for line in lines], np.int64)
        longest = [max((each.long_ns for each in line.tiers), default=0) for line in lines]
        self.longest_ns = np.array(longest, np.int64)
        self.n_places = max((len(line.tiers) for line in lines), default=0)
        self.settled = np.full((len(lines), self.n_places + 2), _UNSETTLED, np.int8)
        """(n, places + 2): what was said of each when its alerts were stepped last, where the same again is no news."""

    @cached_property
    def promises(self) -> frozenset[Promise]:
        """Those that have a line."""
        return frozenset(line.promise for line in self._lines)

    @cached_property
    def watches(self) -> tuple[Watch, ...]:
        """The tiers of all lines, by their windows."""
        by_windows: dict[tuple[int, int, int], list[tuple[int, UserTier]]] = {}
        for i, line in enumerate(self._lines):
            for place, each in enumerate(line.tiers):
                by_windows.setdefault((place, each.long_ns, each.short_ns), []).append((i, each))
        return tuple(self._watch(*windows, tiers) for windows, tiers in by_windows.items())

    def _watch(self, place: int, long_ns: int, short_ns: int, tiers: Sequence[tuple[int, UserTier]]) -> Watch:
        line = np.array([i for i, _ in tiers], np.int64)
        floors = [_floor(self._lines[i], each) for i, each in tiers]
        return Watch(
            place,
            long_ns,
            short_ns,
            line,
            self.row[line],
            np.array([each.threshold for _, each in tiers]),
            np.array([guarded for guarded, _ in floors], np.bool_),
            np.array([least for _, least in floors], np.int64),
        )


class Lines:
    """The lines of one bank; their number is their place in `all`."""

    def __init__(self) -> None:
        self.all: list[Line] = []
        self.busy: set[int] = set()
        """Those with an alert that the next pane could change, whatever is in it."""
        self._numbers: dict[tuple[str, int], int] = {}
        self._arrays: Arrays | None = None

    def __len__(self) -> int:
        return len(self.all)

    def find(self, promise: Promise, group: str) -> Line | None:
        """The line of a promise for a group, if there is one."""
        number = self._numbers.get((group, id(promise)))
        return None if number is None else self.all[number]

    def add(self, line: Line) -> None:
        """One more."""
        number = self._numbers[line.group, id(line.promise)] = len(self.all)
        self.all.append(line)
        self._arrays = None
        self.note(number)

    def note(self, number: int, said: np.ndarray | None = None) -> None:
        """After its alerts were stepped: remember whether there is more to come, and what it is settled with."""
        busy = [machine for machine in self.all[number].machines.values() if not machine.is_quiet]
        if busy:
            self.busy.add(number)
        else:
            self.busy.discard(number)
        if said is not None:
            is_settled = all(machine.is_settled for machine in busy)
            self.arrays.settled[number] = said if is_settled else _UNSETTLED

    @property
    def arrays(self) -> Arrays:
        """The lines as arrays; the same object until one is added."""
        if self._arrays is None:
            self._arrays = Arrays(self.all)
        return self._arrays


def _floor(line: Line, each: UserTier) -> tuple[bool, int]:
    """Whether a tier is guarded, and how many bad events it takes to start: pages are careful unless told."""
    policy, pages = line.promise.policy, each.severity == "critical"
    least = policy.min_events if policy.min_events is not None else MIN_EVENTS if pages else 0
    return (policy.guard if policy.guard is not None else pages), least


def _absent_ns(line: Line) -> int:
    """How long no events may come: as long as a total outage would need to fire."""
    if not line.promise.policy.alerts_on_absence:
        return NEVER_ABSENT
    seconds = (seconds_to_fire(1.0, each.threshold, each.long_ns) for each in line.tiers)
    return round(min(seconds, default=_ABSENT_SECONDS) * 1e9)
