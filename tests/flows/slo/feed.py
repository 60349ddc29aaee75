"""A judge that is told counts, pane by pane, as shards would tell it: for days of event time in seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flows.records import Partition
from flows.series import SHARDS
from flows.slo.counting import Column, Counted
from flows.slo.judge import SloAlert, SloJudge, SloPart, SloRules, SloShown
from flows.slo.promise import Indicator, Promise, Rolling
from flows.slo.selector import Matcher, Selector
from flows.watermark import PartitionProgress, Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.slo.exclusions import Exclusion

SECOND, MINUTE = 10**9, 60 * 10**9
DAY = 1_440 * MINUTE
BEGIN_NS = 1_772_323_200 * SECOND  # midnight, UTC

FAILED = Selector("spans", (Matcher("status_code", "in", ("STATUS_CODE_ERROR",)),))
SHOP = Selector("spans", (Matcher("service_name", "in", ("shop",)),))


def promised(objective: float = 0.999, **other) -> Promise:
    """Availability of the shop over 30 days."""
    whole = {
        "name": "availability",
        "service": "shop",
        "objective_name": str(objective),
        "objective": objective,
        "indicator": Indicator("ratio", SHOP, bad=FAILED),
        "period": Rolling(30 * DAY, "30d"),
        **other,
    }
    return Promise(**whole)


class Feed:
    """Tells a judge of one promise.

    Args:
        promise: what is promised.
        pane_ns: how time is cut; a minute makes days short.
        exclusions: when events count nowhere.
    """

    def __init__(self, promise: Promise, pane_ns: int = MINUTE, exclusions: tuple[Exclusion, ...] = ()) -> None:
        self.promise = promise
        self.pane_ns = pane_ns
        self.exclusions = exclusions
        self.judge = SloJudge(self.rules)
        self.begin = self.pane = BEGIN_NS // pane_ns
        self.alerts: dict[tuple[str, str, int], SloAlert] = {}  # as they were shown last
        self.shown: SloShown | None = None  # last

    @property
    def rules(self) -> SloRules:
        """What is promised, and when not."""
        return SloRules((self.promise,), self.pane_ns, exclusions=self.exclusions)

    @property
    def now_ns(self) -> int:
        """The end of the last pane."""
        return self.pane * self.pane_ns

    def restart(self, promise: Promise | None = None) -> None:
        """A crash, and what is promised may be edited meanwhile."""
        self.promise = promise or self.promise
        self.judge = SloJudge.restore(self.rules, self.judge.snapshot())

    def run(self, totals: Sequence[int] | np.ndarray, bads: Sequence[int] | np.ndarray | int = 0) -> None:
        """So many events, and bad ones among them, in each of the next panes."""
        total = np.asarray(totals, np.int64)
        bad = np.broadcast_to(np.asarray(bads, np.int64), total.shape)
        panes = np.arange(self.pane, self.pane + len(total))
        some = np.flatnonzero(total)
        counts = np.stack([total << 20, bad << 20, total, bad], axis=1)[some]
        trace = np.where(bad[some, None] > 0, np.array([[1, 2]], np.uint64), np.uint64(0)).astype(np.uint64)
        column = [Column(self.promise.state_key, "")]
        counted = Counted(column, np.zeros(len(some), np.int32), panes[some], panes[some], counts, trace)
        self.pane += len(total)
        parts = []
        for shard in range(SHARDS + 1):
            at = PartitionProgress(Partition("shard", shard), self.pane, self.begin, self.pane - 1, self.pane)
            parts.append(SloPart(Progress(shard, (at,)), (counted,) if shard == 0 and len(some) else ()))
        for shown in self.judge.hear(parts):
            self.shown = shown
            self.alerts.update({(each.name, each.severity, each.starts_at_ns): each for each in shown.alerts})

    def minutes(self, n: int, total: int, bad: int = 0) -> None:
        """The same in each of the next n minutes."""
        assert self.pane_ns == MINUTE
        self.run(np.full(n, total), bad)

    def of(self, name: str, severity: str = "critical") -> list[SloAlert]:
        """The alerts of a kind so far, in the order of their starts."""
        found = [each for (n, s, _), each in self.alerts.items() if (n, s) == (name, severity)]
        return sorted(found, key=lambda each: each.starts_at_ns)
