"""What 1,000 promises over 20,000 series cost: throughput, closing a pane, memory, and the time until the POST."""

from __future__ import annotations

import json
import random
import sys
import threading
from dataclasses import dataclass, replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from time import perf_counter, process_time
from typing import TYPE_CHECKING

import numpy as np
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from report import publish

from exporters.alertmanager import AlertSender, Target, alerts_url
from exporters.endpoint import Endpoint
from exporters.links import Links
from flows.config import Config
from flows.decode.batch import WEIGHT_ONE, Identity, SpanBatch, Text
from flows.decode.otlp_proto import OtlpProto
from flows.fold import Folder
from flows.gather import gather_overflow
from flows.part import Part
from flows.records import Partition, Records
from flows.rules import Rules
from flows.run.allocator import collect_rarely
from flows.series import OVERFLOW, SHARDS
from flows.shard import Shard
from flows.slo.announce import announce
from flows.slo.bank import Bank, Budgeting
from flows.slo.counting import Column, Counted
from flows.slo.judge import SloJudge, SloPart, SloRules, tell_judge
from flows.slo.promise import Indicator, Promise, Rolling
from flows.slo.publish import slo_samples, slos_json
from flows.slo.selector import Matcher, Selector
from flows.watermark import Frontier, PartitionProgress, Progress
from flows.windows import Windows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from flows.slo.shown import SloShown

SERVICES = 400
SERIES = 20_000
SLOS = 1_000
SPANS = 40_000  # an emission
SPANS_A_MINUTE = 2_000_000
MINUTE_NS = 60_000_000_000
PANE_NS = 5_000_000_000
DAY_NS = 1_440 * MINUTE_NS
BEGIN = 10**18 // PANE_NS


