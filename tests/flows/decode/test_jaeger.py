"""Jaeger's spans in both encodings, against messages that protobuf's own library writes by a schema made here."""

from __future__ import annotations

import json
import random
from typing import Any, NamedTuple

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, message_factory, timestamp_pb2
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from flows.decode.batch import UNKNOWN_SERVICE, Dimension, Identity, Level, Limits, SpanBatch, Wanted
from flows.decode.jaeger_json import JaegerJson
from flows.decode.jaeger_proto import JaegerProto
from flows.decode.otlp_json import OtlpJson
from flows.decode.otlp_proto import OtlpProto
from flows.decode.sampling import weight_of
from flows.records import Records
from tests.flows.decode.mutation import mutate

LATEST = (1 << 63) - 1
KINDS = ["internal", "server", "client", "producer", "consumer"]


def schema() -> dict[str, Any]:
    """Classes of jaeger.api_v2's messages, as far as a span needs them."""
    types = {"string": 9, "bool": 8, "int64": 3, "double": 1, "bytes": 12, "uint32": 13, "enum": 14, "message": 11}
    file = descriptor_pb2.FileDescriptorProto(name="model.proto", package="jaeger.api_v2", syntax="proto3")
    file.dependency.extend(["google/protobuf/timestamp.proto", "google/protobuf/duration.proto"])
    value_type = file.enum_type.add(name="ValueType")
    for number, name in enumerate(["STRING", "BOOL", "INT64", "FLOAT64", "BINARY"]):
        value_type.value.add(name=name, number=number)
    layout = {
        "KeyValue": "1 key string, 2 v_type enum .jaeger.api_v2.ValueType, 3 v_str string, 4 v_bool bool,"
        "5 v_int64 int64, 6 v_float64 double, 7 v_binary bytes",
        "Log": "1 timestamp message .google.protobuf.Timestamp, 2 fields* message .jaeger.api_v2.KeyValue",
        "SpanRef": "1 trace_id bytes, 2 span_id bytes",
        "Process": "1 service_name string, 2 tags* message .jaeger.api_v2.KeyValue",
        "Span": "1 trace_id bytes, 2 span_id bytes, 3 operation_name string, 4 references* message"
        " .jaeger.api_v2.SpanRef, 5 flags uint32, 6 start_time message .google.protobuf.Timestamp,"
        "7 duration message .google.protobuf.Duration, 8 tags* message .jaeger.api_v2.KeyValue,"
        "9 logs* message .jaeger.api_v2.Log, 10 process message .jaeger.api_v2.Process, 11 process_id string,"
        "12 warnings* string",
    }
    for message, fields in layout.items():
        added = file.message_type.add(name=message)
        for field in fields.split(","):
            number, name, kind, *of = field.split()
            label = 3 if name.endswith("*") else 1
            camel = "".join(part.title() if i else part for i, part in enumerate(name.strip("*").split("_")))
            added.field.add(
                name=name.strip("*"),
                number=int(number),
                label=label,
                type=types[kind],
                type_name=of[0] if of else None,
                json_name=camel,
            )
    pool = descriptor_pool.DescriptorPool()
    for known in (timestamp_pb2, duration_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"jaeger.api_v2.{name}")) for name in layout
    }


Span = schema()["Span"]

WATCHED = ["k8s.pod.name", "error", "span.kind", "otel.status_code", "otel.status_description", "http.status_code"]
OTHERS = ["w3c.tracestate", "otel.scope.name", "otel.scope.version", "hostname", "host.name", "service.name", "x"]
DIMENSIONS = (
    Dimension("pod", (Wanted("k8s.pod.name"),)),
    Dimension("host", (Wanted("host.name", (Level.RESOURCE,)), Wanted("hostname"))),
    *(Dimension(name, (Wanted(name),)) for name in (*WATCHED[1:], "otel.scope.name", "otel.scope.version", "x")),
)


class Row(NamedTuple):
    identity: Identity
    end: int
    duration: int
    trace_id: int
    span_id: int
    weight: int


def seen(batch: SpanBatch) -> list[Row]:
    return [
        Row(
            batch.identity(i),
            int(batch.end_ns[i]),
            int(batch.duration_ns[i]),
            int(batch.trace_hi[i]) << 64 | int(batch.trace_lo[i]),
            int(batch.span_id[i]),
            int(batch.weight[i]),
        )
        for i in range(len(batch))
    ]


