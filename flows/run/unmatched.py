"""SLOs that match nothing: said once, for a promise that counts no event looks as if it were kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporters.status import SloStatus
    from flows.slo.promise import Promise

AFTER_SECONDS = 300.0
"""How long a run may take to see an event of each SLO, from when it has caught up."""


class Unmatched:
    """Finds them, once a run.

    Args:
        promises: that are judged.
    """

    def __init__(self, promises: Sequence[Promise]) -> None:
        self._promises = tuple(promises)
        self._since: float | None = None

    def due(self, now: float, slos: Callable[[], Sequence[SloStatus]]) -> list[Promise]:
        """Those without an event in any window, when it is time to say so; else none.

        Args:
            now: seconds that only grow; the first time it is called the run has caught up.
            slos: how the objectives stand; asked once. One for each value of a label is not there before its first.
        """
        if self._since is None:
            self._since = now
        if not self._promises or now - self._since < AFTER_SECONDS:
            return []
        matched = {
            (each.slo, each.service, each.objective)
            for each in slos()
            if any(window.events for window in each.windows.values())
        }
        promises, self._promises = self._promises, ()
        return [each for each in promises if (each.name, each.service, each.objective_name) not in matched]
