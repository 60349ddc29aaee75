"""Where a value stands in a file, and what is wrong there: every refusal and warning has its file and line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flows.config.document import Path, path_text
from flows.errors import ConfigError, ConfigErrors

if TYPE_CHECKING:
    from collections.abc import Mapping


class SloError(ConfigError):
    """One thing in a file of promises that cannot be used, named by its path there.

    >>> print(SloError("a.yaml", "spec.service", "missing", "an SLO belongs to a service", "Write one.", 7))
    a.yaml:7: spec.service is missing; an SLO belongs to a service. Write one.
    """

    def __init__(
        self, file: str, path: str, found: str, expected: str = "", hint: str = "", line: int | None = None
    ) -> None:
        super().__init__(path, found, expected, hint, line)
        self.args = (file, path, found, expected, hint, line)
        self.file = file

    def __str__(self) -> str:
        return f"{self.file}{f':{self.line}' if self.line else ''}: {super().__str__()}"


class SloErrors(ConfigErrors):
    """Everything that is wrong in all files of promises; `problems` has them by file and line."""

    def __init__(self, problems: tuple[SloError, ...]) -> None:
        super().__init__("", problems)
        self.args = (problems,)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


@dataclass(frozen=True)
class Place:
    """A path into one object of one file."""

    file: str
    lines: Mapping[Path, int] = field(repr=False, compare=False, hash=False)
    base: Path = ()  # of the object in its document, which may be a list of them
    path: Path = ()  # of the value in its object

    def at(self, *more: str | int) -> Place:
        """The place of a value within this one."""
        return Place(self.file, self.lines, self.base, (*self.path, *more))

    @property
    def line(self) -> int | None:
        """Where the value stands, from 1, or else what it should stand in."""
        path = (*self.base, *self.path)
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)

    @property
    def source(self) -> str:
        """`file:line`, for messages."""
        return f"{self.file}:{self.line}" if self.line else self.file

    def refuse(self, found: str, expected: str = "", hint: str = "") -> SloError:
        """An error to raise: what was found here, what was expected, what to do next."""
        return SloError(self.file, path_text(self.path), found, expected, hint, self.line)

    def warning(self, sentence: str) -> str:
        """A sentence about this place, with file, line and path."""
        return f"{self.source}: {path_text(self.path)} {sentence}"
