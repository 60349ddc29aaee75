"""Lanes share out a recording's frames, each to exactly one, whoever reads which and however it is cut."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.recording import FORMATS, LANES, Lanes, Recording, RecordingWriter, Share
from flows.records import NO_TIMESTAMP, Partition

FORMAT = st.sampled_from(list(FORMATS))


def _request(format_name: str, number: int, size: int) -> bytes:
    return b'{"n":%d,"p":"%s"}' % (number, b"x" * size) if "json" in format_name else b"\x0a%d" % number + b"x" * size


def _written(folder: str, format_name: str, sizes: list[int]) -> tuple[Path, list[bytes]]:
    requests = [_request(format_name, number, size) for number, size in enumerate(sizes)]
    with RecordingWriter(Path(folder) / "traces", format_name) as writer:
        for request in requests:
            writer.write(request)
    return Path(folder) / "traces", requests


def _read_in_turn(lanes: Lanes, opened: list[int], since: dict[int, int]) -> dict[int, list[Share]]:
    """All shares of some lanes, taken in turn, as a process does."""
    readers = {number: lanes.open(number, since.get(number, 0)) for number in opened}
    shares: dict[int, list[Share]] = {number: [] for number in opened}
    while readers:
        for number, lane in list(readers.items()):
            if (share := lane.next()) is None:
                del readers[number]
            else:
                shares[number].append(share)
    return shares


def _records(shares: list[Share]) -> dict[int, bytes]:
    return {
        int(records.offsets[i]): records.payload(i)
        for share in shares
        for records in share.records
        for i in range(len(records))
    }


@settings(max_examples=80, deadline=None)
@given(
    format_name=FORMAT,
    sizes=st.lists(st.integers(0, 200), max_size=60),
    block_bytes=st.sampled_from([64, 100, 500, 1 << 20]),
    opened=st.permutations(range(LANES)).flatmap(lambda lanes: st.integers(1, LANES).map(lambda n: lanes[:n])),
)
def test_each_lane_has_the_frames_of_its_residue_whatever_is_open_and_however_it_is_cut(
    format_name, sizes, block_bytes, opened
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, requests = _written(folder, format_name, sizes)
        recording = Recording(path, block_bytes=block_bytes, signal="spans")
        for number, shares in _read_in_turn(Lanes(recording), opened, {}).items():
            mine = dict(list(enumerate(requests))[number::LANES])
            assert _records(shares) == mine
            for records in (records for share in shares for records in share.records):
                assert records.partition == Partition("traces", number)
                assert (np.diff(records.offsets) > 0).all()
                assert (records.timestamps_ms == NO_TIMESTAMP).all()


@settings(max_examples=40, deadline=None)
@given(format_name=FORMAT, sizes=st.lists(st.integers(0, 99), max_size=60), data=st.data())
def test_a_lane_goes_on_where_any_share_ended(format_name, sizes, data) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, requests = _written(folder, format_name, sizes)
        recording = Recording(path, block_bytes=300, signal="spans")
        before = _read_in_turn(Lanes(recording), list(range(LANES)), {})
        cuts = {lane: data.draw(st.integers(0, len(shares))) for lane, shares in before.items()}
        taken = {lane: shares[: cuts[lane]] for lane, shares in before.items()}
        since = {lane: shares[-1].position if shares else 0 for lane, shares in taken.items()}
        again = Recording(path, block_bytes=data.draw(st.sampled_from([64, 1000])), signal="spans")
        after = _read_in_turn(Lanes(again), list(range(LANES)), since)
        for lane in range(LANES):
            first, second = _records(taken[lane]), _records(after[lane])
            assert not first.keys() & second.keys()
            assert first | second == dict(list(enumerate(requests))[lane::LANES])


def test_lanes_of_one_process_share_one_pass_and_no_byte_is_copied(make_requests, write) -> None:
    recording = Recording(write("traces", "proto", make_requests("proto", 100)))
    lanes = Lanes(recording)
    opened = [lanes.open(number) for number in range(LANES)]
    parts = [records for lane in opened for records in lane.next().records]
    assert len({id(records.kept) for records in parts}) == 1
    assert sum(len(records) for records in parts) == 100
    assert [lane.next() for lane in opened] == [None] * LANES


def test_frames_of_lanes_that_are_not_open_are_not_unpacked(make_requests, write) -> None:
    path = write("traces", "proto-zstd", make_requests("proto", 64, 1000))
    lanes = Lanes(Recording(path))
    share = lanes.open(3).next()
    (records,) = share.records
    assert records.offsets.tolist() == list(range(3, 64, LANES))
    assert isinstance(records.kept, np.ndarray)
    assert len(records.kept) == records.n_bytes


def test_a_dead_frame_is_a_dead_letter_of_its_lane(make_requests, write) -> None:
    path = write("traces", "proto-zstd", make_requests("proto", 20))
    data, at = bytearray(path.read_bytes()), 0
    for _ in range(13):
        at += 4 + int.from_bytes(data[at : at + 4], "big")
    data[at + 4] ^= 0xFF
    path.write_bytes(data)
    shares = _read_in_turn(Lanes(Recording(path)), list(range(LANES)), {})
    letters = [letter for of_lane in shares.values() for share in of_lane for letter in share.dead]
    assert [(letter.partition, letter.offset, letter.reason) for letter in letters] == [
        (Partition("traces", 5), 13, "corrupt_zstd")
    ]
    assert list(_records(shares[5])) == [5]


def test_a_lane_that_is_closed_keeps_nothing_and_gives_nothing(make_requests, write) -> None:
    recording = Recording(write("traces", "proto", make_requests("proto", 200)), block_bytes=500)
    lanes = Lanes(recording)
    first, second = lanes.open(0), lanes.open(1)
    assert first.next() is not None
    second.close()
    assert second.next() is None
    while first.next() is not None:
        pass
    assert second.next() is None


def test_lanes_are_opened_once_and_before_any_is_read(make_requests, write) -> None:
    lanes = Lanes(Recording(write("traces", "proto", make_requests("proto", 20))))
    lane = lanes.open(0)
    with pytest.raises(ValueError, match="open already"):
        lanes.open(0)
    with pytest.raises(ValueError, match="lanes 0 to 7"):
        lanes.open(8)
    lane.next()
    with pytest.raises(ValueError, match="open all lanes before"):
        lanes.open(1)


def test_a_real_recording_is_shared_out_to_the_last_frame(recorded_data) -> None:
    recording = Recording(recorded_data / "online-boutique-2022-08-22/traces.pb.zst")
    shares = _read_in_turn(Lanes(recording), list(range(LANES)), {})
    offsets = sorted(offset for of_lane in shares.values() for offset in _records(of_lane))
    assert offsets == list(range(2506))
