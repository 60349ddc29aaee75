"""Records that are easily counted, and what a page says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows.decode.batch import WEIGHT_ONE
from flows.series import SeriesLabels
from tests.chaos.gauge import Gauge, Page, eventually, series
from tests.chaos.stream import BEGIN_NS, SECOND_NS, encode
from tests.oracle import Record, Span

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.servers.kafka import Broker

SERVER = 2


def stamp_ms(second: float) -> int:
    """Unix ms, so many seconds after the beginning of the stream."""
    return int(BEGIN_NS / 1e6 + second * 1000)


def value(second: float, spans: int = 1, service: str = "web") -> bytes:
    """A record whose spans ended at that second."""
    end_ns = BEGIN_NS + int(second * SECOND_NS)
    labels = SeriesLabels(service, "GET /", SERVER, 0, ())
    return encode(Record(end_ns // 1_000_000, (Span(end_ns, 1_000_000, labels, WEIGHT_ONE),) * spans))


def feed(
    broker: Broker,
    topic: str,
    partition: int,
    seconds: Iterable[float],
    spans: int = 1,
    service: str = "web",
    compression: str = "lz4",
) -> list[int]:
    """Produce a record for each of these seconds; their offsets."""
    at = list(seconds)
    values = [value(second, spans, service) for second in at]
    return broker.produce(topic, partition, values, [stamp_ms(second) for second in at], compression=compression)


def n_records(page: Page, topic: str) -> float:
    """Records that were decoded."""
    return page.get(series("streamgauge_records_total", source=topic), 0.0)


def wait_records(gauge: Gauge, topic: str, count: int, within: float = 60.0) -> Page:
    """The first page with so many records or more, which must be exactly so many."""
    page = gauge.wait_for_page(lambda page: n_records(page, topic) >= count, f"{count} records of {topic}", within)
    assert n_records(page, topic) == count
    return page


def dead(page: Page, reason: str) -> float:
    return page.get(series("streamgauge_dead_letters_total", reason=reason), 0.0)


def lost(page: Page, topic: str, partition: int) -> float:
    return page.get(series("streamgauge_data_loss_records_total", source=topic, partition=str(partition)), 0.0)


def lag(page: Page, topic: str, partition: int) -> float:
    return page.get(series("streamgauge_source_lag_records", source=topic, partition=str(partition)), -1.0)


def idle_closures(page: Page, topic: str) -> float:
    return page.get(series("streamgauge_idle_closures_total", source=topic), 0.0)


def partitions(gauge: Gauge, topic: str) -> dict[int, dict[str, Any]]:
    """What the status says of the partitions of a topic."""
    for source in gauge.status().get("sources", []):
        if source["topic"] == topic:
            return {each["partition"]: each for each in source["partitions"]}
    return {}


def states(gauge: Gauge, topic: str) -> list[str]:
    """The states of a topic's partitions, in their order."""
    return [each["state"] for _, each in sorted(partitions(gauge, topic).items())]


def watermark(gauge: Gauge) -> float | None:
    """Seconds after the beginning of the stream."""
    at = gauge.status().get("watermark", {}).get("timestamp_seconds")
    return None if at is None else at - BEGIN_NS / 1e9


def wait_states(gauge: Gauge, topic: str, wanted: list[str], within: float = 60.0) -> None:
    eventually(
        lambda: states(gauge, topic) == wanted,
        lambda: f"{topic} is {wanted}, not {states(gauge, topic)}; its log: {gauge.log[-3000:]}",
        within,
    )


def kill_workers(gauge: Gauge) -> None:
    """Kill -9 of all workers; returns when others have caught up: until that is noticed, the page is as it was."""
    before = set(gauge.worker_pids())
    gauge.kill_workers()
    eventually(lambda: bool(gauge.worker_pids()) and not before & set(gauge.worker_pids()), "there are other workers")
    gauge.wait_ready()
