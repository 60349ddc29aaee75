"""A series with what was expected of it, its scores and its alerts, as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = (".png", ".svg", ".pdf")
_BLUE, _GREY, _RED = "#1f6fb2", "#8a8a8a", "#b3261e"
_INCHES = (12.0, 6.0)


def plot(
    path: Path,
    title: str,
    times_ns: np.ndarray,
    values: np.ndarray,
    band: tuple[np.ndarray, np.ndarray],
    score: np.ndarray,
    threshold: float,
    alert: np.ndarray,
) -> None:
    """Draw a file: values and band above, scores and threshold below, alerts across both.

    Args:
        path: of the picture; its suffix says which kind.
        title: above it.
        times_ns: (n,) int64 Unix nanoseconds.
        values: (n,) float64, NaN where there is none.
        band: (n,) lower and (n,) upper ends of what is ordinary.
        score: (n,) float64.
        threshold: from which on a score is an alert.
        alert: (n,) bool, where an alert is raised.

    Raises:
        ImportError: matplotlib is not there.
        OSError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    when = times_ns.astype("datetime64[ns]")
    figure = Figure(figsize=_INCHES, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.fill_between(when, *band, color=_BLUE, alpha=0.18, linewidth=0, label="expected band")
    above.plot(when, values, color=_BLUE, linewidth=0.8, label="value")
    below.plot(when, score, color=_GREY, linewidth=0.8)
    below.axhline(threshold, color=_RED, linewidth=0.8, linestyle="--")
    for i, at in enumerate(when[alert]):
        above.axvline(at, color=_RED, linewidth=0.8, label=None if i else "alert")
        below.axvline(at, color=_RED, linewidth=0.8)
    some = values[np.isfinite(values)]
    if len(some):
        room = 0.05 * float(np.ptp(some)) or 1.0
        above.set_ylim(float(some.min()) - room, float(some.max()) + room)
    above.set_title(title, loc="left")
    above.set_ylabel("value")
    above.legend(loc="upper left", frameon=False, ncols=3)
    below.set_ylabel("score")
    below.set_ylim(0, 1)
    figure.savefig(path, dpi=110)
