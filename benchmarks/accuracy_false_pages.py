"""How often does the default configuration page when nothing is wrong, with the guard and without?

Years of steady traffic whose true error ratio is at or below what the objective allows: every page is false. The rules
are the product's (`detectors.tiers`, `detectors.evaluation`), evaluated at each pane; windows are differences of
running sums, with the rings' alignment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from report import publish

from detectors.evaluation import TierState, evaluate
from detectors.ring_rules import PANE_NS, RingRules
from detectors.tiers import DAY_NS, HOUR_NS, MINUTE_NS, default_tiers

if TYPE_CHECKING:
    from detectors.tiers import Tier

OBJECTIVE = 0.999
PERIOD_NS = 30 * DAY_NS
YEARS = 3
CHUNK = 1 << 17
YEAR = 365 * DAY_NS // PANE_NS
WARM = 3 * DAY_NS // PANE_NS
"""Traffic before the first evaluation, so that all windows are full."""

KEEP_FIRING_NS = {"critical": 10 * MINUTE_NS, "warning": HOUR_NS}
CLUMP = 3


class Traffic(NamedTuple):
    """Running sums, (n + 1,) int64: events before each pane."""

    total: np.ndarray
    bad: np.ndarray

    def window(self, positions: np.ndarray, window_ns: int, step: int) -> np.ndarray:
        """(n, 4): the counts of the windows that end at positions."""
        start = (positions - window_ns // PANE_NS) // step * step
        total, bad = (column[positions] - column[start] for column in self)
        return np.stack((total << 20, bad << 20, total, bad), axis=1)


def traffic(rng: np.random.Generator, per_minute: float, error_ratio: float, clump: int) -> Traffic:
    """A year of requests that come, and fail, independently of each other, or fail in clumps."""
    rate = per_minute * PANE_NS / MINUTE_NS
    good = rng.poisson(rate * (1 - error_ratio), WARM + YEAR)
    bad = clump * rng.poisson(rate * error_ratio / clump, WARM + YEAR)
    return Traffic(*(np.concatenate(([0], np.cumsum(column))) for column in (good + bad, bad)))


def states(events: Traffic, tier: Tier, rules: RingRules) -> np.ndarray:
    """(YEAR,) int8: what a tier says at each pane, guarded."""
    long_step, short_step = (rules.rings[rules.serving(ns)].step for ns in (tier.long_ns, tier.short_ns))
    found = []
    for begin in range(WARM, WARM + YEAR, CHUNK):
        positions = np.arange(begin, min(begin + CHUNK, WARM + YEAR)) + 1
        yes = np.ones(len(positions), np.bool_)
        long = events.window(positions, tier.long_ns, long_step)
        short = events.window(positions, tier.short_ns, short_step)
        found.append(evaluate(long, short, np.full(len(yes), tier.threshold(OBJECTIVE)), yes, yes).state)
    return np.concatenate(found)


def last(condition: np.ndarray) -> np.ndarray:
    """For each pane the last one up to it at which a condition held, -1 where there is none."""
    return np.maximum.accumulate(np.where(condition, np.arange(len(condition)), -1))


def firing(state: np.ndarray, tier: Tier, guard: bool) -> np.ndarray:
    """Whether a tier fires: begun by above; ended by released, or by being unknown for its long window."""
    begun = state == TierState.ABOVE
    if not guard:
        begun |= state == TierState.GUARDED
    unknown_since = np.arange(len(state)) - last(state != TierState.UNKNOWN)
    ended = (state == TierState.RELEASED) | (unknown_since >= tier.long_ns // PANE_NS)
    return np.asarray(last(begun) > last(ended))


def alerts(fires: np.ndarray, keep_ns: int) -> int:
    """How many alerts begin, when each is kept for a while after its tiers have ended."""
    kept = np.arange(len(fires)) - last(fires) < keep_ns // PANE_NS
    kept &= last(fires) >= 0
    return int(np.count_nonzero(kept[1:] & ~kept[:-1]) + kept[0])


def simulate(rng: np.random.Generator, per_minute: float, error_ratio: float, clump: int) -> dict[str, int]:
    """Alerts of one year by kind."""
    tiers = default_tiers(PERIOD_NS)
    rules = RingRules(PERIOD_NS)
    events = traffic(rng, per_minute, error_ratio, clump)
    found = {"pages, no guard": 0, "pages, guard": 0, "tickets, no guard": 0}
    fires = {kind: np.zeros(YEAR, np.bool_) for kind in found}
    for tier in tiers:
        state = states(events, tier, rules)
        if tier.severity == "critical":
            fires["pages, guard"] |= firing(state, tier, guard=True)
            fires["pages, no guard"] |= firing(state, tier, guard=False)
        else:
            fires["tickets, no guard"] |= firing(state, tier, guard=False)
    for kind in found:
        found[kind] = alerts(fires[kind], KEEP_FIRING_NS["warning" if "tickets" in kind else "critical"])
    return found


def main() -> None:
    """All cases, each with a seed of its own."""
    rows: list[dict[str, object]] = []
    for error_ratio in (0.0005, 0.001):
        for clump in (1, CLUMP):
            for per_minute in (1, 10, 100, 1_000):
                rng = np.random.default_rng([per_minute, clump, round(error_ratio * 10**6)])
                years = [simulate(rng, per_minute, error_ratio, clump) for _ in range(YEARS)]
                rows.append(
                    {
                        "failures": "independent" if clump == 1 else f"clumps of {clump}",
                        "true error ratio": f"{error_ratio:.2%}",
                        "requests/min": per_minute,
                        **{f"{kind}, a year": sum(year[kind] for year in years) / YEARS for kind in years[0]},
                    }
                )
    publish(
        "accuracy_false_pages",
        "How often does the default configuration page, at objective 99.9 %, when nothing is wrong?",
        rows,
        f"Means of {YEARS} simulated years of steady Poisson traffic. The budget allows 0.10 %: at 0.05 % every alert "
        "is false; at 0.10 % every page is, while a ticket for a budget that is being spent to the last is not. Guard: "
        "at least 10 bad events, and the one-sided 99.9 % Clopper-Pearson bound above the threshold. By default pages "
        "have it and tickets do not. It takes failures to be independent, so clumps (retries) could get past it; "
        "here none did.",
    )


if __name__ == "__main__":
    main()
