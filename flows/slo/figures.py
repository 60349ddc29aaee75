"""How the objectives of a bank stand at the end of a pane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from detectors.burn_rate import burn_rate, time_to_exhaustion
from detectors.evaluation import error_ratio
from detectors.rings import RAW_TOTAL, TOTAL, WEIGHT_BITS
from detectors.tiers import HOUR_NS
from flows.slo.shown import Figures

if TYPE_CHECKING:
    from flows.slo.bank import Bank
    from flows.slo.lines import Lines


def figures(lines: Lines, bank: Bank) -> Figures:
    """All lines in all windows."""
    arrays, windows_ns = lines.arrays, bank.windows_ns
    rows = arrays.row
    counts = [bank.window(window_ns).take(rows, axis=0) for window_ns in windows_ns]
    ratios = np.stack([error_ratio(of_window) for of_window in counts], axis=1)
    burns = burn_rate(ratios, arrays.objective[:, None])
    hour = min(range(len(windows_ns)), key=lambda i: abs(windows_ns[i] - HOUR_NS))
    remaining = bank.remaining(rows, arrays.objective)
    return Figures(
        arrays.of,
        windows_ns,
        np.stack([of_window[:, TOTAL] for of_window in counts], axis=1) >> WEIGHT_BITS,
        ratios,
        burns,
        remaining,
        time_to_exhaustion(remaining, burns[:, hour], bank.promises[0].period.period_ns),
        2 * bank.rings.history_ns()[rows] >= arrays.longest_ns,
        counts[0][:, RAW_TOTAL] == 0,
    )
