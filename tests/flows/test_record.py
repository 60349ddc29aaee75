"""Recording: frames that mean what the records meant, files that a crash may cut, and the command on a real broker."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import yaml
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from flows.decode.batch import Dimension, SpanBatch, Wanted
from flows.decode.encodings import decoder
from flows.errors import DataError, OutputError
from flows.record.appending import Appending, blocks
from flows.record.convert import converter
from flows.record.parts import Parts, existing_parts, part_path
from flows.recording import LANES, Lanes, Recording
from flows.recording.index import Entry
from flows.recording.naming import index_of
from flows.records import Partition, Records

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.kafka import Broker

DIMENSIONS = (
    Dimension("pod", (Wanted("k8s.pod.name"),)),
    Dimension("code", (Wanted("http.status_code"),)),
    Dimension("ratio", (Wanted("ratio"),)),
    Dimension("cached", (Wanted("cached"),)),
)
T0 = Partition("otlp_spans", 0)
T1 = Partition("otlp_spans", 1)


def rows(batch: SpanBatch) -> list[tuple[Any, ...]]:
    """What the engine sees of a batch's spans; where spans stand in a record does not matter."""
    columns = (batch.end_ns, batch.duration_ns, batch.trace_hi, batch.trace_lo, batch.span_id, batch.weight)
    return sorted((*(int(column[i]) for column in columns), batch.identity(i)) for i in range(len(batch)))


# Conversion


def otlp(number: int) -> ExportTraceServiceRequest:
    rng = random.Random(number)
    request = ExportTraceServiceRequest()
    for service in range(2):
        of_resource = request.resource_spans.add()
        for key, value in (("service.name", f"s{service}"), ("k8s.pod.name", f"pod-{number}")):
            attribute = of_resource.resource.attributes.add(key=key)
            attribute.value.string_value = value
        scope = of_resource.scope_spans.add()
        scope.scope.name = "http"
        for i in range(3):
            start = 1_772_442_000_000_000_000 + rng.randrange(10**9)
            span = scope.spans.add(name=f"GÉT /{i}", kind=rng.randrange(6), trace_state="ot=th:8" if i else "")
            span.trace_id, span.span_id = rng.randbytes(16), rng.randbytes(8)
            span.start_time_unix_nano, span.end_time_unix_nano = start, start + rng.randrange(10**9)
            span.status.code, span.status.message = rng.randrange(3), "why"
            span.attributes.add(key="http.status_code").value.int_value = rng.randrange(-5, 600)
            span.attributes.add(key="ratio").value.double_value = rng.random()
            span.attributes.add(key="cached").value.bool_value = bool(rng.randrange(2))
            span.attributes.add(key="nested").value.array_value.values.add().string_value = "x"
            span.events.add(name="retried", time_unix_nano=start)
            span.links.add(trace_id=rng.randbytes(16), span_id=rng.randbytes(8))
    return request


def otlp_json(request: ExportTraceServiceRequest) -> bytes:
    """OTLP/JSON: as protobuf's, but ids in hex."""

    def with_hex(value: Any) -> Any:
        if isinstance(value, list):
            return [with_hex(each) for each in value]
        if not isinstance(value, dict):
            return value
        ids = ("traceId", "spanId", "parentSpanId")
        return {key: _hex(each) if key in ids else with_hex(each) for key, each in value.items()}

    return json.dumps(with_hex(MessageToDict(request, use_integers_for_enums=True))).encode()


def _hex(base64: str) -> str:
    import base64 as codec

    return codec.b64decode(base64).hex()


def test_otlp_in_protobuf_stays_as_it_is_and_what_cannot_be_decoded_has_a_reason() -> None:
    good = otlp(1).SerializeToString()
    frames = converter("otlp_proto")(Records.of([good, b"\x0a\x05no", b""]))
    assert [frame.request for frame in frames] == [good, b"", b""]
    assert [frame.reason for frame in frames] == ["", "truncated", ""]


def test_otlp_in_json_keeps_every_field() -> None:
    requests = [otlp(number) for number in range(5)]
    frames = converter("otlp_json")(Records.of([otlp_json(request) for request in requests]))
    assert [ExportTraceServiceRequest.FromString(frame.request) for frame in frames] == requests


