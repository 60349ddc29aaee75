"""A real Alertmanager on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import yaml

from tests.servers import places
from tests.servers.server import Server, free_ports

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_KEEPS_QUIET: Mapping[str, Any] = {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}


class Alertmanager(Server):
    """An Alertmanager with a folder of its own, and no peers.

    Args:
        folder: for its configuration, its data and its log; made if missing.
        config: alertmanager.yml; one that notifies nobody where None.

    Raises:
        AbsentError: This machine has none.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "alertmanager.yml").write_text(yaml.safe_dump(dict(config or _KEEPS_QUIET)))
        self.address = f"127.0.0.1:{free_ports(1)[0]}"
        self.url = f"http://{self.address}"
        super().__init__(
            [
                places.alertmanager(),
                f"--config.file={folder / 'alertmanager.yml'}",
                f"--storage.path={folder / 'data'}",
                f"--web.listen-address={self.address}",
                "--cluster.listen-address=",
            ],
            folder / "alertmanager.log",
        )

    def answers(self) -> bool:
        """Whether it is ready."""
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=2.0).is_success
        except httpx.TransportError:
            return False

    def alerts(self) -> list[dict[str, Any]]:
        """What it knows now (`GET /api/v2/alerts`)."""
        found: list[dict[str, Any]] = httpx.get(f"{self.url}/api/v2/alerts").raise_for_status().json()
        return found
