"""An endless stream at full speed: one encoded record again and again, its times moved; a process of its own."""

from __future__ import annotations

import time
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from confluent_kafka import Producer

from flows.decode.batch import WEIGHT_ONE
from flows.series import SeriesLabels
from tests.chaos.stream import encode
from tests.oracle import Record, Span

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

SPANS = 500
"""Of each record."""

_MARK_NS = 0x1122_3344_5566_0000
"""A time that stands nowhere else in the record: where it is found, times are put."""
_SERIES = 200


class Template:
    """A record of `SPANS` spans of 200 series whose times can be set."""

    def __init__(self) -> None:
        labels = [SeriesLabels(f"service-{i % 10}", f"GET /{i // 10}x", 2, 0, ()) for i in range(_SERIES)]
        spans = [Span(_MARK_NS + i, 0, labels[i % _SERIES], WEIGHT_ONE) for i in range(SPANS)]
        self._data = np.frombuffer(encode(Record(0, tuple(spans))), np.uint8).copy()
        words = np.lib.stride_tricks.sliding_window_view(self._data, 8).copy().view("<u8").ravel()
        found = np.flatnonzero((words >= _MARK_NS) & (words < _MARK_NS + SPANS))
        assert len(found) == 2 * SPANS
        self._starts, self._ends = found[0::2, None] + np.arange(8), found[1::2, None] + np.arange(8)
        self._spread = np.linspace(0, 1, SPANS)
        self._durations = np.linspace(1e5, 5e8, SPANS).astype("<u8")

    def at(self, begin_ns: int, end_ns: int) -> bytes:
        """The record with its spans evenly between two times."""
        ends = (begin_ns + self._spread * (end_ns - begin_ns)).astype("<u8")
        self._data[self._ends] = ends.view(np.uint8).reshape(-1, 8)
        self._data[self._starts] = (ends - self._durations).view(np.uint8).reshape(-1, 8)
        return self._data.tobytes()


class Flood:
    """A process that produces as fast as it can until it is told to stop, or has produced enough.

    Args:
        properties: of the producer.
        topic: that exists.
        partitions: of it.
        most: records in all; 0: endless.
        step_ns: event time that a round over the partitions takes; 0: the wall clock's.
    """

    def __init__(
        self, properties: dict[str, Any], topic: str, partitions: int, most: int = 0, step_ns: int = 0
    ) -> None:
        context = get_context("spawn")
        self.pause: Event = context.Event()
        self._stop: Event = context.Event()
        self._done = context.Value("q", 0)
        self._process = context.Process(
            target=_flood, args=(properties, topic, partitions, most, step_ns, self.pause, self._stop, self._done)
        )

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._process.join(60)
        assert self._process.exitcode == 0

    @property
    def produced(self) -> int:
        """Records so far."""
        return int(self._done.value)

    def wait(self, seconds: float) -> None:
        """Until it has produced enough."""
        self._process.join(seconds)
        assert self._process.exitcode == 0


def _flood(
    properties: dict[str, Any],
    topic: str,
    partitions: int,
    most: int,
    step_ns: int,
    pause: Event,
    stop: Event,
    done: Any,
) -> None:
    producer = Producer(
        {
            **properties,
            "compression.type": "lz4",
            "linger.ms": 20,
            "enable.idempotence": True,
            "queue.buffering.max.kbytes": 65536,
        }
    )
    template, count = Template(), 0
    at_ns = begin_ns = time.time_ns()
    failures: list[object] = []
    while not stop.is_set() and (not most or count < most):
        if pause.is_set():
            time.sleep(0.02)
            producer.poll(0)
            continue
        before, at_ns = at_ns, begin_ns + (count // partitions) * step_ns if step_ns else time.time_ns()
        value = template.at(max(before, at_ns - 1_000_000_000), at_ns)
        for partition in range(partitions):
            while True:
                try:
                    producer.produce(
                        topic,
                        value,
                        partition=partition,
                        timestamp=at_ns // 1_000_000 + 1,
                        on_delivery=lambda error, _: failures.append(error) if error else None,
                    )
                    break
                except BufferError:
                    producer.poll(0.05)
            count += 1
        done.value = count
        producer.poll(0)
    producer.flush(60)
    assert not failures, failures[0]
