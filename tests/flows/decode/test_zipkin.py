"""Zipkin's spans in both encodings; protobuf's own library writes and reads messages by a schema made here."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import given
from hypothesis import strategies as st

from flows.decode.batch import UNKNOWN_SERVICE, Dimension, Identity, Level, Limits, SpanBatch, Wanted
from flows.decode.sampling import weight_of
from flows.decode.zipkin_json import ZipkinJson
from flows.decode.zipkin_proto import ZipkinProto
from flows.records import Records
from tests.flows.decode.mutation import mutate

LATEST = (1 << 63) - 1
KINDS = {"SERVER": 2, "CLIENT": 3, "PRODUCER": 4, "CONSUMER": 5}


def schema() -> Any:
    """The class of zipkin.proto3.ListOfSpans."""
    types = {"string": 9, "bool": 8, "int32": 5, "uint64": 4, "fixed64": 6, "bytes": 12, "enum": 14, "message": 11}
    file = descriptor_pb2.FileDescriptorProto(name="zipkin.proto", package="zipkin.proto3", syntax="proto3")
    layout = {
        "Span": "1 trace_id bytes, 2 parent_id bytes, 3 id bytes, 4 kind enum .zipkin.proto3.Span.Kind, 5 name string,"
        "6 timestamp fixed64, 7 duration uint64, 8 local_endpoint message .zipkin.proto3.Endpoint,"
        "9 remote_endpoint message .zipkin.proto3.Endpoint, 10 annotations* message .zipkin.proto3.Annotation,"
        "11 tags* message .zipkin.proto3.Span.TagsEntry, 12 debug bool, 13 shared bool",
        "Endpoint": "1 service_name string, 2 ipv4 bytes, 3 ipv6 bytes, 4 port int32",
        "Annotation": "1 timestamp fixed64, 2 value string",
        "ListOfSpans": "1 spans* message .zipkin.proto3.Span",
    }
    for message, fields in layout.items():
        added = file.message_type.add(name=message)
        for field in fields.split(","):
            number, name, kind, *of = field.split()
            added.field.add(
                name=name.strip("*"),
                number=int(number),
                label=3 if name.endswith("*") else 1,
                type=types[kind],
                type_name=of[0] if of else None,
            )
    span = file.message_type[0]
    kind = span.enum_type.add(name="Kind")
    for number, name in enumerate(["SPAN_KIND_UNSPECIFIED", "CLIENT", "SERVER", "PRODUCER", "CONSUMER"]):
        kind.value.add(name=name, number=number)
    entry = span.nested_type.add(name="TagsEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=1, type=9)
    entry.field.add(name="value", number=2, label=1, type=9)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("zipkin.proto3.ListOfSpans"))


ListOfSpans = schema()

TAGS = ["error", "span.kind", "otel.status_code", "otel.status_description", "k8s.pod.name", "http.status_code", "x"]
OTHERS = ["w3c.tracestate", "otel.scope.name", "otlp.service.name.source", "service.name", "network.local.address"]
DIMENSIONS = (
    Dimension("pod", (Wanted("k8s.pod.name", (Level.RESOURCE,)),)),
    Dimension("none", (Wanted("k8s.pod.name", (Level.SPAN, Level.SCOPE)),)),
    *(Dimension(name, (Wanted(name),)) for name in (*TAGS[:4], *TAGS[5:], "otel.scope.name", "network.local.address")),
    *(
        Dimension(name, (Wanted(name),))
        for name in ("net.host.port", "network.peer.address", "net.peer.port", "service.peer.name")
    ),
)

Row = tuple[Identity, int, int, int, int, int]


def seen(batch: SpanBatch) -> list[Row]:
    return [
        (
            batch.identity(i),
            int(batch.end_ns[i]),
            int(batch.duration_ns[i]),
            int(batch.trace_hi[i]) << 64 | int(batch.trace_lo[i]),
            int(batch.span_id[i]),
            int(batch.weight[i]),
        )
        for i in range(len(batch))
    ]


def dotted(ip: bytes) -> str:
    """An address as text; those made here are of version 4, alone or within version 6, or one of version 6."""
    if len(ip) == 4 or (len(ip) == 16 and ip[:12] == bytes(10) + b"\xff\xff"):
        return ".".join(map(str, ip[-4:]))
    return "2001:db8::1" if ip == bytes.fromhex("20010db8000000000000000000000001") else ""


def truth(span: Any) -> Row:
    """A message as a row: the Collector's rules, written down once more."""
    tags = dict(span.tags)
    service = span.local_endpoint.service_name
    resource = {}
    if service and service != "OTLPResourceNoServiceName":
        source = tags.get("otlp.service.name.source", "")
        resource = {source or "service.name": service}
        resource |= {key: tags[key] for key in ("k8s.pod.name", "service.name") if key in tags}
    kind = {1: 3, 2: 2, 3: 4, 4: 5}.get(span.kind, 0)
    if kind == 0 and tags.pop("span.kind", "") == "internal":
        kind = 1
    status = 0
    if "otel.status_code" in tags:
        words = {"STATUS_CODE_OK": 1, "Ok": 1, "STATUS_CODE_ERROR": 2, "Error": 2}
        status = words.get(tags.pop("otel.status_code"), 0)
        tags.pop("otel.status_description", None)
    if "error" in tags:
        status = 2
        if tags["error"] == "true":
            del tags["error"]
    trace_state = tags.get("w3c.tracestate", "")
    attributes: dict[str, Any] = {
        key: value for key, value in tags.items() if key in (*TAGS[:4], *TAGS[5:], "network.local.address")
    }
    for end, whose, side in ((span.local_endpoint, "local", "host"), (span.remote_endpoint, "peer", "peer")):
        if dotted(end.ipv6 or end.ipv4):
            attributes[f"network.{whose}.address"] = dotted(end.ipv6 or end.ipv4)
        if end.port & 0xFFFF:
            attributes[f"net.{side}.port"] = end.port & 0xFFFF
    if span.remote_endpoint.service_name:
        attributes["service.peer.name"] = span.remote_endpoint.service_name
    values = []
    for dimension in DIMENSIONS:
        levels = {Level.SPAN: attributes, Level.SCOPE: {}, Level.RESOURCE: resource}
        found = [levels[level].get(place.attribute) for place in dimension.places for level in place.levels]
        values.append(next((str(value) for value in found if value is not None), ""))
    end_ns = 1000 * (span.timestamp + span.duration)
    return (
        Identity(resource.get("service.name") or UNKNOWN_SERVICE, span.name, kind, status, tuple(values)),
        min(end_ns, LATEST),
        min(1000 * span.duration, LATEST),
        int.from_bytes(span.trace_id, "big") if len(span.trace_id) in (8, 16) else 0,
        int.from_bytes(span.id, "big") if len(span.id) == 8 else 0,
        weight_of(trace_state)[0],
    )


