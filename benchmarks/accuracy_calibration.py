"""Does the anomaly detector keep what its scores and its band promise, on ordinary time?

    python benchmarks/accuracy_calibration.py
    python benchmarks/accuracy_calibration.py --seen     # while a detector is worked on: not what is held out

The ordinary halves of the judge's months, after the first week, at steps of a minute, five and sixty: how many rows
reach −log10 p of 2 and of 3, and how many values are outside of the band, as multiples of what was promised.
"""

from __future__ import annotations

import argparse

import numpy as np
from judge.series import DAY, HALF, START, months
from report import publish

from detectors.anomaly import AnomalyBank, AnomalySettings
from detectors.anomaly_evidence import FULL

WEEK = 7 * DAY


def coarser(values: np.ndarray, minutes: int) -> np.ndarray:
    """(n / minutes, n_series) means of so many minutes, of those that have a value."""
    parts = values.reshape(-1, minutes, values.shape[1])
    some = ~np.isnan(parts)
    count = some.sum(axis=1)
    return np.where(count > 0, np.where(some, parts, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)


def kept(values: np.ndarray, minutes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n_series,) each: shares of rows at one in a hundred, at one in a thousand, and of values outside of the band."""
    settings = AnomalySettings(step=60.0 * minutes)
    values = coarser(values, minutes)
    times_ns = (START + 60 * minutes * np.arange(len(values))) * 10**9
    judged = AnomalyBank(settings, values.shape[1]).run(times_ns, values)
    late = slice(WEEK // minutes, None)
    scored = ~np.isnan(judged.score[late])
    rows = np.maximum(scored.sum(axis=0), 1)
    hundred, thousand = ((scored & (judged.score[late] >= power / FULL)).sum(axis=0) / rows for power in (2, 3))
    outside = scored & ((values[late] < judged.lower[late]) | (values[late] > judged.upper[late]))
    return hundred * 100, thousand * 1_000, outside.sum(axis=0) / rows / settings.miss


def main() -> None:
    """All steps, both sets of backgrounds."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seen", action="store_true", help="not the backgrounds that are held out")
    rows: list[dict[str, object]] = []
    for held_out in (False,) if arguments.parse_args().seen else (False, True):
        series = months(held_out=held_out)
        values = np.stack([one.values[:HALF] for one in series], axis=1)
        names = [one.background for one in series]
        for minutes in (1, 5, 60):
            found = kept(values, minutes)
            for name in [*dict.fromkeys(names), "all"]:
                places = [at for at, other in enumerate(names) if name in (other, "all")]
                shares = [float(part[places].mean()) for part in found]
                keys = ("1 in 100", "1 in 1,000", "outside of the band")
                which = f"{name} ({'held out' if held_out else 'seen'})"
                rows.append({"step": f"{minutes} m", "background": which, **dict(zip(keys, shares, strict=True))})
    publish(
        "accuracy_calibration",
        "How often a score or a value outside of the band is seen, in multiples of what is promised",
        rows,
        "1 is what is promised. Ordinary halves of the judge's months, after a week.",
    )


if __name__ == "__main__":
    main()
