"""The default detector against its peers on a part of the judge's series; the whole is `benchmarks/accuracy_*.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import accuracy_nab
import numpy as np
import pytest
from accuracy_generated import MAIN_BUDGET, OURS, ours, pooled, row
from judge import peers
from judge.backgrounds import BACKGROUNDS, HELD_OUT
from judge.nab import PROFILES, at_threshold, corpus
from judge.scoring import outcome, threshold
from judge.series import make

if TYPE_CHECKING:
    from pathlib import Path

PEERS = ("EWMA z-score", "PromQL adaptive", "DSPOT")


@pytest.mark.slow
def test_at_the_same_budget_more_is_seen_than_by_any_peer() -> None:
    """One month of each background that is not held out, one threshold for all: at least 1.3 times the best."""
    series = [make(name, 0) for name in BACKGROUNDS if name not in HELD_OUT]
    recall = {}
    for name, detector in {OURS: ours, **{name: peers.CHEAP[name] for name in PEERS}}.items():
        scores = [detector(one.values) for one in series]
        level = threshold(scores, MAIN_BUDGET)
        got = pooled([outcome(one, given, level) for one, given in zip(series, scores, strict=True)])
        recall[name] = got.seen[-1] / got.events
    assert recall[OURS] >= 1.3 * max(recall[name] for name in PEERS), recall


@pytest.mark.slow
def test_on_nab_the_policys_alerts_are_worth_more_than_a_clocks(recorded_data: Path) -> None:
    files = corpus(recorded_data / "nab")
    alerts = {file.name: accuracy_nab.with_rest(accuracy_nab.ours(file) >= accuracy_nab.ALERT) for file in files}
    assert at_threshold(files, alerts, PROFILES["standard"], 1.0) > 21.5


def test_alerts_rest_for_thirty_rows() -> None:
    alerts = np.zeros(100, np.bool_)
    alerts[[10, 20, 39, 40, 90]] = True
    assert np.flatnonzero(accuracy_nab.with_rest(alerts)).tolist() == [10, 40, 90]


def test_a_line_of_the_table_has_its_intervals() -> None:
    series = [make("latency_steady", 0)]
    got = outcome(series[0], ours(series[0].values), 0.45)
    line = row(OURS, "fleet", MAIN_BUDGET, got)
    low, high = (float(end) for end in str(line["95 %"]).split("…"))
    assert low <= float(str(line["recall in 15 min"])) <= high
