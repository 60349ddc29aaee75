"""Series: label sets, their hashes and shards, and the ids that stand for them inside one process."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

SHARDS = 64
"""The unit of state and exchange. Frozen: stored state is by shard."""

OVERFLOW = "__overflow__"
"""Stands for what is over budget: span names of a service, values of a dimension, services."""

_FIELD = b"\x1f"


class SeriesLabels(NamedTuple):
    """The label set of a series, after templates."""

    service: str
    span_name: str
    kind: int  # index into KINDS
    status: int  # index into STATUSES
    dimensions: tuple[str, ...]  # (n_dimensions,), "" where absent

    @property
    def operation(self) -> OperationLabels:
        """The same without its status: what has latency percentiles."""
        return OperationLabels(self.service, self.span_name, self.kind, self.dimensions)

    def overflowed(self) -> SeriesLabels:
        """Where its spans go when the service is over budget: kind and status kept, dimensions empty."""
        return SeriesLabels(self.service, OVERFLOW, self.kind, self.status, ("",) * len(self.dimensions))


class OperationLabels(NamedTuple):
    """A series without its status."""

    service: str
    span_name: str
    kind: int
    dimensions: tuple[str, ...]

    def plain(self) -> list[Any]:
        """What a snapshot holds of it."""
        return [*self[:3], list(self.dimensions)]

    @classmethod
    def of(cls, plain: Sequence[Any]) -> Self:
        """What `plain` gave.

        >>> OperationLabels.of(OperationLabels("web", "GET /", 2, ("eu",)).plain()).dimensions
        ('eu',)
        """
        service, span_name, kind, dimensions = plain
        return cls(service, span_name, kind, tuple(dimensions))


class HashedLabels(NamedTuple):
    """A label set with its place in hash order."""

    labels: SeriesLabels
    order: int


def _hash(*fields: str) -> int:
    digest = blake2b(digest_size=8)
    for field in fields:
        raw = field.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(4, "little") + raw + _FIELD)
    return int.from_bytes(digest.digest(), "little")


def hash_order(labels: SeriesLabels) -> HashedLabels:
    """A label set with its hash; the same in every process and every release (stored state is admitted by it)."""
    order = _hash(labels.service, labels.span_name, str(labels.kind), str(labels.status), *labels.dimensions)
    return HashedLabels(labels, order)


def shard_of(service: str) -> int:
    """Which shard has a service's state; the same in every process and every release.

    >>> shard_of("checkout") == shard_of("checkout") and 0 <= shard_of("checkout") < SHARDS
    True
    """
    return _hash(service) % SHARDS


def shard_key(shard: int) -> str:
    """The dataflow's key of a shard: two digits spread well over workers."""
    return f"{shard:02d}"
