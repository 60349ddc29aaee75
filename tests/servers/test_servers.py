"""The real servers of the tests do what the tests take for granted."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from prometheus_client import CollectorRegistry, Counter, start_http_server
from prometheus_client.parser import text_string_to_metric_families

from flows.generate.generator import generate
from flows.generate.scenario import Scenario
from tests.servers.alertmanager import Alertmanager
from tests.servers.collector import Collector
from tests.servers.places import AbsentError, collector, kafka_jars
from tests.servers.prometheus import Prometheus
from tests.servers.server import Server, free_ports, is_alive, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.kafka import Broker

COMPRESSIONS = ("none", "gzip", "snappy", "lz4", "zstd")


class Sleeper(Server):
    """A process that does nothing."""

    def answers(self) -> bool:
        return True


def test_a_port_is_given_out_once() -> None:
    ports = free_ports(200)
    assert len(set(ports)) == 200
    assert not set(ports) & set(free_ports(200))


def test_a_server_that_ends_at_once_says_its_last_words(tmp_path: Path) -> None:
    server = Sleeper([sys.executable, "-c", "import time, sys; sys.exit('no such luck')"], tmp_path / "log")
    server.answers = lambda: False  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="no such luck"):
        server.start()
    assert not server.is_running


def test_a_server_dies_with_the_process_that_started_it(repository: Path, tmp_path: Path) -> None:
    """Nobody is there to end it when a test run is killed."""
    program = (
        "import os, signal, pathlib, sys\n"
        "from tests.servers.test_servers import Sleeper\n"
        "server = Sleeper(['sleep', '60'], pathlib.Path(sys.argv[1]))\n"
        "print(server.start().pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    run = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "log"], capture_output=True, text=True, env=environment, check=False
    )
    pid = int(run.stdout)
    wait_until(lambda: not is_alive(pid), "the server is gone", 20.0)


def test_what_is_absent_is_said_with_the_way_to_have_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMGAUGE_SERVERS", str(tmp_path))
    with pytest.raises(AbsentError, match="make servers"):
        kafka_jars()
    with pytest.raises(AbsentError, match="make servers"):
        collector()


@pytest.mark.slow
def test_a_broker_keeps_records_as_they_were_produced(broker: Broker) -> None:
    topic = broker.create_topic("as-produced", 2)
    values = [b"a", None, b"c" * 100_000]
    assert broker.produce(topic, 1, values, [1000, 2000, 3000], [b"k", None, b"l"], "lz4") == [0, 1, 2]
    found = broker.read(topic)
    assert found[0] == []
    assert [message.value() for message in found[1]] == values
    assert [message.key() for message in found[1]] == [b"k", None, b"l"]
    assert [message.timestamp()[1] for message in found[1]] == [1000, 2000, 3000]
    assert broker.end_offsets(topic) == {0: 0, 1: 3}


@pytest.mark.slow
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_broker_takes_every_compression(broker: Broker, compression: str) -> None:
    topic = broker.create_topic(f"compressed-{compression}", 1)
    values = [bytes([number]) * 1000 for number in range(100)]
    broker.produce(topic, 0, values, compression=compression)
    assert [message.value() for message in broker.read(topic)[0]] == values


@pytest.mark.slow
def test_a_record_that_is_refused_is_no_silent_loss(broker: Broker) -> None:
    topic = broker.create_topic("small-records", 1, max_message_bytes=1000)
    with pytest.raises(KafkaException, match="MSG_SIZE_TOO_LARGE"):
        broker.produce(topic, 0, [b"a" * 10_000])
    assert broker.end_offsets(topic) == {0: 0}


@pytest.mark.slow
def test_topics_grow_lose_their_beginning_and_go(broker: Broker) -> None:
    topic = broker.create_topic("comes-and-goes", 1)
    broker.produce(topic, 0, [b"a", b"b", b"c"])
    broker.add_partitions(topic, 3)
    broker.delete_records(topic, 0, 2)
    assert broker.begin_offsets(topic) == {0: 2, 1: 0, 2: 0}
    assert broker.end_offsets(topic) == {0: 3, 1: 0, 2: 0}
    broker.delete_topic(topic)
    broker.create_topic(topic, 1)
    assert broker.end_offsets(topic) == {0: 0}


@pytest.mark.slow
def test_a_broker_comes_back_with_its_records_on_its_port(broker_factory: Callable[..., Broker]) -> None:
    own = broker_factory()
    topic, bootstrap = own.create_topic("survives", 1), own.bootstrap
    for number, end in enumerate((own.kill, own.stop)):
        own.produce(topic, 0, [b"a"])
        end()
        assert not own.is_running
        own.start()
        assert own.bootstrap == bootstrap
        assert own.end_offsets(topic) == {0: number + 1}
    own.pause()
    began = time.monotonic()
    with pytest.raises(KafkaException):
        own.admin.list_topics(timeout=1.0)
    assert time.monotonic() - began > 0.9
    own.resume()
    own.produce(topic, 0, [b"a"])
    assert own.end_offsets(topic) == {0: 3}


@pytest.mark.slow
def test_a_broker_that_cannot_start_says_why(broker_factory: Callable[..., Broker]) -> None:
    with pytest.raises(RuntimeError, match=r"num\.io\.threads"):
        broker_factory(properties={"num.io.threads": 0})


@pytest.mark.slow
def test_a_broker_has_further_listeners(broker_factory: Callable[..., Broker]) -> None:
    """SASL by PLAIN, with a user of the broker's own configuration."""
    login = "org.apache.kafka.common.security.plain.PlainLoginModule required user_reader=secret;"
    own = broker_factory(
        listeners={"SAFE": "SASL_PLAINTEXT"},
        properties={
            "listener.name.safe.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.safe.plain.sasl.jaas.config": login,
        },
    )
    own.create_topic("secured", 1)
    assert names(own, "secret") == {"secured"}
    with pytest.raises(KafkaException):
        names(own, "wrong")


