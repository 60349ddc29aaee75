"""Cut, corrupt and hostile files: what is whole is kept, what is not is counted, and memory stays bounded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zstandard

from flows.recording import FORMATS, Recording, RecordingError, RecordingWriter
from flows.recording.zstd_stream import ZstdStream

MIB = 1 << 20


def _ends(path: Path, format_name: str) -> list[int]:
    """Where each frame of an uncompressed or framed file ends, as a slow reader finds it."""
    data, ends, at = path.read_bytes(), [], 0
    while at < len(data):
        if format_name == "json":
            at = data.index(b"\n", at) + 1
        else:
            at += 4 + int.from_bytes(data[at : at + 4], "big")
        ends.append(at)
    return ends


@pytest.mark.parametrize("name", ["proto", "json", "proto-zstd", "json-zstd"])
def test_a_file_cut_at_any_byte_keeps_its_whole_frames_and_counts_the_rest(
    name, make_requests, write, tmp_path, frames_of
) -> None:
    requests = make_requests(name, 6)
    whole = write("whole", name, requests)
    ends = _ends(whole, name)
    for cut in range(ends[-1] + 1):
        (tmp_path / "traces").write_bytes(whole.read_bytes()[:cut])
        recording = Recording(tmp_path / "traces")
        alive, dead = frames_of(recording)
        kept = sum(end <= cut for end in ends)
        dropped = cut - max([end for end in ends if end <= cut], default=0)
        if name == "json" and cut + 1 in ends:  # the line is whole, only its newline is missing
            kept, dropped = kept + 1, 0
        assert (list(alive.values()), dead) == (requests[:kept], {})
        assert recording.dropped_bytes == dropped
        assert [damage.reason for damage in recording.damages] == ["truncated"] * (dropped > 0)


@pytest.mark.parametrize("name", ["proto-native-zstd", "json-native-zstd"])
def test_a_native_stream_cut_at_any_byte_keeps_the_frames_of_its_whole_blocks(
    name, make_requests, tmp_path, frames_of
) -> None:
    requests = make_requests(name, 8)
    plain = [
        request + b"\n" if name.startswith("json") else len(request).to_bytes(4, "big") + request
        for request in requests
    ]
    compressor = zstandard.ZstdCompressor().compressobj()
    blocks = [compressor.compress(one) + compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) for one in plain]
    whole = b"".join(blocks) + compressor.flush()
    ends = np.cumsum([len(block) for block in blocks])
    for cut in range(len(whole) + 1):
        (tmp_path / "traces").write_bytes(whole[:cut])
        recording = Recording(tmp_path / "traces")
        alive, _ = frames_of(recording)
        kept = int((ends <= cut).sum())
        assert list(alive.values()) == requests[:kept]
        if cut in (0, len(whole)):
            assert not recording.damages
        elif kept:
            assert recording.dropped_bytes == cut - ends[kept - 1]
            assert recording.damages[0].reason == "truncated"


def test_a_native_stream_cut_inside_of_a_record_drops_the_record_too(tmp_path, frames_of) -> None:
    first, second = (b"\0\0\0\x08\x0a\x06123456", b"\0\0\0\x08\x0a\x06abc")
    (tmp_path / "traces").write_bytes(zstandard.compress(first + second) + zstandard.compress(b"def")[:-2])
    recording = Recording(tmp_path / "traces")
    assert list(frames_of(recording)[0].values()) == [first[4:]]
    assert recording.damages[0].reason == "truncated"
    assert recording.dropped_bytes > len(second)


def test_a_corrupt_native_stream_ends_its_file_and_the_next_file_goes_on(make_requests, write, frames_of) -> None:
    requests = make_requests("proto", 2000, 500)
    first = write("traces-1", "proto-native-zstd", requests)
    stored = bytearray(first.read_bytes())
    good = stored + b"this is no zstd frame"
    first.write_bytes(good)
    second = write("traces-2", "proto", requests[:5])
    recording = Recording([first, second])
    alive, _ = frames_of(recording)
    assert list(alive.values()) == requests + requests[:5]
    (damage,) = recording.damages
    assert (damage.path, damage.reason, damage.dropped_bytes) == (str(first), "corrupt", 21)


def test_a_frame_that_does_not_unpack_is_dead_and_the_others_are_read(make_requests, write, frames_of) -> None:
    requests = make_requests("proto", 5)
    path = write("traces", "proto-zstd", requests)
    starts = [0, *_ends(path, "proto-zstd")]
    data = bytearray(path.read_bytes())
    data[starts[0] + 8] = 0xFF  # the very first frame, from which the form is told
    data[starts[2] + 4] ^= 0xFF
    path.write_bytes(data)
    recording = Recording(path)
    alive, dead = frames_of(recording)
    assert dead == {0: "corrupt_zstd", 2: "corrupt_zstd"}
    assert [alive[frame] for frame in (1, 3, 4)] == [requests[frame] for frame in (1, 3, 4)]
    assert not recording.damages


@pytest.mark.parametrize("name", ["proto", "proto-zstd", "proto-native-zstd"])
def test_a_length_of_3_gb_is_a_damaged_tail(name, make_requests, write, tmp_path, frames_of) -> None:
    requests = make_requests("proto", 3)
    plain = write("plain", "proto" if name == "proto-native-zstd" else name, requests).read_bytes()
    hostile = plain + (3_000_000_000).to_bytes(4, "big") + b"\x0a" * 1000
    (tmp_path / "traces").write_bytes(zstandard.compress(hostile) if "native" in name else hostile)
    recording = Recording(tmp_path / "traces", block_bytes=300)
    assert list(frames_of(recording)[0].values()) == requests
    assert [(damage.reason, damage.dropped_bytes) for damage in recording.damages] == [("too_large", 1004)]
    assert "3,000,000,000" in recording.damages[0].detail


@pytest.mark.parametrize("says_its_size", [True, False])
def test_a_frame_that_unpacks_beyond_the_limit_is_dead(says_its_size, write, tmp_path, frames_of) -> None:
    good = zstandard.compress(b"\x0a\x02ok")
    bomb = zstandard.ZstdCompressor(write_content_size=says_its_size).compress(b"\x0a" + bytes(40 * MIB))
    frames = [good, bomb, good]
    (tmp_path / "traces").write_bytes(b"".join(len(one).to_bytes(4, "big") + one for one in frames))
    alive, dead = frames_of(Recording(tmp_path / "traces", max_record_bytes=MIB))
    assert alive == {0: b"\x0a\x02ok", 2: b"\x0a\x02ok"}
    assert dead == {1: "too_large"}


@pytest.mark.parametrize("block_bytes", [64, 100, 5000, MIB])
def test_a_line_that_is_too_long_is_dead_whatever_the_blocks(block_bytes, tmp_path, frames_of) -> None:
    long = b'{"a":"' + b"x" * 1000 + b'"}'
    (tmp_path / "traces").write_bytes(b"{}\n" + long + b'\n{"b":1}\n' + long)
    recording = Recording(tmp_path / "traces", max_record_bytes=200, block_bytes=block_bytes, signal="spans")
    assert frames_of(recording) == ({0: b"{}", 2: b'{"b":1}'}, {1: "too_large", 3: "too_large"})
    assert not recording.damages


def test_a_first_record_beyond_the_limit_is_refused_by_name(write) -> None:
    with pytest.raises(RecordingError):
        Recording(write("traces", "proto", [b"\x0a" * 2000]), max_record_bytes=1000)


def test_random_damage_never_raises_and_never_invents_bytes(format_name, make_requests, write, tmp_path) -> None:
    """Seeded flips, cuts and insertions: each file is read to its end, or refused at the door."""
    random = np.random.default_rng(7)
    whole = write("whole", format_name, make_requests(format_name, 12)).read_bytes()
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(random.integers(1, 4)):
            at = int(random.integers(len(data)))
            data[at : at + int(random.integers(0, 3))] = random.bytes(int(random.integers(0, 4)))
        (tmp_path / "traces").write_bytes(data)
        try:
            recording = Recording(tmp_path / "traces", max_record_bytes=100_000, block_bytes=256, signal="spans")
        except RecordingError:
            continue
        for block in recording:
            assert (block.starts >= 0).all()
            assert (block.starts <= block.ends).all()
            assert (block.ends <= len(block.data)).all()


def test_a_window_that_asks_for_2_gb_is_refused_by_the_decoder() -> None:
    hostile = b"\x28\xb5\x2f\xfd\x00" + bytes([(31 - 10) << 3]) + b"\x03\x00\x01x"
    stream = ZstdStream(iter([hostile]))
    assert list(stream) == []
    assert stream.problem == "corrupt"


PROGRAM = """
import sys
from pathlib import Path
from flows.recording import LANES, Lanes, Recording
recording = Recording(sys.argv[1], block_bytes=4 << 20)
lanes = Lanes(recording)
opened = [lanes.open(lane) for lane in range(LANES)]
frames, shares = 0, True
while shares:
    shares = [share for lane in opened if (share := lane.next()) is not None]
    frames += sum(len(records) for share in shares for records in share.records)
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(frames, peak.split()[1])
"""


def _peak_kib(path: Path) -> tuple[int, int]:
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(path)], capture_output=True, check=True)
    frames, peak = done.stdout.split()
    return int(frames), int(peak)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_size_of_the_file(format_name, tmp_path) -> None:
    """30 MB and 300 MB of requests take the same memory, to a few blocks."""
    random = np.random.default_rng(1)
    peaks = []
    for megabytes in (30, 300):
        path = tmp_path / f"traces-{megabytes}"
        with RecordingWriter(path, format_name, level=1) as writer:
            is_json = FORMATS[format_name].encoding == "otlp_json"
            for _ in range(megabytes * 10):
                body = random.integers(97, 113, 100_000, dtype=np.uint8).tobytes()
                writer.write(b'{"resourceSpans":"' + body + b'"}' if is_json else b"\x0a\xa0\x8d\x06" + body)
        frames, peak = _peak_kib(path)
        assert frames == megabytes * 10
        peaks.append(peak)
        path.unlink()
    assert peaks[1] - peaks[0] < 24 * 1024, f"peak KiB: {peaks}"


@pytest.mark.slow
def test_hostile_zeros_and_newlines_do_not_grow_memory(tmp_path) -> None:
    """A quarter of a GB of empty frames, as one small zstd stream."""
    for name, beginning, filler in (("zeros", b"\0\0\0\2\x0a\0", b"\0"), ("newlines", b"{}\n", b"\n")):
        path = tmp_path / f"traces-{name}"
        path.write_bytes(zstandard.compress(beginning + filler * (256 * MIB)))
        _, peak = _peak_kib(path)
        assert peak < 400 * 1024, f"{name}: {peak} KiB"
