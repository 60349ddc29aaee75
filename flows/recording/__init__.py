"""Recordings: files that the OpenTelemetry Collector's file exporter writes, as a source of records.

Begin with `reader.py` (files → one stream of frames, in blocks) and `lanes.py` (frames → source partitions). Beside
them, in the order in which bytes pass: `inputs`, `forms` (which of the five), `zstd_stream`, `feed`, `framing`,
`unpacking`, `file_reader`, `blocks`; `index` (where each frame came from), `dealing`, `shares`; `writer`. What must not
live here: anything that looks into a request (`flows/decode`).
"""

from flows.recording.blocks import Block
from flows.recording.dealing import LANES
from flows.recording.errors import Damage, DeadFrame, RecordingError, UnreadableError
from flows.recording.lanes import Lane, Lanes
from flows.recording.reader import Recording
from flows.recording.shares import DeadLetter, IdleTick, Share
from flows.recording.writer import DEFAULT_FORMAT, FORMATS, IndexWriter, RecordingWriter

__all__ = [
    "DEFAULT_FORMAT",
    "FORMATS",
    "LANES",
    "Block",
    "Damage",
    "DeadFrame",
    "DeadLetter",
    "IdleTick",
    "IndexWriter",
    "Lane",
    "Lanes",
    "Recording",
    "RecordingError",
    "RecordingWriter",
    "Share",
    "UnreadableError",
]
