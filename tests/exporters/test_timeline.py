"""The timeline of faults and alerts: what stands in the picture, as a reader of it finds it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

from exporters.timeline import Bar, Ground, timeline

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HOUR_NS = 3_600 * 10**9
BEGIN_NS = 1_772_442_000 * 10**9
GAP = np.array([[BEGIN_NS + 5 * HOUR_NS, BEGIN_NS + 6 * HOUR_NS]])


def hours(service: str, begin: float, end: float, name: str) -> Bar:
    return Bar(service, BEGIN_NS + round(begin * HOUR_NS), BEGIN_NS + round(end * HOUR_NS), name)


FAULTS = [hours("web", 3, 3.5, "outage")]
ALERTS = [hours("web", 3.1, 3.6, "burns"), hours("shop", 2.0, 2.0, "strange")]


def words(path: Path, faults: Sequence[Bar], alerts: Sequence[Bar], ground: Ground) -> list[str]:
    with mpl.rc_context({"svg.fonttype": "none"}):  # else words are outlines
        timeline(path, "traces.pb", ground, faults, alerts)
    return [text.text or "" for text in ET.parse(path).getroot().iter("{http://www.w3.org/2000/svg}text")]


def test_services_faults_alerts_and_what_does_not_count_are_named(tmp_path: Path) -> None:
    ground = Ground(BEGIN_NS, BEGIN_NS + 8 * HOUR_NS, GAP, BEGIN_NS + HOUR_NS, BEGIN_NS + 4 * HOUR_NS)
    found = words(tmp_path / "x.svg", FAULTS, ALERTS, ground)
    assert {"traces.pb", "web", "shop", "outage", "burns", "strange"} <= set(found)
    assert {"nothing recorded", "warm-up", "held out from here"} <= set(found)
    assert found.index("shop") < found.index("web")  # in the order of their first


def test_what_there_is_none_of_is_not_named(tmp_path: Path) -> None:
    ground = Ground(BEGIN_NS, BEGIN_NS + HOUR_NS, np.zeros((0, 2), np.int64), BEGIN_NS, None)
    found = words(tmp_path / "x.svg", [], [], ground)
    assert not {"nothing recorded", "warm-up", "held out from here"} & set(found)


def test_a_picture_may_be_of_pixels(tmp_path: Path) -> None:
    timeline(tmp_path / "x.png", "x", Ground(BEGIN_NS, BEGIN_NS + HOUR_NS, GAP, BEGIN_NS, None), FAULTS, ALERTS)
    assert (tmp_path / "x.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
