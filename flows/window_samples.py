"""What windows say, as plain values: those of one shard, of all its operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

    from flows.series import OperationLabels


class WindowSamples(NamedTuple):
    """A window of all operations of a shard at its end."""

    end: int  # pane after its last
    window: int  # length in panes
    complete: bool  # False while the stream is younger than the window
    operations: list[OperationLabels]  # (n,)
    calls: np.ndarray  # (n,) int64, units of 2^-20 spans
    errors: np.ndarray  # (n,) int64, likewise
    quantiles: np.ndarray  # (n, n_quantiles) float64 seconds, NaN without spans
    key: str  # of the shard


class WindowsShown(NamedTuple):
    """What a shard's windows say after it closed panes: one value, so that whoever hears it knows how far that goes."""

    key: str  # of the shard
    since: int  # what was said before this is of panes below it, NEVER at first
    upto: int  # and this of panes below here
    first_pane: int
    done: bool  # nothing follows
    samples: list[WindowSamples]  # what is shown
    judged: list[WindowSamples]  # for judges: nothing of a shard without a series
