"""What a worker tells its supervisor arrives as it was sent; labels travel only when they change."""

from __future__ import annotations

import numpy as np

from exporters.labels import LabelSet
from exporters.names import CALLS, SPAN_CALLS
from exporters.samples import Samples, by_label
from flows.run.link import PAGE, REPORT, PageReader, PageWriter, PartitionReport, Report, decode_report, encode_report

OWNER = ("07", "counters")
LABELS = [LabelSet([("service_name", f"shop-{i}")]) for i in range(200)]


def block(values: list[float], labels: list[LabelSet] = LABELS) -> Samples:
    return by_label(CALLS, 5, labels, np.array(values))


def same(one: Samples, other: Samples) -> bool:
    return (
        one.family is other.family
        and one.at_ns == other.at_ns
        and [each.text for each in one.labels] == [each.text for each in other.labels]
        and np.array_equal(one.values, other.values)
    )


def test_blocks_arrive_as_they_were_sent() -> None:
    writer, reader = PageWriter(), PageReader()
    sent = [block([float(i) for i in range(200)]), by_label(SPAN_CALLS, 6, LABELS[:3], np.array([1.5, np.nan, 0.0]))]
    owner, found = reader.decode(writer.encode(OWNER, sent))
    assert owner == OWNER
    assert same(found[0], sent[0])
    assert found[1].family is SPAN_CALLS
    assert np.isnan(found[1].values.ravel()[1])


def test_labels_travel_once_until_they_change() -> None:
    writer, reader = PageWriter(), PageReader()
    first = writer.encode(OWNER, [block([1.0] * 200)])
    second = writer.encode(OWNER, [block([2.0] * 200)])
    assert len(second) < len(first) / 2
    reader.decode(first)
    _, [found] = reader.decode(second)
    assert same(found, block([2.0] * 200))
    other = [*LABELS[1:], LabelSet([("service_name", "new")])]
    third = writer.encode(OWNER, [block([3.0] * 200, other)])
    assert len(third) > 1.5 * len(second)
    assert same(reader.decode(third)[1][0], block([3.0] * 200, other))


def test_owners_and_blocks_do_not_share_labels() -> None:
    writer, reader = PageWriter(), PageReader()
    reader.decode(writer.encode(OWNER, [block([1.0] * 200), block([1.0], LABELS[:1])]))
    reader.decode(writer.encode(("08", "counters"), [block([1.0] * 2, LABELS[5:7])]))
    _, found = reader.decode(writer.encode(OWNER, [block([2.0] * 200), block([2.0], LABELS[:1])]))
    assert same(found[0], block([2.0] * 200))
    assert same(found[1], block([2.0], LABELS[:1]))


def test_a_report_arrives_as_it_was_sent() -> None:
    report = Report(
        started=True,
        partitions=[PartitionReport("spans", 3, "idle", 5, 7, 9, 11)],
        start_positions={"spans/3": 2},
        tallies={"spans": {"late/idle": 4}},
    )
    data = encode_report(report)
    assert data[:1] == REPORT != PAGE
    assert decode_report(data[1:]) == report


def test_a_report_of_an_older_worker_is_read_too() -> None:
    assert decode_report(b"\x80") == Report()
