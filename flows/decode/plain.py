"""What decoders in plain Python share: one loop over records and spans, so that what is broken costs only itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flows.decode.batch import Decoder, Dimension, Limits, SpanBatch
from flows.decode.rows import BrokenError, PlainSpan, Rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.records import Records


class PlainDecoder(Decoder):
    """A decoder in plain Python: a subclass says how a record is split into spans, and how one of them is read.

    Args:
        dimensions: What to take from attributes, in the order in which `Identity.dimensions` has it.
        limits: What one record may hold.
        weighted: Whether a sampled span counts for those it stands for (`sampling.py`).
    """

    def __init__(
        self, dimensions: Sequence[Dimension] = (), limits: Limits | None = None, weighted: bool = True
    ) -> None:
        self._dimensions = tuple(dimensions)
        self._limits = limits or Limits()
        self._weighted = weighted

    def decode(self, records: Records) -> SpanBatch:
        """See `Decoder`."""
        rows = Rows(self._dimensions, self._limits, self._weighted)
        for record in range(len(records)):
            rows.begin(record)
            try:
                spans = self._split(records.payload(record))
            except BrokenError as broken:
                rows.lose(broken)
                continue
            for span in spans:
                if not rows.has_room():
                    continue
                try:
                    rows.take(self._read(span, rows))
                except BrokenError as broken:
                    rows.lose(broken, spans=1)
        return rows.batch()

    def _split(self, payload: bytes) -> list[Any]:
        """The spans of a record, not read yet.

        Raises:
            BrokenError: the record is none of this encoding.
        """
        raise NotImplementedError

    def _read(self, span: Any, rows: Rows) -> PlainSpan:
        """One of what `_split` gave.

        Raises:
            BrokenError: the span is not readable; it costs only itself.
        """
        raise NotImplementedError


def parsed(payload: bytes) -> Any:
    """A record as JSON.

    Raises:
        BrokenError: it is none.
    """
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BrokenError("not_json", str(error)) from error
    except RecursionError as error:
        raise BrokenError("too_deep", "JSON is nested too deeply") from error
