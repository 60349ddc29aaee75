"""What can be wrong with a recording: errors that stop a replay, damage that does not."""

from __future__ import annotations

from typing import NamedTuple

from flows.errors import DataError, InputError


class RecordingError(DataError):
    """A recording (or its index) that is there, but cannot be read as one.

    >>> print(RecordingError("traces.gz", "it begins with 1f 8b (gzip)", "a recording", "Unpack it first."))
    traces.gz: it begins with 1f 8b (gzip); expected a recording. Unpack it first.
    """

    def __init__(self, path: str, found: str, expected: str, hint: str) -> None:
        super().__init__(found, expected, hint)
        self.args = (path, found, expected, hint)
        self.path = path
        """The file as it was named, "-" for standard input."""

    def __str__(self) -> str:
        return f"{self.path}: {self.found}; expected {self.expected}. {self.hint}"


class UnreadableError(RecordingError, InputError):
    """A recording (or its index) that is not there, or that the system does not let us read."""

    exit_code = InputError.exit_code


class Damage(NamedTuple):
    """The part of a file that could not be read; what stands before it was.

    `dropped_bytes` counts the bytes of the file from which no frame came; in a native zstd stream these are the
    compressed bytes that could not be decoded and the decoded ones after the last whole frame.
    """

    path: str
    reason: str  # "truncated", "corrupt", "too_large"
    dropped_bytes: int
    detail: str  # a sentence for a person


class DeadFrame(NamedTuple):
    """One frame that is there, has its number, but gives no record."""

    frame: int
    reason: str  # "corrupt_zstd", "too_large"
    detail: str
