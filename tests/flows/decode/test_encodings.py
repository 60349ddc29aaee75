"""The table of encodings."""

from __future__ import annotations

import pytest

from flows.decode.batch import Decoder, Dimension, Limits, Wanted
from flows.decode.encodings import ENCODINGS, decoder
from flows.errors import ConfigError
from flows.records import Records


def test_every_encoding_makes_a_decoder_that_survives_rubbish_and_says_what_it_was() -> None:
    """All with the same arguments; nothing of what they cannot read is taken for a span in silence."""
    rubbish = [b"\xff\xff\xff", b"{", b"\x0a\x7f"]
    for name, encoding in ENCODINGS.items():
        assert encoding.name == name
        assert encoding.signal == "spans"
        made = decoder(name, (Dimension("pod", (Wanted("k8s.pod.name"),)),), Limits(), weighted=False)
        assert isinstance(made, Decoder)
        batch = made.decode(Records.of(rubbish))
        assert len(batch) == 0
        assert [dead.record for dead in batch.dead] == [0, 1, 2]
        assert all(dead.reason and dead.detail for dead in batch.dead)


def test_the_names_are_those_of_the_collector() -> None:
    assert list(ENCODINGS) == ["otlp_proto", "otlp_json", "jaeger_proto", "jaeger_json", "zipkin_json", "zipkin_proto"]


def test_no_records_are_an_empty_batch_in_every_encoding() -> None:
    for name in ENCODINGS:
        batch = decoder(name).decode(Records.of([]))
        assert len(batch) == len(batch.key_hi) == len(batch.dead) == 0


@pytest.mark.parametrize("name", ["", "protobuf", "otlp", "OTLP_PROTO", "zipkin_thrift"])
def test_an_unknown_encoding_is_named_with_those_that_are_known(name: str) -> None:
    with pytest.raises(ConfigError) as raised:
        decoder(name)
    for known in ENCODINGS:
        assert known in str(raised.value)
    assert raised.value.path == "encoding"
