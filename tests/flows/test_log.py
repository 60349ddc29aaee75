"""The log: a line is one write, an event is not said too often, and nothing that must not be seen is in it."""

from __future__ import annotations

import json
import logging
import os
import pty
import subprocess
import sys
import threading
import warnings
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from flows import log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Lines:
    """A pipe that the log writes to."""

    def __init__(self) -> None:
        self._read, self.to = os.pipe()
        os.set_blocking(self._read, False)

    def text(self) -> str:
        try:
            return os.read(self._read, 1 << 16).decode()
        except BlockingIOError:
            return ""

    def json(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().splitlines()]

    def close(self) -> None:
        os.close(self._read)
        os.close(self.to)


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What was logged; the process's logging is as it was afterwards."""
    lines = Lines()
    yield lines
    log.release()
    lines.close()


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_a_json_line_begins_with_time_level_event_logger_and_worker(lines: Lines) -> None:
    log.configure("json", "info", worker=3, to=lines.to)
    log.get("kafka").info("topic found", topic="otlp_spans", partitions=4)
    (line,) = lines.json()
    assert list(line) == ["time", "level", "event", "logger", "worker", "topic", "partitions"]
    assert {**line, "time": ""} == {
        "time": "",
        "level": "info",
        "event": "topic found",
        "logger": "kafka",
        "worker": 3,
        "topic": "otlp_spans",
        "partitions": 4,
    }
    assert datetime.fromisoformat(line["time"]).utcoffset() == timedelta(0)


def test_a_logger_made_before_configure_follows_it(lines: Lines) -> None:
    logger = log.get("early")
    log.configure("json", "error", to=lines.to)
    logger.warning("too low")
    logger.error("high enough")
    assert [line["event"] for line in lines.json()] == ["high enough"]


def test_auto_is_json_in_a_pipe_and_console_on_a_terminal(lines: Lines) -> None:
    log.configure("auto", to=lines.to)
    log.get("a").info("in a pipe")
    assert lines.json()[0]["event"] == "in a pipe"
    controller, terminal = pty.openpty()
    try:
        log.configure("auto", to=terminal)
        log.get("a").info("on a terminal", topic="t")
        seen = os.read(controller, 4096).decode()
    finally:
        os.close(controller)
        os.close(terminal)
    assert "on a terminal" in seen
    assert "{" not in seen


def test_a_repeated_event_is_dropped_and_the_next_minute_says_how_many_were(lines: Lines) -> None:
    clock = Clock()
    log.configure("json", to=lines.to, limit=log.RateLimit(per_minute=3, in_all=100, clock=clock))
    for _ in range(10):
        log.get("kafka").warning("a partition cannot be read", topic="t", number=1)
    assert [line.get("dropped") for line in lines.json()] == [None, None, None]
    clock.seconds = 59.9
    log.get("kafka").warning("a partition cannot be read", topic="t", number=1)
    assert lines.json() == []
    clock.seconds = 60.0
    log.get("kafka").warning("a partition cannot be read", topic="t", number=1)
    log.get("kafka").warning("a partition cannot be read", topic="t", number=1)
    assert [line.get("dropped") for line in lines.json()] == [8, None]


def test_the_same_event_about_another_thing_has_a_budget_of_its_own(lines: Lines) -> None:
    log.configure("json", to=lines.to, limit=log.RateLimit(per_minute=1, in_all=100, clock=Clock()))
    for number in (1, 2, 1, 2):
        log.get("kafka").warning("a partition cannot be read", topic="t", number=number)
    for key in ("a", "b", "a"):
        log.get("kafka").warning("something", key=key)
    said = lines.json()
    assert [line["number"] for line in said if "number" in line] == [1, 2]
    assert [line["event"] for line in said].count("something") == 2
    assert all("key" not in line for line in said)


def test_an_event_about_a_million_things_is_bounded_in_lines_and_in_memory(lines: Lines) -> None:
    clock = Clock()
    limit = log.RateLimit(per_minute=10, in_all=60, clock=clock)
    log.configure("json", to=lines.to, limit=limit)
    for i in range(5_000):
        log.get("shard").warning("service over budget", service=f"service-{i}")
    assert len(lines.json()) == 60
    assert len(limit._minutes) == 61
    clock.seconds = 60
    log.get("shard").warning("service over budget", service="another")
    assert lines.json()[0]["dropped"] == 4_940


def test_a_library_that_never_says_the_same_twice_does_not_fill_memory() -> None:
    clock = Clock()
    limit = log.RateLimit(clock=clock)
    for n in range(10_000):
        clock.seconds += 0.1
        limit(None, "warning", {"event": f"request {n} failed"})
    assert len(limit._minutes) <= 2_001


