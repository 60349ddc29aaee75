"""Both decoders against protobuf's own parser, on real requests, generated ones, and mutations of either."""

from __future__ import annotations

import json
import random
from base64 import b64decode
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
import zstandard
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from flows.decode.batch import UNKNOWN_SERVICE, Dimension, Identity, Limits, SpanBatch, Wanted
from flows.decode.otlp_json import OtlpJson
from flows.decode.otlp_proto import OtlpProto
from flows.records import Partition, Records
from tests.flows.decode.mutation import mutate

if TYPE_CHECKING:
    from pathlib import Path

LARGEST = (1 << 63) - 1
DIMENSIONS = (
    Dimension("status", (Wanted("http.response.status_code"), Wanted("http.status_code"))),
    Dimension("pod", (Wanted("k8s.pod.name"),)),
)


class Row(NamedTuple):
    """One span, as both sides see it."""

    identity: Identity
    end: int
    duration: int
    trace_id: bytes
    span_id: bytes


def seen(batch: SpanBatch) -> list[Row]:
    """A batch's spans as rows."""
    return [
        Row(
            batch.identity(i),
            int(batch.end_ns[i]),
            int(batch.duration_ns[i]),
            int(batch.trace_hi[i]).to_bytes(8, "big") + int(batch.trace_lo[i]).to_bytes(8, "big"),
            int(batch.span_id[i]).to_bytes(8, "big"),
        )
        for i in range(len(batch))
    ]


def text(value: object) -> str:
    """An AnyValue as a label."""
    kind = value.WhichOneof("value")  # type: ignore[attr-defined]
    if kind == "string_value":
        return str(value.string_value)  # type: ignore[attr-defined]
    if kind == "bool_value":
        return "true" if value.bool_value else "false"  # type: ignore[attr-defined]
    if kind == "int_value":
        return str(value.int_value)  # type: ignore[attr-defined]
    return repr(value.double_value) if kind == "double_value" else ""  # type: ignore[attr-defined]


def first(attributes: object, key: str) -> object | None:
    """The first attribute of that key that is a scalar."""
    for attribute in attributes:  # type: ignore[attr-defined]
        if attribute.key == key:
            return attribute.value if text(attribute.value) or attribute.value.WhichOneof("value") else None
    return None


def truth(request: ExportTraceServiceRequest) -> list[Row]:
    """What protobuf's parser read, as rows: slow and obviously right."""
    rows = []
    for of_resource in request.resource_spans:
        service = first(of_resource.resource.attributes, "service.name")
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                levels = (span.attributes, of_scope.scope.attributes, of_resource.resource.attributes)
                values = []
                for dimension in DIMENSIONS:
                    found = [first(level, place.attribute) for place in dimension.places for level in levels]
                    values.append(next((text(value) for value in found if value is not None), ""))
                start, end = span.start_time_unix_nano, span.end_time_unix_nano
                identity = Identity(
                    (text(service) if service is not None else "") or UNKNOWN_SERVICE,
                    span.name,
                    span.kind if 0 <= span.kind <= 5 else 0,
                    span.status.code if 0 <= span.status.code <= 2 else 0,
                    tuple(values),
                )
                trace_id = span.trace_id if len(span.trace_id) == 16 else bytes(16)
                span_id = span.span_id if len(span.span_id) == 8 else bytes(8)
                rows.append(Row(identity, min(end, LARGEST), min(max(end - start, 0), LARGEST), trace_id, span_id))
    return rows


def generated(n: int, seed: int) -> list[bytes]:
    """Requests with everything that the decoder reads."""
    rng = random.Random(seed)
    requests = []
    for _ in range(n):
        request = ExportTraceServiceRequest()
        for _ in range(rng.randint(0, 2)):
            of_resource = request.resource_spans.add()
            for key in rng.sample(["service.name", "k8s.pod.name", "other"], rng.randint(0, 3)):
                of_resource.resource.attributes.add(key=key).value.string_value = f"{key}-{rng.randint(0, 9)}é"
            for _ in range(rng.randint(0, 2)):
                of_scope = of_resource.scope_spans.add()
                for _ in range(rng.randint(0, 3)):
                    span = of_scope.spans.add(name=f"op {rng.randint(0, 99)}", kind=rng.randint(0, 5))
                    span.trace_id, span.span_id = rng.randbytes(16), rng.randbytes(8)
                    span.start_time_unix_nano = rng.randint(0, 1 << 61)
                    span.end_time_unix_nano = span.start_time_unix_nano + rng.randint(-1000, 10**12) % (1 << 62)
                    if rng.random() < 0.5:
                        span.status.code = rng.randint(0, 2)
                        span.status.message = "said"
                    if rng.random() < 0.5:
                        span.attributes.add(key="http.status_code").value.int_value = rng.randint(-5, 600)
                    if rng.random() < 0.3:
                        span.attributes.add(key="http.response.status_code").value.string_value = "204"
                    if rng.random() < 0.3:
                        span.events.add(name="event").attributes.add(key="a").value.bool_value = True
        requests.append(request.SerializeToString())
    return requests


