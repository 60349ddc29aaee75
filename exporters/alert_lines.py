"""Alerts as JSON lines, one for each that begins or ends: `id, startsAt, endsAt, status, labels, annotations`.

At least once: after a restart what fires is written again, under the same `id`.
"""

from __future__ import annotations

import json
import logging
import os
from typing import TYPE_CHECKING

from exporters.alerts import Transitions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from exporters.alerts import Alert

MOST_WAITING = 10_000
"""Lines that wait while the file cannot be written; the oldest are dropped, and counted."""

logger = logging.getLogger(__name__)


def as_line(alert: Alert) -> bytes:
    """One line with its end. ASCII throughout: a label may hold what has no UTF-8.

    >>> from exporters.alerts import alert
    >>> as_line(alert({"alertname": "Anomaly"}, starts_at_ns=0)).startswith(b'{"id":"')
    True
    """
    return json.dumps(alert.as_json(), separators=(",", ":")).encode() + b"\n"


class AlertLines:
    """A file that grows by a line at every change. A context manager; for one thread.

    A full disk stops no flow: lines wait, and are written with the next change.

    Args:
        path: appended to; made if missing.

    Raises:
        ValueError: it cannot be opened for writing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.dropped = 0
        self._transitions = Transitions()
        self._waiting: list[bytes] = []
        self._is_failing = False
        try:
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise ValueError(
                f"{path} cannot be written ({error.strerror}); expected a file for alerts in a folder that is there"
            ) from error
        self._torn = not self._ends_whole()

    def _ends_whole(self) -> bool:
        """Whether the file ends with a line's end; a crash or a full disk may have cut its last line."""
        try:
            size = os.fstat(self._file).st_size
            return size == 0 or os.pread(self._file, 1, size - 1) == b"\n"
        except OSError:  # a pipe or a terminal
            return True

    def set_alerts(self, alerts: Sequence[Alert], at_ns: int) -> None:
        """Take all alerts there are now, and write what began or ended.

        Args:
            alerts: all of them; one that fired and is missing counts as resolved.
            at_ns: Unix ns: event time in a replay, the clock's in a live run.
        """
        self._waiting += [as_line(each) for each in self._transitions.step(alerts, at_ns)]
        self.flush()

    def flush(self) -> None:
        """Write what waits, as far as that goes."""
        while self._waiting:
            line = self._waiting[0] if not self._torn else b"\n" + self._waiting[0]
            try:
                written = os.write(self._file, line)
            except OSError as error:
                self._fails(error.strerror or str(error))
                return
            if written != len(line):
                self._torn = True
                self._fails("there was room for a part of a line only")
                return
            self._torn, self._is_failing = False, False
            del self._waiting[0]

    def _fails(self, why: str) -> None:
        over = max(0, len(self._waiting) - MOST_WAITING)
        del self._waiting[:over]
        self.dropped += over
        if not self._is_failing:
            self._is_failing = True
            logger.error("alerts cannot be written to %s, they wait: %s", self.path, why)

    def close(self) -> None:
        """Write what waits, and close the file."""
        self.flush()
        os.close(self._file)

    def __enter__(self) -> AlertLines:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