JAEGER_JSON = {
    "traceId": b64encode(bytes(15) + b"\x07").decode(),
    "spanId": b64encode(bytes(7) + b"\x09").decode(),
    "operationName": "GET /cart",
    "startTime": "2026-03-02T09:00:00.123456Z",
    "duration": "0.000250s",
    "tags": [
        {"key": "span.kind", "vStr": "client"},
        {"key": "http.status_code", "vType": "INT64", "vInt64": "503"},
        {"key": "ratio", "vType": "FLOAT64", "vFloat64": 0.5},
        {"key": "cached", "vType": "BOOL", "vBool": True},
        {"key": "w3c.tracestate", "vStr": "ot=th:8"},
        {"key": "blob", "vType": "BINARY", "vBinary": "AAEC"},
    ],
    "process": {"serviceName": "cart", "tags": [{"key": "k8s.pod.name", "vStr": "cart-1"}]},
}
ZIPKIN_JSON = {
    "traceId": "0000000000000007",
    "id": "0000000000000009",
    "name": "get /cart",
    "kind": "SERVER",
    "timestamp": 1_772_442_000_123_456,
    "duration": 250,
    "localEndpoint": {"serviceName": "cart", "ipv4": "10.0.0.1", "port": 80},
    "tags": {"http.status_code": "503", "error": "", "k8s.pod.name": "cart-1", "ratio": "0.5"},
}


def _field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return bytes([number << 3]) + _varint(value)
    return bytes([number << 3 | 2]) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _tag(key: str, kind: int, value: bytes | int) -> bytes:
    return _field(1, key.encode()) + _field(2, kind) + _field(kind + 3, value)


JAEGER_PROTO = (
    _field(1, bytes(15) + b"\x07")
    + _field(2, bytes(7) + b"\x09")
    + _field(3, b"GET /cart")
    + _field(6, _field(1, 1_772_442_000) + _field(2, 123_456_000))
    + _field(7, _field(2, 250_000))
    + _field(8, _tag("span.kind", 0, b"client"))
    + _field(8, _tag("http.status_code", 2, 503))
    + _field(8, _tag("cached", 1, 1))
    + _field(8, _tag("w3c.tracestate", 0, b"ot=th:8"))
    + _field(8, _tag("blob", 4, b"\0\1"))
    + _field(10, _field(1, b"cart") + _field(2, _tag("k8s.pod.name", 0, b"cart-1")))
)
ZIPKIN_PROTO = _field(
    1,
    _field(1, bytes(7) + b"\x07")
    + _field(3, bytes(7) + b"\x09")
    + _field(4, 2)
    + _field(5, b"get /cart")
    + bytes([6 << 3 | 1])
    + (1_772_442_000_123_456).to_bytes(8, "little")
    + _field(7, 250)
    + _field(8, _field(1, b"cart"))
    + _field(11, _field(1, b"k8s.pod.name") + _field(2, b"cart-1")),
)

GOOD = {
    "otlp_json": [otlp_json(otlp(number)) for number in range(3)],
    "jaeger_json": [json.dumps(JAEGER_JSON).encode()],
    "jaeger_proto": [JAEGER_PROTO, JAEGER_PROTO[:-1] + b"2"],
    "zipkin_json": [json.dumps([ZIPKIN_JSON, {**ZIPKIN_JSON, "kind": "CLIENT"}]).encode(), b"[]"],
    "zipkin_proto": [ZIPKIN_PROTO, ZIPKIN_PROTO * 2],
}


@pytest.mark.parametrize("encoding", list(GOOD))
def test_a_converted_record_gives_the_spans_that_the_record_gave(encoding: str) -> None:
    records = Records.of(GOOD[encoding])
    before = decoder(encoding, DIMENSIONS).decode(records)
    frames = converter(encoding)(records)
    after = decoder("otlp_proto", DIMENSIONS).decode(Records.of([frame.request for frame in frames]))
    assert rows(after) == rows(before)
    assert len(before) > 0
    assert before.dead == after.dead == []


