"""SLIs: what an SLO's indicator selects, and what of it is good."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from flows.errors import UnitError
from flows.slo.promise import Indicator
from flows.slo.schema import SLI, DataSource, InlineIndicator, Metric, Objective, SLISpec, SLOSpec
from flows.slo.selector import Selector, parse_selector
from flows.units import format_duration, parse_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.slo.place import Place
    from flows.slo.references import References

SOURCE_TYPE = "streamgauge"

_LONG_VALUE_SECONDS = 60

Operator = Literal["lt", "lte", "gt", "gte"]


class _Selection(NamedTuple):
    """A metric's selector and what it says of durations."""

    selector: Selector
    duration: tuple[Operator, int] | None = None
    include_failed: bool = False


class IndicatorReader:
    """Reads the indicator of one SLO; one `Indicator` for each objective."""

    def __init__(self, references: References, dimension_names: Sequence[str], warnings: list[str]) -> None:
        """`references` has what is named, `warnings` takes what is ignored."""
        self._references = references
        self._dimension_names = dimension_names
        self._warnings = warnings

    def found(self, spec: SLOSpec, place: Place) -> tuple[SLISpec, Place]:
        """The indicator's spec, within the SLO or by name, and where it stands."""
        inline, name = spec.indicator, spec.indicator_ref
        if (inline is None) == (name is None):
            found = "given twice, also as indicatorRef" if inline else "missing"
            hint = "Write indicator: {spec: …}, or indicatorRef: and the name of an SLI."
            raise place.at("indicator").refuse(found, "an SLO has one indicator", hint)
        if isinstance(inline, InlineIndicator):
            return inline.spec, place.at("indicator", "spec")
        sli, where = self._references.find(SLI, str(name), place.at("indicatorRef"))
        return sli.spec, where.at("spec")

    def read(self, spec: SLISpec, place: Place) -> Indicator:
        """The indicator without an objective: a threshold metric has no threshold yet.

        Raises:
            SloError: It cannot be evaluated on the stream.
        """
        if (spec.ratio_metric is None) == (spec.threshold_metric is None):
            found = "one with both ratioMetric and thresholdMetric" if spec.ratio_metric else "without a metric"
            raise place.refuse(found, "an SLI has one of ratioMetric and thresholdMetric")
        return self._ratio(spec, place) if spec.ratio_metric else self._latency(spec, place)

    def _latency(self, spec: SLISpec, place: Place) -> Indicator:
        assert spec.threshold_metric is not None
        here = place.at("thresholdMetric")
        chosen = self._selection(spec.threshold_metric, here)
        if chosen.duration:
            where = here.at("metricSource", "spec", "duration")
            raise where.refuse(
                "given", "the limit of a threshold metric is the objective's", "Write op and value there."
            )
        return Indicator("latency", chosen.selector.with_default_kinds(), include_failed=chosen.include_failed)

    def _ratio(self, spec: SLISpec, place: Place) -> Indicator:
        ratio, here = spec.ratio_metric, place.at("ratioMetric")
        assert ratio is not None
        for name, value in (("raw", ratio.raw), ("rawType", ratio.raw_type)):
            if value is not None:
                expected = "events are counted here, and a ratio that is computed elsewhere has none"
                raise here.at(name).refuse("given", expected, "Write good (or bad) and total.")
        if ratio.total is None:
            raise here.at("total").refuse("missing", "a ratio is of something", "Write total: {metricSource: …}.")
        if (ratio.good is None) == (ratio.bad is None):
            found = "given twice, also as bad" if ratio.good else "missing"
            raise here.at("good").refuse(found, "a ratio has one of good and bad")
        if not ratio.counter:
            self._warnings.append(here.at("counter").warning("is false and is ignored: spans are counted"))
        total = self._selection(ratio.total, here.at("total"))
        name = "good" if ratio.good else "bad"
        part = self._selection(ratio.good or ratio.bad, here.at(name))  # type: ignore[arg-type]  # one is there
        for key, each in (("total", total), (name, part)):
            if each.include_failed or (key == "total" and each.duration):
                word = "include_failed" if each.include_failed else "duration"
                where = here.at(key, "metricSource", "spec", word)
                hint = "Write status_code for failed spans." if each.include_failed else "Write it in good or bad."
                raise where.refuse("given", "here it would mean nothing", hint)
        selector = total.selector.with_default_kinds()
        good, bad = (part.selector, None) if ratio.good else (None, part.selector)
        op, limit = part.duration or ("lte", None)
        return Indicator("ratio", selector, good, bad, limit, op)

    def _selection(self, metric: Metric, place: Place) -> _Selection:
        source, here = metric.metric_source, place.at("metricSource")
        kind, where = source.type, here.at("type")
        if source.metric_source_ref:
            named, _ = self._references.find(DataSource, source.metric_source_ref, here.at("metricSourceRef"))
            if kind and kind.casefold() != named.spec.type.casefold():
                expected = f"DataSource {source.metric_source_ref} is of type {named.spec.type}"
                raise where.refuse(repr(kind), expected, "Leave type out.")
            kind, where = named.spec.type, here.at("metricSourceRef") if not kind else where
        if kind.casefold() != SOURCE_TYPE:
            expected = "promises are evaluated on the stream, not by a query"
            hint = f"Write type: {SOURCE_TYPE}, and in spec a selector such as {{signal: spans, service_name: web}}."
            raise where.refuse(repr(kind) if kind else "missing", expected, hint)
        return self._selector(dict(source.spec), here.at("spec"))

    def _selector(self, written: dict[str, Any], place: Place) -> _Selection:
        failed = written.pop("include_failed", False)
        if not isinstance(failed, bool):
            raise place.at("include_failed").refuse(repr(failed), "it is true or false")
        duration = _limit(written.pop("duration", None), place.at("duration"))
        return _Selection(parse_selector(written, place, self._dimension_names), duration, failed)

    def with_objective(self, indicator: Indicator, objective: Objective, place: Place) -> Indicator:
        """The indicator with the threshold of an objective, which has one exactly if the metric needs it."""
        if indicator.kind == "ratio":
            for name, value in (("op", objective.op), ("value", objective.value)):
                if value is not None:
                    expected = "the objective of a ratio has only a target"
                    hint = "Write duration: {lte: 500ms} in the spec of good, or use a thresholdMetric."
                    raise place.at(name).refuse("given", expected, hint)
            return indicator
        if objective.op is None or objective.value is None:
            name = "op" if objective.op is None else "value"
            expected = "the objective of a threshold metric has its limit"
            raise place.at(name).refuse("missing", expected, "Write op: lte and value: 0.5 for at most 500 ms.")
        limit = _seconds(objective.value, place.at("value"))
        if objective.value > _LONG_VALUE_SECONDS:
            said = f"is {format_duration(limit)}: it is in seconds; for milliseconds write {objective.value / 1000:g}"
            self._warnings.append(place.at("value").warning(said))
        return replace(indicator, threshold_ns=limit, threshold_op=objective.op)


