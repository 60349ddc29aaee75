"""Every field of OpenSLO's schema and what becomes of it: honoured, ignored with a warning, or refused with a reason.

`python -m flows.slo.fields` prints the table of `docs/slos.md`; a test keeps it equal to the models and the page.
"""

from __future__ import annotations

import sys
from typing import Literal, NamedTuple

Fate = Literal["honoured", "ignored", "refused"]


class Row(NamedTuple):
    """One field; `[]` stands for each of a list."""

    path: str
    fate: Fate
    meaning: str


_METADATA = (
    Row("metadata.name", "honoured", "how references name it; once for each kind, over all files"),
    Row("metadata.displayName", "honoured", "for people; of an SLO, the title of its alerts"),
)

ALL = (
    Row("apiVersion", "honoured", "`openslo/v1`; others are refused"),
    Row("kind", "honoured", "one of the seven"),
    *_METADATA,
    Row("metadata.labels", "ignored", "but for an SLO's: alerts have the labels of the SLO only"),
    Row("metadata.annotations", "honoured", "`streamgauge.dev/…`, see above; those of others mean nothing"),
    Row("spec.description", "honoured", "for people; of an SLO (else its SLI), the description of its alerts"),
)
"""Fields of all kinds."""

_POLICY = (
    Row("alertWhenNoData", "honoured", "whether no events alert; else only critical SLOs do"),
    Row("alertWhenBreaching", "honoured", "true unless it is said; false leaves the condition out, with a warning"),
    Row("alertWhenResolved", "honoured", "true unless it is said"),
    Row("conditions", "honoured", "exactly one"),
    Row("conditions[].conditionRef", "honoured", "the name of an AlertCondition of these files"),
    Row("conditions[].kind", "honoured", "`AlertCondition`"),
    Row("conditions[].metadata", "honoured", "as above"),
    Row("conditions[].spec", "honoured", "as of AlertCondition"),
    Row("notificationTargets", "ignored", "Alertmanager's routes say who hears of an alert"),
    Row("notificationTargets[].targetRef", "ignored", "need not resolve"),
    Row("notificationTargets[].kind", "ignored", "likewise"),
    Row("notificationTargets[].metadata", "ignored", "likewise"),
    Row("notificationTargets[].spec", "ignored", "likewise"),
)

_SOURCE = (
    Row("metricSource.metricSourceRef", "honoured", "the name of a DataSource of type `streamgauge`"),
    Row("metricSource.type", "honoured", "`streamgauge`, or left out beside a metricSourceRef; others are refused"),
    Row("metricSource.spec", "honoured", "a selector, see above"),
)


def _below(prefix: str, rows: tuple[Row, ...]) -> tuple[Row, ...]:
    return tuple(row._replace(path=f"{prefix}.{row.path}") for row in rows)


