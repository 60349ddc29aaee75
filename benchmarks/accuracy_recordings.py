"""Which injected faults of two real recordings are seen in per-operation latency and traffic, and how soon.

    python benchmarks/accuracy_recordings.py             # half a minute

By default the detector learns for two and a half hours; each recording has about one, in pieces. So beside the default
stands the same detector that is told that a step is an hour: all its durations are a 60th or a 240th, and it is silent
for 16 steps. Nothing else was changed, and nothing was searched.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from judge.recordings import MINUTE, NAMES, SECOND, recorded
from judge.sightings import Alert, Time, alerts, first_of, sightings, time_of
from report import publish, recorded_data

from detectors.anomaly import PRESETS, AnomalyBank
from detectors.chance import rate_interval, share_interval
from detectors.spells import contains, total_ns
from exporters.alerts import rfc3339
from flows.anomalies.policy import AlertPolicy
from flows.units import format_duration

if TYPE_CHECKING:
    from judge.recordings import Recorded, Steps

    from flows.backtest.labels import Fault

SIGNALS = {"p95": "latency", "rate": "traffic"}
"""And the preset of each."""

POLICY = AlertPolicy()

LEVELS = (0.45, 0.6)
"""Scores that alert: that of docs/detectors.md, and what 5 alerts a day of some 300 series would ask."""

HOUR = 3_600.0
DEFAULT, HOURLY = "default", "a step as an hour"


class Case(NamedTuple):
    """A recording in steps, scored by one configuration."""

    recording: Recorded
    steps: Steps
    time: Time
    detector: str
    scores: dict[str, np.ndarray]  # by signal, (n_steps, n_operations)


def cases(recording: Recorded) -> list[Case]:
    """The default at steps of a minute, and what is told that a step is an hour at all steps."""
    found = []
    for steps in recording.steps:
        time = time_of(recording, steps)
        kinds = {DEFAULT: steps.step_ns / SECOND, HOURLY: HOUR}
        for detector, said in kinds.items():
            if detector == HOURLY or steps.step_ns == MINUTE:
                scores = {signal: scored(steps, signal, said) for signal in SIGNALS}
                found.append(Case(recording, steps, time, detector, scores))
    return found


def scored(steps: Steps, signal: str, step: float) -> np.ndarray:
    """(n_steps, n_operations) scores by a detector that is told how many seconds a step is.

    What production would alert nobody of is 0: durations of few calls, differences that are small in their unit.
    """
    values = steps.values[signal]
    bank = AnomalyBank(replace(PRESETS[SIGNALS[signal]], step=step), len(steps.operations))
    judged = bank.run(steps.times_ns, values)
    score = judged.score.copy()
    for at in map(tuple, np.argwhere(score >= min(LEVELS)).tolist()):
        if not POLICY.matters(signal, values[at], judged.expected[at], steps.calls[at]):
            score[at] = 0.0
    return score


def raised(case: Case, level: float) -> dict[str, list[Alert]]:
    """By signal."""
    return {signal: list(alerts(case.steps, signal, score, level)) for signal, score in case.scores.items()}


def summary(case: Case, signal: str, level: float) -> dict[str, object]:
    """One line of the table."""
    score, gaps = case.scores[signal], case.time.stretch.gaps
    got, (own, of_any), days = sightings(case.steps, case.time, score, raised(case, level)[signal])
    low, high = share_interval(got.own, got.faults)
    some = days > 0
    return {
        "recording": case.recording.name,
        "step": format_duration(case.steps.step_ns),
        "detector": case.detector,
        "signal": signal,
        "alerts at": level,
        "whole steps": len(score),
        "scored": int(np.isfinite(score).any(axis=1).sum()),
        "gaps over 5 m": f"{len(gaps)}, {total_ns(gaps) / SECOND / HOUR:.2f} h",
        "excluded": len(case.recording.faults) - got.faults,
        "faults": got.faults,
        "seen by their service": got.own,
        "95 %": f"{low:.2f}…{high:.2f}",
        "by chance": own if some else "",
        "seen by any": got.seen,
        "by chance ": of_any if some else "",
        "median delay, s": float(np.median(got.delays_ns)) / SECOND if got.own else "",
        "false episodes": got.false if some else "",
        "ordinary minutes": days * 1440,
        "a day, 95 %": "{:.0f}…{:.0f}".format(*rate_interval(got.false, days)) if some else "",
    }


def seen(case: Case, level: float) -> list[dict[str, object]]:
    """A line for each fault."""
    by_signal = raised(case, level)
    every = [alert for of_signal in by_signal.values() for alert in of_signal]
    rows = []
    for fault, why in zip(case.recording.faults, case.time.stretch.excluded, strict=True):
        own = first_of([alert for alert in every if alert.service == fault.service], fault[:2])
        others = {alert.service for alert in every if first_of([alert], fault[:2])} - {fault.service}
        rows.append(
            {
                "recording": case.recording.name,
                "at": rfc3339(fault.at_ns),
                "kind": fault.kind,
                "service": fault.service,
                **moved(case, fault),
                "its service": f"excluded: {why}" if why else told(own, fault),
                "first of any": "" if why else told(first_of(every, fault[:2]), fault),
                "other services": "" if why else len(others),
            }
        )
    return rows


def told(alert: Alert | None, fault: Fault) -> str:
    """Who saw it, and after how long."""
    if alert is None:
        return "not seen"
    return f"{(alert.begin_ns - fault.at_ns) / SECOND:.0f} s: {alert.service}, {alert.operation}, {alert.signal}"


def moved(case: Case, fault: Fault) -> dict[str, object]:
    """What a fault did, by nobody's detector: medians of its steps in multiples of those of ordinary steps."""
    steps, own = case.steps, [service == fault.service for service, _ in case.steps.operations]
    during = (fault.at_ns <= steps.times_ns) & (steps.times_ns <= fault.until_ns)
    if not during.any():
        return {"own p95": "", "own traffic": "", "p95 that moved most": ""}
    ordinary = contains(case.time.ordinary, steps.times_ns)
    traffic = np.nansum(steps.values["rate"][:, own], axis=1)
    p95 = np.ma.masked_invalid(steps.values["p95"])
    times = np.ma.median(p95[during], axis=0) / np.ma.median(p95[ordinary], axis=0)
    most = int(np.ma.argmax(times))
    return {
        "own p95": float(np.ma.median(times[own])),
        "own traffic": float(np.median(traffic[during]) / np.median(traffic[ordinary])),
        "p95 that moved most": f"{times[most]:.3g}: {', '.join(steps.operations[most])}",
    }


