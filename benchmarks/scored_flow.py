"""What scores cost in the flow: chosen, scored and stored as a live worker does it; and their share of a replay."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import bytewax.operators as op
import numpy as np
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, run_main

from detectors.anomaly import AnomalyBank
from detectors.anomaly_state import State
from flows.anomalies.choose import Chooser
from flows.anomalies.score import Scorer, settings_of
from flows.anomalies.steps import SCORE_KEYS, MinutesPart, deal_steps, tell_minutes
from flows.config.load import parse
from flows.decode.batch import WEIGHT_ONE
from flows.rules import Rules
from flows.series import OVERFLOW, SHARDS, OperationLabels, shard_key, shard_of
from flows.stages import hearing
from flows.watermark import NEVER
from flows.window_samples import WindowSamples, WindowsShown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flows.anomalies.rules import AnomalyRules
    from flows.anomalies.scored import Scored
    from flows.anomalies.steps import Chosen

MINUTE_NS = 60 * 10**9
START_NS = 1_767_571_200 * 10**9
PLATFORM = Path(__file__).parent.parent / "datasets" / "platform.yaml"
SERVICES = 400
START_UP = "10m"
"""A replay so short is mostly start-up: the kernel of the detector is loaded too."""
WEEK = 7 * 1440
LEARNT = 500
"""Series that really learn a week. All others have the state of one of these: it is as hard to compress."""


class Cost(NamedTuple):
    """Of one step."""

    cpu_seconds: float
    stored_bytes: float


class Platform:
    """Minutes of many operations, and detectors that know their last week.

    Args:
        n_series: operations times three signals.
    """

    def __init__(self, n_series: int) -> None:
        rules = Rules.of(parse(f"{{anomalies: [{{name: all, series: {n_series}, remembered: {n_series}}}]}}"))
        assert rules.anomalies is not None
        self.rules: AnomalyRules = rules.anomalies
        self._rng = np.random.default_rng(1)
        self._operations: dict[int, list[OperationLabels]] = {shard: [] for shard in range(SHARDS)}
        for number in range(n_series // 3):
            labels = OperationLabels(f"service-{number % SERVICES}", f"GET /route-{number:x}/items", 2, ())
            self._operations[shard_of(labels.service)].append(labels)
        self._level = {shard: self._rng.uniform(1, 500, len(each)) for shard, each in self._operations.items()}
        self.chooser = Chooser(self.rules)
        self.scorers = [Scorer(self.rules) for _ in range(SCORE_KEYS)]
        self._minute = WEEK

    def minutes(self, n: int) -> list[list[tuple[str, MinutesPart]]]:
        """What all shards tell of the next minutes."""
        return [self._next() for _ in range(n)]

    def _next(self) -> list[tuple[str, MinutesPart]]:
        self._minute += 1
        tell, end = tell_minutes(self.rules), START_NS // self.rules.pane_ns + self._minute * self.rules.minute
        told = [(shard_key(shard), self._window(shard, end)) for shard in range(SHARDS)]
        since = NEVER if self._minute == WEEK + 1 else end - self.rules.minute
        begin = START_NS // self.rules.pane_ns + WEEK * self.rules.minute
        return [
            part
            for key, judged in [*told, (OVERFLOW, [])]
            for part in tell((key, WindowsShown(key, since, end, begin, False, [], judged)))
        ]

    def _window(self, shard: int, end: int) -> list[WindowSamples]:
        operations = self._operations[shard]
        if not operations:
            return []
        calls = 1 + self._rng.poisson(self._level[shard])
        errors = self._rng.binomial(calls, 0.02)
        quantiles = self._rng.lognormal(-3, 0.1, (len(calls), 3))
        columns = operations, calls * WEIGHT_ONE, errors * WEIGHT_ONE, quantiles, shard_key(shard)
        return [WindowSamples(end, self.rules.minute, True, *columns)]

    def learn(self) -> None:
        """Everybody is chosen in a first minute; then all know their last week."""
        for keyed in self.minutes(1):
            for chosen in self.chooser.hear([part for _, part in keyed]):
                self.scorers[chosen.key].hear([chosen])
        learnt = {signal: self._learnt(signal) for signal in self.rules.signals}
        for desk in (desk for scorer in self.scorers for desk in scorer._desks.values()):  # noqa: SLF001  a week of
            for signal, bank in desk._banks.items():  # noqa: SLF001  20,000 series takes minutes
                bank.state = learnt[signal].take(self._rng.integers(LEARNT, size=len(bank)))

    def _learnt(self, signal: str) -> State:
        (rule,) = self.rules.rules
        bank = AnomalyBank(settings_of(rule, signal, self.rules.pane_ns), LEARNT)
        day = 1 + 0.6 * np.sin(2 * np.pi * np.arange(WEEK) / 1440)
        calls = 1 + self._rng.poisson(np.outer(day, self._rng.uniform(1, 500, LEARNT)))
        values = {
            "rate": calls / 60,
            "error_ratio": self._rng.binomial(calls, 0.02) / calls,
            "p95": self._rng.lognormal(-3, 0.1, calls.shape),
        }
        bank.run(START_NS + np.arange(WEEK) * MINUTE_NS, values[signal])
        return bank.state


class _Known:
    """The detectors of a key, learnt before: the first step says of which."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._scorer: Scorer | None = None
        self.stored = 0

    def hear(self, steps: list[Chosen]) -> list[Scored]:
        self._scorer = self._platform.scorers[steps[0].key]
        return self._scorer.hear(steps)

    def snapshot(self) -> bytes:
        assert self._scorer is not None
        content = self._scorer.snapshot()
        self.stored += len(content)
        return content


