"""Burn-rate tiers: which share of the budget, spent within which window, is worth waking or telling somebody.

A tier has a long window, which says that enough was lost, and a short one, which says that it still goes on (Google,
"The Site Reliability Workbook", chapter 5, "Multiwindow, Multi-Burn-Rate Alerts"). It fires when the error ratio of
**both** is above factor x (1 − objective).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from detectors.burn_rate import error_budget, factor, ratio_threshold, share_spent

if TYPE_CHECKING:
    from collections.abc import Sequence

Severity = Literal["critical", "warning"]

MINUTE_NS = 60 * 1_000_000_000
HOUR_NS = 60 * MINUTE_NS
DAY_NS = 24 * HOUR_NS


@dataclass(frozen=True, slots=True)
class Tier:
    """One pair of windows and what it takes to fire."""

    name: str
    severity: Severity
    share: float
    """The part of the period's budget that is spent when the long window is full at this burn rate."""
    long_ns: int
    short_ns: int
    factor: float
    """The burn rate above which it fires."""

    def threshold(self, objective: float) -> float:
        """The error ratio above which it fires."""
        return ratio_threshold(self.factor, objective)


_WINDOWS: tuple[tuple[str, Severity, int, int], ...] = (
    ("outage", "critical", 10 * MINUTE_NS, MINUTE_NS),
    ("1h", "critical", HOUR_NS, 5 * MINUTE_NS),
    ("6h", "critical", 6 * HOUR_NS, 30 * MINUTE_NS),
    ("1d", "warning", DAY_NS, 2 * HOUR_NS),
    ("3d", "warning", 3 * DAY_NS, 6 * HOUR_NS),
)
"""Name, severity, long and short window: the workbook's four (table 5-8), and one in front that only a stream can
afford: the workbook's fastest takes 52 s of a total outage to fill its hour, *outage* 26 s."""

_SHARES: dict[int, tuple[Fraction, ...]] = {
    # 30 d: the workbook's table; 28 d: its shares, so that the factors are 28/30 of its own.
    30 * DAY_NS: (Fraction("0.01"), Fraction("0.02"), Fraction("0.05"), Fraction("0.1"), Fraction("0.1")),
    28 * DAY_NS: (Fraction("0.01"), Fraction("0.02"), Fraction("0.05"), Fraction("0.1"), Fraction("0.1")),
    # 7 d: shares of its own. Scaled ones would make a ticket of burning at 0.23, slower than the budget lasts.
    7 * DAY_NS: (Fraction("0.04"), Fraction("0.08"), Fraction("0.125"), Fraction("0.2"), Fraction("0.42")),
    # 90 d: the factors of 30 d, which are a third of the shares of three times the budget.
    90 * DAY_NS: (Fraction(1, 300), Fraction(2, 300), Fraction(5, 300), Fraction(1, 30), Fraction(1, 30)),
}
"""Period in ns → the share of its budget for each of the windows."""

LOWEST_DEFAULT = 0.9
"""Below this burn rate a budget outlasts its period with ease: no default tier fires there."""

FEWEST_SLICES = 5
"""With fewer timeslices in a window, a single one that is bad decides everything."""


def default_tiers(period_ns: int) -> tuple[Tier, ...]:
    """The tiers of a period of 7, 28, 30 or 90 days, the fastest first.

    Other periods have none: they need tiers of the user's. A calendar period takes those of 30 days, so that an alert
    does not mean another thing in February.

    >>> [round(tier.factor, 3) for tier in default_tiers(30 * DAY_NS)]
    [43.2, 14.4, 6.0, 3.0, 1.0]
    >>> [round(tier.factor, 3) for tier in default_tiers(28 * DAY_NS)]
    [40.32, 13.44, 5.6, 2.8, 0.933]
    >>> [round(tier.factor, 3) for tier in default_tiers(7 * DAY_NS)]
    [40.32, 13.44, 3.5, 1.4, 0.98]
    >>> [round(tier.factor, 3) for tier in default_tiers(90 * DAY_NS)]
    [43.2, 14.4, 6.0, 3.0, 1.0]
    >>> default_tiers(DAY_NS)
    ()
    """
    return tuple(
        Tier(name, severity, float(share), long_ns, short_ns, factor(share, period_ns, long_ns))
        for (name, severity, long_ns, short_ns), share in zip(_WINDOWS, _SHARES.get(period_ns, ()), strict=False)
    )