def main() -> None:
    """Both recordings, where they are."""
    rows: list[dict[str, object]] = []
    faults: list[dict[str, object]] = []
    for name in NAMES:
        folder = recorded_data() / name
        if not (folder / "traces.pb.zst").is_file():
            print(f"{name} is skipped: {folder} has no traces.pb.zst. STREAMGAUGE_DATA is the folder around it.")
            continue
        found = cases(recorded(folder))
        rows += [summary(case, signal, level) for case in found for signal in SIGNALS for level in LEVELS]
        faults += seen(found[-1], LEVELS[0])
    if not rows:
        return
    publish(
        "accuracy_recordings",
        "Injected faults that are seen in per-operation latency and traffic of two recordings",
        rows,
        "Only steps that were recorded as a whole are learnt and scored. Excluded: faults of which no whole step was "
        "recorded, and those in the first ten. An alert is of a service: its strangest operation that is busy and far "
        "enough off. By chance: what would be seen if services alerted during faults as often as in ordinary time. "
        "That is a few minutes in all, the one before each fault: episodes a day of it mean little.",
    )
    publish(
        "accuracy_recordings_faults",
        f"The same fault by fault: steps of 15 s, a step as an hour, alerts at {LEVELS[0]}",
        faults,
        "Own p95 (median operation), own traffic and the p95 that moved most are in multiples of ordinary time, by no "
        "detector: where the faulty service's is near 1, its latency does not have the fault.",
    )


if __name__ == "__main__":
    main()
