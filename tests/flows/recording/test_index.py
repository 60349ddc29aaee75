"""With an index, frames are the records that Kafka had; one that does not fit its recording is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.recording import (
    LANES,
    DeadLetter,
    IdleTick,
    IndexWriter,
    Lanes,
    Recording,
    RecordingError,
    RecordingWriter,
    Share,
)
from flows.recording.dealing import lane_of
from flows.recording.naming import index_of
from flows.records import Partition

PARTITIONS = [
    Partition("otlp_spans", 0),
    Partition("otlp_spans", 1),
    Partition("otlp_spans", 8),
    Partition("jaeger", 1),
]


def _write(folder: Path, plan: list[str | int], format_name: str = "proto") -> Path:
    """A recording and its index: an int is a frame of that partition, "dead" and "idle" are lines without a frame."""
    path = folder / "traces"
    offsets = dict.fromkeys(PARTITIONS, 100)
    with RecordingWriter(path, format_name) as recording, IndexWriter(index_of(str(path))) as index:
        for step in plan:
            partition = PARTITIONS[step if isinstance(step, int) else 0]
            offsets[partition] += 3
            if step == "idle":
                index.idle(PARTITIONS[:2], 100)
            elif step == "dead":
                index.dead(partition, offsets[partition], 5_000, "not_proto")
            else:
                index.frame(partition, offsets[partition], 1_000 + recording.frames, 1)
                recording.write(b"\x0a" + b"%d " % recording.frames + b"x" * 20)
    return path


def _told(shares: list[Share]) -> list[object]:
    """The shares as one flat story: records by partition, in order, with ticks between them."""
    story: list[object] = []
    for share in shares:
        for records in sorted(share.records, key=lambda records: records.partition):
            story += [
                (records.partition, int(offset), int(stamp), records.payload(i))
                for i, (offset, stamp) in enumerate(zip(records.offsets, records.timestamps_ms, strict=True))
            ]
        story += share.dead
        story += [share.idle] if share.idle else []
    return story


def _all(path: Path, block_bytes: int = 1 << 20, opened: list[int] | None = None) -> dict[int, list[Share]]:
    lanes = Lanes(Recording(path, block_bytes=block_bytes))
    readers = {number: lanes.open(number) for number in opened or range(LANES)}
    shares: dict[int, list[Share]] = {number: [] for number in readers}
    going = True
    while going:
        going = False
        for number, lane in readers.items():
            if (share := lane.next()) is not None:
                shares[number].append(share)
                going = True
    return shares


@settings(max_examples=60, deadline=None)
@given(
    plan=st.lists(st.sampled_from([0, 1, 2, 3, "dead", "idle"]), max_size=50),
    block_bytes=st.sampled_from([64, 200, 1 << 20]),
    format_name=st.sampled_from(["proto", "proto-zstd", "proto-native-zstd"]),
)
def test_every_record_comes_from_its_own_partition_in_the_order_of_the_recording(
    plan, block_bytes, format_name, tmp_path_factory
) -> None:
    path = _write(tmp_path_factory.mktemp("indexed"), plan, format_name)
    shares = _all(path, block_bytes)
    for partition in PARTITIONS:
        mine = [
            (int(offset), int(stamp), records.payload(i))
            for share in shares[lane_of(partition)]
            for records in share.records
            if records.partition == partition
            for i, (offset, stamp) in enumerate(zip(records.offsets, records.timestamps_ms, strict=True))
        ]
        expected, offset, frame = [], 100, 0
        for step in plan:
            this = PARTITIONS[step if isinstance(step, int) else 0]
            offset += 3 * (this == partition)
            if isinstance(step, int):
                if this == partition:
                    expected.append((offset, 1_000 + frame, b"\x0a" + b"%d " % frame + b"x" * 20))
                frame += 1
        assert mine == expected
    letters = [letter for of_lane in shares.values() for share in of_lane for letter in share.dead]
    assert [letter.reason for letter in letters] == ["not_proto"] * plan.count("dead")


@settings(max_examples=40, deadline=None)
@given(plan=st.lists(st.sampled_from([0, 1, 2, 3, "dead", "idle"]), max_size=40), data=st.data())
def test_what_a_lane_tells_depends_neither_on_blocks_nor_on_the_lanes_that_are_open(
    plan, data, tmp_path_factory
) -> None:
    path = _write(tmp_path_factory.mktemp("indexed"), plan, data.draw(st.sampled_from(["proto", "proto-zstd"])))
    whole = _all(path)
    some = data.draw(st.lists(st.integers(0, LANES - 1), min_size=1, unique=True))
    for lane, shares in _all(path, 64, some).items():
        assert [share.idle for share in shares if share.idle] == [share.idle for share in whole[lane] if share.idle]
        assert [letter for share in shares for letter in share.dead] == [
            letter for share in whole[lane] for letter in share.dead
        ]
        for partition in PARTITIONS:
            assert _of(partition, shares) == _of(partition, whole[lane])


def _of(partition: Partition, shares: list[Share]) -> list[object]:
    """A partition's records, and the ticks between them."""
    return [
        line
        for line in _told(shares)
        if isinstance(line, IdleTick) or (not isinstance(line, DeadLetter) and line[0] == partition)
    ]


