"""A real Kafka broker in KRaft mode, one node, on loopback.

with Broker(folder) as broker:
    broker.create_topic("otlp_spans", 4)
    broker.produce("otlp_spans", 0, [b"..."], timestamps_ms=[1_772_442_000_000], compression="lz4")
"""

from __future__ import annotations

import shutil
import socket
import time
from typing import TYPE_CHECKING, Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic, OffsetSpec

from tests.servers.places import kafka_jars
from tests.servers.server import Server, free_ports, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

T = TypeVar("T")

JAVA_OPTIONS = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""What starts fastest and takes least of two cores that the tests need themselves."""

LARGEST_RECORD = 64 << 20
"""Bytes; of what a test produces and reads here. A topic's own `max_message_bytes` says what it takes."""

_TIMEOUT_SECONDS = 30.0

_PROPERTIES: dict[str, object] = {
    "process.roles": "broker,controller",
    "node.id": 1,
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "offsets.topic.num.partitions": 1,
    "offsets.topic.replication.factor": 1,
    "transaction.state.log.num.partitions": 1,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "group.initial.rebalance.delay.ms": 0,
    "auto.create.topics.enable": "false",
    "num.network.threads": 2,
    "num.io.threads": 2,
    "background.threads": 2,
    "num.recovery.threads.per.data.dir": 1,
    "log.cleaner.dedupe.buffer.size": 4 << 20,
    "broker.session.timeout.ms": 3000,  # how long the next life after a kill -9 is refused as this one's double
    "broker.heartbeat.interval.ms": 500,
    "log.retention.ms": -1,  # recordings are old: by default the broker would delete them as expired
    "replica.fetch.max.bytes": LARGEST_RECORD,
    "socket.request.max.bytes": 2 * LARGEST_RECORD,
}


