"""A scenario in real time: its records to a Kafka topic, each when the pods of the scenario would send it.

Event times are now: the scenario begins when the feed does, and its incidents come at their times from there. After the
scenario's length traffic goes on, and nothing goes wrong any more.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from flows.errors import OutputError
from flows.generate.generator import generate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from confluent_kafka import Message

    from flows.generate.generator import Encoding, GeneratedRecord
    from flows.generate.scenario import Scenario

N_PARTITIONS = 4
"""Of a topic that is not there yet."""

ENDLESS = timedelta(days=36_500)

_ANSWER_SECONDS = 10.0
_DELIVERY_SECONDS = 30.0
_REST_SECONDS = 0.1
"""How long it may take to hear that the feed should end."""


@dataclass(slots=True)
class Fed:
    """What has become of the records so far."""

    records: int = 0  # delivered
    spans: int = 0  # in them
    lost_records: int = 0
    lost_spans: int = 0
    trouble: str = ""  # of the first record that was lost
    behind_seconds: float = 0.0  # how much later than it should the last record was sent

    def note(self, spans: int, error: KafkaError | None) -> None:
        """Count a record whose fate is known."""
        if error is None:
            self.records += 1
            self.spans += spans
        else:
            self.lost_records += 1
            self.lost_spans += spans
            self.trouble = self.trouble or error.str()


@dataclass
class Feed:
    """A topic that takes a scenario's records.

    Args:
        bootstrap: `host:port` of a broker, several with commas.
        topic: made with `N_PARTITIONS` if it is missing, once `open` is called.
    """

    bootstrap: str
    topic: str
    fed: Fed = field(default_factory=Fed)

    def open(self) -> None:
        """Find the topic, or make it.

        Raises:
            OutputError: No broker answers, or it refuses.
        """
        # The client says on its own what goes wrong; here it is said once, in a sentence.
        properties: dict[str, Any] = {"bootstrap.servers": self.bootstrap, "log_level": 0, "error_cb": _ignore}
        self._n_partitions = self._found_or_made(AdminClient(properties))
        self._producer = Producer(
            {
                **properties,
                "compression.type": "lz4",
                "enable.idempotence": True,  # a repeated record would not be what the scenario says
                "linger.ms": 20,
                "message.timeout.ms": int(_DELIVERY_SECONDS * 1000),
                "queue.buffering.max.kbytes": 128 << 10,
            }
        )

    def _found_or_made(self, admin: AdminClient) -> int:
        """How many partitions the topic has."""
        try:
            found = admin.list_topics(timeout=_ANSWER_SECONDS).topics.get(self.topic)
            if found is not None:
                return len(found.partitions)
            wanted = NewTopic(self.topic, N_PARTITIONS)
            admin.create_topics([wanted])[self.topic].result(_ANSWER_SECONDS)
        except KafkaException as error:
            found_text = f"Kafka at {self.bootstrap}, topic {self.topic}: {error.args[0].str()}"
            raise OutputError(found_text, hint="Check the address and the name, and that the broker runs.") from error
        return N_PARTITIONS

    def send(self, records: Iterable[GeneratedRecord], stopped: Callable[[], bool]) -> Iterator[Fed]:
        """Send records at their times, to the partitions in turn, until they or the feed end; what is so far, often.

        Raises:
            OutputError: Some were not delivered; raised at the end.
        """
        turns = count()
        for record in paced(records, stopped, self._producer.poll):
            self.fed.behind_seconds = max(0.0, (time.time_ns() - record.time_ns) / 1e9)
            self._produce(record, next(turns) % self._n_partitions, stopped)
            yield self.fed
        self._wait_for_deliveries()
        self._check()
        yield self.fed

    def _produce(self, record: GeneratedRecord, partition: int, stopped: Callable[[], bool]) -> None:
        note = partial(_delivered, self.fed, record.spans)
        while True:
            try:
                self._producer.produce(
                    self.topic,
                    record.request,
                    partition=partition,
                    timestamp=record.time_ns // 1_000_000,
                    on_delivery=note,
                )
            except BufferError:  # the broker takes less than is sent: wait, and fall behind
                self._producer.poll(_REST_SECONDS)
                if stopped():
                    return
            except KafkaException as error:  # larger than this client sends
                self.fed.note(record.spans, error.args[0])
                return
            else:
                self._producer.poll(0)
                return

    def _wait_for_deliveries(self) -> None:
        """Until the fate of every record is known, a moment at a time: a signal is heard between two moments."""
        deadline = time.monotonic() + _DELIVERY_SECONDS + 1.0
        while self._producer.flush(_REST_SECONDS) and time.monotonic() < deadline:
            pass

    def _check(self) -> None:
        fed = self.fed
        if fed.lost_records:
            total = fed.records + fed.lost_records
            raise OutputError(
                f"Kafka at {self.bootstrap}, topic {self.topic}: {fed.lost_records:,} of {total:,} records "
                f"({fed.lost_spans:,} spans) were not delivered, the first because of: {fed.trouble}",
                hint="Check that the broker runs, and that the topic takes records of this size.",
            )


def _ignore(_: object) -> None:
    """Nothing."""


def _delivered(fed: Fed, spans: int, error: KafkaError | None, _: Message) -> None:
    fed.note(spans, error)


def paced(
    records: Iterable[GeneratedRecord],
    stopped: Callable[[], bool],
    rest: Callable[[float], object] = time.sleep,
    now_ns: Callable[[], int] = time.time_ns,
) -> Iterator[GeneratedRecord]:
    """Each record when its time has come; one whose time is over at once.

    Args:
        records: in the order of their times.
        stopped: asked often; True ends it.
        rest: waits for so many seconds at most; it may return earlier.
        now_ns: Unix ns.
    """
    for record in records:
        while not stopped() and (ahead_ns := record.time_ns - now_ns()) > 0:
            rest(min(ahead_ns / 1e9, _REST_SECONDS))
        if stopped():
            return
        yield record


def live_records(
    scenario: Scenario,
    *,
    seed: int = 1,
    duration: timedelta | None = None,
    rate: float | None = None,
    encoding: Encoding = "otlp_proto",
) -> tuple[datetime, Iterator[GeneratedRecord]]:
    """A scenario that begins now: when that is, and its records.

    Args:
        scenario: what happens.
        seed: 0 or more.
        duration: when it ends; never where None.
        rate: spans a second at the start, instead of the scenario's.
        encoding: of the requests.

    Raises:
        UsageError: An argument cannot be used.
    """

    def begin(start: datetime) -> Iterator[GeneratedRecord]:
        return generate(scenario, seed=seed, start=start, duration=duration or ENDLESS, rate=rate, encoding=encoding)

    next(begin(datetime.now(UTC)), None)  # kernels are compiled now, not while the clock runs
    start = datetime.now(UTC)
    return start, begin(start)
