"""One label set of several owners becomes one sample: their sum, largest or smallest, as its family says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from exporters.names import Across


def combine(values: np.ndarray, starts: np.ndarray, across: Across) -> np.ndarray:
    """Reduce runs of rows to one row each; NaN, which is no sample, gives way to any value.

    Args:
        values: (n_rows, n_columns), rows to be combined one after the other.
        starts: (n_runs,) first row of every run.
        across: the family's rule.

    Returns:
        (n_runs, n_columns), of the same type.

    >>> combine(np.array([[1.0], [np.nan], [3.0]]), np.array([0, 2]), "sum").tolist()
    [[1.0], [3.0]]
    """
    if across == "max":
        return np.fmax.reduceat(values, starts, axis=0)
    if across == "min":
        return np.fmin.reduceat(values, starts, axis=0)
    if values.dtype.kind != "f" or not np.isnan(values).any():
        return np.add.reduceat(values, starts, axis=0)
    absent = np.isnan(values)
    total = np.add.reduceat(np.where(absent, 0.0, values), starts, axis=0)
    return np.where(np.logical_and.reduceat(absent, starts, axis=0), np.nan, total)