def tags_of(tags: Any) -> dict[str, Any]:
    """Values of tags by key, the last of each; bytes for what is no scalar."""
    found: dict[str, Any] = {}
    for tag in tags:
        values = (tag.v_str, tag.v_bool, tag.v_int64, tag.v_float64, b"")
        found[tag.key] = values[tag.v_type] if 0 <= tag.v_type < 5 else b""
    return found


def label(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if isinstance(value, bytes) else (value if isinstance(value, str) else repr(value))


def http_code(value: Any) -> int | None:
    if isinstance(value, str):
        digits = value[1:] if value[:1] in ("+", "-") else value
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 64):
            return None
        value = int(value)
        return value if abs(value) <= LATEST else None
    return None if isinstance(value, bool) or not isinstance(value, int) else value


def truth(span: Any) -> Row | None:
    """A message as a row, None where its times are not valid: the Collector's rules, written down once more."""
    start, length = span.start_time, span.duration
    if not (-62135596800 <= start.seconds < 253402300800 and 0 <= start.nanos < 10**9):
        return None
    if abs(length.seconds) > LATEST // 10**9 - 1 or abs(length.nanos) >= 10**9 or length.seconds * length.nanos < 0:
        return None
    begin = start.seconds * 10**9 + start.nanos
    if not abs(start.seconds) <= LATEST // 10**9 - 1:
        begin = LATEST if begin > 0 else -LATEST
    duration = length.seconds * 10**9 + length.nanos

    tags = tags_of(span.tags)
    kind = KINDS.index(tags["span.kind"]) + 1 if tags.get("span.kind") in KINDS else 0
    word, code = tags.get("otel.status_code"), http_code(tags.get("http.status_code"))
    status = 0
    settled = {"span.kind", "w3c.tracestate", "otel.status_code"}
    state = tags.get("w3c.tracestate")
    if tags.get("error") is True:
        status = 2
        settled |= {"error", "otel.status_description"}
    elif word is not None:
        status = {"OK": 1, "ERROR": 2}.get(word.upper() if isinstance(word, str) else "", 0)
        settled |= {"otel.status_description"}
    elif code is not None:
        passed = 100 <= code < 399 or (kind == 2 and 400 <= code < 500)
        status = 0 if passed else 2
    if "otel.scope.name" in tags:
        settled |= {"otel.scope.name", "otel.scope.version"}
    of_span = {key: value for key, value in tags.items() if key not in settled}

    resource: dict[str, Any] = {}
    if span.process.service_name != "OTLPResourceNoServiceName":
        resource = {"service.name": span.process.service_name} | tags_of(span.process.tags)
        if "hostname" in resource and "host.name" not in resource:
            resource["host.name"] = resource.pop("hostname")
    values = []
    for dimension in DIMENSIONS:
        levels = {Level.SPAN: of_span, Level.SCOPE: {}, Level.RESOURCE: resource}
        found = [levels[level].get(place.attribute, b"") for place in dimension.places for level in place.levels]
        values.append(next((label(value) for value in found if not isinstance(value, bytes)), ""))
    identity = Identity(
        label(resource.get("service.name", "")) or UNKNOWN_SERVICE, span.operation_name, kind, status, tuple(values)
    )
    return Row(
        identity,
        min(max(begin + duration, 0), LATEST),
        max(duration, 0),
        int.from_bytes(span.trace_id, "big") if len(span.trace_id) in (8, 16) else 0,
        int.from_bytes(span.span_id, "big") if len(span.span_id) == 8 else 0,
        weight_of(state if isinstance(state, str) else "")[0],
    )


KEYS = st.sampled_from(WATCHED + OTHERS)
TEXTS = st.one_of(
    st.sampled_from(
        [*KINDS, "OK", "error", "Ok", "true", "200", "399", "404", "-1", "+503", "9" * 30, "4 4", "ot=th:8", "ot=rv:8"]
    ),
    st.text(max_size=12),
)


@st.composite
def tags(draw: st.DrawFn) -> dict[str, Any]:
    tag = {"key": draw(KEYS), "v_type": draw(st.integers(0, 4))}
    for name, values in {
        "v_str": TEXTS,
        "v_bool": st.booleans(),
        "v_int64": st.one_of(st.integers(90, 600), st.integers(-(1 << 63), LATEST)),
        "v_float64": st.floats(allow_nan=False),
        "v_binary": st.binary(max_size=5),
    }.items():
        if draw(st.booleans()):
            tag[name] = draw(values)
    return tag