def as_json(span: Any) -> dict[str, Any]:
    """The same span as Zipkin's JSON has it: what is absent is left out."""
    kinds = ["", "CLIENT", "SERVER", "PRODUCER", "CONSUMER"]
    plain: dict[str, Any] = {
        "traceId": span.trace_id.hex(),
        "id": span.id.hex(),
        "name": span.name,
        "kind": kinds[span.kind],
        "timestamp": span.timestamp,
        "duration": span.duration,
        "tags": dict(span.tags),
    }
    for key, end in (("localEndpoint", span.local_endpoint), ("remoteEndpoint", span.remote_endpoint)):
        ends = {"serviceName": end.service_name, "ipv4": dotted(end.ipv4), "ipv6": dotted(end.ipv6), "port": end.port}
        plain[key] = {name: value for name, value in ends.items() if value}
    return {name: value for name, value in plain.items() if value}


TEXTS = st.one_of(
    st.sampled_from(
        ["", "true", "false", "internal", "client", "STATUS_CODE_OK", "Error", "Ok", "ot=th:8", "ot=rv:8", "faas.name"]
    ),
    st.text(max_size=8),
)


@st.composite
def lists(draw: st.DrawFn) -> Any:
    message = ListOfSpans()
    for _ in range(draw(st.integers(0, 3))):
        span = message.spans.add(
            trace_id=draw(st.sampled_from([bytes(range(16)), bytes(range(1, 9)), b""])),
            id=draw(st.sampled_from([bytes(range(8)), b""])),
            kind=draw(st.integers(0, 4)),
            name=draw(st.text(max_size=10)),
            timestamp=draw(st.one_of(st.integers(0, 2 * 10**15), st.integers(0, (1 << 64) - 1))),
            duration=draw(st.one_of(st.integers(0, 10**6), st.integers(0, (1 << 64) - 1))),
        )
        for end in (span.local_endpoint, span.remote_endpoint):
            if draw(st.booleans()):
                end.service_name = draw(st.sampled_from(["shop", "", "OTLPResourceNoServiceName"]))
                end.ipv4 = draw(st.sampled_from([b"", b"\x0a\0\0\1", bytes(10) + b"\xff\xff\x0a\0\0\2"]))
                end.ipv6 = draw(st.sampled_from([b"", bytes.fromhex("20010db8000000000000000000000001")]))
                end.port = draw(st.sampled_from([0, 80, 65535]))
        for key in draw(st.lists(st.sampled_from(TAGS + OTHERS), max_size=6)):
            span.tags[key] = draw(TEXTS)
    return message


