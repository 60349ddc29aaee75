"""A seeded stream of which every span is known: what it is, where it stands, what an undisturbed run makes of it."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from detectors.histogram import Grid
from exporters.names import CLASSIC_BOUNDS_MS
from flows.decode.batch import KINDS, STATUSES, WEIGHT_ONE
from flows.series import SeriesLabels
from flows.watermark import TimeRules
from tests.chaos.gauge import Gauge, Page, Series, series
from tests.oracle import Asked, Record, Span, oracle

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.servers.kafka import Broker

SECOND_NS = 1_000_000_000
BEGIN_NS = 1_772_442_000 * SECOND_NS  # a whole minute
BOUNDS_NS = [bound * 1_000_000 for bound in CLASSIC_BOUNDS_MS]
FLUSH = "flush"
"""The service whose last spans close the panes of all others."""

ASKED = Asked(
    time=TimeRules(),
    grid=Grid(BOUNDS_NS),
    bound_ns=BOUNDS_NS[4],
    short=(12, 60),
    long=(720,),
    minute=12,
    quantiles=(500_000, 950_000, 990_000),
    expiry=720,
)
WINDOWS = {12: "1m", 60: "5m", 720: "1h"}
_SERVER = 2


class Stream(NamedTuple):
    """Records by partition; the last one of each closes the panes of those before."""

    partitions: list[list[Record]]
    end_ns: int  # the frontier that every partition reaches

    @property
    def n_spans(self) -> int:
        return sum(len(record.spans) for records in self.partitions for record in records)

    @property
    def n_records(self) -> int:
        return sum(map(len, self.partitions))

    @property
    def stop(self) -> int:
        """The first pane that stays open."""
        return (self.end_ns - ASKED.time.lateness_ns) // ASKED.time.pane_ns


def stream(seed: int, partitions: int = 4, seconds: int = 240, spans_per_second: int = 40, services: int = 6) -> Stream:
    """Some minutes of traffic: mostly in order, with late spans, future and ancient ones, and hosts ahead of time."""
    rng = random.Random(seed)
    labels = [
        SeriesLabels(f"service-{s}", f"GET /{name}", _SERVER, status, ())
        for s in range(services)
        for name in ("a", "b", "c")
        for status in (0, 2)
    ]
    found: list[list[Record]] = []
    for number in range(partitions):
        own = [BEGIN_NS + i * 250_000_000 + rng.randrange(250_000_000) for i in range(seconds * 4)]
        records = [_first(labels, own[0] + number)]
        for now in own[1:]:
            spans = tuple(
                _span(rng, labels, now) for _ in range(rng.randint(0, max(1, spans_per_second // (2 * partitions))))
            )
            records.append(Record(now // 1_000_000, spans))
        found.append(records)
    end_ns = BEGIN_NS + (seconds + 60) * SECOND_NS
    last = Record(end_ns // 1_000_000, (Span(end_ns, 1, SeriesLabels(FLUSH, FLUSH, _SERVER, 0, ()), WEIGHT_ONE),))
    return Stream([[*records, last] for records in found], end_ns)


def _first(labels: Sequence[SeriesLabels], now: int) -> Record:
    """Every series, on time: a late span then always finds its series."""
    return Record(now // 1_000_000 + 1, tuple(Span(now, 7_000_000, each, WEIGHT_ONE) for each in labels))


def _span(rng: random.Random, labels: Sequence[SeriesLabels], now: int) -> Span:
    shift = rng.choice([0, 0, 0, 0, -0.4, -2.0, -4.0])
    luck = rng.random()
    if luck < 0.03:
        shift = rng.choice([-20.0, -45.0, -90.0])  # late
    elif luck < 0.05:
        shift = rng.choice([2.0, 8.0, 30.0])  # a clock that runs ahead
    elif luck < 0.06:
        shift = rng.choice([3_600.0, -100_000.0, 2_335_000_000.0, -now / SECOND_NS])  # set aside
    duration = int(rng.lognormvariate(17, 1.5))
    return Span(max(0, now + int(shift * SECOND_NS)), duration, rng.choice(labels), WEIGHT_ONE)


def encode(record: Record, trace: int = 1) -> bytes:
    """A record as OTLP protobuf, by protobuf's own library."""
    request = ExportTraceServiceRequest()
    by_service: dict[str, list[Span]] = {}
    for span in record.spans:
        by_service.setdefault(span.labels.service, []).append(span)
    for service, spans in by_service.items():
        resource = request.resource_spans.add()
        attribute = resource.resource.attributes.add()
        attribute.key, attribute.value.string_value = "service.name", service
        scope = resource.scope_spans.add()
        for i, span in enumerate(spans):
            written = scope.spans.add()
            written.trace_id = trace.to_bytes(16, "big")
            written.span_id = (i + 1).to_bytes(8, "big")
            written.name = span.labels.span_name
            written.kind = span.labels.kind
            written.status.code = span.labels.status
            written.end_time_unix_nano = span.end
            written.start_time_unix_nano = max(span.end - span.duration, 0)
    return request.SerializeToString()


