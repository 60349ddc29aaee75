"""State that goes on under other settings: thresholds and dimensions begin now, and no span is lost on the way."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np

from detectors.histogram import Grid
from flows.shard import Shard
from flows.windows import Windows
from tests.flows.test_exactness import ASKED, WINDOW_RULES, Engine, rules, stream
from tests.oracle import oracle


def test_with_other_thresholds_every_count_stays_and_quantiles_move_by_a_cell_at_most() -> None:
    partitions = stream(7)
    expected = oracle(partitions, ASKED)
    engine = Engine(partitions, random.Random(7), rules())
    fine = Grid([5, 100, 90, 4_000])
    crashes = []

    def crash_into_other_rules() -> None:
        if crashes:
            return
        crashes.append(1)
        other = replace(rules(), grid=fine)
        engine.folder._edges, engine.folder._first = fine.tables
        engine._folder = lambda: type(engine.folder)(fine, lambda _, name: name)  # type: ignore[method-assign]
        engine.folder = engine._folder()
        engine.rules = other
        engine.shards = [Shard.restore(len(engine.slots), other, shard.snapshot()) for shard in engine.shards]
        window_rules = replace(WINDOW_RULES, grid=fine)
        engine.windows = [Windows.restore(window_rules, windows.snapshot()) for windows in engine.windows]

    engine.crash = crash_into_other_rules  # type: ignore[method-assign]
    answers = engine.run()
    assert crashes
    assert answers.counters == expected.counters
    assert answers.windows.keys() == expected.windows.keys()
    for key, (calls, errors, quantiles) in answers.windows.items():
        assert (calls, errors) == expected.windows[key][:2]
        assert np.allclose(quantiles, expected.windows[key][2], rtol=0.03, atol=2e-8)


def test_with_another_dimension_open_panes_keep_their_spans_and_series_begin_anew() -> None:
    partitions = stream(11)
    engine = Engine(partitions, random.Random(11), rules())
    left = [engine._cuts(p) for p in range(len(partitions))]
    for p, cuts in enumerate(left):
        for cut in cuts[: len(cuts) // 2]:
            engine._hand_on(engine.slots[p].emit([cut]))  # type: ignore[list-item]
    other = replace(rules(), dimensions=("zone",))
    spans_before = sum(int(shard.open.snapshot()["raw"].sum()) for shard in engine.shards)
    again = [Shard.restore(len(engine.slots), other, shard.snapshot()) for shard in engine.shards]
    assert spans_before > 0
    assert sum(int(shard.open.snapshot()["raw"].sum()) for shard in again) == spans_before
    assert [shard.position for shard in again] == [shard.position for shard in engine.shards]
    labels = [entry.labels for shard in again for entry in shard.admission.labels]
    assert labels
    assert {of.dimensions for of in labels} == {("",)}
    assert all(not shard.admission.entry_of_slot for shard in again)
