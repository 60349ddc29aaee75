"""Dead letters shown, and fed to their topics again, by the command and a real broker."""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from flows.cli import app as command
from flows.config import parse
from flows.decode.otlp_proto import OtlpProto
from flows.emission import PAYLOAD_BYTES, DeadLetter, Slot
from flows.records import Partition, Records
from flows.run.dead_letters import DeadLetterSink, as_json, is_cut, read
from flows.watermark import TimeRules

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.kafka import Broker

BROKEN = b"\x0a\x05no"
LETTERS = [
    DeadLetter("otlp_spans", 1, 7, 1_772_442_000_123, "truncated", "a length beyond its end", BROKEN, 0, len(BROKEN)),
    DeadLetter("otlp_spans", 0, 9, -1, "bad_span", "one of its spans", b'{"text": 1}', 3, 11),
    DeadLetter("otlp_spans", 0, 11, 5, "too_large", "it was large", b"x" * PAYLOAD_BYTES, 0, 1 << 30),
    DeadLetter("otlp_spans", 0, 12, 6, "null_value", "a tombstone", b""),
    DeadLetter("elsewhere", 0, 1, 6, "truncated", "", BROKEN, 0, len(BROKEN)),
]


def run(capfd: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command in this process."""
    before, sys.argv = sys.argv, ["streamgauge", "deadletters", *map(str, arguments)]
    try:
        with pytest.raises(SystemExit) as caught:
            command.main()
    finally:
        sys.argv = before
    out, err = capfd.readouterr()
    return int(caught.value.code or 0), out, err


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "dead_letters.jsonl"
    path.write_bytes(b"".join(as_json(letter, PAYLOAD_BYTES) + b"\n" for letter in LETTERS))
    return path


def config(tmp_path: Path, bootstrap: str, topics: tuple[str, ...], **dead_letters: Any) -> Path:
    path = tmp_path / "streamgauge.yaml"
    named = [{"name": topic, "signal": "spans", "encoding": "otlp_proto"} for topic in topics]
    kafka = {"bootstrap_servers": bootstrap, "topics": named, "properties": {"socket.timeout.ms": 2000}}
    path.write_text(
        yaml.safe_dump({"kafka": kafka, "state_directory": str(tmp_path / "state"), "dead_letters": dead_letters})
    )
    return path


def test_a_table_says_when_which_record_why_and_how_it_begins(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capfd, "show", file)
    rows = out.splitlines()
    assert code == 0
    assert rows[1].split()[:3] == ["2026-03-02T09:00:00.123Z", "otlp_spans/1/7", "truncated"]
    assert "a length beyond its end" in rows[1]
    assert "0a 05 6e 6f" in rows[1]
    assert '{"text": 1}' in rows[2]
    assert "unknown" in rows[2]
    assert rows[-1] == "5 dead letters"


def test_a_reason_and_a_limit_choose_among_them(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capfd, "show", file, "--reason", "truncated", "--json")
    assert [json.loads(line)["source"] for line in out.splitlines()] == ["otlp_spans", "elsewhere"]
    _, out, _ = run(capfd, "show", file, "--reason", "truncated", "--json", "--limit", "1")
    (line,) = out.splitlines()
    assert json.loads(line)["payload"] == b64encode(BROKEN).decode()


def test_markup_and_control_characters_in_data_are_shown_as_they_are(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "dead.jsonl"
    path.write_bytes(as_json(LETTERS[0]._replace(detail="[bold]x[/nope]", payload=b"\x1b[31m", size=5), 64) + b"\n")
    code, out, _ = run(capfd, "show", path)
    assert code == 0
    assert "[bold]x[/nope]" in out
    assert "1b 5b 33 31 6d" in out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["show"], 2, "no place is named"),
        (["show", "absent.jsonl"], 66, "no such file"),
        (["show", "--kafka", "127.0.0.1:1"], 2, "Add --topic NAME"),
        (["show", "--topic", "dead"], 2, "Add --kafka HOST:PORT"),
        (["show", "x", "--kafka", "127.0.0.1:1", "--topic", "dead"], 2, "Leave one of them out"),
        (["replay", "absent.jsonl"], 78, "kafka is not there"),
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: list[str], code: int, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    found, _, error = run(capfd, *arguments)
    assert (found, said in error) == (code, True), error


def test_a_file_of_something_else_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "other.jsonl"
    path.write_text("hello\n")
    code, _, error = run(capfd, "show", path)
    assert code == 65
    assert "none of its lines is a dead letter" in error


def test_letters_of_the_release_before_have_no_size_and_are_read(tmp_path: Path) -> None:
    old = json.loads(as_json(LETTERS[0], 64))
    del old["size"], old["spans"]
    path = tmp_path / "old.jsonl"
    path.write_text(json.dumps(old) + "\n")
    (letter,) = read(path)
    assert letter == LETTERS[0]._replace(size=-1)
    assert not is_cut(letter)
    assert is_cut(letter._replace(payload=b"x" * PAYLOAD_BYTES))


def test_a_letter_behind_one_that_a_crash_cut_is_read(tmp_path: Path) -> None:
    settings = parse(f"dead_letters: {{file: {tmp_path / 'dead.jsonl'}}}")
    path = tmp_path / "dead.jsonl"
    path.write_bytes(as_json(LETTERS[0], 64) + b"\n" + as_json(LETTERS[1], 64)[:30])
    part = DeadLetterSink(settings).build_part("x", "dead-letters", None)
    part.write_batch([LETTERS[3]])
    part.close()
    assert [letter.offset for letter in read(path)] == [7, 12]


def test_a_letter_says_how_many_spans_it_is_about_and_how_large_its_record_is() -> None:
    slot = Slot(0, lambda _: OtlpProto(), TimeRules())
    broken_span = bytes.fromhex("0a0612040a0212080a0612040a021208")  # two spans that end inside of a field
    whole = b"\x0a\xff" + b"x" * PAYLOAD_BYTES
    dead = slot.emit([Records.of([broken_span, whole], Partition("t", 0))]).dead
    sizes = [(letter.offset, letter.spans > 0, letter.size) for letter in dead]
    assert (1, False, len(whole)) in sizes
    assert all(size == (len(broken_span) if offset == 0 else len(whole)) for offset, _, size in sizes)
    assert [is_cut(letter) for letter in dead if letter.offset == 1] == [True]


@pytest.mark.slow
def test_whole_records_are_fed_to_their_partitions_with_their_times_and_the_others_are_counted(
    broker: Broker, tmp_path: Path, file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    topic = broker.create_topic("dead-letters-fed", 2)
    letters = [letter._replace(source=topic) if letter.source == "otlp_spans" else letter for letter in LETTERS]
    file.write_bytes(b"".join(as_json(letter, PAYLOAD_BYTES) + b"\n" for letter in [*letters, letters[0]]))
    code, out, error = run(capfd, "replay", file, "--config", config(tmp_path, broker.bootstrap, (topic,)))
    assert code == 0, error
    assert "1 records were fed again, 1 to dead-letters-fed." in out
    for why in ("only the beginning of", "they had no bytes", "only some of their spans", "elsewhere is no topic"):
        assert f"1 left out: {why}" in out
    records = broker.read(topic)
    assert [len(records[number]) for number in (0, 1)] == [0, 1]
    assert records[1][0].value() == BROKEN
    assert records[1][0].timestamp()[1] == 1_772_442_000_123


@pytest.mark.slow
def test_letters_that_went_to_a_topic_are_shown_and_fed_like_those_in_a_file(
    broker: Broker, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source, dead = broker.create_topic("source", 2), broker.create_topic("dead", 2)
    path = config(tmp_path, broker.bootstrap, (source,), topic=dead)
    sink = DeadLetterSink(parse(path.read_text())).build_part("x", "dead-letters", None)
    letters = [letter._replace(source=source) for letter in LETTERS[:4]]
    sink.write_batch([*letters, letters[0]])
    sink.snapshot()
    sink.close()
    broker.produce(dead, 0, [b"not one of ours"])
    code, out, error = run(capfd, "show", "--kafka", broker.bootstrap, "--topic", dead, "--json")
    assert code == 0, error
    shown = sorted((json.loads(line) for line in out.splitlines()), key=lambda each: each["offset"])
    assert shown == [json.loads(as_json(letter, PAYLOAD_BYTES)) for letter in letters]
    _, out, _ = run(capfd, "show", "--config", path, "--reason", "truncated")
    assert out.splitlines()[-1] == "1 dead letters"
    code, out, _ = run(capfd, "replay", "--config", path)
    assert (code, "1 records were fed again" in out) == (0, True)
    assert [message.value() for message in broker.read(source)[1]] == [BROKEN]


@pytest.mark.slow
def test_a_topic_that_is_not_there_and_a_broker_that_does_not_answer_are_said(
    broker: Broker, tmp_path: Path, file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, _, error = run(capfd, "show", "--kafka", broker.bootstrap, "--topic", "absent")
    assert (code, "topic absent" in error) == (66, True)
    code, _, error = run(capfd, "replay", file, "--config", config(tmp_path, broker.bootstrap, ("otlp_spans",)))
    assert (code, "topic otlp_spans" in error) == (73, True), error
    unheard = config(tmp_path, "127.0.0.1:1", ("otlp_spans",))
    code, _, error = run(capfd, "replay", file, "--config", unheard)
    assert (code, "Kafka at 127.0.0.1:1" in error) == (73, True), error