def order(of: Stream, seed: int) -> list[tuple[int, int]]:
    """(partition, index) of all records, the partitions interleaved by time."""
    rng = random.Random(seed)
    keyed = [
        (record.timestamp + rng.randrange(200), number, i)
        for number, records in enumerate(of.partitions)
        for i, record in enumerate(records)
    ]
    last: dict[int, int] = {}
    rows = []
    for stamp, number, i in sorted(keyed, key=lambda row: (row[1], row[2])):
        last[number] = max(stamp, last.get(number, 0))
        rows.append((last[number], number, i))
    return [(number, i) for _, number, i in sorted(rows)]


_known: dict[int, tuple[Stream, Page]] = {}


def expected(of: Stream) -> Page:
    """What the page must say when all panes before `stop` are closed; thought through once for each stream."""
    if id(of.partitions) not in _known:
        _known[id(of.partitions)] = of, _expected(of)
    return dict(_known[id(of.partitions)][1])


def _expected(of: Stream) -> Page:
    answers = oracle(of.partitions, ASKED, of.stop, last_windows_only=True)
    page: Page = {}
    assert answers.elsewhere == 0
    for labels, (calls, total, _) in answers.counters.items():
        names = _names(labels.service, labels.span_name)
        names["status_code"] = STATUSES[labels.status]
        page[series("traces_span_metrics_calls_total", **names)] = calls / WEIGHT_ONE
        page[series("traces_span_metrics_duration_milliseconds_sum", **names)] = total / WEIGHT_ONE / 1e6
        bucket = "traces_span_metrics_duration_milliseconds_bucket"
        page[series(bucket, le=f"{CLASSIC_BOUNDS_MS[4]:.1f}", **names)] = answers.counters[labels][2] / WEIGHT_ONE
    for (end, window, (service, name)), (calls, errors, quantiles) in answers.windows.items():
        if end != (of.stop if window < 720 else of.stop - of.stop % ASKED.minute):
            continue
        names = {**_names(service, name), "window": WINDOWS[window]}
        page[series("streamgauge_span_calls", **names)] = calls / WEIGHT_ONE
        page[series("streamgauge_span_errors", **names)] = errors / WEIGHT_ONE
        for quantile, value in zip(ASKED.quantiles, quantiles, strict=True):
            if value >= 0:
                where = series("streamgauge_span_duration_seconds", quantile=f"{quantile / 1e6:g}", **names)
                page[where] = value
    late = answers.fates["late"]
    if late:
        page[series("streamgauge_late_total", signal="spans", reason="out_of_order")] = late
    for direction in ("future", "past"):
        if answers.fates[direction]:
            page[series("streamgauge_time_rejected_total", direction=direction)] = answers.fates[direction]
    return page


def _names(service: str, name: str) -> dict[str, str]:
    return {"service_name": service, "span_name": name, "span_kind": KINDS[_SERVER]}


