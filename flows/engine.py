"""The engine: the picture as code, one operator a line, no formula.

    source          decode, fold         by service    close          gather           judge          publish
    partitions ──▶  bytes → columns  ──▶ shard 0   ──▶ merge into ──▶ what spans   ──▶ windows,   ──▶ page, files
                    → partials           …             open panes,    several          percentiles
                                         shard 63      close once     shards

Six words name the stages: decode, fold, close, gather, judge, publish. Decoding is the source's, since whether a span
is late is decided against its own partition's frontier, which must be stored with the partition's offset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from flows.anomalies.alerting import AnomalyAlerts, tell_alerts
from flows.anomalies.choose import Chooser
from flows.anomalies.score import Scorer
from flows.anomalies.steps import deal_steps, tell_minutes
from flows.gather import gather_overflow
from flows.series import SHARDS
from flows.slo.judge import SloJudge, tell_judge
from flows.stages import Watcher, closing, dead_letters, folding, forgetting, hearing, judging
from flows.windows import Windows

if TYPE_CHECKING:
    from bytewax.inputs import Source
    from bytewax.outputs import Sink

    from flows.anomalies.scored import Scored
    from flows.anomalies.shown import AnomaliesShown
    from flows.emission import DeadLetter, Emission
    from flows.rules import Rules
    from flows.shard import Closed
    from flows.slo.judge import SloShown
    from flows.window_samples import WindowsShown


class EmissionSource(NamedTuple):
    """A source and how many slots it has; nothing closes before all of them were heard."""

    source: Source[Emission]
    n_slots: int


class Sinks(NamedTuple):
    """Where the flow's answers go; each stays in the process that computed it."""

    read: Sink[Emission]  # tallies and dead letters
    closed: Sink[tuple[str, Closed]]  # counters
    windows: Sink[tuple[str, WindowsShown]]
    slos: Sink[tuple[str, SloShown]] | None = None
    anomalies: Sink[tuple[str, Scored]] | None = None
    anomaly_alerts: Sink[tuple[str, AnomaliesShown]] | None = None
    dead_letters: Sink[tuple[str, DeadLetter]] | None = None  # stored at least once, wherever they come from


def build(
    source: EmissionSource, sinks: Sinks, rules: Rules, watcher: Watcher | None = None, *, is_stored: bool = True
) -> Dataflow:
    """The dataflow between the slots of a source and the sinks.

    Args:
        source: where emissions come from.
        sinks: where answers go.
        rules: of all stages.
        watcher: sees what lives in this process.
        is_stored: whether the state of the stages is kept, at the end of every epoch.
    """
    watcher = watcher or Watcher()
    kept = (lambda logic: logic) if is_stored else forgetting
    flow = Dataflow("streamgauge")

    emissions = op.input("decode", flow, source.source)
    parts = op.flat_map_batch("fold", emissions, folding(rules))
    shards = op.stateful_batch("close", parts, kept(closing(source.n_slots, rules.shard, watcher)))
    strays = op.map("stray", shards, gather_overflow(rules.time))
    overflow = op.stateful_batch("gather", strays, kept(closing(SHARDS, rules.shard, watcher)))
    closed = op.merge("closed", shards, overflow)
    windows = op.stateful_batch(
        "judge_windows", closed, kept(judging(rules.windows, Windows, Windows.restore, watcher))
    )

    op.output("publish_read", emissions, sinks.read)
    op.output("publish_closed", closed, sinks.closed)
    op.output("publish_windows", windows, sinks.windows)
    if rules.slo is not None and sinks.slos is not None:
        counted = op.map("count_slos", closed, tell_judge)
        slos = op.stateful_batch("judge_slos", counted, kept(hearing(rules.slo, SloJudge, SloJudge.restore)))
        op.output("publish_slos", slos, sinks.slos)
    if rules.anomalies is not None and sinks.anomalies is not None:
        minutes = op.flat_map("tell_minutes", windows, tell_minutes(rules.anomalies))
        choosing = kept(hearing(rules.anomalies, Chooser, Chooser.restore))
        chosen = op.map("deal_steps", op.stateful_batch("choose_series", minutes, choosing), deal_steps)
        scoring = hearing(rules.anomalies, Scorer, Scorer.restore, watcher.scores_restored)
        scored = op.stateful_batch("score_series", chosen, kept(scoring))
        op.output("publish_anomalies", scored, sinks.anomalies)
        if sinks.anomaly_alerts is not None:
            told = op.map("tell_alerts", scored, tell_alerts)
            alerting = hearing(rules.anomalies.alerts, AnomalyAlerts, AnomalyAlerts.restore, watcher.alerts_restored)
            alerts = op.stateful_batch("alert_anomalies", told, kept(alerting))
            op.output("publish_anomaly_alerts", alerts, sinks.anomaly_alerts)
    if sinks.dead_letters is not None:
        op.output("publish_dead_letters", op.flat_map("dead_letters", emissions, dead_letters), sinks.dead_letters)
    return flow
