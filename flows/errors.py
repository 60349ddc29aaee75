"""The errors a person may see, and the exit code each of them ends the command with.

    StreamgaugeError            70
    ├── UsageError               2   the command line asks for what cannot be
    ├── InputError              66   a file or stream that should be read cannot be
    ├── DataError               65   it can be read, but is not what it should be
    ├── OutputError             73   a file or stream cannot be written
    ├── StateError              78   the state directory cannot be used as it is
    ├── UnitError               78   a duration, size or time that cannot be understood
    └── ConfigError             78   one setting that cannot be used
        └── ConfigErrors        78   all of them in one file

The numbers are those of BSD's sysexits, so that a supervisor can tell "fix the configuration" from "fix the input".
Only what a person can mend is one of these: bad records are values that are counted and kept, and a bug is a traceback.
"""

from __future__ import annotations

from typing import ClassVar

EXIT_CODES: dict[int, str] = {
    0: "done",
    1: "a bug in streamgauge: the traceback says where",
    2: "the command line is wrong",
    65: "the input is not what it should be (damaged, or another format)",
    66: "the input is not there or cannot be read",
    70: "another error that a sentence explains; workers that crash again and again, for no record's sake",
    73: "the output cannot be written",
    75: "a stop took too long, and the workers were killed; nothing is lost",
    78: "the configuration or the state directory cannot be used",
    130: "interrupted with Ctrl-C",
}
"""What every exit code of the command means; `streamgauge --help` and the README show it."""


class StreamgaugeError(Exception):
    """What was found, what was expected instead and what to do next, each also a field.

    `found` and `expected` make one sentence, `hint` is the next one; the latter two may be empty.

    >>> print(StreamgaugeError("a.zip begins with 'PK'", "a recording begins with a length, JSON or zstd", "Unzip it."))
    a.zip begins with 'PK'; a recording begins with a length, JSON or zstd. Unzip it.
    """

    exit_code: ClassVar[int] = 70

    def __init__(self, found: str, expected: str = "", hint: str = "") -> None:
        self.found = found
        self.expected = expected
        self.hint = hint
        super().__init__(found, expected, hint)

    def __str__(self) -> str:
        sentence = f"{self.found}; {self.expected}" if self.expected else self.found
        return f"{sentence.rstrip('.')}. {self.hint}" if self.hint else sentence


class UsageError(StreamgaugeError):
    """Options that are each well-formed, but cannot be had, or not together."""

    exit_code = 2


class InputError(StreamgaugeError):
    """A file or stream that should be read is missing or refuses to be."""

    exit_code = 66


class DataError(StreamgaugeError):
    """The input as a whole is not what it should be; a bad record in a good input is counted instead."""

    exit_code = 65


class OutputError(StreamgaugeError):
    """A file or stream cannot be written."""

    exit_code = 73


class StateError(StreamgaugeError):
    """A state directory that is held by another, damaged, or made with other settings."""

    exit_code = 78


class UnitError(StreamgaugeError, ValueError):
    """A duration, size or time as text that cannot be understood; a ValueError too, as pydantic wants it."""

    exit_code = 78


class ConfigError(StreamgaugeError, ValueError):
    """One setting that cannot be used, named by its path in the file, such as `limits.services.web.series`.

    A ValueError too, so that a check inside a section may raise it with the path from there.

    >>> print(ConfigError("time.pane", "7s", "a pane divides a minute", "Write 5s, 6s or 10s."))
    time.pane is 7s; a pane divides a minute. Write 5s, 6s or 10s.
    """

    exit_code = 78

    def __init__(self, path: str, found: str, expected: str = "", hint: str = "", line: int | None = None) -> None:
        super().__init__(found, expected, hint)
        self.args = (path, found, expected, hint, line)
        self.path = path
        self.line = line

    def __str__(self) -> str:
        return f"{self.path} is {super().__str__()}" if self.path else super().__str__()


class ConfigErrors(ConfigError):  # noqa: N818  a plural says it best: they are several
    """Everything that is wrong in one configuration, so that one look at the file can mend it all."""

    def __init__(self, source: str, problems: tuple[ConfigError, ...]) -> None:
        super().__init__("", f"{len(problems)} settings cannot be used")
        self.args = (source, problems)
        self.source = source
        self.problems = problems

    def __str__(self) -> str:
        lines = [f"{self.source}{f':{p.line}' if p.line else ''}: {p}" for p in self.problems]
        return "\n".join(lines)