@given(st.lists(lists(), max_size=3))
def test_random_spans_are_read_from_protobuf_and_from_json_as_the_collector_reads_them(messages: list[Any]) -> None:
    expected = [truth(span) for message in messages for span in message.spans]
    texts = [json.dumps([as_json(span) for span in message.spans]).encode() for message in messages]
    for batch in (
        ZipkinProto(DIMENSIONS).decode(Records.of([message.SerializeToString() for message in messages])),
        ZipkinJson(DIMENSIONS).decode(Records.of(texts)),
    ):
        assert seen(batch) == expected
        assert batch.record.tolist() == [i for i, message in enumerate(messages) for _ in message.spans]
        assert not batch.dead


@given(lists(), st.integers(1, 2), st.integers(0, 3), st.integers(1, 9))
def test_both_encodings_limit_and_count_the_same(message: Any, spans: int, attributes: int, size: int) -> None:
    limits = Limits(spans_per_record=spans, attributes_per_span=attributes, string_bytes=size)
    # The order of a map's entries is the writer's: JSON takes the one that protobuf wrote.
    read = ListOfSpans.FromString(message.SerializeToString(deterministic=True))
    if all(len(span.tags) <= attributes for span in read.spans):
        text = json.dumps([as_json(span) for span in read.spans]).encode()
        proto = ZipkinProto(DIMENSIONS, limits).decode(Records.of([message.SerializeToString()]))
        plain = ZipkinJson(DIMENSIONS, limits).decode(Records.of([text]))
        assert seen(proto) == seen(plain)
        assert proto.limited == plain.limited
        assert proto.unweighted == plain.unweighted
        assert proto.limited.get("spans", 0) == max(len(read.spans) - spans, 0)


def test_tags_beyond_the_limit_are_dropped_and_counted() -> None:
    message = ListOfSpans()
    message.spans.add(name="a", tags={str(i): "x" for i in range(10)})
    for batch in (
        ZipkinProto(limits=Limits(attributes_per_span=3)).decode(Records.of([message.SerializeToString()])),
        ZipkinJson(limits=Limits(attributes_per_span=3)).decode(
            Records.of([json.dumps([as_json(message.spans[0])]).encode()])
        ),
    ):
        assert batch.limited == {"attributes": 7}
        assert len(batch) == 1


@pytest.mark.parametrize(
    ("kind", "tags", "expected"),
    [
        ("SERVER", {}, (2, 0)),
        ("server", {}, (0, 0)),
        ("", {"span.kind": "internal"}, (1, 0)),
        ("", {"span.kind": "client"}, (0, 0)),
        ("CLIENT", {"span.kind": "internal"}, (3, 0)),
        ("", {"error": ""}, (0, 2)),
        ("", {"error": "false"}, (0, 2)),
        ("", {"otel.status_code": "OK"}, (0, 0)),
        ("", {"otel.status_code": "Ok"}, (0, 1)),
        ("", {"otel.status_code": "STATUS_CODE_OK", "error": "true"}, (0, 2)),
        ("", {"http.status_code": "500"}, (0, 0)),
    ],
)
def test_kind_and_status_follow_the_collectors_rules(
    kind: str, tags: dict[str, str], expected: tuple[int, int]
) -> None:
    batch = ZipkinJson().decode(Records.of([json.dumps([{"kind": kind, "tags": tags}]).encode()]))
    assert (batch.kind[0], batch.status[0]) == expected


def test_a_broken_span_costs_only_itself_and_many_of_them_are_one_dead_letter() -> None:
    text = (
        b'[{"name":"a"},5,{"name":6},{"timestamp":"7"},{"duration":-1},{"name":"b","tags":{"x":1,"y":true,"z":null}}]'
    )
    batch = ZipkinJson((Dimension("x", (Wanted("x"),)), Dimension("y", (Wanted("y"),)))).decode(Records.of([text]))
    assert [batch.identity(i).span_name for i in range(len(batch))] == ["a", "b"]
    assert batch.identity(1).dimensions == ("1", "true")
    assert [(dead.record, dead.reason, dead.spans) for dead in batch.dead] == [(0, "bad_span", 2), (0, "bad_time", 2)]