def tier(
    name: str,
    severity: Severity,
    long_ns: int,
    short_ns: int,
    period_ns: int,
    *,
    burn: float | None = None,
    share: float | None = None,
) -> Tier:
    """A tier of the user's, by the burn rate above which it fires or by the share of the budget it may cost.

    Raises:
        ValueError: Both are given, or neither.

    >>> tier("1h", "critical", HOUR_NS, 5 * MINUTE_NS, 30 * DAY_NS, share=0.02).factor
    14.4
    """
    if burn is not None and share is None:
        return Tier(name, severity, share_spent(burn, period_ns, long_ns), long_ns, short_ns, burn)
    if share is not None and burn is None:
        return Tier(name, severity, share, long_ns, short_ns, factor(share, period_ns, long_ns))
    raise ValueError(f"tier {name} has {_both(burn)} a factor and a share of the budget; give one of the two")


def _both(burn: float | None) -> str:
    return "neither" if burn is None else "both"


def check(candidate: Tier, objective: float, period_ns: int, slice_ns: int = 0) -> None:
    """Refuse a tier that can never fire or makes no sense.

    Args:
        candidate: A tier of the user's.
        objective: A ratio.
        period_ns: Of the budget.
        slice_ns: The length of a timeslice; 0 where events are counted.

    Raises:
        ValueError: Says which tier, what was found and what to write.
    """
    if problem := _problem(candidate, objective, period_ns, slice_ns):
        raise ValueError(problem)


def usable(
    tiers: Sequence[Tier],
    objective: float,
    period_ns: int,
    slice_ns: int = 0,
) -> tuple[tuple[Tier, ...], tuple[str, ...]]:
    """The default tiers that can fire for an objective and fit its period, and a note for each that is left out.

    Takes what `check` takes.

    >>> kept, notes = usable(default_tiers(30 * DAY_NS), 0.95, 30 * DAY_NS)
    >>> [tier.name for tier in kept]
    ['1h', '6h', '1d', '3d']
    >>> print(notes[0])
    tier outage fires above a burn rate of 43.2, and at objective 0.95 none exceeds 20: it needs one above 0.97685
    """
    problems = [_default_problem(each, objective, period_ns, slice_ns) for each in tiers]
    kept = tuple(each for each, problem in zip(tiers, problems, strict=True) if not problem)
    return kept, tuple(problem for problem in problems if problem)


def _default_problem(candidate: Tier, objective: float, period_ns: int, slice_ns: int) -> str:
    if problem := _problem(candidate, objective, period_ns, slice_ns):
        return problem
    if candidate.factor < LOWEST_DEFAULT:
        return (
            f"tier {candidate.name} would fire above a burn rate of {candidate.factor:.3g}, at which the budget "
            f"outlasts its period; defaults begin at {LOWEST_DEFAULT}"
        )
    return ""


def _problem(candidate: Tier, objective: float, period_ns: int, slice_ns: int) -> str:
    """What is wrong, as a sentence; nothing where nothing is."""
    limit = 1 / error_budget(objective)
    name, burn = candidate.name, candidate.factor
    if not burn > 0:
        return f"tier {name} has a factor of {burn:.6g}; write the burn rate above which it fires, such as 14.4"
    if candidate.long_ns > period_ns:
        return (
            f"tier {name} has a window of {candidate.long_ns / HOUR_NS:g} h, longer than the period of "
            f"{period_ns / HOUR_NS:g} h: choose one that fits"
        )
    if not 0 < candidate.short_ns < candidate.long_ns:
        return (
            f"tier {name} has a short window of {candidate.short_ns / MINUTE_NS:g} min and a long one of "
            f"{candidate.long_ns / MINUTE_NS:g} min: the short one must be the shorter, a twelfth is usual"
        )
    if candidate.short_ns < FEWEST_SLICES * slice_ns:
        return (
            f"tier {name} has a short window of {candidate.short_ns / MINUTE_NS:g} min, and a window needs "
            f"{FEWEST_SLICES} timeslices, which are {FEWEST_SLICES * slice_ns / MINUTE_NS:g} min"
        )
    # "At least", for an alert fires above its threshold, and no ratio is above 1.
    if ratio_threshold(burn, objective) >= 1:
        return (
            f"tier {name} fires above a burn rate of {burn:.6g}, and at objective {objective:g} none exceeds "
            f"{limit:.6g}: it needs one above {1 - 1 / burn:.5g}"
        )
    return ""
