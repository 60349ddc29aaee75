"""The past of operations from a table that `replay --samples` wrote; compressed or not, its rows in any order.

Of each rule the rows of its step are taken, of operations that it scores. A step in which only others were called is
one without calls, for an operation that was called before; a step in which nobody was called is none, as in a gap of
the stream. The first step is left out: the recording may have begun in it. What maintenance touched is not learnt.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from typing import TYPE_CHECKING

import numpy as np

from flows.anomalies.past import Past
from flows.anomalies.past_table import AGAIN, PastTable, scored_quantiles, window_name
from flows.anomalies.rules import silence
from flows.decode.batch import WEIGHT_ONE
from flows.errors import DataError, InputError, UsageError
from flows.units import DURATION_UNITS
from flows.window_samples import WindowSamples

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import TextIO

    from flows.anomalies.past import Pasts
    from flows.anomalies.past_table import Rows
    from flows.anomalies.rules import AnomalyRule, AnomalyRules
    from flows.series import OperationLabels

_GZIP = b"\x1f\x8b"


def read_past(path: Path, rules: AnomalyRules | None, say: Callable[[str], None]) -> Pasts:
    """The past of the operations of each rule; rules that the file has nothing of are left out.

    Args:
        path: the file.
        rules: what is scored.
        say: told what it has.

    Raises:
        UsageError: nothing is scored.
        InputError: the file cannot be read.
        DataError: it is no such table, or has nothing that is scored.
    """
    if rules is None:
        raise UsageError("--prime without anomalies", "it is for their detectors", "Say --anomalies, or write rules.")
    found = _read(path, rules)
    pasts = {rule.name: _past(rules, rule, mine) for rule, mine in zip(rules.rules, found, strict=True)}
    known = {name: past for name, past in pasts.items() if len(past.times_ns)}
    if not known:
        windows = " or ".join(sorted({window_name(rule, rules.pane_ns) for rule in rules.rules}))
        raise DataError(f"{path} has nothing that is scored", f"rows of the window {windows} are", AGAIN)
    operations = sum(len(past.values) for past in known.values())
    hours = max(int(past.times_ns[-1] - past.times_ns[0]) for past in known.values()) / DURATION_UNITS["h"]
    say(f"{path}: {hours:,.1f} h of {operations:,} operations")
    return known


def _read(path: Path, rules: AnomalyRules) -> list[dict[OperationLabels, Rows]]:
    """Rows by number of the rule."""
    try:
        with _opened(path) as file:
            return PastTable(path, rules).read(file)
    except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no table that can be read ({error})", hint=AGAIN) from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", "--prime names a table of the past", AGAIN) from error


def _opened(path: Path) -> TextIO:
    with path.open("rb") as file:
        is_compressed = file.read(len(_GZIP)) == _GZIP
    if is_compressed:
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def _past(rules: AnomalyRules, rule: AnomalyRule, found: Mapping[OperationLabels, Rows]) -> Past:
    """One rule's, without its first step."""
    times_ns = np.unique(np.concatenate([np.zeros(0, np.int64), *(rows.times_ns for rows in found.values())]))
    columns = [_values(rules, rule, rows, times_ns) for rows in found.values()]
    for at, end_ns in enumerate(times_ns.tolist()):
        for touched in np.flatnonzero(rules.excluded(rule, list(found), end_ns // rules.pane_ns)).tolist():
            columns[touched][at] = np.nan
    return Past(times_ns[1:], {operation: each[1:] for operation, each in zip(found, columns, strict=True)})


def _values(rules: AnomalyRules, rule: AnomalyRule, rows: Rows, times_ns: np.ndarray) -> np.ndarray:
    """(n, n_signals) of one operation."""
    values = silence(rule, len(times_ns))
    at = np.searchsorted(times_ns, rows.times_ns)
    values[: at.min()] = np.nan  # nobody knew of it
    values[at] = rules.values(rule, _sample(rules, rule, rows))
    return values


def _sample(rules: AnomalyRules, rule: AnomalyRule, rows: Rows) -> WindowSamples:
    """Rows as the windows would tell them, time after time in place of operations."""
    calls, errors, *scored = np.array(rows.figures).reshape(len(rows.times_ns), -1).T
    quantiles = np.full((len(calls), len(rules.quantiles)), np.nan)
    for quantile, column in zip(scored_quantiles(rules), scored, strict=True):
        quantiles[:, rules.quantiles.index(quantile)] = column
    calls, errors = (np.asarray(each * WEIGHT_ONE, np.int64) for each in (calls, errors))
    return WindowSamples(0, rule.step, True, [], calls, errors, quantiles, "")