def recorded(folder: Path, n: int) -> list[bytes]:
    """The first requests of a real recording."""
    with (folder / "train-ticket-2023-01-30" / "traces.pb.zst").open("rb") as file:
        stream = zstandard.ZstdDecompressor().stream_reader(file)
        return [stream.read(int.from_bytes(stream.read(4), "big")) for _ in range(n)]


def agree(decoder: OtlpProto, data: bytes) -> bool:
    """Whether protobuf accepts the bytes; if so, ours must have read the same, and must have lost nothing."""
    batch = decoder.decode(Records.of([data]))
    try:
        request = ExportTraceServiceRequest.FromString(data)
    except (DecodeError, UnicodeDecodeError):
        return False
    assert seen(batch) == truth(request), data.hex()
    assert not batch.dead
    return True


def fuzz(seeds: list[bytes], cases: int, seed: int) -> int:
    """Mutated requests; how many protobuf accepted."""
    rng = random.Random(seed)
    decoder = OtlpProto(DIMENSIONS, Limits(string_bytes=1 << 20))
    seeds = [data for data in seeds if data]
    return sum(agree(decoder, mutate(rng.choice(seeds), rng)) for _ in range(cases))


def small(requests: list[bytes]) -> list[bytes]:
    """Requests cut down to few spans, so that mutations meet their structure and protobuf's side is fast."""
    cut = []
    for data in requests:
        request = ExportTraceServiceRequest.FromString(data)
        for of_resource in request.resource_spans:
            for of_scope in of_resource.scope_spans:
                del of_scope.spans[2:]
        del request.resource_spans[2:]
        cut.append(request.SerializeToString())
    return cut


def test_generated_requests_are_read_as_protobuf_reads_them() -> None:
    """Many records in one call, in order."""
    requests = generated(200, 1)
    batch = OtlpProto(DIMENSIONS, Limits()).decode(Records.of(requests))
    expected = [truth(ExportTraceServiceRequest.FromString(data)) for data in requests]
    assert seen(batch) == [row for rows in expected for row in rows]
    assert batch.record.tolist() == [i for i, rows in enumerate(expected) for _ in rows]


def test_equal_keys_mean_equal_identities() -> None:
    """The 128-bit keys tell series apart as their texts do."""
    batch = OtlpProto(DIMENSIONS, Limits()).decode(Records.of(generated(300, 2)))
    by_key: dict[tuple[int, int], Identity] = {}
    for i in range(len(batch)):
        key = (int(batch.key_hi[i]), int(batch.key_lo[i]))
        assert by_key.setdefault(key, batch.identity(i)) == batch.identity(i)
    assert len(by_key) >= len(set(by_key.values()))


def test_json_gives_the_same_columns() -> None:
    """The same requests as OTLP/JSON."""
    requests = generated(100, 3)
    as_json = []
    for data in requests:
        plain = json.loads(MessageToJson(ExportTraceServiceRequest.FromString(data), use_integers_for_enums=True))
        for of_resource in plain.get("resourceSpans", []):
            for of_scope in of_resource.get("scopeSpans", []):
                for span in of_scope.get("spans", []):
                    for key in ("traceId", "spanId"):
                        if key in span:
                            span[key] = b64decode(span[key]).hex()
        as_json.append(json.dumps(plain).encode())
    ours = OtlpJson(DIMENSIONS, Limits()).decode(Records.of(as_json))
    assert seen(ours) == seen(OtlpProto(DIMENSIONS, Limits()).decode(Records.of(requests)))


