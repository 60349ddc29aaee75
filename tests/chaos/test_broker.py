"""A broker that is killed, stopped, absent or unwilling: nothing is lost, nothing closes early, nobody gives up."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from tests.chaos.gauge import Gauge, Scraper, eventually
from tests.chaos.stream import Producing, Stream, as_held, encode, order, settle, stream
from tests.flows.kafka.small import feed, idle_closures, states, wait_records, wait_states, watermark

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers.kafka import Broker

pytestmark = pytest.mark.slow


def produce(broker: Broker, topic: str, of: Stream, rows: list[tuple[int, int]]) -> None:
    """Produce some records of a stream."""
    for number in sorted({number for number, _ in rows}):
        indices = [i for each, i in rows if each == number]
        records = [of.partitions[number][i] for i in indices]
        values = [encode(record, i + 1) for record, i in zip(records, indices, strict=True)]
        broker.produce(topic, number, values, [record.timestamp for record in records], compression="lz4")


def test_a_broker_that_is_killed_while_records_come_costs_nothing(
    broker_factory: Callable[..., Broker], tmp_path: Path
) -> None:
    seed = 21
    print(f"seed {seed}")
    rng = random.Random(seed)
    own, of = broker_factory(), stream(seed)
    topic = own.create_topic("killed", 4)
    gauge = Gauge(tmp_path, own.bootstrap, [topic]).start().wait_ready()
    with gauge, Scraper(gauge) as scraper, Producing(own, topic, of, 10.0) as producing:
        for _ in range(2):
            time.sleep(1.0 + rng.random() * 2.0)
            own.kill()
            time.sleep(rng.random())
            own.start()
        producing.wait()
        assert settle(gauge, as_held(own, topic, of), topic) == []
        assert scraper.went_back == []
        assert "workers ended" not in gauge.log


def test_a_broker_that_stands_still_closes_no_pane_for_idleness(
    broker_factory: Callable[..., Broker], tmp_path: Path
) -> None:
    own, of = broker_factory(), stream(22)
    topic = own.create_topic("stopped", 4)
    gauge = Gauge(tmp_path, own.bootstrap, [topic], settings={"kafka": {"idle": "5s"}}).start().wait_ready()
    with gauge, Producing(own, topic, of, 8.0):
        gauge.wait_for_page(lambda page: len(page) > 500, "something is shown")
        own.pause()
        paused = time.monotonic()
        try:
            wait_states(gauge, topic, ["unknown"] * 4, 8.0)
            stood = watermark(gauge)
            assert stood is not None
            while time.monotonic() - paused < 15.0:
                assert states(gauge, topic) == ["unknown"] * 4
                assert watermark(gauge) == stood
                time.sleep(0.5)
            page = gauge.page()
            assert page is not None
            assert idle_closures(page, topic) == 0
            assert not gauge.is_ready()
            assert "no answer from where" in gauge.get("/-/ready").text
        finally:
            own.resume()
        assert settle(gauge, of, topic) == []
        eventually(gauge.is_ready, "it is ready again")


def test_a_broker_that_is_away_for_a_minute_costs_nothing(
    broker_factory: Callable[..., Broker], tmp_path: Path
) -> None:
    own, of = broker_factory(), stream(23)
    topic, rows = own.create_topic("away", 4), order(of, 0)
    half = len(rows) // 2
    gauge = Gauge(tmp_path, own.bootstrap, [topic], settings={"kafka": {"idle": "5s"}}).start().wait_ready()
    with gauge, Scraper(gauge) as scraper:
        produce(own, topic, of, rows[:half])
        wait_records(gauge, topic, half)
        own.kill()
        wait_states(gauge, topic, ["unknown"] * 4, 8.0)
        stood = watermark(gauge)
        time.sleep(55.0)
        assert gauge.process.poll() is None
        assert watermark(gauge) == stood
        assert not gauge.is_ready()
        own.start()
        produce(own, topic, of, rows[half:])
        assert settle(gauge, of, topic) == []
        assert scraper.went_back == []
        assert "workers ended" not in gauge.log
        assert gauge.stop() == 0


def test_a_broker_that_is_down_at_start_is_waited_for(broker_factory: Callable[..., Broker], tmp_path: Path) -> None:
    own = broker_factory(start=False)
    with Gauge(tmp_path, own.bootstrap, ["later"]) as gauge:
        begun = time.monotonic()
        eventually(lambda: bool(gauge.status()), "its status is served", 20.0)
        eventually(lambda: gauge.get("/-/ready").status_code == 503, "it is not ready", 5.0)
        eventually(lambda: own.bootstrap in gauge.get("/-/ready").text, "it names the broker", 20.0)
        assert time.monotonic() - begun < 20.0
        assert gauge.status()["state"] == "degraded"
        assert gauge.get("/metrics").status_code == 200
        assert gauge.get("/-/healthy").status_code == 200
        asked = time.monotonic()
        assert gauge.stop() == 0
        assert time.monotonic() - asked < 10.0
        gauge.start()
        eventually(lambda: own.bootstrap in gauge.get("/-/ready").text if gauge.status() else False, "again", 20.0)
        own.start()
        own.create_topic("later", 2)
        feed(own, "later", 1, range(10))
        wait_records(gauge, "later", 10)
        gauge.wait_ready()


def test_a_stop_is_answered_while_the_broker_is_away(broker_factory: Callable[..., Broker], tmp_path: Path) -> None:
    own = broker_factory()
    topic = own.create_topic("stopping", 2)
    feed(own, topic, 0, range(10))
    with Gauge(tmp_path, own.bootstrap, [topic]) as gauge:
        wait_records(gauge, topic, 10)
        for leave, come_back in ((own.kill, own.start), (own.pause, own.resume)):
            leave()
            wait_states(gauge, topic, ["unknown"] * 2, 8.0)
            asked = time.monotonic()
            code = gauge.stop()
            took = time.monotonic() - asked
            come_back()
            assert code == 0, gauge.log[-3000:]
            assert took < 10.0
            wait_records(gauge.start(), topic, 10)


def test_a_broker_that_comes_back_from_a_backup_has_nothing_counted_twice(
    broker_factory: Callable[..., Broker], tmp_path: Path
) -> None:
    own = broker_factory()
    topic = own.create_topic("restored", 1)
    feed(own, topic, 0, range(10))
    own.stop()
    shutil.copytree(own.folder / "data", own.folder / "backup")
    own.start()
    feed(own, topic, 0, range(10, 30))
    with Gauge(tmp_path, own.bootstrap, [topic]) as gauge, Scraper(gauge) as scraper:
        wait_records(gauge, topic, 30)
        own.stop()
        shutil.rmtree(own.folder / "data")
        (own.folder / "backup").rename(own.folder / "data")
        own.start()
        eventually(lambda: "shorter than what was read" in gauge.log, "it says so", 60.0)
        gauge.wait_ready()
        feed(own, topic, 0, range(30, 33), compression="gzip")  # by a client that knows nothing of before
        wait_records(gauge, topic, 33)
        assert scraper.went_back == []


def test_authorization_that_is_taken_away_and_given_back(broker_factory: Callable[..., Broker], tmp_path: Path) -> None:
    own = broker_factory(
        properties={
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "true",
        }
    )
    topic = own.create_topic("guarded", 2)
    allow, deny = (
        AclBinding(ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*", operation, permission)
        for operation, permission in (
            (AclOperation.ALL, AclPermissionType.ALLOW),
            (AclOperation.READ, AclPermissionType.DENY),
        )
    )
    for done in own.admin.create_acls([allow]).values():
        done.result(20)
    feed(own, topic, 0, range(10))
    with Gauge(tmp_path, own.bootstrap, [topic]) as gauge, Scraper(gauge) as scraper:
        wait_records(gauge, topic, 10)
        gauge.wait_ready()
        for done in own.admin.create_acls([deny]).values():
            done.result(20)
        failed = ["TOPIC_AUTHORIZATION_FAILED"] * 2
        wait_states(gauge, topic, failed)
        assert "TOPIC_AUTHORIZATION_FAILED" in gauge.get("/-/ready").text
        assert "a partition cannot be read" in gauge.log
        feed(own, topic, 0, range(10, 20))
        time.sleep(2.0)
        assert states(gauge, topic) == failed
        only = AclBindingFilter(
            ResourceType.TOPIC,
            topic,
            ResourcePatternType.LITERAL,
            None,
            None,
            AclOperation.READ,
            AclPermissionType.DENY,
        )
        for removed in own.admin.delete_acls([only]).values():
            assert len(removed.result(20)) == 1
        wait_records(gauge, topic, 20)
        gauge.wait_ready()  # also the partition that has nothing new
        assert scraper.went_back == []
        assert "workers ended" not in gauge.log


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_password_is_used_and_never_shown(
    broker_factory: Callable[..., Broker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mechanism: str
) -> None:
    password = "correct-horse-battery"
    plain = f"org.apache.kafka.common.security.plain.PlainLoginModule required user_reader={password};".replace(
        password, f'"{password}"'
    )
    own = broker_factory(
        listeners={"SAFE": "SASL_PLAINTEXT"},
        properties={
            "listener.name.safe.sasl.enabled.mechanisms": mechanism,
            "listener.name.safe.plain.sasl.jaas.config": plain,
            "listener.name.safe.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
        },
    )
    topic = own.create_topic("secured", 1)
    if mechanism == "PLAIN":
        (tmp_path / "password").write_text(f"{password}\n")
        where = {"file": str(tmp_path / "password")}
    else:
        credential = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        asked = [UserScramCredentialUpsertion("reader", credential, password.encode())]
        for done in own.admin.alter_user_scram_credentials(asked).values():
            done.result(20)
        monkeypatch.setenv("BROKER_PASSWORD", password)
        where = {"env": "BROKER_PASSWORD"}
    properties = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": mechanism,
        "sasl.username": "reader",
        "sasl.password": where,
    }
    feed(own, topic, 0, range(10))
    settings = {"kafka": {"properties": properties}, "log": {"level": "debug"}}
    with Gauge(tmp_path, own.address("SAFE"), [topic], settings=settings) as gauge:
        wait_records(gauge, topic, 10)
        gauge.wait_ready()
        shown = subprocess.run(
            [sys.executable, "-m", "flows.cli", "config", "show", "--config", tmp_path / "streamgauge.yaml"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert "sasl.password" in shown.stdout
        assert password not in shown.stdout + shown.stderr
        assert password not in gauge.get("/status", accept="application/json").text
        assert password not in gauge.get("/status", accept="text/html").text
        assert password not in gauge.get("/metrics").text
        assert gauge.stop() == 0
        assert password not in gauge.log
        where_wrong = {**properties, "sasl.password": "not-the-password"}
        gauge.config["kafka"]["properties"] = where_wrong
        gauge.start()
        eventually(lambda: "uthentication" in gauge.get("/-/ready").text if gauge.status() else False, "it says why")
        assert "not-the-password" not in gauge.log
