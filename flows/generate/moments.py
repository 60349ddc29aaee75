"""Where a recording begins and how long it is: the scenario's word, unless told otherwise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from flows.errors import UsageError

if TYPE_CHECKING:
    from flows.generate.scenario import Scenario

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def unix_ns(scenario: Scenario, start: datetime | None) -> int:
    """The start in Unix ns.

    Raises:
        UsageError: It has no time zone.
    """
    start = start or scenario.start
    if start.tzinfo is None:
        raise UsageError(f"start {start} without a time zone", hint="Give it one, such as 2026-03-02T09:00:00Z.")
    return (start - _EPOCH) // _MICROSECOND * 1000


def duration_ns(scenario: Scenario, duration: timedelta | None) -> int:
    """The duration in ns.

    Raises:
        UsageError: It is not above 0.
    """
    length = scenario.duration if duration is None else duration // _MICROSECOND * 1000
    if length <= 0:
        raise UsageError(f"duration {duration}", "a duration is more than 0")
    return length


def rfc3339(time_ns: int) -> str:
    """A Unix time in RFC 3339's form, to the microsecond where it is no whole second.

    >>> rfc3339(1_772_442_000_000_000_000)
    '2026-03-02T09:00:00+00:00'
    """
    return (_EPOCH + timedelta(microseconds=time_ns // 1000)).isoformat()