def test_broken_json_is_a_dead_record_and_a_broken_span_costs_only_itself() -> None:
    """Bad input is a value."""
    good = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"endTimeUnixNano":"x"},{"name":"b","endTimeUnixNano":7}]}]}]}'
    batch = OtlpJson((), Limits()).decode(Records.of([b"{", good, b"[]"]))
    assert [(dead.record, dead.reason) for dead in batch.dead] == [(0, "not_json"), (1, "bad_span"), (2, "not_otlp")]
    assert batch.end_ns.tolist() == [7]


def test_what_lies_beside_a_record_changes_nothing() -> None:
    """No byte outside of the record's bounds is read: poison around it makes no difference."""
    rng = random.Random(4)
    decoder = OtlpProto(DIMENSIONS, Limits())
    for data in generated(100, 5):
        cut = mutate(data or b"\x0a", rng)
        answers = []
        for poison in (b"\x00", b"\xff", b"\x0a"):
            among = np.frombuffer(poison * 64 + cut + poison * 64, np.uint8)
            zero = np.zeros(1, np.int64)
            alone = Records.within(Partition("test", 0), among, zero + 64, zero + 64 + len(cut), zero, zero)
            batch = decoder.decode(alone)
            answers.append((seen(batch), batch.dead))
        assert answers[0] == answers[1] == answers[2]


def test_a_batch_keeps_the_bytes_that_its_text_stands_in() -> None:
    """Text is read from memory when it is asked for, long after the records were handed over."""
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(name="n" * 1_000)
    batch = OtlpProto().decode(Records.of([request.SerializeToString()]))
    others = [b"x" * size for size in range(900, 1_100) for _ in range(50)]
    assert batch.identity(0).span_name == "n" * 1_000
    assert len(others) == 10_000


def test_cuts_at_every_byte_are_rejected_or_read_as_protobuf_reads_them() -> None:
    """Truncation is the commonest damage."""
    decoder = OtlpProto(DIMENSIONS, Limits())
    for data in generated(30, 6):
        for end in range(len(data)):
            agree(decoder, data[:end])


def test_attributes_that_nobody_asked_for_are_passed_over_and_counted() -> None:
    """Without dimensions all attributes of a span are taken in one go; the longer ones one by one."""
    rng = random.Random(11)
    seeds = []
    for data in small(generated(60, 12)):
        request = ExportTraceServiceRequest.FromString(data)
        for of_resource in request.resource_spans:
            for of_scope in of_resource.scope_spans:
                for span in of_scope.spans:
                    for _ in range(rng.randint(0, 9)):
                        value = span.attributes.add(key="k" * rng.choice((0, 1, 40, 130))).value
                        value.string_value = "v" * rng.choice((0, 20, 81, 82, 83, 200))
        seeds.append(request.SerializeToString())
    decoder, most, accepted = OtlpProto((), Limits(attributes_per_span=4, string_bytes=1 << 20)), 4, 0
    for _ in range(2_000):
        data = mutate(rng.choice([seed for seed in seeds if seed]), rng)
        batch = decoder.decode(Records.of([data]))
        try:
            request = ExportTraceServiceRequest.FromString(data)
        except (DecodeError, UnicodeDecodeError):
            continue
        if any(len(of_resource.resource.attributes) > most for of_resource in request.resource_spans):
            continue
        accepted += 1
        known = [row._replace(identity=row.identity._replace(dimensions=())) for row in truth(request)]
        spans = [s for of in request.resource_spans for scope in of.scope_spans for s in scope.spans]
        beyond = sum(max(len(span.attributes) - most, 0) for span in spans)
        assert (seen(batch), batch.dead, batch.limited.get("attributes", 0)) == (known, [], beyond), data.hex()
    assert accepted > 100


def test_mutated_requests_agree_with_protobuf() -> None:
    """The quick share of the fuzz test."""
    assert fuzz(small(generated(100, 7)), 2_000, 8) > 100


@pytest.mark.slow
def test_a_hundred_thousand_mutations_agree_with_protobuf(recorded_data: Path) -> None:
    """Bit flips, cuts, lengths, duplication, reordering, over real and generated requests."""
    accepted = fuzz(small(generated(300, 9) + recorded(recorded_data, 100)), 100_000, 10)
    assert 5_000 < accepted < 95_000