class _Minutes(DynamicSource["tuple[str, MinutesPart]"]):
    """A minute a poll."""

    def __init__(self, minutes: Sequence[list[tuple[str, MinutesPart]]]) -> None:
        self._minutes = iter(minutes)

    def build(self, *_: object) -> _Poll:
        return _Poll(self._minutes)


class _Poll(StatelessSourcePartition["tuple[str, MinutesPart]"]):
    def __init__(self, minutes: Iterator[list[tuple[str, MinutesPart]]]) -> None:
        self._minutes = minutes

    def next_batch(self) -> list[tuple[str, MinutesPart]]:
        for minute in self._minutes:
            return minute
        raise StopIteration


def _run(platform: Platform, n: int) -> tuple[float, int]:
    """CPU seconds of this process for so many steps, each an epoch, and the bytes of its snapshots."""
    minutes, known, out = platform.minutes(n), list[_Known](), list[object]()

    def begin(_: object) -> _Known:
        known.append(_Known(platform))
        return known[-1]

    flow = Dataflow("scores")
    told = op.input("minutes", flow, _Minutes(minutes))
    chosen = op.stateful_batch("choose_series", told, hearing(None, lambda _: platform.chooser, _never))
    scored = op.stateful_batch("score_series", op.map("deal_steps", chosen, deal_steps), hearing(None, begin, _never))
    op.output("out", scored, TestingSink(out))
    with tempfile.TemporaryDirectory() as folder:
        init_db_dir(Path(folder), 1)
        store = RecoveryConfig(Path(folder), backup_interval=timedelta(seconds=60))
        begun = _cpu_seconds()
        run_main(flow, epoch_interval=timedelta(0), recovery_config=store)
        taken = _cpu_seconds() - begun
    assert len(out) == n * SCORE_KEYS
    return taken, sum(each.stored for each in known)


def _never(*_: object) -> _Known:
    raise AssertionError("nothing was stored before")


def _cpu_seconds() -> float:
    """Of all threads, also in the kernel: that is where files are written."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def cost(n_series: int, steps: int = 8) -> Cost:
    """Of a step of so many series: what further ones add to a run of one, which also begins and ends."""
    platform = Platform(n_series)
    platform.learn()
    (few, stored), (many, more) = _run(platform, 1), _run(platform, 1 + steps)
    return Cost((many - few) / steps, (more - stored) / steps)


def replay_share(duration: str) -> float:
    """Of the CPU time of a replay at full speed, after start-up: what scores take, for the example platform."""
    with tempfile.TemporaryDirectory() as folder:
        (few, few_scored), (many, many_scored) = (_replays(Path(folder), lasts) for lasts in (START_UP, duration))
    return 1 - (many - few) / (many_scored - few_scored)


def _replays(folder: Path, lasts: str) -> tuple[float, float]:
    """CPU seconds of a replay without scores, and with them."""
    path = folder / f"traces-{lasts}.pb.zst"
    _command("generate", str(PLATFORM), str(path), "--duration", lasts)
    without, scored = (
        min(_command("replay", str(path), "--json", *more) for _ in range(3)) for more in ([], ["--anomalies"])
    )
    return without, scored


def _command(*arguments: str) -> float:
    """CPU seconds of a command and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "flows.cli", *arguments], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
