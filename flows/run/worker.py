"""A worker: one process of the dataflow cluster, owned by a supervisor."""

from __future__ import annotations

import os
import resource
import socket
import threading
from dataclasses import replace
from datetime import timedelta
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Any

from bytewax.recovery import RecoveryConfig
from bytewax.testing import cluster_main

from flows import log
from flows.anomalies.past import primed
from flows.decode.encodings import decoder
from flows.emission import Slot
from flows.engine import EmissionSource, Sinks, build
from flows.kafka.careful import Careful
from flows.kafka.cluster import Cluster
from flows.kafka.source import KafkaSource
from flows.records import Partition
from flows.rules import Rules
from flows.run.allocator import collect_rarely
from flows.run.dead_letters import DeadLetterSink
from flows.run.link import PartitionReport, Report, encode_report
from flows.run.page import Page
from flows.run.work import ORPHANED
from flows.slo.seed import seeded
from flows.sources import LocalSink
from flows.telemetry import Counts, Telemetry

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from flows.decode.batch import Decoder
    from flows.kafka.source import KafkaSlot
    from flows.run.work import Work

_TELL_SECONDS = 0.2
_BACKUP = timedelta(seconds=60)

_log = log.get("worker")


class Worker:
    """One process's share of a live run.

    Args:
        asked: what is asked for.
        pipe: to the supervisor.
    """

    def __init__(self, asked: Work, pipe: Connection) -> None:
        config = asked.config
        assert config.kafka is not None
        self._asked = asked
        self._pipe = pipe
        self._stop = threading.Event()
        self._done = threading.Event()
        self._ends: dict[Partition, int] | None = None
        self._started = False
        self._start_positions: dict[str, int] = {}
        rules = Rules.of(config, step_ns=config.time.pane_ns, promises=asked.promises)
        rules = primed(seeded(rules, asked.seed), asked.pasts)
        shard, windows = replace(rules.shard, newest_only=True), replace(rules.windows, newest_only=True)
        self.rules = replace(rules, shard=shard, windows=windows)  # a page has no past
        self.page = Page(config, self.rules)
        self._encodings = {topic.name: topic.encoding for topic in config.kafka.topics}
        properties = config.kafka.librdkafka()
        self.cluster = Cluster(
            properties,
            list(self._encodings),
            config.kafka.metadata_refresh_ns / 1e9,
            config.kafka.start_from,
            asked.starts_file,
        )
        self.source = KafkaSource(
            self.cluster,
            properties,
            config.kafka.slots,
            config.kafka.group,
            self._slot,
            self._stop.is_set,
            asked.skip,
            None if asked.careful is None else Careful(asked.careful),
        )
        sinks = Sinks(
            LocalSink(self.page.read),
            LocalSink(self.page.closed),
            LocalSink(self.page.windows),
            slos=LocalSink(self.page.slos),
            anomalies=LocalSink(self.page.anomalies),
            anomaly_alerts=LocalSink(self.page.anomaly_alerts),
            dead_letters=DeadLetterSink(config),
        )
        self.flow = build(EmissionSource(self.source, config.kafka.slots), sinks, self.rules, self.page)

    def _decoder(self, source: str) -> Decoder:
        config = self._asked.config
        return decoder(
            self._encodings[source],
            config.decoder_dimensions(),
            config.decoder_limits(),
            weighted=config.sampling.weighted,
        )

    def _slot(self, number: int) -> Slot:
        dedupe = self._asked.config.dedupe
        return Slot(number, self._decoder, self.rules.time, dedupe.entries if dedupe.enabled else 0)

    def run(self) -> None:
        """Run the dataflow until the supervisor says stop."""
        asked = self._asked
        instance = f"{socket.gethostname()}/{asked.number}"
        telemetry = Telemetry.start(asked.config.telemetry, instance, self._counts)
        self.cluster.begin()
        threading.Thread(target=self._listen, name="listen", daemon=True).start()
        telling = threading.Thread(target=self._tell, name="tell", daemon=True)
        telling.start()
        collect_rarely()
        recovery = RecoveryConfig(asked.recovery, backup_interval=_BACKUP)  # type: ignore[no-untyped-call]
        cluster_main(  # type: ignore[no-untyped-call]
            self.flow, list(asked.addresses), asked.number, epoch_interval=asked.epoch, recovery_config=recovery
        )
        if not self._stop.is_set():
            _log.error("the dataflow ended by itself")
            os._exit(1)
        self._done.set()
        telling.join(2)
        self.cluster.stop()
        telemetry.stop()

    def _counts(self) -> Counts:
        """What was read, for whoever watches this process."""
        tallies = self.page.total_tallies().values()
        return Counts(sum(tally["records", ""] for tally in tallies), sum(tally["spans", ""] for tally in tallies))

    # The supervisor

    def _listen(self) -> None:
        try:
            while True:
                message: Any = self._pipe.recv()
                if message == "stop":
                    self._stop.set()
                else:
                    self._ends = message
        except (EOFError, OSError):
            os._exit(ORPHANED)

    def _tell(self) -> None:
        """Mail what changed and say how it is, some times a second."""
        try:
            while not self._done.wait(_TELL_SECONDS):
                self._tell_once()
            self._tell_once()
        except (BrokenPipeError, ConnectionResetError):
            os._exit(ORPHANED)

    def _tell_once(self) -> None:
        self.page.show_tallies(time_ns())
        report = self._report()
        for message in self.page.mail():
            self._pipe.send_bytes(message)
        self._pipe.send_bytes(encode_report(report))

    def _report(self) -> Report:
        page, slots = self.page, list(self.source.slots.values())
        if slots and not self._started:
            self._started = True
            for slot in slots:
                for partition, position in slot.resumed_at.items():
                    self._start_positions[f"{partition.source}/{partition.number}"] = position
        watermark_ns, holding, all_idle = page.watermark()
        report = Report(
            started=self._started,
            epoch_age=monotonic() - max((slot.snapshot_at for slot in slots), default=monotonic()),
            cluster_trouble=self.cluster.trouble,
            heard_cluster=self.cluster.topics is not None,
            missing_topics=[name for name, topic in (self.cluster.topics or {}).items() if topic is None],
            partitions=[report for slot in slots for report in _partitions(slot)],
            start_positions=self._start_positions,
            watermark_ns=watermark_ns,
            holding=holding,
            all_idle=all_idle,
            n_shards=len(page.shards),
            shown_up_to=page.shown_up_to,
            tallies={
                source: {f"{what}/{label}": count for (what, label), count in tally.items()}
                for source, tally in page.total_tallies().items()
            },
            overflow={service: spans for service, spans in page.overflow.items() if spans},
            n_series=sum(page.n_series.values()),
            rss_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        )
        if self._ends is not None:  # until the supervisor says that the gate is open
            report.closed = page.closed_up_to()
            report.gathered = page.gathered_up_to()
            report.passed = page.has_merged(self._ends)
        return report


def _partitions(slot: KafkaSlot) -> list[PartitionReport]:
    stands = {each.partition: each for each in slot.slot.progress().partitions}
    return [
        PartitionReport(
            *partition,
            _state(reading, stands[partition].idle_ns),
            reading.position,
            reading.seen.end,
            stands[partition].frontier_ns,
            stands[partition].idle_ns,
        )
        for partition, reading in list(slot.reading().items())
        if partition in stands
    ]


def _state(reading: Any, idle_ns: int) -> str:
    if reading.error:
        return str(reading.error)
    if idle_ns >= 0:
        return "idle"
    if not reading.seen.answers:
        return "unknown"
    return "at_end" if reading.at_end else "reading"