@pytest.mark.parametrize("encoding", list(GOOD))
def test_any_bytes_give_the_spans_or_the_reason_that_the_decoder_gives(encoding: str) -> None:
    rng = random.Random(7)
    decoded = 0
    for _ in range(400):
        payload = bytearray(rng.choice(GOOD[encoding]))
        for _ in range(rng.randint(1, 4)):
            payload[rng.randrange(len(payload))] = rng.randrange(256)
        records = Records.of([bytes(payload)])
        before = decoder(encoding, DIMENSIONS).decode(records)
        (frame,) = converter(encoding)(records)
        after = decoder("otlp_proto", DIMENSIONS).decode(Records.of([frame.request]))
        assert after.dead == []
        assert rows(after) == rows(before), bytes(payload)
        whole = not len(before) and any(before.dead)
        assert (frame.reason != "") == whole, bytes(payload)
        if not whole:
            assert frame.lost_spans == sum(dead.spans for dead in before.dead)
        decoded += len(before)
    assert decoded > 20


# Files


def write(parts: Parts, first: int, count: int, of: Partition = T0) -> None:
    for offset in range(first, first + count):
        parts.frame(of, offset, 1_000 + offset, 1, otlp(offset % 7).SerializeToString())


def told(out: Path) -> list[tuple[Partition, int, int, bytes]]:
    """Every record of a recording with its coordinates, as a replay reads it."""
    lanes = Lanes(Recording(existing_parts(out), signal="spans"))
    found = []
    for lane in [lanes.open(number) for number in range(LANES)]:
        while (share := lane.next()) is not None:
            for records in share.records:
                for i in range(len(records)):
                    where = records.partition, int(records.offsets[i]), int(records.timestamps_ms[i])
                    found.append((*where, records.payload(i)))
    return sorted(found)


def wanted(first: int, count: int, of: Partition = T0) -> list[tuple[Partition, int, int, bytes]]:
    return [(of, n, 1_000 + n, otlp(n % 7).SerializeToString()) for n in range(first, first + count)]


def test_a_recording_goes_on_where_it_ended(tmp_path: Path) -> None:
    out = tmp_path / "new" / "traces.pb.zst"
    for first in (0, 10, 20):
        parts = Parts(out)
        assert parts.positions == ({T0: first, T1: 5} if first else {})
        write(parts, first, 10)
        if not first:
            parts.dead(T1, 4, 7, "truncated")
        parts.close()
    assert told(out) == wanted(0, 30)


def test_wherever_a_crash_cuts_the_files_the_next_start_makes_them_whole(tmp_path: Path) -> None:
    out = tmp_path / "traces.pb.zst"
    parts = Parts(out)
    marks = [0]
    for first in range(0, 12, 3):
        write(parts, first, 3)
        parts.flush()
        marks.append(first + 3)
    parts.idle([T0], 1000)
    parts.close()
    data, index = out.read_bytes(), index_of(str(out)).read_bytes()
    rng = random.Random(3)
    kept = set()
    for _ in range(60):
        out.write_bytes(data[: rng.choice([len(data), rng.randrange(len(data) + 1)])])
        index_of(str(out)).write_bytes(index[: rng.choice([len(index), rng.randrange(len(index) + 1)])])
        again = Parts(out)
        position = again.positions.get(T0, 0)
        assert position in marks
        kept.add(position)
        write(again, position, 20 - position)
        again.close()
        assert told(out) == wanted(0, 20)
    assert kept == set(marks)


def test_parts_follow_each_other_and_the_last_one_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "traces.pb.zst"
    for first in (0, 30):
        parts = Parts(out, rotate_bytes=4096)
        for at in range(first, first + 30, 5):
            write(parts, at, 5)
            parts.flush()
        parts.close()
    names = [path.name for path in existing_parts(out)]
    assert names[:3] == ["traces.pb.zst", "traces-2.pb.zst", "traces-3.pb.zst"]
    assert told(out) == wanted(0, 60)
    out.unlink()
    index_of(str(out)).unlink()
    parts = Parts(out)
    assert parts.path.name == names[-1]
    assert parts.positions == {T0: 60}
    parts.close()


def test_the_tenth_part_is_behind_the_second(tmp_path: Path) -> None:
    out = tmp_path / "t.pb"
    for number in (10, 2, 1):
        part_path(out, number).touch()
    (tmp_path / "t-x.pb").touch()
    assert [path.name for path in existing_parts(out)] == ["t.pb", "t-2.pb", "t-10.pb"]


def test_every_part_knows_partitions_of_which_nothing_came(tmp_path: Path) -> None:
    out = tmp_path / "traces.pb.zst"
    parts = Parts(out, rotate_bytes=1)
    parts.know([T0, T1])
    write(parts, 0, 2)
    parts.flush()
    parts.close()
    for part in existing_parts(out):
        lanes = Lanes(Recording(part, signal="spans"))
        assert sorted(each for lane in range(LANES) for each in lanes.partitions(lane)) == [T0, T1]


