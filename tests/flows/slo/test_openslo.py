"""OpenSLO files become promises; what cannot be evaluated is refused with its file, its line and what to write."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from flows.decode.batch import KINDS, STATUSES
from flows.errors import InputError
from flows.series import SeriesLabels
from flows.slo import Promise, Promises, Verdict, load, parse
from flows.slo.place import SloErrors
from flows.slo.promise import GroupBy, Rolling, UserTier

SECOND = 10**9
MINUTE, HOUR, DAY = 60 * SECOND, 3_600 * SECOND, 86_400 * SECOND

NOT_FAILED = "{metricSource: {type: streamgauge, spec: {status_code: {not: error}}}}"
FAILED = "{metricSource: {type: streamgauge, spec: {status_code: error}}}"
WEB = "{metricSource: {type: streamgauge, spec: {service_name: web}}}"
RATIO = f"ratioMetric: {{good: {NOT_FAILED}, total: {WEB}}}"


def text(
    sli: str = RATIO,
    objectives: str = "[{target: 0.999}]",
    *,
    window: str = "[{duration: 30d, isRolling: true}]",
    method: str = "Occurrences",
    annotations: str = "{}",
    labels: str = "{}",
    more: str = "",
    name: str = "web",
) -> str:
    """An SLO; its annotations are on line 3, its indicator on 6, its window on 8, its objectives on 9, more from 10."""
    return f"""apiVersion: openslo/v1
kind: SLO
metadata: {{name: {name}, labels: {labels}, annotations: {annotations}}}
spec:
  service: shop
  indicator: {{spec: {{{sli}}}}}
  budgetingMethod: {method}
  timeWindow: {window}
  objectives: {objectives}
  {more}
