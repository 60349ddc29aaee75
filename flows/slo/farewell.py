"""Alerts that somebody was told of, and whose promise is gone or is another one now: they end, and that is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from flows.machine import RESOLVED_FOR_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flows.slo.shown import SloAlert


class Farewell(NamedTuple):
    """The end of an alert that no promise has any more."""

    labels: dict[str, str]  # its identity, as it was told
    starts_at_ns: int
    ends_at_ns: int


class Farewells:
    """Keeps ends for as long as they are told of."""

    def __init__(self) -> None:
        self._all: list[Farewell] = []

    def at(self, end_ns: int) -> tuple[Farewell, ...]:
        """Those that are still told of at the end of a pane."""
        self._all = [each for each in self._all if end_ns - each.ends_at_ns <= RESOLVED_FOR_NS]
        return tuple(self._all)

    def snapshot(self, alerts: Iterable[SloAlert]) -> list[Any]:
        """What was told: the ends kept here, and the alerts that fire and whose end would be told."""
        firing = [[each.labels, each.starts_at_ns, None] for each in _told(alerts)]
        return [*map(list, self._all), *firing]

    def restore(self, told: Sequence[Sequence[Any]], alerts: Iterable[SloAlert], end_ns: int) -> None:
        """What `snapshot` gave; what fired then and is none of today's alerts ends now.

        Args:
            told: of the snapshot.
            alerts: of the promises as they are now.
            end_ns: where the judge stands.
        """
        still = [each.labels for each in _told(alerts)]
        for labels, starts_at_ns, ends_at_ns in told:
            if ends_at_ns is not None:
                self._all.append(Farewell(labels, starts_at_ns, ends_at_ns))
            elif labels not in still:
                self._all.append(Farewell(labels, starts_at_ns, end_ns))


def _told(alerts: Iterable[SloAlert]) -> list[SloAlert]:
    return [
        each for each in alerts if each.ends_at_ns is None and each.is_told and each.promise.policy.alert_when_resolved
    ]
