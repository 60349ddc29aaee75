"""How many alerts there are, by state, as Prometheus is shown it."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from detectors.tiers import MINUTE_NS as MINUTE
from exporters import names
from exporters.status import SloStatus
from flows.slo.promise import GroupBy
from flows.slo.publish import slo_samples, slos_json
from tests.flows.slo.feed import Feed, promised
from tests.flows.test_machine import OUTAGE

WAITING = promised(tiers=(replace(OUTAGE, for_ns=5 * MINUTE),))


def counted(feed: Feed) -> dict[tuple[str, str, str], int]:
    """(alertname, severity, state) → the gauge."""
    assert feed.shown is not None
    (samples,) = [each for each in slo_samples(feed.shown) if each.family is names.ALERTS]
    keys = [dict(labels.pairs()) for labels in samples.labels]
    return {
        (key[names.ALERTNAME], key[names.SEVERITY], key[names.STATE]): int(value)
        for key, value in zip(keys, samples.values.ravel(), strict=True)
    }


def pages(feed: Feed) -> tuple[int, int]:
    """How many pages are pending, and how many fire."""
    found = counted(feed)
    return found["SLOBurnRate", "critical", "pending"], found["SLOBurnRate", "critical", "firing"]


def test_a_page_that_waits_is_pending_until_it_fires() -> None:
    feed = Feed(WAITING)
    feed.minutes(60, 1_000)
    assert pages(feed) == (0, 0)
    feed.minutes(4, 1_000, 1_000)
    assert pages(feed) == (1, 0)
    feed.minutes(4, 1_000, 1_000)
    assert pages(feed) == (0, 1)


def test_a_page_that_waits_and_is_over_before_is_pending_no_longer() -> None:
    feed = Feed(WAITING)
    feed.minutes(60, 1_000)
    feed.minutes(3, 1_000, 1_000)
    assert pages(feed) == (1, 0)
    feed.minutes(20, 1_000)
    assert pages(feed) == (0, 0)


def test_a_crash_does_not_end_what_is_pending() -> None:
    feed = Feed(WAITING)
    feed.minutes(60, 1_000)
    feed.minutes(3, 1_000, 1_000)
    feed.restart()
    feed.minutes(1, 1_000, 1_000)
    assert pages(feed) == (1, 0)


def test_without_any_alert_there_are_zeros_to_alert_on() -> None:
    feed = Feed(promised())
    feed.minutes(2, 1_000)
    assert set(counted(feed).values()) == {0}
    assert ("SLOAbsent", "critical", "firing") in counted(feed)


def test_the_list_of_objectives_is_what_the_status_takes() -> None:
    feed = Feed(promised())
    feed.minutes(60, 1_000, 3)
    assert feed.shown is not None
    (slo,) = msgspec.json.decode(slos_json(feed.shown), type=list[SloStatus])
    assert (slo.slo, slo.service, slo.objective, slo.at) == ("availability", "shop", "0.999", feed.now_ns / 1e9)
    assert slo.windows["1h"].events == 60_000
    assert slo.windows["1h"].burn_rate == pytest.approx(3.0)
    assert list(slo.windows) == ["1m", "5m", "10m", "30m", "1h", "2h", "6h", "1d", "3d", "30d"]


def test_a_ratio_of_no_events_has_no_number() -> None:
    feed = Feed(promised())
    feed.minutes(1, 0)
    assert feed.shown is not None
    (slo,) = msgspec.json.decode(slos_json(feed.shown), type=list[SloStatus])
    assert (slo.unknown, slo.windows["1m"].error_ratio, slo.windows["1m"].burn_rate) == (True, None, None)


def unknown(feed: Feed) -> list[tuple[dict[str, str], int]]:
    """Labels and value of `streamgauge_slo_unknown`."""
    assert feed.shown is not None
    blocks = [each for each in slo_samples(feed.shown) if each.family is names.SLO_UNKNOWN]
    return [
        (dict(labels.pairs()), int(value))
        for each in blocks
        for labels, value in zip(each.labels, each.values.ravel(), strict=True)
    ]


def test_one_for_each_value_of_a_label_is_unknown_until_the_first_value_comes() -> None:
    feed = Feed(promised(group_by=GroupBy("service_name", 10)))
    feed.minutes(2, 0)
    assert unknown(feed) == [({"slo": "availability", "service": "shop", "objective": "0.999"}, 1)]
    feed.restart()
    feed.minutes(1, 0)
    assert len(unknown(feed)) == 1
    feed.minutes(1, 1_000)
    assert [value for _, value in unknown(feed)] == [0]
