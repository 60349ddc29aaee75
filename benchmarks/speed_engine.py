"""How fast the engine is: replay from file to windows, cost by number of series, memory a series, closing a pane."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING

import numpy as np
import zstandard
from report import publish, recorded_data

from flows.config import Config
from flows.decode.batch import WEIGHT_ONE, Identity, SpanBatch, Text
from flows.decode.otlp_proto import OtlpProto
from flows.fold import Folder
from flows.part import Part
from flows.recording.writer import RecordingWriter
from flows.records import Partition, Records
from flows.rules import Rules
from flows.series import SHARDS
from flows.shard import Shard
from flows.watermark import Frontier, PartitionProgress, Progress
from flows.windows import Windows

if TYPE_CHECKING:
    from collections.abc import Iterator

MINUTE_NS = 60_000_000_000
SPANS = 40_000  # an emission


class _Text(Text):
    def __init__(self, series: np.ndarray) -> None:
        self.series = series

    def identity(self, index: int, kind: int, status: int) -> Identity:
        number = int(self.series[index])
        return Identity(f"service-{number % 400}", f"GET /route-{number:x}/items", kind, status, ())


def emissions(n_series: int, spans_a_minute: int, minutes: float) -> Iterator[SpanBatch]:
    """Decoded spans of services whose latencies are log-normal, evenly over series and time."""
    rng = np.random.default_rng(1)
    total = int(n_series * spans_a_minute * minutes)
    bounds = [*range(0, total, SPANS), total]
    for first, last in pairwise(bounds):
        n = last - first
        series = rng.integers(0, n_series, n)
        key = (series.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        ids = rng.integers(1, 1 << 62, (3, n)).astype(np.uint64)
        end = 10**18 + (np.arange(first, last) * (minutes * MINUTE_NS / total)).astype(np.int64)
        yield SpanBatch(
            (np.arange(n) // 400).astype(np.int32),
            end,
            np.exp(rng.normal(16.5, 0.5, n)).astype(np.int64),
            np.full(n, 2, np.uint8),
            np.zeros(n, np.uint8),
            *ids,
            np.full(n, WEIGHT_ONE, np.int64),
            key,
            key ^ (key >> np.uint64(31)),
            _Text(series),
        )


class Engine:
    """The stages in one process, without the dataflow engine between them; CPU seconds of each."""

    def __init__(self, step_ns: int = MINUTE_NS) -> None:
        config = Config.model_validate({"limits": {"series_per_service": 100_000}})
        self.rules = Rules.of(config, step_ns=step_ns, counters=False)
        self.folder = Folder(self.rules.grid, self.rules.template)
        self.frontier = Frontier(self.rules.time)
        self.shards = [Shard(1, self.rules.shard) for _ in range(SHARDS)]
        self.windows = [Windows(self.rules.windows) for _ in range(SHARDS)]
        self.seconds = {"fold": 0.0, "close": 0.0, "windows": 0.0}
        self.longest_close = 0.0
        self.spans = 0

    def take(self, batch: SpanBatch | None) -> None:
        """One emission, or the end."""
        begun = process_time()
        partials: list = [None] * SHARDS
        if batch is not None:
            stamps = np.full(int(batch.record[-1]) + 1, -1)
            timed = self.frontier.advance(batch.record, batch.end_ns, stamps, np.zeros(len(batch), np.uint8))
            partials = self.folder.fold(batch, timed)
            self.spans += len(batch)
        folded = process_time()
        stands = self.frontier.ns, self.frontier.first_pane, self.frontier.last_pane
        at = Progress(0, (PartitionProgress(Partition("t", 0), *stands, 0),), ended=batch is None)
        closed = [shard.hear([Part(at, partial)]) for shard, partial in zip(self.shards, partials, strict=True)]
        shut = process_time()
        for windows, each in zip(self.windows, closed, strict=True):
            if each is not None:
                windows.close(each)
        done = process_time()
        self.seconds["fold"] += folded - begun
        self.seconds["close"] += shut - folded
        self.seconds["windows"] += done - shut
        if any(each is not None and each.segments for each in closed):
            self.longest_close = max(self.longest_close, done - folded)

    def forget_times(self) -> None:
        """Begin measuring: series are named, kernels compiled."""
        self.seconds = dict.fromkeys(self.seconds, 0.0)
        self.longest_close = 0.0
        self.spans = 0


def decode_seconds_a_span() -> float:
    """Decoding a span of the generated 400 bytes, for the sum with fold and the rest."""
    from speed_decode import generated

    source = generated()
    decoder, records = OtlpProto(), Records.of(source.requests)
    decoder.decode(records)
    begun = process_time()
    spans = sum(len(decoder.decode(records)) for _ in range(5))
    return (process_time() - begun) / spans


def decode_and_fold() -> list[dict[str, object]]:
    """One core from bytes to partials, against protobuf's own parser (parse only) in the same run; no dimensions."""
    from speed_decode import Input, generated, parse_only, recorded

    def best(source: Input) -> tuple[float, float]:
        records = Records.of(source.requests)
        rules = Rules.of(Config())
        decoder, folder = OtlpProto(), Folder(rules.grid, rules.template)
        parse = parse_only(source)
        ours, theirs = [], []
        for _ in range(8):
            frontier = Frontier(rules.time)
            begun = process_time()
            spans = decoder.decode(records)
            timed = frontier.advance(spans.record, spans.end_ns, records.timestamps_ms, np.zeros(len(spans), np.uint8))
            folder.fold(spans, timed)
            done = process_time()
            parse()
            ours.append((done - begun) / len(spans))
            theirs.append((process_time() - done) / len(spans))
        return min(ours), min(theirs)

    rows: list[dict[str, object]] = []
    for source in filter(None, (generated(), recorded())):
        ours, theirs = best(source)
        rows.append(
            {
                "input": source.label,
                "decode + fold ns": ours * 1e9,
                "M spans/s": 1e-6 / ours,
                "protobuf, parse only ns": theirs * 1e9,
                "times as fast": theirs / ours,
            }
        )
    return rows


