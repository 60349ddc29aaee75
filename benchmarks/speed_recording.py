"""How fast are recordings read, beside what zstd alone needs for the same bytes in the same run?

The online-boutique recording, each record several times in a row, in every form that is read (as JSON: lines of the
same sizes, since the reader does not look into them). `reading` is CPU time for blocks of frames, `dealing` for their
shares in all 8 lanes as well; `without zstd` is what remains of dealing when zstd's own time is taken off.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import zstandard
from report import cpu_seconds, publish, recorded_data

from flows.recording import FORMATS, LANES, Lanes, Recording, RecordingWriter

TIMES = 3
MB = 1e6


def requests() -> list[bytes]:
    path = recorded_data() / "online-boutique-2022-08-22" / "traces.pb.zst"
    return [
        block.data[start:end].tobytes()
        for block in Recording(path)
        for start, end in zip(block.starts, block.ends, strict=True)
        for _ in range(TIMES)
    ]


def write(path: Path, format_name: str, values: list[bytes]) -> int:
    """The recording, and its size without compression."""
    is_json = FORMATS[format_name].encoding == "otlp_json"
    with RecordingWriter(path, format_name) as writer:
        for value in values:
            writer.write(b'{"resourceSpans":' + value.replace(b"\n", b" ") + b"}" if is_json else value)
    return sum(map(len, values))


def read(recording: Recording) -> int:
    return sum(len(block.frames) for block in recording)


def deal(recording: Recording) -> int:
    lanes = Lanes(recording)
    opened = [lanes.open(number) for number in range(LANES)]
    frames, going = 0, True
    while going:
        shares = [lane.next() for lane in opened]
        going = shares[0] is not None
        frames += sum(len(records) for share in shares if share is not None for records in share.records)
    return frames


def zstd_alone(path: Path, compression: str) -> float:
    """CPU seconds to decompress into one buffer that is used again: nothing can be read faster."""
    data = path.read_bytes()
    if compression == "none":
        return 0.0
    decompressor = zstandard.ZstdDecompressor()
    if compression == "zstd":
        frames, at = [], 0
        while at < len(data):
            size = int.from_bytes(data[at : at + 4], "big")
            frames.append(data[at + 4 : at + 4 + size])
            at += 4 + size
        return cpu_seconds(lambda: [decompressor.decompress(frame) and None for frame in frames])

    buffer = bytearray(1 << 20)

    def stream() -> None:
        reader = decompressor.stream_reader(io.BytesIO(data), read_size=1 << 20, read_across_frames=True)
        while reader.readinto(buffer):
            pass

    return cpu_seconds(stream)


def main() -> None:
    values, rows = requests(), []
    with tempfile.TemporaryDirectory() as folder:
        for format_name, form in FORMATS.items():
            path = Path(folder) / f"traces-{format_name}"
            size = write(path, format_name, values)
            zstd = zstd_alone(path, form.compression)
            reading = cpu_seconds(lambda path=path: read(Recording(path)))
            dealing = cpu_seconds(lambda path=path: deal(Recording(path)))
            rows.append(
                {
                    "form": format_name,
                    "MB": size / MB,
                    "zstd alone MB/s": size / MB / zstd if zstd else "",
                    "reading MB/s": size / MB / reading,
                    "dealing MB/s": size / MB / dealing,
                    "without zstd MB/s": size / MB / max(dealing - zstd, 1e-9),
                }
            )
            path.unlink()
    publish("speed_recording", "How fast are recordings read?", rows, "MB are those of the requests, uncompressed.")


if __name__ == "__main__":
    main()
