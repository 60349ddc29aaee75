"""librdkafka's properties that are not for the configuration to say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaException

from flows import log
from flows.kafka.quiet import STATISTICS_MS

if TYPE_CHECKING:
    from collections.abc import Mapping


def owned(group: str) -> dict[str, Any]:
    """The properties that are ours: exactness rests on them."""
    return {
        "group.id": group or "streamgauge",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        "enable.partition.eof": True,
        "allow.auto.create.topics": False,
        "statistics.interval.ms": STATISTICS_MS,
    }


def check(properties: Mapping[str, str]) -> str:
    """What librdkafka has against some properties; "" where they are fine. Nobody is connected to."""
    alone = {name: value for name, value in properties.items() if name != "bootstrap.servers"}
    try:
        Consumer({**alone, **owned("check"), "logger": log.silent()}).close()
    except KafkaException as error:
        return str(error.args[0].str())
    return ""
