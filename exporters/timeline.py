"""Faults and alerts of services along the time, as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

_FAULT, _GREY = "#b3261e", "#8a8a8a"
_COLOURS = ("#1f6fb2", "#e08a00", "#2e7d32", "#7b4fa3", "#00838f", "#ad1457", "#5d4037", "#455a64")
_WIDTH, _ROW, _REST = 13.0, 0.55, 1.8  # inches: the picture, a service, what is around them


class Bar(NamedTuple):
    """Something that lasted."""

    service: str
    begin_ns: int
    end_ns: int
    name: str  # of a fault: its kind; of an alert: what raised it


class Ground(NamedTuple):
    """What lies behind all services."""

    begin_ns: int
    end_ns: int
    gaps: np.ndarray  # (n, 2) int64, in which nothing was recorded
    warm_until_ns: int
    split_ns: int | None  # from where on it is held out


def timeline(path: Path, title: str, ground: Ground, faults: Sequence[Bar], alerts: Sequence[Bar]) -> None:
    """Draw a file: a row for each service that has a fault or an alert, in the order of their first.

    Args:
        path: of the picture; its suffix says which kind.
        title: above it.
        ground: the time that is drawn.
        faults: shaded, with their names.
        alerts: bars with a mark where they begin; a colour, and a height in the row, for each name.

    Raises:
        ImportError: matplotlib is not there.
        OSError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    first = sorted([*faults, *alerts], key=lambda bar: bar.begin_ns)
    rows = {service: row for row, service in enumerate(dict.fromkeys(bar.service for bar in first))}
    height = max(len(rows), 1)
    figure = Figure(figsize=(_WIDTH, _REST + _ROW * height), layout="constrained")
    axes = figure.subplots()
    _ground(axes, ground)
    for number, fault in enumerate(faults):
        _fault(axes, fault, rows[fault.service], named_above=number % 2 == 0)
    names = sorted({bar.name for bar in alerts})
    for number, name in enumerate(names):
        place = 0.8 * ((number + 1) / (len(names) + 1) - 0.5)
        own = [bar for bar in alerts if bar.name == name]
        _alerts(axes, own, [rows[bar.service] + place for bar in own], _COLOURS[number % len(_COLOURS)])
    axes.set_yticks(list(rows.values()), list(rows))
    axes.set_ylim(height - 0.5, -0.5)
    axes.set_xlim(*_when([ground.begin_ns, ground.end_ns]))
    axes.set_title(title, loc="left")
    axes.set_xlabel("UTC")
    axes.grid(axis="x", linewidth=0.3)
    if faults or alerts:
        figure.legend(loc="outside lower left", frameon=False, ncols=3)
    figure.savefig(path, dpi=110)


def _when(times_ns: Sequence[int]) -> np.ndarray:
    return np.array(times_ns, "datetime64[ns]")


def _ground(axes: Axes, ground: Ground) -> None:
    """What does not count, and what is held out."""
    for number, (begin, end) in enumerate(ground.gaps.tolist()):
        label = None if number else "nothing recorded"
        axes.axvspan(*_when([begin, end]), facecolor="none", edgecolor=_GREY, hatch="///", linewidth=0, label=label)
    if ground.warm_until_ns > ground.begin_ns:
        axes.axvspan(
            *_when([ground.begin_ns, ground.warm_until_ns]), color=_GREY, alpha=0.2, linewidth=0, label="warm-up"
        )
    if ground.split_ns is not None:
        axes.axvline(
            _when([ground.split_ns])[0], color="black", linewidth=1, linestyle="--", label="held out from here"
        )


def _fault(axes: Axes, fault: Bar, row: int, *, named_above: bool) -> None:
    """Its name above or below, so that those of neighbours do not lie on each other."""
    begin, end = _when([fault.begin_ns, fault.end_ns])
    axes.fill_between([begin, end], row - 0.48, row + 0.48, color=_FAULT, alpha=0.25, linewidth=0)
    place = (row - 0.47, "top") if named_above else (row + 0.47, "bottom")
    axes.annotate(fault.name, (begin, place[0]), color=_FAULT, fontsize=7, va=place[1])


def _alerts(axes: Axes, bars: Sequence[Bar], heights: Sequence[float], colour: str) -> None:
    begins, ends = _when([bar.begin_ns for bar in bars]), _when([bar.end_ns for bar in bars])
    axes.hlines(heights, begins, ends, color=colour, linewidth=3)
    # An alert of a minute in a month has no width of its own.
    axes.plot(begins, heights, linestyle="", marker="|", markersize=9, color=colour, label=bars[0].name)
