"""What a generated record truly holds, as columns: for tests and oracles, next to what a decoder makes of its bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from flows.generate.catalogue import Catalogue
    from flows.generate.instances import Fleet
    from flows.generate.spans import Spans


@dataclass(frozen=True, slots=True)
class Truth:
    """The spans of one record, in their order; times are those written, by the sender's clock."""

    _spans: Spans
    _catalogue: Catalogue
    _fleet: Fleet

    def __len__(self) -> int:
        return len(self._spans)

    @property
    def start_ns(self) -> np.ndarray:
        """Unix ns, (n_spans,) int64."""
        column: np.ndarray = self._spans.start_ns + self._ahead_ns
        return column

    @property
    def end_ns(self) -> np.ndarray:
        """Unix ns, (n_spans,) int64: event time."""
        column: np.ndarray = self._spans.end_ns + self._ahead_ns
        return column

    @property
    def duration_ns(self) -> np.ndarray:
        """(n_spans,) int64."""
        column: np.ndarray = self._spans.end_ns - self._spans.start_ns
        return column

    @property
    def trace_hi(self) -> np.ndarray:
        """First 8 bytes of the trace ids, big-endian, (n_spans,) uint64."""
        return self._spans.trace_hi

    @property
    def trace_lo(self) -> np.ndarray:
        """Last 8 bytes of the trace ids, (n_spans,) uint64."""
        return self._spans.trace_lo

    @property
    def span_id(self) -> np.ndarray:
        """(n_spans,) uint64, big-endian on the wire."""
        return self._spans.span_id

    @property
    def parent_id(self) -> np.ndarray:
        """(n_spans,) uint64, 0 for roots."""
        return self._spans.parent_id

    @property
    def kind(self) -> np.ndarray:
        """OTLP span kinds, (n_spans,) uint8."""
        column: np.ndarray = np.array([each.kind for each in self._catalogue.templates], np.uint8)[self._spans.template]
        return column

    @property
    def status(self) -> np.ndarray:
        """OTLP status codes, (n_spans,) uint8."""
        column: np.ndarray = np.array([each.status for each in self._catalogue.templates], np.uint8)[
            self._spans.template
        ]
        return column

    @property
    def services(self) -> list[str]:
        """`service.name` of each span."""
        return [self._catalogue.templates[t].service for t in self._spans.template.tolist()]

    @property
    def names(self) -> list[str]:
        """Name of each span, ids filled in."""
        templates, traces = self._spans.template.tolist(), self._spans.trace_lo.tolist()
        return [self._catalogue.templates[t].slotted_name.fill(lo) for t, lo in zip(templates, traces, strict=True)]

    @property
    def attributes(self) -> list[dict[str, object]]:
        """Attributes of each span as written, slots of texts unfilled."""
        texts = list(self._catalogue.texts)
        rows = zip(self._spans.template.tolist(), self._spans.values.tolist(), strict=True)
        found = []
        for number, values in rows:
            template = self._catalogue.templates[number]
            drawn = zip(template.variables, values, strict=False)
            found.append(
                dict(template.attributes) | {v.key: texts[value] if v.is_text else value for v, value in drawn}
            )
        return found

    @property
    def _ahead_ns(self) -> np.ndarray:
        column: np.ndarray = np.array([each.ahead_ns for each in self._fleet.instances], np.int64)[self._spans.instance]
        return column
