"""What leaves of an alert: labels that are its identity, sentences that a person reads."""

from __future__ import annotations

from dataclasses import replace

from exporters.links import Links
from flows.slo.announce import announce
from flows.slo.judge import SloAlert
from flows.slo.promise import GroupBy, Policy
from tests.flows.slo.feed import BEGIN_NS, MINUTE, promised

PROMISE = promised(objective_name="99.9", labels=(("team", "store"),), title="Shop answers", runbook="https://r.test/1")
SAYS = {
    "tier": "1h",
    "factor": "14.4",
    "threshold": "0.0144",
    "long_ratio": "0.0312",
    "short_ratio": "0.5",
    "long_ns": str(60 * MINUTE),
    "short_ns": str(5 * MINUTE),
    "trace": "0af7651916cd43dd8448eb211c80319c",
}
BURNS = SloAlert("SLOBurnRate", PROMISE, "", "critical", 0, BEGIN_NS, None, SAYS)
ABSENT = SloAlert("SLOAbsent", PROMISE, "", "critical", 0, BEGIN_NS, None, {"silent_s": "60"})
SPENT = SloAlert("SLOBudgetSpent", PROMISE, "", "warning", 90, BEGIN_NS, None, {"remaining": "0.0723"})


def said(alert: SloAlert, **templates: str):
    (found,) = announce([alert], Links(templates), BEGIN_NS + MINUTE)
    return found


def test_a_burn_rate_is_identified_by_slo_objective_service_and_severity() -> None:
    assert dict(said(BURNS).labels) == {
        "alertname": "SLOBurnRate",
        "severity": "critical",
        "service": "shop",
        "slo": "availability",
        "objective": "99.9",
        "team": "store",
    }


def test_absence_has_no_objective() -> None:
    assert dict(said(ABSENT).labels) == {
        "alertname": "SLOAbsent",
        "severity": "critical",
        "service": "shop",
        "slo": "availability",
        "team": "store",
    }


def test_a_spent_budget_says_how_much_in_a_label() -> None:
    assert dict(said(SPENT).labels) == {
        "alertname": "SLOBudgetSpent",
        "severity": "warning",
        "service": "shop",
        "slo": "availability",
        "objective": "99.9",
        "spent": "90",
        "team": "store",
    }


def test_a_promise_for_each_service_has_the_service_of_its_group() -> None:
    grouped = replace(PROMISE, group_by=GroupBy("service_name"))
    labels = dict(said(BURNS._replace(promise=grouped, group="basket")).labels)
    assert (labels["service"], labels["group"]) == ("basket", "basket")
    by_tenant = replace(PROMISE, group_by=GroupBy("tenant"))
    labels = dict(said(BURNS._replace(promise=by_tenant, group="acme")).labels)
    assert (labels["service"], labels["group"]) == ("shop", "acme")


def test_other_numbers_are_the_same_alert() -> None:
    other = BURNS._replace(says={**SAYS, "tier": "outage", "long_ratio": "0.9"})
    assert said(other).id == said(BURNS).id


def test_an_own_label_does_not_change_what_alert_it_is() -> None:
    disguised = replace(PROMISE, labels=(("alertname", "Other"), ("severity", "info")))
    labels = dict(said(BURNS._replace(promise=disguised)).labels)
    assert (labels["alertname"], labels["severity"]) == ("SLOBurnRate", "critical")


def test_a_burn_rate_reads_as_sentences() -> None:
    annotations = dict(said(BURNS).annotations)
    assert annotations["summary"] == "Shop answers: 3.12 % of events are bad"
    assert annotations["description"] == (
        "3.12 % of the last 1h and 50 % of the last 5m were bad; the tier 1h fires above 1.44 %, a burn rate of 14.4. "
        "Promised is 99.9 of shop over 30d."
    )
    assert annotations["runbook_url"] == "https://r.test/1"
    assert annotations["tier"] == "1h"


def test_silence_and_a_spent_budget_read_as_sentences() -> None:
    assert dict(said(ABSENT).annotations)["description"].startswith("Nothing was seen for 1m of what 99.9 of shop")
    assert dict(said(SPENT).annotations)["summary"] == "Shop answers: 90 % of the error budget is spent"
    assert dict(said(SPENT).annotations)["description"] == "7.23 % of the budget of 99.9 of shop over 30d is left."


def test_links_are_made_of_what_is_known_and_left_out_otherwise() -> None:
    template = "http://jaeger.test/trace/{trace_id}"
    assert dict(said(BURNS, trace=template).annotations)["trace"].endswith("/0af7651916cd43dd8448eb211c80319c")
    assert "trace" not in dict(said(ABSENT, trace=template).annotations)


def test_shadow_pages_nobody() -> None:
    shadow = replace(PROMISE, mode="shadow")
    assert announce([each._replace(promise=shadow) for each in (BURNS, ABSENT, SPENT)], Links({}), BEGIN_NS) == []


def test_a_breach_is_announced_unless_told_not_to() -> None:
    quiet = replace(PROMISE, policy=Policy(alert_when_breaching=False))
    kept = announce([each._replace(promise=quiet) for each in (BURNS, ABSENT)], Links({}), BEGIN_NS)
    assert [dict(each.labels)["alertname"] for each in kept] == ["SLOAbsent"]


def test_an_end_is_announced_unless_told_not_to() -> None:
    ended = BURNS._replace(ends_at_ns=BEGIN_NS + MINUTE)
    assert said(ended).status == "resolved"
    quiet = replace(PROMISE, policy=Policy(alert_when_resolved=False))
    assert announce([ended._replace(promise=quiet)], Links({}), BEGIN_NS) == []
    assert len(announce([BURNS._replace(promise=quiet)], Links({}), BEGIN_NS)) == 1
