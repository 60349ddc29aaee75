"""Builders for tests of recordings: requests that tell which one they are, files of them, and what is read back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import pytest

from flows.recording import FORMATS, Recording, RecordingWriter


class MakeRequests(Protocol):
    def __call__(self, format_name: str, count: int, size: int = 40) -> list[bytes]: ...


class Write(Protocol):
    def __call__(self, name: str, format_name: str, requests: list[bytes]) -> Path: ...


def _proto(number: int, size: int) -> bytes:
    body = f"request {number} ".encode().ljust(size, bytes([65 + number % 26]))[:size] + b"\n"
    length = len(body)
    varint = bytearray()
    while length > 127:
        varint.append(length & 127 | 128)
        length >>= 7
    return b"\x0a" + bytes([*varint, length]) + body


def _json(number: int, size: int) -> bytes:
    return b'{"resourceSpans":[{"request":%d,"pad":"%s"}]}' % (number, b"x" * size)


@pytest.fixture(scope="session")
def make_requests() -> MakeRequests:
    """Distinct requests of about `size` bytes, growing with their number so that no two are of one size for long."""

    def make(format_name: str, count: int, size: int = 40) -> list[bytes]:
        build = _json if format_name.startswith("json") else _proto
        return [build(number, size + number % 7) for number in range(count)]

    return make


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a recording below the test's own folder."""

    def write_requests(name: str, format_name: str, requests: list[bytes]) -> Path:
        with RecordingWriter(tmp_path / name, format_name) as writer:
            for request in requests:
                writer.write(request)
        return tmp_path / name

    return write_requests


@pytest.fixture(params=list(FORMATS))
def format_name(request: pytest.FixtureRequest) -> str:
    """Each form a recording can have."""
    return str(request.param)


@pytest.fixture(scope="session")
def frames_of():
    """Reads a recording to its end: {frame number: request}, and the dead frames' numbers with their reasons."""

    def read(recording: Recording) -> tuple[dict[int, bytes], dict[int, str]]:
        alive: dict[int, bytes] = {}
        dead: dict[int, str] = {}
        expected = 0
        for block in recording:
            assert block.first_frame == expected
            expected = block.next_frame
            for frame, start, end in zip(block.frames, block.starts, block.ends, strict=True):
                alive[int(frame)] = block.data[start:end].tobytes()
            dead |= {lost.frame: lost.reason for lost in block.dead}
        assert sorted([*alive, *dead]) == list(range(expected))
        return alive, dead

    return read


@pytest.fixture(scope="session")
def recorded_data() -> Path:
    """The folder of recorded data; tests that need it are skipped where there is none."""
    root = Path(__file__).resolve().parents[3]
    folder = Path(os.environ.get("STREAMGAUGE_DATA") or root.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("the recorded data is not here: set STREAMGAUGE_DATA to its folder")
    return folder