def test_an_idle_tick_stands_between_the_records_before_and_after_it(tmp_path) -> None:
    path = _write(tmp_path, [0, 0, "idle", 0, "dead", "idle"])
    told = _told(_all(path)[lane_of(PARTITIONS[0])])
    tick = IdleTick((PARTITIONS[0],), 100)
    kinds = [line if isinstance(line, IdleTick) else getattr(line, "reason", line[1]) for line in told]
    assert kinds == [103, 106, tick, 112, "not_proto", tick]


def test_a_lane_goes_on_after_an_idle_tick_inside_of_a_block(tmp_path) -> None:
    path = _write(tmp_path, [0, "idle", 0, 1, "idle", 0, "dead"])
    number = lane_of(PARTITIONS[0])
    shares = _all(path)[number]
    for taken in range(len(shares) + 1):
        lane = Lanes(Recording(path)).open(number, shares[taken - 1].position if taken else 0)
        rest = []
        while (share := lane.next()) is not None:
            rest.append(share)
        assert _told(rest) == _told(shares[taken:])


def test_a_lane_knows_all_its_partitions_from_the_start(tmp_path) -> None:
    lanes = Lanes(Recording(_write(tmp_path, [0, 1, 2, 3, "idle"])))
    known = [partition for lane in range(LANES) for partition in lanes.partitions(lane)]
    assert sorted(known) == sorted(PARTITIONS)
    assert lanes.open(lane_of(PARTITIONS[3])).partitions == lanes.partitions(lane_of(PARTITIONS[3]))


def test_a_frame_that_does_not_unpack_keeps_the_coordinates_that_the_index_gives(tmp_path) -> None:
    path = _write(tmp_path, [0, 3, 0], "proto-zstd")
    data = bytearray(path.read_bytes())
    data[4 + 4 + int.from_bytes(data[:4], "big")] ^= 0xFF
    path.write_bytes(data)
    (share, *_) = _all(path)[lane_of(PARTITIONS[3])]
    (letter,) = share.dead
    assert letter[:4] == (PARTITIONS[3], 103, 1_001, "corrupt_zstd")


def _lines(path: Path, lines: list[bytes]) -> None:
    index_of(str(path)).write_bytes(b"".join(line + b"\n" for line in lines))


