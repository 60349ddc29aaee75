"""What is seen of things that go wrong, for how many false alarms: on generated months whose truth is known.

    python benchmarks/accuracy_generated.py              # peers that cost little, a few minutes
    python benchmarks/accuracy_generated.py --all        # also river's and the five cues, half an hour

Two thresholds for each budget: one for the fleet, as people set it, and one for each background, which asks nothing of
a score but its order. Series of five backgrounds were held out until the detectors were done.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from judge import peers
from judge.scoring import BUDGETS, WITHIN, Outcome, outcome, rate_interval, share_interval, threshold
from judge.series import months
from report import publish

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from judge.series import Series

MAIN_BUDGET = 0.05


def pooled(outcomes: Sequence[Outcome]) -> Outcome:
    """Of all series together."""
    first, *rest = outcomes
    for one in rest:
        first = first + one
    return first


def by_background(series: Sequence[Series]) -> dict[str, list[int]]:
    """The places of each background's series."""
    found: dict[str, list[int]] = {}
    for place, one in enumerate(series):
        found.setdefault(one.background, []).append(place)
    return found


def row(name: str, scope: str, budget: float, got: Outcome) -> dict[str, object]:
    """One line of the table."""
    recall = {f"recall in {minutes} min": seen / got.events for minutes, seen in zip(WITHIN, got.seen, strict=True)}
    seen_low, seen_high = share_interval(got.seen[-1], got.events)
    false_low, false_high = rate_interval(got.false, got.days)
    return {
        "detector": name,
        "threshold": scope,
        "asked": budget,
        **recall,
        "95 %": f"{seen_low:.3f}…{seen_high:.3f}",
        "false a day": got.false / got.days,
        "95 % ": f"{false_low:.3f}…{false_high:.3f}",
        "alerts an event": got.during / got.events,
        "false a day, first week": got.early / got.early_days,
    }


def judged(name: str, series: Sequence[Series], scores: Sequence[np.ndarray]) -> list[dict[str, object]]:
    """All lines of one detector."""
    rows = []
    for budget in BUDGETS:
        level = threshold(scores, budget)
        got = [outcome(one, given, level) for one, given in zip(series, scores, strict=True)]
        rows.append(row(name, "fleet", budget, pooled(got)))
    got = []
    for places in by_background(series).values():
        level = threshold([scores[place] for place in places], MAIN_BUDGET)
        got += [outcome(series[place], scores[place], level) for place in places]
    rows.append(row(name, "background", MAIN_BUDGET, pooled(got)))
    return rows


def table(
    series: Sequence[Series], detectors: dict[str, Callable[[np.ndarray], np.ndarray]]
) -> list[dict[str, object]]:
    """All lines of all detectors."""
    rows = []
    for name, detector in detectors.items():
        begin = time.process_time()
        scores = [detector(one.values) for one in series]
        points = sum(len(one.values) for one in series)
        micros = (time.process_time() - begin) / points * 1e6
        rows += [{**line, "µs a point": micros} for line in judged(name, series, scores)]
    return rows


def main() -> None:
    """Both sets of series."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--all", action="store_true", help="also the peers that take half an hour")
    detectors = {**peers.CHEAP, **(peers.DEAR if arguments.parse_args().all else {})}
    for held_out in (False, True):
        series = months(held_out=held_out)
        which = "held out" if held_out else "seen"
        publish(
            f"accuracy_generated_{which.replace(' ', '_')}",
            f"Events seen within minutes, by false episodes a series-day: {len(series)} months, backgrounds {which}",
            table(series, detectors),
            "Minutes count from when an event could be told from noise by who knew its shape. Asked: on the ordinary "
            "first half, after a week; had: on the second half, outside of events.",
        )


if __name__ == "__main__":
    main()
