"""An SLO that matches nothing is said, once, and no other is."""

from __future__ import annotations

from dataclasses import replace

from exporters.status import SloStatus, WindowStatus
from flows.run.unmatched import AFTER_SECONDS, Unmatched
from flows.slo.promise import GroupBy, Indicator, Promise, Rolling
from flows.slo.selector import Selector

ANY = Indicator("ratio", Selector("spans", ()), bad=Selector("spans", ()))
SEEN = Promise("seen", "shop", "0.999", 0.999, ANY, Rolling(30 * 86_400 * 10**9, "30d"))
NEVER = replace(SEEN, name="never")
GROUPED = replace(SEEN, name="grouped", group_by=GroupBy("service_name"))


def stands(promise: Promise, *events: int) -> SloStatus:
    windows = {f"{i}m": WindowStatus(events=n) for i, n in enumerate(events)}
    return SloStatus(
        slo=promise.name,
        service=promise.service,
        objective=promise.objective_name,
        target=promise.objective,
        at=0.0,
        armed=False,
        unknown=not events[0],
        windows=windows,
    )


def test_what_has_no_event_in_any_window_is_said_once_when_there_was_time_for_one() -> None:
    unmatched = Unmatched([SEEN, NEVER, GROUPED])
    slos = [stands(SEEN, 0, 3), stands(NEVER, 0, 0)]
    assert unmatched.due(100.0, lambda: slos) == []
    assert unmatched.due(99.0 + AFTER_SECONDS, lambda: slos) == []
    assert unmatched.due(100.0 + AFTER_SECONDS, lambda: slos) == [NEVER, GROUPED]
    assert unmatched.due(200.0 + AFTER_SECONDS, lambda: slos) == []


def test_each_objective_counts_for_itself_and_one_group_is_enough() -> None:
    other = replace(SEEN, objective_name="0.99")
    unmatched = Unmatched([SEEN, other, GROUPED])
    unmatched.due(0.0, list)
    assert unmatched.due(AFTER_SECONDS, lambda: [stands(SEEN, 1), stands(GROUPED, 0), stands(GROUPED, 2)]) == [other]