def test_records_that_are_none_are_dead_letters_with_their_reason() -> None:
    batch = ZipkinJson().decode(Records.of([b"{", b"{}", b"[", b"\xff", b"[" * 100_000, b"[]"]))
    assert [(dead.record, dead.reason) for dead in batch.dead] == [
        (0, "not_json"),
        (1, "not_zipkin"),
        (2, "not_json"),
        (3, "not_json"),
        (4, "too_deep"),
    ]
    batch = ZipkinProto().decode(Records.of([b"", b"\x0a", b"\x0a\x02\x2a\x05\x0a\x00", b"\x07"]))
    assert len(batch) == 1
    assert [(dead.record, dead.reason, dead.spans) for dead in batch.dead] == [
        (1, "truncated", 0),
        (2, "truncated", 1),
        (3, "bad_tag", 0),
    ]


def generated(n: int, seed: int) -> list[Any]:
    rng = random.Random(seed)
    messages = []
    for _ in range(n):
        message = ListOfSpans()
        for _ in range(rng.randint(1, 2)):
            span = message.spans.add(trace_id=rng.randbytes(16), id=rng.randbytes(8), kind=rng.randint(0, 4), name="é")
            span.timestamp, span.duration = rng.randrange(2 * 10**15), rng.randrange(10**6)
            span.local_endpoint.service_name, span.local_endpoint.port = "shop", 80
            span.remote_endpoint.ipv4 = b"\x0a\0\0\1"
            span.annotations.add(timestamp=span.timestamp, value="noted")
            for key in rng.sample(TAGS + OTHERS, 4):
                span.tags[key] = rng.choice(["true", "internal", "Ok", "ot=th:8", "é"])
        messages.append(message)
    return messages


def fuzz(cases: int, seed: int) -> int:
    """Mutated lists in protobuf: what protobuf accepts, ours must read the same; how many that were."""
    rng = random.Random(seed)
    decoder = ZipkinProto(DIMENSIONS)
    seeds = [message.SerializeToString() for message in generated(100, seed)]
    accepted = 0
    for _ in range(cases):
        data = mutate(rng.choice(seeds), rng)
        batch = decoder.decode(Records.of([data]))
        try:
            message = ListOfSpans.FromString(data)
        except (DecodeError, UnicodeDecodeError):
            continue
        accepted += 1
        if all(is_comparable(span) for span in message.spans):
            assert seen(batch) == [truth(span) for span in message.spans], data.hex()
        assert not batch.dead, data.hex()
    return accepted


def is_comparable(span: Any) -> bool:
    """Not where an address is no address, or a tag has a field nobody knows: this library alone drops such a tag."""
    ips = [ip for end in (span.local_endpoint, span.remote_endpoint) for ip in (end.ipv4, end.ipv6)]
    return all(dotted(ip) or not ip for ip in ips) and all(field.field_number != 11 for field in UnknownFieldSet(span))


def fuzz_json(cases: int, seed: int) -> int:
    """Mutated arrays in JSON: a record is read or is a dead letter; how many were read."""
    rng = random.Random(seed)
    decoder = ZipkinJson(DIMENSIONS)
    seeds = [json.dumps([as_json(span) for span in message.spans]).encode() for message in generated(100, seed)]
    read = 0
    for _ in range(cases):
        data = mutate(rng.choice(seeds), rng)
        batch = decoder.decode(Records.of([data]))
        try:
            expected = json.loads(data)
        except ValueError:
            expected = None
        if isinstance(expected, list) and not any(dead.reason == "not_json" for dead in batch.dead):
            assert len(batch) + sum(dead.spans for dead in batch.dead) == len(expected), data
            read += 1
        else:
            assert len(batch) == 0
            assert len(batch.dead) == 1
    return read


def test_mutated_lists_are_read_as_protobuf_reads_them_or_are_dead_letters() -> None:
    assert 50 < fuzz(1_000, 1) < 1_000
    assert 50 < fuzz_json(1_000, 2) < 1_000


@pytest.mark.slow
def test_ten_thousands_of_mutations_never_raise_and_lose_nothing() -> None:
    assert 1_000 < fuzz(20_000, 3) < 20_000
    assert 1_000 < fuzz_json(20_000, 4) < 20_000
