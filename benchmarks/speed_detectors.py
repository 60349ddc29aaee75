"""How fast the anomaly detector is: many series a batch, one row at a time, a week at once, in the flow; and its state.

python benchmarks/speed_detectors.py --quick     # 1,000 series, seconds
"""

from __future__ import annotations

import argparse

import numpy as np
from report import cpu_seconds, publish
from scored_flow import cost, replay_share

from detectors.anomaly import AnomalyBank, AnomalyDetector, AnomalySettings

MINUTE_NS = 60 * 10**9
START_NS = 1_767_571_200 * 10**9
WARM = 1_500
"""Rows learnt before anything is measured: a day, and all that is learnt only then."""


def times(n: int, begin: int = 0) -> np.ndarray:
    return START_NS + (begin + np.arange(n)) * MINUTE_NS


def traffic(rng: np.random.Generator, n: int, n_series: int) -> np.ndarray:
    """(n, n_series) requests with a day, each series with a level of its own."""
    day = 1 + 0.6 * np.sin(2 * np.pi * np.arange(n) / 1440)
    return rng.poisson(np.outer(day, rng.uniform(1, 500, n_series))).astype(np.float64)


def live(rng: np.random.Generator, n_series: int) -> float:
    """CPU seconds for one minute of all series, as the flow will do it."""
    bank = AnomalyBank(AnomalySettings(), n_series)
    bank.run(times(WARM), traffic(rng, WARM, n_series))
    minutes, values, at = 10_000, traffic(rng, 64, n_series), 0

    def minute() -> None:
        nonlocal at
        bank.run(times(1, minutes + at), values[at % 64 : at % 64 + 1])
        at += 1

    return cpu_seconds(minute)


def week(rng: np.random.Generator, n_series: int) -> float:
    """CPU seconds for a week of minutes."""
    n = 7 * 1440
    values = traffic(rng, n, n_series)
    return cpu_seconds(lambda: AnomalyBank(AnomalySettings(), n_series).run(times(n), values), repeats=1, at_least=0.01)


def single(rng: np.random.Generator) -> tuple[float, float]:
    """CPU seconds to score, and to learn, one value of one series."""
    detector = AnomalyDetector()
    values = traffic(rng, WARM, 1)[:, 0]
    for time_ns, value in zip(times(WARM).tolist(), values.tolist(), strict=True):
        detector.learn_one(value, time_ns)
    at = WARM

    def learn() -> None:
        nonlocal at
        at += 1
        detector.learn_one(values[at % WARM], START_NS + at * MINUTE_NS)

    learning = cpu_seconds(learn)
    return cpu_seconds(lambda: detector.score_one(5.0, START_NS + (at + 1) * MINUTE_NS)), learning


def in_the_flow(n_series: int) -> list[dict[str, object]]:
    """What a live worker spends on a step of all series, once a minute."""
    step = cost(n_series)
    what = f"in the flow, {n_series:,} series a minute"
    return [
        {"what": f"{what}: share of a core", "seen": step.cpu_seconds / 60, "aim": "0.02 for 20,000"},
        {"what": f"{what}: MB stored", "seen": step.stored_bytes / 1e6, "aim": ""},
    ]


def main() -> None:
    """All of it."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true")
    quick = arguments.parse_args().quick
    rng = np.random.default_rng(1)
    n_live, n_week = (1_000, 50) if quick else (10_000, 1_000)
    seconds = live(rng, n_live)
    rows: list[dict[str, object]] = [
        {"what": f"{n_live:,} series, a minute at a time: points/s", "seen": n_live / seconds, "aim": "1,000,000"},
    ]
    seconds = week(rng, n_week)
    rows.append({"what": f"a week of minutes for {n_week:,} series: s", "seen": seconds, "aim": "20 for 1,000"})
    rows.append({"what": "the same: points/s", "seen": n_week * 7 * 1440 / seconds, "aim": "1,000,000"})
    score, learn = single(rng)
    rows.append({"what": "one value, learn_one: µs", "seen": learn * 1e6, "aim": "20"})
    rows.append({"what": "one value, score_one: µs", "seen": score * 1e6, "aim": "20"})
    rows += in_the_flow(1_500 if quick else 20_000)
    lasts = "30m" if quick else "8h"
    what = f"a replay of {lasts} of the example platform: share of its time"
    rows.append({"what": what, "seen": replay_share(lasts), "aim": ""})
    state = AnomalyBank(AnomalySettings(), 1_000)
    rows.append({"what": "state of a series: bytes", "seen": len(state.save()) / 1_000, "aim": "12,288"})
    publish(
        f"speed_detectors{'_quick' if quick else ''}",
        "How fast is the anomaly detector, on one core?",
        rows,
        "CPU seconds of the process. score_one copies the state of the series, so that it cannot change it. In the "
        "flow: all series chosen, scored, and written to a recovery store, what the system does for that included.",
    )


if __name__ == "__main__":
    main()
