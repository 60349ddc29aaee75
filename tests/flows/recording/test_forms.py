"""The five forms (and one that follows from them) are told apart by their bytes, and what is none of them is named."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard

from flows.errors import InputError
from flows.recording import FORMATS, Recording, RecordingError
from flows.recording.guesses import MAGICS, guess

PROGRAM = """
import sys
from flows.errors import InputError
from flows.recording import Recording
recording = Recording("-", signal="spans", block_bytes=1000)
frames = sum(len(block.frames) for block in recording)
print(recording.encoding, recording.name, recording.total_bytes, recording.bytes_read, frames, recording.damages)
"""


def test_each_form_reads_back_what_was_written_whatever_the_file_is_called(
    format_name, make_requests, write, frames_of
) -> None:
    requests = make_requests(format_name, 50)
    recording = Recording(write("traces.dat", format_name, requests))
    alive, dead = frames_of(recording)
    assert list(alive.values()) == requests
    assert not dead
    assert not recording.damages
    assert recording.encoding == FORMATS[format_name].encoding
    assert recording.bytes_read == recording.total_bytes


@pytest.mark.parametrize("block_bytes", [1, 100, 1000, 1 << 20])
def test_frames_do_not_depend_on_the_size_of_blocks(format_name, block_bytes, make_requests, write, frames_of) -> None:
    requests = make_requests(format_name, 40, 300)
    recording = Recording(write("traces", format_name, requests), block_bytes=block_bytes)
    assert list(frames_of(recording)[0].values()) == requests


def test_rotated_files_of_mixed_compression_are_one_stream(make_requests, write, frames_of) -> None:
    requests = make_requests("proto", 60)
    names = ["proto", "proto-zstd", "proto-native-zstd"]
    paths = [write(f"traces-{k}.pb", name, requests[20 * k : 20 * k + 20]) for k, name in enumerate(names)]
    paths.insert(1, write("traces-empty.pb", "proto", []))
    recording = Recording(paths)
    assert list(frames_of(recording)[0].values()) == requests
    assert recording.name == "traces"
    assert recording.total_bytes == recording.bytes_read


def test_a_recording_can_be_read_twice(make_requests, write, frames_of) -> None:
    recording = Recording(write("traces", "proto", make_requests("proto", 5)))
    assert frames_of(recording) == frames_of(recording)


def test_an_empty_file_has_no_frames(tmp_path, frames_of) -> None:
    (tmp_path / "any").touch()
    recording = Recording(tmp_path / "any")
    assert frames_of(recording) == ({}, {})
    assert (recording.signal, recording.damages) == ("spans", [])


def test_standard_input_is_read_through_a_pipe(format_name, make_requests, write) -> None:
    data = write("traces", format_name, make_requests(format_name, 5000, 200)).read_bytes()
    done = subprocess.run([sys.executable, "-c", PROGRAM], input=data, capture_output=True, check=True)
    assert done.stdout.decode().split() == [
        FORMATS[format_name].encoding,
        "stdin",
        "None",
        str(len(data)),
        "5000",
        "[]",
    ]


def test_records_of_a_native_stream_may_be_split_across_zstd_frames(make_requests, tmp_path, frames_of) -> None:
    requests = make_requests("proto", 30)
    plain = b"".join(len(request).to_bytes(4, "big") + request for request in requests)
    skippable = b"\x53\x2a\x4d\x18" + (9).to_bytes(4, "little") + b"left alone"[:9]
    pieces = [zstandard.compress(plain[at : at + 37]) + skippable for at in range(0, len(plain), 37)]
    (tmp_path / "traces").write_bytes(skippable + b"".join(pieces))
    recording = Recording(tmp_path / "traces")
    assert list(frames_of(recording)[0].values()) == requests
    assert not recording.damages


def test_a_native_stream_with_checksums_and_unknown_sizes_is_read(make_requests, tmp_path, frames_of) -> None:
    requests = make_requests("json", 3000, 100)
    out = io.BytesIO()
    with zstandard.ZstdCompressor(write_checksum=True, write_content_size=False).stream_writer(out, closefd=False) as z:
        for request in requests:
            z.write(request + b"\r\n")
            z.flush()
    (tmp_path / "x").write_bytes(out.getvalue())
    alive, _ = frames_of(Recording(tmp_path / "x"))
    assert list(alive.values()) == [request + b"\r" for request in requests]


def test_blank_lines_are_no_frames_and_a_last_line_may_lack_its_newline(tmp_path, frames_of) -> None:
    (tmp_path / "traces").write_bytes(b'\n{"resourceSpans":[]}\n\r\n\n{}\n{"a":1}')
    recording = Recording(tmp_path / "traces")
    assert list(frames_of(recording)[0].values()) == [b'{"resourceSpans":[]}', b"{}", b'{"a":1}']
    assert not recording.damages


def test_empty_requests_are_frames(tmp_path, frames_of) -> None:
    (tmp_path / "traces").write_bytes(bytes(8) + b"\0\0\0\2\x0a\0" + bytes(4))
    assert list(frames_of(Recording(tmp_path / "traces"))[0].values()) == [b"", b"", b"\x0a\0", b""]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (gzip.compress(b"{}", mtime=0), "gzip"),
        (b"PAR1....PAR1", "parquet"),
        (b"\xd4\xc3\xb2\xa1\x02\0\x04\0", "pcap"),
        (b"2024-05-01 12:00:00 INFO started\n", "plain text"),
        (b'[{"resourceSpans":[]}]', "a JSON array"),
        (b'{\n  "resourceSpans": []\n}\n', "JSON over several lines"),
        (bytes(4096), "zero bytes only"),
        (b"\x0a\x05hello\x12", "perhaps one bare request"),
        (b"\xde\xad\xbe\xef\x01\x02\x03", "nothing we know"),
        (zstandard.compress(b"some text in zstd"), "plain text"),
        (b"\0\0\0\x20" + zstandard.compress(b"some text in one frame"), "plain text"),
    ],
)
def test_a_file_that_is_none_of_these_is_named_for_what_it_looks_like(content, kind, tmp_path) -> None:
    (tmp_path / "traces").write_bytes(content)
    with pytest.raises(RecordingError) as caught:
        Recording(tmp_path / "traces")
    error = caught.value
    assert str(error).startswith(str(tmp_path / "traces"))
    assert kind in error.found
    assert "OTLP" in error.expected
    assert error.hint


def test_every_magic_is_guessed_as_its_own_format() -> None:
    for offset, magic, expected in MAGICS:
        assert guess(b"\x01" * offset + magic + b"\x80rest") == expected


def test_a_missing_file_and_a_folder_are_errors_with_a_way_out(tmp_path) -> None:
    for path, found in ((tmp_path / "absent", "no such file"), (tmp_path, "a folder")):
        with pytest.raises(InputError, match=found) as caught:
            Recording(path)
        assert caught.value.exit_code == 66
        assert isinstance(caught.value, RecordingError)


def test_files_of_different_encodings_are_refused(make_requests, write) -> None:
    paths = [write("traces.json", "json", make_requests("json", 1)), write("traces.pb", "proto", [b"\x0a\0"])]
    with pytest.raises(RecordingError, match=r"otlp_json in .*traces\.json and otlp_proto in .*traces\.pb"):
        Recording(paths)


class TestSignal:
    def test_the_path_says_it_for_protobuf(self, write) -> None:
        assert Recording(write("otlp_logs.pb", "proto", [b"\x0a\0"])).signal == "logs"

    def test_json_says_it_itself_against_the_path(self, write) -> None:
        assert Recording(write("logs.json", "json-zstd", [b'{"resourceMetrics":[]}'])).signal == "metrics"

    def test_the_person_says_it_against_the_path(self, write) -> None:
        assert Recording(write("traces.pb", "proto", [b"\x0a\0"]), signal="logs").signal == "logs"

    def test_the_person_cannot_say_it_against_the_bytes(self, write) -> None:
        with pytest.raises(RecordingError, match="it holds logs"):
            Recording(write("x", "json", [b'{"resourceLogs":[]}']), signal="spans")

    def test_protobuf_that_nobody_speaks_for_asks_for_the_option(self, write) -> None:
        with pytest.raises(RecordingError, match="--signal spans"):
            Recording(write("recorded.pb", "proto", [b"\x0a\0"]))

    def test_a_word_that_contains_a_signal_is_not_one(self, write) -> None:
        with pytest.raises(RecordingError, match="--signal"):
            Recording(write("catalogs.pb", "proto", [b"\x0a\0"]))


@pytest.mark.parametrize(
    ("path", "frames", "signal"),
    [
        ("online-boutique-2022-08-22/traces.pb.zst", 2506, "spans"),
        ("train-ticket-2023-01-30/traces.pb.zst", 1729, "spans"),
        ("train-ticket-2023-01-30/logs.pb.zst", 1697, "logs"),
    ],
)
def test_real_recordings_have_the_frames_that_their_sources_say(
    path: str, frames: int, signal: str, recorded_data: Path
) -> None:
    recording = Recording(recorded_data / path)
    assert sum(len(block.frames) for block in recording) == frames
    assert (recording.signal, recording.encoding, recording.damages) == (signal, "otlp_proto", [])
