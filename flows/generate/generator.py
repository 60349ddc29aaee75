"""From a scenario to records: the entry to this package."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, get_args

from flows.errors import UsageError
from flows.generate.batches import Exporters
from flows.generate.encode import ProtoEncoder
from flows.generate.encode_json import JsonEncoder
from flows.generate.instances import Fleet
from flows.generate.moments import duration_ns, unix_ns
from flows.generate.plan import Plan
from flows.generate.traffic import Traffic
from flows.generate.truth import Truth

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime, timedelta

    from flows.generate.scenario import Scenario

Encoding = Literal["otlp_proto", "otlp_json"]


@dataclass(frozen=True, slots=True)
class GeneratedRecord:
    """One export request, as a pod sends it."""

    request: bytes
    time_ns: int  # Unix ns: when it is sent, which Kafka would stamp it with
    spans: int
    truth: Truth


def generate(
    scenario: Scenario,
    *,
    seed: int = 1,
    start: datetime | None = None,
    duration: timedelta | None = None,
    rate: float | None = None,
    encoding: Encoding = "otlp_proto",
) -> Iterator[GeneratedRecord]:
    """The records that a platform's pods send between `start` and `start` + `duration`, in order of sending.

    The same arguments give the same bytes, and a shorter duration the first of a longer one's records. Requests have
    been arriving before the start; what has not been sent at the end is missing, as in any recording.

    Args:
        scenario: what happens.
        seed: 0 or more; another seed is another day like this.
        start: instead of the scenario's; with a time zone.
        duration: instead of the scenario's.
        rate: spans a second at the start, instead of the scenario's.
        encoding: of the requests.

    Raises:
        UsageError: An argument cannot be used.
    """
    if encoding not in get_args(Encoding):
        raise UsageError(f"encoding {encoding!r}", f"there are {', '.join(get_args(Encoding))}")
    if seed < 0:
        raise UsageError(f"seed {seed}", "a seed is 0 or more")
    if rate is not None and rate <= 0:
        raise UsageError(f"rate {rate}", "a rate is more than 0 spans a second")
    start_ns = unix_ns(scenario, start)
    end_ns = start_ns + duration_ns(scenario, duration)
    plan, fleet = Plan.of(scenario), Fleet.of(scenario, seed)
    traffic = Traffic(plan, fleet, seed, start_ns, scenario.rate if rate is None else rate)
    return _records(traffic, end_ns, encoding)


def _records(traffic: Traffic, end_ns: int, encoding: Encoding) -> Iterator[GeneratedRecord]:
    plan, fleet = traffic.plan, traffic.fleet
    encoder = (ProtoEncoder if encoding == "otlp_proto" else JsonEncoder)(plan.catalogue, fleet)
    scenario = plan.scenario
    exporters = Exporters(scenario.export, scenario.late, traffic.seed, traffic.start_ns, traffic.n_values)
    slice_number, until = -1, traffic.start_ns
    while until < end_ns:
        until = min(traffic.start_ns + (slice_number + 1) * traffic.slice_ns, end_ns)
        batches = exporters.send(traffic.slice(slice_number), until)
        starts = batches.starts.tolist()
        bounds = pairwise(starts)
        for request, sent_ns, (first, last) in zip(
            encoder.encode(batches), batches.sent_ns.tolist(), bounds, strict=True
        ):
            truth = Truth(batches.spans.take(slice(first, last)), plan.catalogue, fleet)
            yield GeneratedRecord(request, sent_ns, last - first, truth)
        slice_number += 1
