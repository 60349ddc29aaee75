"""The door for series as people have them: arrays or pandas outside, arrays inside, and the way back.

pandas is looked up among what is loaded, never imported: who hands in its objects has it, and nobody else needs it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable


class Table(NamedTuple):
    """Series as arrays.

    Attributes:
        times_ns: (n_rows,) int64 since the epoch.
        values: (n_rows, n_series) float64, NaN where absent.
        back: Of an array of (n_rows, n_series) makes what the values came as.
    """

    times_ns: np.ndarray
    values: np.ndarray
    back: Callable[[np.ndarray], Any]


def table_of(values: Any, times_ns: np.ndarray | None = None) -> Table:
    """A pandas Series or DataFrame by its index of times, or an array of one or two dimensions with its times.

    Raises:
        TypeError: the index is none of times.
        ValueError: times are missing, values no numbers, or they do not fit each other.

    >>> table = table_of(np.array([1.0, 2.0]), np.array([0, 60 * 10**9]))
    >>> table.values.shape, table.back(table.values).tolist()
    ((2, 1), [1.0, 2.0])
    """
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(values, (pandas.Series, pandas.DataFrame)):
        if times_ns is not None:
            raise ValueError(
                f"times_ns beside a pandas {type(values).__name__}; its index has the times, leave them out"
            )
        return _of_pandas(pandas, values)
    if times_ns is None:
        raise ValueError(f"a {type(values).__name__} without times; hand in times_ns, or a pandas Series with an index")
    return _of_arrays(np.asarray(values, np.float64), np.asarray(times_ns, np.int64))


def _of_arrays(values: np.ndarray, times_ns: np.ndarray) -> Table:
    if values.ndim not in (1, 2) or times_ns.shape != values.shape[:1]:
        raise ValueError(
            f"values have the shape {values.shape} and times {times_ns.shape}; "
            "(n_rows,) or (n_rows, n_series) and (n_rows,) are expected"
        )
    if values.ndim == 2:
        return Table(times_ns, values, lambda found: found)
    return Table(times_ns, values[:, None], lambda found: found[:, 0])


def _of_pandas(pandas: Any, data: Any) -> Table:
    times_ns, index = _times_ns(pandas, data.index), data.index
    frame = data.to_frame() if isinstance(data, pandas.Series) else data
    no_numbers = [str(name) for name, kind in frame.dtypes.items() if not pandas.api.types.is_numeric_dtype(kind)]
    if no_numbers:
        raise ValueError(f"no numbers in {', '.join(no_numbers)}; leave it out, or convert it by pandas.to_numeric")
    values = frame.to_numpy(np.float64, na_value=np.nan)
    if isinstance(data, pandas.Series):
        return Table(times_ns, values, lambda found: pandas.Series(found[:, 0], index, name=data.name))
    return Table(times_ns, values, lambda found: pandas.DataFrame(found, index, data.columns))


def _times_ns(pandas: Any, index: Any) -> np.ndarray:
    if not isinstance(index, pandas.DatetimeIndex):
        raise TypeError(f"the index is a {type(index).__name__}; times are expected, pandas.to_datetime makes them")
    if index.hasnans:
        raise ValueError("some times of the index are missing; leave those rows out: data[data.index.notna()]")
    times_ns: np.ndarray = index.to_numpy("datetime64[ns]").astype(np.int64)
    return times_ns
