"""Weights from trace states: the kernel against its slow twin, and what shows a sampler that left no threshold."""

from __future__ import annotations

from collections import Counter

from google.protobuf.json_format import MessageToJson
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from exporters import names
from exporters.labels import LabelSet
from flows.decode.batch import WEIGHT_ONE
from flows.decode.otlp_json import OtlpJson
from flows.decode.otlp_proto import OtlpProto
from flows.decode.sampling import weight_of
from flows.publish import tally_samples
from flows.records import Records

DIGITS = st.text("0123456789abcdef", max_size=16)
KEYS = st.one_of(
    DIGITS.map("th:{}".format), DIGITS.map("rv:{}".format), st.sampled_from(["th", "th:", "th:G", "th:8 ", "", "x:y"])
)
MEMBERS = st.one_of(
    st.lists(KEYS, max_size=3).map(lambda keys: "ot=" + ";".join(keys)),
    st.sampled_from(["", " ", "\t", "vendor=x", "ot", "ot =th:8", "Ot=th:8", "lot=th:8"]),
)
STATES = st.lists(MEMBERS, max_size=3).map(",".join)


def request_of(states: list[str]) -> ExportTraceServiceRequest:
    """A span for each trace state."""
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for state in states:
        spans.add(name="GET", trace_state=state, start_time_unix_nano=1, end_time_unix_nano=2)
    return request


@given(st.lists(STATES, min_size=1, max_size=5))
def test_the_kernel_weighs_and_counts_as_its_slow_twin_does(states: list[str]) -> None:
    request, expected = request_of(states), [weight_of(state) for state in states]
    for batch in (
        OtlpProto().decode(Records.of([request.SerializeToString()])),
        OtlpJson().decode(Records.of([MessageToJson(request).encode()])),
    ):
        assert batch.weight.tolist() == [each.weight for each in expected]
        assert batch.limited.get("weight", 0) == sum(each.is_capped for each in expected)
        assert batch.unweighted == sum(each.is_unsaid for each in expected)


def test_whoever_takes_spans_as_they_are_is_told_nothing_of_samplers() -> None:
    batch = OtlpProto(weighted=False).decode(Records.of([request_of(["ot=rv:8", "ot=th:8"]).SerializeToString()]))
    assert (batch.weight.tolist(), batch.unweighted) == ([WEIGHT_ONE, WEIGHT_ONE], 0)


def test_the_share_of_spans_without_a_threshold_is_shown_by_source() -> None:
    tallies = {"tail": Counter({("spans", ""): 8, ("unweighted", ""): 2}), "head": Counter({("spans", ""): 5})}
    (shown,) = (each for each in tally_samples(tallies, 0) if each.family is names.UNWEIGHTED)
    assert shown.labels == [LabelSet([(names.SOURCE, "tail")]), LabelSet([(names.SOURCE, "head")])]
    assert shown.values.tolist() == [[0.25], [0.0]]
