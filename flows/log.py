"""What the process says on standard error: an event a line, JSON or for people, and no event too often.

    _log = log.get("kafka")
    _log.warning("topic does not exist", topic="otlp_spans")

An event is a short sentence that is always the same; what differs are its fields, so that lines can be searched, and
counted. Fields are never payloads and never secrets: bytes become their number, long text is cut, what is called
password or the like is hidden. Loggers of other libraries (`logging`) end here too.

A line is one write, so that the lines of several processes on one standard error do not mix (up to the 4 KiB that
pipe(7) promises not to divide).
"""

from __future__ import annotations

import json
import logging
import math
import os
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, cast

import structlog
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.typing import FilteringBoundLogger

from flows.config.secrets import HIDDEN, is_secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import EventDict, WrappedLogger

Format = Literal["auto", "json", "console"]
Level = Literal["debug", "info", "warning", "error"]

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_LONGEST_TEXT = 1_000
_STANDARD_ERROR = 2
_FIRST = ("time", "level", "event", "logger", "worker")


# How often an event is said

PER_MINUTE = 10
"""Times that one event is said a minute about one thing."""

PER_MINUTE_IN_ALL = 60
"""Times that one event is said a minute about all things together."""

_MINUTE_SECONDS = 60.0
_MOST_KEYS = 2_000
_ABOUT = ("key", "topic", "source", "partition", "number", "slot", "service", "file", "worker", "machine")
"""Fields that say which thing an event is about; `key` is for nothing else and not shown."""


@dataclass(slots=True)
class _Minute:
    """One event, or one event about one thing, in one minute."""

    since: float
    said: int = 0
    dropped: int = 0


class RateLimit:
    """Drops an event that was said often enough this minute; the next one tells how many were dropped (`dropped`).

    Args:
        per_minute: times for one event about one thing.
        in_all: times for one event, whatever it is about: things may be as many as a stranger likes.
        clock: seconds.
    """

    def __init__(
        self,
        per_minute: int = PER_MINUTE,
        in_all: int = PER_MINUTE_IN_ALL,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._per_minute = per_minute
        self._in_all = in_all
        self._clock = clock
        self._minutes: dict[tuple[object, ...], _Minute] = {}
        self._lock = Lock()

    def __call__(self, _: WrappedLogger, level: str, event: EventDict) -> EventDict:
        """A processor of structlog.

        Raises:
            structlog.DropEvent: it was said often enough.
        """
        name = (event.get("logger"), level, event["event"])
        about = tuple(str(event[each]) for each in _ABOUT if each in event)
        event.pop("key", None)
        with self._lock:
            dropped = self._admit(name, about)
        return {**event, "dropped": dropped} if dropped else event

    def _admit(self, name: tuple[object, ...], about: tuple[str, ...]) -> int:
        """How many were dropped since the last one that was said; or one more is."""
        every = self._minute(name)
        if every.said >= self._in_all:  # before any of the things is remembered: they may be a million
            every.dropped += 1
            raise structlog.DropEvent
        this = self._minute((*name, about))
        if this.said >= self._per_minute:
            this.dropped += 1
            raise structlog.DropEvent
        every.said, this.said = every.said + 1, this.said + 1
        dropped = every.dropped + this.dropped
        every.dropped = this.dropped = 0
        return dropped

    def _minute(self, key: tuple[object, ...]) -> _Minute:
        """The running minute of a key."""
        now = self._clock()
        minute = self._minutes.get(key)
        if minute is None:
            if len(self._minutes) >= _MOST_KEYS:
                self._forget(now)
            minute = self._minutes[key] = _Minute(now)
        elif now - minute.since >= _MINUTE_SECONDS:
            minute.since, minute.said = now, 0
        return minute

    def _forget(self, now: float) -> None:
        """Make room; what was dropped of the forgotten is never told, but memory stays bounded."""
        current = {key: minute for key, minute in self._minutes.items() if now - minute.since < _MINUTE_SECONDS}
        self._minutes = current if len(current) < _MOST_KEYS else {}


# How an event becomes a line


@dataclass(slots=True)
class _Output:
    """Where lines go and what they look like; one a process, which has one standard error."""

    level: int = _LEVELS["info"]
    worker: int | None = None
    to: int = _STANDARD_ERROR
    decided: bool = False  # else the first line looks whether it is a terminal
    console: ConsoleRenderer | None = None  # None: JSON
    limit: RateLimit = field(default_factory=RateLimit)

    def decide(self, form: Format) -> None:
        terminal = _is_terminal(self.to)
        self.decided, self.console = True, None
        if form == "console" or (form == "auto" and terminal):
            colors = terminal and "NO_COLOR" not in os.environ
            self.console = ConsoleRenderer(
                colors=colors, sort_keys=False, timestamp_key="time", exception_formatter=plain_traceback
            )

    def reset(self) -> None:
        self.level, self.worker, self.to = _LEVELS["info"], None, _STANDARD_ERROR
        self.decided, self.console, self.limit = False, None, RateLimit()


_output = _Output()


def _is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False


def _too_low(_: WrappedLogger, level: str, event: EventDict) -> EventDict:
    if _LEVELS.get(level, 0) < _output.level:
        raise structlog.DropEvent
    if _output.worker is not None:
        event.setdefault("worker", _output.worker)
    return event


def _limited(logger: WrappedLogger, level: str, event: EventDict) -> EventDict:
    limited = _output.limit(logger, level, event)
    said = limited.pop("_said", None)
    return {**limited, "event": said} if said is not None else limited


def _seemly(_: WrappedLogger, _level: str, event: EventDict) -> EventDict:
    """No secrets, no payloads, nothing endless."""
    return {name: _shown(name, value) for name, value in event.items()}


def _shown(name: str, value: object) -> object:
    if name == "exc_info":
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value):,} bytes>"
    if is_secret(name, value if isinstance(value, str) else ""):
        return HIDDEN
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, dict):
        return {str(key): _shown(str(key), each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_shown(name, each) for each in value]
    text = str(value)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}… ({len(text):,} characters)"


