"""Online arithmetic: histograms, burn rates, spike and anomaly detectors.

Here lives what is computed from numbers and times that are handed in. What must not: streams, files, clocks, sockets,
Prometheus. Every module is one method, with its source in its docstring; a notebook imports the same code as
production:

    from detectors import AnomalyBank, AnomalyDetector, PRESETS, detect

A name is loaded when it is first asked for: kernels bring a compiler of 100 MB with them, and who imports a module
without any must not pay for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detectors.anomaly import PRESETS, AnomalyBank, AnomalyDetector, AnomalySettings, Judged
    from detectors.detection import THRESHOLD, Detection, detect
    from detectors.episodes import raised

__all__ = [
    "PRESETS",
    "THRESHOLD",
    "AnomalyBank",
    "AnomalyDetector",
    "AnomalySettings",
    "Detection",
    "Judged",
    "detect",
    "raised",
]

_HOMES = {
    "detectors.anomaly": ("PRESETS", "AnomalyBank", "AnomalyDetector", "AnomalySettings", "Judged"),
    "detectors.detection": ("THRESHOLD", "Detection", "detect"),
    "detectors.episodes": ("raised",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