def differences(page: Page, of: Stream, topic: str) -> list[str]:
    """What the page says otherwise than an undisturbed run would."""
    wanted = expected(of)
    wanted[series("streamgauge_spans_total", source=topic)] = of.n_spans
    wanted[series("streamgauge_records_total", source=topic)] = of.n_records
    found = []
    for key, value in wanted.items():
        has = page.get(key)
        if has is None or abs(has - value) > 1e-9 * max(abs(value), 1.0):
            found.append(f"{key.name}{sorted(key.labels)}: {has}, should be {value}")
    unwanted = _spurious(page, wanted)
    return found + [f"{key.name}{sorted(key.labels)}: {page[key]}, should not be there" for key in unwanted]


def _spurious(page: Page, wanted: Page) -> Iterable[Series]:
    compared = {"traces_span_metrics_calls_total", "streamgauge_span_calls", "streamgauge_span_duration_seconds"}
    return [key for key in page if key.name in compared and key not in wanted]


def settle(gauge: Gauge, of: Stream, topic: str, within: float = 40.0) -> list[str]:
    """What still differs when a run has had the time to get to the end of the stream."""
    expected(of)
    until = time.monotonic() + within
    found = [f"no page; exit code {gauge.process.poll()}; {gauge.log[-3000:]}"]
    while found and time.monotonic() < until:
        page = gauge.page()
        if page is not None:
            found = differences(page, of, topic)
        time.sleep(0.1)
    if found and found[0].startswith("no page") and gauge.process.poll() is None:
        gauge.process.send_signal(signal.SIGUSR1)  # its stacks go to its log
        time.sleep(1.0)
        found = [f"no page; {gauge.log[-6000:]}"]
    return found


def as_held(broker: Broker, topic: str, of: Stream) -> Stream:
    """A stream as the broker has it after it was killed: all of it in its order, and perhaps a batch twice.

    A batch that was written and not acknowledged is sent again, and a broker that was killed does not always know it;
    what counts is what can be read.
    """
    held = []
    for number, messages in sorted(broker.read(topic).items()):
        sent = {(record.timestamp, encode(record, i + 1)): record for i, record in enumerate(of.partitions[number])}
        found = [(message.timestamp()[1], message.value()) for message in messages]
        assert [*dict.fromkeys(found)] == [*sent], f"partition {number} lost records, or has them in another order"
        held.append([sent[each] for each in found])
    return Stream(held, of.end_ns)


def fates(of: Stream) -> Counter[str]:
    """How many spans there are of each fate."""
    return oracle(of.partitions, ASKED, of.stop, last_windows_only=True).fates


class Producing:
    """Produces a stream in a thread, evenly over some seconds of wall time; the last records last of all.

    Args:
        broker: that has the topic.
        topic: with as many partitions as the stream.
        of: the stream.
        seconds: how long it takes.
        compression: of the batches.
    """

    def __init__(self, broker: Broker, topic: str, of: Stream, seconds: float, compression: str = "lz4") -> None:
        self._broker, self._topic, self._of = broker, topic, of
        self._seconds, self._compression = seconds, compression
        self._thread = threading.Thread(target=self._produce, daemon=True)
        self._failed: list[BaseException] = []

    def __enter__(self) -> Producing:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()

    def wait(self) -> None:
        """Until all is produced; what failed is raised here."""
        self._thread.join(120)
        if self._failed:
            raise self._failed[0]

    @property
    def is_over(self) -> bool:
        return not self._thread.is_alive()

    def _produce(self) -> None:
        try:
            begun, rows = time.monotonic(), order(self._of, 0)
            for first in range(0, len(rows), 16):
                ahead = begun + self._seconds * first / len(rows) - time.monotonic()
                if ahead > 0:
                    time.sleep(ahead)
                by_partition: dict[int, list[int]] = {}
                for number, i in rows[first : first + 16]:
                    by_partition.setdefault(number, []).append(i)
                for number, indices in by_partition.items():
                    records = [self._of.partitions[number][i] for i in indices]
                    self._broker.produce(
                        self._topic,
                        number,
                        [encode(record, i + 1) for record, i in zip(records, indices, strict=True)],
                        [record.timestamp for record in records],
                        compression=self._compression,
                    )
        except BaseException as error:  # noqa: BLE001  raised by `wait`
            self._failed.append(error)
