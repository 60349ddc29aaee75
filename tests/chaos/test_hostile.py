"""Hostile records beside honest traffic: each is counted, memory stays bounded, nobody else's figures move."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING

import pytest

from flows.decode.batch import WEIGHT_ONE
from flows.series import SeriesLabels
from tests.chaos.crowd import Stranger, honest_differences, produce_among, resident_mb, routes, service, word
from tests.chaos.gauge import Gauge, Page, Scraper, eventually, series
from tests.chaos.stream import BEGIN_NS, SECOND_NS, Stream, encode, stream
from tests.oracle import Record, Span

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.kafka import Broker

pytestmark = pytest.mark.slow

SERVER = 2
MB = 1 << 20


def settled(gauge: Gauge, of: Stream, within: float = 50.0) -> Page:
    """The page once the stream's own services are as if they had been alone."""
    pages: list[Page] = [{}]

    def agrees() -> bool:
        page = gauge.page()
        if page is None:
            return False
        pages.append(page)
        return not honest_differences(page, of)

    eventually(agrees, lambda: f"{honest_differences(pages[-1], of)[:5]}; {gauge.log[-2000:]}", within)
    return pages[-1]


def watermarks(page: Page) -> set[float]:
    return {value for key, value in page.items() if key.name == "streamgauge_watermark_timestamp_seconds"}


def dead(page: Page) -> dict[str, float]:
    return {
        dict(key.labels)["reason"]: value for key, value in page.items() if key.name == "streamgauge_dead_letters_total"
    }


def hostile(rng: random.Random, now: int, spans: int = 5) -> Record:
    labels = [SeriesLabels("hostile", f"GET /{name}", SERVER, rng.choice((0, 2)), ()) for name in ("x", "y")]
    return Record(
        now // 1_000_000,
        tuple(
            Span(now - rng.randrange(SECOND_NS), rng.randrange(10**9), rng.choice(labels), WEIGHT_ONE)
            for _ in range(spans)
        ),
    )


def mutated(rng: random.Random, value: bytes) -> bytes:
    """A valid request with some of its bytes changed, removed, doubled, cut off or grown."""
    data = bytearray(value)
    for _ in range(rng.randint(1, 6)):
        if not data:
            break
        at = rng.randrange(len(data))
        match rng.randrange(6):
            case 0:
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at] = rng.choice((0, 1, 127, 128, 255))
            case 2:
                del data[at : at + rng.randint(1, 16)]
            case 3:
                data[at:at] = data[at : at + rng.randint(1, 32)]
            case 4:
                del data[at:]
            case _:
                data[at:at] = rng.randbytes(rng.randint(1, 10))
    return bytes(data)


def safe(value: bytes) -> bool:
    """Whether it names no honest service: what claims to be one is counted as one, rightly."""
    return b"service-" not in value and b"flush" not in value


@pytest.mark.parametrize("workers", [1, 2])
def test_mutated_records_move_nobody_elses_figures(broker: Broker, tmp_path: Path, workers: int) -> None:
    seed = 41 + workers
    print(f"seed {seed}")
    rng = random.Random(seed)
    of = stream(seed)
    strangers: list[Stranger] = []
    nulls = 0
    for i in range(4_000):
        value = encode(hostile(rng, BEGIN_NS + i * 60_000_000), i + 1)
        if i % 100 == 0:
            strangers.append(Stranger(None))
            nulls += 1
        elif i % 10 == 0:
            strangers.append(Stranger(rng.randbytes(rng.randrange(200))))
        else:
            strangers.append(Stranger(mutated(rng, value)))
    strangers = [each for each in strangers if each.value is None or safe(each.value)]
    topic = broker.create_topic(f"mutated-{workers}", 4)
    with Gauge(tmp_path, broker.bootstrap, [topic], workers) as gauge, Scraper(gauge) as scraper:
        produce_among(broker, topic, of, strangers)
        page = settled(gauge, of)
        assert scraper.went_back == []
        eventually(lambda: watermarks(gauge.page() or {}) == {of.end_ns / 1e9}, "strangers move no watermark", 5.0)
        found = dead(page)
        print(f"dead letters {found}, resident {resident_mb(gauge):.0f} MB")
        assert found["null_value"] == nulls
        assert sum(found.values()) > 500
        # Every record was read or set aside unread; none vanished, nobody restarted.
        read = page[series("streamgauge_records_total", source=topic)]
        assert read + found["null_value"] == of.n_records + len(strangers)
        assert page[series("streamgauge_worker_restarts_total")] == 0
        rejected = sum(value for key, value in page.items() if key.name == "streamgauge_time_rejected_total")
        assert rejected > 100  # mutated times, most of them in 1970 or far from now
        assert resident_mb(gauge) < 400 * workers


