"""A real Prometheus on loopback, that scrapes what a test serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import yaml

from tests.servers import places
from tests.servers.server import Server, free_ports

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class Prometheus(Server):
    """A Prometheus with a folder of its own.

    Args:
        folder: for its configuration, its data and its log; made if missing.
        targets: job → `host:port` of the pages it scrapes, at `/metrics`.
        every: how often.
        config: further top keys of prometheus.yml, such as `alerting` and `rule_files`.
        options: further options of the command.

    Raises:
        AbsentError: This machine has none.
    """

    def __init__(
        self,
        folder: Path,
        targets: Mapping[str, str] | None = None,
        every: str = "1s",
        config: Mapping[str, Any] | None = None,
        options: Sequence[str] = (),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        jobs = [{"job_name": job, "static_configs": [{"targets": [at]}]} for job, at in (targets or {}).items()]
        whole = {
            "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
            "scrape_configs": jobs,
            **(config or {}),
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(whole))
        self.address = f"127.0.0.1:{free_ports(1)[0]}"
        self.url = f"http://{self.address}"
        super().__init__(
            [
                places.prometheus(),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                "--storage.tsdb.retention.time=100y",  # old samples put in beside new ones must stay
                f"--web.listen-address={self.address}",
                *options,
            ],
            folder / "prometheus.log",
        )

    def answers(self) -> bool:
        """Whether it is ready."""
        return _is_ok(f"{self.url}/-/ready")

    def query(self, expression: str, **parameters: object) -> list[dict[str, Any]]:
        """An instant query's result (Prometheus HTTP API): a list of {"metric": labels, "value": [time, text]}."""
        result: list[dict[str, Any]] = self.api("query", query=expression, **parameters)["result"]
        return result

    def values(self, expression: str) -> list[float]:
        """The values of an instant query, without their labels."""
        return [float(each["value"][1]) for each in self.query(expression)]

    def api(self, path: str, **parameters: object) -> Any:
        """The `data` that `/api/v1/<path>` answers with.

        Raises:
            httpx.HTTPStatusError: It refuses.
        """
        answer = httpx.get(f"{self.url}/api/v1/{path}", params={key: str(each) for key, each in parameters.items()})
        return answer.raise_for_status().json()["data"]


def _is_ok(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2.0).is_success
    except httpx.TransportError:
        return False
