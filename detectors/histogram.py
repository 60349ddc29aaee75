"""Base-2 exponential histogram over arrays, refined by exact cuts.

The bins are those of OpenTelemetry's exponential histogram (metrics data model, "ExponentialHistogram"; Prometheus's
native histograms have the same): upper bounds 2^(i / 2^scale) **seconds**, lower bound exclusive, upper inclusive. At
scale 5 a bin is 2.2 % wide, so that its middle is at most 1.1 % from any value in it.

A `Grid` cuts some of the bins once more, at limits that must be counted exactly: the bounds of classic buckets and the
latency thresholds of SLOs. What is left between two neighbouring limits is a **cell**. All counts are kept by cell:
sums of cells are the exact classic buckets, the exact counts below a threshold, and the exponential histogram, all at
once.
"""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np

from detectors.bits import bit_length
from detectors.kernels import inlined, kernel
from detectors.scale import QUANTILE_UNIT, SCALE

_LOOKUP_BITS = 7
_LARGEST = np.iinfo(np.int64).max


def exponential_edges_ns(scale: int = SCALE) -> np.ndarray:
    """Upper edges of the exponential bins in whole nanoseconds: (n_bins,) int64, increasing, without repeats.

    A duration of d ns is at most 2^(i / 2^scale) s if and only if d is at most the floor of that in ns, so that
    integers lose nothing. The first edge is 1 ns, the last below 2^63 ns.

    >>> edges = exponential_edges_ns()
    >>> len(edges), int(edges[0]), 1_000_000_000 in edges, 2_000_000_000 in edges
    (1884, 1, True, True)
    """
    per_octave = 1 << scale
    with localcontext() as context:
        context.prec = 60
        second = Decimal(10**9)
        steps = [Decimal(2) ** (Decimal(step) / per_octave) for step in range(per_octave)]
        octaves = [second * (Decimal(2) ** octave) for octave in range(-30, 34)]
        edges = {int(octave * step) for octave in octaves for step in steps}
    return np.array(sorted(edge for edge in edges if 1 <= edge <= _LARGEST), np.int64)