def names(broker: Broker, password: str) -> set[str]:
    """The topics that a user sees."""
    login = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "reader"}
    where = {"bootstrap.servers": broker.address("SAFE"), "log_level": 0}
    client = AdminClient({**where, **login, "sasl.password": password})
    return set(client.list_topics(timeout=2.0).topics)


@pytest.mark.slow
def test_prometheus_scrapes_a_page(prometheus_binary: Path, tmp_path: Path) -> None:
    registry = CollectorRegistry()
    Counter("gauged", "What is counted.", registry=registry).inc(17)
    (port,) = free_ports(1)
    server, thread = start_http_server(port, "127.0.0.1", registry)
    try:
        with Prometheus(tmp_path / "prometheus", {"gauge": f"127.0.0.1:{port}"}) as prometheus:
            wait_until(lambda: prometheus.values('gauged_total{job="gauge"}') == [17.0], "the page was scraped")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.slow
def test_alertmanager_takes_an_alert(alertmanager_binary: Path, tmp_path: Path) -> None:
    with Alertmanager(tmp_path / "alertmanager") as alertmanager:
        labels = {"alertname": "SLOBurnRate", "severity": "critical"}
        httpx.post(f"{alertmanager.url}/api/v2/alerts", json=[{"labels": labels}]).raise_for_status()
        wait_until(lambda: [alert["labels"] for alert in alertmanager.alerts()] == [labels], "the alert is there")


@pytest.mark.slow
def test_a_collector_turns_records_of_a_topic_into_span_metrics(
    broker: Broker, collector_binary: Path, repository: Path, tmp_path: Path
) -> None:
    """Kafka → span_metrics → Prometheus's page, and the same spans to another topic and to a file."""
    source, copy = broker.create_topic("collected", 1), broker.create_topic("collected-jaeger", 1)
    scenario = Scenario.load(repository / "datasets" / "demo.yaml")
    records = list(generate(scenario, rate=50, duration=timedelta(seconds=20)))
    broker.produce(source, 0, [record.request for record in records], compression="lz4")
    (port,) = free_ports(1)
    config = collector_config(broker, source, copy, port, tmp_path)
    with Collector(tmp_path / "collector", config):
        spans = sum(record.spans for record in records)
        wait_until(lambda: calls(httpx.get(f"http://127.0.0.1:{port}/metrics").text) == spans, f"{spans} calls")
        wait_until(lambda: broker.end_offsets(copy)[0] == spans, "each span is a record of Jaeger's")
    assert (tmp_path / "copy.jsonl").stat().st_size > 0


def collector_config(broker: Broker, source: str, copy: str, port: int, folder: Path) -> dict[str, Any]:
    """From a topic to span metrics, to another topic in Jaeger's encoding, and to a file."""
    exporters = ["span_metrics", "kafka", "file"]
    return {
        "receivers": {
            "kafka": {
                "brokers": [broker.bootstrap],
                "group_id": "collector",
                "initial_offset": "earliest",
                "traces": {"topics": [source], "encoding": "otlp_proto"},
            }
        },
        "connectors": {"span_metrics": {"metrics_flush_interval": "1s"}},
        "exporters": {
            "prometheus": {"endpoint": f"127.0.0.1:{port}"},
            "kafka": {"brokers": [broker.bootstrap], "traces": {"topic": copy, "encoding": "jaeger_proto"}},
            "file": {"path": str(folder / "copy.jsonl")},
        },
        "service": {
            "pipelines": {
                "traces": {"receivers": ["kafka"], "exporters": exporters},
                "metrics": {"receivers": ["span_metrics"], "exporters": ["prometheus"]},
            }
        },
    }


def calls(page: str) -> float:
    """All calls on a page."""
    families = text_string_to_metric_families(page)
    return sum(sample.value for family in families for sample in family.samples if sample.name.endswith("_calls_total"))
