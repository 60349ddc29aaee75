"""A backtest as a picture: what went wrong in each service, and what was raised of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporters.timeline import Bar, Ground, timeline
from flows.picture import drawing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flows.backtest.stretch import Stretch
    from flows.backtest.verdict import Raised

_MOST_NAMES = 8
"""More rules than that cannot be told apart: then those of a kind have one colour."""


def draw(path: Path, title: str, stretch: Stretch, raised: Sequence[Raised]) -> str:
    """Draw it; says what is where.

    Raises:
        OutputError: it cannot be written.
    """
    split_ns = stretch.parts[1].begin_ns if len(stretch.parts) > 1 else None
    ground = Ground(stretch.first_ns, stretch.last_ns, stretch.gaps, stretch.warm_ns, split_ns)
    faults = [
        Bar(fault.service, fault.at_ns, fault.until_ns, fault.kind)
        for fault in stretch.faults
        if fault.at_ns < stretch.last_ns and fault.until_ns > stretch.first_ns
    ]
    each_has_its_own = len({each.rule for each in raised}) <= _MOST_NAMES
    alerts = [
        Bar(
            each.service,
            each.begin_ns,
            each.until_ns(stretch.last_ns),
            each.rule.text if each_has_its_own else each.rule.kind,
        )
        for each in raised
    ]
    with drawing(path):
        timeline(path, title, ground, faults, alerts)
    return f"{path}: {len(faults)} faults, {len(alerts)} alerts"
