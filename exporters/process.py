"""Families of `prometheus_client` on our page: the process's own CPU, memory, garbage collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Metric, exposition
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_EOF = b"# EOF\n"


class _One(Collector):
    """A registry of a single metric, which is what the library's writers take."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return [self._metric]


def sample_names(metric: Metric) -> set[str]:
    """Every name that the metric takes on a page."""
    return {metric.name, *(sample.name for sample in metric.samples)}


def process_families(collectors: Sequence[Collector], taken: set[str], openmetrics: bool) -> list[str]:
    """The collectors' families as text, one string each, in one of the two formats.

    Families of several collectors with the same name and type are joined, each label set once, the first one's. One
    whose name is `taken`, or was of another type before, is left out: twice on a page, it would spoil the scrape.
    """
    metrics: dict[str, Metric] = {}
    for collector in collectors:
        for metric in collector.collect():
            known = metrics.get(metric.name)
            if known is None and not sample_names(metric) & taken:
                metrics[metric.name] = _without_created(metric)
                taken = taken | sample_names(metric)
            elif known is not None and known.type == metric.type:
                _join(known, metric)
    return [_written(metric, openmetrics) for metric in metrics.values()]


def _without_created(metric: Metric) -> Metric:
    """A copy without `_created` series: Prometheus stores them as gauges that nobody reads."""
    copy = Metric(metric.name, metric.documentation, metric.type, metric.unit)
    copy.samples = [sample for sample in metric.samples if sample.name != f"{metric.name}_created"]
    return copy


def _join(known: Metric, other: Metric) -> None:
    """Add the other's samples, label set by label set, where they are new."""
    groups = {_group(sample.labels) for sample in known.samples}
    known.samples += [s for s in _without_created(other).samples if _group(s.labels) not in groups]


def _group(labels: dict[str, str]) -> frozenset[tuple[str, str]]:
    """The labels that tell a metric point from another: all but its parts' own."""
    return frozenset((name, value) for name, value in labels.items() if name not in ("le", "quantile"))


def _written(metric: Metric, openmetrics: bool) -> str:
    if openmetrics:
        page: bytes = openmetrics_exposition.generate_latest(_One(metric))  # type: ignore[no-untyped-call]
        return page.removesuffix(_EOF).decode()
    return exposition.generate_latest(_One(metric)).decode()
