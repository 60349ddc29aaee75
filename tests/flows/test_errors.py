"""What a person is told: found, expected, next; and one exit code a kind, all of them documented."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest

from flows import errors
from flows.errors import EXIT_CODES, ConfigError, ConfigErrors, StreamgaugeError

if TYPE_CHECKING:
    from pathlib import Path

KINDS = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, StreamgaugeError)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_has_a_documented_exit_code_and_stands_in_the_tree(kind: type[StreamgaugeError]) -> None:
    assert kind.exit_code in EXIT_CODES
    assert f"{kind.__name__} " in (errors.__doc__ or "")


def test_the_readme_lists_every_exit_code(repository: Path) -> None:
    readme = (repository / "README.md").read_text(encoding="utf-8")
    assert [code for code, meaning in EXIT_CODES.items() if f"| {code} | {meaning} |" not in readme] == []


def test_found_expected_and_hint_are_fields_and_a_sentence_each() -> None:
    error = ConfigError("time.pane", "7s", "a pane divides a minute", "Write 5s.", line=3)
    assert (error.path, error.found, error.expected, error.hint, error.line) == (
        "time.pane",
        "7s",
        "a pane divides a minute",
        "Write 5s.",
        3,
    )
    assert str(error) == "time.pane is 7s; a pane divides a minute. Write 5s."
    assert str(StreamgaugeError("the disk is full")) == "the disk is full"


def test_errors_survive_the_way_from_a_worker_process() -> None:
    """They are pickled when a worker is another process, and must be whole there."""
    one = ConfigError("time.pane", "7s", "a pane divides a minute", "Write 5s.", line=3)
    for error in (one, ConfigErrors("a.yaml", (one,)), StreamgaugeError("a", "b", "c")):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again).keys()) == (type(error), str(error), vars(error).keys())