"""


def promise(*args: str, **settings: str) -> Promise:
    (made,) = parse(text(*args, **settings), environment={}).promises
    return made


def annotated(annotations: str, **settings: str) -> Promise:
    return promise(annotations=f"{{streamgauge.dev/{annotations}}}", **settings)


def refusal(written: str) -> str:
    with pytest.raises(SloErrors) as caught:
        parse(written, environment={})
    assert caught.value.exit_code == 78
    return str(caught.value)


def verdict(made: Promise, *, kind: str = "SERVER", status: str = "UNSET", service: str = "web") -> Verdict:
    codes = KINDS.index(f"SPAN_KIND_{kind}"), STATUSES.index(f"STATUS_CODE_{status}")
    return made.verdict(SeriesLabels(service, "GET /a", *codes, ()), ())


def test_good_of_total_judges_the_series_of_the_total_only() -> None:
    made = promise()
    assert verdict(made) == Verdict.GOOD
    assert verdict(made, status="ERROR") == Verdict.BAD
    assert verdict(made, service="cart") == Verdict.OUT
    assert verdict(made, kind="CLIENT") == Verdict.OUT


def test_bad_of_total_is_the_same_the_other_way_around() -> None:
    made = promise(f"ratioMetric: {{bad: {FAILED}, total: {WEB}}}")
    for status in ("UNSET", "OK", "ERROR"):
        assert verdict(made, status=status) == verdict(promise(), status=status)


def test_good_need_not_repeat_the_kinds_of_a_total_that_names_other_ones() -> None:
    clients = WEB.replace("web", "web, span_kind: client")
    made = promise(f"ratioMetric: {{good: {NOT_FAILED}, total: {clients}}}")
    assert verdict(made, kind="CLIENT") == Verdict.GOOD
    assert verdict(made, kind="SERVER") == Verdict.OUT


def test_a_threshold_metric_has_its_limit_from_the_objective_in_seconds_and_no_failed_spans() -> None:
    made = promise(f"thresholdMetric: {WEB}", "[{op: lte, value: 0.5, target: 0.95}]")
    assert made.indicator.kind == "latency"
    assert made.indicator.threshold_ns == made.indicator.at_most_ns == SECOND // 2
    assert verdict(made) == Verdict.GOOD_AT_MOST
    assert verdict(made, status="ERROR") == Verdict.OUT


def test_a_threshold_metric_counts_failed_spans_where_it_is_told_to() -> None:
    made = promise(
        f"thresholdMetric: {WEB.replace('web', 'web, include_failed: true')}", "[{op: lt, value: 0.5, target: 0.95}]"
    )
    assert verdict(made, status="ERROR") == Verdict.GOOD_AT_MOST


@pytest.mark.parametrize(
    ("op", "at_most", "expected"),
    [
        ("lt", SECOND - 1, Verdict.GOOD_AT_MOST),
        ("lte", SECOND, Verdict.GOOD_AT_MOST),
        ("gt", SECOND, Verdict.BAD_AT_MOST),
        ("gte", SECOND - 1, Verdict.BAD_AT_MOST),
    ],
)
def test_every_comparison_becomes_one_longest_duration(op: str, at_most: int, expected: Verdict) -> None:
    made = promise(f"thresholdMetric: {WEB}", f"[{{op: {op}, value: 1, target: 0.95}}]")
    assert made.indicator.at_most_ns == at_most
    assert verdict(made) == expected


def test_a_good_selector_with_a_duration_promises_success_and_speed_together() -> None:
    quick = NOT_FAILED.replace("{not: error}", "{not: error}, duration: {lt: 300ms}")
    made = promise(f"ratioMetric: {{good: {quick}, total: {WEB}}}")
    assert verdict(made) == Verdict.GOOD_AT_MOST
    assert verdict(made, status="ERROR") == Verdict.BAD
    assert made.indicator.at_most_ns == 300_000_000 - 1


def test_a_bad_selector_with_a_duration_is_bad_where_both_hold() -> None:
    slow = FAILED.replace("status_code: error", "duration: {gt: 2s}")
    made = promise(f"ratioMetric: {{bad: {slow}, total: {WEB}}}")
    assert verdict(made) == Verdict.GOOD_AT_MOST
    assert made.indicator.at_most_ns == 2 * SECOND


def test_each_objective_is_a_promise_named_as_it_is_written() -> None:
    made = parse(
        text(objectives="[{target: 0.999}, {targetPercent: 99.5}, {displayName: soft, target: 0.99}]")
    ).promises
    assert [(each.objective, each.objective_name) for each in made] == [
        (0.999, "0.999"),
        (0.995, "99.5%"),
        (0.99, "soft"),
    ]
    assert [each.error_budget for each in made] == [0.001, 0.005, 0.01]
    assert len({each.state_key for each in made}) == 1


def test_the_state_belongs_to_what_is_counted_and_not_to_what_is_promised() -> None:
    key = promise().state_key
    assert promise(objectives="[{target: 0.9}]", name="other", window="[{duration: 7d}]").state_key == key
    assert annotated('critical: "true"').state_key == key
    others = [
        promise(RATIO.replace("web", "cart")),
        annotated("exclude: '{span_name: x}'"),
        annotated("group-by: service_name"),
        promise(f"thresholdMetric: {WEB}", "[{op: lte, value: 1, target: 0.9}]"),
        promise(f"thresholdMetric: {WEB}", "[{op: lte, value: 2, target: 0.9}]"),
        promise(objectives="[{target: 0.9, timeSliceTarget: 0.9, timeSliceWindow: 1m}]", method="Timeslices"),
    ]
    assert len({key, *(each.state_key for each in others)}) == 1 + len(others)
    assert annotated("group-by: 'service_name, 7'").state_key == others[2].state_key


def test_a_promise_is_made_of_plain_values_that_travel_between_processes() -> None:
    made = annotated("exclude: '{span_name: {regex: x.*}}'")
    again = pickle.loads(pickle.dumps(made))
    assert again == made
    assert again.state_key == made.state_key
    assert verdict(again) == Verdict.GOOD


def test_annotations_say_what_the_schema_cannot() -> None:
    written = """{
      streamgauge.dev/critical: "true", streamgauge.dev/guard: "false", streamgauge.dev/min-events: "3",
      streamgauge.dev/keep-firing-for: "page=5m, ticket=2h", streamgauge.dev/runbook: "https://example.com/r",
      streamgauge.dev/group-by: "service_name, 7", streamgauge.dev/mode: shadow,
      streamgauge.dev/exclude: "{span_name: [GET /a]}", other.example/x: anything }"""
    made = promise(annotations=written)
    policy = made.policy
    assert (policy.critical, policy.guard, policy.min_events, policy.alerts_on_absence) == (True, False, 3, True)
    assert (policy.keep_firing_for_ns("critical"), policy.keep_firing_for_ns("warning")) == (5 * MINUTE, 2 * HOUR)
    assert (made.runbook, made.mode, made.group_by) == ("https://example.com/r", "shadow", GroupBy("service_name", 7))
    assert verdict(made) == Verdict.OUT
    tiers, _ = made.alert_tiers()
    assert [each.keep_firing_for_ns for each in tiers] == [5 * MINUTE] * 3 + [2 * HOUR] * 2


def test_absence_alerts_for_what_is_critical_unless_it_is_said() -> None:
    assert not promise().policy.alerts_on_absence
    assert annotated('absence: "true"').policy.alerts_on_absence
    both = '{streamgauge.dev/critical: "true", streamgauge.dev/absence: "false"}'
    assert not promise(annotations=both).policy.alerts_on_absence


def test_tiers_can_be_written_by_factor_or_by_share_of_the_budget() -> None:
    made = annotated('tiers: "page 14.4 1h/5m; page 5% 6h/30m; ticket 3 1d/2h for 10m keep 2h"')
    assert made.tiers == (
        UserTier("page-1h", "critical", HOUR, 5 * MINUTE, 14.4, 0.0144, 0, 10 * MINUTE),
        UserTier("page-6h", "critical", 6 * HOUR, 30 * MINUTE, 6.0, 0.006, 0, 10 * MINUTE),
        UserTier("ticket-1d", "warning", DAY, 2 * HOUR, 3.0, 0.003, 10 * MINUTE, 2 * HOUR),
    )
    assert made.alert_tiers() == (made.tiers, ())


def test_default_tiers_that_cannot_fire_or_do_not_fit_are_left_out_with_a_note() -> None:
    tiers, notes = promise(objectives="[{target: 0.95}]").alert_tiers()
    assert [each.name for each in tiers] == ["1h", "6h", "1d", "3d"]
    assert len(notes) == 1
    assert "tier outage" in notes[0]


def test_a_tier_whose_short_window_has_fewer_than_five_slices_is_left_out() -> None:
    slices = "[{target: 0.999, timeSliceTarget: 0.9, timeSliceWindow: 2m}]"
    tiers, notes = promise(objectives=slices, method="Timeslices").alert_tiers()
    assert [each.name for each in tiers] == ["6h", "1d", "3d"]
    assert [note.split()[1] for note in notes] == ["outage", "1h"]


def test_a_short_calendar_period_keeps_the_defaults_that_fit_it() -> None:
    day = "[{duration: 1d, isRolling: false, calendar: {startTime: '2026-01-01 00:00:00', timeZone: Europe/Berlin}}]"
    tiers, notes = promise(window=day).alert_tiers()
    assert [(each.name, each.factor) for each in tiers] == [("outage", 43.2), ("1h", 14.4), ("6h", 6.0), ("1d", 3.0)]
    assert len(notes) == 1


POLICIES = """alertPolicies:
    - kind: AlertPolicy
      metadata: {name: fast}
      spec:
        alertWhenNoData: true
        alertWhenResolved: false
        conditions: [{conditionRef: quick}]
    - alertPolicyRef: slow
