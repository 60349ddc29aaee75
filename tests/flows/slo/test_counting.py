"""What a shard counts for promises against a loop over spans: whatever the order of rows, and however they are cut."""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.histogram import Grid
from flows.admission import Opened
from flows.decode.batch import ERROR, WEIGHT_ONE
from flows.panes import Rows
from flows.series import SeriesLabels
from flows.slo.counting import Counted, Counting
from flows.slo.promise import GroupBy, Indicator, Promise, Rolling
from flows.slo.selector import Matcher, Selector

LIMIT = 250_000_000
DAY = 86_400 * 10**9
SERVER = Selector("spans", (Matcher("span_kind", "in", ("SPAN_KIND_SERVER",)),))
FAILED = Selector("spans", (Matcher("status_code", "in", ("STATUS_CODE_ERROR",)),))
GRID = Grid([LIMIT - 1, LIMIT])
LABELS = [SeriesLabels(s, "GET /", kind, status, ()) for s in ("web", "db") for kind in (2, 3) for status in (0, 2)]


def promise(name: str, indicator: Indicator, **other) -> Promise:
    return Promise(name, "web", "0.99", 0.99, indicator, Rolling(30 * DAY, "30d"), **other)


PROMISES = {
    each.state_key: each
    for each in (
        promise("ratio", Indicator("ratio", SERVER, bad=FAILED)),
        promise("grouped", Indicator("ratio", SERVER, bad=FAILED), group_by=GroupBy("service_name")),
        promise("fast", Indicator("latency", SERVER, threshold_ns=LIMIT)),
        promise("faster", Indicator("ratio", SERVER, good=FAILED, threshold_ns=LIMIT, threshold_op="lt")),
        promise("slow", Indicator("ratio", SERVER, threshold_ns=LIMIT, threshold_op="gte")),
    )
}


class Seen(NamedTuple):
    """One span in a closed row."""

    slot: int
    at: int
    late: int  # panes
    duration: int
    trace: int
    weight: int


SEEN = st.builds(
    Seen,
    st.integers(0, len(LABELS)),  # the last has no labels here: no promise has it
    st.integers(100, 103),
    st.sampled_from([0, 0, 0, 1, 5, 700]),
    st.sampled_from([1, LIMIT - 1, LIMIT, LIMIT + 1, 9 * LIMIT]),
    st.integers(1, 3),
    st.sampled_from([WEIGHT_ONE, WEIGHT_ONE, 3 * WEIGHT_ONE + 777]),
)


def rows_of(pieces: list[list[Seen]]) -> tuple[np.ndarray, Rows]:
    """Each piece as rows: one for each slot, pane and at of its spans; with the slots."""
    found: list[list[Seen]] = []
    for piece in pieces:
        by_row: dict[tuple[int, int, int], list[Seen]] = defaultdict(list)
        for seen in piece:
            by_row[seen.slot, seen.at - seen.late, seen.at].append(seen)
        found += by_row.values()
    slow = [max((each.duration, each.trace, each.trace) for each in row) for row in found]
    starts = np.cumsum([0, *(len(row) for row in found)])
    cells = GRID.cells(np.array([each.duration for row in found for each in row], np.int64)).astype(np.uint16)
    zeros = np.zeros(len(found), np.uint64)
    slots = np.array([row[0].slot for row in found], np.int32)
    rows = Rows(
        slots,
        np.array([row[0].at - row[0].late for row in found], np.int64),
        np.array([row[0].at for row in found], np.int64),
        np.array([len(row) for row in found], np.int64),
        zeros,
        zeros,
        np.array([each[0] for each in slow], np.int64),
        *(np.array([each[1] for each in slow], np.uint64) for _ in range(2)),
        starts.astype(np.int64),
        cells,
        np.array([each.weight for row in found for each in row], np.int64),
    )
    return slots, rows


