"""Where the real servers are on this machine: what `make servers` made, and the packages' own programs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent


class AbsentError(RuntimeError):
    """A server that this machine does not have; the sentence says how it is to be had."""


def folder() -> Path:
    """What `make servers` fills, in the repository unless STREAMGAUGE_SERVERS says otherwise."""
    return Path(os.environ.get("STREAMGAUGE_SERVERS") or REPOSITORY / ".servers")


def kafka_jars() -> Path:
    """The folder of the broker's jars.

    Raises:
        AbsentError: There is none, or no Java.
    """
    if shutil.which("java") is None:
        raise AbsentError("no Java here, which a Kafka broker needs: install Java 17 and Maven, then `make servers`")
    if not (folder() / "kafka" / "ready").is_file():
        raise AbsentError("no Kafka broker here: `make servers` fetches it (with Java 17 and Maven)")
    return folder() / "kafka" / "jars"


def collector() -> Path:
    """The OpenTelemetry Collector's program.

    Raises:
        AbsentError: There is none.
    """
    program = folder() / "otelcol"
    if not program.is_file():
        raise AbsentError("no OpenTelemetry Collector here: `make servers` builds it (with Go)")
    return program


def prometheus() -> Path:
    """Prometheus's program.

    Raises:
        AbsentError: There is none.
    """
    return _on_path("Prometheus", "prometheus")


def promtool() -> Path:
    """The program that checks and fills Prometheus's files.

    Raises:
        AbsentError: There is none.
    """
    return _on_path("promtool", "promtool")


def alertmanager() -> Path:
    """Alertmanager's program; Debian's has a name of its own.

    Raises:
        AbsentError: There is none.
    """
    return _on_path("Alertmanager", "prometheus-alertmanager", "alertmanager")


def _on_path(what: str, *names: str) -> Path:
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        package = "prometheus-alertmanager" if what == "Alertmanager" else "prometheus"
        raise AbsentError(
            f"no {what} here: install it (Debian's package is {package}); `make servers` says what is missing"
        )
    return Path(found)
