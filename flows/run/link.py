"""What a worker tells its supervisor: samples for the page, and how it is. MessagePack over a pipe.

The labels of a block are sent only when they are others than the last time: between two panes hardly any series begins
or ends, and their text is most of a page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from exporters.labels import LabelSet
from exporters.names import BY_NAME
from exporters.samples import Exemplars, Samples
from flows.snapshot import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporters.alerts import Alert
    from exporters.samples import Column

_VERSION = 1

Owner = tuple[str, str]
"""Whose samples: a shard's key, and which part of what it shows."""


class PartitionReport(msgspec.Struct):
    """A source partition as its reader sees it."""

    source: str
    partition: int
    state: str  # reading, at_end, idle, unknown, missing, or the error that keeps it from being read
    position: int
    end: int
    frontier_ns: int
    idle_ns: int


class Report(msgspec.Struct):
    """How a worker is."""

    started: bool = False  # whether the dataflow runs
    epoch_age: float = 0.0  # seconds since state was last handed to be stored
    cluster_trouble: str = ""  # why the cluster does not answer
    heard_cluster: bool = False
    missing_topics: list[str] = []
    partitions: list[PartitionReport] = []
    start_positions: dict[str, int] = {}  # "topic/partition": offset, where this process began
    watermark_ns: int = -1
    holding: str = ""  # the partition that the watermark waits for
    all_idle: bool = False
    n_shards: int = 0
    shown_up_to: int = -1  # the pane up to which the furthest shard here is shown
    passed: bool = False  # every shard here has merged all that the gate asks for
    closed: dict[str, int] = {}  # while the gate is shut: shard → pane it has closed up to
    gathered: dict[str, int] = {}  # likewise: shard → pane that the gather step has heard of
    tallies: dict[str, dict[str, int]] = {}  # "what/label": count, by source
    overflow: dict[str, int] = {}
    n_series: int = 0
    rss_bytes: int = 0


class PageWriter:
    """A worker's end."""

    def __init__(self) -> None:
        self._sent: dict[tuple[Owner, int], Sequence[LabelSet]] = {}

    def encode(self, owner: Owner, blocks: Sequence[Samples]) -> bytes:
        """What `owner` shows from now on."""
        return pack(
            "page", _VERSION, {"owner": owner, "blocks": [self._block(owner, i, b) for i, b in enumerate(blocks)]}
        )

    def _block(self, owner: Owner, index: int, block: Samples) -> dict[str, Any]:
        before = self._sent.get((owner, index))
        same = before is not None and len(before) == len(block.labels) and all(map(_is, before, block.labels))
        self._sent[owner, index] = block.labels
        found: dict[str, Any] = {
            "family": block.family.name,
            "at": block.at_ns,
            "labels": None if same else [label.text for label in block.labels],
            "values": block.values,
            "columns": block.columns,
        }
        if block.sums is not None:
            found["sums"] = block.sums
        if block.exemplars is not None:
            found["exemplars"] = [
                block.exemplars.trace_hi,
                block.exemplars.trace_lo,
                block.exemplars.values,
                block.exemplars.at_ns,
            ]
        return found


def _is(one: LabelSet, other: LabelSet) -> bool:
    return one is other or one.text == other.text


class PageReader:
    """The supervisor's end of one worker's page."""

    def __init__(self) -> None:
        self._labels: dict[tuple[Owner, int], list[LabelSet]] = {}

    def decode(self, data: bytes) -> tuple[Owner, list[Samples]]:
        """Whose blocks they are, and the blocks."""
        fields = unpack(data, "page", _VERSION)
        key, part = fields["owner"]
        owner = (key, part)
        return owner, [self._block(owner, i, plain) for i, plain in enumerate(fields["blocks"])]

    def _block(self, owner: Owner, index: int, plain: dict[str, Any]) -> Samples:
        if plain["labels"] is not None:
            self._labels[owner, index] = [LabelSet.from_text(text) for text in plain["labels"]]
        exemplars = plain.get("exemplars")
        columns: tuple[Column, ...] = tuple(tuple((name, value) for name, value in each) for each in plain["columns"])
        return Samples(
            BY_NAME[plain["family"]],
            plain["at"],
            self._labels[owner, index],
            plain["values"],
            columns,
            plain.get("sums"),
            None if exemplars is None else Exemplars(*(np.asarray(column) for column in exemplars)),
        )


PAGE, REPORT, ALERTS, SLOS = b"p", b"r", b"a", b"s"
_report_decoder = msgspec.msgpack.Decoder(Report)


def encode_alerts(judge: str, alerts: Sequence[Alert]) -> bytes:
    """All alerts of a judge, as bytes."""
    return ALERTS + msgspec.msgpack.encode((judge, alerts))


def encode_report(report: Report) -> bytes:
    """A report as bytes."""
    return REPORT + msgspec.msgpack.encode(report)


def decode_report(data: bytes) -> Report:
    """The report of `encode_report`, without its first byte."""
    return _report_decoder.decode(data)
