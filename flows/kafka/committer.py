"""Tells a group how far the state has got, for tools that show lag; nobody reads it back."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, KafkaException, TopicPartition

from flows import log
from flows.kafka.properties import owned

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flows.records import Partition

_log = log.get("kafka")


class Committer:
    """A client that does nothing but commit.

    No reader can do it: a consumer with a commit on its way does not end before the broker has answered, for a minute
    if that is away. This one is therefore never ended at all, only left behind by the process. (An admin client can
    commit too, but the process is aborted now and then when the broker goes away meanwhile: librdkafka's issue 4605.)

    Args:
        properties: librdkafka's.
        group: its name.
    """

    def __init__(self, properties: Mapping[str, str], group: str) -> None:
        self._consumer = Consumer({**properties, **owned(group), "statistics.interval.ms": 0, "logger": log.silent()})
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._consumer))  # whoever frees it waits as `close` does

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Send the offsets, and wait for nothing; a failure matters to nobody."""
        self._consumer.poll(0)  # what the client has to say of its connections is not kept for ever
        offsets = [TopicPartition(*each, at) for each, at in positions.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            _log.debug("offsets were not committed", error=error.args[0].str())
