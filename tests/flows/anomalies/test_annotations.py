"""What people read of an anomaly: which operations, what was seen and expected, how rare, since when, and links."""

from __future__ import annotations

import math

import pytest

from exporters.links import Links
from flows.anomalies.annotations import NAMED, announce_anomalies
from flows.anomalies.policy import AlertRule
from flows.anomalies.shown import AnomalyAlert
from flows.anomalies.strange import Strange, hear
from tests.flows.anomalies.said import BEGIN_NS, DAY, HOUR, MINUTE, operation, scored, series

SLOW = Strange("all", "p95", operation("GET /pay"), 0.55, 0.41, 0.045, 0.035, 0.06, 3 * DAY)


def said(*concerned: Strange, ends_at_ns: int | None = None, **templates: str) -> dict[str, str]:
    alert = AnomalyAlert("shop", concerned[0].signal, BEGIN_NS, ends_at_ns, concerned)
    (found,) = announce_anomalies([alert], Links(templates), BEGIN_NS + MINUTE)
    return dict(found.annotations)


def test_an_anomaly_reads_as_sentences() -> None:
    annotations = said(SLOW)
    assert annotations["summary"] == "shop: p95 of GET /pay is 410 ms, expected 45.0 ms"
    assert annotations["description"] == (
        "GET /pay: 410 ms, expected 45.0 ms (35.0 ms to 60.0 ms), as rare as once in 3 days. "
        "Since 2026-03-02 09:00:00 UTC."
    )


@pytest.mark.parametrize(
    ("signal", "numbers", "seen"),
    [
        ("p50", (2.5, 0.3, 0.25, 0.4), "2.50 s, expected 300 ms (250 ms to 400 ms)"),
        ("rate", (0.0, 120.0, 95.5, 150.0), "0 /s, expected 120 /s (95.5 /s to 150 /s)"),
        ("error_ratio", (0.12, 0.001, -0.01, 0.02), "12 %, expected 0.1 % (0 % to 2 %)"),
    ],
)
def test_each_signal_has_its_unit(signal: str, numbers: tuple[float, ...], seen: str) -> None:
    annotations = said(Strange("all", signal, operation("GET /pay"), 0.9, *numbers, 3 * DAY))
    assert f"GET /pay: {seen}, " in annotations["description"]


def test_what_is_rarer_than_the_past_can_tell_is_not_given_a_number() -> None:
    assert "rarer than its past can tell" in said(SLOW._replace(once_in_ns=math.inf))["description"]


@pytest.mark.parametrize(("score", "memory_ns", "is_known"), [(0.375, 2 * HOUR, True), (0.375, HOUR, False)])
def test_ten_times_its_past_is_what_a_series_knows(score: float, memory_ns: float, is_known: bool) -> None:
    """A score of 0.375 is once in a thousand minutes: in 16.7 hours."""
    word = scored(BEGIN_NS, [series("a")], [score], memory_ns=[memory_ns])
    (strange,) = hear(word, {"all": AlertRule("all", MINUTE)}).strange
    assert strange.once_in_ns == (pytest.approx(1000 * MINUTE) if is_known else math.inf)


def test_of_many_operations_the_most_extreme_are_named_and_the_others_counted() -> None:
    many = [SLOW._replace(operation=operation(f"op {i}")) for i in range(NAMED + 7)]
    annotations = said(*many)
    assert "p95 of op 0 (and 11 more operations) is" in annotations["summary"]
    assert f"op {NAMED - 1}: " in annotations["description"]
    assert f"op {NAMED}" not in annotations["description"]
    assert "; and 7 more. Since" in annotations["description"]


def test_a_client_is_not_taken_for_the_server_of_the_same_name() -> None:
    client = SLOW._replace(operation=operation("GET /pay", kind=3))
    assert "GET /pay (client): " in said(SLOW, client)["description"]


def test_links_are_about_the_service_and_its_most_extreme_operation() -> None:
    links = {
        "jaeger": "http://jaeger.test/?service={service}&operation={operation}&start={from_us}&end={to_us}",
        "runbook": "http://wiki.test/{alertname}",
        "trace": "http://jaeger.test/trace/{trace_id}",
    }
    annotations = said(SLOW, ends_at_ns=BEGIN_NS + HOUR, **links)
    from_us, to_us = (BEGIN_NS - 15 * MINUTE) // 1000, (BEGIN_NS + HOUR) // 1000
    assert annotations["jaeger"].endswith(f"?service=shop&operation=GET%20%2Fpay&start={from_us}&end={to_us}")
    assert annotations["runbook"] == "http://wiki.test/Anomaly"
    assert "trace" not in annotations


def test_numbers_that_change_are_the_same_alert() -> None:
    alert = AnomalyAlert("shop", "p95", BEGIN_NS, None, (SLOW,))
    other = alert._replace(concerned=(SLOW._replace(value=9.0), SLOW))
    (one,), (two,) = (announce_anomalies([each], Links({}), BEGIN_NS) for each in (alert, other))
    assert one.id == two.id
    assert one.annotations != two.annotations