SPECS: dict[str, tuple[Row, ...]] = {
    "SLO": (
        Row("metadata.labels", "honoured", "labels of its alerts; names made valid, several values joined by commas"),
        Row("spec.service", "honoured", "the label `service`; a Service of that name need not exist"),
        Row("spec.indicator", "honoured", "or indicatorRef, one of them"),
        Row("spec.indicator.metadata", "honoured", "for people"),
        Row("spec.indicator.spec", "honoured", "as of SLI"),
        Row("spec.indicatorRef", "honoured", "the name of an SLI of these files"),
        Row("spec.budgetingMethod", "honoured", "`Occurrences`, `Timeslices`; `RatioTimeslices` is refused"),
        Row("spec.timeWindow", "honoured", "one; without it the last 30d, with a warning"),
        Row("spec.timeWindow[].duration", "honoured", "the period, see tiers above"),
        Row("spec.timeWindow[].isRolling", "honoured", "false if there is a calendar, else true"),
        Row("spec.timeWindow[].calendar", "honoured", "the budget begins anew at a local boundary"),
        Row("spec.timeWindow[].calendar.startTime", "honoured", "local time, `2026-01-01 00:00:00`"),
        Row("spec.timeWindow[].calendar.timeZone", "honoured", "of the IANA database"),
        Row("spec.objectives", "honoured", "one or more"),
        Row("spec.objectives[].displayName", "honoured", "the label `objective`, else the target as written"),
        Row("spec.objectives[].op", "honoured", "of a threshold metric: what is good; refused beside a ratio"),
        Row("spec.objectives[].value", "honoured", "of a threshold metric, in seconds; refused beside a ratio"),
        Row("spec.objectives[].target", "honoured", "a ratio; 99.9 is refused: write 0.999"),
        Row("spec.objectives[].targetPercent", "honoured", "or in percent"),
        Row("spec.objectives[].timeSliceTarget", "honoured", "with Timeslices; ignored with a warning otherwise"),
        Row("spec.objectives[].timeSliceWindow", "honoured", "likewise; a window of an alert holds at least five"),
        Row("spec.objectives[].indicator", "refused", "composite objectives are not evaluated: write an SLO for each"),
        Row("spec.objectives[].indicatorRef", "refused", "likewise"),
        Row("spec.objectives[].compositeWeight", "refused", "likewise"),
        Row("spec.alertPolicies", "honoured", "each brings a tier; without any, the default ones apply"),
        Row("spec.alertPolicies[].alertPolicyRef", "honoured", "the name of an AlertPolicy of these files"),
        Row("spec.alertPolicies[].kind", "honoured", "`AlertPolicy`"),
        Row("spec.alertPolicies[].metadata", "honoured", "as above"),
        Row("spec.alertPolicies[].spec", "honoured", "as of AlertPolicy"),
    ),
    "SLI": (
        Row("spec.thresholdMetric", "honoured", "a duration, compared with the objective's value; or ratioMetric"),
        *_below("spec.thresholdMetric", _SOURCE),
        Row("spec.ratioMetric", "honoured", "good or bad of total"),
        Row("spec.ratioMetric.counter", "ignored", "spans are counted: false has a warning"),
        *(
            row
            for part, meaning in (("good", "or bad"), ("bad", "or good"), ("total", "what counts at all"))
            for row in (
                Row(f"spec.ratioMetric.{part}", "honoured", meaning),
                *_below(f"spec.ratioMetric.{part}", _SOURCE),
            )
        ),
        Row("spec.ratioMetric.raw", "refused", "a ratio that is computed elsewhere has no events to count"),
        Row("spec.ratioMetric.rawType", "refused", "likewise"),
    ),
    "Service": (),
    "DataSource": (
        Row("spec.type", "honoured", "`streamgauge` where an SLO uses it"),
        Row("spec.connectionDetails", "ignored", "the stream is what the configuration says"),
    ),
    "AlertPolicy": _below("spec", _POLICY),
    "AlertCondition": (
        Row("spec.severity", "honoured", "`page` or `critical`, `ticket` or `warning`; others are refused"),
        Row("spec.condition", "honoured", "a burn rate"),
        Row("spec.condition.kind", "honoured", "`burnrate`"),
        Row("spec.condition.op", "honoured", "`gt`; `gte` is read as it, with a warning; `lt`, `lte` are refused"),
        Row("spec.condition.threshold", "honoured", "the factor; one that can never be exceeded is refused"),
        Row("spec.condition.lookbackWindow", "honoured", "the long window; `short-window`, or a twelfth, is the other"),
        Row("spec.condition.alertAfter", "honoured", "how long it must last before the alert starts"),
    ),
    "AlertNotificationTarget": (
        Row("spec.target", "ignored", "Alertmanager's routes say who hears of an alert"),
    ),
}  # fmt: skip
"""Further fields by kind; one that is in `ALL` too has another fate there."""

BEGIN, END = "<!-- fields: begin -->", "<!-- fields: end -->"

_SHOWN = {"honoured": "honoured", "ignored": "ignored, with a warning", "refused": "**refused**"}


def rows_of(kind: str) -> tuple[Row, ...]:
    """All fields of a kind."""
    own = SPECS[kind]
    paths = {row.path for row in own}
    return (*(row for row in ALL if row.path not in paths), *own)


def markdown() -> str:
    """The table, as it stands between `BEGIN` and `END` on the page."""
    lines = ["| kind | field | | |", "|---|---|---|---|"]
    for kind, rows in (("all", ALL), *SPECS.items()):
        lines += [f"| {kind} | `{row.path}` | {_SHOWN[row.fate]} | {row.meaning} |" for row in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