def _rendered(logger: WrappedLogger, level: str, event: EventDict) -> bytes:
    if not _output.decided:
        _output.decide("auto")
    if _output.console is None:
        ordered = {name: event[name] for name in _FIRST if name in event} | dict(event)
        return _encoded(json.dumps(ordered, ensure_ascii=False, separators=(",", ":"), default=str))
    plain = {name: value if name == "exception" else _one_line(value) for name, value in event.items()}
    return _encoded(_output.console(logger, level, plain))


def _one_line(value: object) -> object:
    """Text without what a terminal would obey, for names come from strangers."""
    if isinstance(value, list | dict):
        value = json.dumps(value, ensure_ascii=False, default=str)
    if not isinstance(value, str) or value.isprintable():
        return value
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in value)


def _encoded(text: str) -> bytes:
    """UTF-8; half a surrogate pair, which a hostile name may hold, stays as its escape."""
    return text.encode("utf-8", "backslashreplace")


class _Lines:
    """The end of all loggers: a line is one write, and what cannot be written is lost, never an error."""

    def msg(self, line: bytes) -> None:
        try:
            os.write(_output.to, line + b"\n")
        except OSError:
            return  # nobody listens, or the disk is full: the flow goes on

    debug = info = warning = error = critical = msg


_PROCESSORS: list[Any] = [
    _too_low,
    _limited,
    _seemly,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    structlog.processors.format_exc_info,
    _rendered,
]


def get(name: str) -> FilteringBoundLogger:
    """The logger of a part; what it says before `configure` has the defaults."""
    wrapper = structlog.make_filtering_bound_logger(logging.NOTSET)
    logger = structlog.wrap_logger(_Lines(), processors=_PROCESSORS, wrapper_class=wrapper)
    return cast("FilteringBoundLogger", logger.bind(logger=name))


def configure(
    format: Format = "auto",  # noqa: A002  the setting's name
    level: Level = "info",
    worker: int | None = None,
    to: int = _STANDARD_ERROR,
    limit: RateLimit | None = None,
) -> None:
    """Say how this process logs, and take over what libraries log by `logging`.

    Args:
        format: `json`, `console`, or `auto`: console on a terminal.
        level: what is said at least; of libraries only warnings, unless this is `debug`.
        worker: number of this worker, in all its lines.
        to: file descriptor, standard error by default.
        limit: how often an event may be said; by default 10 times a minute about one thing, 60 times in all.
    """
    _output.level, _output.worker, _output.to = _LEVELS[level], worker, to
    _output.limit = limit or RateLimit()
    _output.decide(format)
    root = logging.getLogger()
    root.handlers = [each for each in root.handlers if not isinstance(each, _Routed)] + [_Routed()]
    root.setLevel(logging.INFO if level == "debug" else max(logging.WARNING, _output.level))
    logging.captureWarnings(True)


def release() -> None:
    """Undo `configure`."""
    root = logging.getLogger()
    root.handlers = [each for each in root.handlers if not isinstance(each, _Routed)]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(False)
    _output.reset()


class _Routed(logging.Handler):
    """Hands records of `logging` to ours."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say what a library says; how often is judged by its sentence before anything is put into it."""
        fields: dict[str, Any] = {}
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        level = record.levelname.lower() if record.levelname.lower() in _LEVELS else "info"
        try:
            said = record.getMessage()
            getattr(get(record.name), level)(str(record.msg), _said=said, **fields)
        except Exception:  # noqa: BLE001  a library's mistake in a log call must not end anything
            self.handleError(record)


def silent() -> logging.Logger:
    """A logger that says nothing, for librdkafka: what it reports is said once, from its error callbacks, by us."""
    logger = logging.getLogger("flows.silent")
    logger.propagate = False
    logger.setLevel(logging.CRITICAL + 1)
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    return logger
