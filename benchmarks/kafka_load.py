"""Topics full of spans whose size, series and pace are known: what benchmarks of a live run read."""

from __future__ import annotations

import random
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import zstandard
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from report import recorded_data
from speed_decode import generated_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.kafka import Broker

PARTITIONS = 4
SPANS_PER_RECORD = 500
BEGIN_NS = 1_772_442_000_000_000_000
FLUSH = "flush"
"""The service of the last span of each partition, which closes the panes of all before."""

_SECOND_NS = 1_000_000_000
_POOL = 200

Record = tuple[bytes, int]
"""Value and timestamp in Unix ms."""


class Load(NamedTuple):
    """What a topic is filled with."""

    name: str
    n_spans: int
    bytes_a_span: int
    records: Callable[[int], Iterator[Record]]  # of a partition, in order; the flush not among them
    end_ms: int  # a time after all of them

    def fill(self, broker: Broker, topic: str, first: int = 0, last: int | None = None) -> None:
        """Produce some of the records of each partition; all up to the last, and the flush, where `last` is None."""
        for number in range(PARTITIONS):
            stamps: list[int] = []

            def values(number: int = number, stamps: list[int] = stamps) -> Iterator[bytes]:
                for value, stamp in islice(self.records(number), first, last):
                    stamps.append(stamp)  # the broker's helper asks for the stamp after the value
                    yield value
                if last is None:
                    stamps.append(self.end_ms + 60_000)
                    yield _flush(self.end_ms + 60_000)

            broker.produce(topic, number, values(), stamps, compression="lz4")

    def spans_of_first(self, n_records: int) -> int:
        """How many spans the first records of each partition have."""
        from flows.decode.otlp_proto import OtlpProto
        from flows.records import Records

        values = [value for p in range(PARTITIONS) for value, _ in islice(self.records(p), n_records)]
        return len(OtlpProto().decode(Records.of(values)))


def _flush(at_ms: int) -> bytes:
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    resource_spans.resource.attributes.add(key="service.name").value.string_value = FLUSH
    end_ns = at_ms * 1_000_000
    resource_spans.scope_spans.add().spans.add(name=FLUSH, start_time_unix_nano=end_ns - 1, end_time_unix_nano=end_ns)
    return request.SerializeToString()


class _Template:
    """A record whose times are written anew each time it is used."""

    def __init__(self, data: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(data)
        self._data = np.frombuffer(data, np.uint8)
        places, durations, at = [], [], 0
        for of_resource in request.resource_spans:
            for of_scope in of_resource.scope_spans:
                for span in of_scope.spans:
                    start, end = span.start_time_unix_nano, span.end_time_unix_nano
                    at = data.index(b"\x39" + start.to_bytes(8, "little") + b"\x41" + end.to_bytes(8, "little"), at)
                    places.append(at + 1)
                    durations.append(end - start)
        self._start = np.array(places)[:, None] + np.arange(8)
        self._durations = np.array(durations)
        self._back = np.random.default_rng(len(data)).integers(0, _SECOND_NS, len(places))
        self._back[-1] = 0
        self.n_spans = len(places)

    def at(self, end_ns: int) -> Record:
        """The record, its spans ending in the second before `end_ns`."""
        data = self._data.copy()
        ends = end_ns - self._back
        data[self._start] = (ends - self._durations).astype("<i8").view(np.uint8).reshape(-1, 8)
        data[self._start + 9] = ends.astype("<i8").view(np.uint8).reshape(-1, 8)
        return data.tobytes(), -(-end_ns // 1_000_000)


def _paced(name: str, templates: list[_Template], n_spans: int, seconds: float) -> Load:
    n_records = n_spans // SPANS_PER_RECORD // PARTITIONS
    step_ns = int(seconds * _SECOND_NS / n_records)

    def records(number: int) -> Iterator[Record]:
        for i in range(n_records):
            yield templates[(i * PARTITIONS + number) % len(templates)].at(BEGIN_NS + 2 * _SECOND_NS + i * step_ns)

    size = len(templates[0].at(BEGIN_NS)[0]) / SPANS_PER_RECORD
    end_ms = (BEGIN_NS + 2 * _SECOND_NS + n_records * step_ns) // 1_000_000
    return Load(name, n_records * PARTITIONS * SPANS_PER_RECORD, round(size), records, end_ms)


def with_attributes(n_spans: int, seconds: float = 600.0) -> Load:
    """Spans of 413 bytes or so with 10 attributes, of 10 services with 100 operations each."""
    rng = random.Random(3)
    pool = [_Template(b"".join(generated_request(rng) for _ in range(SPANS_PER_RECORD // 100))) for _ in range(_POOL)]
    return _paced("generated, 10 attributes", pool, n_spans, seconds)


def of_series(n_series: int, n_spans: int, seconds: float) -> Load:
    """Short spans spread evenly over so many series, a thousand a service."""
    rng = random.Random(4)
    numbers = [number for _ in range(-(-_POOL * SPANS_PER_RECORD // n_series)) for number in range(n_series)]
    rng.shuffle(numbers)
    pool = [
        _Template(_short_spans(rng, sorted(numbers[first : first + SPANS_PER_RECORD])))
        for first in range(0, _POOL * SPANS_PER_RECORD, SPANS_PER_RECORD)
    ]
    return _paced(f"{n_series:,} series", pool, n_spans, seconds)


def _short_spans(rng: random.Random, series: list[int]) -> bytes:
    request = ExportTraceServiceRequest()
    service, scope_spans = -1, None
    for number in series:
        if number // 1000 != service:
            service = number // 1000
            resource_spans = request.resource_spans.add()
            resource_spans.resource.attributes.add(key="service.name").value.string_value = f"service-{service}"
            scope_spans = resource_spans.scope_spans.add()
        assert scope_spans is not None
        start = rng.randrange(1 << 60)
        scope_spans.spans.add(
            trace_id=rng.randbytes(16),
            span_id=rng.randbytes(8),
            name=f"GET /route/op{number % 1000:03d}x",
            kind=2,
            start_time_unix_nano=start,
            end_time_unix_nano=start + int(rng.lognormvariate(17, 1)),
        )
    return request.SerializeToString()


def recorded(times: int, share: float = 1.0) -> Load | None:
    """The recorded Online Boutique, or the first part of it, each record so many times in a row; None where absent."""
    path = recorded_data() / "online-boutique-2022-08-22" / "traces.pb.zst"
    if not path.is_file():
        return None
    with path.open("rb") as file:
        data = zstandard.ZstdDecompressor().stream_reader(file).read()
    found: list[Record] = []
    n_spans = n_bytes = at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        request = data[at + 4 : at + 4 + size]
        at += 4 + size
        ends = [
            span.end_time_unix_nano
            for of_resource in ExportTraceServiceRequest.FromString(request).resource_spans
            for of_scope in of_resource.scope_spans
            for span in of_scope.spans
        ]
        if not ends:
            continue
        found.append((request, -(-max(ends) // 1_000_000)))
        n_spans += len(ends)
        n_bytes += size
        if at > share * len(data):
            break

    def records(number: int) -> Iterator[Record]:
        for record in found[number::PARTITIONS]:
            for _ in range(times):
                yield record

    end_ms = max(stamp for _, stamp in found)
    return Load("recorded Online Boutique", times * n_spans, round(n_bytes / n_spans), records, end_ms)
