"""Every file in deploy/ is taken by the program that it is for, and they fit each other."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from exporters.names import FAMILIES
from flows.config import load
from tests.servers.alertmanager import Alertmanager
from tests.servers.collector import Collector
from tests.servers.server import free_ports, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.kafka import Broker

KNOWN = {name for family in FAMILIES for name in family.sample_names} | {"up"}
METRIC = re.compile(r"\b(?:streamgauge|traces)_\w+|\b\w+(?=[{\[])")
VALUES = {"service": ".*", "operation": ".*", "kind": ".*", "window": "1m"}


def said(*command: str | Path) -> str:
    """What a command says, if it is content."""
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dashboard(deploy: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (deploy / "compose" / "grafana" / "dashboards" / "streamgauge.json").read_text(encoding="utf-8")
    )
    return found


def queries(dashboard: dict[str, Any]) -> list[str]:
    """All of its PromQL, variables as Grafana would fill them in."""
    found = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    return [re.sub(r"\$(\w+)", lambda m: VALUES[m[1]], query) for query in found]


def documented(repository: Path) -> list[str]:
    """The PromQL of docs/operations.md."""
    text = (repository / "docs" / "operations.md").read_text(encoding="utf-8")
    return [line for block in re.findall(r"```promql\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]


def test_prometheus_takes_its_settings(promtool_binary: Path, deploy: Path) -> None:
    assert "SUCCESS" in said(promtool_binary, "check", "config", deploy / "prometheus.yaml")


def test_prometheus_scrapes_streamgauge_and_knows_alertmanager_by_their_names(deploy: Path) -> None:
    settings = yaml.safe_load((deploy / "prometheus.yaml").read_text())
    targets = [t for job in settings["scrape_configs"] for each in job["static_configs"] for t in each["targets"]]
    listen = load(deploy / "compose" / "streamgauge.yaml").listen_address
    assert f"streamgauge:{listen[1]}" in targets
    (alertmanagers,) = settings["alerting"]["alertmanagers"]
    assert alertmanagers["static_configs"] == [{"targets": ["alertmanager:9093"]}]


def test_alertmanager_takes_its_settings(alertmanager_binary: Path, deploy: Path) -> None:
    amtool = shutil.which("amtool") or alertmanager_binary.with_name("amtool")
    assert "SUCCESS" in said(amtool, "check-config", deploy / "compose" / "alertmanager.yaml")


@pytest.mark.slow
def test_alertmanager_starts_with_them(alertmanager_binary: Path, deploy: Path, tmp_path: Path) -> None:
    settings = yaml.safe_load((deploy / "compose" / "alertmanager.yaml").read_text())
    with Alertmanager(tmp_path / "alertmanager", settings) as alertmanager:
        assert alertmanager.alerts() == []


def test_streamgauge_takes_its_settings(deploy: Path) -> None:
    settings = load(deploy / "compose" / "streamgauge.yaml")
    assert settings.kafka is not None
    assert str(settings.state_directory).startswith("/var/lib/streamgauge/")
    assert settings.listen_address == ("0.0.0.0", 9464)


def test_who_writes_the_topic_who_makes_it_and_who_reads_it_agree(deploy: Path) -> None:
    settings = load(deploy / "compose" / "streamgauge.yaml")
    writes = yaml.safe_load((deploy / "compose" / "collector.yaml").read_text())["exporters"]["kafka"]
    made = (deploy / "compose.yaml").read_text()
    assert settings.kafka is not None
    (topic,) = settings.kafka.topics
    assert {"topic": topic.name, "encoding": topic.encoding} == writes["traces"]
    assert [settings.kafka.bootstrap_servers] == writes["brokers"]
    assert f"--topic={topic.name}\n" in made
    assert f"INSIDE://{settings.kafka.bootstrap_servers}," in made


def test_the_collector_takes_its_settings(collector_binary: Path, deploy: Path) -> None:
    said(collector_binary, "validate", "--config", deploy / "compose" / "collector.yaml")


def test_what_is_added_for_jaeger_fits_them(deploy: Path) -> None:
    """Our own Collector has no exporter for OTLP, so it cannot say."""
    base, more = (
        yaml.safe_load((deploy / "compose" / name).read_text()) for name in ("collector.yaml", "collector-jaeger.yaml")
    )
    exporters = base["exporters"] | more["exporters"]
    assert set(more) == {"exporters", "service"}
    assert more["service"]["pipelines"].keys() == base["service"]["pipelines"].keys()
    assert sorted(more["service"]["pipelines"]["traces"]["exporters"]) == sorted(exporters)
    assert set(base["service"]["pipelines"]["traces"]["exporters"]) <= set(exporters)


@pytest.mark.slow
def test_spans_go_through_the_collector_into_the_topic(
    collector_binary: Path, broker: Broker, deploy: Path, tmp_path: Path
) -> None:
    settings = yaml.safe_load((deploy / "compose" / "collector.yaml").read_text())
    grpc, http = free_ports(2)
    topic = broker.create_topic("from-the-collector", 4, **{"message.timestamp.type": "LogAppendTime"})
    settings["receivers"]["otlp"]["protocols"] = {
        "grpc": {"endpoint": f"127.0.0.1:{grpc}"},
        "http": {"endpoint": f"127.0.0.1:{http}"},
    }
    settings["exporters"]["kafka"] |= {"brokers": [broker.bootstrap]}
    settings["exporters"]["kafka"]["traces"]["topic"] = topic
    sent = ExportTraceServiceRequest()
    scope = sent.resource_spans.add().scope_spans.add()
    for number in range(100):
        scope.spans.add(trace_id=bytes(15) + bytes([number + 1]), span_id=bytes(7) + bytes([number + 1]), name="GET /")
    with Collector(tmp_path / "collector", settings):
        answer = httpx.post(
            f"http://127.0.0.1:{http}/v1/traces",
            content=sent.SerializeToString(),
            headers={"content-type": "application/x-protobuf"},
        )
        assert answer.status_code == 200

        def received() -> list[bytes]:
            values = [record.value() for records in broker.read(topic).values() for record in records]
            requests = [ExportTraceServiceRequest.FromString(value) for value in values]
            return [s.span_id for r in requests for rs in r.resource_spans for ss in rs.scope_spans for s in ss.spans]

        wait_until(lambda: len(received()) >= 100, "all spans are in the topic", 30.0, 0.5)
        assert sorted(received()) == sorted(span.span_id for span in scope.spans)


def test_the_dashboard_asks_only_for_metrics_that_there_are(dashboard: dict[str, Any]) -> None:
    variables = [each["definition"] for each in dashboard["templating"]["list"] if each["type"] == "query"]
    asked = {name for query in queries(dashboard) + variables for name in METRIC.findall(query)}
    assert len(asked) >= 15
    assert asked - KNOWN == set()


def test_the_dashboard_shows_what_an_operator_looks_at(dashboard: dict[str, Any]) -> None:
    asked = " ".join(queries(dashboard))
    for what in (
        *(f'quantile="{quantile}"' for quantile in ("0.5", "0.95", "0.99")),
        "traces_span_metrics_calls_total",
        "streamgauge_span_errors",
        "streamgauge_late_total",
        "streamgauge_source_lag_records",
        "streamgauge_watermark_timestamp_seconds",
        "streamgauge_series_demand",
    ):
        assert what in asked


def test_the_dashboards_queries_and_those_of_the_docs_are_promql(
    dashboard: dict[str, Any], repository: Path, promtool_binary: Path, tmp_path: Path
) -> None:
    asked = queries(dashboard) + documented(repository)
    assert len(documented(repository)) >= 4
    rules = [{"record": f"query:number{number}", "expr": query} for number, query in enumerate(asked)]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    assert f"{len(asked)} rules found" in said(promtool_binary, "check", "rules", file)


def test_the_docs_ask_only_for_metrics_that_there_are(repository: Path) -> None:
    assert {name for query in documented(repository) for name in METRIC.findall(query)} - KNOWN == set()


def test_the_dashboards_source_is_the_one_that_is_provisioned(dashboard: dict[str, Any], deploy: Path) -> None:
    provisioned = yaml.safe_load((deploy / "compose" / "grafana" / "datasources" / "prometheus.yaml").read_text())
    known = {(each["type"], each["uid"]) for each in provisioned["datasources"]}
    asked = [target["datasource"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    assert {(each["type"], each["uid"]) for each in asked} <= known
    assert ("prometheus", "prometheus") in known


def test_the_dashboards_panels_are_beside_each_other(dashboard: dict[str, Any]) -> None:
    cells: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        mine = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not mine & cells, panel["title"]
        assert at["x"] + at["w"] <= 24
        cells |= mine
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
