"""Strangers beside honest traffic: records of other services, put between those that the oracle knows."""

from __future__ import annotations

import string
import struct
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tests.chaos.stream import ASKED, encode, expected, order
from tests.oracle import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.chaos.gauge import Gauge, Page
    from tests.chaos.stream import Stream
    from tests.servers.kafka import Broker


class Stranger(NamedTuple):
    """A record of which the oracle knows nothing; its bytes, or what makes them from the time that it is (ns)."""

    value: bytes | Callable[[int], bytes] | None
    compression: str = "lz4"


def frontiers(records: Sequence[Record]) -> list[int]:
    """The frontier of a partition after each of its records, in ns: what the oracle's pass has."""
    found, frontier = [], -1
    rules = ASKED.time
    for record in records:
        stamp = record.timestamp * 1_000_000
        for span in record.spans:
            if stamp - rules.max_age_ns <= span.end <= stamp + rules.max_future_ns:
                frontier = max(frontier, min(span.end, stamp))
        found.append(frontier)
    return found


def produce_among(broker: Broker, topic: str, of: Stream, strangers: Sequence[Stranger], first: int = 0) -> None:
    """Produce a stream with strangers evenly between its records.

    A stranger's timestamp is the frontier of its partition at that place: whatever time its spans claim, an honest
    clock in the broker or producer then lets it move nothing.

    Args:
        broker: that has the topic.
        topic: with as many partitions as the stream.
        of: the stream.
        strangers: dealt over the stream in this order.
        first: how many of the stream's records, in the order of `stream.order`, have none before them.
    """
    reached = [frontiers(records) for records in of.partitions]
    rows = order(of, 0)
    places = np.linspace(first, len(rows) - len(of.partitions) - 1, len(strangers)).astype(int)
    next_one = 0
    for at in range(0, len(rows), 64):
        batches: dict[tuple[int, str], list[tuple[bytes | None, int]]] = {}
        for index in range(at, min(at + 64, len(rows))):
            number, i = rows[index]
            record = of.partitions[number][i]
            batches.setdefault((number, "lz4"), []).append((encode(record, i + 1), record.timestamp))
            while next_one < len(strangers) and places[next_one] <= index:
                value, compression = strangers[next_one]
                now = max(reached[number][i], 0)
                stamp = now // 1_000_000
                if callable(value):
                    value = value(now)
                if compression == "lz4":
                    batches[number, "lz4"].append((value, stamp))
                else:
                    _produce(broker, topic, number, batches.pop((number, "lz4"), []), "lz4")
                    _produce(broker, topic, number, [(value, stamp)], compression)
                    batches[number, "lz4"] = []
                next_one += 1
        for (number, compression), found in batches.items():
            _produce(broker, topic, number, found, compression)
    assert next_one == len(strangers)


def _produce(broker: Broker, topic: str, number: int, rows: list[tuple[bytes | None, int]], compression: str) -> None:
    if rows:
        broker.produce(topic, number, [value for value, _ in rows], [at for _, at in rows], compression=compression)


def honest_differences(page: Page, of: Stream) -> list[str]:
    """What the page says of the stream's own services otherwise than if it had been alone."""
    own = {span.labels.service for records in of.partitions for record in records for span in record.spans}
    wanted = {key: value for key, value in expected(of).items() if service(key.labels) in own}
    assert len(wanted) > 100
    found = []
    for key, value in wanted.items():
        has = page.get(key)
        if has is None or abs(has - value) > 1e-9 * max(abs(value), 1.0):
            found.append(f"{key.name}{sorted(key.labels)}: {has}, should be {value}")
    compared = {key.name for key in wanted}
    more = [
        key
        for key in page
        if key.name in compared - {"traces_span_metrics_duration_milliseconds_bucket"}
        and service(key.labels) in own
        and key not in wanted
    ]
    return found + [f"{key.name}{sorted(key.labels)}: {page[key]}, should not be there" for key in more]


def service(labels: frozenset[tuple[str, str]]) -> str:
    return next((value for name, value in labels if name == "service_name"), "")


def resident_mb(gauge: Gauge, peak: bool = True) -> float:
    """Resident memory of all workers, in MB; the most there was, or now."""
    total = 0
    for pid in gauge.worker_pids():
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:" if peak else "VmRSS:"):
                total += int(line.split()[1])
    return total / 1024


def word(number: int) -> str:
    """A name that is no id: five letters."""
    letters = []
    for _ in range(5):
        number, digit = divmod(number, 26)
        letters.append(string.ascii_lowercase[digit])
    return "".join(letters)


def routes(names: Sequence[str], end_ns: int, of_service: str) -> bytes:
    """A request with a span for each name, 5 ms long; by hand, since protobuf's own library takes minutes for many."""
    spans = b"".join(
        _field(
            2,
            b"\x0a\x10" + struct.pack("<QQ", 1, i + 1)
            + b"\x12\x08" + struct.pack("<Q", i + 1)
            + _field(5, name.encode())
            + b"\x30\x02"
            + b"\x39" + struct.pack("<Q", end_ns - 5_000_000)
            + b"\x41" + struct.pack("<Q", end_ns),
        )
        for i, name in enumerate(names)
    )  # fmt: skip
    attribute = _field(1, b"service.name") + _field(2, _field(1, of_service.encode()))
    return _field(1, _field(1, _field(1, attribute)) + _field(2, spans))


def _field(number: int, content: bytes) -> bytes:
    length, size = len(content), bytearray()
    while length > 127:
        size.append(length & 127 | 128)
        length >>= 7
    size.append(length)
    return bytes([number << 3 | 2]) + bytes(size) + content
