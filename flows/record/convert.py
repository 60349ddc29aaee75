"""Records of every encoding as OTLP requests in protobuf: what a recording's frames are.

`otlp_proto` stays as it is, `otlp_json` keeps every field of its spans, of the others comes what the decoders read:
service, name, kind, status, times, ids, trace state, attributes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from flows.decode.jaeger_json import JaegerJson
from flows.decode.otlp_proto import OtlpProto
from flows.decode.zipkin_json import ZipkinJson
from flows.decode.zipkin_proto import ZipkinProto
from flows.record.frames import Frame, Framing
from flows.record.from_json import FullOtlpJson
from flows.record.jaeger import PlainJaegerProto

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flows.records import Records


class Converter(Protocol):
    """Makes frames of a topic's records."""

    def __call__(self, records: Records) -> list[Frame]:
        """One frame for each record. Never raises on data."""
        ...


class _JaegerProto(Framing, PlainJaegerProto):
    """Frames of Jaeger's protobuf."""


class _JaegerJson(Framing, JaegerJson):
    """Frames of Jaeger's JSON."""


class _ZipkinJson(Framing, ZipkinJson):
    """Frames of Zipkin's JSON."""


class _ZipkinProto(Framing, ZipkinProto):
    """Frames of Zipkin's protobuf."""


_FRAMINGS: Mapping[str, Callable[[], Framing]] = {
    "otlp_json": FullOtlpJson,
    "jaeger_proto": _JaegerProto,
    "jaeger_json": _JaegerJson,
    "zipkin_json": _ZipkinJson,
    "zipkin_proto": _ZipkinProto,
}


def converter(encoding: str) -> Converter:
    """The converter of an encoding, by its name in the configuration."""
    return _verbatim() if encoding == "otlp_proto" else _converted(_FRAMINGS[encoding]())


def _verbatim() -> Converter:
    """OTLP in protobuf; it is decoded only to know whether it can be."""
    decoder = OtlpProto()

    def convert(records: Records) -> list[Frame]:
        dead = {letter.record: letter.reason for letter in decoder.decode(records).dead if letter.spans == 0}
        return [
            Frame(b"", dead[number]) if number in dead else Frame(records.payload(number))
            for number in range(len(records))
        ]

    return convert


def _converted(framing: Framing) -> Converter:
    def convert(records: Records) -> list[Frame]:
        return [framing.frame(records.payload(number)) for number in range(len(records))]

    return convert
