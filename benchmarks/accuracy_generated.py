"""What is seen of things that go wrong, for how many false alarms: on generated months whose truth is known.

    python benchmarks/accuracy_generated.py              # all but one peer, five minutes
    python benchmarks/accuracy_generated.py --all        # also the five cues, a quarter of an hour more
    python benchmarks/accuracy_generated.py --seen       # while a detector is worked on: not what is held out

Two thresholds for each budget: one for the fleet, as people set it, and one for each background, which asks nothing of
a score but its order. Series of five backgrounds were held out until the detectors were done.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from judge import peers
from judge.scoring import BUDGETS, WITHIN, Outcome, outcome, threshold
from judge.series import START, months
from report import publish

from detectors.anomaly import AnomalyBank, AnomalySettings
from detectors.chance import rate_interval, share_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from judge.series import Series

MAIN_BUDGET = 0.05
OURS = "streamgauge"


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


class Verdict(NamedTuple):
    """What one detector got.

    Attributes:
        rows: Lines of the table.
        fleet: For each series, at the main budget, one threshold for all.
        own: Likewise, a threshold for each background.
    """

    rows: list[dict[str, object]]
    fleet: list[Outcome]
    own: list[Outcome]


def judged(name: str, series: Sequence[Series], detector: Callable[[np.ndarray], np.ndarray]) -> Verdict:
    """One detector on all series."""
    begin = time.process_time()
    scores = [detector(one.values) for one in series]
    micros = (time.process_time() - begin) / sum(len(one.values) for one in series) * 1e6
    rows, fleet, own = [], [], []
    for budget in BUDGETS:
        level = threshold(scores, budget)
        got = [outcome(one, given, level) for one, given in zip(series, scores, strict=True)]
        fleet = got if budget == MAIN_BUDGET else fleet
        rows.append(row(name, "fleet", budget, pooled(got)))
    for places in by_background(series).values():
        level = threshold([scores[place] for place in places], MAIN_BUDGET)
        own += [outcome(series[place], scores[place], level) for place in places]
    rows.append(row(name, "background", MAIN_BUDGET, pooled(own)))
    return Verdict([{**line, "µs a point": micros} for line in rows], fleet, own)


def against_peers(series: Sequence[Series], verdicts: dict[str, Verdict]) -> list[dict[str, object]]:
    """For each background, ours and the best of the others."""
    rows = []
    for background, places in by_background(series).items():
        line: dict[str, object] = {"background": background}
        for scope in ("fleet", "own"):
            recall = {}
            for name, verdict in verdicts.items():
                got = pooled([getattr(verdict, scope)[place] for place in places])
                recall[name] = got.seen[-1] / got.events
            best = max((name for name in recall if name != OURS), key=lambda name: recall[name])
            line |= {f"{scope}: ours": recall[OURS], f"{scope}: best peer": recall[best], f"{scope}: which": best}
        rows.append(line)
    return rows


def ours(values: np.ndarray) -> np.ndarray:
    """The default of `detectors.anomaly`, whatever the series."""
    times_ns = (START + 60 * np.arange(len(values))) * 10**9
    return np.nan_to_num(AnomalyBank(AnomalySettings(), 1).run(times_ns, values[:, None]).score[:, 0])


def main() -> None:
    """Both sets of series."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--all", action="store_true", help="also the peer that takes a quarter of an hour")
    arguments.add_argument("--seen", action="store_true", help="not the backgrounds that are held out")
    asked = arguments.parse_args()
    detectors = {OURS: ours, **peers.CHEAP, **(peers.DEAR if asked.all else {})}
    for held_out in (False,) if asked.seen else (False, True):
        series = months(held_out=held_out)
        which = "held out" if held_out else "seen"
        name = f"accuracy_generated_{which.replace(' ', '_')}"
        verdicts = {one: judged(one, series, detector) for one, detector in detectors.items()}
        publish(
            name,
            f"Events seen within minutes, by false episodes a series-day: {len(series)} months, backgrounds {which}",
            [line for verdict in verdicts.values() for line in verdict.rows],
            "Minutes count from when an event could be told from noise by who knew its shape. Asked: on the ordinary "
            "first half, after a week; had: on the second half, outside of events.",
        )
        publish(
            f"{name}_backgrounds",
            f"Recall in {WITHIN[-1]} minutes at {MAIN_BUDGET} false episodes a series-day, by background ({which})",
            against_peers(series, verdicts),
            "Fleet: one threshold for all series; own: one for each background.",
        )


if __name__ == "__main__":
    main()
