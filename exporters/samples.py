"""A block of samples: what a flow hands to the page and to the files, as columns, no object per sample."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from exporters.labels import EMPTY
from exporters.lines import go_float
from exporters.names import BOUND, QUANTILE, WINDOW, Family

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporters.labels import LabelSet

Column = tuple[tuple[str, str], ...]
"""The labels that tell one column of a block from another: `(("window", "1m"), ("quantile", "0.5"))`."""


def window_columns(window: str, quantiles: Sequence[float] = ()) -> tuple[Column, ...]:
    """The columns of one window: one per quantile, or just one where there are none.

    >>> window_columns("1m", [0.5])
    ((('window', '1m'), ('quantile', '0.5')),)
    """
    if not quantiles:
        return (((WINDOW, window),),)
    return tuple(((WINDOW, window), (QUANTILE, go_float(quantile))) for quantile in quantiles)


def bucket_columns(bounds: Sequence[float]) -> tuple[Column, ...]:
    """The columns of a histogram: one per upper bound, then +Inf.

    >>> bucket_columns([2, 2.5])
    ((('le', '2.0'),), (('le', '2.5'),), (('le', '+Inf'),))

    Raises:
        ValueError: the bounds do not increase.
    """
    edges = [*map(float, bounds), float("inf")]
    if any(not low < high for low, high in pairwise(edges)):
        raise ValueError(f"the bounds of a histogram must increase and be finite; found {list(bounds)}")
    return tuple(((BOUND, go_float(edge)),) for edge in edges)


@dataclass(frozen=True, slots=True)
class Exemplars:
    """One trace per label set of a histogram, by preference its slowest. All columns have length n_labels.

    A trace id of zero says that the label set has none.
    """

    trace_hi: np.ndarray  # uint64: first 8 bytes of the trace id, big-endian
    trace_lo: np.ndarray  # uint64: last 8 bytes
    values: np.ndarray  # float64, in the family's unit
    at_ns: np.ndarray  # int64, Unix ns


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples of one family at one time: a row per label set, a column per value of the labels that all rows share.

    `values` has the shape (n_labels, n_columns), int64 or float64 (others are converted): integers are written as
    integers; NaN is a sample that is not there. A counter or gauge has one column without labels unless told otherwise.
    A histogram's columns are its bounds and +Inf (`bucket_columns`), its values the cumulative counts, int64; `sums`
    has the shape (n_labels,). Nothing may change the arrays after they are handed over, since nothing copies them.

    Raises:
        ValueError: the shapes do not fit each other or the family's kind.
    """

    family: Family
    at_ns: int
    labels: Sequence[LabelSet]
    values: np.ndarray
    columns: tuple[Column, ...] = ((),)
    sums: np.ndarray | None = None
    exemplars: Exemplars | None = None

    def __post_init__(self) -> None:
        """Check the shapes, once, at the door."""
        object.__setattr__(self, "values", _int64_or_float64(self.values, self.family))
        expected = len(self.labels), len(self.columns)
        if self.values.shape != expected:
            raise ValueError(
                f"{self.family.name}: values have the shape {self.values.shape}; {expected[0]} label sets and "
                f"{expected[1]} columns need {expected}"
            )
        if self.family.kind == "histogram":
            self._check_histogram()
        elif self.sums is not None or self.exemplars is not None:
            raise ValueError(f"{self.family.name} is a {self.family.kind}; only a histogram has sums and exemplars")

    def _check_histogram(self) -> None:
        name = self.family.name
        if not self.columns or self.columns[-1] != ((BOUND, "+Inf"),):
            raise ValueError(f"{name}: the last column of a histogram is +Inf; make the columns by bucket_columns()")
        if self.values.dtype != np.int64 or (self.values.shape[1] > 1 and (np.diff(self.values, axis=1) < 0).any()):
            raise ValueError(f"{name}: a histogram's counts are cumulative integers; found others")
        if self.sums is None or self.sums.shape != (len(self.labels),):
            raise ValueError(f"{name}: a histogram needs one sum per label set, shape ({len(self.labels)},)")

    def __len__(self) -> int:
        """How many lines a page has of it at most, absent samples included."""
        return int(self.values.size) + (2 * len(self.labels) if self.family.kind == "histogram" else 0)


def single(family: Family, at_ns: int, value: float, labels: LabelSet = EMPTY) -> Samples:
    """A block of one sample."""
    return Samples(family, at_ns, (labels,), np.array([[value]]))


def by_label(family: Family, at_ns: int, labels: Sequence[LabelSet], values: np.ndarray) -> Samples:
    """A block of one column: `values` has the shape (n_labels,)."""
    return Samples(family, at_ns, labels, np.asarray(values).reshape(-1, 1))


def _int64_or_float64(values: np.ndarray, family: Family) -> np.ndarray:
    """The values in one of the two types that are written and stored."""
    values = np.asarray(values)
    if values.dtype.kind in "iub":
        return values.astype(np.int64, copy=False)
    if values.dtype.kind == "f":
        return values.astype(np.float64, copy=False)
    raise ValueError(f"{family.name}: values are {values.dtype}; expected integers or floats")