FRAME = b'{"frame":%d,"source":"t","partition":0,"offset":%d}'


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([FRAME % (0, 0)], "ends at frame 1, the recording goes on"),
        ([FRAME % (0, 0), FRAME % (1, 1), FRAME % (2, 2)], "1 more frames than the recording"),
        ([FRAME % (0, 0), FRAME % (2, 1)], "the recording goes on|entry 1 is of frame 2"),
        ([FRAME % (0, 5), FRAME % (1, 5)], "goes back to offset 5"),
        ([FRAME % (0, 0), b'{"frame":1}'], "does not say its source"),
        ([FRAME % (0, 0), b'{"source":"t","partition":0,"offset":1}'], "neither a frame, nor a reason"),
        ([FRAME % (0, 0), b'{"frame":"one"}'], "entry 1 is broken"),
        ([b'{"frame'], "entry 0 is broken"),
        ([], "ends at frame 0"),
    ],
)
def test_an_index_that_does_not_fit_is_refused(lines, found, write, tmp_path) -> None:
    path = write("traces", "proto", [b"\x0aone", b"\x0atwo"])
    _lines(path, lines)
    with pytest.raises(RecordingError, match=found) as caught:
        _all(path)
    assert caught.value.path == str(index_of(str(path)))


def test_frames_that_a_cut_recording_lost_are_counted_and_no_error(tmp_path) -> None:
    path = _write(tmp_path, [0, 0, 0, "dead"])
    path.write_bytes(path.read_bytes()[:-10])
    lanes = Lanes(Recording(path))
    lane = lanes.open(lane_of(PARTITIONS[0]))
    shares = []
    while (share := lane.next()) is not None:
        shares.append(share)
    assert len(_told(shares)) == 3
    assert lanes.missing_frames == 1


def test_an_index_that_is_named_must_exist_and_one_among_several_files_is_refused(write, tmp_path) -> None:
    path = write("traces", "proto", [b"\x0aone"])
    with pytest.raises(RecordingError, match="no such file"):
        Lanes(Recording(path, index=tmp_path / "absent"))
    _lines(path, [])
    with pytest.raises(RecordingError, match="an index among several files"):
        Recording([path, write("traces-2", "proto", [b"\x0atwo"])])


def test_frames_after_a_hole_are_refused_with_an_index(write, tmp_path) -> None:
    first, second = write("traces-1", "proto", [b"\x0aone", b"\x0atwo"]), write("traces-2", "proto", [b"\x0athree"])
    first.write_bytes(first.read_bytes()[:-1])
    (tmp_path / "index").write_bytes(b"".join(FRAME % (frame, frame) + b"\n" for frame in range(3)))
    lane = Lanes(Recording([first, second], index=tmp_path / "index")).open(0)
    assert lane.next() is not None
    with pytest.raises(RecordingError, match="frames follow it"):
        lane.next()


def test_lanes_of_partitions_are_frozen() -> None:
    """Another answer would deal an indexed recording differently than before, across a resume."""
    assert [lane_of(partition) for partition in PARTITIONS] == [4, 5, 4, 5]


def _parts(write, tmp_path, *lines: list[bytes]) -> list[Path]:
    parts = [write(f"traces-{number}", "proto", [b"\x0aone", b"\x0atwo"]) for number in range(len(lines))]
    for part, its in zip(parts, lines, strict=True):
        _lines(part, its)
    return parts


def test_files_with_an_index_each_are_one_recording(write, tmp_path) -> None:
    parts = _parts(write, tmp_path, [FRAME % (n, n) for n in range(2)], [FRAME % (n, n + 5) for n in range(2)])
    lanes = Lanes(Recording(parts))
    lane = lanes.open(lane_of(Partition("t", 0)))
    offsets = []
    while (share := lane.next()) is not None:
        offsets += [int(offset) for records in share.records for offset in records.offsets]
    assert offsets == [0, 1, 5, 6]


def test_files_in_the_wrong_order_are_refused(write, tmp_path) -> None:
    parts = _parts(write, tmp_path, [FRAME % (n, n) for n in range(2)], [FRAME % (n, n + 5) for n in range(2)])
    lane = Lanes(Recording(parts[::-1])).open(lane_of(Partition("t", 0)))
    assert lane.next() is not None
    with pytest.raises(RecordingError, match=r"goes back to offset 0.* order in which they were recorded"):
        lane.next()
