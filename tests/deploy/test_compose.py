"""compose.yaml is what Compose takes, and harms nobody who starts it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ONE_SHOT = {"topics"}
WRITES_BESIDE_ITS_PROGRAM = {"kafka"}
HAS_NO_PROGRAM_TO_ASK_WITH = {"collector"}


def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose["services"]
    return found


def test_all_that_a_newcomer_needs_is_there(compose: dict[str, Any]) -> None:
    wanted = {"kafka", "prometheus", "alertmanager", "grafana", "jaeger", "collector", "streamgauge"}
    assert wanted | {"topics", "demo"} == set(services(compose))


def test_every_file_that_is_mounted_is_there(compose: dict[str, Any], repository: Path) -> None:
    mounted = [v for each in services(compose).values() for v in each.get("volumes", []) if v["type"] == "bind"]
    assert len(mounted) >= 6
    for volume in mounted:
        assert Path(volume["source"]).exists(), volume
        assert Path(volume["source"]).is_relative_to(repository)
        assert volume["read_only"], volume


def test_every_file_that_a_command_names_is_mounted(compose: dict[str, Any]) -> None:
    for name, service in services(compose).items():
        targets = {v["target"]: v for v in service.get("volumes", [])}
        for argument in service.get("command") or []:
            for path in re.findall(r"/(?:etc|datasets)/\S+", argument):
                inside = [t for t in targets if path == t or path.startswith(t + "/")]
                assert inside, f"{name}: {path}"
                if path != inside[0]:
                    assert (Path(targets[inside[0]]["source"]) / path.removeprefix(inside[0] + "/")).is_file()


def test_every_port_is_this_machines_only(compose: dict[str, Any]) -> None:
    ports = [port for each in services(compose).values() for port in each.get("ports", [])]
    assert len(ports) >= 8
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}
    assert len({port["published"] for port in ports}) == len(ports)


def test_nobody_shares_the_machines_network_or_its_docker(compose: dict[str, Any]) -> None:
    for service in services(compose).values():
        assert not {"privileged", "network_mode", "pid", "ipc", "cap_add", "devices"} & {
            k for k in service if service[k]
        }
        assert not [v for v in service.get("volumes", []) if "docker.sock" in str(v.get("source"))]


def test_every_image_is_pinned_to_a_version(compose: dict[str, Any], repository: Path) -> None:
    version = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["version"]
    for name, service in services(compose).items():
        assert re.fullmatch(r"[a-z0-9./-]+:v?\d+\.\d+\.\d+", service["image"]), name
        if service["image"].startswith("streamgauge:"):
            assert service["image"] == f"streamgauge:{version}"


def test_every_service_has_only_the_rights_it_needs(compose: dict[str, Any]) -> None:
    for name, service in services(compose).items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service.get("read_only", False) == (name not in WRITES_BESIDE_ITS_PROGRAM), name


def test_every_server_is_asked_for_its_health(compose: dict[str, Any]) -> None:
    """Of streamgauge its image says how."""
    for name, service in services(compose).items():
        if name not in ONE_SHOT | HAS_NO_PROGRAM_TO_ASK_WITH | {"streamgauge"}:
            check = service["healthcheck"]
            assert check.get("disable") or check["test"][0] == "CMD", name
    assert "healthcheck" not in services(compose)["streamgauge"]


def test_who_is_waited_for_can_be_waited_for(compose: dict[str, Any]) -> None:
    known = services(compose)
    for name, service in known.items():
        for other, wait in service.get("depends_on", {}).items():
            if wait["condition"] == "service_healthy":
                assert known[other]["healthcheck"]["test"], f"{name} waits for {other}"
            else:
                assert (wait["condition"], other in ONE_SHOT) == ("service_completed_successfully", True), name


def test_a_stop_has_more_time_than_streamgauge_takes_for_it(compose: dict[str, Any]) -> None:
    from flows.config import Config

    assert services(compose)["streamgauge"]["stop_grace_period"] == "30s"
    assert Config().supervision.stop_grace_ns < 20e9
