"""`streamgauge run`: spans from Kafka to the metrics page, until it is told to stop."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import ConfigFile, Prime
from flows.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.anomalies.past import Pasts
    from flows.config import Config
    from flows.slo.promise import Promise
    from flows.slo.seed import Seed

_EPILOG = """\b
Examples:
  streamgauge run --config streamgauge.yaml
  streamgauge run --config streamgauge.yaml --workers 2
  streamgauge run --config streamgauge.yaml --machine 0 --addresses gauge-0:9500,gauge-1:9500

\b
A first configuration:
  kafka:
    bootstrap_servers: 127.0.0.1:9092
    topics:
      - {name: otlp_spans, signal: spans, encoding: otlp_proto}
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run", epilog=_EPILOG)(_run)


def _run(
    config: ConfigFile = None,
    workers: Annotated[int, typer.Option(min=1, max=32, metavar="N", help="Worker processes of this machine.")] = 1,
    machine: Annotated[
        int | None,
        typer.Option(min=0, metavar="M", help="Number of this machine; by default the number its host name ends in."),
    ] = None,
    addresses: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT,...",
            help="Every machine of the cluster in order; worker w of each listens on its port + w. The traffic is "
            "neither encrypted nor authenticated: use an isolated network.",
        ),
    ] = None,
    slos: Annotated[
        list[str] | None,
        typer.Option(
            "--slos", metavar="GLOB", help="OpenSLO files, instead of the configuration's `slos`; repeatable."
        ),
    ] = None,
    alerts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Append every alert's beginning and end, as JSON lines.")
    ] = None,
    seed: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="What the SLOs counted before, by `streamgauge slo seed`; only new SLOs take it."
        ),
    ] = None,
    prime: Prime = None,
    accept_state_loss: Annotated[
        bool, typer.Option("--accept-state-loss", help="Begin anew where the state cannot be used; it is put aside.")
    ] = False,
) -> None:
    """Read spans from Kafka and serve percentiles, calls and errors to Prometheus, for weeks.

    Stopped by Ctrl-C or SIGTERM, it stores its state and goes on from there at the next start.
    """
    from flows import log
    from flows.config import load

    loaded = load(config)
    _check(loaded, workers)
    log.configure(loaded.log.format, loaded.log.level)
    from flows.run.life import Place
    from flows.run.supervisor import Supervisor

    machines = tuple(addresses.split(",")) if addresses else ()
    place = Place(workers, _machine(machine, machines), machines)
    promises = _promises(loaded, slos or loaded.slos)
    supervisor = Supervisor(
        loaded,
        place,
        promises=promises,
        seed=_seed(seed, promises),
        pasts=_pasts(prime, loaded),
        alert_lines=alerts,
        accept_state_loss=accept_state_loss,
    )
    raise typer.Exit(supervisor.run())


def _promises(config: Config, patterns: Sequence[str]) -> tuple[Promise, ...]:
    """What is promised; what is ignored of the files is said once."""
    if not patterns:
        return ()
    from flows import log
    from flows.config.exclusions import exclusions
    from flows.slo.exclusions import check_exclusions
    from flows.slo.openslo import load

    loaded = load(patterns, [dimension.label for dimension in config.decoder_dimensions()])
    for warning in loaded.warnings:
        log.get("slos").warning("a part of an SLO is ignored", what=warning)
    is_scored = bool(config.anomalies)
    for warning in check_exclusions(exclusions(config.exclusions), loaded.promises, is_scored=is_scored):
        log.get("slos").warning("a part of the configuration does nothing", what=warning)
    return loaded.promises


def _seed(path: Path | None, promises: tuple[Promise, ...]) -> Seed | None:
    """What the promises counted before; what is of none of them is said once."""
    if path is None:
        return None
    from flows import log
    from flows.slo.seed import read_seed

    return read_seed(path, promises, lambda said: log.get("slos").warning("a part of the seed is ignored", what=said))


def _pasts(path: Path | None, config: Config) -> Pasts | None:
    """What operations did before, by rule of anomalies."""
    if path is None:
        return None
    from flows import log
    from flows.anomalies.past_file import read_past
    from flows.config.anomalies import anomaly_rules

    return read_past(path, anomaly_rules(config), lambda said: log.get("anomalies").info("primed", what=said))


def _check(config: Config, workers: int) -> None:
    if config.kafka is None:
        raise ConfigError(
            "kafka", "not there", "it says what to read", "`streamgauge run --help` shows a first configuration."
        )
    if workers > config.kafka.slots:
        raise UsageError(
            f"--workers {workers}", f"each worker needs a slot, and kafka.slots is {config.kafka.slots}", "Use fewer."
        )
    from flows.kafka.properties import check

    trouble = check(config.kafka.librdkafka())
    if trouble:
        raise ConfigError("kafka.properties", trouble, "they are librdkafka's", "Its CONFIGURATION.md lists them.")


def _machine(machine: int | None, machines: tuple[str, ...]) -> int:
    """The number of this machine: as told, else that of a StatefulSet's pod, in its host name."""
    if not machines:
        return 0
    if machine is None:
        name = socket.gethostname()
        digits = name.rpartition("-")[2]
        if not digits.isdigit():
            raise UsageError(
                "--addresses without --machine", f"the host name {name} ends in no number", "Say --machine."
            )
        machine = int(digits)
    if machine >= len(machines):
        raise UsageError(f"--machine {machine}", f"--addresses has {len(machines)} machines, counted from 0")
    return machine
