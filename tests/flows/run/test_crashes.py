"""What is done about workers that end: when it goes on, reads carefully, sets a record aside, gives up."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from flows.kafka.careful import Careful, noted
from flows.kafka.reading import Coordinates
from flows.run.crashes import Crashes

HERE = {"spans/0": 100, "spans/1": 7}
POISON = Coordinates("spans", 0, 104)
DIED = 139


def test_the_second_crash_at_the_same_offsets_makes_it_careful_and_the_third_names_the_record(tmp_path: Path) -> None:
    crashes = Crashes(tmp_path / "crashes.json")
    assert crashes.crashed(DIED, HERE, None)
    assert not crashes.careful
    assert crashes.crashed(DIED, HERE, None)
    assert crashes.careful
    assert crashes.skip == frozenset()
    assert crashes.crashed(DIED, HERE, POISON)
    assert crashes.skip == {POISON}
    assert not crashes.careful


def test_crashes_at_other_offsets_never_add_up(tmp_path: Path) -> None:
    crashes = Crashes(tmp_path / "crashes.json")
    for offset in range(50):
        assert crashes.crashed(DIED, {"spans/0": offset}, None)
        assert not crashes.careful


def test_a_restart_of_the_supervisor_forgets_nothing(tmp_path: Path) -> None:
    path = tmp_path / "crashes.json"
    Crashes(path).crashed(DIED, HERE, None)
    Crashes(path).crashed(DIED, HERE, None)
    assert Crashes(path).careful
    Crashes(path).crashed(DIED, HERE, POISON)
    assert Crashes(path).skip == {POISON}


def test_a_careful_crash_at_no_record_gives_up(tmp_path: Path) -> None:
    crashes = Crashes(tmp_path / "crashes.json")
    assert crashes.crashed(1, HERE, None)
    assert crashes.crashed(1, HERE, None)
    assert not crashes.crashed(1, HERE, None)


def test_workers_that_die_too_soon_to_tell_their_offsets_are_given_up_too(tmp_path: Path) -> None:
    crashes = Crashes(tmp_path / "crashes.json")
    for went_on, told in ((True, {}), (True, HERE), (False, {"spans/1": 7})):
        assert crashes.crashed(3, told, None) is went_on


def test_a_crash_at_a_record_that_was_set_aside_gives_up(tmp_path: Path) -> None:
    crashes = Crashes(tmp_path / "crashes.json")
    for noted_last in (None, None, POISON, None, None):
        assert crashes.crashed(DIED, HERE, noted_last)
    assert not crashes.crashed(DIED, HERE, POISON)


def test_setting_records_aside_without_getting_on_has_an_end(tmp_path: Path) -> None:
    crashes = Crashes(tmp_path / "crashes.json")
    crash = 0
    while crashes.crashed(DIED, HERE, Coordinates("spans", 0, crash) if crashes.careful else None):
        crash += 1
        assert crash < 100
    assert len(crashes.skip) == 10


def test_a_kill_from_outside_says_nothing_of_a_record(tmp_path: Path) -> None:
    crashes = Crashes(tmp_path / "crashes.json")
    for _ in range(20):
        assert crashes.crashed(-signal.SIGKILL, HERE, POISON)
    assert not crashes.careful
    assert crashes.skip == frozenset()


def test_a_file_that_cannot_be_read_or_written_ends_nothing(tmp_path: Path) -> None:
    path = tmp_path / "crashes.json"
    path.write_bytes(b'{"skip": [[')
    crashes = Crashes(path)
    assert crashes.skip == frozenset()
    path.unlink()
    path.mkdir()
    assert crashes.crashed(DIED, HERE, None)


def test_a_note_outlives_its_writer_and_ends_with_its_time(tmp_path: Path) -> None:
    path = tmp_path / "reading-0.json"
    assert noted(path) is None
    careful = Careful(path, seconds=60.0)
    assert noted(path) is None
    careful.note(Coordinates("a-topic-with-a-long-name", 12, 123_456_789))
    careful.note(POISON)  # shorter than the one before
    assert noted(path) == POISON
    assert not careful.is_over
    assert Careful(tmp_path / "reading-1.json", seconds=-1.0).is_over
    for each in (careful,):
        os.close(each._file)