def test_clocks_that_run_ahead_and_dates_of_1970_and_2100_move_no_watermark(broker: Broker, tmp_path: Path) -> None:
    seed = 44
    print(f"seed {seed}")
    rng = random.Random(seed)
    of = stream(seed)
    ahead = {seconds: SeriesLabels(f"ahead-{seconds}", "GET /", SERVER, 0, ()) for seconds in (2, 8, 30)}
    far = {name: SeriesLabels(f"far-{name}", "GET /", SERVER, 0, ()) for name in ("1970", "2100")}
    n_each = 0
    partitions = []
    for records in of.partitions:
        found = [records[0]]
        for record in records[1:-1]:
            stamp = record.timestamp * 1_000_000
            more = [
                Span(stamp + seconds * SECOND_NS, 1_000_000, labels, WEIGHT_ONE) for seconds, labels in ahead.items()
            ]
            more += [
                Span(rng.randrange(SECOND_NS), 0, far["1970"], WEIGHT_ONE),
                Span(4_102_444_800 * SECOND_NS + rng.randrange(SECOND_NS), 1, far["2100"], WEIGHT_ONE),
            ]
            found.append(Record(record.timestamp, (*record.spans, *more)))
            n_each += 1
        partitions.append([*found, records[-1]])
    crowded = Stream(partitions, of.end_ns)
    topic = broker.create_topic("ahead", 4)
    with Gauge(tmp_path, broker.bootstrap, [topic]) as gauge:
        produce_among(broker, topic, crowded, [])
        page = settled(gauge, crowded)  # the oracle knows all of them, and what they do to the others: nothing
        eventually(lambda: watermarks(gauge.page() or {}) == {of.end_ns / 1e9}, "strangers move no watermark", 5.0)
        for labels in ahead.values():
            calls = [
                v
                for k, v in page.items()
                if k.name == "traces_span_metrics_calls_total" and service(k.labels) == labels.service
            ]
            assert calls == [n_each]
        for labels in far.values():
            assert not any(service(key.labels) == labels.service for key in page)
        assert page[series("streamgauge_time_rejected_total", direction="future")] >= n_each
        assert page[series("streamgauge_time_rejected_total", direction="past")] >= n_each
        late = page[series("streamgauge_late_total", signal="spans", reason="out_of_order")]
        print(f"{n_each} spans of each clock; late {late:.0f}")


def test_bombs_and_endless_strings_cost_themselves_only(broker: Broker, tmp_path: Path) -> None:
    of = stream(45)
    labels = SeriesLabels("endless", "x" * 10_000_000, SERVER, 0, ())
    name = encode(Record(0, (Span(BEGIN_NS + SECOND_NS, 1, labels, WEIGHT_ONE),)))
    attribute = routes(["short"], BEGIN_NS + SECOND_NS, "y" * 10_000_000)
    strangers = [Stranger(bytes(24 * MB), "gzip") for _ in range(12)]
    strangers += [Stranger(bytes(24 * MB), "zstd") for _ in range(4)]
    strangers += [Stranger(name, "gzip"), Stranger(attribute, "lz4")]
    strangers += [Stranger(bytes(63 * MB), "gzip")]
    topic = broker.create_topic("bombs", 4, max_message_bytes=64 * MB)
    with Gauge(tmp_path, broker.bootstrap, [topic]) as gauge:
        gauge.wait_ready()
        before = resident_mb(gauge)
        produce_among(broker, topic, of, strangers)
        page = settled(gauge, of)
        print(f"resident {before:.0f} MB before, {resident_mb(gauge):.0f} MB at most; dead letters {dead(page)}")
        assert sum(dead(page).values()) == 17
        eventually(lambda: watermarks(gauge.page() or {}) == {of.end_ns / 1e9}, "strangers move no watermark", 5.0)
        limited = {dict(k.labels)["what"]: v for k, v in page.items() if k.name == "streamgauge_limited_total"}
        print(limited)
        assert sum(limited.values()) >= 2
        long = max(len(value) for key in page for _, value in key.labels)
        assert long <= 1024
        assert resident_mb(gauge) < 900


def test_a_storm_of_bombs_in_one_fetch_is_survived(broker: Broker, tmp_path: Path) -> None:
    """A megabyte of gzip can be a gigabyte: librdkafka unpacks all that a fetch brought of a partition, and knows no
    limit; a fetch brings a megabyte (`fetch.message.max.bytes`, which `kafka.properties` can lower). These bombs are
    720 MB, held twice while they are handed on.
    """
    of = stream(46, seconds=120)
    topic = broker.create_topic("bomb-storm", 4, max_message_bytes=64 * MB)
    stamp = of.partitions[1][0].timestamp
    broker.produce(topic, 1, [bytes(24 * MB)] * 30, [stamp] * 30, compression="gzip")
    with Gauge(tmp_path, broker.bootstrap, [topic]) as gauge:
        produce_among(broker, topic, of, [])
        page = settled(gauge, of)
        print(f"resident {resident_mb(gauge):.0f} MB at most")
        assert sum(dead(page).values()) == 30
        assert resident_mb(gauge) < 3_000


def some_routes(numbers: range, now: int) -> bytes:
    return routes([f"/shop/{word(number)}" for number in numbers], now, "many")


def test_a_million_routes_of_one_service_starve_nobody(broker: Broker, tmp_path: Path) -> None:
    of = stream(47)
    n_routes, each = 1_000_000, 2_000
    strangers = [Stranger(partial(some_routes, range(first, first + each))) for first in range(0, n_routes, each)]
    topic = broker.create_topic("routes", 4)
    with Gauge(tmp_path, broker.bootstrap, [topic]) as gauge, Scraper(gauge) as scraper:
        gauge.wait_ready()
        before = resident_mb(gauge)
        produce_among(broker, topic, of, strangers)
        page = settled(gauge, of, 120.0)
        assert scraper.went_back == []
        calls = {
            k: v for k, v in page.items() if k.name == "traces_span_metrics_calls_total" and service(k.labels) == "many"
        }
        over = sum(value for key, value in calls.items() if ("span_name", "__overflow__") in key.labels)
        print(f"resident {before:.0f} MB before, {resident_mb(gauge):.0f} MB at most; {len(calls)} series")
        assert sum(calls.values()) == n_routes
        assert len(calls) <= 2_001
        assert over >= n_routes - 2_000
        said = page[series("streamgauge_series_overflow_total", service_name="many")]
        assert said == over
        eventually(lambda: gauge.status()["overflow_by_service"] == {"many": said}, "the status says so too")
        assert resident_mb(gauge) < 1_200
