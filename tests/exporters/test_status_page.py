"""The readable status: everything is on it, and nothing from data is more than text."""

from __future__ import annotations

from html.parser import HTMLParser

import msgspec
import pytest

from exporters import status_page
from exporters.status import (
    AlertStatus,
    Health,
    PartitionStatus,
    SloStatus,
    SourceStatus,
    StateStatus,
    Status,
    WatermarkStatus,
    WindowStatus,
    WorkerStatus,
    to_json,
)

HOSTILE = "<script>alert(1)</script>\"'&<b onload=x>\ud800"
VOID = {"meta", "br"}


class Page(HTMLParser):
    """The text and the tags of a page; a tag that is not closed is an error."""

    def __init__(self, page):
        super().__init__()
        self.text, self.tags, self.attributes, self._open = "", [], [], []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attributes]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += f" {data}"


def alerted(name, starts, ends=None):
    return AlertStatus(
        status="firing" if ends is None else "resolved",
        starts_seconds=starts,
        ends_seconds=ends,
        labels={"alertname": "SLOBurnRate", "severity": "critical", "service": name, "slo": name},
        annotations={"summary": f"{name}: 12 % of events are bad"},
    )


def promised(name, remaining):
    return SloStatus(
        slo=name,
        service="shop",
        objective="99.9",
        group="acme",
        target=0.999,
        mode="shadow",
        at=1_700_000_095.0,
        budget_remaining=remaining,
        exhausted_in_seconds=7_300.0,
        armed=False,
        unknown=True,
        windows={"1m": WindowStatus(events=0), "1h": WindowStatus(events=9, error_ratio=0.0144, burn_rate=14.4)},
    )


def full(name="otlp_spans"):
    return Status(
        state="degraded",
        at_seconds=1_700_000_100.0,
        reasons=[f"the broker of {name} does not answer"],
        version="0.1.0",
        started_seconds=1_700_000_000.0,
        watermark=WatermarkStatus(timestamp_seconds=1_700_000_080.0, held_by=f"{name} partition 3 (unknown)"),
        sources=[
            SourceStatus(
                topic=name,
                encoding="otlp_proto",
                partitions=[
                    PartitionStatus(
                        partition=3,
                        state="unknown",
                        lag_records=12_345,
                        position=987_654,
                        frontier_seconds=1_700_000_085.0,
                    ),
                    PartitionStatus(partition=4, state="idle", lag_records=0, idle_since_seconds=1_700_000_035.0),
                ],
            )
        ],
        storage=StateStatus(
            directory=f"/state/{name}", size_bytes=3 * 2**20, free_bytes=2**34, epoch=17, epoch_age_seconds=4.25
        ),
        workers=[WorkerStatus(worker=0, pid=4711, state="running", resident_bytes=300 * 2**20, restarts=2)],
        alerts=[alerted(name, 1_700_000_000.0, ends=1_700_000_050.0), alerted(name, 1_700_000_090.0)],
        slos=[promised(f"{name}-{number}", remaining) for number, remaining in enumerate((0.5, None, -0.25))],
        late_by_reason={"order": 5, "idle": 7_000},
        dead_letters_by_reason={name: 3},
        overflow_by_service={f"{name}-{number}": number for number in range(1, 26)},
    )


class TestStatusPage:
    @pytest.mark.parametrize(
        "words",
        [
            "degraded",
            "the broker of otlp_spans does not answer",
            "0.1.0",
            "otlp_spans (otlp_proto)",
            "12,345",
            "987,654",
            "unknown",
            "2023-11-14 22:14:45 UTC (15.0 s ago)",
            "2023-11-14 22:14:40 UTC (20.0 s ago)",
            "1 min 5 s",
            "otlp_spans partition 3 (unknown)",
            "17, 4.2 s ago",
            "3.0 MiB, 16.0 GiB free",
            "4,711",
            "300.0 MiB",
            "7,000",
            "SLOBurnRate",
            "otlp_spans: 12 % of events are bad",
            "2023-11-14 22:14:50 UTC (10.0 s ago)",
            "otlp_spans-0 (acme)",
            "-25.0%",
            "2 h 1 min",
            "1m –, 1h 14.4",
            "shadow, not all tiers armed, no events",
        ],
    )
    def test_everything_is_on_it(self, words):
        assert words in Page(status_page.render(full())).text

    def test_only_the_twenty_largest_overflows_are_listed_and_the_rest_is_counted(self):
        text = Page(status_page.render(full())).text
        assert "otlp_spans-25" in text
        assert "otlp_spans-6 " in text
        assert "otlp_spans-5 " not in text
        assert "and 5 more" in text

    def test_what_fires_and_what_has_the_least_budget_come_first(self):
        text = Page(status_page.render(full())).text
        assert text.index("firing") < text.index("resolved")
        assert text.index("otlp_spans-2 ") < text.index("otlp_spans-0 ") < text.index("otlp_spans-1 ")

    def test_of_many_objectives_a_hundred_are_shown_and_the_rest_is_counted(self):
        many = [promised(f"slo-{number}", number / 1_000) for number in range(1_003)]
        text = Page(status_page.render(Status(state="running", at_seconds=0.0, slos=many))).text
        assert "slo-99 " in text
        assert "slo-100 " not in text
        assert "and 903 more" in text

    def test_names_from_data_are_only_ever_text(self):
        page = Page(status_page.render(full(HOSTILE)))
        assert "script" not in page.tags
        assert "b" not in page.tags
        assert not [name for name in page.attributes if name.startswith("on")]
        assert page.text.count("<script>alert(1)</script>") >= 12

    def test_it_needs_nothing_from_elsewhere(self):
        page = status_page.render(full())
        assert "http" not in page
        assert not {"script", "link", "img", "iframe"} & set(Page(page).tags)

    def test_a_status_of_which_nothing_is_known_yet_is_a_page_too(self):
        text = Page(status_page.render(Status(state="starting", at_seconds=0.0))).text
        assert "starting" in text
        assert "None" not in text

    def test_the_json_is_read_back_as_the_same_status(self):
        status = full()
        assert msgspec.json.decode(to_json(status), type=Status) == status


class TestHealth:
    def test_a_closed_gate_is_the_first_reason(self):
        assert Health(gate="catching up", reasons=("no broker",)).unready == ("catching up", "no broker")
        assert Health(reasons=("no broker",)).unready == ("no broker",)
        assert Health().unready == ()