def is_bad(of: Promise, seen: Seen) -> bool | None:
    """None: the promise is not about this span."""
    labels = LABELS[seen.slot]
    failed = labels.status == ERROR
    if labels.kind != 2 or (of.name == "fast" and failed):
        return None
    return {
        "ratio": failed,
        "grouped": failed,
        "fast": seen.duration > LIMIT,
        "faster": not (failed and seen.duration < LIMIT),
        "slow": seen.duration < LIMIT,
    }[of.name]


def slowly(spans: list[Seen]) -> dict[tuple[str, str, int, int], list[int]]:
    """(state key, group, at, pane) → the four counts, span by span."""
    sums: dict[tuple[str, str, int, int], list[int]] = defaultdict(lambda: [0] * 4)
    shared: dict[tuple[str, str, int, int], list[int]] = defaultdict(lambda: [0] * 3)
    for seen in spans:
        for key, of in PROMISES.items():
            bad = None if seen.slot == len(LABELS) else is_bad(of, seen)
            if bad is None:
                continue
            labels = LABELS[seen.slot]
            at = key, labels.service if of.group_by else "", seen.at, seen.at - seen.late
            by_threshold = of.name in ("fast", "slow") or (of.name == "faster" and labels.status == ERROR)
            more = seen.weight, seen.weight * bad, 1, bad * (not by_threshold)
            sums[at] = [a + b for a, b in zip(sums[at], more, strict=True)]
            if by_threshold:
                shared[at] = [a + b for a, b in zip(shared[at], (more[0], more[1], 1), strict=True)]
    for at, (total, bad, raw) in shared.items():
        sums[at][3] += bad // WEIGHT_ONE if total == raw * WEIGHT_ONE else math.ceil(raw * (bad / total))
    return dict(sums)


def counting() -> Counting:
    found = Counting(list(PROMISES.values()), (), GRID)
    found.open([Opened(slot, slot, labels) for slot, labels in enumerate(LABELS)])
    return found


def as_sums(counted: Counted | None) -> dict[tuple[str, str, int, int], list[int]]:
    if counted is None:
        return {}
    columns = [counted.columns[number] for number in counted.column.tolist()]
    keys = [
        (*column, at, pane)
        for column, at, pane in zip(columns, counted.at.tolist(), counted.pane.tolist(), strict=True)
    ]
    assert len(set(keys)) == len(keys)
    return dict(zip(keys, counted.counts.tolist(), strict=True))


def cut(spans: list[Seen], bounds: list[int]) -> list[list[Seen]]:
    edges = sorted({0, len(spans), *(bound for bound in bounds if bound < len(spans))})
    return [spans[first:last] for first, last in pairwise(edges)]


@given(st.lists(SEEN, max_size=60), st.lists(st.integers(0, 60), max_size=6))
def test_counts_are_those_of_a_loop_over_spans_however_they_are_cut(spans: list[Seen], bounds: list[int]) -> None:
    assert as_sums(counting().count(*rows_of(cut(spans, bounds)))) == slowly(spans)


@given(st.lists(SEEN, max_size=60), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(spans: list[Seen], rng) -> None:
    shuffled = spans.copy()
    rng.shuffle(shuffled)
    one, other = (counting().count(*rows_of([[each] for each in of])) for of in (spans, shuffled))
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert one.columns == other.columns
        for mine, its in zip(one.snapshot()[1:], other.snapshot()[1:], strict=True):
            np.testing.assert_array_equal(mine, its)


def test_the_trace_is_that_of_the_slowest_bad_span() -> None:
    spans = [Seen(1, 100, 0, duration, trace, WEIGHT_ONE) for duration, trace in ((5, 1), (9, 2), (7, 3))]
    counted = counting().count(*rows_of([[each] for each in spans]))
    assert traces(counted)["ratio"] == [2, 2]
    good = counting().count(*rows_of([[spans[0]._replace(slot=0)]]))
    assert traces(good)["ratio"] == [0, 0]


def traces(counted: Counted | None) -> dict[str, list[int]]:
    """By the name of the promise, of counts of one pane."""
    assert counted is not None
    names = [PROMISES[column.state_key].name for column in counted.columns]
    return {names[c]: trace for c, trace in zip(counted.column.tolist(), counted.trace.tolist(), strict=True)}
