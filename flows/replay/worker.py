"""One process's share of a replay: the flow, and what its answers become."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

from exporters import csv_samples, openmetrics
from flows.anomalies.annotations import announce_anomalies
from flows.anomalies.past import primed
from flows.anomalies.publish import anomaly_samples
from flows.anomalies.strange import hear
from flows.anomalies.table import score_rows
from flows.decode.encodings import decoder
from flows.emission import Slot
from flows.engine import EmissionSource, Sinks, build
from flows.publish import Publisher
from flows.recording.dealing import LANES
from flows.rules import Rules
from flows.slo.announce import announce
from flows.slo.publish import slo_samples
from flows.slo.seed import seeded
from flows.sources import LocalSink, RecordingSource
from flows.summary import Summary

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporters.prometheus import Registry
    from flows.anomalies.scored import Scored
    from flows.anomalies.shown import AnomaliesShown
    from flows.decode.batch import Decoder
    from flows.emission import Emission
    from flows.recording import Recording
    from flows.replay.job import Job
    from flows.shard import Closed
    from flows.slo.judge import SloShown
    from flows.summary import Found
    from flows.window_samples import WindowsShown


class Worker:
    """One process's share of a replay.

    Args:
        job: what is asked for.
        number: of the worker.
        stopped: asked before each read.
        registry: where the page is made, if one is wanted.
    """

    def __init__(self, job: Job, number: int, stopped: Callable[[], bool], registry: Registry | None = None) -> None:
        self.job = job
        self.recording = job.open()
        config = job.config
        counters = job.openmetrics or registry is not None
        rules = Rules.of(config, step_ns=job.step_ns, counters=counters, promises=job.promises)
        self.rules = primed(seeded(rules, job.seed), job.pasts)
        dimensions = [dimension.label for dimension in config.decoder_dimensions()]
        self._publisher = Publisher(self.rules, dimensions, config.span_metrics.bounds_ms, job.step_ns)
        self._registry = registry
        self._pages: dict[str, dict[str, list[Any]]] = {}
        self.summary = Summary(self.rules)
        folder = job.spool / str(number)
        windows = [self._publisher.window_name(window) for window in self.rules.windows.windows]
        self._metrics = openmetrics.OpenMetricsSpool(folder / "openmetrics") if job.openmetrics else None
        quantiles = [quantile / 1_000_000 for quantile in self.rules.windows.quantiles]
        scored = self.rules.anomalies
        self._signals = scored.signals if scored else ()
        self._steps = {rule.name: rule.step for rule in scored.rules} if scored else {}
        self._alerting = {rule.name: rule for rule in scored.alerts} if scored else {}
        table = folder / "samples", dimensions, windows, quantiles
        self._table = csv_samples.CsvSpool(*table, signals=self._signals) if job.samples else None
        folder.mkdir(parents=True, exist_ok=True)
        self._letters = (folder / "dead_letters.jsonl").open("w") if job.dead_letters else None
        self._letters_left = config.dead_letters.count
        source = EmissionSource(RecordingSource(self.recording, self._slot, stopped), LANES)
        self._links = config.links.links()
        sinks = Sinks(
            LocalSink(self._read),
            LocalSink(self._closed),
            LocalSink(self._windows),
            slos=LocalSink(self._slos),
            anomalies=LocalSink(self._anomalies),
            anomaly_alerts=LocalSink(self._anomaly_alerts),
        )
        self.flow = build(source, sinks, self.rules, is_stored=False)

    def _decoder(self) -> Decoder:
        config = self.job.config
        return decoder(
            self.recording.encoding, config.decoder_dimensions(), config.decoder_limits(), config.sampling.weighted
        )

    def _slot(self, number: int) -> Slot:
        dedupe = self.job.config.dedupe
        entries = dedupe.entries if dedupe.enabled else 0
        return Slot(number, lambda _: self._decoder(), self.rules.time, entries, self.job.start_ns, self.job.end_ns)

    def _read(self, emissions: list[Emission]) -> None:
        for emission in emissions:
            self.summary.read(emission)
            if self._letters is None:
                continue
            for letter in emission.dead:
                if self._letters_left <= 0:
                    break
                self._letters_left -= 1
                plain = letter._asdict()
                plain["payload"] = b64encode(letter.payload).decode()
                self._letters.write(json.dumps(plain) + "\n")

    def _closed(self, items: list[tuple[str, Closed]]) -> None:
        for key, closed in items:
            self.summary.closed(key, closed)
            if not self.rules.shard.counters:
                continue
            samples = self._publisher.closed(key, closed)
            if self._metrics is not None:
                for block in samples:
                    self._metrics.append(block)
            if self._registry is not None and samples:
                self._show(key, "counters", [block for block in samples if block.at_ns == samples[-1].at_ns])

    def _windows(self, items: list[tuple[str, WindowsShown]]) -> None:
        for key, sample in ((key, sample) for key, said in items for sample in said.samples):
            self.summary.windows(sample)
            if self._table is not None:
                self._table.append(
                    self._publisher.end_ns(sample.end),
                    self._publisher.window_name(sample.window),
                    self._publisher.operations(sample.operations),
                    sample.calls >> 20,
                    sample.errors >> 20,
                    sample.quantiles,
                )
            if self._metrics is None and self._registry is None:
                continue
            samples = self._publisher.windows(sample)
            if self._metrics is not None:
                for block in samples:
                    self._metrics.append(block)
            if self._registry is not None:
                self._show(key, f"window {sample.window}", samples)

    def _slos(self, items: list[tuple[str, SloShown]]) -> None:
        for _, shown in items:
            self.summary.alerts(announce(shown.alerts, self._links, shown.end_ns))
            self.summary.slos(shown)
            if self._metrics is not None and shown.end_ns % self.job.step_ns == 0:
                for block in slo_samples(shown):
                    self._metrics.append(block)

    def _anomalies(self, items: list[tuple[str, Scored]]) -> None:
        for key, scored in items:
            if self.job.scores:
                self.summary.strange(scored.end_ns, hear(scored, self._alerting).strange)
            if scored.end_ns % self.job.step_ns:
                continue
            if self._table is not None:
                for window, operations, scores in score_rows(scored, self._signals, self._steps):
                    name, labels = self._publisher.window_name(window), self._publisher.operations(operations)
                    self._table.append_scores(scored.end_ns, name, labels, scores.reshape(len(labels), -1))
            if self._metrics is None and self._registry is None:
                continue
            samples = self._publisher.anomalies(scored)
            if self._metrics is not None:
                for block in samples:
                    self._metrics.append(block)
            if self._registry is not None:
                self._show(key, "anomalies", samples)

    def _anomaly_alerts(self, items: list[tuple[str, AnomaliesShown]]) -> None:
        for _, shown in items:
            self.summary.alerts(announce_anomalies(shown.alerts, self._links, shown.end_ns))
            if self._metrics is not None and shown.end_ns % self.job.step_ns == 0:
                for block in anomaly_samples(shown):
                    self._metrics.append(block)

    def _show(self, key: str, part: str, samples: list[Any]) -> None:
        assert self._registry is not None
        page = self._pages.setdefault(key, {})
        page[part] = samples
        self._registry.replace(key, [block for blocks in page.values() for block in blocks])

    def finish(self) -> Found:
        """Close what was written; returns what was found."""
        for spool in (self._metrics, self._table, self._letters):
            if spool is not None:
                spool.close()
        return self.summary.finish()


def damages_of(recording: Recording) -> list[str]:
    """What a person should know of damaged files."""
    return [
        f"{damage.path} is {damage.reason}: {damage.detail}; {damage.dropped_bytes:,} bytes were dropped, "
        "what came before them is in the answers."
        for damage in recording.damages
    ]