---
- apiVersion: openslo/v1
  kind: AlertCondition
  metadata: {name: quick, annotations: {streamgauge.dev/short-window: 10m, streamgauge.dev/keep-firing-for: 20m}}
  spec: {severity: page, condition: {kind: burnrate, op: gt, threshold: 10, lookbackWindow: 1h, alertAfter: 2m}}
- apiVersion: openslo/v1
  kind: AlertPolicy
  metadata: {name: slow}
  spec:
    conditions:
      - kind: AlertCondition
        metadata: {name: slow}
        spec: {severity: warning, condition: {kind: burnrate, op: gte, threshold: 2, lookbackWindow: 1d}}
"""


def test_alert_policies_within_and_by_name_bring_one_tier_each() -> None:
    found = parse(text(more=POLICIES))
    (made,) = found.promises
    assert made.tiers == (
        UserTier("quick", "critical", HOUR, 10 * MINUTE, 10.0, 0.01, 2 * MINUTE, 20 * MINUTE),
        UserTier("slow", "warning", DAY, 2 * HOUR, 2.0, 0.002, 0, HOUR),
    )
    assert made.policy.alert_when_no_data
    assert made.policy.alerts_on_absence
    assert made.policy.alert_when_resolved  # the other policy says nothing against it
    (warning,) = found.warnings
    assert warning.startswith("slos.yaml:30: spec.conditions[0].spec.condition.op is gte and is read as gt: ")


def test_a_policy_that_does_not_alert_when_breaching_brings_no_tier() -> None:
    written = POLICIES.replace("alertWhenNoData: true", "alertWhenBreaching: false")
    found = parse(text(more=written))
    assert [each.name for each in found.promises[0].tiers or ()] == ["slow"]
    assert any("alertWhenBreaching is false" in each for each in found.warnings)


def test_references_are_resolved_over_several_files_and_documents(tmp_path: Path) -> None:
    slo = text().replace(f"indicator: {{spec: {{{RATIO}}}}}", "indicatorRef: ratio")
    (tmp_path / "b.yaml").write_text(slo + "---\n" + slo.replace("name: web", "name: other"))
    source = "{metricSourceRef: stream, spec: {service_name: web}}"
    sli = f"thresholdMetric: {{metricSource: {source}}}"
    (tmp_path / "a.yaml").write_text(
        "# nothing in the first document\n---\n"
        f"apiVersion: openslo/v1\nkind: SLI\nmetadata: {{name: ratio}}\nspec: {{{sli}}}\n---\n"
        "apiVersion: openslo/v1\nkind: DataSource\nmetadata: {name: stream}\nspec: {type: streamgauge}\n"
    )
    for path in tmp_path.iterdir():
        path.write_text(path.read_text().replace("{target: 0.999}", "{target: 0.999, op: lte, value: 1}"))
    found = load([tmp_path / "*.yaml", tmp_path / "b.yaml"], environment={})
    assert [each.name for each in found.promises] == ["web", "other"]
    assert [Path(each).name for each in found.files] == ["a.yaml", "b.yaml"]
    assert found.promises[1].source == f"{tmp_path / 'b.yaml'}:20"
    assert found.warnings == ()


def test_all_that_is_wrong_in_all_files_is_said_at_once_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text(objectives="[{target: 99.9}, {target: 2}]") + "---\nkind: SLO\n")
    (tmp_path / "b.yaml").write_text(text(name="WEB") + "---\n: : :\n")
    with pytest.raises(SloErrors) as caught:
        load([tmp_path / "*.yaml"], environment={})
    lines = [line.removeprefix(f"{tmp_path}/") for line in str(caught.value).splitlines()]
    assert [line.split(" ")[0] for line in lines] == ["a.yaml:9:", "a.yaml:9:", "a.yaml:12:", "b.yaml:3:", "b.yaml:12:"]


def test_a_broken_reference_does_not_hide_a_broken_target() -> None:
    found = refusal(text(RATIO.replace("type: streamgauge", "metricSourceRef: nowhere"), "[{target: 99.9}]"))
    assert [line.split()[1] for line in found.splitlines()] == [
        "spec.indicator.spec.ratioMetric.total.metricSource.metricSourceRef",
        "spec.objectives[0].target",
    ]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (
            text(objectives="[{target: 99.9}]"),
            "slos.yaml:9: spec.objectives[0].target is 99.9; an objective is a ratio between 0 and 1. Write 0.999.",
        ),
        (text(objectives="[{target: 1}]"), "target is 1; an objective is a ratio between 0 and 1"),
        (text(objectives="[{targetPercent: 0.999}]"), "it is in percent. Write target: 0.999."),
        (text(objectives="[{}]"), "target is missing; an objective has one of target and targetPercent"),
        (text(objectives="[{target: 0.9, targetPercent: 90}]"), "target is given, and targetPercent too"),
        (text(objectives="[]"), "spec.objectives is missing; an SLO promises something"),
        (text(objectives="[{target: 0.9}, {target: 0.9}]"), "spec.objectives[1] is a second '0.9'"),
        (
            text(objectives="[{target: 0.9, taget: 1}]"),
            "taget is no setting in spec.objectives[0]. Did you mean target?",
        ),
        (
            text(objectives="[{target: 0.9, op: lt}]"),
            "spec.objectives[0].op is given; the objective of a ratio has only",
        ),
        (text(method="RatioTimeslices"), "spec.budgetingMethod is RatioTimeslices; an average of the slices' ratios"),
        (text(method="Occurences"), "it must be 'Occurrences', 'Timeslices' or 'RatioTimeslices'"),
        (text(method="Timeslices"), "timeSliceTarget is missing; Timeslices needs it"),
        (
            text(objectives="[{target: 0.9, timeSliceTarget: 95, timeSliceWindow: 1m}]", method="Timeslices"),
            "timeSliceTarget is 95; it is a ratio, at most 1. Write 0.95.",
        ),
        (text(f"thresholdMetric: {WEB}"), "op is missing; the objective of a threshold metric has its limit"),
        (
            text(f"thresholdMetric: {WEB}", "[{target: 0.9, op: lte, value: -1}]"),
            "value is -1; it is a duration in seconds",
        ),
        (text(f"thresholdMetric: {WEB}, {RATIO}"), "both ratioMetric and thresholdMetric"),
        (text("description: nothing"), "spec.indicator.spec is without a metric"),
        (text(f"ratioMetric: {{good: {NOT_FAILED}}}"), "ratioMetric.total is missing; a ratio is of something"),
        (text(f"ratioMetric: {{total: {WEB}}}"), "ratioMetric.good is missing; a ratio has one of good and bad"),
        (text(f"ratioMetric: {{total: {WEB}, good: {WEB}, bad: {WEB}}}"), "good is given twice, also as bad"),
        (text(RATIO.replace("service_name", "region")), "spec.region is no label of a series"),
        (
            text(RATIO.replace("service_name: web", "include_failed: true")),
            "include_failed is given; here it would mean",
        ),
        (
            text(RATIO.replace("service_name: web", "duration: {lt: 1s}")),
            "duration is given; here it would mean nothing",
        ),
        (text(RATIO.replace("{not: error}", "error, duration: {lt: 1}")), "duration.lt is '1'; a duration is numbers"),
        (text(RATIO.replace("{not: error}", "error, duration: {eq: 1s}")), "duration.eq is no comparison"),
        (text(RATIO.replace("type: streamgauge, ", "", 1)), "metricSource.type is missing; promises are evaluated"),
        (
            text(RATIO.replace("type: streamgauge", "metricSourceRef: nowhere", 1)),
            "metricSourceRef is 'nowhere'; no DataSource of these files is called so",
        ),
        (text(more="indicatorRef: x"), "spec.indicator is given twice, also as indicatorRef"),
        (text(window="[{duration: 30s}]"), "duration is '30s'; a duration of OpenSLO is one whole number and one of m"),
        (text(window="[{duration: 14d}]"), "is over 14d; only 7d, 28d, 30d and 90d have default tiers"),
        (text(window="[{duration: 7d}, {duration: 30d}]"), "spec.timeWindow is a list of 2; an SLO has one period"),
        (
            text(window="[{duration: 7d, isRolling: false}]"),
            "calendar is missing; a window is rolling or has a calendar",
        ),
        (
            text(window="[{duration: 1M, calendar: {startTime: today, timeZone: UTC}}]"),
            "startTime is 'today'; it is a local time, without a zone",
        ),
        (
            text(window="[{duration: 1M, calendar: {startTime: '2026-01-01', timeZone: Mars/Olympus}}]"),
            "timeZone is 'Mars/Olympus'",
        ),
        (
            text(window="[{duration: 6h, calendar: {startTime: '2026-01-01', timeZone: UTC}}]"),
            "duration is '6h'; a calendar has days and longer",
        ),
        (text(labels="{severity: high}"), "slos.yaml:3: metadata.labels.severity is the label 'severity'; alerts have"),
        (text(labels="{a-b: x, a.b: y}"), "metadata.labels.a.b is the label 'a_b'"),
        (text(labels="{tier: 1}"), "metadata.labels.tier"),
        (text(name="Web_1"), "metadata.name is 'Web_1'; a name is at most 63 lower-case letters, digits and -"),
        (text() + "---\n" + text(), "slos.yaml:14: metadata.name is 'web'; another SLO has that name, at slos.yaml:3."),
        (
            text().replace("openslo/v1", "openslo/v1alpha"),
            "apiVersion is 'openslo/v1alpha'; streamgauge reads the first",
        ),
        (text().replace("kind: SLO", "kind: SLA"), "kind is 'SLA'; the kinds are SLO, SLI, Service"),
        ("just text", "slos.yaml:1: not an object of OpenSLO; one has apiVersion, kind, metadata and spec"),
        ("a: {b", "slos.yaml:"),
        ("x: ${NOWHERE}", "slos.yaml:1: x is ${NOWHERE}; the environment has no variable NOWHERE"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_with_what_to_write_instead(written: str, expected: str) -> None:
    assert expected in refusal(written)


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        ("gaurd: 'true'", "streamgauge.dev/gaurd is no annotation of streamgauge's here. Did you mean"),
        ("short-window: 5m", "Here may be tiers, keep-firing-for"),
        ("guard: 'yes'", 'it is true or false. Write "true" or "false".'),
        ("guard: true", "it must be text: quote it"),
        ("min-events: '-1'", "it is a whole number"),
        ("keep-firing-for: '5'", "streamgauge.dev/keep-firing-for is '5'; a duration is numbers with units"),
        ("keep-firing-for: 'urgent=5m'", "is for 'urgent'; there are page, critical, ticket, warning"),
        ("group-by: region", "streamgauge.dev/group-by is no label of a series"),
        ("group-by: status_code", "each status would be a promise of its own"),
        ("group-by: 'service_name, many'", "the cap is a number from 1 to 9999"),
        ("mode: quiet", "is 'quiet'; it is active or shadow"),
        ("exclude: 'GET /a'", "it is a selector. Write '{span_name: [GET /health]}'."),
        ("exclude: '{span_name: ['", "it is a selector in YAML"),
        ("exclude: '{nowhere: x}'", "metadata.annotations.streamgauge.dev/exclude.nowhere is no label of a series"),
        ("tiers: ''", "streamgauge.dev/tiers is empty; it lists tiers"),
        ("tiers: 'page fast 1h/5m'", "a tier is severity, factor (or share of the budget) and two windows"),
        ("tiers: 'info 2 1h/5m'", "for 'info'; there are page, critical, ticket, warning"),
        ("tiers: 'page 1.2.3 1h/5m'", "a factor is a number"),
        ("tiers: 'page 2 1h/5m; page 3 1h/6m'", "is a second tier page-1h"),
        ("tiers: 'page 1000 1h/5m'", "is unusable: tier page-1h fires above a burn rate of 1000, and at"),
        ("tiers: 'page 0.1 31d/1d'", "longer than the period"),
        ("tiers: 'page 2 5m/1h'", "the short one must be the shorter"),
        ("tiers: 'page 2 1h/7s'", "with a short window of 7s; windows are multiples of 5s"),
    ],
)  # fmt: skip
def test_an_annotation_that_means_nothing_is_refused(annotation: str, expected: str) -> None:
    assert expected in refusal(text(annotations=f"{{streamgauge.dev/{annotation}}}"))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("severity: page", "severity: sev1"), "severity is 'sev1'; there are page, critical, ticket, warning"),
        (("op: gt,", "op: lt,"), "condition.op is lt; the budget burns too fast above a rate, not below one."),
        (("threshold: 10", "threshold: 1000"), "is unusable: tier quick fires above a burn rate of 1000"),
        (("conditionRef: quick", "conditionRef: quik"), "no AlertCondition of these files is called so. Did you mean"),
        (("[{conditionRef: quick}]", "[]"), "conditions is missing; an alert policy of openslo/v1 has one condition"),
        (("[{conditionRef: quick}]", "[{conditionRef: quick}, {conditionRef: quick}]"), "conditions is a list of 2"),
        (("conditionRef: quick", "kind: AlertCondition"), "it is either conditionRef or kind, metadata and spec"),
        (("alertPolicyRef: slow", "alertPolicyRef: slower"), "no AlertPolicy of these files is called so. Did you"),
        (("short-window", "long-window"), "is no annotation of streamgauge's here"),
        (("kind: burnrate", "kind: anomaly"), "it must be 'burnrate'"),
        (("{name: fast}", "{name: fast, annotations: {streamgauge.dev/guard: 'x'}}"), "Write it on the SLO or the"),
    ],
)  # fmt: skip
def test_a_policy_that_could_not_alert_is_refused(change: tuple[str, str], expected: str) -> None:
    assert change[0] in POLICIES
    assert expected in refusal(text(more=POLICIES.replace(*change)))


def test_tiers_are_said_once() -> None:
    written = text(more=POLICIES, annotations="{streamgauge.dev/tiers: page 2 1h/5m}")
    assert "streamgauge.dev/tiers is given; alertPolicies says what the tiers are" in refusal(written)


def test_an_slo_without_a_window_promises_thirty_days_and_says_so() -> None:
    found: Promises = parse(text(window="[]"))
    assert found.promises[0].period == Rolling(30 * DAY, "30d")
    assert found.warnings == ("slos.yaml:8: spec.timeWindow is missing: the last 30d are taken",)


def test_what_occurrences_do_not_use_is_ignored_with_a_warning() -> None:
    found = parse(text(objectives="[{target: 0.9, timeSliceWindow: 1m}]"))
    assert found.promises[0].budgeting is None
    assert found.warnings == (
        "slos.yaml:9: spec.objectives[0].timeSliceWindow is ignored: budgetingMethod is Occurrences",
    )


def test_a_limit_that_looks_like_milliseconds_has_a_warning() -> None:
    found = parse(text(f"thresholdMetric: {WEB}", "[{target: 0.9, op: lte, value: 500}]"))
    assert found.warnings == (
        "slos.yaml:9: spec.objectives[0].value is 8m20s: it is in seconds; for milliseconds write 0.5",
    )


def test_a_pattern_that_names_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="names no file"):
        load([tmp_path / "*.yaml"])
    with pytest.raises(InputError, match="is a directory"):
        load([tmp_path])
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        load([tmp_path / "b.yaml"])
