"""Blocks: what a recording is read in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from flows.recording.errors import DeadFrame

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Block:
    """Frames first_frame … next_frame - 1, except those that are dead or were not wanted.

    `data[starts[i]:ends[i]]` is the request of frame `frames[i]`; other bytes may lie between them.
    """

    data: np.ndarray  # (n_bytes,) uint8
    frames: np.ndarray  # (n_frames,) int64, increasing
    starts: np.ndarray  # (n_frames,) int64
    ends: np.ndarray  # (n_frames,) int64
    first_frame: int
    next_frame: int
    dead: tuple[DeadFrame, ...] = ()
