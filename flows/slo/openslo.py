"""OpenSLO files → promises: every object read, references resolved, all that is wrong said at once."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from exporters.labels import label_name
from flows.slo.annotations import ON_SLO, Annotations
from flows.slo.documents import Findings, Placed, expand, parse_objects, read_objects
from flows.slo.indicator import IndicatorReader
from flows.slo.place import SloError, SloErrors
from flows.slo.policies import Alerting, PolicyReader, Written, checked
from flows.slo.promise import Calendar, Policy, Promise, Promises, Rolling, Timeslices
from flows.slo.references import References
from flows.slo.schema import SLO, DataSource, Service
from flows.slo.shorthand import Shorthand

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from flows.slo.place import Place
    from flows.slo.schema import Metadata, Objective, TimeWindow

DEFAULT_PERIOD = Shorthand(30, "d")
"""Of an SLO without a `timeWindow`."""

RESERVED_LABELS = frozenset({"alertname", "severity", "slo", "service", "objective", "spent", "signal", "source"})
"""Labels that alerts have of themselves."""


def load(
    patterns: Iterable[str | Path], dimension_names: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> Promises:
    """The promises of OpenSLO files.

    Args:
        patterns: Paths and globs.
        dimension_names: Labels of the configured dimensions, which selectors may be over.
        environment: What `${NAME}` is taken from; by default the process's environment.

    Raises:
        InputError: A pattern names no file, or a file cannot be read.
        SloErrors: Something cannot be evaluated as it is written; all of it is named at once, by file and line.
    """
    findings, objects = Findings(), list[Placed]()
    variables = os.environ if environment is None else environment
    files = expand(patterns)
    for path in files:
        objects += read_objects(path, variables, findings)
    return _promises(objects, findings, dimension_names, tuple(map(str, files)))


def parse(
    text: str,
    file: str = "slos.yaml",
    dimension_names: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Promises:
    """The promises of one text; `file` names it in messages.

    Raises:
        SloErrors: See `load`.
    """
    findings = Findings()
    objects = list(parse_objects(text, file, os.environ if environment is None else environment, findings))
    return _promises(objects, findings, dimension_names, (file,))


def _promises(
    objects: list[Placed], findings: Findings, dimension_names: Sequence[str], files: tuple[str, ...]
) -> Promises:
    references, promises = References(objects, findings), list[Promise]()
    for slo, place in references.of(SLO):
        reader = _Reader(slo, place, references, dimension_names, findings)
        try:
            promises += reader.promises()
        except SloError as error:
            findings.problems.append(error)
    if findings.problems:
        raise SloErrors(tuple(sorted(findings.problems, key=lambda each: (each.file, each.line or 0))))
    _warn_of_ignored(references, findings)
    return Promises(tuple(promises), tuple(dict.fromkeys(findings.warnings)), files)


def _warn_of_ignored(references: References, findings: Findings) -> None:
    """Warn of what no SLO uses, and of fields that nothing here reads."""
    for each in references.unused():
        made = each.object
        if not isinstance(made, SLO | Service):
            name = f"{made.kind} {made.metadata.name}"
            findings.warnings.append(f"{each.place.source}: {name} is used by no SLO of these files")
        if not isinstance(made, SLO) and made.metadata.labels:
            said = "is ignored: alerts have the labels of the SLO only"
            findings.warnings.append(each.place.at("metadata", "labels").warning(said))
    for source, place in references.of(DataSource):
        if source.spec.connection_details is not None:
            said = "is ignored: the stream is what the configuration says"
            findings.warnings.append(place.at("spec", "connectionDetails").warning(said))


class _Common(NamedTuple):
    """What all objectives of an SLO share."""

    promise: Promise
    tiers: tuple[Written, ...] | None


class _Reader:
    """Reads one SLO."""

    def __init__(
        self,
        slo: SLO,
        place: Place,
        references: References,
        dimension_names: Sequence[str],
        findings: Findings,
    ) -> None:
        self._slo, self._place, self._references, self._findings = slo, place, references, findings
        self._dimension_names = dimension_names
        self._warnings = findings.warnings
        self._indicators = IndicatorReader(references, dimension_names, findings.warnings)

    def promises(self) -> list[Promise]:
        """One for each objective; those that cannot be are gathered."""
        spec, here = self._slo.spec, self._place.at("spec")
        if spec.budgeting_method == "RatioTimeslices":
            expected = "an average of the slices' ratios is not evaluated here"
            raise here.at("budgetingMethod").refuse(spec.budgeting_method, expected, "Write Occurrences or Timeslices.")
        if not spec.objectives:
            raise here.at("objectives").refuse(
                "missing", "an SLO promises something", "Write objectives: [{target: …}]."
            )
        for i, objective in enumerate(spec.objectives):
            _refuse_composite(objective, here.at("objectives", i))
        common: _Common | None = None
        made: list[Promise] = []
        try:
            common = self._common()
        except SloError as error:
            self._findings.problems.append(error)
        for i, objective in enumerate(spec.objectives):
            place = here.at("objectives", i)
            try:
                if common is None:
                    _target(objective, place)  # to say at once what is wrong there too
                    continue
                promise = self._promise(common, objective, place)
                if promise.objective_name in [each.objective_name for each in made]:
                    expected = "each objective of an SLO is told from the others by it"
                    raise place.refuse(f"a second {promise.objective_name!r}", expected, "Write displayName.")
                made.append(promise)
            except SloError as error:
                self._findings.problems.append(error)
        return made

    def _common(self) -> _Common:
        slo, spec, here = self._slo, self._slo.spec, self._place.at("spec")
        where = self._place.at("metadata", "annotations")
        annotations = Annotations(slo.metadata.annotations, where, ON_SLO)
        sli, sli_place = self._indicators.found(spec, here)
        period = self._period(spec.time_window, here.at("timeWindow"))
        policy = _policy(annotations)
        alerting = self._alerting(annotations, PolicyReader(self._references, policy, period.period_ns, self._warnings))
        if alerting:
            policy = replace(
                policy,
                alert_when_no_data=alerting.when_no_data,
                alert_when_breaching=alerting.when_breaching,
                alert_when_resolved=alerting.when_resolved,
            )
        promise = Promise(
            name=slo.metadata.name,
            service=spec.service,
            objective_name="",
            objective=0.5,  # until an objective says it
            indicator=self._indicators.read(sli, sli_place),
            period=period,
            policy=policy,
            labels=_labels(slo.metadata, self._place.at("metadata", "labels")),
            title=slo.metadata.display_name or slo.metadata.name,
            description=spec.description or sli.description,
            runbook=annotations.text("runbook"),
            mode=annotations.mode(),
            group_by=annotations.group_by(self._dimension_names),
            exclude=annotations.exclude(self._dimension_names),
        )
        return _Common(promise, alerting.tiers if alerting else None)

    def _alerting(self, annotations: Annotations, reader: PolicyReader) -> Alerting | None:
        policies, place = self._slo.spec.alert_policies, self._place.at("spec", "alertPolicies")
        if "tiers" in annotations:
            if policies:
                hint = "Leave one of them out."
                raise annotations.place("tiers").refuse("given", "alertPolicies says what the tiers are", hint)
            return reader.from_annotation(annotations)
        return reader.from_policies(policies, place) if policies else None

    def _promise(self, common: _Common, objective: Objective, place: Place) -> Promise:
        ratio, written = _target(objective, place)
        promise = replace(
            common.promise,
            objective_name=objective.display_name or written,
            objective=ratio,
            indicator=self._indicators.with_objective(common.promise.indicator, objective, place),
            budgeting=self._timeslices(objective, place),
            source=place.source,
        )
        if common.tiers is not None:
            return replace(promise, tiers=checked(common.tiers, promise))
        kept, notes = promise.alert_tiers()
        if not kept:
            if notes:
                found, expected = f"one for which no default tier fires: {notes[0]}", ""
            else:
                found, expected = f"over {promise.period.text}", "only 7d, 28d, 30d and 90d have default tiers"
            hint = "Write one of those, or tiers of your own: streamgauge.dev/tiers: 'page 14.4 1h/5m'."
            raise place.refuse(found, expected, hint)
        return promise

    def _timeslices(self, objective: Objective, place: Place) -> Timeslices | None:
        given = {"timeSliceTarget": objective.time_slice_target, "timeSliceWindow": objective.time_slice_window}
        if self._slo.spec.budgeting_method == "Occurrences":
            for name in (name for name, value in given.items() if value is not None):
                self._warnings.append(place.at(name).warning("is ignored: budgetingMethod is Occurrences"))
            return None
        target, window = objective.time_slice_target, objective.time_slice_window
        if target is None or window is None:
            name = "timeSliceTarget" if target is None else "timeSliceWindow"
            hint = "Write timeSliceTarget: 0.95 and timeSliceWindow: 1m."
            raise place.at(name).refuse("missing", "Timeslices needs it", hint)
        if not 0 < target <= 1:
            hint = f"Write {_shift(target)}." if 1 < target <= 100 else ""
            raise place.at("timeSliceTarget").refuse(f"{target:g}", "it is a ratio, at most 1", hint)
        return Timeslices(window.ns, target)

    def _period(self, windows: tuple[TimeWindow, ...], place: Place) -> Rolling | Calendar:
        if len(windows) > 1:
            raise place.refuse(f"a list of {len(windows)}", "an SLO has one period", "Write an SLO for each.")
        if not windows:
            self._warnings.append(place.warning(f"is missing: the last {DEFAULT_PERIOD} are taken"))
            return Rolling(DEFAULT_PERIOD.ns, str(DEFAULT_PERIOD))
        window, here = windows[0], place.at(0)
        rolling = window.calendar is None if window.is_rolling is None else window.is_rolling
        if rolling != (window.calendar is None):
            found = "given" if rolling else "missing"
            expected = "a window is rolling or has a calendar"
            raise here.at("calendar").refuse(
                found, expected, "Write isRolling: true, or calendar: {startTime, timeZone}."
            )
        if window.calendar is None:
            return Rolling(window.duration.ns, str(window.duration))
        return _calendar(window, here)


def _refuse_composite(objective: Objective, place: Place) -> None:
    given = {
        "indicator": objective.indicator,
        "indicatorRef": objective.indicator_ref,
        "compositeWeight": objective.composite_weight,
    }
    for name, value in given.items():
        if value is not None:
            expected = "composite objectives are not evaluated"
            raise place.at(name).refuse("given", expected, "Write an SLO for each indicator.")


def _calendar(window: TimeWindow, place: Place) -> Calendar:
    calendar, here = window.calendar, place.at("calendar")
    assert calendar is not None
    unit = window.duration.unit
    if unit not in ("d", "w", "M", "Q", "Y"):
        raise place.at("duration").refuse(repr(str(window.duration)), "a calendar has days and longer", "Write 1d.")
    try:
        start = datetime.fromisoformat(calendar.start_time)
    except ValueError:
        start = None
    if start is None or start.tzinfo is not None:
        expected = "it is a local time, without a zone"
        raise here.at("startTime").refuse(repr(calendar.start_time), expected, "Write 2026-01-01 00:00:00.")
    try:
        ZoneInfo(calendar.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        expected = "it is no time zone of the IANA database that this machine has"
        raise here.at("timeZone").refuse(repr(calendar.time_zone), expected, "Write Europe/Berlin or UTC.") from None
    text = f"{window.duration} from {calendar.start_time} {calendar.time_zone}"
    return Calendar(window.duration.count, unit, start.isoformat(), calendar.time_zone, text, window.duration.ns)  # type: ignore[arg-type]  # one of them, see above


def _target(objective: Objective, place: Place) -> tuple[float, str]:
    """The objective as a ratio, and as it was written."""
    target, percent = objective.target, objective.target_percent
    if (target is None) == (percent is None):
        found = "given, and targetPercent too" if target is not None else "missing"
        raise place.at("target").refuse(
            found, "an objective has one of target and targetPercent", "Write target: 0.999."
        )
    if target is not None:
        if not 0 < target < 1:
            hint = f"Write {_shift(target)}." if 1 < target < 100 else "Write 0.999."
            raise place.at("target").refuse(f"{target:g}", "an objective is a ratio between 0 and 1", hint)
        return target, repr(target)
    assert percent is not None
    if not 0 < percent < 100:
        raise place.at("targetPercent").refuse(f"{percent:g}", "it is between 0 and 100", "Write 99.9.")
    if percent < 1:
        raise place.at("targetPercent").refuse(f"{percent:g}", "it is in percent", f"Write target: {percent!r}.")
    return _shift(percent), f"{percent!r}%"


def _shift(percent: float) -> float:
    """A hundredth of the decimal as written.

    >>> _shift(99.9), 99.9 / 100
    (0.999, 0.9990000000000001)
    """
    return float(Fraction(repr(percent)) / 100)


def _policy(annotations: Annotations) -> Policy:
    keep = annotations.durations_by_severity("keep-firing-for")
    default = Policy()
    return Policy(
        min_events=annotations.number("min-events"),
        guard=annotations.flag("guard"),
        absence=annotations.flag("absence"),
        critical=bool(annotations.flag("critical")),
        keep_firing_for_critical_ns=keep.get("critical", default.keep_firing_for_critical_ns),
        keep_firing_for_warning_ns=keep.get("warning", default.keep_firing_for_warning_ns),
    )


def _labels(metadata: Metadata, place: Place) -> tuple[tuple[str, str], ...]:
    """The SLO's labels as alerts have them: names made valid, several values joined by a comma."""
    labels: dict[str, str] = {}
    for name, values in metadata.labels.items():
        label = label_name(name) if name else ""
        if not label or label in RESERVED_LABELS or label in labels:
            expected = "alerts have that label already" if label else "a label has a name"
            raise place.at(name).refuse(f"the label {label!r}", expected, "Write another name.")
        labels[label] = ",".join(values)
    return tuple(sorted(labels.items()))