class Broker(Server):
    """A broker that keeps its ports and its data over its lives: `start`, `stop`, `kill`, `pause`, `resume`.

    Args:
        folder: for its data, its configuration and its log; made if missing.
        properties: further lines of server.properties, over ours.
        listeners: names of further listeners and their protocols, such as {"SASL": "SASL_PLAINTEXT"}; `address` has
            their addresses.
        java_options: of the Java machine.

    Raises:
        AbsentError: This machine has no broker.
    """

    def __init__(
        self,
        folder: Path,
        properties: Mapping[str, object] | None = None,
        listeners: Mapping[str, str] | None = None,
        java_options: Sequence[str] = JAVA_OPTIONS,
    ) -> None:
        protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT", **(listeners or {})}
        self.folder = folder
        self._ports = dict(zip(protocols, free_ports(len(protocols)), strict=True))
        self._protocols = protocols
        self._properties = {**_PROPERTIES, **self._places(), **(properties or {})}
        jars = kafka_jars()
        folder.mkdir(parents=True, exist_ok=True)
        configuration = folder / "server.properties"
        configuration.write_text("".join(f"{key}={value}\n" for key, value in self._properties.items()))
        # What formatting leaves in the data folder is the same for every node that is number 1: made once, copied.
        shutil.copytree(jars.parent / "formatted", folder / "data")
        java = ["java", *java_options, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{jars}/*"]
        super().__init__([*java, "kafka.Kafka", configuration], folder / "broker.log")
        self._producers: dict[str, Producer] = {}
        self._admin: AdminClient | None = None

    def _places(self) -> dict[str, object]:
        addresses = {name: f"{name}://{self.address(name)}" for name in self._ports}
        return {
            "controller.quorum.voters": f"1@{self.address('CONTROLLER')}",
            "listeners": ",".join(addresses.values()),
            "advertised.listeners": ",".join(each for name, each in addresses.items() if name != "CONTROLLER"),
            "listener.security.protocol.map": ",".join(f"{name}:{kind}" for name, kind in self._protocols.items()),
            "log.dirs": self.folder / "data",
        }

    # Its addresses and its life

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients without security."""
        return self.address("PLAINTEXT")

    def address(self, listener: str) -> str:
        """`host:port` of a listener."""
        return f"127.0.0.1:{self._ports[listener]}"

    def close(self) -> None:
        """End it and forget its clients."""
        self._producers.clear()
        self._admin = None
        self.kill()

    def __exit__(self, *_: object) -> None:
        self.close()

    def answers(self) -> bool:
        """Whether it takes requests: the port opens before that."""
        try:
            socket.create_connection(("127.0.0.1", self._ports["PLAINTEXT"]), 1.0).close()
            return len(self.admin.list_topics(timeout=1.0).brokers) == 1
        except (OSError, KafkaException):
            return False

    # Topics

    @property
    def client_properties(self) -> dict[str, Any]:
        """What a client of librdkafka needs to reach it, and to come back soon after it was away."""
        return {"bootstrap.servers": self.bootstrap, "log_level": 0, "reconnect.backoff.max.ms": 500}

    @property
    def admin(self) -> AdminClient:
        """A client for what is not here."""
        if self._admin is None:
            self._admin = AdminClient(self.client_properties)
        return self._admin

    def create_topic(self, name: str, partitions: int = 4, **config: object) -> str:
        """Make a topic, and wait until it can be written to; its name.

        Args:
            name: of the topic.
            partitions: how many.
            config: the topic's own, dots as underscores: `max_message_bytes=…`, `segment_bytes=…`.
        """
        settings = {key.replace("_", "."): str(value) for key, value in config.items()}
        _results(self.admin.create_topics([NewTopic(name, partitions, 1, config=settings)]))
        self._wait_for(name, partitions)
        return name

    def add_partitions(self, name: str, total: int) -> None:
        """Give a topic more partitions, so that it has `total`."""
        _results(self.admin.create_partitions([NewPartitions(name, total)]))
        self._wait_for(name, total)

    def delete_topic(self, name: str) -> None:
        """Remove a topic, and wait until it is gone."""
        _results(self.admin.delete_topics([name]))
        wait_until(lambda: name not in self.admin.list_topics(timeout=5.0).topics, f"topic {name} is gone")

    def delete_records(self, name: str, partition: int, before: int) -> None:
        """Remove the records of a partition before an offset, as retention does."""
        _results(self.admin.delete_records([TopicPartition(name, partition, before)]))

    def _wait_for(self, name: str, partitions: int) -> None:
        def is_led() -> bool:
            topic = self.admin.list_topics(name, timeout=5.0).topics[name]
            if len(topic.partitions) != partitions or any(p.leader != 1 for p in topic.partitions.values()):
                return False
            try:
                self.end_offsets(name)
            except KafkaException as error:  # the broker has said that it leads, and does not know it yet
                if error.args[0].code() in (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.UNKNOWN_LEADER_EPOCH):
                    return False
                raise
            return True

        wait_until(is_led, f"topic {name} has {partitions} partitions with leaders")

    # Records

    def produce(
        self,
        topic: str,
        partition: int,
        values: Iterable[bytes | None],
        timestamps_ms: Sequence[int] | None = None,
        keys: Sequence[bytes | None] | None = None,
        compression: str = "none",
        headers: Sequence[tuple[str, bytes]] | None = None,
    ) -> list[int]:
        """Produce records to a partition in their order, and wait until the broker has them; their offsets.

        Args:
            topic: that exists.
            partition: of it.
            values: of the records.
            timestamps_ms: Unix ms of each; now where None.
            keys: of each; none where None.
            compression: none, gzip, snappy, lz4 or zstd.
            headers: of every record.

        Raises:
            KafkaException: A record was not delivered; the first one's error.
        """
        producer = self._producer(compression)
        offsets: list[int] = []
        failures: list[KafkaError] = []

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is None:
                offsets.append(message.offset())
            else:
                failures.append(error)

        for i, value in enumerate(values):
            more: dict[str, Any] = {} if timestamps_ms is None else {"timestamp": timestamps_ms[i]}
            if keys is not None:
                more["key"] = keys[i]
            if headers is not None:
                more["headers"] = list(headers)
            while True:
                try:
                    producer.produce(topic, value, partition=partition, on_delivery=delivered, **more)
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)
        producer.flush(_TIMEOUT_SECONDS)
        if failures:
            raise KafkaException(failures[0])
        return offsets

    def _producer(self, compression: str) -> Producer:
        if compression not in self._producers:
            self._producers[compression] = Producer(
                {
                    **self.client_properties,
                    "compression.type": compression,
                    "enable.idempotence": True,  # a record twice, or two in another order, would be a test's riddle
                    "message.max.bytes": LARGEST_RECORD,
                    "message.timeout.ms": int(_TIMEOUT_SECONDS * 1000) - 1000,
                }
            )
        return self._producers[compression]

    def end_offsets(self, topic: str) -> dict[int, int]:
        """The offset after the last record of each partition."""
        return self._offsets(topic, OffsetSpec.latest())

    def begin_offsets(self, topic: str) -> dict[int, int]:
        """The offset of the first record that is still there, of each partition."""
        return self._offsets(topic, OffsetSpec.earliest())

    def _offsets(self, topic: str, spec: OffsetSpec) -> dict[int, int]:
        partitions = self.admin.list_topics(topic, timeout=5.0).topics[topic].partitions
        found = _results(self.admin.list_offsets({TopicPartition(topic, each): spec for each in partitions}))
        return {each.partition: result.offset for each, result in found.items()}

    def read(self, topic: str) -> dict[int, list[Message]]:
        """All records of a topic up to now, committed ones only, by partition and in their order."""
        ends = self.end_offsets(topic)
        consumer = Consumer(
            {
                **self.client_properties,
                "group.id": "tests",  # required by the client; nothing is committed to it
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.message.max.bytes": LARGEST_RECORD,
            }
        )
        found: dict[int, list[Message]] = {each: [] for each in ends}
        try:
            consumer.assign([TopicPartition(topic, each, 0) for each in ends])
            open_ends, deadline = set(ends), time.monotonic() + _TIMEOUT_SECONDS
            while open_ends:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"topic {topic}: the ends of partitions {sorted(open_ends)} were not reached")
                for message in consumer.consume(1000, 0.05):
                    error = message.error()
                    if error is None:
                        found[message.partition()].append(message)
                    elif error.code() == KafkaError._PARTITION_EOF:
                        open_ends.discard(message.partition())
                    else:
                        raise KafkaException(error)
        finally:
            consumer.close()
        return found


def _results(futures: Mapping[T, Future[Any]]) -> dict[T, Any]:
    """What an admin's futures bring; the first error is raised."""
    return {key: future.result(_TIMEOUT_SECONDS) for key, future in futures.items()}