@st.composite
def spans(draw: st.DrawFn) -> Any:
    span = Span(
        trace_id=draw(st.sampled_from([bytes(range(16)), bytes(range(1, 9)), b"", b"short", b"\xff" * 16])),
        span_id=draw(st.binary(min_size=7, max_size=9)),
        operation_name=draw(st.text(max_size=20)),
        tags=draw(st.lists(tags(), max_size=8)),
        warnings=draw(st.lists(st.text(max_size=3), max_size=2)),
    )
    if draw(st.booleans()):
        span.process.service_name = draw(st.sampled_from(["shop", "", "OTLPResourceNoServiceName", "pläne"]))
        for tag in draw(st.lists(tags(), max_size=5)):
            span.process.tags.add(**tag)
    if draw(st.booleans()):
        span.start_time.seconds = draw(st.one_of(st.integers(0, 2 * 10**9), st.integers(-62135596800, 253402300799)))
        span.start_time.nanos = draw(st.integers(0, 10**9 - 1))
    if draw(st.booleans()):
        sign = draw(st.sampled_from([1, 1, 1, -1]))
        span.duration.seconds = sign * draw(st.one_of(st.integers(0, 100), st.integers(0, LATEST // 10**9 - 1)))
        span.duration.nanos = sign * draw(st.integers(0, 10**9 - 1))
    return span


@given(st.lists(spans(), max_size=5))
def test_random_spans_are_read_from_protobuf_and_from_json_as_the_collector_reads_them(messages: list[Any]) -> None:
    messages = [message for message in messages if message.ByteSize()]
    expected = [truth(message) for message in messages]
    proto = JaegerProto(DIMENSIONS).decode(Records.of([message.SerializeToString() for message in messages]))
    plain = JaegerJson(DIMENSIONS).decode(Records.of([MessageToJson(message).encode() for message in messages]))
    assert seen(proto) == expected
    assert seen(plain) == expected
    assert not proto.dead
    assert not plain.dead
    assert proto.clamped == plain.clamped
    assert proto.record.tolist() == plain.record.tolist() == list(range(len(messages)))


@given(spans())
def test_original_field_names_and_enums_as_numbers_are_read_as_well(message: Any) -> None:
    if message.ByteSize():
        text = MessageToJson(message, preserving_proto_field_name=True, use_integers_for_enums=True)
        assert seen(JaegerJson(DIMENSIONS).decode(Records.of([text.encode()]))) == [truth(message)]


@given(spans(), st.integers(0, 3), st.integers(1, 9))
def test_both_encodings_limit_and_count_the_same(message: Any, attributes: int, size: int) -> None:
    if message.ByteSize():
        limits = Limits(attributes_per_span=attributes, string_bytes=size)
        proto = JaegerProto(DIMENSIONS, limits).decode(Records.of([message.SerializeToString()]))
        plain = JaegerJson(DIMENSIONS, limits).decode(Records.of([MessageToJson(message).encode()]))
        assert proto.limited == plain.limited
        assert proto.unweighted == plain.unweighted
        assert seen(proto) == seen(plain)
        assert proto.limited.get("attributes", 0) == sum(
            max(len(tags) - attributes, 0) for tags in (message.tags, message.process.tags)
        )
        assert len(proto.identity(0).span_name.encode()) <= size


def made(**fields: Any) -> Any:
    """A span of one second, with these tags."""
    span = Span(operation_name="op", start_time={"seconds": 1_700_000_000}, duration={"seconds": 1})
    span.process.service_name = "shop"
    for key, value in fields.items():
        key = key.replace("__", ".")
        if isinstance(value, bool):
            span.tags.add(key=key, v_type=1, v_bool=value)
        elif isinstance(value, int):
            span.tags.add(key=key, v_type=2, v_int64=value)
        else:
            span.tags.add(key=key, v_str=value)
    return span


@pytest.mark.parametrize(
    ("tags", "kind", "status"),
    [
        ({}, 0, 0),
        ({"span__kind": "server"}, 2, 0),
        ({"span__kind": "internal"}, 1, 0),
        ({"span__kind": "SERVER"}, 0, 0),
        ({"error": True}, 0, 2),
        ({"error": "true"}, 0, 0),
        ({"error": False, "otel__status_code": "ERROR"}, 0, 2),
        ({"error": True, "otel__status_code": "OK"}, 0, 2),
        ({"otel__status_code": "ok"}, 0, 1),
        ({"otel__status_code": "unset", "http__status_code": 500}, 0, 0),
        ({"http__status_code": 500, "span__kind": "server"}, 2, 2),
        ({"http__status_code": 404, "span__kind": "server"}, 2, 0),
        ({"http__status_code": "404", "span__kind": "client"}, 3, 2),
        ({"http__status_code": 404, "span__kind": "internal"}, 1, 2),
        ({"http__status_code": 302}, 0, 0),
        ({"http__status_code": 399}, 0, 2),
        ({"http__status_code": "many"}, 0, 0),
    ],
)
def test_kind_and_status_follow_the_collectors_rules(tags: dict[str, Any], kind: int, status: int) -> None:
    message = made(**tags)
    for batch in (
        JaegerProto().decode(Records.of([message.SerializeToString()])),
        JaegerJson().decode(Records.of([MessageToJson(message).encode()])),
    ):
        assert (batch.kind.tolist(), batch.status.tolist()) == ([kind], [status])


def test_the_same_series_has_the_same_key_as_from_otlp() -> None:
    """So a service that is moved from one encoding to the other stays one series in every table."""
    request = {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
                "scopeSpans": [{"spans": [{"name": "op", "kind": 2, "attributes": []}]}],
            }
        ]
    }
    from google.protobuf.json_format import ParseDict
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    otlp = ParseDict(request, ExportTraceServiceRequest()).SerializeToString()
    jaeger = made(span__kind="server").SerializeToString()
    ours = JaegerProto(DIMENSIONS).decode(Records.of([jaeger]))
    theirs = OtlpProto(DIMENSIONS).decode(Records.of([otlp]))
    assert ours.identity(0) == theirs.identity(0)
    assert (ours.key_hi[0], ours.key_lo[0]) == (theirs.key_hi[0], theirs.key_lo[0])
    plain = JaegerJson(DIMENSIONS).decode(Records.of([MessageToJson(made(span__kind="server")).encode()]))
    theirs = OtlpJson(DIMENSIONS).decode(Records.of([json.dumps(request).encode()]))
    assert (plain.key_hi[0], plain.key_lo[0]) == (theirs.key_hi[0], theirs.key_lo[0])


def test_spans_of_one_series_share_a_key_and_others_do_not() -> None:
    names = [b"a", b"b", b"a", b"ab", b"b"]
    messages = []
    for name in names:
        message = made()
        message.operation_name = name.decode()
        messages.append(message)
    for decoder, values in (
        (JaegerProto(), [message.SerializeToString() for message in messages]),
        (JaegerJson(), [MessageToJson(message).encode() for message in messages]),
    ):
        batch = decoder.decode(Records.of(values))
        keys = list(zip(batch.key_hi.tolist(), batch.key_lo.tolist(), strict=True))
        again = decoder.decode(Records.of(values[1:2]))
        assert [keys.index(key) for key in keys] == [names.index(name) for name in names]
        assert (again.key_hi[0], again.key_lo[0]) == keys[1]


@pytest.mark.parametrize(
    ("text", "reason", "lost"),
    [
        (b"", "not_json", 0),
        (b"{", "not_json", 0),
        (b"[" * 100_000, "too_deep", 0),
        (b"[]", "not_jaeger", 0),
        (b"{}", "empty", 0),
        (b'{"operationName":5}', "bad_span", 1),
        (b'{"startTime":"yesterday"}', "bad_time", 1),
        (b'{"startTime":"2023-02-30T00:00:00Z"}', "bad_time", 1),
        (b'{"startTime":1675000000}', "bad_time", 1),
        (b'{"duration":"five"}', "bad_time", 1),
        (b'{"duration":"s"}', "bad_time", 1),
        (b'{"duration":"99999999999999999999s"}', "bad_time", 1),
    ],
)
def test_a_json_record_that_cannot_be_read_is_one_dead_letter_with_its_reason(
    text: bytes, reason: str, lost: int
) -> None:
    good = MessageToJson(made()).encode()
    batch = JaegerJson().decode(Records.of([good, text, good]))
    assert batch.record.tolist() == [0, 2]
    assert [(dead.record, dead.reason, dead.spans) for dead in batch.dead] == [(1, reason, lost)]
    assert batch.dead[0].detail


@pytest.mark.parametrize(
    ("data", "reason", "lost"),
    [
        (b"", "empty", 0),
        (b"\x0a", "truncated", 0),
        (b"\x1a\x05abc", "truncated", 0),
        (b"\x07", "bad_tag", 0),
        (b"\x08" + b"\xff" * 11, "bad_varint", 0),
        (b"\x42\x02\x0a\x05", "truncated", 0),
        (b"\x52\x02\x0a\x05", "truncated", 0),
        (b"\x32\x06\x10\x80\x94\xeb\xdc\x03", "bad_time", 1),
    ],
)
def test_a_protobuf_record_that_cannot_be_read_is_one_dead_letter_with_its_reason(
    data: bytes, reason: str, lost: int
) -> None:
    good = made().SerializeToString()
    batch = JaegerProto().decode(Records.of([good, data, good]))
    assert batch.record.tolist() == [0, 2]
    assert [(dead.record, dead.reason, dead.spans) for dead in batch.dead] == [(1, reason, lost)]
    assert batch.dead[0].detail


def generated(n: int, seed: int) -> list[Any]:
    """Spans with everything the decoder reads, and what it passes over."""
    rng = random.Random(seed)
    messages = []
    for _ in range(n):
        message = made()
        message.trace_id, message.span_id = rng.randbytes(16), rng.randbytes(8)
        message.start_time.nanos = rng.randrange(10**9)
        message.references.add(trace_id=rng.randbytes(16), span_id=rng.randbytes(8))
        message.logs.add(timestamp=message.start_time).fields.add(key="event", v_str="it")
        for _ in range(rng.randint(0, 8)):
            key = rng.choice(WATCHED + OTHERS)
            text = rng.choice(["server", "client", "internal", "OK", "ERROR", "é", "404", "ot=th:8"])
            message.tags.add(
                key=key,
                v_type=rng.choice([0, 0, 0, 1, 2, 3, 4]),
                v_str=text,
                v_bool=True,
                v_int64=rng.randint(0, 600),
                v_float64=0.5,
            )
        for _ in range(rng.randint(0, 3)):
            message.process.tags.add(key=rng.choice(WATCHED + OTHERS), v_str=rng.choice(["a", "b", "é"]))
        messages.append(message)
    return messages


def fuzz(cases: int, seed: int) -> int:
    """Mutated spans in protobuf: what protobuf accepts, ours must read the same; how many that were."""
    rng = random.Random(seed)
    decoder = JaegerProto(DIMENSIONS)
    seeds = [message.SerializeToString() for message in generated(100, seed)]
    accepted = 0
    for _ in range(cases):
        data = mutate(rng.choice(seeds), rng)
        batch = decoder.decode(Records.of([b"\xff" * 16, data, b"\xff" * 16]))
        assert [dead.record for dead in batch.dead if dead.record != 1] == [0, 2]
        assert len(batch) + sum(dead.record == 1 for dead in batch.dead) == 1, data.hex()
        try:
            message = Span.FromString(data)
        except (DecodeError, UnicodeDecodeError):
            continue
        if data:
            accepted += 1
            expected = truth(message)
            assert seen(batch) == ([] if expected is None else [expected]), data.hex()
    return accepted


def fuzz_json(cases: int, seed: int) -> int:
    """Mutated spans in JSON: each is a span or a dead letter; how many were spans."""
    rng = random.Random(seed)
    decoder = JaegerJson(DIMENSIONS)
    seeds = [MessageToJson(message, indent=None).encode() for message in generated(100, seed)]
    read = 0
    for _ in range(cases):
        batch = decoder.decode(Records.of([mutate(rng.choice(seeds), rng)]))
        assert len(batch) + len(batch.dead) == 1
        read += len(batch)
    return read


def test_mutated_spans_are_read_as_protobuf_reads_them_or_are_dead_letters() -> None:
    assert 100 < fuzz(1_000, 1) < 1_000
    assert 30 < fuzz_json(1_000, 2) < 1_000


@pytest.mark.slow
def test_ten_thousands_of_mutations_never_raise_and_lose_nothing() -> None:
    assert 2_000 < fuzz(30_000, 3) < 30_000
    assert 500 < fuzz_json(20_000, 4) < 20_000
