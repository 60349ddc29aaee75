"""The table of the schema's fields: complete, and true."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from flows.slo import parse
from flows.slo.fields import BEGIN, END, SPECS, markdown, rows_of
from flows.slo.place import SloErrors
from flows.slo.schema import KINDS

PAGE = Path(__file__).parents[3] / "docs" / "slos.md"


def paths(model: type[BaseModel], refused: set[str], prefix: str = "") -> list[str]:
    """Every path of a model's schema; inline objects are described as their kinds, refused ones not further."""
    found = []
    for name, field in model.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        is_frame = path in ("metadata", "spec") or name == "metric_source"
        inline = name in ("metadata", "spec") and not is_frame
        found += [] if is_frame else [path]
        inner, mark = submodel(field.annotation)
        if inner and not inline and path not in refused:
            found += paths(inner, refused, f"{path}{mark}.")
    return found


def submodel(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """The model inside an annotation, and `[]` where it is one of a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, ""
    mark = "[]" if get_origin(annotation) is tuple else ""
    for each in get_args(annotation):
        inner, further = submodel(each)
        if inner is not None:
            return inner, mark + further
    return None, ""


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_the_schema_is_in_the_table_and_no_other(kind: str) -> None:
    refused = {row.path for row in rows_of(kind) if row.fate == "refused"}
    assert sorted(row.path for row in rows_of(kind)) == sorted(paths(KINDS[kind], refused))


def test_the_page_has_the_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.partition(BEGIN)[2].partition(END)[0].strip() == markdown().strip(), "python -m flows.slo.fields"


GOOD = "{metricSource: {type: streamgauge, spec: {status_code: {not: error}}}}"
TOTAL = "{metricSource: {type: streamgauge, spec: {service_name: web}}}"


def slo(objective: str = "{target: 0.999}", ratio: str = f"good: {GOOD}, total: {TOTAL}", more: str = "") -> str:
    return f"""
apiVersion: openslo/v1
kind: SLO
metadata: {{name: web}}
spec:
  service: web
  indicator: {{spec: {{ratioMetric: {{{ratio}}}}}}}
  budgetingMethod: Occurrences
  timeWindow: [{{duration: 30d, isRolling: true}}]
  objectives: [{objective}]
  {more}
"""


POLICY = """
alertPolicies:
  - kind: AlertPolicy
    metadata: {name: fast}
    spec:
      conditions:
        - kind: AlertCondition
          metadata: {name: fast}
          spec: {severity: page, condition: {kind: burnrate, op: gt, threshold: 14.4, lookbackWindow: 1h}}
      notificationTargets: [{targetRef: nobody}, {kind: AlertNotificationTarget, spec: {target: x}}]
""".replace("\n", "\n  ")

IGNORED = {
    ("SLI", "spec.ratioMetric.counter"): (
        slo(ratio=f"counter: false, good: {GOOD}, total: {TOTAL}"),
        "spec.indicator.spec.ratioMetric.counter is false and is ignored",
    ),
    ("DataSource", "spec.connectionDetails"): (
        "{apiVersion: openslo/v1, kind: DataSource, metadata: {name: a}, spec: {type: x, connectionDetails: {url: y}}}",
        "spec.connectionDetails is ignored",
    ),
    ("AlertPolicy", "spec.notificationTargets"): (slo(more=POLICY), "notificationTargets is ignored"),
    ("AlertNotificationTarget", "spec.target"): (
        "{apiVersion: openslo/v1, kind: AlertNotificationTarget, metadata: {name: a}, spec: {target: mail}}",
        "AlertNotificationTarget a is used by no SLO",
    ),
    **{
        (kind, "metadata.labels"): (
            f"{{apiVersion: openslo/v1, kind: {kind}, metadata: {{name: a, labels: {{team: b}}}}, spec: {spec}}}",
            "metadata.labels is ignored",
        )
        for kind, spec in {
            "SLI": f"{{thresholdMetric: {TOTAL}}}",
            "Service": "{}",
            "DataSource": "{type: x}",
            "AlertPolicy": "{}",
            "AlertCondition": "{severity: x, condition: {kind: burnrate, op: lte, threshold: 2, lookbackWindow: 1h}}",
            "AlertNotificationTarget": "{target: x}",
        }.items()
    },
}

REFUSED = {
    ("SLO", "spec.objectives[].indicator"): slo("{target: 0.99, indicator: {spec: {}}}"),
    ("SLO", "spec.objectives[].indicatorRef"): slo("{target: 0.99, indicatorRef: x}"),
    ("SLO", "spec.objectives[].compositeWeight"): slo("{target: 0.99, compositeWeight: 1}"),
    ("SLI", "spec.ratioMetric.raw"): slo(ratio=f"raw: {TOTAL}"),
    ("SLI", "spec.ratioMetric.rawType"): slo(ratio=f"rawType: success, good: {GOOD}, total: {TOTAL}"),
}


def of_fate(fate: str) -> set[tuple[str, str]]:
    """Kind and path of the fields with a fate, without the parts of what is there as a whole."""
    return {
        (kind, row.path)
        for kind in SPECS
        for row in rows_of(kind)
        if row.fate == fate and "notificationTargets[]" not in row.path
    }


def test_every_field_that_the_table_calls_ignored_or_refused_has_its_case_here() -> None:
    assert set(IGNORED) == of_fate("ignored")
    assert set(REFUSED) == of_fate("refused")


@pytest.mark.parametrize("field", IGNORED, ids="/".join)
def test_what_the_table_calls_ignored_has_a_warning_with_its_line(field: tuple[str, str]) -> None:
    text, expected = IGNORED[field]
    warnings = parse(text).warnings
    assert any(expected in each and each.startswith("slos.yaml:") for each in warnings), warnings


@pytest.mark.parametrize("field", REFUSED, ids="/".join)
def test_what_the_table_calls_refused_is_refused_by_name(field: tuple[str, str]) -> None:
    with pytest.raises(SloErrors) as caught:
        parse(REFUSED[field])
    assert f".{field[1].rpartition('.')[2]} is given; " in str(caught.value)
