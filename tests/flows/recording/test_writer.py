"""A recording appears whole or not at all."""

from __future__ import annotations

import pytest

from flows.errors import OutputError
from flows.recording import DEFAULT_FORMAT, FORMATS, RecordingError, RecordingWriter


def test_the_default_is_one_native_zstd_stream_of_protobuf() -> None:
    assert FORMATS[DEFAULT_FORMAT] == ("otlp_proto", "native-zstd")


def test_nothing_is_there_before_the_end_and_nothing_else_after(format_name, tmp_path) -> None:
    with RecordingWriter(tmp_path / "traces", format_name) as writer:
        writer.write(b"{}")
        assert not (tmp_path / "traces").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["traces"]
    assert writer.frames == 1


def test_an_error_leaves_no_trace_and_the_old_file(format_name, tmp_path) -> None:
    (tmp_path / "traces").write_bytes(b"old")
    with pytest.raises(TypeError), RecordingWriter(tmp_path / "traces", format_name) as writer:
        writer.write(None)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_json_of_several_lines_is_refused_where_lines_are_frames(tmp_path) -> None:
    with pytest.raises(RecordingError, match="newline"), RecordingWriter(tmp_path / "x", "json") as writer:
        writer.write(b"{\n}")


def test_an_unknown_format_names_the_known_ones(tmp_path) -> None:
    with pytest.raises(RecordingError, match="proto-native-zstd"):
        RecordingWriter(tmp_path / "x", "parquet")


def test_a_folder_that_is_not_there_is_an_error_with_a_way_out(tmp_path) -> None:
    with pytest.raises(OutputError, match="No such file"):
        RecordingWriter(tmp_path / "absent" / "traces")
