"""The engine against a brute-force oracle: whatever the cuts, the interleaving, the snapshots, the answers are its."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.histogram import Grid
from flows.admission import Budgets, ServiceBudget
from flows.decode.batch import WEIGHT_ONE, Decoder, Identity, SpanBatch, Text
from flows.emission import Slot
from flows.fold import Folder
from flows.gather import gather_overflow
from flows.part import Part
from flows.records import NO_TIMESTAMP, Partition, Records
from flows.series import OVERFLOW, SHARDS, SeriesLabels, shard_of
from flows.shard import Shard, ShardRules
from flows.watermark import TimeRules
from flows.window_samples import WindowSamples
from flows.windows import WindowRules, Windows
from tests.oracle import Answers, Asked, Record, Span, oracle

PANE, MINUTE, EXPIRY = 10, 4, 14
TIME = TimeRules(pane_ns=PANE, lateness_ns=PANE, max_future_ns=300, max_age_ns=2_000)
GRID = Grid([5, 100])
QUANTILES = (500_000, 950_000)
SHORT, LONG = (2, 4, 5), (12,)
JUDGED = (4, 12)


class _Text(Text):
    def __init__(self, spans: list[Span]) -> None:
        self.spans = spans

    def identity(self, index: int, kind: int, status: int) -> Identity:
        labels = self.spans[index].labels
        return Identity(labels.service, labels.span_name, kind, status, labels.dimensions)


class _TableDecoder(Decoder):
    """Looks records up by their payload: the test is about what comes after decoding."""

    def __init__(self, table: dict[bytes, Record], keys: dict[SeriesLabels, int]) -> None:
        self.table = table
        self.keys = keys  # shared: keys of different identities never collide within a process

    def decode(self, records: Records) -> SpanBatch:
        number, spans = [], []
        for i in range(len(records)):
            for span in self.table[records.payload(i)].spans:
                number.append(i)
                spans.append(span)
        keys = np.array([self.keys.setdefault(span.labels, len(self.keys)) for span in spans], np.uint64)
        return SpanBatch(
            record=np.array(number, np.int32),
            end_ns=np.array([span.end for span in spans], np.int64),
            duration_ns=np.array([span.duration for span in spans], np.int64),
            kind=np.array([span.labels.kind for span in spans], np.uint8),
            status=np.array([span.labels.status for span in spans], np.uint8),
            trace_hi=np.arange(len(spans), dtype=np.uint64),
            trace_lo=np.arange(len(spans), dtype=np.uint64),
            span_id=np.arange(len(spans), dtype=np.uint64),
            weight=np.array([span.weight for span in spans], np.int64),
            key_hi=keys,
            key_lo=keys * np.uint64(0x9E3779B97F4A7C15),
            text=_Text(spans),
        )


def stream(seed: int) -> list[list[Record]]:
    """Some partitions of records: mostly in order, with stragglers, clocks ahead and behind, gaps and sampled spans."""
    rng = random.Random(seed)
    partitions = []
    labels = [
        SeriesLabels(f"s{service}", f"op{name}", 2, status, ())
        for service in range(3)
        for name in range(2)
        for status in (0, 2)
    ]
    for _ in range(rng.randint(1, 3)):
        now = rng.randint(1_000, 1_100)
        records = []
        for _ in range(rng.randint(0, 40)):
            now += rng.choice([0, 3, 8, 15, 40]) if rng.random() > 0.04 else rng.choice([200, 900])
            spans = []
            for _ in range(rng.randint(0, 6)):
                shift = rng.choice([0, 0, 0, -3, -9, -25, -60, 5, 12])
                if rng.random() < 0.03:
                    shift = rng.choice([500, -900])
                weight = rng.choice([WEIGHT_ONE] * 5 + [WEIGHT_ONE * 3 + 12345])
                end = max(0, now + shift)
                spans.append(Span(end, rng.choice([0, 1, 5, 6, 99, 100, 101, 5_000]), rng.choice(labels), weight))
            records.append(Record(NO_TIMESTAMP, tuple(spans)))
        partitions.append(records)
    return partitions


def rules() -> ShardRules:
    """Shards with small panes."""
    return ShardRules(time=TIME, grid=GRID, bounds_ns=(5, 100), expiry=EXPIRY, minute=MINUTE, step=1)


ASKED = Asked(TIME, GRID, 5, SHORT, LONG, MINUTE, QUANTILES, EXPIRY)
WINDOW_RULES = WindowRules(
    grid=GRID, windows=(*SHORT, *LONG), quantiles=QUANTILES, minute=MINUTE, step=1, longest_short=5, judged=JUDGED
)

WindowKey = tuple[int, int, tuple[str, str]]
Window = tuple[int, int, tuple[float, ...]]


class Engine:
    """The stages put together by hand, with every freedom that a dataflow engine has."""

    def __init__(self, partitions: list[list[Record]], rng: random.Random, shard_rules: ShardRules) -> None:
        self.rng = rng
        self.rules = shard_rules
        self.window_rules = WINDOW_RULES
        self.partitions = partitions
        self.table = {
            f"{p}-{i}".encode(): record for p, records in enumerate(partitions) for i, record in enumerate(records)
        }
        self.keys: dict[SeriesLabels, int] = {}
        self.slots = [self._slot(p) for p in range(len(partitions))]
        self.folder = self._folder()
        self.shards = [Shard(len(partitions), shard_rules) for _ in range(SHARDS)]
        self.windows = [Windows(self.window_rules) for _ in range(SHARDS)]
        self.overflow = Shard(SHARDS, shard_rules)
        self.tell = gather_overflow(TIME)
        self.counters: dict[SeriesLabels, tuple[int, int, int]] = {}
        self.labels: dict[tuple[int, int], SeriesLabels] = {}
        self.samples: dict[WindowKey, Window] = {}
        self.judged: dict[WindowKey, Window] = {}
        self.elsewhere = 0

    def _slot(self, number: int) -> Slot:
        slot = Slot(number, lambda _: _TableDecoder(self.table, self.keys), TIME)
        slot.expect(Partition("t", number))
        return slot

    def _folder(self) -> Folder:
        return Folder(GRID, lambda _, name: name)

    def crash(self) -> None:
        """Everything is stored and read again; what is not stored is gone."""
        states = [slot.snapshot() for slot in self.slots]
        self.slots = [self._slot(number) for number in range(len(self.slots))]
        for slot, state in zip(self.slots, states, strict=True):
            slot.restore(state)
        self.folder = self._folder()
        self.shards = [Shard.restore(len(self.slots), self.rules, shard.snapshot()) for shard in self.shards]
        self.windows = [Windows.restore(self.window_rules, windows.snapshot()) for windows in self.windows]
        self.overflow = Shard.restore(SHARDS, self.rules, self.overflow.snapshot())

    def run(self, crashes: bool = True) -> Answers:
        """All records, in any interleaving of partitions and any cuts."""
        left = [self._cuts(p) for p in range(len(self.partitions))]
        while any(left):
            p = self.rng.choice([p for p, cuts in enumerate(left) if cuts])
            cut = left[p].pop(0)
            slot = self.slots[p]
            self._hand_on(slot.end() if cut is None else slot.emit([cut]))
            if crashes and self.rng.random() < 0.1:
                self.crash()
        fates: Counter[str] = Counter()
        for slot in self.slots:
            for tally in slot.emit([]).tallies.values():
                fates["on_time"] += tally["on_time", ""]
                fates["late"] += tally["late", "out_of_order"]
                fates["future"] += tally["rejected", "future"]
                fates["past"] += tally["rejected", "past"]
        return Answers(+fates, self.counters, self.samples, self.elsewhere)

    def _cuts(self, p: int) -> list[Records | None]:
        n = len(self.partitions[p])
        bounds = sorted({0, n, *(self.rng.randint(0, n) for _ in range(self.rng.randint(0, 8)))})
        cuts: list[Records | None] = [
            Records.of(
                [f"{p}-{i}".encode() for i in range(first, last)],
                Partition("t", p),
                first,
                [self.partitions[p][i].timestamp for i in range(first, last)],
            )
            for first, last in pairwise(bounds)
        ]
        return [*cuts, None]

    def _hand_on(self, emission) -> None:
        partials = [self.folder.fold(batch.spans, batch.timed) for batch in emission.batches] or [[None] * SHARDS]
        strays = []
        for shard in range(SHARDS):
            closed = self.shards[shard].hear([Part(emission.progress, partials[0][shard])])
            if closed is None:
                continue
            self._note(shard, closed)
            said = self.windows[shard].close(closed)
            self._keep(said.samples, self.samples)
            self._keep(said.judged, self.judged)
            strays.append(self.tell((f"{shard:02d}", closed))[1])
        closed = self.overflow.hear(strays) if strays else None
        for segment in closed.segments if closed is not None else []:
            self.elsewhere += int(
                segment.rows.cell_weight[segment.rows.cell_starts[0] : segment.rows.cell_starts[-1]].sum()
            )

    def _keep(self, samples: list[WindowSamples], kept: dict[WindowKey, Window]) -> None:
        for sample in samples:
            for i, operation in enumerate(sample.operations):
                key = (sample.end, sample.window, (operation.service, operation.span_name))
                assert key not in kept, "a window was shown twice"
                shown = tuple(-1.0 if value != value else value for value in sample.quantiles[i].tolist())
                kept[key] = (int(sample.calls[i]), int(sample.errors[i]), shown)

    def _note(self, shard: int, closed) -> None:
        for segment in closed.segments:
            for slot in segment.ended:
                del self.counters[self.labels.pop((shard, slot))]
            for opened in segment.opened:
                self.labels[shard, opened.slot] = opened.labels
            counters = segment.counters
            for i, slot in enumerate(counters.slots.tolist()):
                total = round(counters.sum_ns[i] * 2**20)
                self.counters[self.labels[shard, slot]] = (int(counters.calls[i]), total, int(counters.buckets[i, 0]))


def assert_equal(found: Answers, expected: Answers) -> None:
    """Every answer, to the last span."""
    assert found.fates == +expected.fates
    assert found.counters == expected.counters
    assert found.windows == expected.windows
    assert found.elsewhere == expected.elsewhere


@given(st.integers(0, 2**32), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_any_cuts_interleaving_and_crashes_give_the_oracles_answers(what: int, how: int) -> None:
    """Late spans, counters, windows: equal to one undisturbed pass."""
    partitions = stream(what)
    assert_equal(Engine(partitions, random.Random(how), rules()).run(), oracle(partitions, ASKED))


class _Windows(Engine):
    """An engine of whose counters nobody asks."""

    def _note(self, shard: int, closed) -> None:
        pass


def judged(windows: dict[WindowKey, Window]) -> dict[WindowKey, Window]:
    """What judges get of windows that are shown at every pane."""
    return {key: value for key, value in windows.items() if key[1] in JUDGED and key[0] % key[1] == 0}


@given(st.integers(0, 2**32), st.integers(0, 2**32), st.sampled_from([1, 2, 12]), st.booleans())
@settings(max_examples=40, deadline=None)
def test_judges_get_every_window_at_multiples_of_itself_however_little_is_shown(
    what: int, how: int, step: int, newest_only: bool
) -> None:
    """A replay that shows little, a live page, crashes: judges hear the same."""
    partitions = stream(what)
    engine = _Windows(partitions, random.Random(how), replace(rules(), step=step, newest_only=newest_only))
    engine.window_rules = replace(WINDOW_RULES, step=step, newest_only=newest_only)
    engine.windows = [Windows(engine.window_rules) for _ in range(SHARDS)]
    engine.run()
    assert engine.judged == judged(oracle(partitions, ASKED).windows)


@pytest.mark.slow
@given(st.integers(0, 2**32), st.integers(0, 2**32))
@settings(max_examples=1_500, deadline=None)
def test_many_more_cuts_interleavings_and_crashes_give_the_oracles_answers(what: int, how: int) -> None:
    """The same, long enough to meet rare orders."""
    partitions = stream(what)
    assert_equal(Engine(partitions, random.Random(how), rules()).run(), oracle(partitions, ASKED))


def test_an_exploding_service_leaves_the_others_as_they_are() -> None:
    """One service has a hundred times its budget; the others' answers are those of a stream without it."""
    calm = [
        [
            Record(NO_TIMESTAMP, (Span(1_000 + i, 7, SeriesLabels("calm", "op", 2, 0, ()), WEIGHT_ONE),))
            for i in range(300)
        ]
    ]
    wild = [
        [
            record._replace(
                spans=(
                    *record.spans,
                    *(Span(1_000 + i, 7, SeriesLabels("wild", f"op{i}-{j}", 2, 0, ()), WEIGHT_ONE) for j in range(5)),
                )
            )
            for i, record in enumerate(calm[0])
        ]
    ]
    budget = replace(rules(), budgets=Budgets(ServiceBudget(series=10)), expiry=1_000)
    alone = Engine(calm, random.Random(1), budget).run(crashes=False)
    beside = Engine(wild, random.Random(2), budget).run(crashes=False)
    assert {key: value for key, value in beside.windows.items() if key[2][0] == "calm"} == alone.windows
    shown = {labels for labels in beside.counters if labels.service == "wild"}
    assert len(shown) == 11
    overflowed = next(labels for labels in shown if labels.span_name == OVERFLOW)
    assert sum(beside.counters[labels][0] for labels in shown) == 1_500 * WEIGHT_ONE
    assert beside.counters[overflowed][0] > 1_400 * WEIGHT_ONE


def test_services_beyond_the_most_share_one_service_and_lose_no_span() -> None:
    """More services than there are places for: the rest is gathered under __overflow__, from all shards."""
    spans = [Span(1_000 + i // 4, 7, SeriesLabels(f"service-{i}", "op", 2, 0, ()), WEIGHT_ONE) for i in range(400)]
    partitions = [[Record(NO_TIMESTAMP, tuple(spans[i : i + 4])) for i in range(0, 400, 4)]]
    found = Engine(partitions, random.Random(3), replace(rules(), budgets=Budgets(max_services=1))).run(crashes=False)
    by_shard = Counter(shard_of(f"service-{i}") for i in range(400))
    assert len(found.counters) == sum(min(2, n) for n in by_shard.values())
    shown = sum(calls for calls, _, _ in found.counters.values())
    assert shown + found.elsewhere == 400 * WEIGHT_ONE
    assert found.elsewhere > 200 * WEIGHT_ONE