class Grid:
    """The cells that durations are counted in.

    Args:
        cuts_ns: limits to be exact about, whole nanoseconds, any order; a value equal to a cut lies below it.
        scale: of the exponential histogram.

    >>> grid = Grid([250_000_000])
    >>> below = grid.cell_at_most(250_000_000)
    >>> int(grid.cells(np.array([250_000_000]))[0]) <= below < int(grid.cells(np.array([250_000_001]))[0])
    True
    """

    def __init__(self, cuts_ns: list[int] | None = None, scale: int = SCALE) -> None:
        exponential = exponential_edges_ns(scale)
        cuts = np.array(cuts_ns or [], np.int64)
        self.scale = scale
        self.cuts_ns = sorted({int(cut) for cut in cuts})
        self.edges_ns = np.unique(np.concatenate(([0], exponential, cuts, [_LARGEST]))).astype(np.int64)
        """(n_cells,) int64: cell c holds edges_ns[c - 1] < duration <= edges_ns[c]; cell 0 holds zero alone."""
        self.middle_seconds = self._middles()
        """(n_cells,) float64: what stands for a cell in a quantile."""
        self._first = self._lookup()

    def __len__(self) -> int:
        return len(self.edges_ns)

    @property
    def tables(self) -> tuple[np.ndarray, np.ndarray]:
        """What `cell_of` needs: edges_ns and the lookup of first candidates, (64 * 128,) uint16."""
        return self.edges_ns, self._first

    def _middles(self) -> np.ndarray:
        """The value whose relative error is smallest over the integers of a cell: 2ab / (a + b)."""
        high = self.edges_ns.astype(np.float64)
        low = np.concatenate(([0.0], high[:-1] + 1.0))
        low[0] = 0.0
        with np.errstate(invalid="ignore"):
            middles = np.where(high > 0, 2.0 * low * high / np.maximum(low + high, 1.0), 0.0)
        return np.asarray(middles / 1e9)

    def _lookup(self) -> np.ndarray:
        """First candidate cell by bit length and the next 7 bits; a step or two up from there is the cell."""
        mantissa = np.arange(1 << _LOOKUP_BITS, dtype=np.uint64)
        rows = [np.zeros(1 << _LOOKUP_BITS, np.uint64)]
        for exponent in range(63):
            lead = (np.uint64(1 << _LOOKUP_BITS) + mantissa) << np.uint64(exponent)
            rows.append(lead >> np.uint64(_LOOKUP_BITS))
        smallest = np.concatenate(rows)
        return np.searchsorted(self.edges_ns.astype(np.uint64), smallest, side="left").astype(np.uint16)

    def cells(self, durations_ns: np.ndarray) -> np.ndarray:
        """The cell of each duration: (n,) int64 ≥ 0 → (n,) uint16."""
        return np.searchsorted(self.edges_ns, durations_ns, side="left").astype(np.uint16)

    def cells_of(self, other: Grid) -> np.ndarray:
        """The cell here that holds the middle of each cell of another grid: (len(other),) uint16, non-decreasing.

        What was counted with other cuts goes on with these: counts of a cell that a new cut divides are all on one side
        of it, so that they are exact from now on and not before.

        >>> coarse, fine = Grid(), Grid([251_000_000])
        >>> len(fine) - len(coarse), int(coarse.cells_of(fine)[-1]) == len(coarse) - 1
        (1, True)
        """
        upper = other.edges_ns
        lower = np.concatenate(([0], upper[:-1] + 1))
        lower[0] = 0
        return np.searchsorted(self.edges_ns, lower + (upper - lower) // 2, side="left").astype(np.uint16)

    def cell_at_most(self, limit_ns: int) -> int:
        """The last cell at or below a cut.

        Raises:
            ValueError: when the limit is none of the grid's edges, so that no exact count can be given.
        """
        cell = int(np.searchsorted(self.edges_ns, limit_ns))
        if cell == len(self.edges_ns) or self.edges_ns[cell] != limit_ns:
            raise ValueError(f"{limit_ns} ns is no cut of this grid: name it when the grid is made")
        return cell

    def buckets(self, bounds_ns: list[int]) -> np.ndarray:
        """Which classic bucket a cell falls into: (n_cells,) uint8, len(bounds_ns) for those above the last bound."""
        limits = [self.cell_at_most(bound) for bound in bounds_ns]
        return np.searchsorted(np.array(limits, np.int64), np.arange(len(self)), side="left").astype(np.uint8)


@inlined
def cell_of(duration_ns: int, edges_ns: np.ndarray, first: np.ndarray) -> int:
    """The cell of one duration ≥ 0, by a table and at most a few steps."""
    length = bit_length(duration_ns)
    if length > _LOOKUP_BITS:
        mantissa = (duration_ns >> (length - 1 - _LOOKUP_BITS)) & ((1 << _LOOKUP_BITS) - 1)
    elif length > 0:
        mantissa = (duration_ns << (_LOOKUP_BITS - length + 1)) & ((1 << _LOOKUP_BITS) - 1)
    else:
        mantissa = 0
    cell = np.int64(first[(length << _LOOKUP_BITS) + mantissa])
    while duration_ns > edges_ns[cell]:
        cell += 1
    return cell


@inlined
def rank_of(total: int, quantile: int) -> int:
    """The smallest cumulative weight that reaches a quantile: ceil(total x quantile / 10^6), without overflow."""
    whole = total // QUANTILE_UNIT
    rest = total - whole * QUANTILE_UNIT
    return whole * quantile + (rest * quantile + QUANTILE_UNIT - 1) // QUANTILE_UNIT


@inlined
def quantiles_into(
    weights: np.ndarray,
    low: int,
    high: int,
    total: int,
    quantiles: np.ndarray,
    middle_seconds: np.ndarray,
    shift: int,
    out: np.ndarray,
) -> None:
    """Nearest-rank quantiles of weights[low:high], where weights[i] belongs to cell i + shift.

    Args:
        weights: (n,) int64, ≥ 0.
        low: first index that may hold weight.
        high: one past the last.
        total: their sum, > 0.
        quantiles: (n_quantiles,) int64, parts per million, increasing.
        middle_seconds: (n_cells,) float64.
        shift: cell of weights[0].
        out: (n_quantiles,) float64, written: seconds.
    """
    position = low
    seen = np.int64(0)
    for which in range(len(quantiles)):
        rank = max(rank_of(total, quantiles[which]), 1)
        while position < high and seen + weights[position] < rank:
            seen += weights[position]
            position += 1
        out[which] = middle_seconds[min(position, high - 1) + shift]


@kernel
def histogram_quantiles(
    weights: np.ndarray, quantiles: np.ndarray, middle_seconds: np.ndarray, out: np.ndarray
) -> None:
    """Quantiles of one dense histogram.

    Args:
        weights: (n_cells,) int64.
        quantiles: (n_quantiles,) int64, parts per million, increasing.
        middle_seconds: (n_cells,) float64, a grid's.
        out: (n_quantiles,) float64, written: seconds, NaN where there is no weight.
    """
    total = weights.sum()
    if total == 0:
        out[:] = np.nan
        return
    quantiles_into(weights, 0, len(weights), total, quantiles, middle_seconds, 0, out)
