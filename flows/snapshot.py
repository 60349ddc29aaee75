"""The codec of all state: versioned bytes, never pickled classes.

A snapshot is a MessagePack map with the name of what it holds, a format version, and fields that are integers, text,
bytes, lists, maps, or arrays (as dtype, shape and little-endian bytes). A class path is not a file format: renaming a
class must not lose anyone's state.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

_ARRAY = 1
_encoder = msgspec.msgpack.Encoder(enc_hook=lambda value: _encode(value))


class SnapshotError(ValueError):
    """Stored state is not what was expected; carries what was found."""


def _encode(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        body = msgspec.msgpack.encode((value.dtype.str, list(value.shape), np.ascontiguousarray(value).tobytes()))
        return msgspec.msgpack.Ext(_ARRAY, body)
    if isinstance(value, np.integer):
        return int(value)
    raise TypeError(f"a snapshot holds plain values and arrays, not {type(value).__name__}")


def _decode_extension(code: int, body: memoryview) -> Any:
    if code != _ARRAY:
        raise SnapshotError(f"unknown extension {code} in a snapshot: it was written by a later version")
    dtype, shape, data = msgspec.msgpack.decode(body)
    return np.frombuffer(data, np.dtype(dtype)).reshape(shape).copy()


def pack(kind: str, version: int, fields: dict[str, Any]) -> bytes:
    """Fields as versioned bytes.

    >>> unpack(pack("x", 1, {"n": 3, "a": np.array([1, 2], np.int32)}), "x", 1)["a"].tolist()
    [1, 2]
    """
    return _encoder.encode({"kind": kind, "version": version, "fields": fields})


def unpack(data: bytes, kind: str, version: int, *older: int) -> dict[str, Any]:
    """The fields of `pack`; `older` are further versions that the caller reads.

    Raises:
        SnapshotError: other bytes, another kind, or a version that this release does not read.
    """
    try:
        found = msgspec.msgpack.decode(data, ext_hook=_decode_extension)
    except (msgspec.DecodeError, ValueError) as error:
        raise SnapshotError(f"state of {kind} is damaged: {error}") from error
    if not isinstance(found, dict) or found.get("kind") != kind or found.get("version") not in (version, *older):
        have = f"{found.get('kind')} version {found.get('version')}" if isinstance(found, dict) else "no map"
        raise SnapshotError(f"state of {kind} version {version} was expected, found {have}")
    fields: dict[str, Any] = found["fields"]
    return fields
