"""The brute-force oracle: what one undisturbed pass over some partitions gives, span by span and pane by pane."""

from __future__ import annotations

from collections import Counter, defaultdict
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from flows.records import NO_TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detectors.histogram import Grid
    from flows.series import SeriesLabels
    from flows.watermark import TimeRules


class Span(NamedTuple):
    """A span as the oracle knows it."""

    end: int
    duration: int
    labels: SeriesLabels
    weight: int


class Record(NamedTuple):
    """A record of one partition."""

    timestamp: int  # ms; NO_TIMESTAMP for none
    spans: tuple[Span, ...]


class Answers(NamedTuple):
    """What both sides are asked for."""

    fates: Counter[str]
    counters: dict[SeriesLabels, tuple[int, int, int]]  # calls, sum, calls at or below 5 ns
    windows: dict[tuple[int, int, tuple[str, str]], tuple[int, int, tuple[float, ...]]]
    elsewhere: int


class Asked(NamedTuple):
    """The settings that answers depend on; times in ns, windows in panes."""

    time: TimeRules
    grid: Grid
    bound_ns: int  # spans at or below it are counted
    short: tuple[int, ...]  # windows that slide by panes
    long: tuple[int, ...]  # windows that slide by minutes
    minute: int  # in panes
    quantiles: tuple[int, ...]  # parts per million
    expiry: int  # in panes


def oracle(
    partitions: Sequence[Sequence[Record]], asked: Asked, stop: int | None = None, *, last_windows_only: bool = False
) -> Answers:
    """One undisturbed pass, span by span, pane by pane.

    Args:
        partitions: the records of each, in order.
        asked: the settings.
        stop: panes from this one on are not closed; by default all are, as at the end of a replay.
        last_windows_only: leave out windows that ended more than a minute before `stop`: they take the time.
    """
    rules, pane_ns = asked.time, asked.time.pane_ns
    fates: Counter[str] = Counter()
    due: dict[int, list[tuple[Span, bool]]] = defaultdict(list)
    on_time = []
    for records in partitions:
        frontier = -1
        for record in records:
            if not record.spans:
                continue
            stamp = record.timestamp * 1_000_000
            if record.timestamp == NO_TIMESTAMP:
                stamp = sorted(span.end for span in record.spans)[(len(record.spans) - 1) // 2]
            after = frontier
            for span in record.spans:
                pane = span.end // pane_ns
                if span.end > stamp + rules.max_future_ns:
                    fates["future"] += 1
                elif span.end < stamp - rules.max_age_ns:
                    fates["past"] += 1
                elif frontier >= 0 and (pane + 1) * pane_ns <= frontier - rules.lateness_ns:
                    fates["late"] += 1
                    due[frontier // pane_ns].append((span, True))
                else:
                    fates["on_time"] += 1
                    due[pane].append((span, False))
                    on_time.append((pane, span))
                    after = max(after, min(span.end, stamp))
            frontier = after
    if not on_time:
        return Answers(fates, {}, {}, 0)
    first, last = min(pane for pane, _ in on_time), max(pane for pane, _ in on_time)
    counters: dict[SeriesLabels, list[int]] = {}
    seen: dict[SeriesLabels, int] = {}
    windows = {}
    elsewhere = 0
    for pane in range(first, last + 1 if stop is None else stop):
        for labels in [labels for labels, at in seen.items() if at + asked.expiry <= pane]:
            del seen[labels], counters[labels]
        for span, late in sorted(due[pane], key=lambda item: item[1]):
            labels = span.labels
            if late and labels not in counters:
                if not any(known.service == labels.service for known in counters):
                    elsewhere += span.weight
                    continue
                labels = labels.overflowed()
                seen.setdefault(labels, pane)
            elif not late:
                seen[labels] = pane
            counted = counters.setdefault(labels, [0, 0, 0])
            counted[0] += span.weight
            counted[1] += span.weight * span.duration
            counted[2] += span.weight * (span.duration <= asked.bound_ns)
        end = pane + 1
        if last_windows_only and stop is not None and end < stop - asked.minute:
            continue
        for window in (*asked.short, *(asked.long if end % asked.minute == 0 else ())):
            for service, name in {(labels.service, labels.span_name) for labels in counters}:
                spans = [
                    span
                    for at, span in on_time
                    if end - window <= at < end and (span.labels.service, span.labels.span_name) == (service, name)
                ]
                calls = sum(span.weight for span in spans)
                errors = sum(span.weight for span in spans if span.labels.status == 2)
                quantiles = tuple(nearest(spans, quantile, asked.grid) for quantile in asked.quantiles)
                windows[end, window, (service, name)] = (calls, errors, quantiles)
    totals = {labels: (a, b, c) for labels, (a, b, c) in counters.items()}
    return Answers(fates, totals, windows, elsewhere)


def nearest(spans: list[Span], quantile: int, grid: Grid) -> float:
    """The nearest-rank quantile as the middle of its cell; NaN (as -1) without spans."""
    total = sum(span.weight for span in spans)
    if not total:
        return -1.0
    rank, seen = ceil(total * quantile / 1_000_000), 0
    for span in sorted(spans, key=lambda span: span.duration):
        seen += span.weight
        if seen >= rank:
            return float(grid.middle_seconds[grid.cells(np.array([span.duration]))[0]])
    raise AssertionError