def test_secrets_and_payloads_never_reach_a_line(lines: Lines) -> None:
    log.configure("json", to=lines.to)
    log.get("kafka").error(
        "the client cannot be made",
        properties={"sasl.password": "hunter2", "ssl.ca.location": "/ca", "deep": [{"token": "hunter2"}]},
        ssl_key_pem="hunter2",
        url="http://user:hunter2@broker",
        payload=b"hunter2",
        detail="x" * 100_000,
    )
    text = lines.text()
    assert "hunter2" not in text
    line = json.loads(text)
    assert line["properties"]["ssl.ca.location"] == "/ca"
    assert line["payload"] == "<7 bytes>"
    assert len(line["detail"]) < 1_100


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_hostile_name_stays_on_its_line_and_cannot_command_a_terminal(lines: Lines, form: log.Format) -> None:
    log.configure(form, to=lines.to)
    log.get("shard").warning("service over budget", service="a\n2026-01-01 forged \x1b[2J\ud800")
    text = lines.text()
    assert text.count("\n") == 1
    assert "\x1b" not in text
    assert "forged" in text
    if form == "json":
        assert json.loads(text)["service"].startswith("a\n2026")


def test_what_libraries_log_comes_out_as_ours_from_warnings_on(lines: Lines) -> None:
    log.configure("json", to=lines.to)
    library = logging.getLogger("library.part")
    library.info("Started server process [%d]", 1)
    library.warning("Invalid HTTP request received from %s.", "10.0.0.1")
    (line,) = lines.json()
    assert (line["logger"], line["level"]) == ("library.part", "warning")
    assert line["event"] == "Invalid HTTP request received from 10.0.0.1."
    assert "_said" not in line


def test_a_librarys_sentence_counts_as_one_event_whatever_is_put_into_it(lines: Lines) -> None:
    log.configure("json", to=lines.to, limit=log.RateLimit(per_minute=2, clock=Clock()))
    for client in range(9):
        logging.getLogger("library.part").warning("Invalid request from %s", client)
    assert len(lines.json()) == 2


def test_a_warning_of_python_is_a_line(lines: Lines) -> None:
    log.configure("json", to=lines.to)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("old ways", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(False)
    (line,) = lines.json()
    assert line["logger"] == "py.warnings"
    assert "old ways" in line["event"]


def test_an_exception_is_in_its_own_field_on_the_same_line(lines: Lines) -> None:
    log.configure("json", to=lines.to)
    try:
        int("broken")
    except ValueError:
        log.get("worker").exception("unexpected")
    (line,) = lines.json()
    assert line["level"] == "error"
    assert line["exception"].endswith("ValueError: invalid literal for int() with base 10: 'broken'")


def test_configuring_twice_does_not_say_a_librarys_line_twice(lines: Lines) -> None:
    log.configure("json", to=lines.to)
    log.configure("json", to=lines.to)
    logging.getLogger("anything").warning("once")
    assert len(lines.json()) == 1


def test_nobody_reading_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        log.configure("json", to=write)
        log.get("worker").error("into the void")
    finally:
        log.release()
        os.close(write)


def test_the_silent_logger_says_nothing(lines: Lines) -> None:
    log.configure("json", "debug", to=lines.to)
    log.silent().error("FAIL: 127.0.0.1:1: Connect failed")
    assert lines.text() == ""


def test_lines_of_several_processes_never_mix(tmp_path: Path) -> None:
    program = (
        "import sys; from flows import log; number = int(sys.argv[1]);"
        "log.configure('json', worker=number, limit=log.RateLimit(10**6, 10**6));"
        "[log.get('worker').info('line', n=n, text='x' * 900) for n in range(300)]"
    )
    path = tmp_path / "log"
    with path.open("ab") as file:
        running = [subprocess.Popen([sys.executable, "-c", program, str(n)], stderr=file) for n in range(3)]
        assert [process.wait(60) for process in running] == [0, 0, 0]
    said = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert sorted((line["worker"], line["n"]) for line in said) == [(w, n) for w in range(3) for n in range(300)]


def test_before_configure_events_go_to_standard_error_and_never_to_standard_output() -> None:
    program = "from flows import log; log.get('kafka').warning('early'); log.get('kafka').debug('too low')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert json.loads(done.stderr)["event"] == "early"


def test_threads_that_log_at_once_raise_nothing_and_share_one_budget(lines: Lines) -> None:
    log.configure("json", to=lines.to, limit=log.RateLimit(per_minute=5, in_all=5, clock=Clock()))
    failed: list[BaseException] = []

    def say() -> None:
        try:
            for n in range(2_000):
                log.get("worker").warning("busy", service=f"s{n}")
        except BaseException as error:  # noqa: BLE001  whatever it is, the test is to see it
            failed.append(error)

    threads = [threading.Thread(target=say) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len([line for line in lines.json() if line["event"] == "busy"]) == 5
