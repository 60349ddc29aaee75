"""Which time of a recording counts, and what alerts make of it."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.recall import Figures
from detectors.spells import total_ns
from exporters.alerts import alert
from flows.backtest.labels import Fault
from flows.backtest.stretch import Stretch, Terms, stretch
from flows.backtest.verdict import ALL, Raised, Rule, verdict

PANE_NS, MINUTE_NS, HOUR_NS = 5 * 10**9, 60 * 10**9, 3_600 * 10**9
PANES_A_MINUTE, DAY = 12, 24 * 60


def minutes(*spells: tuple[int, int]) -> list[int]:
    """The panes of some minutes."""
    return [pane for begin, end in spells for pane in range(begin * PANES_A_MINUTE, end * PANES_A_MINUTE)]


def fault(at: int, until: int, service: str = "shop") -> Fault:
    return Fault(at * MINUTE_NS, until * MINUTE_NS, "outage", service)


def a_day(*faults: Fault, warm_up: int = 0, aftermath: int = 30, split: float = 0.5) -> Stretch:
    return stretch(minutes((0, DAY)), PANE_NS, faults, Terms(warm_up * MINUTE_NS, aftermath * MINUTE_NS, split))


def raised(
    at: int, until: int | None = None, service: str = "shop", severity: str = "critical", slo: str = "a"
) -> Raised:
    labels = {"alertname": "SLOBurnRate", "severity": severity, "slo": slo, "objective": "0.999", "service": service}
    ends_at_ns = None if until is None else until * MINUTE_NS
    return Raised.of_alert(alert(labels, starts_at_ns=at * MINUTE_NS, ends_at_ns=ends_at_ns))


def test_a_gap_is_longer_than_five_minutes() -> None:
    panes = [*minutes((0, 10)), *minutes((15, 20)), *(pane + 1 for pane in minutes((25, 30)))]
    found = stretch(panes, PANE_NS, (), Terms(0, 0, 1.0))
    assert found.gaps.tolist() == [[20 * MINUTE_NS, 25 * MINUTE_NS + PANE_NS]]
    assert found.recorded_ns() == 25 * MINUTE_NS


def test_ordinary_is_what_is_recorded_and_no_fault_nor_its_aftermath_nor_the_warm_up() -> None:
    panes = minutes((0, 100), (200, 300))
    found = stretch(panes, PANE_NS, (fault(50, 55), fault(210, 220)), Terms(20 * MINUTE_NS, 10 * MINUTE_NS, 1.0))
    assert (found.ordinary // MINUTE_NS).tolist() == [[20, 50], [65, 100], [200, 210], [230, 300]]


def test_a_fault_that_cannot_count_is_excluded_with_its_reason() -> None:
    panes = minutes((0, 100), (200, 300))
    faults = (fault(-20, -10), fault(10, 20), fault(30, 40), fault(120, 140), fault(199, 201), fault(300, 310))
    found = stretch(panes, PANE_NS, faults, Terms(30 * MINUTE_NS, 0, 1.0))
    assert found.excluded == (
        "outside of the recording",
        "before the end of the warm-up (30m)",
        "",
        "nothing was recorded then",
        "",
        "outside of the recording",
    )


def test_the_held_out_part_has_the_faults_that_begin_in_it() -> None:
    day = a_day(fault(100, 110), fault(700, 800), fault(720, 730), fault(900, 910))
    first, held_out = day.parts
    assert (first.name, held_out.name) == ("first 50 %", "held out")
    assert day.counted_in(first).tolist() == [True, True, False, False]
    assert day.counted_in(held_out).tolist() == [False, False, True, True]
    assert total_ns(day.ordinary_in(first)) + total_ns(day.ordinary_in(held_out)) == total_ns(day.ordinary)
    assert [part.name for part in a_day(split=1.0).parts] == ["the whole"]


CRITICAL, WARNING = (Rule("SLOBurnRate", severity, "a 0.999") for severity in ("critical", "warning"))


def test_figures_are_told_for_each_rule_and_part() -> None:
    day = a_day(fault(100, 110), fault(200, 210), fault(900, 910))
    alerts = [raised(103, 120), raised(215, 230, service="other"), raised(950, 960), raised(901, severity="warning")]
    found = verdict(day, alerts, 30 * MINUTE_NS).figures
    ordinary = [(12 * 60 - 2 * 40) * MINUTE_NS, (12 * 60 - 40) * MINUTE_NS]
    assert found == {
        CRITICAL: [
            Figures(2, 1, 2, (3 * MINUTE_NS, 15 * MINUTE_NS), 0, ordinary[0]),
            Figures(1, 0, 0, (), 1, ordinary[1]),
        ],
        WARNING: [Figures(2, 0, 0, (), 0, ordinary[0]), Figures(1, 1, 1, (MINUTE_NS,), 0, ordinary[1])],
    }


def test_rules_of_a_name_and_severity_are_also_told_together() -> None:
    day = a_day(fault(100, 110), fault(200, 210), split=1.0)
    found = verdict(day, [raised(101, 105), raised(201, 205, slo="b"), raised(600, 610, slo="b")], 0).figures
    assert list(found) == [CRITICAL, CRITICAL._replace(of="b 0.999"), CRITICAL._replace(of=ALL)]
    assert [each[0].seen for each in found.values()] == [1, 1, 2]
    assert [each[0].false for each in found.values()] == [0, 1, 1]


def test_alerts_half_an_hour_apart_are_two_false_episodes_and_nearer_ones_one() -> None:
    (figures,) = verdict(a_day(split=1.0), [raised(100, 110), raised(139, 150), raised(180, 181)], 0).figures[CRITICAL]
    assert figures.false == 2
    assert figures.false_a_day == 2.0


def test_an_alert_that_begins_in_a_gap_counts_nowhere() -> None:
    time = stretch(minutes((0, 100), (200, 300)), PANE_NS, (fault(99, 101),), Terms(0, 30 * MINUTE_NS, 1.0))
    found = verdict(time, [raised(110, 120), raised(250, 260)], 30 * MINUTE_NS)
    assert found.in_gaps == 1
    assert found.seen == [None]
    assert found.figures[CRITICAL][0].false == 1


def test_what_saw_a_fault_first_is_named_with_its_delay() -> None:
    alerts = [raised(104, 120), raised(102, 120, service="other", severity="warning")]
    first, second = verdict(a_day(fault(100, 110), fault(300, 310)), alerts, 0).seen
    assert first == (2 * MINUTE_NS, WARNING, "other")
    assert second is None


@pytest.mark.parametrize("until", [None, 2 * DAY])
def test_what_fires_on_is_one_episode_to_the_end(until: int | None) -> None:
    (figures,) = verdict(a_day(split=1.0), [raised(100, until), raised(1_000, 1_010)], 0).figures[CRITICAL]
    assert figures.false == 1


def test_a_recording_without_faults_has_only_false_alerts() -> None:
    found = verdict(a_day(split=1.0), [raised(100, 110)], 0)
    assert found.seen == []
    assert found.figures[CRITICAL] == [Figures(0, 0, 0, (), 1, 24 * HOUR_NS)]
    assert np.isnan(Figures(0, 0, 0, (), 0, 0).false_a_day)
