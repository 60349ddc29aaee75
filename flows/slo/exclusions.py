"""Maintenance: spans of time whose events count nowhere, for the SLOs and series that are named."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from flows.errors import ConfigError
from flows.slo.shown import service_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flows.slo.promise import Promise


class Exclusion(NamedTuple):
    """Events from one time to another count nowhere for the SLOs and series that have all these labels."""

    match: tuple[tuple[str, str], ...]  # `slo`, `service`, the SLO's own labels, a series' labels; empty: all
    from_ns: int
    to_ns: int  # itself not in it

    def matches(self, promise: Promise, group: str) -> bool:
        """Whether it is about a promise, for one value of its `group-by`."""
        return self.covers({**dict(promise.labels), "slo": promise.name, "service": service_of(promise, group)})

    def covers(self, labels: Mapping[str, str]) -> bool:
        """Whether it is about what has these labels."""
        return all(labels.get(name) == value for name, value in self.match)

    def panes(self, pane_ns: int) -> tuple[int, int]:
        """The first pane in it and the first after it; a pane that is partly in it is.

        >>> Exclusion((), 12, 20).panes(5)
        (2, 4)
        """
        return self.from_ns // pane_ns, -(-self.to_ns // pane_ns)


class Excluded:
    """Which rows are excluded when.

    Args:
        exclusions: all there are.
        pane_ns: how time is cut.
    """

    def __init__(self, exclusions: Sequence[Exclusion], pane_ns: int) -> None:
        self._exclusions = exclusions
        self._panes = [each.panes(pane_ns) for each in exclusions]
        self._rows = [np.zeros(0, np.bool_) for _ in exclusions]

    def note(self, row: int, promise: Promise, group: str) -> None:
        """A row counts for a promise."""
        for i, each in enumerate(self._exclusions):
            if each.matches(promise, group):
                if row >= len(self._rows[i]):
                    self._rows[i] = np.concatenate([self._rows[i], np.zeros(row + 1, np.bool_)])
                self._rows[i][row] = True

    def of(self, rows: np.ndarray, panes: np.ndarray) -> np.ndarray:
        """(n,) bool: whether events of row `rows[i]` and pane `panes[i]` count nowhere."""
        found = np.zeros(len(rows), np.bool_)
        for (first, end), mine in zip(self._panes, self._rows, strict=True):
            within = np.flatnonzero((panes >= first) & (panes < end) & (rows < len(mine)))
            found[within] |= mine[rows[within]]
        return found

    def rows_at(self, pane: int) -> np.ndarray:
        """The rows that are excluded in a pane, some of them twice."""
        now = [
            np.flatnonzero(mine)
            for (first, end), mine in zip(self._panes, self._rows, strict=True)
            if first <= pane < end
        ]
        return np.concatenate([np.zeros(0, np.int64), *now])


def check_exclusions(
    exclusions: Sequence[Exclusion], promises: Sequence[Promise], *, is_scored: bool = False
) -> list[str]:
    """Warnings about exclusions that are about no SLO.

    Args:
        exclusions: all there are.
        promises: likewise.
        is_scored: whether series are scored for anomalies, which an exclusion may be about instead.

    Raises:
        ConfigError: of two SLOs that count the same one is excluded and the other is not: they have one row of counts.
    """
    warnings = []
    for i, each in enumerate(exclusions):
        matched = [promise for promise in promises if each.matches(promise, _any_service(promise, each))]
        for promise in matched:
            other = next((p for p in promises if p.state_key == promise.state_key and p not in matched), None)
            if other is not None:
                raise ConfigError(
                    f"exclusions[{i}].match",
                    f"{promise.name} without {other.name}",
                    "both count the same events, which are counted once",
                    "Match both, or neither.",
                )
        if not matched and not is_scored:
            warnings.append(f"exclusions[{i}] matches no SLO")
    return warnings


def _any_service(promise: Promise, exclusion: Exclusion) -> str:
    """The group that an exclusion would be about, where a promise has one for each service."""
    return dict(exclusion.match).get("service", "") if promise.group_by is not None else ""