def test_a_request_that_begins_with_an_unknown_field_leaves_the_recording_readable(tmp_path: Path) -> None:
    out = tmp_path / "traces.pb.zst"
    request = b"\x7a\x01x" + otlp(1).SerializeToString()
    parts = Parts(out)
    parts.frame(T0, 0, 1, 1, request)
    parts.frame(T0, 1, 1, 1, b"")
    parts.close()
    (first, second) = told(out)
    assert second[3] == b""
    batches = [decoder("otlp_proto", DIMENSIONS).decode(Records.of([each])) for each in (first[3], request)]
    assert rows(batches[0]) == rows(batches[1])
    assert len(batches[0]) == 6


def test_files_that_record_did_not_write_are_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "traces.pb.zst"
    out.write_bytes(b"somebody's")
    with pytest.raises(OutputError, match="no index is beside it"):
        Parts(out)
    index_of(str(out)).touch()
    with pytest.raises(OutputError, match="is no zstd stream"):
        Parts(out)
    assert out.read_bytes() == b"somebody's"


def test_two_recorders_of_one_recording_are_refused(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "traces.pb.zst")
    with pytest.raises(OutputError, match="is being written by another process"):
        Parts(tmp_path / "traces.pb.zst")
    parts.close()


def test_a_partition_that_goes_back_was_made_anew_and_is_refused(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "traces.pb.zst")
    write(parts, 5, 2)
    with pytest.raises(DataError, match="gives offset 3"):
        write(parts, 3, 1)
    parts.close()


def test_a_full_disk_is_said_and_what_was_stored_stays(tmp_path: Path) -> None:
    file = Appending(tmp_path / "x")
    file.add(b"stored")
    file.flush()
    file._file.close()
    file._file = open("/dev/full", "wb", buffering=0)  # noqa: PTH123, SIM115
    file.add(b"more")
    with pytest.raises(OutputError, match="No space left"):
        file.flush()
    file.close()
    assert [block.data for block in blocks(tmp_path / "x")] == [b"stored"]


# The command, on a real broker


