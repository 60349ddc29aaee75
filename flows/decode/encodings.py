"""The table of encodings: what may stand behind `encoding` in a topic's configuration. It is said, never guessed."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

from flows.decode.batch import Decoder, Dimension, Limits
from flows.decode.jaeger_json import JaegerJson
from flows.decode.jaeger_proto import JaegerProto
from flows.decode.otlp_json import OtlpJson
from flows.decode.otlp_proto import OtlpProto
from flows.decode.zipkin_json import ZipkinJson
from flows.decode.zipkin_proto import ZipkinProto
from flows.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Encoding(NamedTuple):
    """One way in which records are written."""

    name: str
    signal: str
    make: Callable[[tuple[Dimension, ...], Limits, bool], Decoder]


ENCODINGS: Mapping[str, Encoding] = {
    encoding.name: encoding
    for encoding in (
        Encoding("otlp_proto", "spans", OtlpProto),
        Encoding("otlp_json", "spans", OtlpJson),
        Encoding("jaeger_proto", "spans", JaegerProto),
        Encoding("jaeger_json", "spans", JaegerJson),
        Encoding("zipkin_json", "spans", ZipkinJson),
        Encoding("zipkin_proto", "spans", ZipkinProto),
    )
}
"""All encodings by their names, which are those of the Collector's Kafka receiver and exporter."""


def decoder(
    encoding: str, dimensions: tuple[Dimension, ...] = (), limits: Limits = Limits(), weighted: bool = True
) -> Decoder:
    """A new decoder for an encoding; the arguments behind its name are those of every decoder.

    Raises:
        ConfigError: no encoding has this name.

    >>> type(decoder("jaeger_proto")).__name__
    'JaegerProto'
    >>> decoder("jaeger_protobuf")
    Traceback (most recent call last):
    ...
    flows.errors.ConfigError: encoding is jaeger_protobuf; one of otlp_proto, otlp_json, jaeger_proto, jaeger_json, \
zipkin_json, zipkin_proto is known. Did you mean jaeger_proto?
    """
    known = ENCODINGS.get(encoding)
    if known is None:
        near = get_close_matches(encoding, ENCODINGS, n=1)
        hint = f"Did you mean {near[0]}?" if near else "Write the name that the records' producer has for it."
        raise ConfigError("encoding", encoding or "empty", f"one of {', '.join(ENCODINGS)} is known", hint)
    return known.make(dimensions, limits, weighted)
