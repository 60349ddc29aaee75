"""What a file that is no recording probably is, so that the error can say so and say what to do."""

from __future__ import annotations

from typing import NamedTuple

PRINTABLE = frozenset(range(0x20, 0x7F)) | frozenset(b"\t\n\r\f\b\x1b")


class Guess(NamedTuple):
    """What it looks like, and what to do about it."""

    kind: str
    hint: str


def _decompress_with(tool: str) -> str:
    return f"Decompress it first: {tool} FILE | streamgauge replay -"


RECORD = "Record with the OpenTelemetry Collector's file exporter, or make one with streamgauge generate."

# (offset, magic, guess), from each format's own specification
MAGICS: tuple[tuple[int, bytes, Guess], ...] = (
    (0, b"\x1f\x8b", Guess("gzip", _decompress_with("gunzip -c"))),
    (0, b"BZh", Guess("bzip2", _decompress_with("bzip2 -dc"))),
    (0, b"\xfd7zXZ\0", Guess("xz", _decompress_with("xz -dc"))),
    (0, b"\x04\x22\x4d\x18", Guess("lz4", _decompress_with("lz4 -dc"))),
    (0, b"\xff\x06\0\0sNaPpY", Guess("framed snappy", _decompress_with("snzip -dc"))),
    (0, b"PK\x03\x04", Guess("a zip archive", "Unpack it and name the files in it.")),
    (257, b"ustar", Guess("a tar archive", "Unpack it and name the files in it.")),
    (0, b"PAR1", Guess("parquet", RECORD)),
    (0, b"ORC", Guess("ORC", RECORD)),
    (0, b"ARROW1", Guess("Arrow", RECORD)),
    (0, b"Obj\x01", Guess("Avro", RECORD)),
    (0, b"SQLite format 3\0", Guess("an SQLite database", RECORD)),
    (0, b"\xd4\xc3\xb2\xa1", Guess("pcap", RECORD)),
    (0, b"\xa1\xb2\xc3\xd4", Guess("pcap", RECORD)),
    (0, b"\x0a\x0d\x0d\x0a", Guess("pcapng", RECORD)),
    (0, b"\x7fELF", Guess("a program", RECORD)),
    (0, b"%PDF", Guess("a PDF", RECORD)),
    (
        0,
        b"\xef\xbb\xbf",
        Guess("text with a byte order mark", "Remove it: tail -c +4 FILE | streamgauge replay -"),
    ),
    (0, b"\xff\xfe", Guess("UTF-16 text", "Convert it to UTF-8 without a byte order mark.")),
    (0, b"\xfe\xff", Guess("UTF-16 text", "Convert it to UTF-8 without a byte order mark.")),
    (0, b"{", Guess("JSON over several lines", "Write one request a line: jq -c . FILE | streamgauge replay -")),
    (0, b"[", Guess("a JSON array", "Write one request a line: jq -c '.[]' FILE | streamgauge replay -")),
    (0, b"<", Guess("XML or HTML", RECORD)),
)


def guess(head: bytes) -> Guess:
    """What the first bytes of a file look like.

    >>> guess(bytes.fromhex("1f8b0800")).kind
    'gzip'
    >>> guess(b"2024-05-01 INFO started").kind
    'plain text'
    """
    for offset, magic, found in MAGICS:
        if head.startswith(magic, offset):
            return found
    if not head.strip(b"\0"):
        return Guess("zero bytes only", "Its content was never written; restore it from elsewhere.")
    if PRINTABLE.issuperset(head[:256]):
        return Guess("plain text", RECORD)
    if head[0] == 0x0A:
        return Guess("perhaps one bare request without its length", "Put its length before it: four bytes, big-endian.")
    return Guess("nothing we know", RECORD)
