"""A real OpenTelemetry Collector on loopback, with the components of collector/main.go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from tests.servers import places
from tests.servers.server import Server

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_READY = "Everything is ready"
_TELEMETRY = {"metrics": {"level": "none"}}
"""By default it serves metrics of its own on port 8888, which a second one could not."""


class Collector(Server):
    """A Collector with a folder of its own.

    Args:
        folder: for its configuration and its log; made if missing.
        config: its configuration as YAML has it: receivers, exporters, connectors and `service.pipelines`.

    Raises:
        AbsentError: This machine has none.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        whole = {**config, "service": {"telemetry": _TELEMETRY, **config["service"]}}
        (folder / "otelcol.yaml").write_text(yaml.safe_dump(whole))
        super().__init__([places.collector(), "--config", folder / "otelcol.yaml"], folder / "otelcol.log")
        self._lives = 0

    def start(self, seconds: float = 60.0) -> Collector:
        """Start it; returns when its pipelines run."""
        self._lives = self._times_ready()
        super().start(seconds)
        return self

    def answers(self) -> bool:
        """Whether its pipelines run: it has said so once more than before this start."""
        return self._times_ready() > self._lives

    def _times_ready(self) -> int:
        return self.log.read_text(errors="replace").count(_READY) if self.log.exists() else 0