class Record:
    """One `streamgauge record` as a process."""

    def __init__(
        self, folder: Path, broker: Broker, topics: list[dict[str, str]], *arguments: str, **kafka: Any
    ) -> None:
        self.out = folder / "traces.pb.zst"
        config = folder / "record.yaml"
        settings = {"bootstrap_servers": broker.bootstrap, "topics": topics, "metadata_refresh": "1s", **kafka}
        config.write_text(yaml.safe_dump({"kafka": settings}))
        command = [sys.executable, "-m", "flows.cli", "record", "--config", str(config), str(self.out), *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def end(self, number: int = signal.SIGINT) -> str:
        """End it; what it said."""
        try:
            self.process.send_signal(number)
            return self.process.communicate(timeout=30)[0]
        finally:
            self.process.kill()
            self.process.communicate()

    def wait_for(self, n_records: int, within: float = 60.0) -> None:
        until = time.monotonic() + within
        while sum(1 for entry in lines(self.out) if entry.idle is None) < n_records:
            if time.monotonic() > until or self.process.poll() is not None:
                raise AssertionError(f"{n_records} are not recorded: {self.end()}")
            time.sleep(0.1)


def lines(out: Path) -> list[Entry]:
    """The lines of all indexes."""
    return [
        msgspec.json.decode(line, type=Entry)
        for part in existing_parts(out)
        for block in blocks(index_of(str(part)))
        for line in block.data.splitlines()
    ]


def spans(name: str, encoding: str = "otlp_proto") -> dict[str, str]:
    return {"name": name, "signal": "spans", "encoding": encoding}


@pytest.mark.slow
def test_kills_leave_neither_a_gap_nor_a_duplicate(broker: Broker, tmp_path: Path) -> None:
    rng = random.Random(5)
    topic = broker.create_topic("killed", 3)
    produced: dict[int, list[bytes]] = {0: [], 1: [], 2: []}

    def produce(count: int) -> None:
        for number, values in produced.items():
            more = [otlp(rng.randrange(50)).SerializeToString() for _ in range(count)]
            broker.produce(topic, number, more, [1_000 + i for i in range(count)], compression="zstd")
            values += more

    produce(50)
    for _ in range(6):
        record = Record(tmp_path, broker, [spans(topic)], "--rotate", "8KiB")
        record.wait_for(sum(entry.idle is None for entry in lines(record.out)) + 1)
        until = time.monotonic() + rng.random() * 1.5
        while time.monotonic() < until:
            produce(2)
        record.end(signal.SIGKILL)
        produce(2)
    record = Record(tmp_path, broker, [spans(topic)], "--rotate", "8KiB")
    record.wait_for(3 * len(produced[0]))
    said = record.end()
    assert record.process.returncode == 0, said
    assert "streamgauge replay" in said
    found: dict[int, list[bytes]] = {0: [], 1: [], 2: []}
    for n, (partition, offset, _, payload) in enumerate(told(record.out)):
        assert offset == len(found[partition.number]), n
        found[partition.number].append(payload)
    assert found == produced
    assert len(existing_parts(record.out)) > 2


@pytest.mark.slow
def test_every_encoding_dead_records_and_idle_ticks_are_in_one_recording(broker: Broker, tmp_path: Path) -> None:
    topics = {encoding: broker.create_topic(f"as-{encoding.replace('_', '-')}", 1) for encoding in GOOD}
    silent = broker.create_topic("recorded-silence", 1)
    for encoding, topic in topics.items():
        broker.produce(
            topic,
            0,
            [*GOOD[encoding], b"\xff", None, GOOD[encoding][0]],
            timestamps_ms=range(1, len(GOOD[encoding]) + 4),
        )
    count = sum(len(records) + 3 for records in GOOD.values())
    record = Record(tmp_path, broker, [*(spans(topic, encoding) for encoding, topic in topics.items()), spans(silent)])
    record.wait_for(count)
    time.sleep(3.5)
    said = record.end(signal.SIGTERM)
    assert record.process.returncode == 0, said
    assert f"{count - 2 * len(topics)} records, {2 * len(topics)} that cannot be decoded" in said
    index = lines(record.out)
    dead = [(entry.source, entry.offset) for entry in index if entry.reason is not None]
    assert sorted(dead) == sorted((topics[each], len(GOOD[each]) + i) for each in topics for i in (0, 1))
    assert {entry.reason for entry in index if entry.reason} >= {"null_value", "not_json"}
    assert {entry.timestamp_type for entry in index if entry.frame is not None} == {1}
    ticks = [entry.elapsed_ms for entry in index if entry.idle and Partition(silent, 0) in entry.idle]
    assert 2_000 <= sum(ticks) <= 30_000
    for encoding, topic in topics.items():
        mine = [payload for partition, _, _, payload in told(record.out) if partition.source == topic]
        before = decoder(encoding, DIMENSIONS).decode(Records.of([*GOOD[encoding], GOOD[encoding][0]]))
        after = decoder("otlp_proto", DIMENSIONS).decode(Records.of(mine))
        assert rows(before) == rows(after)


@pytest.mark.slow
def test_what_came_while_nobody_recorded_is_no_gap_where_it_starts_at_the_latest(
    broker: Broker, tmp_path: Path
) -> None:
    topic = broker.create_topic("later", 1)
    broker.produce(topic, 0, [otlp(0).SerializeToString()] * 3)
    record = Record(tmp_path, broker, [spans(topic)], start="latest")
    until = time.monotonic() + 30
    while not (tmp_path / "traces.pb.zst.start.json").exists():
        assert time.monotonic() < until
        time.sleep(0.1)
    time.sleep(1.0)
    record.end()
    broker.produce(topic, 0, [otlp(1).SerializeToString()] * 2)
    record = Record(tmp_path, broker, [spans(topic)], start="latest")
    record.wait_for(2)
    record.end()
    assert [offset for _, offset, _, _ in told(record.out)] == [3, 4]


@pytest.mark.slow
def test_a_duration_ends_it_and_a_broker_that_does_not_answer_is_said(broker_factory: Any, tmp_path: Path) -> None:
    broker = broker_factory(start=False)
    record = Record(tmp_path, broker, [spans("otlp_spans")], "--duration", "2s")
    said = record.process.communicate(timeout=30)[0]
    assert record.process.returncode == 66
    assert f"Kafka at {broker.bootstrap} did not answer" in said
