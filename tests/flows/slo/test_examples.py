"""The shapes of every example of the specification's own SDK, written anew: each kind parses as it should."""

from __future__ import annotations

import pytest

from flows.slo import parse
from flows.slo.place import SloErrors
from flows.slo.promise import Calendar, Timeslices

LABELS = "{env: [prod], team: [search, platform]}"

WEEKLY = f"""
- apiVersion: openslo/v1
  kind: SLO
  metadata: {{name: shop-answers, displayName: The shop answers, labels: {LABELS}}}
  spec:
    description: Requests that succeed
    service: shop
    indicator:
      metadata: {{name: shop-success}}
      spec:
        ratioMetric:
          counter: true
          good: {{metricSource: {{type: SOURCE, spec: {{GOOD}}}}}}
          total: {{metricSource: {{type: SOURCE, spec: {{TOTAL}}}}}}
    timeWindow:
      - duration: 1w
        isRolling: false
        calendar: {{startTime: 2025-06-01 06:00:00, timeZone: America/New_York}}
    budgetingMethod: Timeslices
    objectives: [{{displayName: Fine, target: 0.995, timeSliceTarget: 0.95, timeSliceWindow: 1m}}]
"""


def weekly(source: str, good: str, total: str) -> str:
    return WEEKLY.replace("SOURCE", source).replace("GOOD", good).replace("TOTAL", total)


def test_an_slo_in_a_list_with_a_calendar_and_time_slices_is_a_promise() -> None:
    text = weekly("streamgauge", "status_code: {not: error}", "service_name: shop")
    (promise,) = parse(text).promises
    assert (promise.name, promise.service, promise.title) == ("shop-answers", "shop", "The shop answers")
    assert promise.labels == (("env", "prod"), ("team", "search,platform"))
    assert (promise.objective, promise.objective_name) == (0.995, "Fine")
    assert isinstance(promise.period, Calendar)
    assert (promise.period.count, promise.period.unit, promise.period.time_zone) == (1, "w", "America/New_York")
    assert promise.period.start == "2025-06-01T06:00:00"
    assert promise.budgeting == Timeslices(60 * 10**9, 0.95)
    assert promise.source == "slos.yaml:20"


def test_an_slo_over_another_systems_query_is_refused_with_what_to_write() -> None:
    text = weekly("Prometheus", "query: 'sum(x{code=~\"2..\"})'", "query: sum(x)")
    with pytest.raises(SloErrors) as caught:
        parse(text)
    assert str(caught.value).startswith(
        "slos.yaml:14: spec.indicator.spec.ratioMetric.total.metricSource.type is 'Prometheus'; promises are evaluated "
        "on the stream, not by a query. Write type: streamgauge"
    )


SHAPES = {
    "SLI": """
    description: Requests that succeed
    ratioMetric:
      counter: true
      good: {metricSource: {metricSourceRef: theirs, type: Datadog, spec: {query: "sum:hits{status:200}"}}}
      total: {metricSource: {metricSourceRef: theirs, type: Datadog, spec: {query: "sum:hits{*}"}}}""",
    "Service": """
    description: A service""",
    "DataSource": """
    description: Theirs
    type: Prometheus
    connectionDetails: [{url: "http://prometheus.example.com"}]""",
    "AlertPolicy": """
    description: Tells somebody
    alertWhenBreaching: true
    conditions: [{conditionRef: elsewhere}]
    notificationTargets: [{targetRef: somebody}]""",
    "AlertCondition": """
    description: Burns too fast
    severity: page
    condition: {kind: burnrate, op: lte, threshold: 2, lookbackWindow: 1h, alertAfter: 5m}""",
    "AlertNotificationTarget": """
    description: Whoever is on call
    target: pagerduty""",
}


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("listed", [True, False])
def test_any_other_kind_by_itself_is_read_and_promises_nothing(kind: str, listed: bool) -> None:
    lines = [
        "apiVersion: openslo/v1",
        f"kind: {kind}",
        f"metadata: {{name: example, displayName: An example, labels: {LABELS}}}",
        "spec:" + SHAPES[kind].replace("\n    ", "\n  "),
    ]
    text = "\n".join(lines)
    if listed:
        text = "- " + text.replace("\n", "\n  ")
    found = parse(text)
    assert found.promises == ()
    assert found.warnings  # its labels, at least


def test_a_condition_that_alerts_below_a_burn_rate_is_refused_where_an_slo_uses_it() -> None:
    text = weekly("streamgauge", "status_code: {not: error}", "service_name: shop")
    text += "    alertPolicies: [{alertPolicyRef: example}]\n"
    for kind in ("AlertPolicy", "AlertCondition"):
        body = SHAPES[kind].replace("elsewhere", "example")
        text += f"- apiVersion: openslo/v1\n  kind: {kind}\n  metadata: {{name: example}}\n  spec:{body}\n"
    with pytest.raises(SloErrors) as caught:
        parse(text)
    expected = "spec.condition.op is lte; the budget burns too fast above a rate, not below one. Write op: gt."
    assert expected in str(caught.value)
