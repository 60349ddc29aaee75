"""What a worker shows: samples of the shards that live in it, mailed to the supervisor, the newest of each owner."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from exporters import names
from exporters.labels import LabelSet
from exporters.samples import by_label
from flows.anomalies.annotations import announce_anomalies
from flows.anomalies.publish import anomaly_samples
from flows.anomalies.steps import dealt_to
from flows.publish import Publisher, tally_samples
from flows.run.link import PAGE, SLOS, Owner, PageWriter, encode_alerts
from flows.series import OVERFLOW
from flows.slo.announce import announce, bid_farewell
from flows.slo.publish import slo_samples, slos_json
from flows.stages import Judge, Watcher
from flows.watermark import NEVER, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporters.samples import Samples
    from flows.anomalies.alerting import AnomalyAlerts
    from flows.anomalies.score import Scorer
    from flows.anomalies.scored import Scored
    from flows.anomalies.shown import AnomaliesShown
    from flows.config import Config
    from flows.emission import Emission, Tally
    from flows.records import Partition
    from flows.rules import Rules
    from flows.shard import Closed, Shard
    from flows.slo.judge import SloShown
    from flows.window_samples import WindowsShown

_COUNTERS = "counters"
_TALLIES = ("", "tallies")
_SLOS = ("", "slos")
_ANOMALIES = "anomalies"
_ANOMALY_ALERTS = ("", "anomaly alerts")


class Page(Watcher):
    """Keeps what each owner shows until it is mailed; only the newest counts.

    Args:
        config: the settings.
        rules: made from them.
    """

    def __init__(self, config: Config, rules: Rules) -> None:
        dimensions = [dimension.label for dimension in config.decoder_dimensions()]
        self._publisher = Publisher(rules, dimensions, config.span_metrics.bounds_ms, rules.time.pane_ns)
        self._pane_ns = rules.time.pane_ns
        self._topics = [topic.name for topic in config.kafka.topics] if config.kafka else []
        self._writer = PageWriter()
        self._lock = threading.Lock()
        self._mail: dict[Owner, list[Samples]] = {}
        self._said: dict[str, bytes] = {}
        self._links = config.links.links()
        self._shown_up_to: dict[str, int] = {}
        self._late: dict[str, int] = {}
        self._idle_panes = 0
        self.tallies: dict[int, dict[str, Tally]] = {}  # by slot, by source
        self.shards: dict[str, Shard] = {}
        self.overflow: dict[str, int] = {}  # spans over budget, by service
        self.n_series: dict[str, int] = {}

    # What the flow hands over

    def read(self, emissions: list[Emission]) -> None:
        """Note what the slots counted."""
        for emission in emissions:
            self.tallies[emission.progress.slot] = emission.tallies

    def closed(self, items: Iterable[tuple[str, Closed]]) -> None:
        """Show the counters of shards that closed panes."""
        for key, closed in items:
            self._shown_up_to[key] = closed.upto
            self._late[key] = closed.idle_late
            self._idle_panes = max(self._idle_panes, closed.idle_panes)
            samples = self._publisher.page(key, closed)
            if samples:
                self._put((key, _COUNTERS), samples)
                for figures in closed.segments[-1].services:
                    self.overflow[figures.service] = figures.overflowed
                self.n_series[key] = len(samples[0].labels)

    def windows(self, items: Iterable[tuple[str, WindowsShown]]) -> None:
        """Show windows."""
        newest = {(key, sample.window): sample for key, said in items for sample in said.samples}
        for (key, window), sample in newest.items():
            self._put((key, f"window {window}"), self._publisher.windows(sample))

    def slos(self, items: Iterable[tuple[str, SloShown]]) -> None:
        """Show the objectives, and hand over their alerts."""
        for _, shown in items:
            if shown.is_last:
                self._put(_SLOS, slo_samples(shown))
                alerts = announce(shown.alerts, self._links, shown.end_ns) + bid_farewell(shown.farewells)
                self._say("alerts of slos", encode_alerts("slos", alerts))
                self._say("slos", SLOS + slos_json(shown))

    def anomalies(self, items: Iterable[tuple[str, Scored]]) -> None:
        """Show the scores of each key and rule as of its newest step: steps of rules differ in length."""
        newest = {(key, rule): scored for key, scored in items for rule in scored.rules}
        for (key, rule), scored in newest.items():
            self._put((key, f"{_ANOMALIES} {rule}"), self._publisher.anomalies(scored.of_rule(rule)))

    def anomaly_alerts(self, items: Iterable[tuple[str, AnomaliesShown]]) -> None:
        """Show how many alerts there are, and hand them over."""
        for _, shown in items:
            if shown.is_last:
                self._put(_ANOMALY_ALERTS, anomaly_samples(shown))
                alerts = announce_anomalies(shown.alerts, self._links, shown.end_ns)
                self._say("alerts of anomalies", encode_alerts("anomalies", alerts))

    def heard(self, shard: Shard) -> None:
        """Remember where the shards are that live here."""
        self.shards[shard.key] = shard

    def shard_restored(self, shard: Shard) -> None:
        """Show the counters as they were stored.

        The shard that gathers hears of nothing until a pane closes, which may be never: it is known from now on.
        """
        if shard.key == OVERFLOW:
            self.shards[shard.key] = shard
        self.closed([(shard.key, shard.shown())])

    def judge_restored(self, judge: Judge) -> None:
        """Show the windows as they were stored."""
        shown = judge.shown()
        self.windows([(shown.key, shown)])

    def scores_restored(self, scorer: Scorer) -> None:
        """Show the scores as they were stored."""
        self.anomalies([(dealt_to(said.key), said) for said in scorer.last.values()])

    def alerts_restored(self, alerts: AnomalyAlerts) -> None:
        """Say again what was said: until the next step ends, nothing else would."""
        if alerts.position_ns != NEVER:
            self.anomaly_alerts([("", alerts.shown())])

    def _put(self, owner: Owner, samples: list[Samples]) -> None:
        with self._lock:
            self._mail[owner] = samples

    def _say(self, what: str, message: bytes) -> None:
        with self._lock:
            self._said[what] = message

    # What leaves

    def mail(self) -> list[bytes]:
        """What changed since the last time, as messages."""
        with self._lock:
            mail, self._mail = self._mail, {}
            said, self._said = self._said, {}
        pages = [PAGE + self._writer.encode(owner, samples) for owner, samples in mail.items()]
        return [*pages, *said.values()]

    def show_tallies(self, at_ns: int) -> None:
        """Show what the sources counted."""
        samples = tally_samples(self.total_tallies(), at_ns)
        late = sum(self._late.values())
        if late:
            label = LabelSet([(names.SIGNAL, "spans"), (names.REASON, "idle")])
            samples.append(by_label(names.LATE, at_ns, [label], np.array([late])))
        topics = [LabelSet([(names.SOURCE, topic)]) for topic in self._topics]
        samples.append(by_label(names.IDLE_CLOSURES, at_ns, topics, np.full(len(topics), self._idle_panes)))
        self._put(_TALLIES, samples)

    def total_tallies(self) -> dict[str, Tally]:
        """What was counted, by source, over the slots read here."""
        total: dict[str, Tally] = {}
        for sources in list(self.tallies.values()):
            for source, tally in sources.items():
                total[source] = total[source] + tally if source in total else +tally
        return total

    # What the gate asks

    def has_merged(self, ends: Mapping[Partition, int]) -> bool:
        """Whether every shard here has merged each partition up to its end, knows whether it is idle, and is shown."""
        shards = [shard for key, shard in list(self.shards.items()) if key != OVERFLOW]
        return all(
            self._shown_up_to.get(shard.key, NEVER) >= shard.position
            and self._reaches({each.partition: each for each in shard.watermark.all_partitions()}, ends)
            for shard in shards
        )

    @staticmethod
    def _reaches(stands: Mapping[Partition, object], ends: Mapping[Partition, int]) -> bool:
        for partition, end in ends.items():
            at = stands.get(partition)
            if at is None or at.position < end or at.idle_ns == UNKNOWN:  # type: ignore[attr-defined]
                return False
        return True

    @property
    def shown_up_to(self) -> int:
        """The pane up to which the furthest shard here is shown."""
        return max(list(self._shown_up_to.values()), default=NEVER)

    def closed_up_to(self) -> dict[str, int]:
        """Shard → the pane it has closed up to."""
        return {key: shard.position for key, shard in list(self.shards.items()) if key != OVERFLOW}

    def gathered_up_to(self) -> dict[str, int]:
        """Shard → the pane that the gather step has heard of, where that step lives here."""
        gather = self.shards.get(OVERFLOW)
        if gather is None:
            return {}
        return {f"{each.partition.number:02d}": each.position for each in gather.watermark.all_partitions()}

    def watermark(self) -> tuple[int, str, bool]:
        """The least watermark of the shards here in ns, the partition it waits for, and whether all are idle."""
        shards = [shard for key, shard in list(self.shards.items()) if key != OVERFLOW]
        if not shards:
            return -1, "", False
        least = min(shards, key=lambda shard: shard.watermark.ns)
        known = least.watermark.all_partitions()
        holding = min((each for each in known if each.idle_ns < 0), key=lambda each: each.frontier_ns, default=None)
        held_by = "" if holding is None else f"{holding.partition.source}/{holding.partition.number}"
        return least.watermark.ns, held_by, least.watermark.is_idle