def _seconds(value: float, place: Place) -> int:
    """Nanoseconds of an objective's value, exactly."""
    exact = Fraction(repr(value)) * 10**9
    if value <= 0 or exact.denominator != 1 or exact >= 1 << 63:
        raise place.refuse(f"{value:g}", "it is a duration in seconds, at least a nanosecond", "Write 0.5 for 500 ms.")
    return int(exact)


def _limit(written: object, place: Place) -> tuple[Operator, int] | None:
    """`{lte: 500ms}`: how long a good (or bad) span may last."""
    if written is None:
        return None
    operators: tuple[Operator, ...] = ("lt", "lte", "gt", "gte")
    hint = "Write duration: {lte: 500ms}."
    if not isinstance(written, dict) or len(written) != 1:
        raise place.refuse(repr(written), "it is one comparison: lt, lte, gt or gte, and a duration", hint)
    ((word, text),) = written.items()
    for operator in operators:
        if operator == word:
            try:
                limit = parse_duration(str(text))
            except UnitError as error:
                raise place.at(word).refuse(error.found, error.expected, error.hint) from error
            if limit == 0:
                raise place.at(word).refuse(repr(text), "no span lasts less than nothing", hint)
            return operator, limit
    raise place.at(str(word)).refuse("no comparison", f"there are {', '.join(operators)}", hint)