def promises(n: int = SLOS) -> tuple[Promise, ...]:
    """Availability at two objectives and latency at one, service by service."""
    failed = Selector("spans", (Matcher("status_code", "in", ("STATUS_CODE_ERROR",)),))
    found = []
    for number in range(n):
        service = f"service-{number % SERVICES}"
        mine = Selector("spans", (Matcher("service_name", "in", (service,)),))
        kind, objective = divmod(number // SERVICES, 2)
        indicator = (
            Indicator("ratio", mine, bad=failed) if kind == 0 else Indicator("latency", mine, threshold_ns=250_000_000)
        )
        target = (0.999, 0.9995)[objective]
        period = Rolling(30 * DAY_NS, "30d")
        found.append(Promise(f"slo-{number}", service, str(target), target, indicator, period))
    return tuple(found)


class _Names(Text):
    """Series by number: each service has its share of them."""

    def __init__(self, series: np.ndarray) -> None:
        self.series = series

    def identity(self, index: int, kind: int, status: int) -> Identity:
        number = int(self.series[index])
        return Identity(f"service-{number % SERVICES}", f"GET /route-{number:x}/items", kind, status, ())


def emissions() -> Iterator[SpanBatch]:
    """Two minutes of decoded spans, evenly over all series and in time; latencies are log-normal."""
    rng = np.random.default_rng(1)
    for first in range(0, 2 * SPANS_A_MINUTE, SPANS):
        series = rng.integers(0, SERIES, SPANS)
        key = (series.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        yield SpanBatch(
            (np.arange(SPANS) // 400).astype(np.int32),
            10**18 + np.arange(first, first + SPANS) * MINUTE_NS // SPANS_A_MINUTE,
            np.exp(rng.normal(16.5, 0.5, SPANS)).astype(np.int64),
            np.full(SPANS, 2, np.uint8),
            np.zeros(SPANS, np.uint8),
            *rng.integers(1, 1 << 62, (3, SPANS)).astype(np.uint64),
            np.full(SPANS, WEIGHT_ONE, np.int64),
            key,
            key ^ (key >> np.uint64(31)),
            _Names(series),
        )


class Engine:
    """The stages in one process, without the dataflow engine between them; CPU seconds of what promises cost."""

    def __init__(self, promised: Sequence[Promise]) -> None:
        self.rules = Rules.of(Config(), step_ns=MINUTE_NS, counters=False, promises=tuple(promised))
        self.folder = Folder(self.rules.grid, self.rules.template)
        self.frontier = Frontier(self.rules.time)
        self.shards = {f"{number:02d}": Shard(1, self.rules.shard) for number in range(SHARDS)}
        self.overflow = Shard(SHARDS, self.rules.shard)
        self.stray = gather_overflow(self.rules.time)
        self.windows = [Windows(self.rules.windows) for _ in range(SHARDS)]
        self.judge = SloJudge(self.rules.slo) if self.rules.slo is not None else None

    def take(self, batch: SpanBatch) -> None:
        """One emission."""
        stamps = np.full(int(batch.record[-1]) + 1, -1)
        timed = self.frontier.advance(batch.record, batch.end_ns, stamps, np.zeros(len(batch), np.uint8))
        partials = self.folder.fold(batch, timed)
        at = PartitionProgress(
            Partition("t", 0), self.frontier.ns, self.frontier.first_pane, self.frontier.last_pane, 0
        )
        strays, told = [], []
        for (key, shard), windows, mine in zip(self.shards.items(), self.windows, partials, strict=True):
            closed = shard.hear([Part(Progress(0, (at,)), mine, key)])
            if closed is not None:
                windows.close(closed)
                strays.append(self.stray((key, closed))[1])
                told.append(tell_judge((key, closed))[1])
        closed = self.overflow.hear(strays) if strays else None
        if self.judge is not None and closed is not None:
            for shown in self.judge.hear([*told, tell_judge((OVERFLOW, closed))[1]]):
                if shown.is_last:
                    slo_samples(shown)


def encoded(attributes: int) -> list[bytes]:
    """One emission as a Collector would write it: requests of 400 spans of 8 services, some with attributes."""
    rng = random.Random(attributes)
    requests = []
    for first in range(0, SPANS, 400):
        request = ExportTraceServiceRequest()
        for number in range(first, first + 400):
            if number % 50 == 0:
                service = number // 50 % SERVICES
                resource_spans = request.resource_spans.add()
                resource_spans.resource.attributes.add(key="service.name").value.string_value = f"service-{service}"
                spans = resource_spans.scope_spans.add().spans
            end = 10**18 + number * MINUTE_NS // SPANS_A_MINUTE
            span = spans.add(
                trace_id=rng.randbytes(16),
                span_id=rng.randbytes(8),
                name=f"GET /route-{service + SERVICES * rng.randrange(SERIES // SERVICES):x}/items",
                kind=2,
                start_time_unix_nano=end - round(rng.lognormvariate(16.5, 0.5)),
                end_time_unix_nano=end,
            )
            for attribute in range(attributes):
                key, text = f"http.request.detail{attribute}", f"value {rng.randrange(10**9):09d}"
                span.attributes.add(key=key).value.string_value = text
        requests.append(request.SerializeToString())
    return requests


def replayed(encodings: Sequence[Records]) -> Iterator[SpanBatch]:
    """Two minutes decoded from bytes, as a replay does it: the same few emissions again.

    Each gets a time of its own, and durations, for windows in which the same ones repeat are too cheap.
    """
    decoder, rng = OtlpProto(), np.random.default_rng(3)
    durations_ns = np.exp(rng.normal(16.5, 0.5, (2 * SPANS_A_MINUTE // SPANS, SPANS))).astype(np.int64)
    for number, of_emission in enumerate(durations_ns):
        batch = decoder.decode(encodings[number % len(encodings)])
        batch.end_ns += number * SPANS * MINUTE_NS // SPANS_A_MINUTE
        batch.duration_ns[:] = of_emission
        yield batch


def throughput(what: str, batches: Callable[[], Iterable[SpanBatch]]) -> dict[str, object]:
    """CPU time of the second minute, with and without promises in turns; of each emission the best of some rounds."""
    n = SPANS_A_MINUTE // SPANS
    best = {with_slos: np.full(n, np.inf) for with_slos in (False, True)}
    promised = promises()
    for _ in range(6):
        for with_slos, seconds in best.items():
            engine, source = Engine(promised if with_slos else ()), iter(batches())
            for batch in islice(source, n):  # then series are known, and kernels compiled
                engine.take(batch)
            for i in range(n):
                begun = process_time()
                engine.take(next(source))
                seconds[i] = min(seconds[i], process_time() - begun)
    without, with_slos = (float(seconds.sum()) / SPANS_A_MINUTE * 1e9 for seconds in best.values())
    return {
        "what": f"{what}: what promises cost",
        "seen": with_slos / without - 1.0,
        "unit": f"share ({without:.0f} → {with_slos:.0f} ns a span)",
        "wanted": "≤ 0.10",
    }


def throughputs() -> Iterator[dict[str, object]]:
    """The whole path from bytes for spans of two sizes, and what follows decoding by itself."""
    for attributes in (10, 0):
        requests = [encoded(attributes) for _ in range(4)]
        size = sum(map(len, requests[0])) / SPANS
        encodings = [Records.of(each) for each in requests]
        yield throughput(f"bytes to windows, {size:.0f} bytes a span", partial(replayed, encodings))
    decoded = list(emissions())
    yield throughput("without decoding", lambda: decoded)


@dataclass
class Stream:
    """Counts for a judge, pane by pane: each shard tells of the services that it has."""

    promised: Sequence[Promise]
    bad_share: float = 0.0
    pane: int = BEGIN

    def next(self) -> list[SloPart]:
        """What all shards tell of one more pane."""
        parts = []
        columns = sorted({Column(promise.state_key, "") for promise in self.promised})
        for shard in range(SHARDS + 1):
            mine = columns[shard::SHARDS] if shard < SHARDS else []
            n, bad = len(mine), round(100 * self.bad_share)
            counts = np.tile(np.array([100 << 20, bad << 20, 100, bad], np.int64), (n, 1))
            panes = np.full(n, self.pane)
            trace = np.full((n, 2), 7, np.uint64) if bad else np.zeros((n, 2), np.uint64)
            counted = (Counted(mine, np.arange(n, dtype=np.int32), panes, panes, counts, trace),) if n else ()
            upto = self.pane + 1
            at = PartitionProgress(Partition("shard", shard), upto, BEGIN, self.pane, upto)
            parts.append(SloPart(Progress(shard, (at,)), counted))
        self.pane += 1
        return parts


def distinct() -> tuple[Promise, ...]:
    """1,000 promises that all count something of their own."""
    failed = Selector("spans", (Matcher("status_code", "in", ("STATUS_CODE_ERROR",)),))
    return tuple(
        replace(
            promise,
            indicator=Indicator("ratio", Selector("spans", (Matcher("span_name", "in", (promise.name,)),)), bad=failed),
        )
        for promise in promises()
    )


def closing(bad_share: float, what: str) -> dict[str, object]:
    """CPU time of `SloJudge.hear` for one pane, the 99th percentile of some minutes; all windows are computed."""
    judge = SloJudge(SloRules(distinct(), PANE_NS))
    stream = Stream(judge.rules.promises)
    for _ in range(800):  # most tiers are armed
        judge.hear(stream.next())
    stream.bad_share = bad_share
    took = []
    for _ in range(200):
        parts = stream.next()
        begun = process_time()
        judge.hear(parts)
        took.append(process_time() - begun)
    return {"what": what, "seen": float(np.quantile(took, 0.99)) * 1e3, "unit": "ms", "wanted": "≤ 50"}


def showing() -> dict[str, object]:
    """CPU time from what the judge shows to samples and JSON, for one pane."""
    judge = SloJudge(SloRules(distinct(), PANE_NS))
    stream = Stream(judge.rules.promises, 0.5)
    took = []
    for _ in range(50):
        (shown,) = judge.hear(stream.next())
        begun = process_time()
        slo_samples(shown)
        slos_json(shown)
        took.append(process_time() - begun)
    return {
        "what": "what a live worker makes of it: page and JSON",
        "seen": float(np.median(took)) * 1e3,
        "unit": "ms",
        "wanted": "",
    }


def memory() -> dict[str, object]:
    """Arrays a promise, at 30 days."""
    promised = distinct()
    bank = Bank(Budgeting.of(promised[0]), promised, PANE_NS, BEGIN)
    bank.make_rows([(Column(promise.state_key, ""), 0.0) for promise in promised])
    held = bank.rings.nbytes + bank.seen.last.nbytes + bank.seen.trace.nbytes
    return {"what": "counts a promise of 30 days", "seen": held / SLOS / 1024, "unit": "KiB", "wanted": "≤ 48"}


class _Receiver(ThreadingHTTPServer):
    """Takes alerts; says when it has a page."""

    def __init__(self) -> None:
        receiver = self
        self._changed = threading.Condition()
        self._pages = 0

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                posted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with receiver._changed:
                    receiver._pages += sum(each["labels"]["severity"] == "critical" for each in posted)
                    receiver._changed.notify()
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    def wait_for(self, pages: int) -> None:
        """Until so many were posted."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._pages >= pages, 30.0), f"{self._pages} pages of {pages}"


def to_the_post() -> dict[str, object]:
    """All 1,000 promises break at once: from the closing of the pane until the last of their pages is posted."""
    judge = SloJudge(SloRules(distinct(), PANE_NS))
    stream = Stream(judge.rules.promises)
    for _ in range(800):
        judge.hear(stream.next())
    stream.bad_share = 1.0
    with _Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever, args=(0.02,))
        thread.start()
        sender = AlertSender([Target(Endpoint(alerts_url(f"http://127.0.0.1:{receiver.server_port}")))])
        sender.start()
        seconds, pages = float("nan"), 0
        for _ in range(100):
            parts = stream.next()
            begun = perf_counter()
            shown: list[SloShown] = judge.hear(parts)
            alerts = announce(shown[-1].alerts, Links({}), shown[-1].end_ns)
            sender.set_alerts(alerts)
            pages = sum(dict(each.labels)["severity"] == "critical" for each in alerts)
            if pages:
                receiver.wait_for(pages)
                seconds = perf_counter() - begun
                break
        sender.stop()
        receiver.shutdown()
        thread.join()
    return {
        "what": f"closing of the pane → the last of {pages:,} pages posted",
        "seen": seconds,
        "unit": "s",
        "wanted": "≤ 1",
    }


def main() -> None:
    """Measure, print, write the results."""
    collect_rarely()  # as a worker does
    rows = [
        *throughputs(),
        closing(0.0, "closing a pane, all promises kept"),
        closing(1.0, "closing a pane, all promises broken"),
        showing(),
        memory(),
        to_the_post(),
    ]
    publish(
        "speed_slo",
        "1,000 promises over 20,000 series, all windows",
        rows,
        "Throughput: 2 M spans a minute of event time, no Kafka and no dataflow engine between the stages. "
        "CPU time but for the POST, of a machine that others use too; closing is the 99th percentile.",
    )


if __name__ == "__main__":
    sys.exit(main())