def by_series() -> list[dict[str, object]]:
    """Cost a span at 100 to 100,000 series, one million spans a minute in all; decoding at 400 bytes beside it."""
    decode = decode_seconds_a_span()
    rows: list[dict[str, object]] = []
    base: tuple[float, float] | None = None
    for n_series in (100, 1_000, 10_000, 100_000):
        engine = Engine()
        batches = list(emissions(n_series, 1_000_000 // n_series, 3))
        for number, batch in enumerate(batches):
            if number == len(batches) // 3:
                engine.forget_times()
            engine.take(batch)
        ns = {name: seconds / engine.spans * 1e9 for name, seconds in engine.seconds.items()}
        fold, whole = decode * 1e9 + ns["fold"], decode * 1e9 + sum(ns.values())
        base = base or (fold, whole)
        rows.append(
            {
                "series": n_series,
                "decode ns": decode * 1e9,
                **{f"{name} ns": value for name, value in ns.items()},
                "decode + fold, ratio": fold / base[0],
                "end to end, ratio": whole / base[1],
            }
        )
    return rows


def resident_kib() -> int:
    """What the process has in memory now; its peak would be the compiler's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1])


def memory(n_series: int, spans_a_minute: int) -> dict[str, object]:
    """Resident memory a series with an hour of windows; run in a process of its own."""
    warm = Engine()
    for batch in (*emissions(10, 600, 3), None):
        warm.take(batch)  # kernels are loaded before memory is looked at
    before = resident_kib()
    engine = Engine()
    for number, batch in enumerate(emissions(n_series, spans_a_minute, 65)):
        engine.take(batch)
        if number == 100:
            engine.forget_times()
    after = resident_kib()
    return {
        "series": n_series,
        "spans a minute": spans_a_minute,
        "KiB a series": (after - before) / n_series,
        "longest close s": engine.longest_close,
    }


def replay_rows() -> list[dict[str, object]]:
    """The whole command, file to windows: online-boutique with each record ten times in a row."""
    path = recorded_data() / "online-boutique-2022-08-22" / "traces.pb.zst"
    if not path.is_file():
        return []
    with path.open("rb") as file:
        data = zstandard.ZstdDecompressor().stream_reader(file).read()
    command = str(Path(sys.executable).parent / "streamgauge")
    with tempfile.TemporaryDirectory() as folder:
        once, ten = Path(folder) / "traces-once.pb.zst", Path(folder) / "traces-ten.pb.zst"
        with RecordingWriter(once) as few, RecordingWriter(ten) as many:
            at = 0
            while at < len(data):
                size = int.from_bytes(data[at : at + 4], "big")
                request = data[at + 4 : at + 4 + size]
                few.write(request)
                for _ in range(10):
                    many.write(request)
                at += 4 + size

        def wall(recording: Path, workers: int) -> float:
            times = []
            for _ in range(3):
                begun = perf_counter()
                subprocess.run(
                    [command, "replay", recording, "--json", "--workers", str(workers)], check=True, capture_output=True
                )
                times.append(perf_counter() - begun)
            return sorted(times)[1]

        rows = []
        for workers in (1, 2):
            # Start-up is what the short recording takes beyond its share: nine tenths of the spans lie between them.
            seconds = wall(ten, workers) - wall(once, workers)
            rows.append({"workers": workers, "seconds for 7.62 M spans": seconds, "M spans/s": 7.619688 / seconds})
        rows[1]["against one"] = rows[0]["seconds for 7.62 M spans"] / rows[1]["seconds for 7.62 M spans"]
        return rows


def main() -> None:
    """Measure, print, write the results."""
    if len(sys.argv) == 4 and sys.argv[1] == "memory":
        publish(f"memory_{sys.argv[2]}", "Memory", [memory(int(sys.argv[2]), int(sys.argv[3]))])
        return
    publish("speed_decode_fold", "Bytes to partials, one core", decode_and_fold())
    publish("speed_replay", "Replay, file to windows, after start-up", replay_rows())
    publish("speed_series", "CPU time a span by number of series", by_series())
    for n_series, spans_a_minute in ((100_000, 10), (1_000, 6_000)):
        subprocess.run([sys.executable, __file__, "memory", str(n_series), str(spans_a_minute)], check=True)


if __name__ == "__main__":
    main()
