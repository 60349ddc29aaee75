"""The bounded file of dead letters."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from flows.config import Config
from flows.emission import DeadLetter
from flows.run.dead_letters import DeadLetterSink, as_json, dead_letter_file, read

if TYPE_CHECKING:
    from pathlib import Path

    from bytewax.outputs import StatefulSinkPartition


def settings(folder: Path, **dead_letters: int) -> Config:
    return Config.model_validate({"state_directory": folder, "dead_letters": dead_letters})


def letter(offset: int, payload: bytes = b"\x00\xff broken", detail: str = "at byte 3") -> DeadLetter:
    return DeadLetter("spans", 2, offset, 1_772_442_000_000, "malformed", detail, payload)


def opened(config: Config) -> StatefulSinkPartition[DeadLetter, bytes]:
    sink = DeadLetterSink(config)
    [part] = sink.list_parts()
    return sink.build_part("publish_dead_letters", part, None)


def test_letters_are_read_as_they_were_written(tmp_path: Path) -> None:
    config = settings(tmp_path)
    file = opened(config)
    file.write_batch([letter(1), letter(2, bytes(range(256)))])
    file.write_batch([letter(3, b"")])
    file.snapshot()
    file.close()
    assert list(read(dead_letter_file(config))) == [letter(1), letter(2, bytes(range(256))), letter(3, b"")]
    assert stat.S_IMODE(dead_letter_file(config).stat().st_mode) == 0o600


def test_what_came_twice_is_read_once_but_two_spans_of_a_record_are_two(tmp_path: Path) -> None:
    config = settings(tmp_path)
    for _ in range(2):  # a crash between the write and the snapshot: the same offsets again
        file = opened(config)
        file.write_batch([letter(1), letter(1, detail="at byte 90"), letter(2)])
        file.close()
    assert list(read(dead_letter_file(config))) == [letter(1), letter(1, detail="at byte 90"), letter(2)]


def test_the_file_holds_so_many_letters_over_all_its_lives(tmp_path: Path) -> None:
    config = settings(tmp_path, count=5)
    file = opened(config)
    file.write_batch([letter(i) for i in range(3)])
    file.close()
    again = opened(config)
    again.write_batch([letter(i) for i in range(3, 9)])
    again.write_batch([letter(9)])
    again.close()
    assert [each.offset for each in read(dead_letter_file(config))] == [0, 1, 2, 3, 4]


def test_only_the_first_bytes_of_a_letter_are_kept(tmp_path: Path) -> None:
    config = settings(tmp_path, bytes_each=100)
    file = opened(config)
    file.write_batch([letter(1, bytes(5_000))])
    file.close()
    [found] = read(dead_letter_file(config))
    assert found.payload == bytes(100)


def test_a_line_that_a_crash_cut_short_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "dead_letters.jsonl"
    line = as_json(letter(1), 100)
    path.write_bytes(line + b"\n" + as_json(letter(2), 100)[:-20])
    assert [each.offset for each in read(path)] == [1]
